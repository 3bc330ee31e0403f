//! The two clocks that the caller reads for us.

use std::time::Duration;

/// The time of one call.
///
/// Intervals are measured by the first clock, so that a step of the second neither drops players
/// nor keeps the dead; the second alone can be compared with the expiry of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Time since any fixed moment, by a clock that never steps.
    pub monotonic: Duration,
    /// Seconds since 1970 by the wall clock.
    pub unix_seconds: u64,
}

impl Now {
    /// Takes the later time as its own, keeping the monotonic clock monotonic.
    pub(crate) fn advance(&mut self, now: Self) {
        self.monotonic = self.monotonic.max(now.monotonic);
        self.unix_seconds = now.unix_seconds;
    }
}
