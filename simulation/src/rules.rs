//! The course of a match: waiting, countdown, playing, ended.
//!
//! A pure state machine. Once per tick it is told the [`Facts`] and says whether the phase
//! changes; it owns no players and no clock. Spectators do not exist for it: they have no entity,
//! no slot and no say in whether a match starts.

use serde::{Deserialize, Serialize};

use crate::entity::PlayerSlot;
use crate::tick::Tick;

/// A side in a match with teams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Team(pub u8);

/// What a match is played to. All times are in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Players who have to be there for the countdown to start before the deadline.
    pub min_players: u16,
    /// How long a match waits for its players. Then it starts with whoever is there, or ends.
    pub wait_ticks: u32,
    /// How long the countdown takes.
    pub countdown_ticks: u32,
    /// How long is played at most.
    pub time_limit_ticks: u32,
    /// The score of a player or team that ends the match.
    pub score_limit: u16,
    /// How long nobody may be there before the match counts as abandoned.
    pub abandon_ticks: u32,
    /// How long a player who is down stays down. At least [`Rules::SHORTEST_RESPAWN`].
    pub respawn_ticks: u32,
    /// Whether players may join while it is played, and empty places are worth filling.
    pub late_join: bool,
}

impl Rules {
    /// Nobody starts again while a shot could still meet them where they went down.
    pub const SHORTEST_RESPAWN: u32 = crate::history::HISTORY_TICKS + 1;
}

impl Default for Rules {
    /// Two players, 30 s of waiting, 3 s of countdown, 5 minutes, 50 points, 10 s until
    /// abandoned, 2 s until a respawn, late join.
    fn default() -> Self {
        Self {
            min_players: 2,
            wait_ticks: 1_800,
            countdown_ticks: 180,
            time_limit_ticks: 18_000,
            score_limit: 50,
            abandon_ticks: 600,
            respawn_ticks: 120,
            late_join: true,
        }
    }
}

/// Where a match is in its course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Waits for its players, who may already move.
    WaitingForPlayers,
    /// Starts in a moment.
    Countdown,
    /// Shots and scores count.
    Playing,
    /// It is over.
    Ended(EndReason),
}

/// Why a match ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EndReason {
    /// A player or team has the score.
    ScoreLimit,
    /// The time is over.
    TimeLimit,
    /// Nobody came, or everybody left.
    Abandoned,
}

/// What the course of a match depends on, at the end of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// When.
    pub tick: Tick,
    /// Players who are there, without those whose connection is lost.
    pub players: u16,
    /// The highest score of a player or team.
    pub leading: u16,
}

/// How far a match is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    phase: Phase,
    since: Tick,
    /// The last tick in which somebody was there.
    occupied: Tick,
}

impl Course {
    /// A match that waits since `tick`.
    pub const fn new(tick: Tick) -> Self {
        Self {
            phase: Phase::WaitingForPlayers,
            since: tick,
            occupied: tick,
        }
    }

    /// Where it is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Since when.
    pub const fn since(&self) -> Tick {
        self.since
    }

    /// Ticks until the phase ends by itself, if it does.
    pub const fn left(&self, rules: &Rules, now: Tick) -> Option<u32> {
        let limit = match self.phase {
            Phase::WaitingForPlayers => rules.wait_ticks,
            Phase::Countdown => rules.countdown_ticks,
            Phase::Playing => rules.time_limit_ticks,
            Phase::Ended(_) => return None,
        };
        // A limit may be as large as a number of ticks can be: do not add to it.
        Some(limit.saturating_sub(now.0.saturating_sub(self.since.0)))
    }

    /// Goes on by one tick. Returns the phase if it is a new one.
    pub fn step(&mut self, rules: &Rules, facts: &Facts) -> Option<Phase> {
        if facts.players > 0 {
            self.occupied = facts.tick;
        }
        let over = self.left(rules, facts.tick) == Some(0);
        let next = match self.phase {
            Phase::WaitingForPlayers if facts.players >= rules.min_players.max(1) => {
                Phase::Countdown
            }
            Phase::WaitingForPlayers if over && facts.players > 0 => Phase::Countdown,
            Phase::WaitingForPlayers if over => Phase::Ended(EndReason::Abandoned),
            // Whoever is there when the countdown ends, plays; with nobody it waits again.
            Phase::Countdown if facts.players == 0 => Phase::WaitingForPlayers,
            Phase::Countdown if over => Phase::Playing,
            Phase::Playing if facts.leading >= rules.score_limit => {
                Phase::Ended(EndReason::ScoreLimit)
            }
            Phase::Playing if over => Phase::Ended(EndReason::TimeLimit),
            Phase::Playing if facts.tick.since(self.occupied) >= rules.abandon_ticks.into() => {
                Phase::Ended(EndReason::Abandoned)
            }
            Phase::WaitingForPlayers | Phase::Countdown | Phase::Playing | Phase::Ended(_) => {
                return None;
            }
        };
        self.phase = next;
        self.since = facts.tick;
        Some(next)
    }
}

/// How a player did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Who.
    pub slot: PlayerSlot,
    /// For which side.
    pub team: Option<Team>,
    /// Others brought down.
    pub score: u16,
    /// Times down.
    pub downs: u16,
    /// Whether the player left before the end.
    pub left: bool,
}

impl Standing {
    /// Adds what was reached at another time, by the same player or for the same side.
    pub const fn add(&mut self, other: &Self) {
        self.score = self.score.saturating_add(other.score);
        self.downs = self.downs.saturating_add(other.downs);
    }
}

/// Who won.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Winner {
    /// A player without a team.
    Player(PlayerSlot),
    /// A team.
    Team(Team),
    /// Several have the highest score, or nobody scored.
    Nobody,
}

/// The result of a match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchResult {
    /// Why it ended.
    pub reason: EndReason,
    /// Who won.
    pub winner: Winner,
    /// How long it was played, in ticks.
    pub duration_ticks: u32,
    /// Everybody who played, best first.
    pub standings: Vec<Standing>,
}

/// The highest score and who has it: teams by the sum of their players, those who left included,
/// and players without one by their own. Who plays alone and left cannot win any more: somebody
/// else may have the slot by now.
pub fn leader(standings: impl Iterator<Item = Standing>) -> (u16, Winner) {
    let mut best = (0, Winner::Nobody);
    let mut contend = |score: u16, who: Winner| {
        if score > best.0 {
            best = (score, who);
        } else if score == best.0 {
            best.1 = Winner::Nobody;
        }
    };
    let mut teams = [0_u16; 256];
    for standing in standings {
        match standing.team {
            None if standing.left => {}
            None => contend(standing.score, Winner::Player(standing.slot)),
            Some(Team(team)) => {
                if let Some(sum) = teams.get_mut(usize::from(team)) {
                    *sum = sum.saturating_add(standing.score);
                }
            }
        }
    }
    for (team, sum) in (0..=u8::MAX).zip(teams) {
        contend(sum, Winner::Team(Team(team)));
    }
    best
}

#[cfg(test)]
mod tests;
