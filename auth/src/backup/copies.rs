//! The copies of the live sessions that go to object storage every few minutes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use prometheus::Registry;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Archive, Error, Valkey, backup};
use crate::live::{Key, Live};
use crate::metrics::counted::{Counted, growing_all};

/// Between two copies (Q07).
const PERIOD: Duration = Duration::from_mins(5);

/// How many copies are kept: a day of them.
const KEPT: usize = 288;

/// What became of the copies so far.
#[derive(Debug, Default)]
struct Counts {
    /// Copies that were made.
    made: AtomicU64,
    /// Copies that failed or took too long.
    failed: AtomicU64,
    /// Times when another replica made the copy.
    elsewhere: AtomicU64,
}

/// The numbers for operators.
const NUMBERS: [Counted<Counts>; 3] = [
    (
        "muster_auth_session_copies_total",
        "Copies of the sessions that were made",
        |counts| &counts.made,
    ),
    (
        "muster_auth_session_copies_failed_total",
        "Copies of the sessions that failed or took too long",
        |counts| &counts.failed,
    ),
    (
        "muster_auth_session_copies_elsewhere_total",
        "Times when another replica made the copy of the sessions",
        |counts| &counts.elsewhere,
    ),
];

/// Copies of Valkey's sessions, by one of all replicas at a time.
#[derive(Debug)]
pub struct Copies {
    archive: Archive,
    valkey: Valkey,
    live: Arc<dyn Live>,
    counts: Arc<Counts>,
}

impl Copies {
    /// Copies of what is in `valkey`, which the replicas share as `live`.
    pub fn new(
        archive: Archive,
        valkey: Valkey,
        live: Arc<dyn Live>,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let counts = Arc::<Counts>::default();
        growing_all(registry, &counts, |counts: &Arc<Counts>| counts, &NUMBERS)?;
        Ok(Self {
            archive,
            valkey,
            live,
            counts,
        })
    }

    /// Makes them until `stop`.
    pub async fn run(&self, stop: &CancellationToken) {
        let key = &Key::Once(crate::crypto::named_hash("session copies", b""));
        // A bit less than the period: the next turn is never refused by the one before it.
        let turn = PERIOD.mul_f64(0.9);
        // Without Valkey there is nothing to copy.
        let is_ours = || async move { self.live.once(key, turn).await.unwrap_or(false) };
        let copy = || copy(runtime::clock::now(), &self.archive, &self.valkey, KEPT);
        run(PERIOD, &self.counts, stop, is_ours, copy).await;
    }
}

/// Makes one copy and removes those that are too old.
pub async fn copy(
    now: Timestamp,
    archive: &Archive,
    valkey: &Valkey,
    kept: usize,
) -> Result<(), Error> {
    backup(now, archive, None, Some(valkey)).await?;
    archive.prune(kept).await?;
    Ok(())
}

/// Makes copies until `stop`, each within `period`. Of all replicas one makes the copy: the one
/// for which `is_ours` says so, each time.
async fn run<Ours, Copied>(
    period: Duration,
    counts: &Counts,
    stop: &CancellationToken,
    is_ours: impl Fn() -> Ours,
    copy: impl Fn() -> Copied,
) where
    Ours: Future<Output = bool>,
    Copied: Future<Output = Result<(), Error>>,
{
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once; a process that starts over and over makes no copies.
    ticks.tick().await;
    let all = async {
        loop {
            ticks.tick().await;
            let count = if is_ours().await {
                let copied = tokio::time::timeout(period, copy()).await;
                match copied.unwrap_or(Err(Error::TimeLimit(period))) {
                    Ok(()) => &counts.made,
                    Err(error) => {
                        let cause = std::error::Error::source(&error).map(ToString::to_string);
                        tracing::warn!(%error, cause, "The sessions could not be copied");
                        &counts.failed
                    }
                }
            } else {
                &counts.elsewhere
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    stop.run_until_cancelled(all).await;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_period_one_replica_copies_and_failures_do_not_end_it() {
        let counts = Counts::default();
        let stop = CancellationToken::new();
        let turn = Cell::new(0_u32);
        let is_ours = async || {
            turn.set(turn.get() + 1);
            turn.get() != 2
        };
        let copy = async || match turn.get() {
            3 => Err(Error::NoBackup),
            4 => std::future::pending().await,
            _ => Ok(()),
        };
        let end = async {
            // Five turns, of which the fourth takes until the fifth, and a bit.
            tokio::time::sleep(PERIOD * 5 + Duration::from_secs(1)).await;
            stop.cancel();
        };
        tokio::join!(run(PERIOD, &counts, &stop, is_ours, copy), end);
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        assert_eq!(
            (
                read(&counts.made),
                read(&counts.elsewhere),
                read(&counts.failed)
            ),
            (2, 1, 2)
        );
    }
}
