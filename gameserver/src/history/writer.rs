//! The thread that writes: takes what waits, writes it, and tries again what failed.
//!
//! Nobody waits for it but whoever ends the process, and that for a limited time.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use prometheus::Registry;
use runtime::backoff::Backoff;
use runtime::service::chain;
use tokio::sync::oneshot;

use crate::arena::sink::{HistorySink, NoHistory};
use crate::history::block::Block;
use crate::history::metrics::{Loss, Metrics};
use crate::history::queue::{Batch, Bounds, Queue};
use crate::history::recorder::{self, Recorder};
use crate::history::store::{Error, Place, Store};

/// How patient the history is.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// What may wait. As much again as [`Limits::batch_blocks`] and [`Limits::batch_bytes`] can be
    /// with the writer.
    pub bounds: Bounds,
    /// Most blocks of a write.
    pub batch_blocks: usize,
    /// Bytes of a write, of which the last block may exceed them.
    pub batch_bytes: usize,
    /// Longest write.
    pub write: Duration,
    /// Pauses after failures.
    pub backoff: Backoff,
}

impl Default for Limits {
    /// A database may be gone for ten minutes, in at most 64 MiB.
    fn default() -> Self {
        Self {
            bounds: Bounds {
                blocks: 900,
                bytes: 64 << 20,
                age: Duration::from_mins(10),
            },
            batch_blocks: 32,
            batch_bytes: 4 << 20,
            write: Duration::from_secs(10),
            backoff: Backoff {
                base: Duration::from_millis(500),
                cap: Duration::from_secs(15),
            },
        }
    }
}

/// What was started; to end it.
#[derive(Debug)]
pub struct Writing {
    queue: Arc<Queue>,
    ended: oneshot::Receiver<()>,
    metrics: Metrics,
}

/// Starts the threads of the history. `entities` is how many a frame is expected to have.
pub fn start(
    store: Box<dyn Store>,
    entities: usize,
    limits: Limits,
    metrics: Metrics,
) -> std::io::Result<(Recorder, Writing)> {
    let queue = Arc::new(Queue::new(limits.bounds, metrics.clone()));
    let (end, ended) = oneshot::channel();
    let writer = Writer {
        store,
        queue: queue.clone(),
        limits,
        metrics: metrics.clone(),
    };
    // Before the writer, so that one which does not start leaves no thread that waits for ever.
    let recorder = recorder::start(entities, queue.clone(), &metrics)?;
    thread::Builder::new()
        .name("history-writer".to_owned())
        .spawn(move || {
            writer.run();
            // Nobody may be waiting for it.
            end.send(()).ok();
        })?;
    Ok((
        recorder,
        Writing {
            queue,
            ended,
            metrics,
        },
    ))
}

/// Why there is no history.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The place cannot be used.
    #[error(transparent)]
    Store(#[from] Error),
    /// The metrics could not be set up.
    #[error("the metrics of the history could not be set up")]
    Metrics(#[from] prometheus::Error),
    /// No thread for it.
    #[error("the threads of the history could not be started")]
    Thread(#[source] std::io::Error),
}

/// Starts the history that was asked for, if any, with metrics in a registry.
pub fn open(
    place: Option<&Place>,
    entities: usize,
    registry: &Registry,
) -> Result<(Box<dyn HistorySink>, Option<Writing>), OpenError> {
    let Some(place) = place else {
        return Ok((Box::new(NoHistory), None));
    };
    let (store, metrics) = (place.store()?, Metrics::new(registry)?);
    let (recorder, writing) =
        start(store, entities, Limits::default(), metrics).map_err(OpenError::Thread)?;
    Ok((Box::new(recorder), Some(writing)))
}

impl Writing {
    /// Waits until everything is written, at most for `limit`; then the rest is given up. To be
    /// called after the recorder was dropped: there is no end before that.
    ///
    /// Returns whether everything that was waiting was written.
    pub async fn finish(self, limit: Duration) -> bool {
        let lost = self.metrics.dropped(Loss::Shutdown);
        let before = lost.get();
        self.queue.set_deadline(Instant::now() + limit);
        // A store that hangs in the system cannot be stopped, and is left behind.
        let ended = tokio::time::timeout(limit + Duration::from_millis(500), self.ended).await;
        let is_complete = matches!(ended, Ok(Ok(()))) && lost.get() == before;
        if !is_complete {
            tracing::warn!("Some history was not written before the end");
        }
        is_complete
    }
}

struct Writer {
    store: Box<dyn Store>,
    queue: Arc<Queue>,
    limits: Limits,
    metrics: Metrics,
}

impl Writer {
    fn run(mut self) {
        let mut failures = 0;
        let mut blocks = self.limits.batch_blocks;
        while let Some(batch) = self.queue.take(blocks, self.limits.batch_bytes) {
            let left = self.queue.deadline().map_or(self.limits.write, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                self.queue.give_back(Instant::now(), batch);
                self.queue.abandon();
                continue;
            }
            let Err((batch, error)) = self.write(batch, left.min(self.limits.write)) else {
                if failures > 0 {
                    tracing::info!(failures, "History is written again");
                }
                failures = 0;
                blocks = self.limits.batch_blocks;
                continue;
            };
            if error.is_final() {
                // One by one from here, so that only those go that are not wanted.
                blocks = 1;
                self.reject(batch, &error);
                continue;
            }
            self.metrics.failures.inc();
            self.queue.give_back(Instant::now(), batch);
            let pause = self
                .limits
                .backoff
                .delay(failures, share(runtime::clock::now()));
            tracing::warn!(error = chain(&error), ?pause, "History was not written");
            failures = failures.saturating_add(1);
            self.queue.pause(pause);
        }
    }

    /// Writes some of the batch; what is left waits on. All of it comes back with an error.
    fn write(&mut self, mut batch: Batch, limit: Duration) -> Result<(), (Batch, Error)> {
        let blocks: Vec<&Block> = batch.iter().map(|(_, block)| block).collect();
        let began = Instant::now();
        let result = self.store.write(&blocks, limit);
        self.metrics
            .write_seconds
            .observe(began.elapsed().as_secs_f64());
        let count = match result {
            Ok(count) => count.min(batch.len()),
            Err(error) => return Err((batch, error)),
        };
        for (_, block) in batch.drain(..count) {
            self.metrics.written.inc();
            let bytes = u64::try_from(block.payload.len()).unwrap_or(u64::MAX);
            self.metrics.written_bytes.inc_by(bytes);
        }
        if !batch.is_empty() {
            self.queue.give_back(Instant::now(), batch);
        }
        Ok(())
    }

    /// Drops a block that was refused alone; more than one are tried again, one by one.
    fn reject(&self, batch: Batch, error: &Error) {
        if batch.len() > 1 {
            self.queue.give_back(Instant::now(), batch);
            return;
        }
        for (_, block) in batch {
            self.metrics.dropped(Loss::Rejected).inc();
            tracing::error!(
                match_id = %block.match_id,
                tick = block.start.0,
                error = chain(error),
                "History was rejected"
            );
        }
    }
}

/// How much of the current second has passed, from 0 to 1: servers that lost the same database do
/// not come back at the same moment.
fn share(now: Timestamp) -> f64 {
    f64::from(now.subsec_nanosecond()) / 1_000_000_000.0
}

#[cfg(test)]
mod tests;
