//! Ratings of players.

use std::collections::BTreeMap;

use sqlx::query_as;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use crate::ids::PlayerId;
use crate::store::rows::{self, RatingRow, text};
use crate::store::{MOST, Rated};

pub(super) async fn of_players(
    connection: &mut SqliteConnection,
    queue: &str,
    players: &[PlayerId],
) -> sqlx::Result<BTreeMap<PlayerId, Rated>> {
    let mut ratings = BTreeMap::new();
    for player in players {
        let row: Option<RatingRow> =
            query_as("SELECT * FROM ratings WHERE player_id = ? AND queue = ?")
                .bind(player.0)
                .bind(text(queue))
                .fetch_optional(&mut *connection)
                .await?;
        ratings.extend(row.map(RatingRow::of_player).transpose()?);
    }
    Ok(ratings)
}

pub(super) async fn of(
    pool: &SqlitePool,
    player: PlayerId,
) -> sqlx::Result<BTreeMap<String, Rated>> {
    let rows: Vec<RatingRow> =
        query_as("SELECT * FROM ratings WHERE player_id = ? ORDER BY queue LIMIT ?")
            .bind(player.0)
            .bind(rows::page(MOST))
            .fetch_all(pool)
            .await?;
    rows.into_iter().map(RatingRow::in_queue).collect()
}
