//! Matches and who sits in them.
//!
//! Whoever writes seats of several players does so in order of their ids: those who commit or end
//! matches at once never wait for each other in a circle.

use std::collections::BTreeSet;

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{query, query_as, query_scalar};

use super::ratings;
use crate::ids::{MatchId, PlayerId};
use crate::store::ending::{self, Placed};
use crate::store::rows::{self, MatchRow, Unfit, micros, status_name, text};
use crate::store::{Committed, Ending, Match, MatchStatus, Rate, Seat};

/// Asks for seats with their matches, of those matches that the rest is about.
macro_rules! select {
    ($rest:literal, $($argument:expr),+ $(,)?) => {
        query_as!(
            MatchRow,
            "SELECT matches.match_id, queue, region, namespace, server, endpoint, is_rated, status, \
                made_at, ended_at, result, player_id, session_id, team, rank, rating_before, rating_after \
            FROM matches JOIN seats ON seats.match_id = matches.match_id " + $rest,
            $($argument),+
        )
    };
}

pub(super) async fn commit(pool: &PgPool, made: &Match) -> sqlx::Result<Committed> {
    if made.seats.is_empty() {
        return Err(Unfit::Match.into());
    }
    let mut transaction = pool.begin().await?;
    // Whoever tries the same at once waits here, for what becomes of this.
    let added = add(&mut transaction, made).await?;
    if !added {
        return Ok(Committed::Known);
    }
    let busy = seat(&mut transaction, made).await?;
    if !busy.is_empty() {
        return Ok(Committed::Busy(busy));
    }
    transaction.commit().await?;
    Ok(Committed::Made)
}

/// Adds a match without its seats. False when there is one.
async fn add(connection: &mut PgConnection, made: &Match) -> sqlx::Result<bool> {
    let (queue, region) = (text(&made.queue), text(&made.region));
    let (namespace, server) = (text(&made.server.namespace), text(&made.server.name));
    let endpoint = text(&made.server.endpoint);
    let added = query!(
        "INSERT INTO matches (match_id, queue, region, namespace, server, endpoint, is_rated, \
            status, made_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        made.id.0,
        &*queue,
        &*region,
        &*namespace,
        &*server,
        &*endpoint,
        made.is_rated,
        status_name(MatchStatus::Started),
        micros(made.made_at),
    )
    .execute(connection)
    .await?;
    Ok(added.rows_affected() == 1)
}

/// Seats the players of a match. Those who sit elsewhere, in order of id.
async fn seat(connection: &mut PgConnection, made: &Match) -> sqlx::Result<Vec<PlayerId>> {
    let mut seats: Vec<(usize, &Seat)> = made.seats.iter().enumerate().collect();
    seats.sort_by_key(|(_, seat)| seat.player);
    let mut players = Vec::with_capacity(seats.len());
    let mut sessions = Vec::with_capacity(seats.len());
    let mut teams = Vec::with_capacity(seats.len());
    let mut places = Vec::with_capacity(seats.len());
    for (place, seat) in seats {
        players.push(seat.player.0);
        sessions.push(seat.session.0);
        teams.push(i32::from(seat.team));
        places.push(rows::amount(place));
    }
    let seated = query_scalar!(
        "INSERT INTO seats (player_id, match_id, session_id, team, place, is_open) \
        SELECT player_id, $1, session_id, team, place, true \
        FROM UNNEST($2::uuid[], $3::uuid[], $4::int[], $5::bigint[]) \
            AS seat (player_id, session_id, team, place) \
        ON CONFLICT DO NOTHING RETURNING player_id",
        made.id.0,
        &players,
        &sessions,
        &teams,
        &places,
    )
    .fetch_all(connection)
    .await?;
    // Both are in order of id, and whoever is named twice is seated once.
    let mut seated = seated.into_iter().peekable();
    let busy: BTreeSet<PlayerId> = players
        .into_iter()
        .filter(|player| seated.next_if_eq(player).is_none())
        .map(PlayerId)
        .collect();
    Ok(busy.into_iter().collect())
}

pub(super) async fn find(pool: &PgPool, id: MatchId) -> sqlx::Result<Option<Match>> {
    let mut connection = pool.acquire().await?;
    load(&mut connection, id).await
}

async fn load(connection: &mut PgConnection, id: MatchId) -> sqlx::Result<Option<Match>> {
    let rows = select!("WHERE matches.match_id = $1 ORDER BY team, place", id.0)
        .fetch_all(connection)
        .await?;
    Ok(rows::matches(rows)?.pop())
}

