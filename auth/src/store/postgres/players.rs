//! Accounts and what they sign in with.

use std::slice;

use jiff::Timestamp;
use sqlx::postgres::PgPool;
use sqlx::{Connection as _, query, query_as, query_scalar};

use super::{audit, factors, sessions, turn};
use crate::ids::{IdentityHash, IdentityKind, PlayerId};
use crate::live::Revocation;
use crate::store::rows::{self, IdentityRow, PlayerRow, micros, status_name};
use crate::store::{
    Audit, Identity, Linked, NewAddress, NewPassword, NewPlayer, Player, Purpose, Removed, Right,
    RolesAndData, Status,
};

pub(super) async fn create(pool: &PgPool, new: &NewPlayer) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    // Nobody may see by the time it takes whether an identity is taken: the same is written in both
    // cases, of which this savepoint keeps nothing when it is, and a line is committed.
    let mut making = transaction.begin().await?;
    // First: whoever comes second waits here for whoever came first.
    let made = claim(&mut making, &new.identity.hash, new.id).await?;
    query!(
        "INSERT INTO users \
            (user_id, status, email, email_verified, password_hash, guest, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)",
        new.id.0,
        status_name(Status::Active),
        new.email,
        new.email_verified,
        new.password,
        new.guest,
        micros(new.at),
    )
    .execute(&mut *making)
    .await?;
    note(&mut making, new.id, &new.identity, new.at).await?;
    if made {
        making.commit().await?;
    } else {
        making.rollback().await?;
    }
    audit::write(&mut transaction, slice::from_ref(new.lines.of(made))).await?;
    transaction.commit().await?;
    Ok(made)
}

