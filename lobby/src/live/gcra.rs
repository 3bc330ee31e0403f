//! The generic cell rate algorithm: what the script in Valkey does, as a function.
//!
//! The state is the moment at which the limit is as if nothing had come. Moments and spans are
//! whole microseconds, which a script's floating-point numbers hold exactly. Pure.

use std::time::Duration;

/// No limit reaches farther than a year: sums stay below 2^53.
const REACH: i64 = 365 * 24 * 60 * 60 * 1_000_000;

/// The greatest burst.
const BURST: u32 = 1_000_000;

/// A rate as the algorithm counts: at least one at once, and spans within reach.
pub(super) fn parts(burst: u32, period: Duration) -> (i64, i64) {
    let burst = i64::from(burst.clamp(1, BURST));
    let period = i64::try_from(period.as_micros())
        .unwrap_or(REACH)
        .clamp(1, REACH / burst);
    (burst, period)
}

/// An attempt at `now`: the new state of one that passes, or how long one that does not has to wait.
///
/// A state that no attempts could have led to, after the clock went back, counts as the farthest
/// that could be.
pub fn gcra(now: i64, state: Option<i64>, burst: u32, period: Duration) -> Result<i64, Duration> {
    let (burst, period) = parts(burst, period);
    let tolerance = period * burst;
    let next = state.unwrap_or(now).clamp(now, now + tolerance) + period;
    match u64::try_from(next - tolerance - now) {
        Ok(wait) if wait > 0 => Err(Duration::from_micros(wait)),
        _ => Ok(next),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_800_000_000_000_000;

    #[test]
    fn a_burst_passes_and_then_one_in_a_period() {
        let mut state = None;
        let mut waits = Vec::new();
        for second in [0, 0, 1, 1, 9, 10, 10, 40] {
            let now = START + second * 1_000_000;
            match gcra(now, state, 3, Duration::from_secs(10)) {
                Ok(next) => {
                    state = Some(next);
                    waits.push(0);
                }
                Err(wait) => waits.push(wait.as_secs()),
            }
        }
        assert_eq!(waits, [0, 0, 0, 9, 1, 0, 10, 0]);
    }

    #[test]
    fn a_senseless_rate_still_limits() {
        for (burst, period) in [(0, Duration::ZERO), (u32::MAX, Duration::MAX)] {
            let next = gcra(START, None, burst, period).unwrap();
            assert!(next > START && next < 1 << 53);
        }
    }

    proptest! {
        #[test]
        fn who_waits_as_told_passes_and_no_sooner(
            burst in 1_u32..20,
            micros in 1_u64..5_000_000,
            state in proptest::option::of(START - 1_000_000..START + 200_000_000),
        ) {
            let period = Duration::from_micros(micros);
            if let Err(wait) = gcra(START, state, burst, period) {
                let wait = i64::try_from(wait.as_micros()).unwrap();
                let state = state.map(|state| state.min(START + i64::from(burst) * i64::try_from(micros).unwrap()));
                prop_assert!(gcra(START + wait - 1, state, burst, period).is_err());
                prop_assert!(gcra(START + wait, state, burst, period).is_ok());
            }
        }
    }
}
