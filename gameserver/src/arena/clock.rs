//! The clocks of the thread that ticks.

use std::time::Duration;

use netcode::Now;
use rustix::thread::{ClockId, clock_nanosleep_absolute};
use rustix::time::{Timespec, clock_gettime};

/// The time, by the monotonic clock and by the wall clock.
pub fn now() -> Now {
    Now {
        monotonic: monotonic(),
        unix_seconds: u64::try_from(runtime::clock::now().as_second()).unwrap_or_default(),
    }
}

/// The time since some moment, by the clock that never steps.
pub fn monotonic() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

/// Sleeps until a moment of the monotonic clock, or a little less or more.
pub fn sleep_until(moment: Duration) {
    let Ok(moment) = Timespec::try_from(moment) else {
        return;
    };
    // A signal may end the sleep early; the caller looks at the clock anyway.
    clock_nanosleep_absolute(ClockId::Monotonic, &moment).ok();
}
