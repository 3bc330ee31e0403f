//! What the end of a match does to its players, as a function of what both databases know.

use std::collections::BTreeMap;

use super::rows::Unfit;
use super::{Ending, Match, Rate, Rated};
use crate::ids::PlayerId;
use crate::ratings::Rating;

/// A player of a match that ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) player: PlayerId,
    pub(super) rank: Option<u16>,
    /// The mean before, and what the player has now.
    pub(super) rated: Option<(f64, Rated)>,
}

/// Ranks and rates the players of a match, in order of id.
pub(super) fn place(
    ended: &Match,
    known: &BTreeMap<PlayerId, Rated>,
    ending: &Ending,
    rate: &Rate<'_>,
) -> Result<Vec<Placed>, Unfit> {
    let teams = teams(ended);
    let newcomer = Rated {
        rating: ending.newcomer,
        matches: 0,
    };
    let of = |player| known.get(player).copied().unwrap_or(newcomer);
    let before: Vec<Vec<Rated>> = teams
        .iter()
        .map(|team| team.iter().map(of).collect())
        .collect();
    let ranks = ending.ranks.as_deref();
    let after = ranks.and_then(|ranks| rate(&before, ranks));
    if after.as_ref().is_some_and(|after| !fits(&before, after)) {
        return Err(Unfit::Ratings);
    }
    let mut placed = Vec::with_capacity(ended.seats.len());
    for (number, team) in teams.iter().enumerate() {
        let rank = ranks.and_then(|ranks| ranks.get(number));
        for (place, player) in team.iter().enumerate() {
            let before = before[number][place];
            let rated = after.as_ref().map(|after| Rated {
                rating: after[number][place],
                matches: before.matches.saturating_add(1),
            });
            placed.push(Placed {
                player: *player,
                rank: rank.and_then(|rank| u16::try_from(*rank).ok()),
                rated: rated.map(|after| (before.rating.mean, after)),
            });
        }
    }
    // Whoever locks rows of several players does so in this order.
    placed.sort_by_key(|placed| placed.player);
    Ok(placed)
}

/// The players of each team.
fn teams(ended: &Match) -> Vec<Vec<PlayerId>> {
    let mut teams: Vec<Vec<PlayerId>> = Vec::new();
    for seat in &ended.seats {
        let team = usize::from(seat.team);
        if teams.len() <= team {
            teams.resize_with(team + 1, Vec::new);
        }
        teams[team].push(seat.player);
    }
    teams
}

/// Whether there is a rating for each player, made of numbers.
fn fits(before: &[Vec<Rated>], after: &[Vec<Rating>]) -> bool {
    let has_sizes = before.iter().map(Vec::len).eq(after.iter().map(Vec::len));
    let is_finite = |rating: &Rating| {
        let Rating {
            mean,
            deviation,
            volatility,
        } = rating;
        [mean, deviation, volatility]
            .into_iter()
            .all(|number| number.is_finite())
    };
    has_sizes && after.iter().flatten().all(is_finite)
}
