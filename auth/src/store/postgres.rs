//! PostgreSQL, alone or spread by Citus.
//!
//! Queries are checked when they are compiled, against `auth/.sqlx`, which `cargo xtask codegen`
//! refreshes. Every transaction about a player begins with the player's row, so that those of one
//! player come one after another and never wait for each other in a circle; a refresh is one
//! statement on one row and needs none. No durability is given away: `synchronous_commit` stays as
//! the server has it.

mod audit;
mod factors;
mod keys;
mod players;
mod sealed;
mod sessions;

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, query, query_as};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::rows::{failure, migration_failure, status_name};
use super::{
    Audit, Device, Error, Identity, Linked, NewAddress, NewPassword, NewPlayer, OneTime, Opened,
    Passkey, PinnedKey, Place, Player, Purged, Purpose, Removed, RolesAndData, Rotate, Rotated,
    SealedValue, Session, SigningKey, Status, Store, Totp, Which,
};
use crate::ids::{IdentityHash, PlayerId, SessionId};
use crate::live::Revocation;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Longest wait for the tables: another replica may be making them.
const MIGRATION_LIMIT: Duration = Duration::from_mins(2);

/// How often a transaction is tried that the database took back because of another one.
const TRIES: u32 = 3;

/// A connection that was idle for so long is asked whether it still answers before it is used. One
/// that was used just now answered just now: to ask each time would cost a turn for each call.
const IDLE: Duration = Duration::from_secs(1);

/// Connections for what every replica must hear within a second: it does not wait behind calls.
const NEWS_CONNECTIONS: u32 = 2;

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
    /// One that follows it: answers which sessions there are and what the audit log says, both a
    /// moment late. Never whose an identity is: an account that was made just now must be found.
    pub replica: Option<Url>,
    /// Connections at most, to each; two more are for revocations and keys alone.
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

    fn options(&self, url: &Url) -> Result<PgConnectOptions, InvalidUrl> {
        let options = url.options()?.application_name("muster-auth");
        // A pooler refuses settings that it does not know.
        let options = if self.pooler {
            options.extra_float_digits(None)
        } else {
            let limit = self.statement_timeout.as_millis().to_string();
            options.options([
                ("statement_timeout", limit.as_str()),
                // A replica that vanished in the middle of a transaction holds a player's row.
                ("idle_in_transaction_session_timeout", limit.as_str()),
            ])
        };
        Ok(options.disable_statement_logging())
    }

    fn pool(&self, url: &Url, connections: u32) -> Result<PgPool, InvalidUrl> {
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
            .connect_lazy_with(self.options(url)?))
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

/// The store of production.
pub struct Postgres {
    primary: PgPool,
    /// The primary, for what must not wait behind calls.
    news: PgPool,
    replica: Option<PgPool>,
    config: Config,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Postgres")
            .field("connections", &self.primary.size())
            .finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects when it is needed. Must be called inside a runtime.
    pub fn new(config: Config) -> Result<Self, InvalidUrl> {
        let replica = config.replica.as_ref();
        Ok(Self {
            primary: config.pool(&config.primary, config.connections)?,
            news: config.pool(&config.primary, NEWS_CONNECTIONS)?,
            replica: replica
                .map(|url| config.pool(url, config.connections))
                .transpose()?,
            config,
        })
    }

    /// Makes the tables or brings them up to date. Any number of replicas may do so at once, but
    /// not through a pooler: `direct` leads past it.
    pub async fn migrate(&self, direct: Option<&Url>) -> Result<(), Error> {
        let url = direct.unwrap_or(&self.config.primary);
        let unusable = |error: InvalidUrl| Error::Corrupt(error.to_string());
        // Of its own, without the time limit for a statement.
        let options = url.options().map_err(unusable)?;
        let migrate = async {
            let connect = options.disable_statement_logging().connect().await;
            let mut connection = connect.map_err(|error| failure(&error, refuses))?;
            let outcome = MIGRATIONS.run(&mut connection).await;
            outcome.map_err(|error| migration_failure(error, refuses))?;
            connection.close().await.ok();
            Ok(())
        };
        within(MIGRATION_LIMIT, migrate).await
    }