/// Takes an identity; false when it is taken.
async fn claim(
    connection: &mut sqlx::PgConnection,
    identity: &IdentityHash,
    player: PlayerId,
) -> sqlx::Result<bool> {
    let done = query!(
        "INSERT INTO identities (identity_hash, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        identity.0.as_slice(),
        player.0,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes an identity for its owner to see.
async fn note(
    connection: &mut sqlx::PgConnection,
    player: PlayerId,
    identity: &Identity,
    at: Timestamp,
) -> sqlx::Result<()> {
    query!(
        "INSERT INTO user_identities (user_id, identity_hash, kind, label, created_at) \
        VALUES ($1, $2, $3, $4, $5)",
        player.0,
        identity.hash.0.as_slice(),
        identity.kind.name(),
        identity.label,
        micros(at),
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn by(pool: &PgPool, identity: &IdentityHash) -> sqlx::Result<Option<PlayerId>> {
    let player = query_scalar!(
        "SELECT user_id FROM identities WHERE identity_hash = $1",
        identity.0.as_slice(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(player.map(PlayerId))
}

pub(super) async fn get(pool: &PgPool, id: PlayerId) -> sqlx::Result<Option<Player>> {
    query_as!(
        PlayerRow,
        "SELECT user_id, status, email, email_verified, password_hash, credentials_epoch, \
            totp_secret, totp_confirmed, totp_last_step, guest, roles, data, created_at \
        FROM users WHERE user_id = $1",
        id.0,
    )
    .fetch_optional(pool)
    .await?
    .map(Player::try_from)
    .transpose()
}

pub(super) async fn delete(
    pool: &PgPool,
    id: PlayerId,
    at: Timestamp,
    line: &Audit,
) -> sqlx::Result<Vec<Revocation>> {
    let mut transaction = pool.begin().await?;
    if turn(&mut transaction, id).await?.is_none() {
        return Ok(Vec::new());
    }
    let revocations = sessions::end_all(&mut transaction, id, at).await?;
    remove(&mut transaction, id, line).await?;
    transaction.commit().await?;
    Ok(revocations)
}

/// Removes everything of an account whose turn it is.
async fn remove(
    transaction: &mut sqlx::PgConnection,
    id: PlayerId,
    line: &Audit,
) -> sqlx::Result<()> {
    // They are found by their hashes: where they are kept, nobody knows whose they are.
    let identities = query_scalar!(
        "SELECT identity_hash FROM user_identities WHERE user_id = $1",
        id.0,
    )
    .fetch_all(&mut *transaction)
    .await?;
    query!(
        "DELETE FROM identities WHERE identity_hash = ANY($1) AND user_id = $2",
        &identities,
        id.0,
    )
    .execute(&mut *transaction)
    .await?;
    // Everything else of the account goes with it.
    query!("DELETE FROM users WHERE user_id = $1", id.0)
        .execute(&mut *transaction)
        .await?;
    audit::write(transaction, slice::from_ref(line)).await
}

pub(super) async fn abandoned(
    pool: &PgPool,
    before: Timestamp,
    limit: u32,
) -> sqlx::Result<Vec<PlayerId>> {
    let players = query_scalar!(
        "SELECT user_id FROM users AS player \
        WHERE created_at < $1 AND NOT returned \
            AND (guest OR (password_hash IS NOT NULL AND NOT email_verified)) \
            AND NOT EXISTS (SELECT FROM sessions WHERE sessions.user_id = player.user_id) \
        ORDER BY created_at LIMIT $2",
        micros(before),
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    Ok(players.into_iter().map(PlayerId).collect())
}

pub(super) async fn delete_abandoned(
    pool: &PgPool,
    id: PlayerId,
    before: Timestamp,
    line: &Audit,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    // From here on nobody signs in.
    if turn(&mut transaction, id).await?.is_none() {
        return Ok(false);
    }
    let is_abandoned = query_scalar!(
        "SELECT true FROM users AS player \
        WHERE player.user_id = $1 AND created_at < $2 AND NOT returned \
            AND (guest OR (password_hash IS NOT NULL AND NOT email_verified)) \
            AND NOT EXISTS (SELECT FROM sessions AS session WHERE session.user_id = $1)",
        id.0,
        micros(before),
    )
    .fetch_optional(&mut *transaction)
    .await?;
    if is_abandoned.is_none() {
        return Ok(false);
    }
    remove(&mut transaction, id, line).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn add_identity(
    pool: &PgPool,
    player: PlayerId,
    identity: &Identity,
    at: Timestamp,
    line: &Audit,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    if turn(&mut transaction, player).await?.is_none()
        || !claim(&mut transaction, &identity.hash, player).await?
    {
        return Ok(false);
    }
    note(&mut transaction, player, identity, at).await?;
    query!(
        "UPDATE users SET guest = false WHERE user_id = $1",
        player.0
    )
    .execute(&mut *transaction)
    .await?;
    audit::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn link_address(
    pool: &PgPool,
    player: PlayerId,
    new: &NewAddress,
    line: &Audit,
) -> sqlx::Result<Linked> {
    let mut transaction = pool.begin().await?;
    if turn(&mut transaction, player).await?.is_none() {
        return Ok(Linked::Void);
    }
    let purpose = Purpose::LinkEmail;
    if !factors::spend_one_time(&mut transaction, player, purpose, &new.secret, new.at).await? {
        return Ok(Linked::Void);
    }
    let has_one = query_scalar!(
        "SELECT EXISTS (SELECT FROM user_identities WHERE user_id = $1 AND kind = $2) AS \"has!\"",
        player.0,
        IdentityKind::Email.name(),
    )
    .fetch_one(&mut *transaction)
    .await?;
    if has_one || !claim(&mut transaction, &new.identity.hash, player).await? {
        return Ok(Linked::Taken);
    }
    note(&mut transaction, player, &new.identity, new.at).await?;
    query!(
        "UPDATE users SET email = $2, email_verified = true, password_hash = $3, guest = false \
        WHERE user_id = $1",
        player.0,
        new.email,
        new.password,
    )
    .execute(&mut *transaction)
    .await?;
    audit::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(Linked::Done)
}

pub(super) async fn remove_identity(
    pool: &PgPool,
    player: PlayerId,
    identity: &IdentityHash,
    line: &Audit,
) -> sqlx::Result<Removed> {
    let mut transaction = pool.begin().await?;
    if turn(&mut transaction, player).await?.is_none() {
        return Ok(Removed::Missing);
    }
    let kind = query_scalar!(
        "DELETE FROM user_identities WHERE user_id = $1 AND identity_hash = $2 RETURNING kind",
        player.0,
        identity.0.as_slice(),
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(kind) = kind else {
        return Ok(Removed::Missing);
    };
    let has_another = query_scalar!(
        "SELECT EXISTS (SELECT FROM user_identities WHERE user_id = $1) AS \"has!\"",
        player.0,
    )
    .fetch_one(&mut *transaction)
    .await?;
    if !has_another {
        return Ok(Removed::Last);
    }
    if kind == IdentityKind::Email.name() {
        query!(
            "UPDATE users SET email = NULL, email_verified = false, password_hash = NULL \
            WHERE user_id = $1",
            player.0,
        )
        .execute(&mut *transaction)
        .await?;
    }
    // Whoever is about to sign in by it comes too late.
    query!(
        "UPDATE users SET credentials_epoch = credentials_epoch + 1 WHERE user_id = $1",
        player.0,
    )
    .execute(&mut *transaction)
    .await?;
    query!(
        "DELETE FROM identities WHERE identity_hash = $1 AND user_id = $2",
        identity.0.as_slice(),
        player.0,
    )
    .execute(&mut *transaction)
    .await?;
    audit::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(Removed::Done)
}

pub(super) async fn identities(pool: &PgPool, player: PlayerId) -> sqlx::Result<Vec<Identity>> {
    let rows = query_as!(
        IdentityRow,
        "SELECT identity_hash, kind, label FROM user_identities WHERE user_id = $1 \
        ORDER BY created_at, identity_hash",
        player.0,
    )
    .fetch_all(pool)
    .await?;
    rows::all(rows)
}

pub(super) async fn set_password(
    pool: &PgPool,
    player: PlayerId,
    expected: Option<&str>,
    new: &str,
) -> sqlx::Result<bool> {
    let done = query!(
        "UPDATE users SET password_hash = $3 \
        WHERE user_id = $1 AND password_hash IS NOT DISTINCT FROM $2",
        player.0,
        expected,
        new,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn replace_password(
    pool: &PgPool,
    new: &NewPassword,
    line: &Audit,
) -> sqlx::Result<Option<Vec<Revocation>>> {
    let mut transaction = pool.begin().await?;
    let Some(turn) = turn(&mut transaction, new.player).await? else {
        return Ok(None);
    };
    let is_allowed = match &new.right {
        Right::Former {
            credentials_epoch, ..
        } => turn.admits(*credentials_epoch),
        Right::Mailed(secret) => {
            let purpose = Purpose::ResetPassword;
            turn.is_active()
                && factors::spend_one_time(&mut transaction, new.player, purpose, secret, new.at)
                    .await?
        }
    };
    if !is_allowed {
        return Ok(None);
    }
    query!(
        "UPDATE users SET password_hash = $2, credentials_epoch = credentials_epoch + 1, \
            email_verified = email_verified OR $3 \
        WHERE user_id = $1",
        new.player.0,
        new.hash,
        matches!(new.right, Right::Mailed(_)),
    )
    .execute(&mut *transaction)
    .await?;
    let revocations =
        sessions::end_in(&mut transaction, new.player, new.right.ends(), new.at).await?;
    audit::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(Some(revocations))
}

pub(super) async fn verify_email(
    pool: &PgPool,
    player: PlayerId,
    secret: &[u8; 32],
    now: Timestamp,
    line: &Audit,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let turn = turn(&mut transaction, player).await?;
    let purpose = Purpose::VerifyEmail;
    if !turn.is_some_and(|turn| turn.is_active())
        || !factors::spend_one_time(&mut transaction, player, purpose, secret, now).await?
    {
        return Ok(false);
    }
    query!(
        "UPDATE users SET email_verified = true WHERE user_id = $1",
        player.0,
    )
    .execute(&mut *transaction)
    .await?;
    audit::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn set_status(
    pool: &PgPool,
    player: PlayerId,
    status: Status,
    at: Timestamp,
    line: &Audit,
) -> sqlx::Result<Vec<Revocation>> {
    let mut transaction = pool.begin().await?;
    if turn(&mut transaction, player).await?.is_none() {
        return Ok(Vec::new());
    }
    query!(
        "UPDATE users SET status = $2 WHERE user_id = $1",
        player.0,
        status_name(status),
    )
    .execute(&mut *transaction)
    .await?;
    let revocations = match status {
        Status::Active => Vec::new(),
        Status::Disabled => sessions::end_all(&mut transaction, player, at).await?,
    };
    audit::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(revocations)
}

pub(super) async fn set_data(
    pool: &PgPool,
    player: PlayerId,
    roles: Option<&[String]>,
    data: Option<&serde_json::Value>,
    line: &Audit,
) -> sqlx::Result<Option<RolesAndData>> {
    let mut transaction = pool.begin().await?;
    // As text: a parameter that is JSON would be jsonb.
    let row = query!(
        "UPDATE users SET roles = coalesce($2, roles), data = coalesce($3::text::json, data) \
        WHERE user_id = $1 RETURNING roles, data",
        player.0,
        roles,
        data.map(ToString::to_string),
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    audit::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(Some((row.roles, row.data)))
}
