//! What a bot measured and verified.

use std::time::Duration;

use client::Statistics;
use client::session::Way;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::link::LinkCounters;

/// Longest time that is told apart, in microseconds: longer than any way back.
const LONGEST: u64 = 60_000_000;

/// Gaps between snapshots above this are wide: players see them.
pub const WIDE_GAP: Duration = Duration::from_millis(50);

/// Times of one kind, in microseconds, to two digits.
#[derive(Debug, Clone)]
pub struct Times(Option<Histogram<u32>>);

impl Default for Times {
    fn default() -> Self {
        // It cannot fail with these bounds; without one it would measure nothing and say so.
        Self(Histogram::new_with_bounds(1, LONGEST, 2).ok())
    }
}

impl Times {
    /// Adds one.
    pub fn record(&mut self, time: Duration) {
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(LONGEST);
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(microseconds.min(LONGEST));
        }
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        if let (Some(own), Some(other)) = (&mut self.0, &other.0) {
            // Both have the same bounds, so everything fits.
            own.add(other).ok();
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// What they come to.
    pub fn summary(&self) -> Option<TimesSummary> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
        Some(TimesSummary {
            count: histogram.len(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: milliseconds(histogram.max()),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 52 bits")]
fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1_000.0
}

/// Times of one kind in short, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TimesSummary {
    /// How many.
    pub count: u64,
    /// The median.
    pub p50_ms: f64,
    /// 99 of 100 were shorter.
    pub p99_ms: f64,
    /// 999 of 1,000 were shorter.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// What one bot measured.
#[derive(Debug, Clone)]
pub struct Record {
    /// How far it was at the end.
    pub way: Way,
    /// How long it was there, since its first welcome.
    pub played: Duration,
    /// What its client counted.
    pub statistics: Statistics,
    /// What became of the packets, up and down.
    pub links: [LinkCounters; 2],
    /// From one snapshot to the next.
    pub gaps: Times,
    /// Those above [`WIDE_GAP`] even without what the bot was late itself.
    pub wide_gaps: u64,
    /// From the moment an input was due until a snapshot showed that it was executed.
    pub latency: Times,
    /// From a new socket to the next snapshot.
    pub reconnects: Times,
    /// From the end of a fault of the network to the next snapshot.
    pub resumed: Option<Duration>,
    /// How much later than intended the bot did its work.
    pub lateness: Times,
    /// Ways back that led into the match.
    pub returns: u64,
    /// Datagrams from somewhere else than the server.
    pub strangers: u64,
}
