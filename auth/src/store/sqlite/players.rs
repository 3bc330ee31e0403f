//! Accounts and what they sign in with.

use std::slice;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::types::Json;
use sqlx::{Connection as _, query, query_as, query_scalar};
use storage::sqlite::BEGIN;
use uuid::Uuid;

use super::{factors, sessions, system};
use crate::ids::{IdentityHash, IdentityKind, PlayerId};
use crate::live::Revocation;
use crate::store::rows::{self, IdentityRow, PlayerRow, micros, status_name};
use crate::store::{
    Audit, Identity, Linked, NewAddress, NewPassword, NewPlayer, Player, Purpose, Removed, Right,
    RolesAndData, Status,
};

pub(super) async fn create(pool: &SqlitePool, new: &NewPlayer) -> sqlx::Result<bool> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    // As in PostgreSQL: the same is written in both cases, and a line is committed.
    let mut making = transaction.begin().await?;
    query(
        "INSERT INTO users \
            (user_id, status, email, email_verified, password_hash, guest, created_at) \
        VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.id.0)
    .bind(status_name(Status::Active))
    .bind(&new.email)
    .bind(new.email_verified)
    .bind(&new.password)
    .bind(new.guest)
    .bind(micros(new.at))
    .execute(&mut *making)
    .await?;
    let made = claim(&mut making, new.id, &new.identity, new.at).await?;
    if made {
        making.commit().await?;
    } else {
        making.rollback().await?;
    }
    system::write(&mut transaction, slice::from_ref(new.lines.of(made))).await?;
    transaction.commit().await?;
    Ok(made)
}

/// Takes an identity; false when it is taken.
async fn claim(
    connection: &mut SqliteConnection,
    player: PlayerId,
    identity: &Identity,
    at: Timestamp,
) -> sqlx::Result<bool> {
    let done = query(
        "INSERT INTO identities (identity_hash, user_id, kind, label, created_at) \
        VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(identity.hash.0.as_slice())
    .bind(player.0)
    .bind(identity.kind.name())
    .bind(&identity.label)
    .bind(micros(at))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn by(
    pool: &SqlitePool,
    identity: &IdentityHash,
) -> sqlx::Result<Option<PlayerId>> {
    let player: Option<Uuid> =
        query_scalar("SELECT user_id FROM identities WHERE identity_hash = ?")
            .bind(identity.0.as_slice())
            .fetch_optional(pool)
            .await?;
    Ok(player.map(PlayerId))
}

pub(super) async fn get(pool: &SqlitePool, id: PlayerId) -> sqlx::Result<Option<Player>> {
    let mut connection = pool.acquire().await?;
    find(&mut connection, id).await
}

/// An account.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    id: PlayerId,
) -> sqlx::Result<Option<Player>> {
    query_as("SELECT * FROM users WHERE user_id = ?")
        .bind(id.0)
        .fetch_optional(connection)
        .await?
        .map(|row: PlayerRow| row.try_into())
        .transpose()
}

/// An account that may be used.
pub(super) async fn active(
    connection: &mut SqliteConnection,
    id: PlayerId,
) -> sqlx::Result<Option<Player>> {
    let player = find(connection, id).await?;
    Ok(player.filter(|player| player.status == Status::Active))
}

/// Whether there is such an account.
pub(super) async fn exists(
    connection: &mut SqliteConnection,
    player: PlayerId,
) -> sqlx::Result<bool> {
    query_scalar("SELECT EXISTS (SELECT 1 FROM users WHERE user_id = ?)")
        .bind(player.0)
        .fetch_one(connection)
        .await
}

pub(super) async fn delete(
    pool: &SqlitePool,
    id: PlayerId,
    at: Timestamp,
    line: &Audit,
) -> sqlx::Result<Vec<Revocation>> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    if !exists(&mut transaction, id).await? {
        return Ok(Vec::new());
    }
    let revocations = sessions::end_all(&mut transaction, id, at).await?;
    remove(&mut transaction, id, line).await?;
    transaction.commit().await?;
    Ok(revocations)
}

