//! Matches and who sits in them.

use std::collections::BTreeSet;

use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::types::Json;
use sqlx::{query, query_as, query_scalar};
use storage::sqlite::BEGIN;
use uuid::Uuid;

use super::ratings;
use crate::ids::{MatchId, PlayerId};
use crate::store::ending::{self, Placed};
use crate::store::rows::{self, MatchRow, Unfit, micros, status_name, text};
use crate::store::{Committed, Ending, Match, MatchStatus, Rate};

/// Seats with their matches, of those matches that the rest asks for.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT match_id, queue, region, namespace, server, endpoint, is_rated, status, \
                made_at, ended_at, result, player_id, session_id, team, rank, rating_before, rating_after \
            FROM matches JOIN seats USING (match_id) ",
            $rest
        )
    };
}

pub(super) async fn commit(pool: &SqlitePool, made: &Match) -> sqlx::Result<Committed> {
    if made.seats.is_empty() {
        return Err(Unfit::Match.into());
    }
    let mut transaction = pool.begin_with(BEGIN).await?;
    let added = query(
        "INSERT INTO matches (match_id, queue, region, namespace, server, endpoint, is_rated, \
            status, made_at) \
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(made.id.0)
    .bind(text(&made.queue))
    .bind(text(&made.region))
    .bind(text(&made.server.namespace))
    .bind(text(&made.server.name))
    .bind(text(&made.server.endpoint))
    .bind(made.is_rated)
    .bind(status_name(MatchStatus::Started))
    .bind(micros(made.made_at))
    .execute(&mut *transaction)
    .await?;
    if added.rows_affected() == 0 {
        return Ok(Committed::Known);
    }
    let mut busy = BTreeSet::new();
    for (place, seat) in made.seats.iter().enumerate() {
        let added = query(
            "INSERT INTO seats (player_id, match_id, session_id, team, place, is_open) \
            VALUES (?, ?, ?, ?, ?, true) ON CONFLICT DO NOTHING",
        )
        .bind(seat.player.0)
        .bind(made.id.0)
        .bind(seat.session.0)
        .bind(seat.team)
        .bind(rows::amount(place))
        .execute(&mut *transaction)
        .await?;
        if added.rows_affected() == 0 {
            busy.insert(seat.player);
        }
    }
    if !busy.is_empty() {
        return Ok(Committed::Busy(busy.into_iter().collect()));
    }
    transaction.commit().await?;
    Ok(Committed::Made)
}

pub(super) async fn find(
    connection: &mut SqliteConnection,
    id: MatchId,
) -> sqlx::Result<Option<Match>> {
    let rows: Vec<MatchRow> = query_as(select!("WHERE match_id = ? ORDER BY team, place"))
        .bind(id.0)
        .fetch_all(connection)
        .await?;
    Ok(rows::matches(rows)?.pop())
}

pub(super) async fn open_of(pool: &SqlitePool, player: PlayerId) -> sqlx::Result<Option<Match>> {
    let rows: Vec<MatchRow> = query_as(select!(
        "WHERE match_id = (SELECT match_id FROM seats WHERE player_id = ? AND is_open) \
        ORDER BY team, place"
    ))
    .bind(player.0)
    .fetch_all(pool)
    .await?;
    Ok(rows::matches(rows)?.pop())
}

pub(super) async fn busy(pool: &SqlitePool, players: &[PlayerId]) -> sqlx::Result<Vec<PlayerId>> {
    let mut transaction = pool.begin().await?;
    let mut busy = BTreeSet::new();
    for player in players {
        let seat: Option<Uuid> =
            query_scalar("SELECT player_id FROM seats WHERE player_id = ? AND is_open")
                .bind(player.0)
                .fetch_optional(&mut *transaction)
                .await?;
        busy.extend(seat.map(PlayerId));
    }
    Ok(busy.into_iter().collect())
}

pub(super) async fn open(
    pool: &SqlitePool,
    after: Option<MatchId>,
    limit: usize,
) -> sqlx::Result<Vec<Match>> {
    let rows = query_as(select!(
        "WHERE match_id IN (SELECT match_id FROM matches \
            WHERE status = 'started' AND (?1 IS NULL OR match_id > ?1) \
            ORDER BY match_id LIMIT ?2) \
        ORDER BY match_id, team, place"
    ))
    .bind(after.map(|after| after.0))
    .bind(rows::page(limit))
    .fetch_all(pool)
    .await?;
    rows::matches(rows)
}

pub(super) async fn of(
    pool: &SqlitePool,
    player: PlayerId,
    before: Option<MatchId>,
    limit: usize,
) -> sqlx::Result<Vec<Match>> {
    let rows = query_as(select!(
        "WHERE match_id IN (SELECT match_id FROM seats \
            WHERE player_id = ?1 AND (?2 IS NULL OR match_id < ?2) \
            ORDER BY match_id DESC LIMIT ?3) \
        ORDER BY match_id DESC, team, place"
    ))
    .bind(player.0)
    .bind(before.map(|before| before.0))
    .bind(rows::page(limit))
    .fetch_all(pool)
    .await?;
    rows::matches(rows)
}

pub(super) async fn end(
    pool: &SqlitePool,
    id: MatchId,
    ending: &Ending,
    rate: &Rate<'_>,
) -> sqlx::Result<Option<Match>> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let ended = query(
        "UPDATE matches SET status = ?, ended_at = ?, result = ? \
        WHERE match_id = ? AND status = 'started'",
    )
    .bind(status_name(ending.status()))
    .bind(micros(ending.at))
    .bind(ending.result.as_ref().map(Json))
    .bind(id.0)
    .execute(&mut *transaction)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(None);
    }
    let Some(ended) = find(&mut transaction, id).await? else {
        return Err(sqlx::Error::RowNotFound);
    };
    let players: Vec<PlayerId> = ended.seats.iter().map(|seat| seat.player).collect();
    let known = ratings::of_players(&mut transaction, &ended.queue, &players).await?;
    for placed in ending::place(&ended, &known, ending, rate)? {
        leave(&mut transaction, &ended, &placed).await?;
    }
    let ended = find(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(ended)
}

/// Frees the seat of a player, and writes down what the match made of the player.
async fn leave(
    connection: &mut SqliteConnection,
    ended: &Match,
    placed: &Placed,
) -> sqlx::Result<()> {
    query(
        "UPDATE seats SET is_open = false, rank = ?, rating_before = ?, rating_after = ? \
        WHERE player_id = ? AND match_id = ?",
    )
    .bind(placed.rank)
    .bind(placed.rated.map(|(before, _)| before))
    .bind(placed.rated.map(|(_, after)| after.rating.mean))
    .bind(placed.player.0)
    .bind(ended.id.0)
    .execute(&mut *connection)
    .await?;
    let Some((_, after)) = placed.rated else {
        return Ok(());
    };
    query(
        "INSERT INTO ratings (player_id, queue, mean, deviation, volatility, matches) \
        VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET mean = excluded.mean, \
            deviation = excluded.deviation, volatility = excluded.volatility, \
            matches = excluded.matches",
    )
    .bind(placed.player.0)
    .bind(&ended.queue)
    .bind(after.rating.mean)
    .bind(after.rating.deviation)
    .bind(after.rating.volatility)
    .bind(after.matches)
    .execute(connection)
    .await?;
    Ok(())
}
