//! The audit log.

use jiff::Timestamp;
use sqlx::postgres::PgPool;
use sqlx::query;

use crate::store::AuditLine;
use crate::store::rows::{self, micros};

pub(super) async fn add(pool: &PgPool, line: &AuditLine) -> sqlx::Result<()> {
    query!(
        "INSERT INTO audit_log (at, actor_id, subject_id, event, detail) \
        VALUES ($1, $2, $3, $4, $5::text::json)",
        micros(line.at),
        line.actor.map(|actor| actor.0),
        line.subject.map(|subject| subject.0),
        line.event,
        // As text: a parameter that is JSON would be jsonb.
        line.detail.to_string(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn forget(pool: &PgPool, before: Timestamp, limit: usize) -> sqlx::Result<usize> {
    let done = query!(
        "DELETE FROM audit_log WHERE audit_id IN ( \
            SELECT audit_id FROM audit_log WHERE at < $1 \
            ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        micros(before),
        rows::amount(limit),
    )
    .execute(pool)
    .await?;
    Ok(rows::count(done.rows_affected()))
}
