//! A place for work that takes much memory and a core: bounded in both, off the async threads.
//!
//! Eight hashes at once take a gibibyte. So a hash waits until there is memory and a core for it;
//! only so many wait, and only so long. Whoever is refused is told when to come back. Work whose
//! caller has gone before it began is not done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use crate::Failure;

/// The longest time that a refused caller is told to wait.
const MAX_RETRY: Duration = Duration::from_mins(1);

/// Bounds of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all work at once, in MiB. Work that takes more than this alone waits for all of it.
    pub memory_mib: u32,
    /// How much runs at once: the cores.
    pub parallel: u32,
    /// How much may wait.
    pub queue: usize,
    /// How long it may wait.
    pub wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            memory_mib: 512,
            parallel: u32::try_from(cores).unwrap_or(u32::MAX),
            queue: 64,
            wait: Duration::from_secs(5),
        }
    }
}

/// What happened in a pool.
#[derive(Debug, Default)]
pub struct Counters {
    /// Work that was done.
    pub done: AtomicU64,
    /// Refused: too much was waiting.
    pub refused_full: AtomicU64,
    /// Refused: waited too long.
    pub refused_late: AtomicU64,
    /// Not done: its caller had gone.
    pub abandoned: AtomicU64,
    /// Waits now.
    pub waiting: AtomicUsize,
    /// Time of all work that was done, in microseconds.
    pub busy_micros: AtomicU64,
}

/// The pool.
#[derive(Debug)]
pub struct Pool {
    limits: Limits,
    memory: Arc<Semaphore>,
    cores: Arc<Semaphore>,
    counters: Arc<Counters>,
}

/// Counts one that waits, until it no longer does, for whatever reason.
struct Waiting<'counters>(&'counters Counters);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// A pool of these bounds, each at least 1.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits {
            memory_mib: limits.memory_mib.max(1),
            parallel: limits.parallel.max(1),
            ..limits
        };
        let permits = |count: u32| {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)))
        };
        Self {
            memory: permits(limits.memory_mib),
            cores: permits(limits.parallel),
            counters: Arc::default(),
            limits,
        }
    }

    /// What happened.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Does some work that takes this much memory, when there is a place for it.
    pub async fn run<T: Send + 'static>(
        &self,
        memory_mib: u32,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let permits = self.place(memory_mib).await?;
        let (sender, receiver) = oneshot::channel();
        let counters = Arc::clone(&self.counters);
        tokio::task::spawn_blocking(move || {
            // The place is given back when the work ends, not when its caller goes.
            let place = permits;
            if sender.is_closed() {
                counters.abandoned.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let began = Instant::now();
            let result = work();
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            counters.busy_micros.fetch_add(took, Ordering::Relaxed);
            counters.done.fetch_add(1, Ordering::Relaxed);
            // First the place, so that whoever has the result finds it free.
            drop(place);
            // Nobody may be there any more.
            let _ = sender.send(result);
        });
        receiver.await.map_err(|_| Failure::internal())
    }

    async fn place(&self, memory_mib: u32) -> Result<[OwnedSemaphorePermit; 2], Failure> {
        let before = self.counters.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.counters);
        let memory_mib = memory_mib.clamp(1, self.limits.memory_mib);
        // Both queues are served in order of arrival, so that great work is not overtaken for ever.
        let places = async {
            let core = Arc::clone(&self.cores).acquire_owned().await;
            let memory = Arc::clone(&self.memory)
                .acquire_many_owned(memory_mib)
                .await;
            core.and_then(|core| Ok([core, memory?]))
        };
        let mut places = std::pin::pin!(places);
        // What finds a place at once has not waited.
        let at_once = futures::poll!(&mut places);
        let places = match at_once {
            std::task::Poll::Ready(places) => Ok(places),
            std::task::Poll::Pending if before >= self.limits.queue => {
                self.counters.refused_full.fetch_add(1, Ordering::Relaxed);
                return Err(Failure::overloaded(self.retry_after()));
            }
            std::task::Poll::Pending => tokio::time::timeout(self.limits.wait, places).await,
        };
        drop(waiting);
        let Ok(places) = places else {
            self.counters.refused_late.fetch_add(1, Ordering::Relaxed);
            return Err(Failure::overloaded(self.retry_after()));
        };
        places.map_err(|_| Failure::internal())
    }

    /// When what waits now will have been done, by how long work took so far.
    fn retry_after(&self) -> Duration {
        let done = self.counters.done.load(Ordering::Relaxed).max(1);
        let mean = self.counters.busy_micros.load(Ordering::Relaxed) / done;
        let waiting = u64::try_from(self.counters.waiting.load(Ordering::Relaxed)).unwrap_or(0);
        retry_after(Duration::from_micros(mean), waiting, self.limits.parallel)
    }
}

