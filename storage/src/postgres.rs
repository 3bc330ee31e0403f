//! PostgreSQL: a primary, perhaps a replica that answers some reads, and what bounds a call.
//!
//! No durability is given away: `synchronous_commit` stays as the server has it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};
use zeroize::Zeroizing;

use crate::sql::{Error, failure, migration_failure, within};

/// Longest wait for the tables: another replica may be making them.
const MIGRATION_LIMIT: Duration = Duration::from_mins(2);

/// How often a transaction is tried that the database took back because of another one.
const TRIES: u32 = 3;

/// A connection that was idle for so long is asked whether it still answers before it is used. One
/// that was used just now answered just now: to ask each time would cost a turn for each call.
const IDLE: Duration = Duration::from_secs(1);

/// Connections for what must not wait behind calls.
const URGENT_CONNECTIONS: u32 = 2;

/// The URL is none of a PostgreSQL database; it is not shown, for it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the URL of a PostgreSQL database (postgres://user@host/database)")]
pub struct InvalidUrl;

/// The address of a database with everything that is needed to enter it. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(Zeroizing<String>);

impl Url {
    fn options(&self) -> Result<PgConnectOptions, InvalidUrl> {
        let is_postgres = ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| self.0.starts_with(scheme));
        if !is_postgres {
            return Err(InvalidUrl);
        }
        // What is wrong with it could be a part of it.
        self.0.parse().map_err(|_| InvalidUrl)
    }
}

impl FromStr for Url {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Self(Zeroizing::new(text.trim().to_owned()));
        url.options()?;
        Ok(url)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Url(…)")
    }
}

/// How the database is used.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database that is written to.
    pub primary: Url,
    /// One that follows it, for reads that may be a moment late.
    pub replica: Option<Url>,
    /// Connections at most, to each; two more are for what must not wait behind calls.
    pub connections: u32,
    /// Longest wait for a free connection.
    pub acquire_timeout: Duration,
    /// Longest work on one statement; the database ends it then.
    pub statement_timeout: Duration,
    /// Longest call, whatever happens.
    pub call_timeout: Duration,
    /// The URLs lead to a pooler of transactions (PgBouncer 1.21 or newer with
    /// `max_prepared_statements`): no setting is made for a connection, so the time limit of a
    /// statement must be set for the role.
    pub pooler: bool,
}

impl Config {
    /// The usual limits.
    pub const fn new(primary: Url) -> Self {
        Self {
            primary,
            replica: None,
            connections: 16,
            acquire_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(3),
            call_timeout: Duration::from_secs(5),
            pooler: false,
        }
    }

    fn options(&self, application: &str, url: &Url) -> Result<PgConnectOptions, InvalidUrl> {
        let options = url.options()?.application_name(application);
        // A pooler refuses settings that it does not know.
        let options = if self.pooler {
            options.extra_float_digits(None)
        } else {
            let limit = self.statement_timeout.as_millis().to_string();
            options.options([
                ("statement_timeout", limit.as_str()),
                // A process that vanished in the middle of a transaction holds its rows.
                ("idle_in_transaction_session_timeout", limit.as_str()),
            ])
        };
        Ok(options.disable_statement_logging())
    }

    fn pool(&self, application: &str, url: &Url, connections: u32) -> Result<PgPool, InvalidUrl> {
        let limit = self.acquire_timeout;
        Ok(PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(limit)
            .test_before_acquire(false)
            // Half of the limit, so that another connection can be made in the other half.
            .before_acquire(move |connection, about| {
                Box::pin(async move {
                    if about.idle_for < IDLE {
                        return Ok(true);
                    }
                    ping(connection, limit / 2).await
                })
            })
            // The pool waits without a limit for a connection that a call gave up, and a database
            // that vanished from the network would cost every connection for a quarter of an hour.
            .after_release(move |connection, _| Box::pin(ping(connection, limit)))
            .connect_lazy_with(self.options(application, url)?))
    }
}

