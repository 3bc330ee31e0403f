//! SQLite: the embedded mode, without a server of databases.
//!
//! One connection, so that calls come one after another and every transaction is alone; a file or
//! memory. Each commit is on the disk before it is acknowledged.

mod factors;
mod players;
mod sealed;
mod sessions;
mod system;

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::SqlitePool;
use sqlx::migrate::Migrator;
use storage::sqlite::{self, answer};
use uuid::Uuid;

use super::{
    Audit, Device, Error, Identity, Linked, NewAddress, NewPassword, NewPlayer, OneTime, Opened,
    Passkey, PinnedKey, Place, Player, Purged, Purpose, Removed, RolesAndData, Rotate, Rotated,
    SealedValue, Session, SigningKey, Status, Store, Totp, Which,
};
use crate::ids::{IdentityHash, PlayerId, SessionId};
use crate::live::Revocation;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The store of the embedded mode.
#[derive(Debug)]
pub struct Sqlite {
    pool: SqlitePool,
}

impl Sqlite {
    /// Opens a file, or makes it; its folder must exist.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let pool = sqlite::open(path, &MIGRATIONS).await?;
        Ok(Self { pool })
    }

    /// One that is gone when it is dropped.
    pub async fn in_memory() -> Result<Self, Error> {
        let pool = sqlite::in_memory(&MIGRATIONS).await?;
        Ok(Self { pool })
    }

    /// Closes the file when what is under way has ended.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn create_player(&self, new: &NewPlayer) -> Result<bool, Error> {
        answer(players::create(&self.pool, new)).await
    }

    async fn player_by(&self, identity: &IdentityHash) -> Result<Option<PlayerId>, Error> {
        answer(players::by(&self.pool, identity)).await
    }

    async fn player(&self, id: PlayerId) -> Result<Option<Player>, Error> {
        answer(players::get(&self.pool, id)).await
    }

    async fn delete_player(
        &self,
        id: PlayerId,
        at: Timestamp,
        line: &Audit,
    ) -> Result<Vec<Revocation>, Error> {
        answer(players::delete(&self.pool, id, at, line)).await
    }

    async fn add_identity(
        &self,
        player: PlayerId,
        identity: &Identity,
        at: Timestamp,
        line: &Audit,
    ) -> Result<bool, Error> {
        answer(players::add_identity(
            &self.pool, player, identity, at, line,
        ))
        .await
    }

    async fn link_address(
        &self,
        player: PlayerId,
        new: &NewAddress,
        line: &Audit,
    ) -> Result<Linked, Error> {
        answer(players::link_address(&self.pool, player, new, line)).await
    }

    async fn remove_identity(
        &self,
        player: PlayerId,
        identity: &IdentityHash,
        line: &Audit,
    ) -> Result<Removed, Error> {
        answer(players::remove_identity(&self.pool, player, identity, line)).await
    }

    async fn identities(&self, player: PlayerId) -> Result<Vec<Identity>, Error> {
        answer(players::identities(&self.pool, player)).await
    }

    async fn set_password(
        &self,
        player: PlayerId,
        expected: Option<&str>,
        new: &str,
    ) -> Result<bool, Error> {
        answer(players::set_password(&self.pool, player, expected, new)).await
    }

    async fn replace_password(
        &self,
        new: &NewPassword,
        line: &Audit,
    ) -> Result<Option<Vec<Revocation>>, Error> {
        answer(players::replace_password(&self.pool, new, line)).await
    }

    async fn verify_email(
        &self,
        player: PlayerId,
        secret: &[u8; 32],
        now: Timestamp,
        line: &Audit,
    ) -> Result<bool, Error> {
        answer(players::verify_email(&self.pool, player, secret, now, line)).await
    }

    async fn set_status(
        &self,
        player: PlayerId,
        status: Status,
        at: Timestamp,
        line: &Audit,
    ) -> Result<Vec<Revocation>, Error> {
        answer(players::set_status(&self.pool, player, status, at, line)).await
    }

    async fn set_data(
        &self,
        player: PlayerId,
        roles: Option<&[String]>,
        data: Option<&serde_json::Value>,
        line: &Audit,
    ) -> Result<Option<RolesAndData>, Error> {
        answer(players::set_data(&self.pool, player, roles, data, line)).await
    }

    async fn set_totp(
        &self,
        player: PlayerId,
        totp: Option<&Totp>,
        recovery: &[[u8; 32]],
        line: Option<&Audit>,
    ) -> Result<(), Error> {
        answer(factors::set_totp(&self.pool, player, totp, recovery, line)).await
    }

    async fn spend_totp(
        &self,
        player: PlayerId,
        step: i64,
        line: Option<&Audit>,
    ) -> Result<bool, Error> {
        answer(factors::spend_totp(&self.pool, player, step, line)).await
    }

    async fn spend_recovery(
        &self,
        player: PlayerId,
        hash: &[u8; 32],
        at: Timestamp,
    ) -> Result<bool, Error> {
        answer(factors::spend_recovery(&self.pool, player, hash, at)).await
    }

    async fn add_passkey(
        &self,
        player: PlayerId,
        passkey: &Passkey,
        line: &Audit,
    ) -> Result<bool, Error> {
        answer(factors::add_passkey(&self.pool, player, passkey, line)).await
    }

    async fn touch_passkey(&self, player: PlayerId, passkey: &Passkey) -> Result<bool, Error> {
        answer(factors::touch_passkey(&self.pool, player, passkey)).await
    }

    async fn passkeys(&self, player: PlayerId) -> Result<Vec<Passkey>, Error> {
        answer(factors::passkeys(&self.pool, player)).await
    }

    async fn remove_passkey(
        &self,
        player: PlayerId,
        credential: &[u8],
        line: &Audit,
    ) -> Result<bool, Error> {
        answer(factors::remove_passkey(
            &self.pool, player, credential, line,
        ))
        .await
    }

    async fn device(
        &self,
        player: PlayerId,
        device: &IdentityHash,
    ) -> Result<Option<Device>, Error> {
        answer(factors::device(&self.pool, player, device)).await
    }

    async fn open_session(
        &self,
        session: &Session,
        credentials_epoch: i64,
        device: Option<&Device>,
        line: &Audit,
    ) -> Result<Option<Opened>, Error> {
        let opened = sessions::open(&self.pool, session, credentials_epoch, device, line);
        answer(opened).await
    }

    async fn session(
        &self,
        player: PlayerId,
        session: SessionId,
    ) -> Result<Option<(Session, Player)>, Error> {
        answer(sessions::get(&self.pool, player, session)).await
    }

    async fn sessions(&self, player: PlayerId, now: Timestamp) -> Result<Vec<Session>, Error> {
        answer(sessions::live(&self.pool, player, now)).await
    }

    async fn end_sessions(
        &self,
        player: PlayerId,
        which: Which,
        at: Timestamp,
        line: &Audit,
    ) -> Result<Vec<Revocation>, Error> {
        answer(sessions::end(&self.pool, player, which, at, line)).await
    }

    async fn assign_server(
        &self,
        player: PlayerId,
        session: SessionId,
        game_server: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        answer(sessions::assign_server(
            &self.pool,
            player,
            session,
            game_server,
            now,
        ))
        .await
    }

    async fn moved(
        &self,
        session: &Session,
        place: Place<'_>,
        line: &Audit,
    ) -> Result<bool, Error> {
        answer(sessions::moved(&self.pool, session, place, line)).await
    }

    async fn rotate(&self, rotate: &Rotate) -> Result<Rotated, Error> {
        answer(sessions::rotate(&self.pool, rotate)).await
    }

    async fn put_one_time(&self, secret: &OneTime) -> Result<(), Error> {
        answer(factors::put_one_time(&self.pool, secret)).await
    }

    async fn knows_one_time(
        &self,
        player: PlayerId,
        purpose: Purpose,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, Error> {
        answer(factors::knows_one_time(
            &self.pool, player, purpose, hash, now,
        ))
        .await
    }

    async fn revocations_since(
        &self,
        since: Timestamp,
        after: Uuid,
        limit: u32,
    ) -> Result<Vec<Revocation>, Error> {
        answer(sessions::revocations_since(&self.pool, since, after, limit)).await
    }

    async fn signing_keys(&self) -> Result<Vec<SigningKey>, Error> {
        answer(system::keys(&self.pool)).await
    }

    async fn add_signing_key(&self, key: &SigningKey, expected: &[String]) -> Result<bool, Error> {
        answer(system::add_key(&self.pool, key, expected)).await
    }

    async fn revoke_signing_key(&self, id: &str, at: Timestamp) -> Result<bool, Error> {
        answer(system::revoke_key(&self.pool, id, at)).await
    }

    async fn pin_keys(&self, pinned: &[PinnedKey]) -> Result<Vec<PinnedKey>, Error> {
        answer(system::pin_keys(&self.pool, pinned)).await
    }

    async fn audit(&self, lines: &[Audit]) -> Result<(), Error> {
        answer(system::append(&self.pool, lines)).await
    }

    async fn audit_of(
        &self,
        player: PlayerId,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Vec<Audit>, Error> {
        answer(system::audit_of(&self.pool, player, before, limit)).await
    }

    async fn sealed_before(&self, version: u32, limit: u32) -> Result<Vec<SealedValue>, Error> {
        answer(sealed::before(&self.pool, version, limit)).await
    }

    async fn reseal(&self, value: &SealedValue, new: &[u8]) -> Result<bool, Error> {
        answer(sealed::replace(&self.pool, value, new)).await
    }

    async fn purge(
        &self,
        before: Timestamp,
        audit_before: Timestamp,
        limit: u32,
    ) -> Result<Purged, Error> {
        answer(system::purge(&self.pool, before, audit_before, limit)).await
    }

    async fn abandoned(&self, before: Timestamp, limit: u32) -> Result<Vec<PlayerId>, Error> {
        answer(players::abandoned(&self.pool, before, limit)).await
    }

    async fn delete_abandoned(
        &self,
        id: PlayerId,
        before: Timestamp,
        line: &Audit,
    ) -> Result<bool, Error> {
        answer(players::delete_abandoned(&self.pool, id, before, line)).await
    }

    async fn ping(&self) -> Result<(), Error> {
        answer(async {
            sqlx::query("SELECT 1").fetch_one(&self.pool).await?;
            Ok(())
        })
        .await
    }
}
