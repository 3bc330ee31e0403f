//! What both stores promise, asked of real databases: a PostgreSQL that the tests start, and SQLite.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and says where"
)]

mod cases;
mod file;

use std::sync::Arc;

use lobby::store::sqlite::Sqlite;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_keeps_every_promise() {
    for (name, case) in cases::ALL {
        println!("{name}");
        case(Arc::new(Sqlite::in_memory().await.unwrap())).await;
    }
}
