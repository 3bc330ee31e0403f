//! What is nobody's alone: signing keys, the audit log, and the end of what nothing needs any more.

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::types::Json;
use sqlx::{query, query_as, query_scalar};
use storage::sqlite::BEGIN;
use uuid::Uuid;

use crate::ids::PlayerId;
use crate::store::rows::{self, AuditRow, KeyRow, hash, micros};
use crate::store::{Audit, PinnedKey, Purged, SigningKey};

pub(super) async fn keys(pool: &SqlitePool) -> sqlx::Result<Vec<SigningKey>> {
    let rows: Vec<KeyRow> = query_as("SELECT * FROM signing_keys ORDER BY key_id")
        .fetch_all(pool)
        .await?;
    rows::all(rows)
}

pub(super) async fn add_key(
    pool: &SqlitePool,
    key: &SigningKey,
    expected: &[String],
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let ids: Vec<String> = query_scalar("SELECT key_id FROM signing_keys ORDER BY key_id")
        .fetch_all(&mut *transaction)
        .await?;
    if ids != expected {
        return Ok(false);
    }
    query(
        "INSERT INTO signing_keys \
            (key_id, public_key, private_key, published_at, activates_at, revoked_at) \
        VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(&key.id)
    .bind(&key.public)
    .bind(&key.private)
    .bind(micros(key.published))
    .bind(micros(key.activates))
    .bind(key.revoked.map(micros))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn revoke_key(pool: &SqlitePool, id: &str, at: Timestamp) -> sqlx::Result<bool> {
    // The first time stands.
    let done =
        query("UPDATE signing_keys SET revoked_at = coalesce(revoked_at, ?) WHERE key_id = ?")
            .bind(micros(at))
            .bind(id)
            .execute(pool)
            .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn pin_keys(
    pool: &SqlitePool,
    pinned: &[PinnedKey],
) -> sqlx::Result<Vec<PinnedKey>> {
    for key in pinned {
        query("INSERT INTO pinned_keys (name, fingerprint) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(&key.name)
            .bind(key.fingerprint.as_slice())
            .execute(pool)
            .await?;
    }
    let rows: Vec<(String, Vec<u8>)> =
        query_as("SELECT name, fingerprint FROM pinned_keys ORDER BY name")
            .fetch_all(pool)
            .await?;
    rows.into_iter()
        .map(|(name, fingerprint)| {
            Ok(PinnedKey {
                name,
                fingerprint: hash(&fingerprint)?,
            })
        })
        .collect()
}

pub(super) async fn append(pool: &SqlitePool, lines: &[Audit]) -> sqlx::Result<()> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    write(&mut transaction, lines).await?;
    transaction.commit().await
}

/// Writes lines; those that are there already stay, for the answer to an earlier try may be lost.
pub(super) async fn write(connection: &mut SqliteConnection, lines: &[Audit]) -> sqlx::Result<()> {
    for line in lines {
        query(
            "INSERT INTO audit_log (user_id, audit_id, at, event, outcome, ip, detail) \
            VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(line.player.0)
        .bind(line.id)
        .bind(micros(line.at))
        .bind(&line.event)
        .bind(&line.outcome)
        .bind(&line.ip)
        .bind(Json(&line.detail))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub(super) async fn audit_of(
    pool: &SqlitePool,
    player: PlayerId,
    before: Option<Uuid>,
    limit: u16,
) -> sqlx::Result<Vec<Audit>> {
    let rows: Vec<AuditRow> = query_as(
        "SELECT * FROM audit_log WHERE user_id = ?1 AND (?2 IS NULL OR audit_id < ?2) \
        ORDER BY audit_id DESC LIMIT ?3",
    )
    .bind(player.0)
    .bind(before)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows::all(rows)
}

pub(super) async fn purge(
    pool: &SqlitePool,
    before: Timestamp,
    audit_before: Timestamp,
    limit: u32,
) -> sqlx::Result<Purged> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    // When they are gone, nothing else tells that their player came back.
    query(
        "UPDATE users SET returned = true \
        WHERE NOT returned AND EXISTS ( \
            SELECT 1 FROM sessions JOIN refresh_families AS family USING (user_id, session_id) \
            WHERE user_id = users.user_id \
                AND min(family.expires_at, coalesce(family.ended_at, family.expires_at)) < ?1 \
                AND coalesce(family.spent_at, sessions.created_at) > users.created_at + ?2)",
    )
    .bind(micros(before))
    .bind(rows::SOON)
    .execute(&mut *transaction)
    .await?;
    let mut counts = [0; 5];
    for (count, (statement, before)) in counts.iter_mut().zip([
        // Families go with their sessions.
        (
            "DELETE FROM sessions WHERE (user_id, session_id) IN ( \
                SELECT user_id, session_id FROM refresh_families \
                WHERE min(expires_at, coalesce(ended_at, expires_at)) < ?1 LIMIT ?2)",
            before,
        ),
        (
            "DELETE FROM one_time_secrets WHERE (user_id, purpose) IN ( \
                SELECT user_id, purpose FROM one_time_secrets WHERE expires_at < ?1 LIMIT ?2)",
            before,
        ),
        (
            "DELETE FROM revocations WHERE revocation_id IN ( \
                SELECT revocation_id FROM revocations WHERE revoked_at < ?1 LIMIT ?2)",
            before,
        ),
        (
            "DELETE FROM audit_log WHERE (user_id, audit_id) IN ( \
                SELECT user_id, audit_id FROM audit_log WHERE at < ?1 LIMIT ?2)",
            audit_before,
        ),
        // A key has ended when it was revoked, or when a later one took over.
        (
            "DELETE FROM signing_keys WHERE key_id IN ( \
                SELECT key.key_id FROM signing_keys AS key \
                WHERE key.revoked_at < ?1 OR EXISTS (SELECT 1 FROM signing_keys AS later \
                    WHERE later.revoked_at IS NULL AND later.activates_at < ?1 \
                        AND later.activates_at > key.activates_at) \
                LIMIT ?2)",
            before,
        ),
    ]) {
        let done = query(statement)
            .bind(micros(before))
            .bind(limit)
            .execute(&mut *transaction)
            .await?;
        *count = done.rows_affected();
    }
    transaction.commit().await?;
    let [sessions, one_time, revocations, audit, signing_keys] = counts;
    Ok(Purged {
        sessions,
        one_time,
        revocations,
        audit,
        signing_keys,
    })
}
