//! The audit log, and the end of what nothing needs any more.

use jiff::Timestamp;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{query, query_as};
use uuid::Uuid;

use crate::ids::PlayerId;
use crate::store::rows::{self, AuditRow, micros};
use crate::store::{Audit, Purged};

pub(super) async fn append(pool: &PgPool, lines: &[Audit]) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    write(&mut transaction, lines).await?;
    transaction.commit().await
}

/// Writes lines; those that are there already stay, for the answer to an earlier try may be lost.
pub(super) async fn write(connection: &mut PgConnection, lines: &[Audit]) -> sqlx::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut players = Vec::with_capacity(lines.len());
    let mut ids = Vec::with_capacity(lines.len());
    let mut times = Vec::with_capacity(lines.len());
    let mut events = Vec::with_capacity(lines.len());
    let mut outcomes = Vec::with_capacity(lines.len());
    let mut ips = Vec::with_capacity(lines.len());
    let mut details = Vec::with_capacity(lines.len());
    for line in lines {
        players.push(line.player.0);
        ids.push(line.id);
        times.push(micros(line.at));
        events.push(line.event.clone());
        outcomes.push(line.outcome.clone());
        ips.push(line.ip.clone());
        details.push(line.detail.to_string());
    }
    query!(
        "INSERT INTO audit_log (user_id, audit_id, at, event, outcome, ip, detail) \
        SELECT user_id, audit_id, at, event, outcome, ip, detail::json \
        FROM UNNEST($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], \
            $7::text[]) AS line (user_id, audit_id, at, event, outcome, ip, detail) \
        ON CONFLICT DO NOTHING",
        &players,
        &ids,
        &times,
        &events,
        &outcomes,
        &ips,
        &details,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn of(
    pool: &PgPool,
    player: PlayerId,
    before: Option<Uuid>,
    limit: u16,
) -> sqlx::Result<Vec<Audit>> {
    let rows = query_as!(
        AuditRow,
        "SELECT user_id, audit_id, at, event, outcome, ip, detail FROM audit_log \
        WHERE user_id = $1 AND ($2::uuid IS NULL OR audit_id < $2) \
        ORDER BY audit_id DESC LIMIT $3",
        player.0,
        before,
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    rows::all(rows)
}

pub(super) async fn purge(
    pool: &PgPool,
    before: Timestamp,
    audit_before: Timestamp,
    limit: u32,
) -> sqlx::Result<Purged> {
    let (before, limit) = (micros(before), i64::from(limit));
    let mut transaction = pool.begin().await?;
    // Families go with their sessions.
    let sessions = query!(
        "DELETE FROM sessions AS session USING ( \
            SELECT user_id, session_id, spent_at FROM refresh_families \
            WHERE least(expires_at, ended_at) < $1 LIMIT $2) AS family \
        WHERE session.user_id = family.user_id AND session.session_id = family.session_id \
        RETURNING session.user_id, coalesce(family.spent_at, session.created_at) AS \"used_at!\"",
        before,
        limit,
    )
    .fetch_all(&mut *transaction)
    .await?;
    // When they are gone, nothing else tells that their player came back.
    let (players, used): (Vec<Uuid>, Vec<i64>) = sessions
        .iter()
        .map(|session| (session.user_id, session.used_at))
        .unzip();
    query!(
        "UPDATE users SET returned = true \
        FROM UNNEST($1::uuid[], $2::bigint[]) AS used (user_id, used_at) \
        WHERE users.user_id = used.user_id AND NOT users.returned \
            AND used.used_at > users.created_at + $3",
        &players,
        &used,
        rows::SOON,
    )
    .execute(&mut *transaction)
    .await?;
    let one_time = query!(
        "DELETE FROM one_time_secrets WHERE (user_id, purpose) IN ( \
            SELECT user_id, purpose FROM one_time_secrets WHERE expires_at < $1 LIMIT $2)",
        before,
        limit,
    )
    .execute(&mut *transaction)
    .await?;
    let revocations = query!(
        "DELETE FROM revocations WHERE (user_id, revocation_id) IN ( \
            SELECT user_id, revocation_id FROM revocations WHERE revoked_at < $1 LIMIT $2)",
        before,
        limit,
    )
    .execute(&mut *transaction)
    .await?;
    let audit = query!(
        "DELETE FROM audit_log WHERE (user_id, audit_id) IN ( \
            SELECT user_id, audit_id FROM audit_log WHERE at < $1 LIMIT $2)",
        micros(audit_before),
        limit,
    )
    .execute(&mut *transaction)
    .await?;
    // A key has ended when it was revoked, or when a later one took over.
    let signing_keys = query!(
        "DELETE FROM signing_keys WHERE key_id IN ( \
            SELECT key.key_id FROM signing_keys AS key \
            WHERE key.revoked_at < $1 OR EXISTS (SELECT FROM signing_keys AS later \
                WHERE later.revoked_at IS NULL AND later.activates_at < $1 \
                    AND later.activates_at > key.activates_at) \
            LIMIT $2)",
        before,
        limit,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Purged {
        sessions: rows::count(&sessions),
        one_time: one_time.rows_affected(),
        revocations: revocations.rows_affected(),
        audit: audit.rows_affected(),
        signing_keys: signing_keys.rows_affected(),
    })
}
