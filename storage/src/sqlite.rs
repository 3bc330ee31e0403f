//! SQLite: the embedded mode, without a server of databases.
//!
//! One connection, so that calls come one after another and every transaction is alone; a file or
//! memory. Each commit is on the disk before it is acknowledged.

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::sql::{Error, failure, migration_failure};

/// Longest wait for another process that has the file, and for the calls before.
const LIMIT: Duration = Duration::from_secs(5);

/// How a transaction begins: one that reads first and writes then could fail in the middle.
pub const BEGIN: &str = "BEGIN IMMEDIATE";

/// Whether SQLite says "not now": see <https://sqlite.org/rescode.html>.
fn refuses(code: &str) -> bool {
    const BUSY: u32 = 5;
    const LOCKED: u32 = 6;
    const NO_MEMORY: u32 = 7;
    const READ_ONLY: u32 = 8;
    const INTERRUPTED: u32 = 9;
    const INPUT_OUTPUT: u32 = 10;
    const FULL: u32 = 13;
    const CANNOT_OPEN: u32 = 14;
    // The upper bytes hold details.
    code.parse().is_ok_and(|code: u32| {
        matches!(
            code & 0xff,
            BUSY | LOCKED | NO_MEMORY | READ_ONLY | INTERRUPTED | INPUT_OUTPUT | FULL | CANNOT_OPEN
        )
    })
}

/// Opens a file, or makes it, and brings its tables up to date; its folder must exist.
pub async fn open(path: &Path, migrations: &Migrator) -> Result<SqlitePool, Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    connect(options, migrations).await
}

/// A database that is gone when it is dropped.
pub async fn in_memory(migrations: &Migrator) -> Result<SqlitePool, Error> {
    connect(SqliteConnectOptions::new().in_memory(true), migrations).await
}

async fn connect(
    options: SqliteConnectOptions,
    migrations: &Migrator,
) -> Result<SqlitePool, Error> {
    let options = options
        .foreign_keys(true)
        .busy_timeout(LIMIT)
        .disable_statement_logging();
    let connected = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(LIMIT)
        // What is in memory is gone with its connection.
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options);
    let pool = answer(connected).await?;
    let outcome = migrations.run(&pool).await;
    outcome.map_err(|error| migration_failure(error, refuses))?;
    Ok(pool)
}

/// Does a call's work, and says what its failure means.
pub async fn answer<Output>(
    work: impl Future<Output = sqlx::Result<Output>> + Send,
) -> Result<Output, Error> {
    work.await.map_err(|error| failure(&error, refuses))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_corruption() {
        // Busy, busy for a snapshot, a failed sync, a full disk.
        for code in ["5", "517", "1034", "13"] {
            assert!(refuses(code), "{code}");
        }
        // No such table, a corrupt file, a broken constraint.
        for code in ["", "1", "11", "2067"] {
            assert!(!refuses(code), "{code}");
        }
    }
}