/// Whole seconds, since that is what the header takes; at least one.
fn retry_after(mean: Duration, waiting: u64, parallel: u32) -> Duration {
    let rounds = u32::try_from(waiting.div_ceil(u64::from(parallel.max(1)))).unwrap_or(u32::MAX);
    let total = mean.saturating_mul(rounds.max(1));
    let seconds = total.as_secs() + u64::from(total.subsec_nanos() > 0);
    Duration::from_secs(seconds.max(1)).min(MAX_RETRY)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::error::Code;

    fn limits() -> Limits {
        Limits {
            memory_mib: 100,
            parallel: 4,
            queue: 1,
            wait: Duration::from_mins(1),
        }
    }

    /// Work that is done when the sender is dropped.
    fn held() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (sender, receiver) = mpsc::channel::<()>();
        (sender, move || {
            receiver.recv().unwrap_err();
        })
    }

    /// Lets other tasks run until something is so.
    async fn until(so: impl Fn() -> bool) {
        tokio::time::timeout(Duration::from_mins(1), async {
            while !so() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn memory_and_cores_bound_what_runs_at_once() {
        for (memory_mib, places) in [(50, 2), (30, 3), (1, 4), (100, 1), (1_000, 1)] {
            let pool = Arc::new(Pool::new(Limits {
                queue: 8,
                ..limits()
            }));
            let mut ends = Vec::new();
            let mut tasks = Vec::new();
            for _ in 0..places + 2 {
                let (end, work) = held();
                ends.push(end);
                let pool = Arc::clone(&pool);
                tasks.push(tokio::spawn(
                    async move { pool.run(memory_mib, work).await },
                ));
            }
            let waiting = || pool.counters().waiting.load(Ordering::Relaxed);
            until(|| waiting() == 2).await;
            drop(ends);
            for task in tasks {
                task.await.unwrap().unwrap();
            }
            assert_eq!(waiting(), 0);
            assert_eq!(pool.counters().done.load(Ordering::Relaxed), places + 2);
        }
    }

    #[tokio::test]
    async fn what_finds_the_queue_full_is_refused_at_once_and_told_when_to_come_back() {
        let pool = Arc::new(Pool::new(limits()));
        let (end, work) = held();
        let (first, second) = (Arc::clone(&pool), Arc::clone(&pool));
        let first = tokio::spawn(async move { first.run(100, work).await });
        until(|| pool.memory.available_permits() == 0).await;
        let second = tokio::spawn(async move { second.run(1, || ()).await });
        until(|| pool.counters().waiting.load(Ordering::Relaxed) == 1).await;
        let refused = pool.run(1, || ()).await.unwrap_err();
        assert_eq!(refused.code, Code::Overloaded);
        assert_eq!(refused.retry_after, Some(Duration::from_secs(1)));
        assert_eq!(pool.counters().refused_full.load(Ordering::Relaxed), 1);
        drop(end);
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_queue_of_none_refuses_nothing_while_there_are_places() {
        let pool = Pool::new(Limits {
            queue: 0,
            ..limits()
        });
        assert_eq!(pool.run(100, || 7).await, Ok(7));
        assert_eq!(pool.run(100, || 8).await, Ok(8));
    }

    #[tokio::test]
    async fn what_waits_too_long_is_refused() {
        let pool = Arc::new(Pool::new(Limits {
            wait: Duration::from_millis(20),
            ..limits()
        }));
        let (end, work) = held();
        let first = Arc::clone(&pool);
        let first = tokio::spawn(async move { first.run(100, work).await });
        until(|| pool.memory.available_permits() == 0).await;
        let refused = pool.run(1, || ()).await.unwrap_err();
        assert_eq!(refused.code, Code::Overloaded);
        assert_eq!(pool.counters().refused_late.load(Ordering::Relaxed), 1);
        assert_eq!(pool.counters().waiting.load(Ordering::Relaxed), 0);
        drop(end);
        first.await.unwrap().unwrap();
        assert_eq!(pool.cores.available_permits(), 4, "the core was given back");
    }

    #[tokio::test]
    async fn a_caller_that_has_gone_is_not_served_and_blocks_nobody() {
        let pool = Arc::new(Pool::new(limits()));
        let (end, work) = held();
        let first = Arc::clone(&pool);
        let first = tokio::spawn(async move { first.run(100, work).await });
        until(|| pool.memory.available_permits() == 0).await;
        let (told, ran) = mpsc::channel();
        let gone = Arc::clone(&pool);
        let gone = tokio::spawn(async move { gone.run(1, move || told.send(()).unwrap()).await });
        until(|| pool.counters().waiting.load(Ordering::Relaxed) == 1).await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        assert_eq!(pool.counters().waiting.load(Ordering::Relaxed), 0);

        // One that goes while its work is done leaves its place to it.
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert_eq!(pool.memory.available_permits(), 0);
        drop(end);
        assert_eq!(pool.run(100, || 7).await, Ok(7));
        assert!(
            ran.recv().is_err(),
            "the work of the one that had gone was never done"
        );
    }

    #[test]
    fn work_whose_caller_goes_before_a_thread_is_free_is_not_done() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (end, other) = held();
            let other = tokio::task::spawn_blocking(other);
            let pool = Arc::new(Pool::new(limits()));
            let (told, ran) = mpsc::channel();
            let caller = Arc::clone(&pool);
            let caller =
                tokio::spawn(async move { caller.run(100, move || told.send(()).unwrap()).await });
            until(|| pool.memory.available_permits() == 0).await;
            caller.abort();
            assert!(caller.await.unwrap_err().is_cancelled());
            drop(end);
            other.await.unwrap();
            until(|| pool.memory.available_permits() == 100).await;
            assert!(ran.recv().is_err());
            assert_eq!(pool.counters().abandoned.load(Ordering::Relaxed), 1);
            assert_eq!(pool.counters().done.load(Ordering::Relaxed), 0);
        });
    }

    #[tokio::test]
    async fn work_that_fails_gives_its_place_back() {
        let pool = Pool::new(limits());
        let failed: Result<(), _> = pool.run(100, || panic!("as a defect does")).await;
        assert_eq!(failed.unwrap_err().code, Code::Internal);
        assert_eq!(pool.run(100, || 7).await, Ok(7));
    }

    #[test]
    fn the_time_to_come_back_follows_what_waits() {
        for (millis, waiting, parallel, seconds) in [
            (0, 0, 1, 1),
            (400, 1, 2, 1),
            (400, 64, 2, 13),
            (500, 4, 1, 2),
            (501, 4, 1, 3),
            (10_000, 1_000, 1, 60),
            (500, u64::MAX, 1, 60),
        ] {
            assert_eq!(
                retry_after(Duration::from_millis(millis), waiting, parallel),
                Duration::from_secs(seconds),
                "{millis} ms, {waiting} waiting, {parallel} at once"
            );
        }
    }
}
