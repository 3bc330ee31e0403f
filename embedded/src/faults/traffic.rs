//! What one replica has called, in numbers. Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::LEASES;
use super::call::Call;

/// Writes that begin so soon after a pause were on their way when it came, or follow from what was
/// known before it.
const WAKING: Duration = Duration::from_secs(1);

/// Counts of a replica's whole life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Calls of every kind.
    pub calls: u64,
    /// Calls that were answered with 4xx or 5xx or by a broken connection, whether the API server
    /// or a script did that.
    pub refused: u64,
    /// Most calls that were begun within one second of the clock.
    pub busiest: u64,
    /// Lists that were answered otherwise than they were at that moment.
    pub stale_lists: u64,
    /// Pauses that have begun.
    pub pauses: u64,
    /// Pauses that have ended.
    pub wakings: u64,
    /// Writes with which the replica woke up from a pause; leases are left out.
    pub woken_writes: u64,
    /// Of these, the ones that were refused.
    pub woken_refused: u64,
    second: Option<Second>,
    woke: Option<Instant>,
}

/// The calls of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Second {
    begin: Instant,
    calls: u64,
}

impl Traffic {
    /// Counts a call that begins; returns whether the replica woke up with it.
    pub(super) fn begin(&mut self, now: Instant, call: &Call) -> bool {
        self.calls += 1;
        let second = self
            .second
            .filter(|second| now.duration_since(second.begin) < Duration::from_secs(1))
            .unwrap_or(Second {
                begin: now,
                calls: 0,
            });
        let calls = second.calls + 1;
        self.second = Some(Second { calls, ..second });
        self.busiest = self.busiest.max(calls);
        let is_awake = self
            .woke
            .is_none_or(|woke| now.duration_since(woke) >= WAKING);
        let wakes = !is_awake && call.is_write() && call.resource != LEASES;
        self.woken_writes += u64::from(wakes);
        wakes
    }

    /// Counts a call that was refused.
    pub(super) fn refuse(&mut self, wakes: bool) {
        self.refused += 1;
        self.woken_refused += u64::from(wakes);
    }

    /// Takes note of the end of a pause.
    pub(super) fn wake(&mut self, now: Instant) {
        self.wakings += 1;
        self.woke = Some(now);
    }
}
