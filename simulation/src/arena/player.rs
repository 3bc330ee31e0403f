//! One player of an arena.

use crate::combat::FULL_HEALTH;
use crate::entity::{EntityId, PlayerSlot};
use crate::frame::{EntityFlags, EntityState, quantize_ground, quantize_height};
use crate::history::{Moment, REWIND_LIMIT};
use crate::mover::MoveState;
use crate::plausibility::Suspicion;
use crate::rules::{Standing, Team};
use crate::seeded::StateHash;
use crate::tick::Tick;

/// Whether a player is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Moves and shoots.
    Up,
    /// Lies there until a tick, then starts again.
    Down {
        /// The tick of the new start.
        until: Tick,
    },
}

/// A player, in full precision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Player {
    /// Where in the match.
    pub slot: PlayerSlot,
    /// For which side.
    pub team: Option<Team>,
    /// Where it is and how it moves: what a client predicts.
    pub motion: MoveState,
    /// The direction of the aim, in 65,536ths of a turn.
    pub aim: u16,
    /// Hit points, 0 when down.
    pub health: u8,
    /// Whether it is up.
    pub life: Life,
    /// How often it went down or started. When it changes, a client does not count the
    /// difference to what it predicted as a misprediction: it could not know.
    pub turns: u16,
    /// Whether its connection is lost.
    pub lost: bool,
    /// Others brought down.
    pub score: u16,
    /// Times down.
    pub downs: u16,
    /// What was counted about its inputs.
    pub suspicion: Suspicion,
    /// How far its shots are rewound at most, in ticks.
    pub(super) rewind: u8,
    /// The latest moment it claimed to have seen.
    pub(super) view: Moment,
    /// The first tick in which it may fire again.
    pub(super) ready: Tick,
    /// Whether it fired in the last tick.
    pub(super) fired: bool,
    /// How far it turned in the last tick and in the one before, in 65,536ths.
    pub(super) turned: [u16; 2],
}

impl Player {
    pub(super) fn new(slot: PlayerSlot, team: Option<Team>, start: MoveState, now: Tick) -> Self {
        Self {
            slot,
            team,
            motion: start,
            aim: 0,
            health: FULL_HEALTH,
            life: Life::Up,
            turns: 0,
            lost: false,
            score: 0,
            downs: 0,
            suspicion: Suspicion::default(),
            rewind: REWIND_LIMIT,
            view: Moment::default(),
            ready: now,
            fired: false,
            turned: [0; 2],
        }
    }

    /// Whether it is up.
    pub const fn is_up(&self) -> bool {
        matches!(self.life, Life::Up)
    }

    /// Whether it is of a team, as its friend; nobody is a friend without one.
    pub fn friend_of(&self, team: Option<Team>) -> bool {
        team.is_some() && self.team == team
    }

    /// How it does.
    pub const fn standing(&self) -> Standing {
        Standing {
            slot: self.slot,
            team: self.team,
            score: self.score,
            downs: self.downs,
            left: false,
        }
    }

    /// What others see of it.
    pub(super) fn entity(&self) -> EntityState {
        let position = self.motion.position;
        let mut flags = EntityFlags::default();
        for (flag, set) in [
            (EntityFlags::GROUNDED, self.motion.grounded),
            (EntityFlags::FIRING, self.fired),
            (EntityFlags::LOST, self.lost),
        ] {
            if set {
                flags = flags.with(flag);
            }
        }
        EntityState {
            id: EntityId::player(self.slot),
            x: quantize_ground(position.x),
            z: quantize_ground(position.z),
            y: quantize_height(position.y),
            yaw: self.aim >> 6,
            health: self.health,
            flags,
        }
    }

    /// Goes down until a tick.
    pub(super) fn go_down(&mut self, until: Tick) {
        self.life = Life::Down { until };
        self.health = 0;
        self.turns = self.turns.wrapping_add(1);
        self.downs = self.downs.saturating_add(1);
    }

    /// Starts again somewhere.
    pub(super) fn start(&mut self, start: MoveState) {
        self.life = Life::Up;
        self.health = FULL_HEALTH;
        self.turns = self.turns.wrapping_add(1);
        self.motion = start;
    }

    pub(super) fn fold(&self, hash: &mut StateHash) {
        let words = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        let team = self.team.map_or(0, |team| u32::from(team.0) + 1);
        let until = match self.life {
            Life::Up => 0,
            Life::Down { until } => until.0,
        };
        hash.word(words(u32::from(self.slot.0), team));
        hash.vec3(self.motion.position);
        hash.vec3(self.motion.velocity);
        hash.word(words(
            u32::from(self.aim) << 16 | u32::from(self.turns),
            until,
        ));
        hash.word(words(self.ready.0, self.view.tick.0));
        hash.word(words(
            u32::from(self.score) << 16 | u32::from(self.downs),
            self.suspicion.score,
        ));
        let bits = u32::from(self.motion.grounded) | u32::from(self.lost) << 1;
        let bytes = u32::from(self.health) << 16
            | u32::from(self.rewind) << 8
            | u32::from(self.view.fraction);
        hash.word(words(bits, bytes));
    }
}
