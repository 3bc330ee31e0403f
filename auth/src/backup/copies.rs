//! The copies of the live sessions that go to object storage every few minutes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Archive, Error, Valkey, backup};

/// Between two copies (Q07).
pub const PERIOD: Duration = Duration::from_mins(5);

/// How many copies are kept unless told otherwise: a day of them.
pub const KEPT: usize = 288;

/// What became of the copies so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Copies that were made.
    pub made: AtomicU64,
    /// Copies that failed or took too long.
    pub failed: AtomicU64,
    /// Times when another replica made the copy.
    pub elsewhere: AtomicU64,
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
pub async fn run<Ours, Copied>(
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
