//! The audit log.

use jiff::Timestamp;
use sqlx::query;
use sqlx::sqlite::SqlitePool;
use sqlx::types::Json;

use crate::store::AuditLine;
use crate::store::rows::{self, micros};

pub(super) async fn add(pool: &SqlitePool, line: &AuditLine) -> sqlx::Result<()> {
    query("INSERT INTO audit_log (at, actor_id, subject_id, event, detail) VALUES (?, ?, ?, ?, ?)")
        .bind(micros(line.at))
        .bind(line.actor.map(|actor| actor.0))
        .bind(line.subject.map(|subject| subject.0))
        .bind(line.event)
        .bind(Json(&line.detail))
        .execute(pool)
        .await?;
    Ok(())
}

pub(super) async fn forget(
    pool: &SqlitePool,
    before: Timestamp,
    limit: usize,
) -> sqlx::Result<usize> {
    let done = query(
        "DELETE FROM audit_log WHERE audit_id IN ( \
            SELECT audit_id FROM audit_log WHERE at < ?1 ORDER BY at LIMIT ?2)",
    )
    .bind(micros(before))
    .bind(rows::amount(limit))
    .execute(pool)
    .await?;
    Ok(rows::count(done.rows_affected()))
}