/// Whether a connection answers in time; it is dropped if not.
async fn ping(connection: &mut PgConnection, limit: Duration) -> sqlx::Result<bool> {
    match tokio::time::timeout(limit, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// Whether PostgreSQL says "not now": connections, transactions, resources, operators; and
/// passwords and names of databases, which are replaced while we run.
fn refuses(code: &str) -> bool {
    const CLASSES: [&str; 10] = ["08", "25", "28", "3D", "40", "53", "55", "57", "58", "XX"];
    CLASSES.iter().any(|class| code.starts_with(class))
}

/// Whether the transaction was taken back because of another one.
fn collides(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        // A serialization failure, a deadlock.
        .is_some_and(|code| matches!(code.as_ref(), "40001" | "40P01"))
}

/// A database, with the connections to it.
pub struct Database {
    primary: PgPool,
    /// The primary, for what must not wait behind calls.
    urgent: PgPool,
    replica: Option<PgPool>,
    application: &'static str,
    config: Config,
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Database")
            .field("connections", &self.primary.size())
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Connects when it is needed, as `application`. Must be called inside a runtime.
    pub fn new(application: &'static str, config: Config) -> Result<Self, InvalidUrl> {
        let pool = |url, connections| config.pool(application, url, connections);
        let replica = config.replica.as_ref();
        Ok(Self {
            primary: pool(&config.primary, config.connections)?,
            urgent: pool(&config.primary, URGENT_CONNECTIONS)?,
            replica: replica
                .map(|url| pool(url, config.connections))
                .transpose()?,
            application,
            config,
        })
    }

    /// Makes the tables or brings them up to date. Any number of replicas may do so at once, but
    /// not through a pooler: `direct` leads past it.
    pub async fn migrate(&self, migrations: &Migrator, direct: Option<&Url>) -> Result<(), Error> {
        let url = direct.unwrap_or(&self.config.primary);
        let unusable = |error: InvalidUrl| Error::Corrupt(error.to_string());
        // Of its own, without the time limit for a statement.
        let options = url.options().map_err(unusable)?;
        let migrate = async {
            let connect = options.disable_statement_logging().connect().await;
            let mut connection = connect.map_err(|error| failure(&error, refuses))?;
            let outcome = migrations.run(&mut connection).await;
            outcome.map_err(|error| migration_failure(error, refuses))?;
            connection.close().await.ok();
            Ok(())
        };
        within(MIGRATION_LIMIT, migrate).await
    }

    /// Uses another URL of the same database for new connections: a password was changed.
    pub fn renew(&self, primary: &Url, replica: Option<&Url>) -> Result<(), InvalidUrl> {
        let options = |url| self.config.options(self.application, url);
        for pool in [&self.primary, &self.urgent] {
            pool.set_connect_options(options(primary)?);
        }
        if let (Some(pool), Some(url)) = (&self.replica, replica) {
            pool.set_connect_options(options(url)?);
        }
        Ok(())
    }

    /// Closes every connection when what is under way on it has ended.
    pub async fn close(&self) {
        self.primary.close().await;
        self.urgent.close().await;
        if let Some(replica) = &self.replica {
            replica.close().await;
        }
    }

    /// Does a call's work within its time limit; tries again what the database took back because of
    /// another transaction.
    pub async fn call<'a, Output, Work>(
        &'a self,
        work: impl Fn(&'a PgPool) -> Work + Send + Sync,
    ) -> Result<Output, Error>
    where
        Work: Future<Output = sqlx::Result<Output>> + Send,
    {
        self.call_on(&self.primary, work).await
    }

    /// Reads what may be a moment old, from the replica where there is one that answers.
    pub async fn read<'a, Output, Work>(
        &'a self,
        work: impl Fn(&'a PgPool) -> Work + Send + Sync,
    ) -> Result<Output, Error>
    where
        Work: Future<Output = sqlx::Result<Output>> + Send,
    {
        if let Some(replica) = &self.replica {
            match self.call_on(replica, &work).await {
                Err(Error::Unavailable(cause)) => {
                    tracing::warn!(cause, "The read replica does not answer; asked the primary");
                }
                outcome => return outcome,
            }
        }
        self.call(work).await
    }

    /// Does work that must not wait behind calls: it has connections of its own.
    pub async fn call_urgently<'a, Output, Work>(
        &'a self,
        work: impl Fn(&'a PgPool) -> Work + Send + Sync,
    ) -> Result<Output, Error>
    where
        Work: Future<Output = sqlx::Result<Output>> + Send,
    {
        self.call_on(&self.urgent, work).await
    }

    async fn call_on<'a, Output, Work>(
        &'a self,
        pool: &'a PgPool,
        work: impl Fn(&'a PgPool) -> Work + Send + Sync,
    ) -> Result<Output, Error>
    where
        Work: Future<Output = sqlx::Result<Output>> + Send,
    {
        let tries = async {
            let mut left = TRIES;
            loop {
                left -= 1;
                match work(pool).await {
                    Err(error) if left > 0 && collides(&error) => {}
                    outcome => break outcome.map_err(|error| failure(&error, refuses)),
                }
            }
        };
        within(self.config.call_timeout, tries).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_and_never_shown() {
        for bad in ["", "mysql://root@db/auth", "postgres://a:s3cret@db:port/x"] {
            assert_eq!(bad.parse::<Url>(), Err(InvalidUrl), "{bad}");
        }
        let url: Url = " postgres://auth:s3cret@db/auth\n".parse().unwrap();
        let config = Config::new(url);
        assert!(!format!("{config:?} {InvalidUrl}").contains("s3cret"));
    }

    #[test]
    fn refusals_are_told_from_corruption() {
        for code in [
            "08006", "25006", "28P01", "40001", "53300", "55P03", "57014", "57P01",
        ] {
            assert!(refuses(code), "{code}");
        }
        for code in ["", "22P05", "23505", "42P01"] {
            assert!(!refuses(code), "{code}");
        }
    }

    #[test]
    fn a_pooler_gets_no_settings() {
        let url: Url = "postgres://auth@db/auth".parse().unwrap();
        let mut config = Config::new(url.clone());
        let options = config.options("muster-test", &url).unwrap();
        let settings = options.get_options().unwrap_or_default();
        assert!(settings.contains("statement_timeout=3000"), "{settings}");
        config.pooler = true;
        assert_eq!(
            config.options("muster-test", &url).unwrap().get_options(),
            None
        );
    }
}
