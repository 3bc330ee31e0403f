//! What a game server reports of a match, and which of it counts. Pure.
//!
//! A report is a JSON object; it is kept as it is. What counts for ratings is in these fields, which
//! the arena writes (`gameserver`):
//!
//! ```json
//! {
//!   "reason": "ScoreLimit",
//!   "winner": {"team": 1},
//!   "players": 2,
//!   "standings": [
//!     {"playerId": "…", "team": 1, "score": 5, "left": false},
//!     {"playerId": "…", "team": 0, "score": 2, "left": false}
//!   ]
//! }
//! ```
//!
//! Without `standings` a result is kept and rates nobody. A game server runs code of the game, and is
//! believed no more than that: who was in which team is what the match says, and a report that says
//! otherwise is refused.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::ids::PlayerId;
use crate::store::Seat;

/// Most bytes of a report.
pub const MOST_BYTES: usize = 8 * 1024;

/// A report that may be believed.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The report.
    pub result: Value,
    /// The ranks of the teams, in order of their numbers; none when they do not count for ratings.
    pub ranks: Option<Vec<usize>>,
}

/// Why a report is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is too large.
    #[error("it has {0} bytes, of at most {MOST_BYTES}")]
    TooLarge(usize),
    /// It is not what a report is.
    #[error("{path}: {problem}")]
    Malformed {
        /// Where.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// It holds what no database keeps.
    #[error("it has the character U+0000")]
    Nul,
    /// It names somebody who is not of the match.
    #[error("{0} is not in the match")]
    Stranger(PlayerId),
    /// It names a player twice.
    #[error("{0} is there twice")]
    Twice(PlayerId),
    /// It puts a player into another team.
    #[error("{0} is in another team")]
    OtherTeam(PlayerId),
    /// It names a team that the match does not have.
    #[error("there is no team {0}")]
    NoTeam(u16),
    /// It has more standings than it says.
    #[error("it has {standings} standings of {players} players")]
    Count {
        /// How many standings.
        standings: usize,
        /// Of how many players.
        players: usize,
    },
}

