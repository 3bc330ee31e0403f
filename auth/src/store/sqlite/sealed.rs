//! Sealed values, for sealing them anew.

use sqlx::sqlite::SqlitePool;
use sqlx::{query, query_as};

use crate::store::rows::{self, SealedRow};
use crate::store::{SealedColumn, SealedValue};

pub(super) async fn before(
    pool: &SqlitePool,
    version: u32,
    limit: u32,
) -> sqlx::Result<Vec<SealedValue>> {
    // The version is the second to the fifth byte, the highest first: the order of bytes is that of
    // numbers.
    let rows: Vec<SealedRow> = query_as(
        "SELECT * FROM (SELECT 'email' AS name, user_id, X'' AS row_id, email AS value \
            FROM users WHERE substr(email, 2, 4) < ?1 LIMIT ?2) \
        UNION ALL SELECT * FROM (SELECT 'totp', user_id, X'', totp_secret \
            FROM users WHERE substr(totp_secret, 2, 4) < ?1 LIMIT ?2) \
        UNION ALL SELECT * FROM ( \
            SELECT CASE kind WHEN 'device' THEN 'device label' ELSE 'label' END, \
                user_id, identity_hash, label \
            FROM identities WHERE substr(label, 2, 4) < ?1 LIMIT ?2) \
        UNION ALL SELECT * FROM (SELECT 'device', user_id, device_hash, device_id \
            FROM devices WHERE substr(device_id, 2, 4) < ?1 LIMIT ?2)",
    )
    .bind(version.to_be_bytes().to_vec())
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows::all(rows)
}

pub(super) async fn replace(pool: &SqlitePool, of: &SealedValue, new: &[u8]) -> sqlx::Result<bool> {
    let (statement, row) = match &of.column {
        SealedColumn::Email => (
            "UPDATE users SET email = ?3 WHERE user_id = ?1 AND email = ?2",
            None,
        ),
        SealedColumn::Totp => (
            "UPDATE users SET totp_secret = ?3 WHERE user_id = ?1 AND totp_secret = ?2",
            None,
        ),
        SealedColumn::Label(hash) | SealedColumn::DeviceLabel(hash) => (
            "UPDATE identities SET label = ?3 \
            WHERE user_id = ?1 AND label = ?2 AND identity_hash = ?4",
            Some(hash),
        ),
        SealedColumn::Device(hash) => (
            "UPDATE devices SET device_id = ?3 \
            WHERE user_id = ?1 AND device_id = ?2 AND device_hash = ?4",
            Some(hash),
        ),
    };
    let update = query(statement).bind(of.player.0).bind(&of.value).bind(new);
    let update = match row {
        Some(hash) => update.bind(hash.0.as_slice()),
        None => update,
    };
    Ok(update.execute(pool).await?.rows_affected() == 1)
}