    /// Uses another URL of the same database for new connections: a password was changed.
    pub fn renew(&self, primary: &Url, replica: Option<&Url>) -> Result<(), InvalidUrl> {
        for pool in [&self.primary, &self.news] {
            pool.set_connect_options(self.config.options(primary)?);
        }
        if let (Some(pool), Some(url)) = (&self.replica, replica) {
            pool.set_connect_options(self.config.options(url)?);
        }
        Ok(())
    }

    /// Closes every connection when what is under way on it has ended.
    pub async fn close(&self) {
        self.primary.close().await;
        self.news.close().await;
        if let Some(replica) = &self.replica {
            replica.close().await;
        }
    }

    async fn call<'a, Output, Work>(
        &'a self,
        work: impl Fn(&'a PgPool) -> Work + Send + Sync,
    ) -> Result<Output, Error>
    where
        Work: Future<Output = sqlx::Result<Output>> + Send,
    {
        self.call_on(&self.primary, work).await
    }

    /// Reads what may be a moment old, from the replica where there is one that answers.
    async fn read<'a, Output, Work>(
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

async fn within<Output>(
    limit: Duration,
    work: impl Future<Output = Result<Output, Error>>,
) -> Result<Output, Error> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(Error::Unavailable(format!("no answer within {limit:?}"))))
}

/// A player whose turn it is: nobody else changes the account until the transaction ends.
struct Turn {
    status: String,
    credentials_epoch: i64,
}

impl Turn {
    fn is_active(&self) -> bool {
        self.status == status_name(Status::Active)
    }

    /// Whether what began at this epoch may go on.
    fn admits(&self, credentials_epoch: i64) -> bool {
        self.is_active() && self.credentials_epoch == credentials_epoch
    }
}

/// Waits for the player's turn; none when there is no such player.
async fn turn(connection: &mut PgConnection, player: PlayerId) -> sqlx::Result<Option<Turn>> {
    query_as!(
        Turn,
        "SELECT status, credentials_epoch FROM users WHERE user_id = $1 FOR NO KEY UPDATE",
        player.0
    )
    .fetch_optional(connection)
    .await
}

#[async_trait]
impl Store for Postgres {
    async fn create_player(&self, new: &NewPlayer) -> Result<bool, Error> {
        self.call(|pool| players::create(pool, new)).await
    }

    async fn player_by(&self, identity: &IdentityHash) -> Result<Option<PlayerId>, Error> {
        self.call(|pool| players::by(pool, identity)).await
    }

    async fn player(&self, id: PlayerId) -> Result<Option<Player>, Error> {
        self.call(|pool| players::get(pool, id)).await
    }

    async fn delete_player(
        &self,
        id: PlayerId,
        at: Timestamp,
        line: &Audit,
    ) -> Result<Vec<Revocation>, Error> {
        self.call(|pool| players::delete(pool, id, at, line)).await
    }

    async fn add_identity(
        &self,
        player: PlayerId,
        identity: &Identity,
        at: Timestamp,
        line: &Audit,
    ) -> Result<bool, Error> {
        self.call(|pool| players::add_identity(pool, player, identity, at, line))
            .await
    }

    async fn link_address(
        &self,
        player: PlayerId,
        new: &NewAddress,
        line: &Audit,
    ) -> Result<Linked, Error> {
        self.call(|pool| players::link_address(pool, player, new, line))
            .await
    }

    async fn remove_identity(
        &self,
        player: PlayerId,
        identity: &IdentityHash,
        line: &Audit,
    ) -> Result<Removed, Error> {
        self.call(|pool| players::remove_identity(pool, player, identity, line))
            .await
    }

    async fn identities(&self, player: PlayerId) -> Result<Vec<Identity>, Error> {
        self.call(|pool| players::identities(pool, player)).await
    }

