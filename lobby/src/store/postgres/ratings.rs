//! Ratings of players.

use std::collections::BTreeMap;

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{query, query_as};
use uuid::Uuid;

use crate::ids::PlayerId;
use crate::store::ending::Placed;
use crate::store::rows::{self, RatingRow, text};
use crate::store::{MOST, Rated};

pub(super) async fn of_players(
    pool: &PgPool,
    queue: &str,
    players: &[PlayerId],
) -> sqlx::Result<BTreeMap<PlayerId, Rated>> {
    let (queue, players) = (text(queue), ids(players));
    let rows = query_as!(
        RatingRow,
        "SELECT player_id, queue, mean, deviation, volatility, matches FROM ratings \
        WHERE queue = $1 AND player_id = ANY($2)",
        &*queue,
        &players,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(RatingRow::of_player).collect()
}

pub(super) fn ids(players: &[PlayerId]) -> Vec<Uuid> {
    players.iter().map(|player| player.0).collect()
}

/// As [`of_players`], and nobody else changes them until the transaction ends. In order of id, so
/// that those who do this never wait for each other in a circle.
pub(super) async fn hold(
    connection: &mut PgConnection,
    queue: &str,
    players: &[PlayerId],
) -> sqlx::Result<BTreeMap<PlayerId, Rated>> {
    let rows = query_as!(
        RatingRow,
        "SELECT player_id, queue, mean, deviation, volatility, matches FROM ratings \
        WHERE queue = $1 AND player_id = ANY($2) ORDER BY player_id FOR NO KEY UPDATE",
        queue,
        &ids(players),
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(RatingRow::of_player).collect()
}

pub(super) async fn of(pool: &PgPool, player: PlayerId) -> sqlx::Result<BTreeMap<String, Rated>> {
    let rows = query_as!(
        RatingRow,
        "SELECT player_id, queue, mean, deviation, volatility, matches FROM ratings \
        WHERE player_id = $1 ORDER BY queue LIMIT $2",
        player.0,
        rows::page(MOST),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(RatingRow::in_queue).collect()
}

/// Writes what players have after a match, in order of id as they come. A newcomer has no row that
/// could be held, and needs none: a player's next match ends after this one.
pub(super) async fn write(
    connection: &mut PgConnection,
    queue: &str,
    placed: &[Placed],
) -> sqlx::Result<()> {
    let mut players = Vec::with_capacity(placed.len());
    let mut means = Vec::with_capacity(placed.len());
    let mut deviations = Vec::with_capacity(placed.len());
    let mut volatilities = Vec::with_capacity(placed.len());
    let mut matches = Vec::with_capacity(placed.len());
    for placed in placed {
        let Some((_, after)) = placed.rated else {
            continue;
        };
        players.push(placed.player.0);
        means.push(after.rating.mean);
        deviations.push(after.rating.deviation);
        volatilities.push(after.rating.volatility);
        matches.push(i64::from(after.matches));
    }
    query!(
        "INSERT INTO ratings (player_id, queue, mean, deviation, volatility, matches) \
        SELECT player_id, $1, mean, deviation, volatility, matches \
        FROM UNNEST($2::uuid[], $3::float8[], $4::float8[], $5::float8[], $6::bigint[]) \
            AS rated (player_id, mean, deviation, volatility, matches) \
        ON CONFLICT (player_id, queue) DO UPDATE SET mean = excluded.mean, \
            deviation = excluded.deviation, volatility = excluded.volatility, \
            matches = excluded.matches",
        queue,
        &players,
        &means,
        &deviations,
        &volatilities,
        &matches,
    )
    .execute(connection)
    .await?;
    Ok(())
}
