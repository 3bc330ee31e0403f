//! News within this process, and how often some may have been missed.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;

use super::{News, NewsReceiver};

/// How much news a receiver may lag behind before it misses some, which it is told by the channel;
/// a power of two, as the channel would round it up.
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

    pub(super) fn tell(&self, news: News) {
        // Nobody listens: that is no failure.
        self.sender.send(news).ok();
    }

    /// Tells that news may have been missed.
    pub(super) fn gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
        self.tell(News::Missed);
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
    use tokio::sync::broadcast::error::RecvError;

    use super::*;

    #[tokio::test]
    async fn a_gap_is_told_and_who_lags_hears_of_it() {
        let hub = Hub::new();
        hub.tell(News::KeysChanged);
        let mut receiver = hub.subscribe();
        hub.gap();
        assert_eq!(receiver.recv().await, Ok(News::Missed));
        assert_eq!(hub.gaps(), 1);
        for _ in 0..=CAPACITY {
            hub.tell(News::KeysChanged);
        }
        assert_eq!(receiver.recv().await, Err(RecvError::Lagged(1)));
        assert_eq!(receiver.recv().await, Ok(News::KeysChanged));
    }
}
