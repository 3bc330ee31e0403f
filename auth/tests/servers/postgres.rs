//! A private PostgreSQL with auth's tables in its databases.

#[path = "log.rs"]
pub(crate) mod log;

use std::ops::{Deref, DerefMut};

use auth::store::postgres::Postgres;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use storage::postgres::{Config, Url};
use testing::postgres::Server;

use self::log::Watched;

/// A database server with its own data. Nothing secret may be logged while there is one.
pub(crate) struct Cluster(Server, Watched);

impl Cluster {
    /// A new one that runs.
    pub(crate) fn start() -> Self {
        Self(Server::start().unwrap(), log::watch())
    }

    /// The address of a database, with a password that nobody asks for and no log may hold.
    pub(crate) fn url(&self, database: &str) -> Url {
        let password = format!(":{}@", log::DATABASE_PASSWORD);
        let url = self.0.url(database).replacen('@', &password, 1);
        url.parse().unwrap()
    }

    /// Makes a database with auth's tables.
    pub(crate) async fn migrate(&self, database: &str) -> Postgres {
        self.execute("postgres", &format!("CREATE DATABASE {database}"))
            .await;
        let store = self.store(database);
        store.migrate(None).await.unwrap();
        store
    }

    pub(crate) fn store(&self, database: &str) -> Postgres {
        Postgres::new(Config::new(self.url(database))).unwrap()
    }

    /// Does something as a client of its own.
    pub(crate) async fn execute(&self, database: &str, sql: &str) {
        let mut connection = self.connect(database).await;
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection);
        done.await.unwrap();
        connection.close().await.unwrap();
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
