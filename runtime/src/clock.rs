//! The one place that reads the wall clock. Decisions take the time as a value.
//!
//! Laboratories run under tokio's virtual time, which jumps ahead whenever everything waits. There
//! [`virtual_time`] makes the wall clock of the thread follow it, so that what is decided by the
//! time of day and what is decided by timers agree.

use std::cell::Cell;
use std::marker::PhantomData;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

thread_local! {
    /// What the time was at which moment of tokio's clock; none where the wall clock counts.
    static ORIGIN: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
}

/// Returns the current time.
pub fn now() -> Timestamp {
    match ORIGIN.get() {
        None => Timestamp::now(),
        Some((start, since)) => {
            let passed = SignedDuration::try_from(since.elapsed()).unwrap_or(SignedDuration::MAX);
            start.checked_add(passed).unwrap_or(Timestamp::MAX)
        }
    }
}

/// Virtual time of this thread; ends when it is dropped.
#[derive(Debug)]
#[must_use = "virtual time ends when this is dropped"]
pub struct Guard(
    /// Bound to its thread.
    PhantomData<*const ()>,
);

impl Drop for Guard {
    fn drop(&mut self) {
        ORIGIN.set(None);
    }
}

/// Makes [`now`] start at `start` and go on with tokio's clock, on this thread alone.
///
/// For tests: the clock of a runtime of one thread can be paused. Must be called inside that
/// runtime.
pub fn virtual_time(start: Timestamp) -> Guard {
    ORIGIN.set(Some((start, Instant::now())));
    Guard(PhantomData)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn virtual_time_follows_the_timers_of_its_thread() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let guard = virtual_time(start);
        assert_eq!(now(), start);
        tokio::time::sleep(Duration::from_hours(2)).await;
        assert_eq!(now().to_string(), "2026-01-01T02:00:00Z");
        let elsewhere = std::thread::spawn(now).join().unwrap();
        assert!(elsewhere > now());
        drop(guard);
        assert!(now() > start + SignedDuration::from_hours(2));
    }
}
