//! The keys that sign access tokens, and by what those of secrets are known again.

use jiff::Timestamp;
use sqlx::postgres::PgPool;
use sqlx::{query, query_as, query_scalar};

use crate::store::rows::{self, KeyRow, hash, micros};
use crate::store::{PinnedKey, SigningKey};

pub(super) async fn all(pool: &PgPool) -> sqlx::Result<Vec<SigningKey>> {
    let rows = query_as!(
        KeyRow,
        "SELECT key_id, public_key, private_key, published_at, activates_at, revoked_at \
        FROM signing_keys ORDER BY key_id COLLATE \"C\"",
    )
    .fetch_all(pool)
    .await?;
    rows::all(rows)
}

pub(super) async fn add(
    pool: &PgPool,
    key: &SigningKey,
    expected: &[String],
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    // Replicas that plan a key at the same time come one after another, and the second sees the
    // first one's. Readers are not kept.
    query!("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await?;
    let ids = query_scalar!("SELECT key_id FROM signing_keys ORDER BY key_id COLLATE \"C\"")
        .fetch_all(&mut *transaction)
        .await?;
    if ids != expected {
        return Ok(false);
    }
    query!(
        "INSERT INTO signing_keys \
            (key_id, public_key, private_key, published_at, activates_at, revoked_at) \
        VALUES ($1, $2, $3, $4, $5, $6)",
        key.id,
        key.public,
        key.private,
        micros(key.published),
        micros(key.activates),
        key.revoked.map(micros),
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn revoke(pool: &PgPool, id: &str, at: Timestamp) -> sqlx::Result<bool> {
    // The first time stands.
    let done = query!(
        "UPDATE signing_keys SET revoked_at = coalesce(revoked_at, $2) WHERE key_id = $1",
        id,
        micros(at),
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn pin(pool: &PgPool, pinned: &[PinnedKey]) -> sqlx::Result<Vec<PinnedKey>> {
    for key in pinned {
        query!(
            "INSERT INTO pinned_keys (name, fingerprint) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            key.name,
            key.fingerprint.as_slice(),
        )
        .execute(pool)
        .await?;
    }
    query!("SELECT name, fingerprint FROM pinned_keys ORDER BY name COLLATE \"C\"")
        .fetch_all(pool)
        .await?
        .into_iter()
        .map(|row| {
            Ok(PinnedKey {
                name: row.name,
                fingerprint: hash(&row.fingerprint)?,
            })
        })
        .collect()
}
