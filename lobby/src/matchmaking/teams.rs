//! Splits those who play together into even teams, without splitting a party.

use super::queue::Teams;

/// Steps of one search at most. It is complete for ten single players in two teams, and otherwise
/// the best of what was seen: the first that is seen puts each into the weakest team.
const BUDGET: u32 = 4096;

/// A ticket's players: they stay together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unit {
    /// How many they are.
    pub players: u16,
    /// The sum of their ratings.
    pub rating: f64,
}

/// A way to make teams.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The team of each unit, from 0.
    pub teams: Vec<u16>,
    /// Between the strongest and the weakest team: the difference of their mean ratings.
    pub gap: f64,
}

/// Splits units into teams that are full, as even as can be found. None when they do not fit.
pub fn split(units: &[Unit], teams: Teams) -> Option<Split> {
    let players: usize = units.iter().map(|unit| usize::from(unit.players)).sum();
    if players != teams.players() {
        return None;
    }
    let mut order: Vec<usize> = (0..units.len()).collect();
    // Large ones first: they have the fewest places. The strong ones first: what follows evens out.
    order.sort_by(|one, other| {
        let (one, other) = (units[*one], units[*other]);
        let by_rating = other.rating.total_cmp(&one.rating);
        other.players.cmp(&one.players).then(by_rating)
    });
    let mut search = Search {
        units,
        order,
        size: teams.size,
        team_of: vec![0; units.len()],
        rooms: vec![teams.size; usize::from(teams.count)],
        sums: vec![0.0; usize::from(teams.count)],
        left: BUDGET,
        best: None,
    };
    search.place(0);
    search.best
}

struct Search<'units> {
    units: &'units [Unit],
    /// In which order units are placed.
    order: Vec<usize>,
    size: u16,
    team_of: Vec<u16>,
    /// Places that are free in each team.
    rooms: Vec<u16>,
    sums: Vec<f64>,
    /// Steps that may still be done.
    left: u32,
    best: Option<Split>,
}

impl Search<'_> {
    fn place(&mut self, depth: usize) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let Some(&unit) = self.order.get(depth) else {
            self.keep();
            return;
        };
        let Unit { players, rating } = self.units[unit];
        let mut teams: Vec<usize> = (0..self.rooms.len()).collect();
        teams.sort_by(|one, other| self.sums[*one].total_cmp(&self.sums[*other]));
        let mut was_empty = false;
        for team in teams {
            let is_empty = self.rooms[team] == self.size;
            // Teams without anybody are alike: one of them is enough.
            if self.rooms[team] < players || (is_empty && was_empty) {
                continue;
            }
            was_empty |= is_empty;
            self.rooms[team] -= players;
            self.sums[team] += rating;
            self.team_of[unit] = u16::try_from(team).unwrap_or(u16::MAX);
            self.place(depth + 1);
            self.rooms[team] += players;
            self.sums[team] -= rating;
        }
    }

    fn keep(&mut self) {
        let strongest = self.sums.iter().copied().fold(f64::MIN, f64::max);
        let weakest = self.sums.iter().copied().fold(f64::MAX, f64::min);
        let gap = (strongest - weakest) / f64::from(self.size);
        if self.best.as_ref().is_none_or(|best| gap < best.gap) {
            let teams = self.team_of.clone();
            self.best = Some(Split { teams, gap });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unit(players: u16, mean: f64) -> Unit {
        Unit {
            players,
            rating: f64::from(players) * mean,
        }
    }

    /// The least gap of all ways to fill two teams.
    fn least_gap(units: &[Unit], size: u16) -> Option<f64> {
        let total: f64 = units.iter().map(|unit| unit.rating).sum();
        let ways = (0..1_u32 << units.len()).filter_map(|chosen| {
            let team = |index: usize| chosen & (1 << index) != 0;
            let first = units.iter().enumerate().filter(|(index, _)| team(*index));
            let (players, rating) = first.fold((0, 0.0), |(players, rating), (_, unit)| {
                (players + unit.players, rating + unit.rating)
            });
            let gap = (2.0 * rating - total).abs() / f64::from(size);
            (players == size).then_some(gap)
        });
        ways.min_by(f64::total_cmp)
    }

    proptest! {
        #[test]
        fn two_teams_are_as_even_as_any(
            parties in prop::collection::vec((1_u16..=5, -100..100_i32), 1..=10),
        ) {
            let units: Vec<Unit> = parties
                .iter()
                .map(|(players, mean)| unit(*players, f64::from(*mean)))
                .collect();
            let players: u16 = units.iter().map(|unit| unit.players).sum();
            let teams = Teams { count: 2, size: players / 2 };
            let split = split(&units, teams);
            if players % 2 == 1 {
                prop_assert_eq!(split, None);
            } else {
                let least = least_gap(&units, teams.size);
                prop_assert_eq!(split.is_some(), least.is_some());
                if let (Some(split), Some(least)) = (split, least) {
                    prop_assert!((split.gap - least).abs() < 1e-9, "{} {least}", split.gap);
                }
            }
        }
    }

    #[test]
    fn parties_that_fit_no_team_make_no_teams() {
        let teams = Teams { count: 2, size: 5 };
        let parties = [unit(3, 0.0), unit(3, 0.0), unit(4, 0.0)];
        assert_eq!(split(&parties, teams), None);
        assert!(split(&[unit(3, 0.0), unit(2, 9.0), unit(5, 1.0)], teams).is_some());
        assert_eq!(split(&[unit(5, 0.0)], teams), None);
    }

    #[test]
    fn many_players_are_split_within_the_budget() {
        let units: Vec<Unit> = (0..200).map(|rank| unit(1, f64::from(rank))).collect();
        let teams = Teams { count: 4, size: 50 };
        let split = split(&units, teams).unwrap();
        assert!(split.gap <= 2.0, "{}", split.gap);
        for team in 0..4 {
            assert_eq!(split.teams.iter().filter(|of| **of == team).count(), 50);
        }
    }
}
