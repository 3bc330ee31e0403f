//! What a player proves to be itself with, beside the password: codes, passkeys, devices, mails.

use std::slice;

use jiff::Timestamp;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{query, query_as, query_scalar};

use super::{audit, turn};
use crate::ids::{IdentityHash, PlayerId};
use crate::store::rows::{self, DeviceRow, PasskeyRow, lines, micros};
use crate::store::{Audit, Device, MOST_DEVICES, OneTime, Passkey, Purpose, Totp};

pub(super) async fn set_totp(
    pool: &PgPool,
    player: PlayerId,
    totp: Option<&Totp>,
    recovery: &[[u8; 32]],
    line: Option<&Audit>,
) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    if turn(&mut transaction, player).await?.is_none() {
        return Ok(());
    }
    query!(
        "UPDATE users SET totp_secret = $2, totp_confirmed = $3, totp_last_step = $4 \
        WHERE user_id = $1",
        player.0,
        totp.map(|totp| totp.secret.as_slice()),
        totp.is_some_and(|totp| totp.confirmed),
        totp.map(|totp| totp.last_step),
    )
    .execute(&mut *transaction)
    .await?;
    query!("DELETE FROM recovery_codes WHERE user_id = $1", player.0)
        .execute(&mut *transaction)
        .await?;
    let codes: Vec<Vec<u8>> = recovery.iter().map(|code| code.to_vec()).collect();
    query!(
        "INSERT INTO recovery_codes (user_id, code_hash) \
        SELECT $1, code FROM UNNEST($2::bytea[]) AS code ON CONFLICT DO NOTHING",
        player.0,
        &codes,
    )
    .execute(&mut *transaction)
    .await?;
    audit::write(&mut transaction, lines(line)).await?;
    transaction.commit().await
}

