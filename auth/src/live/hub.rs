//! News within this process, and how often some may have been missed.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;

use super::{News, NewsReceiver};

/// How much news a receiver may lag behind before it misses some; a power of two, as the channel
/// would round it up.
const CAPACITY: usize = 1024;

/// Hands news to every receiver of this process.
#[derive(Debug)]
pub(super) struct Hub {
    sender: broadcast::Sender<News>,
    gaps: AtomicU64,
}

impl Hub {
    pub(super) fn new() -> Self {
        Self {
            sender: broadcast::Sender::new(CAPACITY),
            gaps: AtomicU64::new(0),
        }
    }

    /// Hands it on. A receiver so far behind that it loses older news for this is a gap.
    pub(super) fn tell(&self, news: News) {
        if self.sender.len() >= CAPACITY {
            self.gap();
        }
        // Nobody listens: that is no failure.
        self.sender.send(news).ok();
    }

    /// Notes that news may have been missed.
    pub(super) fn gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn subscribe(&self) -> NewsReceiver {
        self.sender.subscribe()
    }

    pub(super) fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_receiver_that_lags_is_a_gap_and_one_that_keeps_up_is_none() {
        let hub = Hub::new();
        hub.tell(News::KeysChanged);
        let mut quick = hub.subscribe();
        for _ in 0..2 * CAPACITY {
            hub.tell(News::KeysChanged);
            assert_eq!(quick.recv().await, Ok(News::KeysChanged));
        }
        assert_eq!(hub.gaps(), 0);
        for _ in 0..=CAPACITY {
            hub.tell(News::KeysChanged);
        }
        assert_eq!(hub.gaps(), 1);
    }
}
