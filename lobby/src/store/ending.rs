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
    let ranks = ending.ranks.as_deref().unwrap_or_default();
    let mut teams: Vec<Vec<PlayerId>> = Vec::new();
    for seat in &ended.seats {
        let team = usize::from(seat.team);
        if teams.len() <= team {
            teams.resize_with(team + 1, Vec::new);
        }
        teams[team].push(seat.player);
    }
    let newcomer = Rated {
        rating: ending.newcomer,
        matches: 0,
    };
    let before: Vec<Vec<Rated>> = teams
        .iter()
        .map(|team| {
            let of = |player| known.get(player).copied().unwrap_or(newcomer);
            team.iter().map(of).collect()
        })
        .collect();
    let after = match &ending.ranks {
        Some(ranks) => rate(&before, ranks),
        None => None,
    };
    if let Some(after) = &after
        && !fits(&before, after)
    {
        return Err(Unfit::Ratings);
    }
    let mut placed = Vec::with_capacity(ended.seats.len());
    for (number, team) in teams.iter().enumerate() {
        let rank = ranks.get(number).and_then(|rank| u16::try_from(*rank).ok());
        for (place, player) in team.iter().enumerate() {
            let before = before[number][place];
            let rated = after.as_ref().map(|after| {
                let after = Rated {
                    rating: after[number][place],
                    matches: before.matches.saturating_add(1),
                };
                (before.rating.mean, after)
            });
            placed.push(Placed {
                player: *player,
                rank,
                rated,
            });
        }
    }
    // Whoever locks rows of several players does so in this order.
    placed.sort_by_key(|placed| placed.player);
    Ok(placed)
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
