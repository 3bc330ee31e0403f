//! What the history measures about itself.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Bounds of the time of a write, in seconds.
const WRITE_BUCKETS: &[f64] = &[
    0.001, 0.002, 0.005, 0.010, 0.025, 0.050, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Why a second of history is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The packer had not given a buffer back in time, or the frames made no sense.
    Recorder,
    /// The queue was full: the store is slower than the match, or gone.
    Full,
    /// It had waited too long.
    Age,
    /// The store will never take it.
    Rejected,
    /// The process ended first.
    Shutdown,
}

impl Loss {
    const ALL: [Self; 5] = [
        Self::Recorder,
        Self::Full,
        Self::Age,
        Self::Rejected,
        Self::Shutdown,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Recorder => "recorder",
            Self::Full => "full",
            Self::Age => "age",
            Self::Rejected => "rejected",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Counters of the history; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    dropped: IntCounterVec,
    /// Blocks that the store has.
    pub written: IntCounter,
    /// Bytes of those.
    pub written_bytes: IntCounter,
    /// Writes that failed, each to be tried again.
    pub failures: IntCounter,
    /// Time of a write, good or bad.
    pub write_seconds: Histogram,
    /// Blocks that wait.
    pub queue_blocks: IntGauge,
    /// Bytes that wait.
    pub queue_bytes: IntGauge,
}

impl Metrics {
    /// Metrics in a registry.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            dropped: IntCounterVec::new(
                Opts::new(
                    "muster_arena_history_dropped_total",
                    "Blocks of history, of up to a second, that are lost, by reason.",
                ),
                &["reason"],
            )?,
            written: IntCounter::new(
                "muster_arena_history_written_total",
                "Blocks of history that were written.",
            )?,
            written_bytes: IntCounter::new(
                "muster_arena_history_written_bytes_total",
                "Bytes of history that were written, compressed.",
            )?,
            failures: IntCounter::new(
                "muster_arena_history_write_failures_total",
                "Writes of history that failed and were tried again.",
            )?,
            write_seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "muster_arena_history_write_seconds",
                    "Time of a write of history.",
                )
                .buckets(WRITE_BUCKETS.to_vec()),
            )?,
            queue_blocks: IntGauge::new(
                "muster_arena_history_queue_blocks",
                "Blocks of history that wait to be written.",
            )?,
            queue_bytes: IntGauge::new(
                "muster_arena_history_queue_bytes",
                "Bytes of history that wait to be written.",
            )?,
        };
        registry.register(Box::new(metrics.dropped.clone()))?;
        for counter in [&metrics.written, &metrics.written_bytes, &metrics.failures] {
            registry.register(Box::new(counter.clone()))?;
        }
        registry.register(Box::new(metrics.write_seconds.clone()))?;
        for gauge in [&metrics.queue_blocks, &metrics.queue_bytes] {
            registry.register(Box::new(gauge.clone()))?;
        }
        for loss in Loss::ALL {
            metrics.dropped(loss);
        }
        Ok(metrics)
    }

    /// The counter of a loss.
    pub fn dropped(&self, loss: Loss) -> IntCounter {
        self.dropped.with_label_values(&[loss.name()])
    }
}
