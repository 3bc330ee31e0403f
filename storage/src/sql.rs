//! What the failures of both databases mean.

use std::time::Duration;

use sqlx::migrate::MigrateError;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The database does not answer, not in time, or refuses for now. Nothing is known of what
    /// the call did.
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    /// A row holds what was never written.
    #[error("the database holds what it must not: {0}")]
    Corrupt(String),
}

/// Says what a failure means. `refuses` knows the codes by which the database says "not now".
pub(crate) fn failure(error: &sqlx::Error, refuses: fn(&str) -> bool) -> Error {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            let text = format!("{} ({code})", database.message());
            if refuses(&code) {
                Error::Unavailable(text)
            } else {
                Error::Corrupt(text)
            }
        }
        sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::TypeNotFound { .. }
        | sqlx::Error::RowNotFound => Error::Corrupt(error.to_string()),
        _ => Error::Unavailable(error.to_string()),
    }
}

/// Why the tables could not be brought up to date.
pub(crate) fn migration_failure(error: MigrateError, refuses: fn(&str) -> bool) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            failure(&error, refuses)
        }
        // A version that we do not know, or one that was changed after it was run.
        error => Error::Corrupt(error.to_string()),
    }
}

/// Work that must end in time.
pub(crate) async fn within<Output>(
    limit: Duration,
    work: impl Future<Output = Result<Output, Error>>,
) -> Result<Output, Error> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(Error::Unavailable(format!("no answer within {limit:?}"))))
}