pub(super) async fn open_of(pool: &PgPool, player: PlayerId) -> sqlx::Result<Option<Match>> {
    let rows = select!(
        "WHERE matches.match_id = ( \
            SELECT open.match_id FROM seats AS open WHERE open.player_id = $1 AND open.is_open) \
        ORDER BY team, place",
        player.0,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows::matches(rows)?.pop())
}

pub(super) async fn busy(pool: &PgPool, players: &[PlayerId]) -> sqlx::Result<Vec<PlayerId>> {
    let busy = query_scalar!(
        "SELECT player_id FROM seats WHERE player_id = ANY($1) AND is_open ORDER BY player_id",
        &ratings::ids(players),
    )
    .fetch_all(pool)
    .await?;
    Ok(busy.into_iter().map(PlayerId).collect())
}

pub(super) async fn open(
    pool: &PgPool,
    after: Option<MatchId>,
    limit: usize,
) -> sqlx::Result<Vec<Match>> {
    let rows = select!(
        "WHERE matches.match_id IN ( \
            SELECT open.match_id FROM matches AS open \
            WHERE open.status = 'started' AND ($1::uuid IS NULL OR open.match_id > $1) \
            ORDER BY open.match_id LIMIT $2) \
        ORDER BY matches.match_id, team, place",
        after.map(|after| after.0),
        rows::page(limit),
    )
    .fetch_all(pool)
    .await?;
    rows::matches(rows)
}

pub(super) async fn of(
    pool: &PgPool,
    player: PlayerId,
    before: Option<MatchId>,
    limit: usize,
) -> sqlx::Result<Vec<Match>> {
    let rows = select!(
        "WHERE matches.match_id IN ( \
            SELECT played.match_id FROM seats AS played \
            WHERE played.player_id = $1 AND ($2::uuid IS NULL OR played.match_id < $2) \
            ORDER BY played.match_id DESC LIMIT $3) \
        ORDER BY matches.match_id DESC, team, place",
        player.0,
        before.map(|before| before.0),
        rows::page(limit),
    )
    .fetch_all(pool)
    .await?;
    rows::matches(rows)
}

pub(super) async fn end(
    pool: &PgPool,
    id: MatchId,
    ending: &Ending,
    rate: &Rate<'_>,
) -> sqlx::Result<Option<Match>> {
    let mut transaction = pool.begin().await?;
    // Whoever ends it at once waits here, and finds it ended.
    let ended = query!(
        "UPDATE matches SET status = $2, ended_at = $3, result = $4::text::json \
        WHERE match_id = $1 AND status = 'started'",
        id.0,
        status_name(ending.status()),
        micros(ending.at),
        // As text: a parameter that is JSON would be jsonb.
        ending.result.as_ref().map(ToString::to_string),
    )
    .execute(&mut *transaction)
    .await?;
    if ended.rows_affected() == 0 {
        return Ok(None);
    }
    let Some(ended) = load(&mut transaction, id).await? else {
        return Err(sqlx::Error::RowNotFound);
    };
    let players: Vec<PlayerId> = ended.seats.iter().map(|seat| seat.player).collect();
    let known = ratings::hold(&mut transaction, &ended.queue, &players).await?;
    let placed = ending::place(&ended, &known, ending, rate)?;
    ratings::write(&mut transaction, &ended.queue, &placed).await?;
    leave(&mut transaction, id, &placed).await?;
    let ended = load(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(ended)
}

/// Frees the seats of a match, and writes down how its players did.
async fn leave(connection: &mut PgConnection, id: MatchId, placed: &[Placed]) -> sqlx::Result<()> {
    let mut players = Vec::with_capacity(placed.len());
    let mut ranks = Vec::with_capacity(placed.len());
    let mut before = Vec::with_capacity(placed.len());
    let mut after = Vec::with_capacity(placed.len());
    for placed in placed {
        players.push(placed.player.0);
        ranks.push(placed.rank.map(i32::from));
        before.push(placed.rated.map(|(before, _)| before));
        after.push(placed.rated.map(|(_, after)| after.rating.mean));
    }
    query!(
        "UPDATE seats SET is_open = false, rank = placed.rank, \
            rating_before = placed.rating_before, rating_after = placed.rating_after \
        FROM UNNEST($2::uuid[], $3::int[], $4::float8[], $5::float8[]) \
            AS placed (player_id, rank, rating_before, rating_after) \
        WHERE seats.player_id = placed.player_id AND seats.match_id = $1",
        id.0,
        &players,
        &ranks as &[Option<i32>],
        &before as &[Option<f64>],
        &after as &[Option<f64>],
    )
    .execute(connection)
    .await?;
    Ok(())
}
