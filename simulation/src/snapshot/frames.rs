//! The newest frames of a match, with every entity found in one step.

use super::REMEMBERED;
use crate::entity::{EntityId, MAX_PLAYERS};
use crate::frame::{EntityState, WorldFrame};
use crate::tick::Tick;

/// How many entities a match can have. Inside, each has an index: players first, then props.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    players: u16,
    props: u16,
}

impl Space {
    /// Room for this many players and props; at most 1,024 each.
    pub fn new(players: u16, props: u16) -> Self {
        Self {
            players: players.min(MAX_PLAYERS),
            props: props.min(MAX_PLAYERS),
        }
    }

    /// How many there can be.
    pub const fn len(self) -> usize {
        self.players as usize + self.props as usize
    }

    /// Whether there is no room for anything.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The index of an entity; none if there is no room for it.
    pub const fn index(self, id: EntityId) -> Option<u16> {
        if id.0 < self.players {
            Some(id.0)
        } else if id.0 >= MAX_PLAYERS && id.0 - MAX_PLAYERS < self.props {
            Some(id.0 - MAX_PLAYERS + self.players)
        } else {
            None
        }
    }

    /// The entity with an index.
    pub const fn id(self, index: u16) -> EntityId {
        if index < self.players {
            EntityId(index)
        } else {
            EntityId(index - self.players + MAX_PLAYERS)
        }
    }
}

/// The newest [`REMEMBERED`] frames of a match.
#[derive(Debug)]
pub struct Frames {
    space: Space,
    newest: Tick,
    ticks: Vec<Tick>,
    /// One row of all indexes per frame.
    states: Vec<Option<EntityState>>,
    /// When each entity last came, went or changed.
    changed: Vec<Tick>,
}

impl Frames {
    pub(super) fn new(space: Space) -> Self {
        Self {
            space,
            newest: Tick(0),
            ticks: vec![Tick(0); REMEMBERED as usize],
            states: vec![None; REMEMBERED as usize * space.len()],
            changed: vec![Tick(0); space.len()],
        }
    }

    /// Room for entities.
    pub const fn space(&self) -> Space {
        self.space
    }

    /// The tick of the newest frame; 0 before the first.
    pub const fn newest(&self) -> Tick {
        self.newest
    }

    /// The state of an entity at the end of a tick that is remembered.
    pub fn get(&self, tick: Tick, index: u16) -> Option<&EntityState> {
        let row = tick.0 % REMEMBERED;
        if self.ticks[row as usize] != tick || usize::from(index) >= self.space.len() {
            return None;
        }
        self.states[row as usize * self.space.len() + usize::from(index)].as_ref()
    }

    /// When an entity last came, went or changed.
    pub(super) fn changed(&self, index: u16) -> Tick {
        self.changed[usize::from(index)]
    }

    /// Adds the frame of a new tick. Entities without room are left out.
    pub(super) fn publish(&mut self, frame: &WorldFrame) {
        let count = self.space.len();
        let row = (frame.tick.0 % REMEMBERED) as usize;
        self.states[row * count..][..count].fill(None);
        for state in &frame.entities {
            if let Some(index) = self.space.index(state.id) {
                self.states[row * count + usize::from(index)] = Some(*state);
            }
        }
        self.ticks[row] = frame.tick;
        let last = (self.newest.0 % REMEMBERED) as usize;
        for index in 0..count {
            // After a leap over all remembered frames there is nothing left to compare with.
            if row == last || self.states[row * count + index] != self.states[last * count + index]
            {
                self.changed[index] = frame.tick;
            }
        }
        self.newest = frame.tick;
    }
}
