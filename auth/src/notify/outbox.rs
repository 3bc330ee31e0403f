//! The queue before a mailer or texter: bounded, with retries, never in anybody's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use runtime::backoff::Backoff;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::{Deliver, Undelivered};

/// Bounds of an outbox.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many messages may wait.
    pub queue: usize,
    /// How many are delivered at once.
    pub parallel: usize,
    /// How often one is tried.
    pub attempts: u32,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Between attempts.
    pub backoff: Backoff,
    /// How long what is being delivered may take when the process ends.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue: 1024,
            parallel: 8,
            attempts: 5,
            timeout: Duration::from_secs(20),
            backoff: Backoff {
                base: Duration::from_secs(2),
                cap: Duration::from_mins(1),
            },
            grace: Duration::from_secs(5),
        }
    }
}

/// What happened in an outbox.
#[derive(Debug, Default)]
pub struct Counters {
    /// Delivered.
    pub delivered: AtomicU64,
    /// Tried once more.
    pub retried: AtomicU64,
    /// Given up: refused for good, or too often.
    pub failed: AtomicU64,
    /// Dropped: the queue was full.
    pub dropped: AtomicU64,
}

/// Where messages are posted.
#[derive(Debug)]
pub struct Outbox<Message> {
    queue: mpsc::Sender<Message>,
    counters: Arc<Counters>,
}

impl<Message> Clone for Outbox<Message> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            counters: Arc::clone(&self.counters),
        }
    }
}

/// Delivers what is posted, for as long as it runs.
#[derive(Debug)]
pub struct Worker<Message> {
    queue: mpsc::Receiver<Message>,
    deliver: Arc<dyn Deliver<Message>>,
    limits: Limits,
    counters: Arc<Counters>,
}

/// An outbox with its worker, which must run.
pub fn outbox<Message: Send + Sync + 'static>(
    deliver: Arc<dyn Deliver<Message>>,
    limits: Limits,
) -> (Outbox<Message>, Worker<Message>) {
    let (sender, queue) = mpsc::channel(limits.queue.max(1));
    let counters = Arc::<Counters>::default();
    let outbox = Outbox {
        queue: sender,
        counters: Arc::clone(&counters),
    };
    let worker = Worker {
        queue,
        deliver,
        limits,
        counters,
    };
    (outbox, worker)
}

impl<Message> Outbox<Message> {
    /// Posts a message without waiting; false when the queue is full and it was dropped. The
    /// answer to a caller must not depend on it.
    pub fn post(&self, message: Message) -> bool {
        let posted = self.queue.try_send(message).is_ok();
        if !posted {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!("Dropped a message: the queue is full");
        }
        posted
    }

    /// What happened.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl<Message: Send + Sync + 'static> Worker<Message> {
    /// Delivers until the token is cancelled, then ends what was begun within the grace.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            queue,
            deliver,
            limits,
            counters,
        } = self;
        let stopped = stop.clone();
        let work = ReceiverStream::new(queue)
            .take_until(async move { stopped.cancelled().await })
            .for_each_concurrent(limits.parallel.max(1), |message| {
                let (deliver, counters) = (Arc::clone(&deliver), Arc::clone(&counters));
                persist(deliver, message, limits, counters)
            });
        let mut work = std::pin::pin!(work);
        if stop.run_until_cancelled(&mut work).await.is_none()
            && tokio::time::timeout(limits.grace, work).await.is_err()
        {
            tracing::warn!("Ended before every message was delivered");
        }
    }
}

