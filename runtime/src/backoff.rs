//! Exponential backoff with full jitter. Pure: the random share is an argument.

use std::time::Duration;

/// Bounds of a backoff.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Delay bound of the first retry.
    pub base: Duration,
    /// Greatest delay bound.
    pub cap: Duration,
}

impl Backoff {
    /// Returns the bound of retry number `attempt`, counted from 0: `base * 2^attempt`, capped.
    pub fn bound(&self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX);
        self.base
            .checked_mul(factor)
            .map_or(self.cap, |delay| delay.min(self.cap))
    }

    /// Returns the delay of retry number `attempt`: a share of the bound, `share` in 0..=1.
    ///
    /// At least half of the bound is kept, so that a retry is never immediate.
    pub fn delay(&self, attempt: u32, share: f64) -> Duration {
        self.bound(attempt)
            .mul_f64(0.5 + share.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_double_up_to_the_cap() {
        let backoff = Backoff {
            base: Duration::from_secs(1),
            cap: Duration::from_mins(5),
        };
        let seconds: Vec<_> = (0..12)
            .map(|attempt| backoff.bound(attempt).as_secs())
            .collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(backoff.bound(u32::MAX).as_secs(), 300);
        assert_eq!(backoff.delay(1, 0.0), Duration::from_secs(1));
        assert_eq!(backoff.delay(1, 1.0), Duration::from_secs(2));
    }
}
