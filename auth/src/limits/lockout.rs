//! Waiting after failures: who guesses a password, waits longer and longer; who owns the account,
//! is not kept out by that.
//!
//! An attempt counts as failed from its start, and only its success takes that back, or that it
//! came to no answer: any number of attempts at once are no more than those that may come one after
//! another, and one.

use std::time::Duration;

use crate::live::{Error, Key, Live, Rate};

/// How long to wait after how many failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// So many failures cost nothing.
    pub free: u32,
    /// The wait after as many; it doubles with each more.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// Failures are forgotten after this time without one more; longer than the longest wait, or
    /// waiting would wipe them out.
    pub window: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            free: 5,
            first: Duration::from_secs(1),
            longest: Duration::from_mins(15),
            window: Duration::from_hours(1),
        }
    }
}

impl Policy {
    /// The wait after so many failures.
    pub fn wait(&self, failures: u32) -> Option<Duration> {
        let more = failures.checked_sub(self.free)?;
        let factor = 1_u32.checked_shl(more).unwrap_or(u32::MAX);
        let wait = self.first.checked_mul(factor).unwrap_or(self.longest);
        Some(wait.min(self.longest))
    }
}

/// Where the failures of one account from one source are.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) failures: Key,
    /// One attempt in the time to wait.
    pub(super) turn: Key,
}

/// Takes an attempt, or tells how long to wait.
pub(super) async fn begin(
    live: &dyn Live,
    policy: &Policy,
    place: &Place,
) -> Result<Option<Duration>, Error> {
    let before = live.get(&place.failures).await?;
    let before: u32 = before
        .and_then(|count| String::from_utf8(count).ok()?.parse().ok())
        .unwrap_or(0);
    if before >= policy.free
        && let Some(wait) = turn(live, policy, place, before.saturating_add(1)).await?
    {
        return Ok(Some(wait));
    }
    let failures = live.count(&place.failures, policy.window).await?;
    if before < policy.free && failures >= policy.free {
        // The last that costs nothing sets the wait; those that overtook it have to wait for it.
        let wait = turn(live, policy, place, failures).await?;
        return Ok(wait.filter(|_| failures > policy.free));
    }
    Ok(None)
}

/// Takes the one turn in the wait after so many failures, or tells when the next one is.
async fn turn(
    live: &dyn Live,
    policy: &Policy,
    place: &Place,
    failures: u32,
) -> Result<Option<Duration>, Error> {
    let Some(period) = policy.wait(failures) else {
        return Ok(None);
    };
    let turn = live
        .throttle(&place.turn, Rate { burst: 1, period })
        .await?;
    Ok(turn.limited.then_some(turn.retry_after))
}

/// Counts one failure less, and lets the next attempt have the turn of this one.
pub(super) async fn take_back(live: &dyn Live, place: &Place) -> Result<(), Error> {
    live.uncount(&place.failures).await?;
    live.forget(&place.turn).await
}

/// Forgets the failures.
pub(super) async fn reset(live: &dyn Live, place: &Place) -> Result<(), Error> {
    live.forget(&place.failures).await?;
    live.forget(&place.turn).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let policy = Policy::default();
        let waits: Vec<_> = (0..18)
            .map(|failures| policy.wait(failures).map_or(0, |wait| wait.as_secs()))
            .collect();
        assert_eq!(
            waits,
            [
                0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900
            ]
        );
        assert_eq!(policy.wait(u32::MAX), Some(policy.longest));
        assert!(policy.window > policy.longest);
    }
}