    async fn set_password(
        &self,
        player: PlayerId,
        expected: Option<&str>,
        new: &str,
    ) -> Result<bool, Error> {
        self.call(|pool| players::set_password(pool, player, expected, new))
            .await
    }

    async fn replace_password(
        &self,
        new: &NewPassword,
        line: &Audit,
    ) -> Result<Option<Vec<Revocation>>, Error> {
        self.call(|pool| players::replace_password(pool, new, line))
            .await
    }

    async fn verify_email(
        &self,
        player: PlayerId,
        secret: &[u8; 32],
        now: Timestamp,
        line: &Audit,
    ) -> Result<bool, Error> {
        self.call(|pool| players::verify_email(pool, player, secret, now, line))
            .await
    }

    async fn set_status(
        &self,
        player: PlayerId,
        status: Status,
        at: Timestamp,
        line: &Audit,
    ) -> Result<Vec<Revocation>, Error> {
        self.call(|pool| players::set_status(pool, player, status, at, line))
            .await
    }

    async fn set_data(
        &self,
        player: PlayerId,
        roles: Option<&[String]>,
        data: Option<&serde_json::Value>,
        line: &Audit,
    ) -> Result<Option<RolesAndData>, Error> {
        self.call(|pool| players::set_data(pool, player, roles, data, line))
            .await
    }

    async fn set_totp(
        &self,
        player: PlayerId,
        totp: Option<&Totp>,
        recovery: &[[u8; 32]],
        line: Option<&Audit>,
    ) -> Result<(), Error> {
        self.call(|pool| factors::set_totp(pool, player, totp, recovery, line))
            .await
    }

    async fn spend_totp(
        &self,
        player: PlayerId,
        step: i64,
        line: Option<&Audit>,
    ) -> Result<bool, Error> {
        self.call(|pool| factors::spend_totp(pool, player, step, line))
            .await
    }

    async fn spend_recovery(
        &self,
        player: PlayerId,
        hash: &[u8; 32],
        at: Timestamp,
    ) -> Result<bool, Error> {
        self.call(|pool| factors::spend_recovery(pool, player, hash, at))
            .await
    }

    async fn add_passkey(
        &self,
        player: PlayerId,
        passkey: &Passkey,
        line: &Audit,
    ) -> Result<bool, Error> {
        self.call(|pool| factors::add_passkey(pool, player, passkey, line))
            .await
    }

    async fn touch_passkey(&self, player: PlayerId, passkey: &Passkey) -> Result<bool, Error> {
        self.call(|pool| factors::touch_passkey(pool, player, passkey))
            .await
    }

    async fn passkeys(&self, player: PlayerId) -> Result<Vec<Passkey>, Error> {
        self.call(|pool| factors::passkeys(pool, player)).await
    }

    async fn remove_passkey(
        &self,
        player: PlayerId,
        credential: &[u8],
        line: &Audit,
    ) -> Result<bool, Error> {
        self.call(|pool| factors::remove_passkey(pool, player, credential, line))
            .await
    }

    async fn device(
        &self,
        player: PlayerId,
        device: &IdentityHash,
    ) -> Result<Option<Device>, Error> {
        self.call(|pool| factors::device(pool, player, device))
            .await
    }

    async fn open_session(
        &self,
        session: &Session,
        credentials_epoch: i64,
        device: Option<&Device>,
        line: &Audit,
    ) -> Result<Option<Opened>, Error> {
        self.call(|pool| sessions::open(pool, session, credentials_epoch, device, line))
            .await
    }

    async fn session(
        &self,
        player: PlayerId,
        session: SessionId,
    ) -> Result<Option<(Session, Player)>, Error> {
        self.call(|pool| sessions::get(pool, player, session)).await
    }

    async fn sessions(&self, player: PlayerId, now: Timestamp) -> Result<Vec<Session>, Error> {
        self.read(|pool| sessions::live(pool, player, now)).await
    }

