//! A private PostgreSQL with the lobby's tables in its databases.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use lobby::store::postgres::Postgres;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use storage::postgres::{Config, Url};
use testing::postgres::Server;

/// A database server with its own data.
pub(crate) struct Cluster(Server);

impl Cluster {
    /// A new one that runs.
    pub(crate) fn start() -> Self {
        Self(Server::start().unwrap())
    }

    fn url(&self, database: &str) -> Url {
        self.0.url(database).parse().unwrap()
    }

    /// Makes a database with the lobby's tables.
    pub(crate) async fn migrate(&self, database: &str) -> Postgres {
        self.alone(&format!("CREATE DATABASE {database}")).await;
        let store = self.store(database);
        store.migrate(None).await.unwrap();
        store
    }

    /// Makes a database like another.
    pub(crate) async fn copy(&self, template: &str, database: &str) {
        let sql = format!("CREATE DATABASE {database} TEMPLATE {template}");
        self.alone(&sql).await;
    }

    /// Does what no transaction can.
    async fn alone(&self, sql: &str) {
        let mut connection = self.connect("postgres").await;
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection);
        done.await.unwrap();
        connection.close().await.unwrap();
    }

    /// The usual limits.
    pub(crate) fn store(&self, database: &str) -> Postgres {
        Postgres::new(Config::new(self.url(database))).unwrap()
    }

    /// Short limits, and few connections.
    pub(crate) fn impatient(&self, database: &str) -> Postgres {
        let config = Config {
            connections: 2,
            acquire_timeout: Duration::from_millis(300),
            statement_timeout: Duration::from_millis(300),
            call_timeout: Duration::from_millis(600),
            ..Config::new(self.url(database))
        };
        Postgres::new(config).unwrap()
    }

    /// A client of its own.
    pub(crate) async fn connect(&self, database: &str) -> PgConnection {
        let options: PgConnectOptions = self.0.url(database).parse().unwrap();
        options.connect().await.unwrap()
    }
}

impl Deref for Cluster {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}
