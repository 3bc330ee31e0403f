//! What a service with databases does first: it finds their addresses among its secrets, waits for
//! them, and follows the secrets from then on.

use std::time::Duration;

use runtime::backoff::Backoff;
use tokio_util::sync::CancellationToken;

use crate::secrets::{Keys, Secrets};
use crate::valkey::Nodes;
use crate::{postgres, sql, valkey};

/// The secret with the address of PostgreSQL.
pub const DATABASE: &str = "database.url";

/// The secret with the address of a replica of it that answers some reads.
pub const DATABASE_REPLICA: &str = "database.replica-url";

/// The secret with an address around PgBouncer, for migrations.
pub const DATABASE_MIGRATION: &str = "database.migration-url";

/// The secret with the addresses of Valkey, separated by commas or lines.
pub const VALKEY: &str = "valkey.urls";

/// The secret with the certificate authority of Valkey, in PEM: no secret, but beside what it is
/// for, and followed as that is.
pub const VALKEY_AUTHORITY: &str = "valkey.ca";

/// Between attempts to reach a database at the start.
const AGAIN: Backoff = Backoff {
    base: Duration::from_millis(100),
    cap: Duration::from_secs(5),
};

/// Why a service cannot start with its databases.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A secret is missing.
    #[error("the secret {place} is missing: {hint}")]
    Missing {
        /// Its name.
        place: &'static str,
        /// What should be in it.
        hint: &'static str,
    },
    /// A secret cannot be used; it is not repeated.
    #[error("the secret {0} is not an address of a database")]
    Address(&'static str),
    /// The database cannot be used.
    #[error("open the database")]
    Database(#[from] sql::Error),
    /// Valkey's addresses cannot be used.
    #[error("use the addresses of Valkey")]
    Valkey(#[from] valkey::Error),
    /// The process was told to end before it had begun.
    #[error("told to end while waiting for {0}")]
    Stopped(&'static str),
}

/// The address of a database among the secrets.
pub fn address<Own: Keys>(
    secrets: &Secrets<Own>,
    name: &'static str,
) -> Result<Option<postgres::Url>, Error> {
    secrets
        .current()
        .text(name)
        .map(|text| text.parse().map_err(|_| Error::Address(name)))
        .transpose()
}

/// PostgreSQL by the addresses among the secrets, with the usual limits.
pub fn database<Own: Keys>(secrets: &Secrets<Own>) -> Result<postgres::Config, Error> {
    let primary = address(secrets, DATABASE)?.ok_or(Error::Missing {
        place: DATABASE,
        hint: "postgres://user:password@host/database",
    })?;
    Ok(postgres::Config {
        replica: address(secrets, DATABASE_REPLICA)?,
        ..postgres::Config::new(primary)
    })
}

/// The nodes of Valkey among the secrets.
pub fn nodes<Own: Keys>(secrets: &Secrets<Own>) -> Option<Nodes> {
    let current = secrets.current();
    let text = current.text(VALKEY)?;
    let addresses = text.split([',', '\n']).map(str::trim);
    let addresses: Vec<String> = addresses
        .filter(|address| !address.is_empty())
        .map(ToOwned::to_owned)
        .collect();
    let authority = current.text(VALKEY_AUTHORITY).map(ToOwned::to_owned);
    Some(Nodes::from(addresses).with_authority(authority))
}

/// Valkey by the addresses among the secrets, with the usual limits.
pub fn valkey<Own: Keys>(secrets: &Secrets<Own>) -> Result<valkey::Config, Error> {
    let nodes = nodes(secrets).ok_or(Error::Missing {
        place: VALKEY,
        hint: "rediss://:password@host:6379, several for a cluster",
    })?;
    Ok(valkey::Config::new(nodes))
}

/// Uses other addresses of PostgreSQL for new connections when their secrets change, until `stop`:
/// a password is changed without a restart.
pub async fn follow_database<Own: Keys>(
    secrets: &Secrets<Own>,
    database: &postgres::Database,
    stop: &CancellationToken,
) {
    let renew = || {
        let renewed = self::database(secrets)?;
        database
            .renew(&renewed.primary, renewed.replica.as_ref())
            .map_err(|_| Error::Address(DATABASE))
    };
    let names = [DATABASE, DATABASE_REPLICA];
    secrets.on_change(&names, "PostgreSQL", renew, stop).await;
}

/// Has `renew` use other nodes of Valkey when their secrets change, until `stop`.
pub async fn follow_valkey<Own: Keys>(
    secrets: &Secrets<Own>,
    renew: impl Fn(&Nodes) -> Result<(), valkey::Error>,
    stop: &CancellationToken,
) {
    let renew = || -> Result<(), Error> { Ok(renew(&valkey(secrets)?.nodes)?) };
    let names = [VALKEY, VALKEY_AUTHORITY];
    secrets.on_change(&names, "Valkey", renew, stop).await;
}

/// Tries until it works or `stop`; only a database that is away is waited for.
pub async fn patiently<Attempt, Output>(
    what: &'static str,
    stop: &CancellationToken,
    attempt: impl Fn() -> Attempt,
) -> Result<Output, Error>
where
    Attempt: Future<Output = Result<Output, sql::Error>>,
{
    for tries in 0.. {
        match attempt().await {
            Err(sql::Error::Unavailable(cause)) => {
                tracing::warn!(cause, "Waiting for {what}");
            }
            done => return Ok(done?),
        }
        let pause = tokio::time::sleep(AGAIN.bound(tries));
        if stop.run_until_cancelled(pause).await.is_none() {
            return Err(Error::Stopped(what));
        }
    }
    Err(Error::Stopped(what))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_is_away_is_waited_for() {
        let stop = CancellationToken::new();
        let tries = AtomicU32::new(0);
        let answer = |last: Result<u32, sql::Error>| {
            let tries = &tries;
            move || {
                let count = tries.fetch_add(1, Ordering::Relaxed);
                let away = sql::Error::Unavailable("away".to_owned());
                let answer = if count % 10 < 9 {
                    Err(away)
                } else {
                    last.clone()
                };
                async move { answer }
            }
        };
        let found = patiently("PostgreSQL", &stop, answer(Ok(7))).await;
        assert_eq!((found.unwrap(), tries.load(Ordering::Relaxed)), (7, 10));
        let corrupt = sql::Error::Corrupt("a row".to_owned());
        let refused = patiently("PostgreSQL", &stop, answer(Err(corrupt))).await;
        assert!(matches!(refused, Err(Error::Database(_))), "{refused:?}");
        assert_eq!(tries.load(Ordering::Relaxed), 20);
        stop.cancel();
        let stopped = patiently("PostgreSQL", &stop, answer(Ok(7))).await;
        assert!(matches!(stopped, Err(Error::Stopped("PostgreSQL"))));
    }
}