/// Removes everything of an account.
async fn remove(connection: &mut SqliteConnection, id: PlayerId, line: &Audit) -> sqlx::Result<()> {
    query("DELETE FROM users WHERE user_id = ?")
        .bind(id.0)
        .execute(&mut *connection)
        .await?;
    system::write(connection, slice::from_ref(line)).await
}

pub(super) async fn abandoned(
    pool: &SqlitePool,
    before: Timestamp,
    limit: u32,
) -> sqlx::Result<Vec<PlayerId>> {
    let players: Vec<Uuid> = query_scalar(
        "SELECT user_id FROM users \
        WHERE created_at < ? AND NOT returned \
            AND (guest OR (password_hash IS NOT NULL AND NOT email_verified)) \
            AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.user_id = users.user_id) \
        ORDER BY created_at LIMIT ?",
    )
    .bind(micros(before))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(players.into_iter().map(PlayerId).collect())
}

pub(super) async fn delete_abandoned(
    pool: &SqlitePool,
    id: PlayerId,
    before: Timestamp,
    line: &Audit,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let is_abandoned: bool = query_scalar(
        "SELECT EXISTS (SELECT 1 FROM users \
        WHERE user_id = ? AND created_at < ? AND NOT returned \
            AND (guest OR (password_hash IS NOT NULL AND NOT email_verified)) \
            AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.user_id = users.user_id))",
    )
    .bind(id.0)
    .bind(micros(before))
    .fetch_one(&mut *transaction)
    .await?;
    if !is_abandoned {
        return Ok(false);
    }
    remove(&mut transaction, id, line).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn add_identity(
    pool: &SqlitePool,
    player: PlayerId,
    identity: &Identity,
    at: Timestamp,
    line: &Audit,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    if !exists(&mut transaction, player).await?
        || !claim(&mut transaction, player, identity, at).await?
    {
        return Ok(false);
    }
    query("UPDATE users SET guest = false WHERE user_id = ?")
        .bind(player.0)
        .execute(&mut *transaction)
        .await?;
    system::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn link_address(
    pool: &SqlitePool,
    player: PlayerId,
    new: &NewAddress,
    line: &Audit,
) -> sqlx::Result<Linked> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let purpose = Purpose::LinkEmail;
    if !factors::spend_one_time(&mut transaction, player, purpose, &new.secret, new.at).await? {
        return Ok(Linked::Void);
    }
    let has_one: bool =
        query_scalar("SELECT EXISTS (SELECT 1 FROM identities WHERE user_id = ? AND kind = ?)")
            .bind(player.0)
            .bind(IdentityKind::Email.name())
            .fetch_one(&mut *transaction)
            .await?;
    if has_one || !claim(&mut transaction, player, &new.identity, new.at).await? {
        return Ok(Linked::Taken);
    }
    query(
        "UPDATE users SET email = ?2, email_verified = true, password_hash = ?3, guest = false \
        WHERE user_id = ?1",
    )
    .bind(player.0)
    .bind(&new.email)
    .bind(&new.password)
    .execute(&mut *transaction)
    .await?;
    system::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(Linked::Done)
}

pub(super) async fn remove_identity(
    pool: &SqlitePool,
    player: PlayerId,
    identity: &IdentityHash,
    line: &Audit,
) -> sqlx::Result<Removed> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let kind: Option<String> = query_scalar(
        "DELETE FROM identities WHERE identity_hash = ? AND user_id = ? RETURNING kind",
    )
    .bind(identity.0.as_slice())
    .bind(player.0)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(kind) = kind else {
        return Ok(Removed::Missing);
    };
    let has_another: bool =
        query_scalar("SELECT EXISTS (SELECT 1 FROM identities WHERE user_id = ?)")
            .bind(player.0)
            .fetch_one(&mut *transaction)
            .await?;
    if !has_another {
        return Ok(Removed::Last);
    }
    if kind == IdentityKind::Email.name() {
        query(
            "UPDATE users SET email = NULL, email_verified = false, password_hash = NULL \
            WHERE user_id = ?",
        )
        .bind(player.0)
        .execute(&mut *transaction)
        .await?;
    }
    // Whoever is about to sign in by it comes too late.
    query("UPDATE users SET credentials_epoch = credentials_epoch + 1 WHERE user_id = ?")
        .bind(player.0)
        .execute(&mut *transaction)
        .await?;
    system::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(Removed::Done)
}

