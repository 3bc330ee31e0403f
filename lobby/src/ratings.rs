//! How good players are, from the results of matches.
//!
//! Weng-Lin (the Bayesian method of Weng and Lin, 2011, also known as OpenSkill) for teams and for
//! more than two sides; Glicko-2 (Glickman, 2013) for one against one, where a queue asks for it.

use serde::{Deserialize, Serialize};
use skillratings::glicko2::{Glicko2Config, Glicko2Rating, glicko2};
use skillratings::weng_lin::{WengLinConfig, WengLinRating, weng_lin_multi_team};
use skillratings::{MultiTeamOutcome, Outcomes};

/// How ratings follow from results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum System {
    /// For any shape of match.
    #[default]
    WengLin,
    /// For matches of one against one.
    Glicko2,
}

/// A player's rating in one queue.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Rating {
    /// The best guess.
    pub mean: f64,
    /// How far off it may be: a standard deviation.
    pub deviation: f64,
    /// How erratic the player is: Glicko-2 alone. 0 with Weng-Lin.
    pub volatility: f64,
}

/// A result cannot be rated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Ranks are one for each team.
    #[error("there are {ranks} ranks for {teams} teams")]
    Ranks {
        /// How many ranks.
        ranks: usize,
        /// How many teams.
        teams: usize,
    },
    /// A team has nobody.
    #[error("team {0} has no players")]
    Empty(usize),
    /// Glicko-2 is about two players.
    #[error("Glicko-2 rates one against one; use Weng-Lin for other matches")]
    Shape,
}

impl System {
    /// Of a player nobody knows yet.
    pub fn newcomer(self) -> Rating {
        match self {
            Self::WengLin => WengLinRating::new().into(),
            Self::Glicko2 => Glicko2Rating::new().into(),
        }
    }

    /// The ratings after a match: of each player, in the order given. `ranks` are those of the
    /// teams, 1 for the best; equal ranks are a draw.
    pub fn rate(self, teams: &[Vec<Rating>], ranks: &[usize]) -> Result<Vec<Vec<Rating>>, Error> {
        if ranks.len() != teams.len() {
            return Err(Error::Ranks {
                ranks: ranks.len(),
                teams: teams.len(),
            });
        }
        if let Some(empty) = teams.iter().position(Vec::is_empty) {
            return Err(Error::Empty(empty));
        }
        match self {
            Self::WengLin => Ok(weng_lin(teams, ranks)),
            Self::Glicko2 => {
                let ([one, other], [first, second]) = (teams, ranks) else {
                    return Err(Error::Shape);
                };
                let ([one], [other]) = (&one[..], &other[..]) else {
                    return Err(Error::Shape);
                };
                let outcome = match first.cmp(second) {
                    std::cmp::Ordering::Less => Outcomes::WIN,
                    std::cmp::Ordering::Equal => Outcomes::DRAW,
                    std::cmp::Ordering::Greater => Outcomes::LOSS,
                };
                let config = Glicko2Config::new();
                let (one, other) = glicko2(&(*one).into(), &(*other).into(), &outcome, &config);
                Ok(vec![vec![one.into()], vec![other.into()]])
            }
        }
    }
}

fn weng_lin(teams: &[Vec<Rating>], ranks: &[usize]) -> Vec<Vec<Rating>> {
    let sides: Vec<Vec<WengLinRating>> = teams
        .iter()
        .map(|team| team.iter().copied().map(Into::into).collect())
        .collect();
    let ranked: Vec<(&[WengLinRating], MultiTeamOutcome)> = sides
        .iter()
        .map(Vec::as_slice)
        .zip(ranks.iter().copied().map(MultiTeamOutcome::new))
        .collect();
    let rated = weng_lin_multi_team(&ranked, &WengLinConfig::new());
    let team = |team: Vec<WengLinRating>| team.into_iter().map(Into::into).collect();
    rated.into_iter().map(team).collect()
}

impl From<WengLinRating> for Rating {
    fn from(rating: WengLinRating) -> Self {
        Self {
            mean: rating.rating,
            deviation: rating.uncertainty,
            volatility: 0.0,
        }
    }
}

impl From<Rating> for WengLinRating {
    fn from(rating: Rating) -> Self {
        Self {
            rating: rating.mean,
            uncertainty: rating.deviation,
        }
    }
}

impl From<Glicko2Rating> for Rating {
    fn from(rating: Glicko2Rating) -> Self {
        Self {
            mean: rating.rating,
            deviation: rating.deviation,
            volatility: rating.volatility,
        }
    }
}

impl From<Rating> for Glicko2Rating {
    fn from(rating: Rating) -> Self {
        Self {
            rating: rating.mean,
            deviation: rating.deviation,
            volatility: rating.volatility,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn who_wins_rises_and_everybody_is_known_better(
            sizes in prop::collection::vec(1..=5_usize, 2..=4),
        ) {
            let system = System::WengLin;
            let newcomer = system.newcomer();
            let teams: Vec<Vec<Rating>> = sizes.iter().map(|size| vec![newcomer; *size]).collect();
            let ranks: Vec<usize> = (1..=teams.len()).collect();
            let rated = system.rate(&teams, &ranks).unwrap();
            prop_assert!(rated[0][0].mean > newcomer.mean);
            prop_assert!(rated[teams.len() - 1][0].mean < newcomer.mean);
            for player in rated.iter().flatten() {
                prop_assert!(player.deviation < newcomer.deviation);
            }
            for (team, size) in rated.iter().zip(sizes) {
                prop_assert_eq!(team.len(), size);
            }
        }
    }

    /// The example of Glickman's paper, one of its three matches.
    #[test]
    fn glicko_rates_one_against_one() {
        let player = Rating {
            mean: 1500.0,
            deviation: 200.0,
            volatility: 0.06,
        };
        let weaker = Rating {
            mean: 1400.0,
            deviation: 30.0,
            volatility: 0.06,
        };
        let teams = [vec![player], vec![weaker]];
        let won = System::Glicko2.rate(&teams, &[1, 2]).unwrap();
        let lost = System::Glicko2.rate(&teams, &[2, 1]).unwrap();
        let drawn = System::Glicko2.rate(&teams, &[1, 1]).unwrap();
        assert!(lost[0][0].mean < drawn[0][0].mean && drawn[0][0].mean < player.mean);
        assert!(won[0][0].mean > player.mean);
        assert!((won[0][0].mean - 1563.6).abs() < 0.2, "{:?}", won[0][0]);
    }

    #[test]
    fn results_that_fit_no_match_are_refused() {
        let one = vec![System::WengLin.newcomer()];
        let rate = |system: System, teams: &[Vec<Rating>], ranks: &[usize]| {
            system.rate(teams, ranks).unwrap_err().to_string()
        };
        let two = [one.clone(), one.clone()];
        assert_eq!(
            rate(System::WengLin, &two, &[1]),
            "there are 1 ranks for 2 teams"
        );
        assert_eq!(
            rate(System::WengLin, &[one.clone(), Vec::new()], &[1, 2]),
            "team 1 has no players"
        );
        let crowd = [one.clone(), vec![one[0]; 2]];
        assert!(rate(System::Glicko2, &crowd, &[1, 2]).starts_with("Glicko-2"));
        let three = [one.clone(), one.clone(), one];
        assert!(rate(System::Glicko2, &three, &[1, 2, 3]).starts_with("Glicko-2"));
    }
}
