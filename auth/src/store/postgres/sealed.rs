//! Sealed values, for sealing them anew.

use sqlx::postgres::PgPool;
use sqlx::{query, query_as};

use crate::store::rows::{self, SealedRow};
use crate::store::{SealedColumn, SealedValue};

pub(super) async fn before(
    pool: &PgPool,
    version: u32,
    limit: u32,
) -> sqlx::Result<Vec<SealedValue>> {
    // The version is the second to the fifth byte, the highest first: the order of bytes is that of
    // numbers.
    let version = version.to_be_bytes();
    let rows = query_as!(
        SealedRow,
        "(SELECT 'email' AS \"name!\", user_id AS \"user_id!\", ''::bytea AS \"row_id!\", \
            email AS \"value!\" \
            FROM users WHERE substring(email FROM 2 FOR 4) < $1 LIMIT $2) \
        UNION ALL (SELECT 'totp', user_id, ''::bytea, totp_secret \
            FROM users WHERE substring(totp_secret FROM 2 FOR 4) < $1 LIMIT $2) \
        UNION ALL (SELECT CASE kind WHEN 'device' THEN 'device label' ELSE 'label' END, \
            user_id, identity_hash, label \
            FROM user_identities WHERE substring(label FROM 2 FOR 4) < $1 LIMIT $2) \
        UNION ALL (SELECT 'device', user_id, device_hash, device_id \
            FROM devices WHERE substring(device_id FROM 2 FOR 4) < $1 LIMIT $2)",
        version.as_slice(),
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    rows::all(rows)
}

pub(super) async fn replace(pool: &PgPool, of: &SealedValue, new: &[u8]) -> sqlx::Result<bool> {
    let (player, old) = (of.player.0, of.value.as_slice());
    let update = match &of.column {
        SealedColumn::Email => query!(
            "UPDATE users SET email = $3 WHERE user_id = $1 AND email = $2",
            player,
            old,
            new,
        ),
        SealedColumn::Totp => query!(
            "UPDATE users SET totp_secret = $3 WHERE user_id = $1 AND totp_secret = $2",
            player,
            old,
            new,
        ),
        SealedColumn::Label(hash) | SealedColumn::DeviceLabel(hash) => query!(
            "UPDATE user_identities SET label = $3 \
            WHERE user_id = $1 AND label = $2 AND identity_hash = $4",
            player,
            old,
            new,
            hash.0.as_slice(),
        ),
        SealedColumn::Device(hash) => query!(
            "UPDATE devices SET device_id = $3 \
            WHERE user_id = $1 AND device_id = $2 AND device_hash = $4",
            player,
            old,
            new,
            hash.0.as_slice(),
        ),
    };
    Ok(update.execute(pool).await?.rows_affected() == 1)
}
