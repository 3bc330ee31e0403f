//! The generic cell rate algorithm: what the script in Valkey does, as a function.
//!
//! The state is the moment at which the limit is as if nothing had come. Moments and spans are
//! whole microseconds, which a script's floating-point numbers hold exactly. Pure.

use std::time::Duration;

use super::{Rate, Throttle};

/// No limit reaches farther than a year: sums stay below 2^53.
const REACH: i64 = 365 * 24 * 60 * 60 * 1_000_000;

/// The greatest burst.
const BURST: u32 = 1_000_000;

/// A rate as the algorithm counts: at least one at once, and spans within reach.
pub(super) fn parts(rate: Rate) -> (u32, i64) {
    let burst = rate.burst.clamp(1, BURST);
    let period = i64::try_from(rate.period.as_micros())
        .unwrap_or(REACH)
        .clamp(1, REACH / i64::from(burst));
    (burst, period)
}

/// Counts one attempt at `now` (microseconds since 1970); returns the new state and the answer.
///
/// A state that no attempts could have led to, after the clock went back, counts as the farthest
/// that could be.
pub fn gcra(now: i64, state: Option<i64>, rate: Rate) -> (Option<i64>, Throttle) {
    let (burst, period) = parts(rate);
    let tolerance = period * i64::from(burst);
    let empty = state.unwrap_or(now).clamp(now, now + tolerance);
    let next = empty + period;
    let wait = next - tolerance - now;
    let (state, reset) = if wait > 0 {
        (state, empty - now)
    } else {
        (Some(next), next - now)
    };
    let throttle = Throttle {
        limited: wait > 0,
        limit: burst,
        remaining: u32::try_from((tolerance - reset) / period).unwrap_or(burst),
        retry_after: span(wait),
        reset_after: span(reset),
    };
    (state, throttle)
}

/// So many microseconds; none if negative.
pub(super) fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_800_000_000_000_000;

    fn rates() -> impl Strategy<Value = Rate> {
        (1_u32..20, 1_u64..5_000_000).prop_map(|(burst, micros)| Rate {
            burst,
            period: Duration::from_micros(micros),
        })
    }

    #[test]
    fn a_burst_passes_and_then_one_in_a_period() {
        let rate = Rate {
            burst: 3,
            period: Duration::from_secs(10),
        };
        let mut state = None;
        let mut answers = Vec::new();
        for second in [0, 0, 1, 1, 9, 10, 10, 40] {
            let (next, throttle) = gcra(START + second * 1_000_000, state, rate);
            state = next;
            answers.push((
                throttle.limited,
                throttle.remaining,
                throttle.retry_after.as_secs(),
                throttle.reset_after.as_secs(),
            ));
        }
        assert_eq!(
            answers,
            [
                (false, 2, 0, 10),
                (false, 1, 0, 20),
                (false, 0, 0, 29),
                (true, 0, 9, 29),
                (true, 0, 1, 21),
                (false, 0, 0, 30),
                (true, 0, 10, 30),
                (false, 2, 0, 10),
            ]
        );
    }

    #[test]
    fn a_senseless_rate_still_limits() {
        for rate in [
            Rate {
                burst: 0,
                period: Duration::ZERO,
            },
            Rate {
                burst: u32::MAX,
                period: Duration::MAX,
            },
        ] {
            let (state, throttle) = gcra(START, None, rate);
            assert!(!throttle.limited);
            assert!(state.is_some_and(|next| next > START && next < 1 << 53));
        }
    }

    proptest! {
        #[test]
        fn no_window_lets_more_pass_than_the_rate(
            rate in rates(),
            steps in prop::collection::vec(0_i64..3_000_000, 1..80),
        ) {
            let (burst, period) = parts(rate);
            let mut now = START;
            let mut state = None;
            let mut passed = Vec::new();
            for step in steps {
                now += step;
                let (next, throttle) = gcra(now, state, rate);
                state = next;
                if !throttle.limited {
                    passed.push(now);
                }
            }
            for (index, first) in passed.iter().enumerate() {
                for (count, last) in passed.iter().skip(index).enumerate() {
                    let allowed = i64::from(burst) + (last - first) / period;
                    prop_assert!(i64::try_from(count).unwrap() < allowed);
                }
            }
        }

        #[test]
        fn who_waits_as_told_passes_and_no_sooner(
            rate in rates(),
            tries in 1_usize..40,
        ) {
            let mut state = None;
            for _ in 0..tries {
                let (next, throttle) = gcra(START, state, rate);
                prop_assert_eq!(throttle.limited, throttle.retry_after > Duration::ZERO);
                prop_assert!(throttle.remaining < throttle.limit);
                if throttle.limited {
                    prop_assert_eq!(next, state);
                    let wait = i64::try_from(throttle.retry_after.as_micros()).unwrap();
                    prop_assert!(!gcra(START + wait, state, rate).1.limited);
                    prop_assert!(gcra(START + wait - 1, state, rate).1.limited);
                }
                let reset = i64::try_from(throttle.reset_after.as_micros()).unwrap();
                prop_assert_eq!(gcra(START + reset, next, rate), gcra(START + reset, None, rate));
                state = next;
            }
        }

        #[test]
        fn a_clock_that_went_back_delays_by_one_full_burst_at_most(
            rate in rates(),
            back in 0_i64..1_000_000_000_000,
        ) {
            let state = gcra(START, None, rate).0;
            let throttle = gcra(START - back, state, rate).1;
            prop_assert!(throttle.retry_after <= span(parts(rate).1));
        }
    }
}
