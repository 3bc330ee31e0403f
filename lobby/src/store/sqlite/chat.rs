//! Lines of the chat, reports of them, and players who may not write.

use jiff::Timestamp;
use sqlx::sqlite::SqlitePool;
use sqlx::types::Json;
use sqlx::{query, query_as, query_scalar};
use storage::sqlite::BEGIN;

use crate::ids::PlayerId;
use crate::store::rows::{self, LineRow, MuteRow, micros, number, text};
use crate::store::{ChatLine, Mute, Report};

pub(super) async fn add(
    pool: &SqlitePool,
    channel: &str,
    player: PlayerId,
    said: &str,
    at: Timestamp,
) -> sqlx::Result<ChatLine> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let number: i64 = query_scalar(
        "INSERT INTO channels (channel, last) VALUES (?, 1) \
        ON CONFLICT DO UPDATE SET last = last + 1 RETURNING last",
    )
    .bind(text(channel))
    .fetch_one(&mut *transaction)
    .await?;
    let row: LineRow = query_as(
        "INSERT INTO chat_lines (channel, number, player_id, text, sent_at) \
        VALUES (?, ?, ?, ?, ?) RETURNING *",
    )
    .bind(text(channel))
    .bind(number)
    .bind(player.0)
    .bind(text(said))
    .bind(micros(at))
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    row.try_into()
}

pub(super) async fn line(
    pool: &SqlitePool,
    channel: &str,
    line: u64,
) -> sqlx::Result<Option<ChatLine>> {
    let row: Option<LineRow> =
        query_as("SELECT * FROM chat_lines WHERE channel = ? AND number = ?")
            .bind(text(channel))
            .bind(number(line))
            .fetch_optional(pool)
            .await?;
    row.map(ChatLine::try_from).transpose()
}

pub(super) async fn lines(
    pool: &SqlitePool,
    channel: &str,
    before: Option<u64>,
    limit: usize,
) -> sqlx::Result<Vec<ChatLine>> {
    let rows = query_as(
        "SELECT * FROM chat_lines WHERE channel = ?1 AND (?2 IS NULL OR number < ?2) \
        ORDER BY number DESC LIMIT ?3",
    )
    .bind(text(channel))
    .bind(before.map(number))
    .bind(rows::page(limit))
    .fetch_all(pool)
    .await?;
    rows::oldest_first(rows)
}

pub(super) async fn change(
    pool: &SqlitePool,
    channel: &str,
    line: u64,
    said: Option<&str>,
    at: Timestamp,
) -> sqlx::Result<Option<ChatLine>> {
    let row: Option<LineRow> = query_as(
        "UPDATE chat_lines SET text = coalesce(?3, ''), is_deleted = ?3 IS NULL, edited_at = ?4 \
        WHERE channel = ?1 AND number = ?2 AND NOT is_deleted RETURNING *",
    )
    .bind(text(channel))
    .bind(number(line))
    .bind(said.map(text))
    .bind(micros(at))
    .fetch_optional(pool)
    .await?;
    row.map(ChatLine::try_from).transpose()
}

pub(super) async fn forget(
    pool: &SqlitePool,
    before: Timestamp,
    limit: usize,
) -> sqlx::Result<usize> {
    let done = query(
        "DELETE FROM chat_lines WHERE (channel, number) IN ( \
            SELECT channel, number FROM chat_lines WHERE sent_at < ?1 ORDER BY sent_at LIMIT ?2)",
    )
    .bind(micros(before))
    .bind(rows::amount(limit))
    .execute(pool)
    .await?;
    Ok(rows::count(done.rows_affected()))
}

pub(super) async fn report(pool: &SqlitePool, report: &Report) -> sqlx::Result<bool> {
    let done = query(
        "INSERT INTO chat_reports (channel, number, reporter_id, reason, at, evidence) \
        VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(text(&report.channel))
    .bind(number(report.number))
    .bind(report.by.0)
    .bind(text(&report.reason))
    .bind(micros(report.at))
    .bind(Json(&report.evidence))
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn mute(pool: &SqlitePool, mute: &Mute) -> sqlx::Result<()> {
    query(
        "INSERT INTO mutes (player_id, muted_until, moderator_id, reason) VALUES (?, ?, ?, ?) \
        ON CONFLICT DO UPDATE SET muted_until = excluded.muted_until, \
            moderator_id = excluded.moderator_id, reason = excluded.reason",
    )
    .bind(mute.player.0)
    .bind(micros(mute.until))
    .bind(mute.by.map(|by| by.0))
    .bind(text(&mute.reason))
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn mute_of(
    pool: &SqlitePool,
    player: PlayerId,
    now: Timestamp,
) -> sqlx::Result<Option<Mute>> {
    let row: Option<MuteRow> =
        query_as("SELECT * FROM mutes WHERE player_id = ? AND muted_until > ?")
            .bind(player.0)
            .bind(micros(now))
            .fetch_optional(pool)
            .await?;
    row.map(Mute::try_from).transpose()
}
