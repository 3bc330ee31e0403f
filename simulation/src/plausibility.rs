//! What a player may claim, and how suspicious it is.
//!
//! Inputs are intents, so a lie in one cannot move anybody: what is out of range is put into
//! range here. What remains is aiming by a machine. It cannot be proven from one input, so it is
//! counted: [`Suspicion::score`] rises with turns and hits that hands rarely make, and falls with
//! time. What to do about a high score is the server's decision, not the simulation's.

use serde::{Deserialize, Serialize};

use crate::history::Moment;
use crate::input::{Buttons, Input};
use crate::mover::RADIUS;
use crate::tick::{TICK_RATE, Tick};

/// A turn in one tick that counts as a snap when it ends on a target: 20 degrees, which is 1,200
/// degrees per second.
const SNAP: u16 = 3_641;
/// A turn in one tick that hands make now and then but not all the time: 90 degrees.
const SPIN: u16 = 16_384;
/// How close to the middle of a target a snap ends, in meters.
const BULLSEYE: f32 = 0.25 * RADIUS;
/// Points of the score for a snap, a spin, a wrong view and an input out of range. One point is
/// forgotten per second.
const POINTS: Points = Points {
    snap: 10,
    spin: 1,
    view: 2,
    range: 2,
};

struct Points {
    snap: u32,
    spin: u32,
    view: u32,
    range: u32,
}

/// What was counted about one player.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Suspicion {
    /// Points: below 100 is within what people do.
    pub score: u32,
    /// Shots fired.
    pub shots: u32,
    /// Shots that hit a player.
    pub hits: u32,
    /// Hits in the middle of a target right after a large turn.
    pub snaps: u32,
    /// Turns of more than a quarter in one tick.
    pub spins: u32,
    /// Views that went backward or into the future.
    pub wrong_views: u32,
    /// Inputs with something out of range.
    pub out_of_range: u32,
}

impl Suspicion {
    /// Notes the input of a tick: how far it turned the aim, and whether it was in range.
    pub fn observe(&mut self, now: Tick, turn: u16, in_range: bool) {
        if now.0.is_multiple_of(TICK_RATE) {
            self.score = self.score.saturating_sub(1);
        }
        if turn > SPIN {
            self.spins += 1;
            self.score += POINTS.spin;
        }
        if !in_range {
            self.out_of_range += 1;
            self.score += POINTS.range;
        }
    }

    /// Notes a shot; on a hit, how far from the middle it passed, after which turn.
    pub fn observe_shot(&mut self, miss: Option<f32>, turn: u16) {
        self.shots += 1;
        let Some(miss) = miss else {
            return;
        };
        self.hits += 1;
        if turn > SNAP && miss.abs() < BULLSEYE {
            self.snaps += 1;
            self.score += POINTS.snap;
        }
    }

    /// Puts the view of an input into order: it never goes backward, and never beyond the newest
    /// frame that there was. Returns what counts.
    pub fn view(&mut self, now: Tick, last: Moment, claim: Moment) -> Moment {
        let newest = Moment {
            tick: now.before(1),
            fraction: 0,
        };
        if claim < last || claim > newest {
            self.wrong_views += 1;
            self.score += POINTS.view;
        }
        claim.max(last).min(newest)
    }
}

/// An input in range: no button that there is not, and no intent beyond full speed.
#[must_use]
pub fn in_range(input: Input) -> Input {
    let known = Buttons::FIRE.with(Buttons::JUMP).with(Buttons::SPRINT);
    Input {
        east: input.east.max(-127),
        north: input.north.max(-127),
        buttons: Buttons(input.buttons.0 & known.0),
        ..input
    }
}

/// How far it is from one aim to another, either way, in 65,536ths of a turn.
pub const fn turn(from: u16, to: u16) -> u16 {
    let turn = to.wrapping_sub(from);
    if turn > 0x8000 {
        turn.wrapping_neg()
    } else {
        turn
    }
}

#[cfg(test)]
mod tests;
