//! When ticks are due: on absolute deadlines, so that no delay adds up. Pure.
//!
//! A server that could not keep up catches up by at most [`MOST_CATCH_UP`] ticks at once and drops
//! the rest of its debt: the game then runs late by that much, instead of ever later.

use std::time::Duration;

use simulation::inputs::Arrival;
use simulation::tick::{TICK_RATE, Tick};

/// Ticks that are made up for at once.
pub const MOST_CATCH_UP: u32 = 3;

/// A sixtieth of a second, rounded down; [`Pace`] does not add up the rounding.
pub const TICK: Duration = Duration::from_nanos(1_000_000_000 / 60);

/// The deadlines of one match.
#[derive(Clone, Debug)]
pub struct Pace {
    /// When tick 0 would have been.
    start: Duration,
    /// Ticks done since.
    done: u64,
}

/// What is to be done at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Ticks to execute now.
    pub ticks: u32,
    /// Ticks of debt that are given up.
    pub dropped: u64,
    /// How late the first of them is.
    pub lateness: Duration,
}

impl Pace {
    /// The first tick is due at `first`.
    pub const fn new(first: Duration) -> Self {
        Self {
            start: first,
            done: 0,
        }
    }

    /// When the next tick is due.
    pub fn deadline(&self) -> Duration {
        self.start + span(self.done)
    }

    /// What is due now. It counts as done.
    pub fn due(&mut self, now: Duration) -> Due {
        let deadline = self.deadline();
        let Some(lateness) = now.checked_sub(deadline) else {
            return Due {
                ticks: 0,
                dropped: 0,
                lateness: Duration::ZERO,
            };
        };
        let behind = u64::try_from(lateness.as_nanos() / TICK.as_nanos()).unwrap_or(u64::MAX);
        let dropped = behind.saturating_sub(u64::from(MOST_CATCH_UP));
        let ticks = 1 + u32::try_from(behind - dropped).unwrap_or(MOST_CATCH_UP);
        self.start += span(dropped);
        self.done += u64::from(ticks);
        Due {
            ticks,
            dropped,
            lateness,
        }
    }

    /// How a packet that comes `now` relates to the tick `next`, which is executed next.
    pub fn arrival(&self, now: Duration, next: Tick) -> Arrival {
        let left = self.deadline().saturating_sub(now);
        let quarters = left.as_nanos() * 4 / TICK.as_nanos();
        Arrival {
            next,
            quarters: u8::try_from(quarters).unwrap_or(u8::MAX).min(4),
        }
    }
}

fn span(ticks: u64) -> Duration {
    let rate = u64::from(TICK_RATE);
    let rest = (ticks % rate) * 1_000_000_000 / rate;
    Duration::from_secs(ticks / rate) + Duration::from_nanos(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Duration = Duration::from_secs(100);

    #[test]
    fn an_hour_has_as_many_ticks_as_it_should() {
        let mut pace = Pace::new(START);
        let mut ticks = 0;
        while pace.deadline() < START + Duration::from_hours(1) {
            let due = pace.due(pace.deadline());
            assert_eq!(
                (due.ticks, due.dropped, due.lateness),
                (1, 0, Duration::ZERO)
            );
            ticks += 1;
        }
        assert_eq!(ticks, 60 * 3600);
    }

    #[test]
    fn debt_is_made_up_for_in_part_and_then_dropped() {
        let mut pace = Pace::new(START);
        assert_eq!(
            pace.due(START.saturating_sub(Duration::from_nanos(1)))
                .ticks,
            0
        );
        let late = START + TICK * 10;
        let due = pace.due(late);
        assert_eq!((due.ticks, due.dropped), (4, 7));
        assert_eq!(pace.due(late).ticks, 0);
        assert!(pace.deadline() > late);
        assert!(pace.deadline() <= late + TICK + Duration::from_nanos(20));
    }

    proptest! {
        /// However the thread is woken: a tick is never early, and the next deadline never more
        /// than one tick away.
        #[test]
        fn the_next_deadline_is_near(delays in prop::collection::vec(0_u64..200_000_000, 1..100)) {
            let mut pace = Pace::new(START);
            let mut now = START;
            for delay in delays {
                now += Duration::from_nanos(delay);
                let due = pace.due(now);
                prop_assert!(due.ticks <= 1 + MOST_CATCH_UP);
                prop_assert!(due.dropped == 0 || due.ticks == 1 + MOST_CATCH_UP);
                prop_assert!(pace.deadline() > now);
                prop_assert!(pace.deadline() <= now + TICK + Duration::from_micros(1));
                prop_assert!(pace.arrival(now, Tick(7)).quarters <= 4);
            }
        }
    }
}
