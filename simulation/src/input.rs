//! What a player wants in one tick: intents, never positions.

use serde::{Deserialize, Serialize};

use crate::tick::Tick;

/// Buttons held in a tick, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct Buttons(pub u8);

impl Buttons {
    /// Fires in the direction of the aim.
    pub const FIRE: Self = Self(1);
    /// Jumps, if on the ground.
    pub const JUMP: Self = Self(1 << 1);
    /// Runs instead of walking.
    pub const SPRINT: Self = Self(1 << 2);

    /// Whether all of `other` are held.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a player wants in one tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct Input {
    /// Wanted movement along x (east), -127 to 127 of full speed. -128 counts as -127.
    pub east: i8,
    /// Wanted movement along z (north), as `east`. A vector longer than 127 is shortened.
    pub north: i8,
    /// The direction of the aim: 65,536ths of a turn, counterclockwise from east.
    pub aim: u16,
    /// Buttons held.
    pub buttons: Buttons,
    /// The moment of the others that the player saw: the tick of the older of the two frames that
    /// were interpolated. The server bounds how far it rewinds.
    pub view: Tick,
    /// How far between that frame and the next: 256ths of a tick.
    pub view_fraction: u8,
}
