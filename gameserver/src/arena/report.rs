//! The result of a match as the platform gets it: JSON, bounded. Pure.

use serde_json::{Value, json};
use simulation::rules::{EndReason, MatchResult, Standing, Winner};
use simulation::tick::TICK_RATE;

use crate::arena::sessions::PlayerId;

/// Most bytes of a result; see `EndMatch` in `muster/sdk/v1/sdk.proto`.
const MOST_BYTES: usize = 8 * 1024;

/// The result as JSON. Players are named by their accounts, best first; where they are too many
/// for the room, the last ones are left out and `players` says how many there were. A match
/// without a result was ended by the server, after `played_ticks` all the same.
pub fn result_json(
    result: Option<&MatchResult>,
    played_ticks: u32,
    standings: &[(PlayerId, Standing)],
) -> String {
    let mut standings = standings.to_vec();
    standings.sort_by_key(|(player, standing)| {
        (std::cmp::Reverse(standing.score), standing.downs, *player)
    });
    let reason = match result.map(|result| result.reason) {
        Some(EndReason::ScoreLimit) => "ScoreLimit",
        Some(EndReason::TimeLimit) => "TimeLimit",
        Some(EndReason::Abandoned) => "Abandoned",
        None => "ServerEnded",
    };
    let winner = match result.map(|result| result.winner) {
        Some(Winner::Player(slot)) => standings
            .iter()
            .find(|(_, standing)| standing.slot == slot && !standing.left)
            .map_or(
                Value::Null,
                |(player, _)| json!({"playerId": player.to_uuid()}),
            ),
        Some(Winner::Team(team)) => json!({"team": team.0}),
        Some(Winner::Nobody) | None => Value::Null,
    };
    let rows: Vec<_> = standings.iter().map(row).collect();
    let mut shown = rows.len();
    loop {
        let text = json!({
            "reason": reason,
            "winner": winner,
            "durationSeconds": played_ticks / TICK_RATE,
            "players": rows.len(),
            "standings": &rows[..shown],
        })
        .to_string();
        if text.len() <= MOST_BYTES || shown == 0 {
            return text;
        }
        shown -= (shown / 8).max(1);
    }
}

fn row((player, standing): &(PlayerId, Standing)) -> Value {
    json!({
        "playerId": player.to_uuid(),
        "team": standing.team.map(|team| team.0),
        "score": standing.score,
        "downs": standing.downs,
        "left": standing.left,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use simulation::entity::PlayerSlot;

    use super::*;

    fn standing(slot: u16, score: u16) -> (PlayerId, Standing) {
        let [high, low] = slot.to_be_bytes();
        let standing = Standing {
            slot: PlayerSlot(slot),
            team: None,
            score,
            downs: 1,
            left: false,
        };
        (
            PlayerId([high, low, 0xab, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
            standing,
        )
    }

    #[test]
    fn a_result_names_accounts_and_not_slots() {
        let result = MatchResult {
            reason: EndReason::TimeLimit,
            winner: Winner::Player(PlayerSlot(1)),
            duration_ticks: 600,
            standings: Vec::new(),
        };
        let text = result_json(Some(&result), 600, &[standing(0, 2), standing(1, 5)]);
        expect![[r#"{"durationSeconds":10,"players":2,"reason":"TimeLimit","standings":[{"downs":1,"left":false,"playerId":"0001ab03-0405-0607-0809-0a0b0c0d0e0f","score":5,"team":null},{"downs":1,"left":false,"playerId":"0000ab03-0405-0607-0809-0a0b0c0d0e0f","score":2,"team":null}],"winner":{"playerId":"0001ab03-0405-0607-0809-0a0b0c0d0e0f"}}"#]]
            .assert_eq(&text);
    }

    #[test]
    fn a_result_of_a_thousand_players_fits() {
        let standings: Vec<_> = (0..1024).map(|slot| standing(slot, slot)).collect();
        let text = result_json(None, 7_260, &standings);
        assert!(
            text.len() <= MOST_BYTES && text.len() > MOST_BYTES / 2,
            "{}",
            text.len()
        );
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["players"], 1024);
        assert_eq!(value["reason"], "ServerEnded");
        assert_eq!(value["durationSeconds"], 121);
        assert_eq!(value["standings"][0]["score"], 1023);
    }
}
