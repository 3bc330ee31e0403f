//! What a player proves to be itself with, beside the password: codes, passkeys, devices, mails.

use std::slice;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{query, query_as, query_scalar};
use storage::sqlite::BEGIN;

use super::players::exists;
use super::system;
use crate::ids::{IdentityHash, PlayerId};
use crate::store::rows::{self, DeviceRow, PasskeyRow, lines, micros};
use crate::store::{Audit, Device, MOST_DEVICES, OneTime, Passkey, Purpose, Totp};

pub(super) async fn set_totp(
    pool: &SqlitePool,
    player: PlayerId,
    totp: Option<&Totp>,
    recovery: &[[u8; 32]],
    line: Option<&Audit>,
) -> sqlx::Result<()> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let done = query(
        "UPDATE users SET totp_secret = ?, totp_confirmed = ?, totp_last_step = ? \
        WHERE user_id = ?",
    )
    .bind(totp.map(|totp| totp.secret.as_slice()))
    .bind(totp.is_some_and(|totp| totp.confirmed))
    .bind(totp.map(|totp| totp.last_step))
    .bind(player.0)
    .execute(&mut *transaction)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(());
    }
    query("DELETE FROM recovery_codes WHERE user_id = ?")
        .bind(player.0)
        .execute(&mut *transaction)
        .await?;
    for code in recovery {
        query(
            "INSERT INTO recovery_codes (user_id, code_hash) VALUES (?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(player.0)
        .bind(code.as_slice())
        .execute(&mut *transaction)
        .await?;
    }
    system::write(&mut transaction, lines(line)).await?;
    transaction.commit().await
}