/// The part of a report that is read.
#[derive(Debug, Deserialize)]
struct Report {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    winner: Option<Winner>,
    /// How many played; standings of the last ones may be left out for want of room.
    #[serde(default)]
    players: Option<usize>,
    standings: Vec<Standing>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Winner {
    PlayerId(PlayerId),
    Team(u16),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Standing {
    player_id: PlayerId,
    #[serde(default)]
    team: Option<u16>,
    #[serde(default)]
    score: u32,
    #[serde(default)]
    left: bool,
}

/// What became of a team.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    score: u64,
    /// Somebody of it was there at the end.
    is_present: bool,
}

/// Reads a report about a match with these seats.
pub fn read(seats: &[Seat], text: &str) -> Result<Outcome, Refusal> {
    if text.len() > MOST_BYTES {
        return Err(Refusal::TooLarge(text.len()));
    }
    if text.contains("\\u0000") {
        return Err(Refusal::Nul);
    }
    let result: Value = serde_json::from_str(text).map_err(|error| malformed(".", &error))?;
    let Some(fields) = result.as_object() else {
        return Err(Refusal::Malformed {
            path: ".".to_owned(),
            problem: "must be an object".to_owned(),
        });
    };
    if !fields.contains_key("standings") {
        return Ok(Outcome {
            result,
            ranks: None,
        });
    }
    let report: Report = serde_path_to_error::deserialize(&result)
        .map_err(|error| malformed(&error.path().to_string(), error.inner()))?;
    let ranks = ranks(seats, &report)?;
    Ok(Outcome { result, ranks })
}

fn malformed(path: &str, error: &serde_json::Error) -> Refusal {
    Refusal::Malformed {
        path: path.to_owned(),
        problem: error.to_string(),
    }
}

/// The ranks of the teams. The winner is first; the others go by what their players scored together,
/// after them teams that nobody stayed in.
fn ranks(seats: &[Seat], report: &Report) -> Result<Option<Vec<usize>>, Refusal> {
    let team_of: BTreeMap<PlayerId, u16> =
        seats.iter().map(|seat| (seat.player, seat.team)).collect();
    let teams = seats.iter().map(|seat| usize::from(seat.team) + 1).max();
    let mut sides = vec![Side::default(); teams.unwrap_or_default()];
    let winner = match report.winner {
        None => None,
        Some(Winner::PlayerId(player)) => {
            Some(*team_of.get(&player).ok_or(Refusal::Stranger(player))?)
        }
        Some(Winner::Team(team)) if usize::from(team) < sides.len() => Some(team),
        Some(Winner::Team(team)) => return Err(Refusal::NoTeam(team)),
    };
    let standings = &report.standings;
    let players = report.players.unwrap_or(standings.len());
    if standings.len() > players {
        let standings = standings.len();
        return Err(Refusal::Count { standings, players });
    }
    let mut seen = BTreeSet::new();
    for standing in standings {
        let player = standing.player_id;
        let team = *team_of.get(&player).ok_or(Refusal::Stranger(player))?;
        if standing.team.is_some_and(|reported| reported != team) {
            return Err(Refusal::OtherTeam(player));
        }
        if !seen.insert(player) {
            return Err(Refusal::Twice(player));
        }
        if let Some(side) = sides.get_mut(usize::from(team)) {
            side.score += u64::from(standing.score);
            side.is_present |= !standing.left;
        }
    }
    // Nobody came, everybody left, or the server had to end: nobody has won or lost by that.
    let is_broken_off = matches!(&*report.reason, "Abandoned" | "ServerEnded");
    if standings.is_empty() || is_broken_off && winner.is_none() {
        return Ok(None);
    }
    let is_complete = standings.len() == players;
    if !is_complete && winner.is_none() {
        return Ok(None);
    }
    let place = |(team, side): (u16, &Side)| {
        let is_winner = winner == Some(team);
        // Sums without the last players say nothing: who did not win has lost.
        let result = is_complete.then_some((Reverse(side.is_present), Reverse(side.score)));
        (Reverse(is_winner), result.filter(|_| !is_winner))
    };
    let places: Vec<_> = (0..).zip(&sides).map(place).collect();
    let rank = |own: &_| 1 + places.iter().filter(|other| *other < own).count();
    Ok(Some(places.iter().map(rank).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ids::SessionId;

    fn player(number: u128) -> PlayerId {
        PlayerId(uuid::Uuid::from_u128(number))
    }

    /// Players 1, 2, … in teams of these sizes.
    fn seats(sizes: &[u128]) -> Vec<Seat> {
        let mut seats = Vec::new();
        for (team, size) in sizes.iter().enumerate() {
            for _ in 0..*size {
                let number = u128::try_from(seats.len() + 1).unwrap();
                seats.push(Seat {
                    player: player(number),
                    session: SessionId(uuid::Uuid::from_u128(number)),
                    team: u16::try_from(team).unwrap(),
                    rank: None,
                    ratings: None,
                });
            }
        }
        seats
    }

    fn standing(number: u128, score: u32) -> Value {
        json!({"playerId": player(number), "team": null, "score": score, "downs": 1, "left": false})
    }

    fn left(mut standing: Value) -> Value {
        standing["left"] = json!(true);
        standing
    }

    fn report(winner: &Value, standings: &[Value]) -> Value {
        json!({
            "reason": "TimeLimit",
            "winner": winner,
            "durationSeconds": 10,
            "players": standings.len(),
            "standings": standings,
        })
    }

    /// A case, sizes of teams, the winner, standings, ranks.
    type Row<'a> = (&'a str, &'a [u128], Value, &'a [Value], &'a [usize]);

    #[test]
    fn ranks_follow_the_winner_and_then_the_scores_of_teams() {
        let wins = |number| json!({"playerId": player(number)});
        let team = |team: u16| json!({"team": team});
        let duel: &[u128] = &[1, 1];
        let pairs: &[u128] = &[2, 2];
        let table: [Row<'_>; 9] = [
            (
                "a duel",
                duel,
                wins(2),
                &[standing(2, 5), standing(1, 2)],
                &[2, 1],
            ),
            (
                "a draw",
                duel,
                Value::Null,
                &[standing(1, 3), standing(2, 3)],
                &[1, 1],
            ),
            (
                "nobody scored",
                duel,
                Value::Null,
                &[standing(1, 0), standing(2, 0)],
                &[1, 1],
            ),
            (
                "who left loses against who stayed, whatever the score",
                duel,
                wins(1),
                &[left(standing(2, 9)), standing(1, 1)],
                &[1, 2],
            ),
            (
                "who never came is last",
                duel,
                wins(1),
                &[standing(1, 1)],
                &[1, 2],
            ),
            (
                "teams count together",
                pairs,
                team(1),
                &[
                    standing(1, 5),
                    standing(3, 4),
                    standing(4, 4),
                    standing(2, 0),
                ],
                &[2, 1],
            ),
            (
                "the server knows the winner, who scored less by our sums",
                pairs,
                team(0),
                &[left(standing(1, 9)), left(standing(2, 9)), standing(3, 3)],
                &[1, 2],
            ),
            (
                "all against all, with a tie behind the winner",
                &[1, 1, 1, 1],
                wins(3),
                &[
                    standing(3, 9),
                    standing(1, 4),
                    standing(4, 4),
                    standing(2, 1),
                ],
                &[2, 4, 1, 2],
            ),
            (
                "a team that left is behind one that lost",
                &[1, 1, 1],
                wins(1),
                &[standing(1, 9), left(standing(2, 8)), standing(3, 1)],
                &[1, 3, 2],
            ),
        ];
        for (case, sizes, winner, standings, expected) in table {
            let report = report(&winner, standings);
            let outcome = read(&seats(sizes), &report.to_string()).unwrap();
            assert_eq!(outcome.ranks.as_deref(), Some(expected), "{case}");
            assert_eq!(outcome.result, report, "{case}");
        }
    }

    #[test]
    fn what_says_nothing_about_skill_rates_nobody() {
        let two = [standing(1, 3), standing(2, 1)];
        let mut abandoned = report(&Value::Null, &two);
        abandoned["reason"] = json!("Abandoned");
        let mut ended = report(&Value::Null, &two);
        ended["reason"] = json!("ServerEnded");
        let mut truncated = report(&Value::Null, &two);
        truncated["players"] = json!(3);
        let nobody_came = report(&Value::Null, &[]);
        let of_another_game = json!({"boss": "defeated", "loot": [1, 2]});
        for result in [abandoned, ended, truncated, nobody_came, of_another_game] {
            let outcome = read(&seats(&[1, 1, 1]), &result.to_string()).unwrap();
            assert_eq!(
                outcome,
                Outcome {
                    result,
                    ranks: None
                }
            );
        }
    }

    #[test]
    fn of_a_result_that_was_cut_the_winner_counts() {
        let mut cut = report(&json!({"team": 1}), &[standing(1, 9), standing(2, 1)]);
        cut["players"] = json!(3);
        let outcome = read(&seats(&[1, 1, 1]), &cut.to_string()).unwrap();
        assert_eq!(outcome.ranks, Some(vec![2, 1, 2]));
    }

    #[test]
    fn reports_that_do_not_fit_the_match_are_refused() {
        let good = || vec![standing(1, 2), standing(2, 1)];
        let with = |change: &dyn Fn(&mut Vec<Value>)| {
            let mut standings = good();
            change(&mut standings);
            report(&Value::Null, &standings).to_string()
        };
        let table = [
            (
                with(&|standings| standings.push(standing(7, 1))),
                "is not in the match",
            ),
            (
                with(&|standings| standings.push(standing(1, 1))),
                "is there twice",
            ),
            (
                with(&|standings| standings[0]["team"] = json!(1)),
                "is in another team",
            ),
            (
                report(&json!({"playerId": player(7)}), &good()).to_string(),
                "is not in the match",
            ),
            (
                report(&json!({"team": 2}), &good()).to_string(),
                "there is no team 2",
            ),
            (
                report(&Value::Null, &good())
                    .to_string()
                    .replace(r#""players":2"#, r#""players":1"#),
                "it has 2 standings of 1 players",
            ),
            (
                with(&|standings| standings[1]["score"] = json!(-4)),
                "standings[1].score: invalid value",
            ),
            (
                with(&|standings| standings[1]["playerId"] = json!("ada")),
                "standings[1].playerId: UUID parsing failed",
            ),
            (r#"{"note": "\u0000"}"#.to_owned(), "U+0000"),
            ("[1]".to_owned(), ".: must be an object"),
            ("{\"reason\": ".to_owned(), ".: EOF"),
            ("[".repeat(4000), ".: recursion limit"),
            (
                json!({"text": "x".repeat(MOST_BYTES)}).to_string(),
                "bytes, of at most 8192",
            ),
        ];
        for (text, expected) in table {
            let refusal = read(&seats(&[1, 1]), &text).unwrap_err().to_string();
            assert!(refusal.contains(expected), "{refusal} has no {expected:?}");
        }
    }
}
