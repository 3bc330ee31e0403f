//! What only the tests of stores do with a PostgreSQL: copies of databases, and questions past the
//! store.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::cluster::Cluster;

impl Cluster {
    /// Makes a database like another.
    pub(crate) async fn copy(&self, template: &str, database: &str) {
        let sql = format!("CREATE DATABASE {database} TEMPLATE {template}");
        self.execute("postgres", &sql).await;
    }

    /// Asks something as a client of its own.
    pub(crate) async fn query(&self, database: &str, sql: &str) -> Vec<PgRow> {
        let mut connection = self.connect(database).await;
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection);
        let rows = rows.await.unwrap();
        connection.close().await.unwrap();
        rows
    }
}