pub(super) async fn spend_totp(
    pool: &PgPool,
    player: PlayerId,
    step: i64,
    line: Option<&Audit>,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let done = query!(
        "UPDATE users SET totp_last_step = $2, totp_confirmed = true, \
            credentials_epoch = credentials_epoch + CASE WHEN totp_confirmed THEN 0 ELSE 1 END \
        WHERE user_id = $1 AND totp_last_step < $2",
        player.0,
        step,
    )
    .execute(&mut *transaction)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    audit::write(&mut transaction, lines(line)).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn spend_recovery(
    pool: &PgPool,
    player: PlayerId,
    hash: &[u8; 32],
    at: Timestamp,
) -> sqlx::Result<bool> {
    let done = query!(
        "UPDATE recovery_codes SET used_at = $3 \
        WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL",
        player.0,
        hash.as_slice(),
        micros(at),
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn add_passkey(
    pool: &PgPool,
    player: PlayerId,
    passkey: &Passkey,
    line: &Audit,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    if turn(&mut transaction, player).await?.is_none() {
        return Ok(false);
    }
    let done = query!(
        "INSERT INTO passkeys (user_id, credential_id, record, name, created_at, used_at) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        player.0,
        passkey.credential,
        passkey.record,
        passkey.name,
        micros(passkey.created),
        passkey.used.map(micros),
    )
    .execute(&mut *transaction)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    audit::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn touch_passkey(
    pool: &PgPool,
    player: PlayerId,
    passkey: &Passkey,
) -> sqlx::Result<bool> {
    let done = query!(
        "UPDATE passkeys SET record = $3, used_at = $4 WHERE user_id = $1 AND credential_id = $2",
        player.0,
        passkey.credential,
        passkey.record,
        passkey.used.map(micros),
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn passkeys(pool: &PgPool, player: PlayerId) -> sqlx::Result<Vec<Passkey>> {
    let rows = query_as!(
        PasskeyRow,
        "SELECT credential_id, record, name, created_at, used_at FROM passkeys \
        WHERE user_id = $1 ORDER BY created_at, credential_id",
        player.0,
    )
    .fetch_all(pool)
    .await?;
    rows::all(rows)
}

pub(super) async fn remove_passkey(
    pool: &PgPool,
    player: PlayerId,
    credential: &[u8],
    line: &Audit,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let done = query!(
        "DELETE FROM passkeys WHERE user_id = $1 AND credential_id = $2",
        player.0,
        credential,
    )
    .execute(&mut *transaction)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    audit::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Notes a sign-in of a device, in the turn of its player; whether it was not known.
pub(super) async fn touch_device(
    connection: &mut PgConnection,
    player: PlayerId,
    device: &Device,
    at: Timestamp,
) -> sqlx::Result<bool> {
    let known_since = query_scalar!(
        "INSERT INTO devices (user_id, device_hash, device_id, bound_key, created_at, last_login) \
        VALUES ($1, $2, $3, $4, $5, $5) \
        ON CONFLICT (user_id, device_hash) DO UPDATE SET device_id = excluded.device_id, \
            bound_key = coalesce(excluded.bound_key, devices.bound_key), \
            last_login = excluded.last_login \
        RETURNING created_at",
        player.0,
        device.hash.0.as_slice(),
        device.sealed,
        device.key,
        micros(at),
    )
    .fetch_one(&mut *connection)
    .await?;
    if known_since != micros(at) {
        return Ok(false);
    }
    // What an account signs in with stays: the key that must come with it is in the row.
    query!(
        "DELETE FROM devices AS former \
        WHERE former.user_id = $1 AND former.device_hash IN ( \
            SELECT device.device_hash FROM devices AS device \
            WHERE device.user_id = $1 AND NOT EXISTS (SELECT FROM user_identities AS identity \
                WHERE identity.user_id = $1 AND identity.identity_hash = device.device_hash) \
            ORDER BY device.last_login DESC, device.device_hash OFFSET $2)",
        player.0,
        i64::from(MOST_DEVICES),
    )
    .execute(connection)
    .await?;
    Ok(true)
}

pub(super) async fn device(
    pool: &PgPool,
    player: PlayerId,
    device: &IdentityHash,
) -> sqlx::Result<Option<Device>> {
    let row = query_as!(
        DeviceRow,
        "SELECT device_hash, device_id, bound_key FROM devices \
        WHERE user_id = $1 AND device_hash = $2",
        player.0,
        device.0.as_slice(),
    )
    .fetch_optional(pool)
    .await?;
    row.map(Device::try_from).transpose()
}

pub(super) async fn put_one_time(pool: &PgPool, secret: &OneTime) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    if turn(&mut transaction, secret.player).await?.is_none() {
        return Ok(());
    }
    query!(
        "INSERT INTO one_time_secrets (user_id, purpose, secret_hash, expires_at) \
        VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, purpose) DO UPDATE \
            SET secret_hash = excluded.secret_hash, expires_at = excluded.expires_at",
        secret.player.0,
        secret.purpose.name(),
        secret.hash.as_slice(),
        micros(secret.expires),
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

pub(super) async fn knows_one_time(
    pool: &PgPool,
    player: PlayerId,
    purpose: Purpose,
    hash: &[u8; 32],
    now: Timestamp,
) -> sqlx::Result<bool> {
    let found = query!(
        "SELECT user_id FROM one_time_secrets \
        WHERE user_id = $1 AND purpose = $2 AND secret_hash = $3 AND expires_at > $4",
        player.0,
        purpose.name(),
        hash.as_slice(),
        micros(now),
    )
    .fetch_optional(pool)
    .await?;
    Ok(found.is_some())
}

/// Spends a mailed secret of a player whose turn it is; false when it is unknown, spent or expired.
pub(super) async fn spend_one_time(
    connection: &mut PgConnection,
    player: PlayerId,
    purpose: Purpose,
    hash: &[u8; 32],
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = query!(
        "DELETE FROM one_time_secrets \
        WHERE user_id = $1 AND purpose = $2 AND secret_hash = $3 AND expires_at > $4",
        player.0,
        purpose.name(),
        hash.as_slice(),
        micros(now),
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
