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

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::{query, query_as};
use storage::postgres::{Config, Database, InvalidUrl, Url};
use uuid::Uuid;

use super::rows::status_name;
use super::{
    Audit, Device, Error, Identity, Linked, NewAddress, NewPassword, NewPlayer, OneTime, Opened,
    Passkey, PinnedKey, Place, Player, Purged, Purpose, Removed, RolesAndData, Rotate, Rotated,
    SealedValue, Session, SigningKey, Status, Store, Totp, Which,
};
use crate::ids::{IdentityHash, PlayerId, SessionId};
use crate::live::Revocation;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// The store of production. Its replica answers which sessions there are and what the audit log
/// says, both a moment late; never whose an identity is: an account that was made just now must be
/// found.
#[derive(Debug)]
pub struct Postgres {
    database: Database,
}

impl Postgres {
    /// Connects when it is needed. Must be called inside a runtime.
    pub fn new(config: Config) -> Result<Self, InvalidUrl> {
        let database = Database::new("muster-auth", config)?;
        Ok(Self { database })
    }

    /// Makes the tables or brings them up to date. Any number of replicas may do so at once, but
    /// not through a pooler: `direct` leads past it.
    pub async fn migrate(&self, direct: Option<&Url>) -> Result<(), Error> {
        self.database.migrate(&MIGRATIONS, direct).await
    }