    async fn end_sessions(
        &self,
        player: PlayerId,
        which: Which,
        at: Timestamp,
        line: &Audit,
    ) -> Result<Vec<Revocation>, Error> {
        self.call(|pool| sessions::end(pool, player, which, at, line))
            .await
    }

    async fn assign_server(
        &self,
        player: PlayerId,
        session: SessionId,
        game_server: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        self.call(|pool| sessions::assign_server(pool, player, session, game_server, now))
            .await
    }

    async fn moved(
        &self,
        session: &Session,
        place: Place<'_>,
        line: &Audit,
    ) -> Result<bool, Error> {
        self.call(|pool| sessions::moved(pool, session, place, line))
            .await
    }

    async fn rotate(&self, rotate: &Rotate) -> Result<Rotated, Error> {
        self.call(|pool| sessions::rotate(pool, rotate)).await
    }

    async fn put_one_time(&self, secret: &OneTime) -> Result<(), Error> {
        self.call(|pool| factors::put_one_time(pool, secret)).await
    }

    async fn knows_one_time(
        &self,
        player: PlayerId,
        purpose: Purpose,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, Error> {
        self.call(|pool| factors::knows_one_time(pool, player, purpose, hash, now))
            .await
    }

    async fn revocations_since(
        &self,
        since: Timestamp,
        after: Uuid,
        limit: u32,
    ) -> Result<Vec<Revocation>, Error> {
        self.call_on(&self.news, |pool| {
            sessions::revocations_since(pool, since, after, limit)
        })
        .await
    }

    async fn signing_keys(&self) -> Result<Vec<SigningKey>, Error> {
        self.call_on(&self.news, keys::all).await
    }

    async fn add_signing_key(&self, key: &SigningKey, expected: &[String]) -> Result<bool, Error> {
        self.call(|pool| keys::add(pool, key, expected)).await
    }

    async fn revoke_signing_key(&self, id: &str, at: Timestamp) -> Result<bool, Error> {
        self.call(|pool| keys::revoke(pool, id, at)).await
    }

    async fn pin_keys(&self, pinned: &[PinnedKey]) -> Result<Vec<PinnedKey>, Error> {
        self.call(|pool| keys::pin(pool, pinned)).await
    }

    async fn audit(&self, lines: &[Audit]) -> Result<(), Error> {
        self.call(|pool| audit::append(pool, lines)).await
    }

    async fn audit_of(
        &self,
        player: PlayerId,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Vec<Audit>, Error> {
        self.read(|pool| audit::of(pool, player, before, limit))
            .await
    }

    async fn sealed_before(&self, version: u32, limit: u32) -> Result<Vec<SealedValue>, Error> {
        self.call(|pool| sealed::before(pool, version, limit)).await
    }

    async fn reseal(&self, value: &SealedValue, new: &[u8]) -> Result<bool, Error> {
        self.call(|pool| sealed::replace(pool, value, new)).await
    }

    async fn purge(
        &self,
        before: Timestamp,
        audit_before: Timestamp,
        limit: u32,
    ) -> Result<Purged, Error> {
        self.call(|pool| audit::purge(pool, before, audit_before, limit))
            .await
    }

    async fn abandoned(&self, before: Timestamp, limit: u32) -> Result<Vec<PlayerId>, Error> {
        self.call(|pool| players::abandoned(pool, before, limit))
            .await
    }

    async fn delete_abandoned(
        &self,
        id: PlayerId,
        before: Timestamp,
        line: &Audit,
    ) -> Result<bool, Error> {
        self.call(|pool| players::delete_abandoned(pool, id, before, line))
            .await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.call(|pool| async move {
            query!("SELECT 1 AS one").fetch_one(pool).await?;
            Ok(())
        })
        .await
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
        let options = config.options(&url).unwrap();
        let settings = options.get_options().unwrap_or_default();
        assert!(settings.contains("statement_timeout=3000"), "{settings}");
        config.pooler = true;
        assert_eq!(config.options(&url).unwrap().get_options(), None);
    }
}
