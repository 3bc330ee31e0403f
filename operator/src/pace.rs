//! Holds frequent writes apart, so that a burst of changes becomes few writes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Entries beyond which old ones are swept.
const SWEEP_ABOVE: usize = 1024;

/// When something was last done, by the uid of its object.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    last: Mutex<HashMap<String, Instant>>,
}

impl Pace {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            last: Mutex::default(),
        }
    }

    /// Takes note that it is done now and returns none, or returns how long to wait before.
    pub(crate) fn take(&self, uid: &str) -> Option<Duration> {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = last.get(uid) {
            let left = self.interval.saturating_sub(now.duration_since(*at));
            if !left.is_zero() {
                return Some(left);
            }
        }
        if last.len() >= SWEEP_ABOVE {
            last.retain(|_, at| now.duration_since(*at) < self.interval);
        }
        last.insert(uid.to_owned(), now);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_goes_at_once_and_the_next_waits() {
        let pace = Pace::new(Duration::from_millis(200));
        assert_eq!(pace.take("a"), None);
        assert_eq!(pace.take("b"), None);
        assert_eq!(pace.take("a"), Some(Duration::from_millis(200)));
        tokio::time::advance(Duration::from_millis(150)).await;
        assert_eq!(pace.take("a"), Some(Duration::from_millis(50)));
        tokio::time::advance(Duration::from_millis(50)).await;
        assert_eq!(pace.take("a"), None);
    }
}