pub(super) async fn spend_totp(
    pool: &SqlitePool,
    player: PlayerId,
    step: i64,
    line: Option<&Audit>,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let done = query(
        "UPDATE users SET totp_last_step = ?2, totp_confirmed = true, \
            credentials_epoch = credentials_epoch + CASE WHEN totp_confirmed THEN 0 ELSE 1 END \
        WHERE user_id = ?1 AND totp_last_step < ?2",
    )
    .bind(player.0)
    .bind(step)
    .execute(&mut *transaction)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    system::write(&mut transaction, lines(line)).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn spend_recovery(
    pool: &SqlitePool,
    player: PlayerId,
    hash: &[u8; 32],
    at: Timestamp,
) -> sqlx::Result<bool> {
    let done = query(
        "UPDATE recovery_codes SET used_at = ? \
        WHERE user_id = ? AND code_hash = ? AND used_at IS NULL",
    )
    .bind(micros(at))
    .bind(player.0)
    .bind(hash.as_slice())
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn add_passkey(
    pool: &SqlitePool,
    player: PlayerId,
    passkey: &Passkey,
    line: &Audit,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    if !exists(&mut transaction, player).await? {
        return Ok(false);
    }
    let done = query(
        "INSERT INTO passkeys (user_id, credential_id, record, name, created_at, used_at) \
        VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(player.0)
    .bind(&passkey.credential)
    .bind(&passkey.record)
    .bind(&passkey.name)
    .bind(micros(passkey.created))
    .bind(passkey.used.map(micros))
    .execute(&mut *transaction)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    system::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn touch_passkey(
    pool: &SqlitePool,
    player: PlayerId,
    passkey: &Passkey,
) -> sqlx::Result<bool> {
    let done = query(
        "UPDATE passkeys SET record = ?, used_at = ? WHERE user_id = ? AND credential_id = ?",
    )
    .bind(&passkey.record)
    .bind(passkey.used.map(micros))
    .bind(player.0)
    .bind(&passkey.credential)
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn passkeys(pool: &SqlitePool, player: PlayerId) -> sqlx::Result<Vec<Passkey>> {
    let rows: Vec<PasskeyRow> = query_as(
        "SELECT credential_id, record, name, created_at, used_at FROM passkeys \
        WHERE user_id = ? ORDER BY created_at, credential_id",
    )
    .bind(player.0)
    .fetch_all(pool)
    .await?;
    rows::all(rows)
}

pub(super) async fn remove_passkey(
    pool: &SqlitePool,
    player: PlayerId,
    credential: &[u8],
    line: &Audit,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let done = query("DELETE FROM passkeys WHERE user_id = ? AND credential_id = ?")
        .bind(player.0)
        .bind(credential)
        .execute(&mut *transaction)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    system::write(&mut transaction, slice::from_ref(line)).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Notes a sign-in of a device, in the transaction of its session; whether it was not known.
pub(super) async fn touch_device(
    connection: &mut SqliteConnection,
    player: PlayerId,
    device: &Device,
    at: Timestamp,
) -> sqlx::Result<bool> {
    let known_since: i64 = query_scalar(
        "INSERT INTO devices (user_id, device_hash, device_id, bound_key, created_at, last_login) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?5) \
        ON CONFLICT (user_id, device_hash) DO UPDATE SET device_id = excluded.device_id, \
            bound_key = coalesce(excluded.bound_key, devices.bound_key), \
            last_login = excluded.last_login \
        RETURNING created_at",
    )
    .bind(player.0)
    .bind(device.hash.0.as_slice())
    .bind(&device.sealed)
    .bind(&device.key)
    .bind(micros(at))
    .fetch_one(&mut *connection)
    .await?;
    if known_since != micros(at) {
        return Ok(false);
    }
    // What an account signs in with stays: the key that must come with it is in the row.
    query(
        "DELETE FROM devices WHERE user_id = ?1 AND device_hash IN ( \
            SELECT device.device_hash FROM devices AS device \
            WHERE device.user_id = ?1 AND NOT EXISTS (SELECT 1 FROM identities AS identity \
                WHERE identity.user_id = ?1 AND identity.identity_hash = device.device_hash) \
            ORDER BY device.last_login DESC, device.device_hash LIMIT -1 OFFSET ?2)",
    )
    .bind(player.0)
    .bind(MOST_DEVICES)
    .execute(connection)
    .await?;
    Ok(true)
}

pub(super) async fn device(
    pool: &SqlitePool,
    player: PlayerId,
    device: &IdentityHash,
) -> sqlx::Result<Option<Device>> {
    let row: Option<DeviceRow> =
        query_as("SELECT * FROM devices WHERE user_id = ? AND device_hash = ?")
            .bind(player.0)
            .bind(device.0.as_slice())
            .fetch_optional(pool)
            .await?;
    row.map(Device::try_from).transpose()
}

pub(super) async fn put_one_time(pool: &SqlitePool, secret: &OneTime) -> sqlx::Result<()> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    if !exists(&mut transaction, secret.player).await? {
        return Ok(());
    }
    query(
        "INSERT INTO one_time_secrets (user_id, purpose, secret_hash, expires_at) \
        VALUES (?, ?, ?, ?) ON CONFLICT (user_id, purpose) DO UPDATE \
            SET secret_hash = excluded.secret_hash, expires_at = excluded.expires_at",
    )
    .bind(secret.player.0)
    .bind(secret.purpose.name())
    .bind(secret.hash.as_slice())
    .bind(micros(secret.expires))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

pub(super) async fn knows_one_time(
    pool: &SqlitePool,
    player: PlayerId,
    purpose: Purpose,
    hash: &[u8; 32],
    now: Timestamp,
) -> sqlx::Result<bool> {
    query_scalar(
        "SELECT EXISTS (SELECT 1 FROM one_time_secrets \
        WHERE user_id = ? AND purpose = ? AND secret_hash = ? AND expires_at > ?)",
    )
    .bind(player.0)
    .bind(purpose.name())
    .bind(hash.as_slice())
    .bind(micros(now))
    .fetch_one(pool)
    .await
}

/// Spends a mailed secret within a transaction; false when it is unknown, spent or expired.
pub(super) async fn spend_one_time(
    connection: &mut SqliteConnection,
    player: PlayerId,
    purpose: Purpose,
    hash: &[u8; 32],
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = query(
        "DELETE FROM one_time_secrets \
        WHERE user_id = ? AND purpose = ? AND secret_hash = ? AND expires_at > ?",
    )
    .bind(player.0)
    .bind(purpose.name())
    .bind(hash.as_slice())
    .bind(micros(now))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