/// Tries to deliver until it works, is refused for good, or was tried often enough.
async fn persist<Message>(
    deliver: Arc<dyn Deliver<Message>>,
    message: Message,
    limits: Limits,
    counters: Arc<Counters>,
) {
    let mut attempt = 0;
    loop {
        let delivery = tokio::time::timeout(limits.timeout, deliver.deliver(&message)).await;
        let error = match delivery {
            Ok(Ok(())) => {
                counters.delivered.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Ok(Err(error)) => error,
            Err(_) => Undelivered::Temporary("no answer in time".to_owned()),
        };
        attempt += 1;
        if matches!(error, Undelivered::Permanent(_)) || attempt >= limits.attempts {
            counters.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, attempt, "Gave a message up");
            return;
        }
        counters.retried.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%error, attempt, "A message is tried once more");
        let share = f64::from(u32::from_le_bytes(crate::crypto::random())) / f64::from(u32::MAX);
        tokio::time::sleep(limits.backoff.delay(attempt - 1, share)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use tokio::time::Instant;

    use super::*;

    /// What the script does with a delivery.
    #[derive(Clone, Copy, Debug)]
    enum Act {
        Takes,
        Defers,
        Refuses,
        Hangs,
    }

    #[derive(Debug, Default)]
    struct Script {
        acts: Mutex<VecDeque<Act>>,
        seen: Mutex<Vec<(u32, Duration)>>,
        began: Mutex<Option<Instant>>,
    }

    #[async_trait]
    impl Deliver<u32> for Script {
        async fn deliver(&self, message: &u32) -> Result<(), Undelivered> {
            let began = *self.began.lock().unwrap().get_or_insert_with(Instant::now);
            self.seen.lock().unwrap().push((*message, began.elapsed()));
            let act = self.acts.lock().unwrap().pop_front();
            match act.unwrap_or(Act::Takes) {
                Act::Takes => Ok(()),
                Act::Defers => Err(Undelivered::Temporary("busy".to_owned())),
                Act::Refuses => Err(Undelivered::Permanent("unknown".to_owned())),
                Act::Hangs => std::future::pending().await,
            }
        }
    }

    fn script(acts: &[Act]) -> Arc<Script> {
        Arc::new(Script {
            acts: Mutex::new(acts.iter().copied().collect()),
            ..Script::default()
        })
    }

    fn counts(counters: &Counters) -> [u64; 4] {
        [
            &counters.delivered,
            &counters.retried,
            &counters.failed,
            &counters.dropped,
        ]
        .map(|counter| counter.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_tried_until_it_is_taken_refused_or_tried_often_enough() {
        use Act::{Defers, Hangs, Refuses, Takes};
        for (acts, expected) in [
            (vec![Takes], [1, 0, 0, 0]),
            (vec![Defers, Hangs, Takes], [1, 2, 0, 0]),
            (vec![Refuses], [0, 0, 1, 0]),
            (vec![Defers, Refuses, Takes], [0, 1, 1, 0]),
            (vec![Defers; 9], [0, 4, 1, 0]),
            (vec![Hangs; 9], [0, 4, 1, 0]),
        ] {
            let script = script(&acts);
            let (outbox, worker) = outbox::<u32>(Arc::clone(&script) as _, Limits::default());
            assert!(outbox.post(1));
            let counters = Arc::clone(&outbox.counters);
            drop(outbox);
            worker.run(CancellationToken::new()).await;
            assert_eq!(counts(&counters), expected, "{acts:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_back_off() {
        let script = script(&[Act::Defers; 9]);
        let (outbox, worker) = outbox::<u32>(Arc::clone(&script) as _, Limits::default());
        outbox.post(1);
        drop(outbox);
        worker.run(CancellationToken::new()).await;
        let seen = script.seen.lock().unwrap();
        let waits: Vec<_> = seen
            .windows(2)
            .map(|pair| pair[1].1.saturating_sub(pair[0].1))
            .collect();
        for (wait, bound) in waits.iter().zip([2, 4, 8, 16]) {
            let bound = Duration::from_secs(bound);
            assert!(
                (bound / 2..=bound + Duration::from_millis(1)).contains(wait),
                "{waits:?}"
            );
        }
        assert_eq!(waits.len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_hangs_holds_up_nobody_else() {
        let script = script(&[Act::Hangs]);
        let (outbox, worker) = outbox::<u32>(Arc::clone(&script) as _, Limits::default());
        for message in 0..100 {
            outbox.post(message);
        }
        drop(outbox);
        worker.run(CancellationToken::new()).await;
        let seen = script.seen.lock().unwrap();
        assert!(
            seen[..100]
                .iter()
                .all(|(_, at)| *at < Duration::from_secs(1)),
            "{seen:?}"
        );
        assert_eq!(seen.len(), 101);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_drops_what_is_posted() {
        let limits = Limits {
            queue: 2,
            ..Limits::default()
        };
        let (outbox, worker) = outbox::<u32>(script(&[]) as _, limits);
        assert_eq!(
            [1, 2, 3].map(|message| outbox.post(message)),
            [true, true, false]
        );
        assert_eq!(counts(outbox.counters()), [0, 0, 0, 1]);
        drop(worker);
        assert!(!outbox.post(4), "nobody delivers any more");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_process_waits_for_what_was_begun_and_no_longer_than_the_grace() {
        for (acts, delivered) in [(vec![Act::Defers], 1), (vec![Act::Hangs], 0)] {
            let script = script(&acts);
            let (outbox, worker) = outbox::<u32>(Arc::clone(&script) as _, Limits::default());
            outbox.post(1);
            let stop = CancellationToken::new();
            let running = tokio::spawn(worker.run(stop.clone()));
            while script.seen.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            let began = Instant::now();
            stop.cancel();
            running.await.unwrap();
            assert!(began.elapsed() <= Limits::default().grace + Duration::from_millis(1));
            assert_eq!(counts(outbox.counters())[0], delivered, "{acts:?}");
        }
    }
}