    /// The database, for its addresses and its end.
    pub const fn database(&self) -> &Database {
        &self.database
    }
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
        self.database.call(|pool| players::create(pool, new)).await
    }

    async fn player_by(&self, identity: &IdentityHash) -> Result<Option<PlayerId>, Error> {
        self.database.call(|pool| players::by(pool, identity)).await
    }

    async fn player(&self, id: PlayerId) -> Result<Option<Player>, Error> {
        self.database.call(|pool| players::get(pool, id)).await
    }

    async fn delete_player(
        &self,
        id: PlayerId,
        at: Timestamp,
        line: &Audit,
    ) -> Result<Vec<Revocation>, Error> {
        self.database
            .call(|pool| players::delete(pool, id, at, line))
            .await
    }

    async fn add_identity(
        &self,
        player: PlayerId,
        identity: &Identity,
        at: Timestamp,
        line: &Audit,
    ) -> Result<bool, Error> {
        self.database
            .call(|pool| players::add_identity(pool, player, identity, at, line))
            .await
    }

    async fn link_address(
        &self,
        player: PlayerId,
        new: &NewAddress,
        line: &Audit,
    ) -> Result<Linked, Error> {
        self.database
            .call(|pool| players::link_address(pool, player, new, line))
            .await
    }

    async fn remove_identity(
        &self,
        player: PlayerId,
        identity: &IdentityHash,
        line: &Audit,
    ) -> Result<Removed, Error> {
        self.database
            .call(|pool| players::remove_identity(pool, player, identity, line))
            .await
    }

    async fn identities(&self, player: PlayerId) -> Result<Vec<Identity>, Error> {
        self.database
            .call(|pool| players::identities(pool, player))
            .await
    }

    async fn set_password(
        &self,
        player: PlayerId,
        expected: Option<&str>,
        new: &str,
    ) -> Result<bool, Error> {
        self.database
            .call(|pool| players::set_password(pool, player, expected, new))
            .await
    }

    async fn replace_password(
        &self,
        new: &NewPassword,
        line: &Audit,
    ) -> Result<Option<Vec<Revocation>>, Error> {
        self.database
            .call(|pool| players::replace_password(pool, new, line))
            .await
    }

    async fn verify_email(
        &self,
        player: PlayerId,
        secret: &[u8; 32],
        now: Timestamp,
        line: &Audit,
    ) -> Result<bool, Error> {
        self.database
            .call(|pool| players::verify_email(pool, player, secret, now, line))
            .await
    }

    async fn set_status(
        &self,
        player: PlayerId,
        status: Status,
        at: Timestamp,
        line: &Audit,
    ) -> Result<Vec<Revocation>, Error> {
        self.database
            .call(|pool| players::set_status(pool, player, status, at, line))
            .await
    }

    async fn set_data(
        &self,
        player: PlayerId,
        roles: Option<&[String]>,
        data: Option<&serde_json::Value>,
        line: &Audit,
    ) -> Result<Option<RolesAndData>, Error> {
        self.database
            .call(|pool| players::set_data(pool, player, roles, data, line))
            .await
    }

    async fn set_totp(
        &self,
        player: PlayerId,
        totp: Option<&Totp>,
        recovery: &[[u8; 32]],
        line: Option<&Audit>,
    ) -> Result<(), Error> {
        self.database
            .call(|pool| factors::set_totp(pool, player, totp, recovery, line))
            .await
    }

    async fn spend_totp(
        &self,
        player: PlayerId,
        step: i64,
        line: Option<&Audit>,
    ) -> Result<bool, Error> {
        self.database
            .call(|pool| factors::spend_totp(pool, player, step, line))
            .await
    }

    async fn spend_recovery(
        &self,
        player: PlayerId,
        hash: &[u8; 32],
        at: Timestamp,
    ) -> Result<bool, Error> {
        self.database
            .call(|pool| factors::spend_recovery(pool, player, hash, at))
            .await
    }

    async fn add_passkey(
        &self,
        player: PlayerId,
        passkey: &Passkey,
        line: &Audit,
    ) -> Result<bool, Error> {
        self.database
            .call(|pool| factors::add_passkey(pool, player, passkey, line))
            .await
    }

    async fn touch_passkey(&self, player: PlayerId, passkey: &Passkey) -> Result<bool, Error> {
        self.database
            .call(|pool| factors::touch_passkey(pool, player, passkey))
            .await
    }

    async fn passkeys(&self, player: PlayerId) -> Result<Vec<Passkey>, Error> {
        self.database
            .call(|pool| factors::passkeys(pool, player))
            .await
    }

    async fn remove_passkey(
        &self,
        player: PlayerId,
        credential: &[u8],
        line: &Audit,
    ) -> Result<bool, Error> {
        self.database
            .call(|pool| factors::remove_passkey(pool, player, credential, line))
            .await
    }

    async fn device(
        &self,
        player: PlayerId,
        device: &IdentityHash,
    ) -> Result<Option<Device>, Error> {
        self.database
            .call(|pool| factors::device(pool, player, device))
            .await
    }

    async fn open_session(
        &self,
        session: &Session,
        credentials_epoch: i64,
        device: Option<&Device>,
        line: &Audit,
    ) -> Result<Option<Opened>, Error> {
        self.database
            .call(|pool| sessions::open(pool, session, credentials_epoch, device, line))
            .await
    }

    async fn session(
        &self,
        player: PlayerId,
        session: SessionId,
    ) -> Result<Option<(Session, Player)>, Error> {
        self.database
            .call(|pool| sessions::get(pool, player, session))
            .await
    }

    async fn sessions(&self, player: PlayerId, now: Timestamp) -> Result<Vec<Session>, Error> {
        self.database
            .read(|pool| sessions::live(pool, player, now))
            .await
    }

    async fn end_sessions(
        &self,
        player: PlayerId,
        which: Which,
        at: Timestamp,
        line: &Audit,
    ) -> Result<Vec<Revocation>, Error> {
        self.database
            .call(|pool| sessions::end(pool, player, which, at, line))
            .await
    }

    async fn assign_server(
        &self,
        player: PlayerId,
        session: SessionId,
        game_server: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        self.database
            .call(|pool| sessions::assign_server(pool, player, session, game_server, now))
            .await
    }

    async fn moved(
        &self,
        session: &Session,
        place: Place<'_>,
        line: &Audit,
    ) -> Result<bool, Error> {
        self.database
            .call(|pool| sessions::moved(pool, session, place, line))
            .await
    }

    async fn rotate(&self, rotate: &Rotate) -> Result<Rotated, Error> {
        self.database
            .call(|pool| sessions::rotate(pool, rotate))
            .await
    }

    async fn put_one_time(&self, secret: &OneTime) -> Result<(), Error> {
        self.database
            .call(|pool| factors::put_one_time(pool, secret))
            .await
    }

    async fn knows_one_time(
        &self,
        player: PlayerId,
        purpose: Purpose,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, Error> {
        self.database
            .call(|pool| factors::knows_one_time(pool, player, purpose, hash, now))
            .await
    }

    async fn revocations_since(
        &self,
        since: Timestamp,
        after: Uuid,
        limit: u32,
    ) -> Result<Vec<Revocation>, Error> {
        self.database
            .call_urgently(|pool| sessions::revocations_since(pool, since, after, limit))
            .await
    }

    async fn signing_keys(&self) -> Result<Vec<SigningKey>, Error> {
        self.database.call_urgently(keys::all).await
    }

    async fn add_signing_key(&self, key: &SigningKey, expected: &[String]) -> Result<bool, Error> {
        self.database
            .call(|pool| keys::add(pool, key, expected))
            .await
    }

    async fn revoke_signing_key(&self, id: &str, at: Timestamp) -> Result<bool, Error> {
        self.database.call(|pool| keys::revoke(pool, id, at)).await
    }

    async fn pin_keys(&self, pinned: &[PinnedKey]) -> Result<Vec<PinnedKey>, Error> {
        self.database.call(|pool| keys::pin(pool, pinned)).await
    }

    async fn audit(&self, lines: &[Audit]) -> Result<(), Error> {
        self.database.call(|pool| audit::append(pool, lines)).await
    }

    async fn audit_of(
        &self,
        player: PlayerId,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Vec<Audit>, Error> {
        self.database
            .read(|pool| audit::of(pool, player, before, limit))
            .await
    }

    async fn sealed_before(&self, version: u32, limit: u32) -> Result<Vec<SealedValue>, Error> {
        self.database
            .call(|pool| sealed::before(pool, version, limit))
            .await
    }

    async fn reseal(&self, value: &SealedValue, new: &[u8]) -> Result<bool, Error> {
        self.database
            .call(|pool| sealed::replace(pool, value, new))
            .await
    }

    async fn purge(
        &self,
        before: Timestamp,
        audit_before: Timestamp,
        limit: u32,
    ) -> Result<Purged, Error> {
        self.database
            .call(|pool| audit::purge(pool, before, audit_before, limit))
            .await
    }

    async fn abandoned(&self, before: Timestamp, limit: u32) -> Result<Vec<PlayerId>, Error> {
        self.database
            .call(|pool| players::abandoned(pool, before, limit))
            .await
    }

    async fn delete_abandoned(
        &self,
        id: PlayerId,
        before: Timestamp,
        line: &Audit,
    ) -> Result<bool, Error> {
        self.database
            .call(|pool| players::delete_abandoned(pool, id, before, line))
            .await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.database
            .call(|pool| async move {
                query!("SELECT 1 AS one").fetch_one(pool).await?;
                Ok(())
            })
            .await
    }
}
