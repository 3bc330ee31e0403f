//! Where everybody was in the last half second, so that a shot meets what its player saw.
//!
//! Positions are the quantized ones of the frames, because those are what a client draws. Only
//! players are rewound: the level does not move, and props are hit where they are now.

use glam::{Vec3, Vec3Swizzles};

use crate::entity::PlayerSlot;
use crate::frame::{ground, height, quantize_ground, quantize_height};
use crate::level::Ray;
use crate::mover::RADIUS;
use crate::tick::Tick;

/// Ticks that are kept: 533 ms.
pub const HISTORY_TICKS: u32 = 32;
/// Furthest rewind, in ticks: 250 ms. Beyond that a shot meets the others where they no longer
/// believe to be.
pub const REWIND_LIMIT: u8 = 15;

/// A moment between two ticks, as a client drew it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment {
    /// The older of the two frames.
    pub tick: Tick,
    /// How far to the next one, in 256ths of a tick.
    pub fraction: u8,
}

/// A player in the way of a ray.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crossing {
    /// Who.
    pub slot: PlayerSlot,
    /// Where the ray, seen from above, meets the player, in meters from its origin.
    pub distance: f32,
    /// How far it passes from the player's middle, in meters; positive on the left.
    pub miss: f32,
    /// Where the player's feet were.
    pub feet: Vec3,
}

/// The ring of past positions: one row per tick, one entry per slot, a column per field.
#[derive(Debug, Clone)]
pub struct History {
    capacity: usize,
    newest: Tick,
    east: Vec<u16>,
    north: Vec<u16>,
    up: Vec<u16>,
    /// Whether there was someone who could be hit.
    present: Vec<bool>,
}

impl History {
    /// An empty one for the slots below `capacity`.
    pub fn new(capacity: u16) -> Self {
        let capacity = usize::from(capacity);
        let entries = capacity * HISTORY_TICKS as usize;
        Self {
            capacity,
            newest: Tick(0),
            east: vec![0; entries],
            north: vec![0; entries],
            up: vec![0; entries],
            present: vec![false; entries],
        }
    }

    /// Starts the row of a tick, in which nobody is present yet. Ticks come in order.
    pub fn start(&mut self, tick: Tick) {
        self.newest = tick;
        let row = self.row(tick);
        if let Some(present) = self.present.get_mut(row..row + self.capacity) {
            present.fill(false);
        }
    }

    /// Puts a player who can be hit into the row that was started last.
    pub fn record(&mut self, slot: PlayerSlot, position: Vec3) {
        let index = self.row(self.newest) + usize::from(slot.0);
        if usize::from(slot.0) >= self.capacity {
            return;
        }
        for (column, value) in [
            (&mut self.east, quantize_ground(position.x)),
            (&mut self.north, quantize_ground(position.z)),
            (&mut self.up, quantize_height(position.y)),
        ] {
            if let Some(entry) = column.get_mut(index) {
                *entry = value;
            }
        }
        if let Some(present) = self.present.get_mut(index) {
            *present = true;
        }
    }

    /// Forgets a player who left, so that the next one in the slot is not hit in its past.
    pub fn forget(&mut self, slot: PlayerSlot) {
        for row in self.present.chunks_exact_mut(self.capacity) {
            if let Some(present) = row.get_mut(usize::from(slot.0)) {
                *present = false;
            }
        }
    }

    /// The moment that a shot in `now` is judged at: what its player claims to have seen, but at
    /// most `limit` ticks ago and not in the future.
    pub fn bound(now: Tick, claim: Moment, limit: u8) -> Moment {
        let newest = Moment {
            tick: now.before(1),
            fraction: 0,
        };
        let oldest = Moment {
            tick: now.before(u32::from(limit.min(REWIND_LIMIT))),
            fraction: 0,
        };
        claim.max(oldest).min(newest)
    }

    /// Where a player was, if there was one who could be hit.
    pub fn position(&self, slot: PlayerSlot, moment: Moment) -> Option<Vec3> {
        let slot = usize::from(slot.0);
        (slot < self.capacity)
            .then(|| {
                let row = self.row(moment.tick);
                self.at(slot, row, self.later(moment), moment.fraction)
            })
            .flatten()
    }

    /// The nearest player beyond `after` meters who stood in the way of a level ray, seen from above.
    /// `counts` tells whom the ray can meet at all.
    pub fn first_crossing(
        &self,
        ray: &Ray,
        moment: Moment,
        after: f32,
        counts: impl Fn(PlayerSlot) -> bool,
    ) -> Option<Crossing> {
        let origin = ray.origin.xz();
        let direction = ray.direction.xz();
        let row = self.row(moment.tick);
        let later = self.later(moment);
        let mut best: Option<Crossing> = None;
        let mut reach = ray.length;
        for (slot, index) in (0..).zip(0..self.capacity) {
            let Some(feet) = self.at(index, row, later, moment.fraction) else {
                continue;
            };
            let away = feet.xz() - origin;
            let miss = direction.perp_dot(away);
            let middle = direction.dot(away);
            if miss.abs() > RADIUS || middle < 0.0 || middle - RADIUS > reach {
                continue;
            }
            let half = libm::sqrtf(RADIUS * RADIUS - miss * miss);
            let distance = (middle - half).max(0.0);
            if distance > after && distance < reach && counts(PlayerSlot(slot)) {
                reach = distance;
                best = Some(Crossing {
                    slot: PlayerSlot(slot),
                    distance,
                    miss,
                    feet,
                });
            }
        }
        best
    }

    /// Where the row of a tick starts.
    const fn row(&self, tick: Tick) -> usize {
        (tick.0 % HISTORY_TICKS) as usize * self.capacity
    }

    /// The row after that of a moment, if it is there and needed.
    fn later(&self, moment: Moment) -> Option<usize> {
        let next = moment.tick.next();
        (moment.fraction > 0 && next <= self.newest).then(|| self.row(next))
    }

    /// The position of a slot in a row, on its way to the row `later`.
    fn at(&self, slot: usize, row: usize, later: Option<usize>, fraction: u8) -> Option<Vec3> {
        let first = self.entry(row + slot)?;
        let second = later.and_then(|row| self.entry(row + slot));
        let on = |second: Vec3| first + (second - first) * (f32::from(fraction) / 256.0);
        Some(second.map_or(first, on))
    }

    fn entry(&self, index: usize) -> Option<Vec3> {
        if !*self.present.get(index)? {
            return None;
        }
        Some(Vec3::new(
            ground(*self.east.get(index)?),
            height(*self.up.get(index)?),
            ground(*self.north.get(index)?),
        ))
    }
}

#[cfg(test)]
mod tests;
