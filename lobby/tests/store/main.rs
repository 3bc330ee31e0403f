//! What both stores promise, asked of real databases: a PostgreSQL that the tests start, and SQLite.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

mod cases;
mod cluster;
mod faults;
mod file;

use std::sync::Arc;

use lobby::store::sqlite::Sqlite;

use crate::cluster::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_keeps_every_promise() {
    for (name, case) in cases::ALL {
        println!("{name}");
        case(Arc::new(Sqlite::in_memory().await.unwrap())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgresql_keeps_every_promise() {
    let cluster = Cluster::start();
    cluster.migrate("template").await.database().close().await;
    for (name, case) in cases::ALL {
        println!("{name}");
        cluster.copy("template", name).await;
        let store = Arc::new(cluster.store(name));
        case(store.clone()).await;
        store.database().close().await;
    }
    // A transaction that waits for another in a circle is taken back and tried again: no case sees
    // it, but each time it costs a second.
    let mut client = cluster.connect("postgres").await;
    let count = "SELECT sum(deadlocks)::bigint FROM pg_stat_database";
    let count = sqlx::query_scalar::<_, i64>(count).fetch_one(&mut client);
    assert_eq!(count.await.unwrap(), 0);
}
