//! Lines of the chat, reports of them, and players who may not write.

use jiff::Timestamp;
use sqlx::postgres::PgPool;
use sqlx::{query, query_as};

use crate::ids::PlayerId;
use crate::store::rows::{self, LineRow, MuteRow, micros, number, text};
use crate::store::{ChatLine, Mute, Report};

pub(super) async fn add(
    pool: &PgPool,
    channel: &str,
    player: PlayerId,
    said: &str,
    at: Timestamp,
) -> sqlx::Result<ChatLine> {
    let (channel, said) = (text(channel), text(said));
    // One statement, so that the channel's row is held for no longer than it takes.
    let row = query_as!(
        LineRow,
        "WITH next AS ( \
            INSERT INTO channels (channel, last) VALUES ($1, 1) \
            ON CONFLICT (channel) DO UPDATE SET last = channels.last + 1 RETURNING last) \
        INSERT INTO chat_lines (channel, number, player_id, text, sent_at) \
        SELECT $1, last, $2, $3, $4 FROM next \
        RETURNING channel, number, player_id, text, sent_at, edited_at, is_deleted",
        &*channel,
        player.0,
        &*said,
        micros(at),
    )
    .fetch_one(pool)
    .await?;
    row.try_into()
}

pub(super) async fn line(
    pool: &PgPool,
    channel: &str,
    line: u64,
) -> sqlx::Result<Option<ChatLine>> {
    let channel = text(channel);
    let row = query_as!(
        LineRow,
        "SELECT channel, number, player_id, text, sent_at, edited_at, is_deleted \
        FROM chat_lines WHERE channel = $1 AND number = $2",
        &*channel,
        number(line),
    )
    .fetch_optional(pool)
    .await?;
    row.map(ChatLine::try_from).transpose()
}

pub(super) async fn lines(
    pool: &PgPool,
    channel: &str,
    before: Option<u64>,
    limit: usize,
) -> sqlx::Result<Vec<ChatLine>> {
    let channel = text(channel);
    let rows = query_as!(
        LineRow,
        "SELECT channel, number, player_id, text, sent_at, edited_at, is_deleted \
        FROM chat_lines WHERE channel = $1 AND ($2::bigint IS NULL OR number < $2) \
        ORDER BY number DESC LIMIT $3",
        &*channel,
        before.map(number),
        rows::page(limit),
    )
    .fetch_all(pool)
    .await?;
    rows::oldest_first(rows)
}

pub(super) async fn change(
    pool: &PgPool,
    channel: &str,
    line: u64,
    said: Option<&str>,
    at: Timestamp,
) -> sqlx::Result<Option<ChatLine>> {
    let (channel, said) = (text(channel), said.map(text));
    let row = query_as!(
        LineRow,
        "UPDATE chat_lines SET text = coalesce($3::text, ''), is_deleted = $3::text IS NULL, \
            edited_at = $4 \
        WHERE channel = $1 AND number = $2 AND NOT is_deleted \
        RETURNING channel, number, player_id, text, sent_at, edited_at, is_deleted",
        &*channel,
        number(line),
        said.as_deref(),
        micros(at),
    )
    .fetch_optional(pool)
    .await?;
    row.map(ChatLine::try_from).transpose()
}

pub(super) async fn forget(pool: &PgPool, before: Timestamp, limit: usize) -> sqlx::Result<usize> {
    // Another replica may do the same: each takes lines that the other does not.
    let done = query!(
        "DELETE FROM chat_lines WHERE (channel, number) IN ( \
            SELECT channel, number FROM chat_lines WHERE sent_at < $1 \
            ORDER BY sent_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        micros(before),
        rows::amount(limit),
    )
    .execute(pool)
    .await?;
    Ok(rows::count(done.rows_affected()))
}

pub(super) async fn report(pool: &PgPool, report: &Report) -> sqlx::Result<bool> {
    let (channel, reason) = (text(&report.channel), text(&report.reason));
    let done = query!(
        "INSERT INTO chat_reports (channel, number, reporter_id, reason, at, evidence) \
        VALUES ($1, $2, $3, $4, $5, $6::text::json) ON CONFLICT DO NOTHING",
        &*channel,
        number(report.number),
        report.by.0,
        &*reason,
        micros(report.at),
        // As text: a parameter that is JSON would be jsonb.
        report.evidence.to_string(),
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn mute(pool: &PgPool, mute: &Mute) -> sqlx::Result<()> {
    let reason = text(&mute.reason);
    query!(
        "INSERT INTO mutes (player_id, muted_until, moderator_id, reason) \
        VALUES ($1, $2, $3, $4) \
        ON CONFLICT (player_id) DO UPDATE SET muted_until = excluded.muted_until, \
            moderator_id = excluded.moderator_id, reason = excluded.reason",
        mute.player.0,
        micros(mute.until),
        mute.by.map(|by| by.0),
        &*reason,
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn mute_of(
    pool: &PgPool,
    player: PlayerId,
    now: Timestamp,
) -> sqlx::Result<Option<Mute>> {
    let row = query_as!(
        MuteRow,
        "SELECT player_id, muted_until, moderator_id, reason FROM mutes \
        WHERE player_id = $1 AND muted_until > $2",
        player.0,
        micros(now),
    )
    .fetch_optional(pool)
    .await?;
    row.map(Mute::try_from).transpose()
}