pub(super) async fn identities(pool: &SqlitePool, player: PlayerId) -> sqlx::Result<Vec<Identity>> {
    let rows: Vec<IdentityRow> = query_as(
        "SELECT identity_hash, kind, label FROM identities WHERE user_id = ? \
        ORDER BY created_at, identity_hash",
    )
    .bind(player.0)
    .fetch_all(pool)
    .await?;
    rows::all(rows)
}

pub(super) async fn set_password(
    pool: &SqlitePool,
    player: PlayerId,
    expected: Option<&str>,
    new: &str,
) -> sqlx::Result<bool> {
    let done = query("UPDATE users SET password_hash = ? WHERE user_id = ? AND password_hash IS ?")
        .bind(new)
        .bind(player.0)
        .bind(expected)
        .execute(pool)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn replace_password(
    pool: &SqlitePool,
    new: &NewPassword,
    line: &Audit,
) -> sqlx::Result<Option<Vec<Revocation>>> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let Some(player) = active(&mut transaction, new.player).await? else {
        return Ok(None);
    };
    let is_allowed = match &new.right {
        Right::Former {
            credentials_epoch, ..
        } => player.credentials_epoch == *credentials_epoch,
        Right::Mailed(secret) => {
            let purpose = Purpose::ResetPassword;
            factors::spend_one_time(&mut transaction, new.player, purpose, secret, new.at).await?
        }
    };
    if !is_allowed {
        return Ok(None);
    }
    query(
        "UPDATE users SET password_hash = ?2, credentials_epoch = credentials_epoch + 1, \
            email_verified = email_verified OR ?3 \
        WHERE user_id = ?1",
    )
    .bind(new.player.0)
    .bind(&new.hash)
    .bind(matches!(new.right, Right::Mailed(_)))
    .execute(&mut *transaction)
    .await?;
    let revocations =
        sessions::end_in(&mut transaction, new.player, new.right.ends(), new.at).await?;
    system::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(Some(revocations))
}

pub(super) async fn verify_email(
    pool: &SqlitePool,
    player: PlayerId,
    secret: &[u8; 32],
    now: Timestamp,
    line: &Audit,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let purpose = Purpose::VerifyEmail;
    if active(&mut transaction, player).await?.is_none()
        || !factors::spend_one_time(&mut transaction, player, purpose, secret, now).await?
    {
        return Ok(false);
    }
    query("UPDATE users SET email_verified = true WHERE user_id = ?")
        .bind(player.0)
        .execute(&mut *transaction)
        .await?;
    system::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn set_status(
    pool: &SqlitePool,
    player: PlayerId,
    status: Status,
    at: Timestamp,
    line: &Audit,
) -> sqlx::Result<Vec<Revocation>> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let done = query("UPDATE users SET status = ? WHERE user_id = ?")
        .bind(status_name(status))
        .bind(player.0)
        .execute(&mut *transaction)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(Vec::new());
    }
    let revocations = if status == Status::Disabled {
        sessions::end_all(&mut transaction, player, at).await?
    } else {
        Vec::new()
    };
    system::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(revocations)
}

pub(super) async fn set_data(
    pool: &SqlitePool,
    player: PlayerId,
    roles: Option<&[String]>,
    data: Option<&serde_json::Value>,
    line: &Audit,
) -> sqlx::Result<Option<RolesAndData>> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let row: Option<(Json<Vec<String>>, Json<serde_json::Value>)> = query_as(
        "UPDATE users SET roles = coalesce(?, roles), data = coalesce(?, data) \
        WHERE user_id = ? RETURNING roles, data",
    )
    .bind(roles.map(Json))
    .bind(data.map(Json))
    .bind(player.0)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some((Json(roles), Json(data))) = row else {
        return Ok(None);
    };
    system::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(Some((roles, data)))
}
