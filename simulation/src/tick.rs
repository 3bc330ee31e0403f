//! Time in the simulation: whole ticks, never seconds in floating point.

use serde::{Deserialize, Serialize};

/// Ticks per second.
pub const TICK_RATE: u32 = 60;

/// Seconds per tick.
pub const TICK_SECONDS: f32 = 1.0 / 60.0;

/// A tick since the start of a match; the first is 1. At 60 Hz it lasts for two years.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Tick(pub u32);

impl Tick {
    /// The tick after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// The tick `count` later.
    #[must_use]
    pub const fn after(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The tick `count` earlier, or the zeroth.
    #[must_use]
    pub const fn before(self, count: u32) -> Self {
        Self(self.0.saturating_sub(count))
    }

    /// Ticks from `earlier` to this one; negative if it is the later of the two.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 as i64 - earlier.0 as i64
    }
}
