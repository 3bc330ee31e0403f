//! A closed loop: each client asks again as soon as it has its answer.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use e2e::measure::Sorted;
use futures::future;

/// Longest time for one run.
const LONGEST: Duration = Duration::from_mins(3);

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Load {
    /// Time from the first request to the last answer.
    pub(crate) took: Duration,
    /// How long the requests took that succeeded.
    pub(crate) latencies: Sorted,
    /// How often each failure came.
    pub(crate) failures: BTreeMap<String, usize>,
}

impl Load {
    /// Successes per second.
    pub(crate) fn rate(&self) -> f64 {
        count(self.latencies.len()) / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// How many requests failed, and how.
    pub(crate) fn errors(&self) -> String {
        let total: usize = self.failures.values().sum();
        if total == 0 {
            return "0".to_owned();
        }
        let kinds: Vec<_> = self
            .failures
            .iter()
            .map(|(kind, times)| format!("{times} {kind}"))
            .collect();
        format!("{total} ({})", kinds.join(", "))
    }
}

/// Does `total` requests by all clients together; `call` gets a client and the request's number.
pub(crate) async fn closed_loop<C>(
    clients: Vec<C>,
    total: usize,
    call: impl AsyncFn(&mut C, usize) -> Result<(), String>,
) -> Result<Load> {
    let next = Cell::new(0);
    let latencies = RefCell::new(Vec::with_capacity(total));
    let failures = RefCell::new(BTreeMap::new());
    let (next_, latencies_, failures_, call_) = (&next, &latencies, &failures, &call);
    let began = Instant::now();
    let work = clients.into_iter().map(|mut client| async move {
        while next_.get() < total {
            let number = next_.replace(next_.get() + 1);
            let sent = Instant::now();
            match call_(&mut client, number).await {
                Ok(()) => latencies_.borrow_mut().push(sent.elapsed()),
                Err(kind) => *failures_.borrow_mut().entry(kind).or_default() += 1,
            }
        }
    });
    tokio::time::timeout(LONGEST, future::join_all(work))
        .await
        .with_context(|| format!("{total} requests took more than {LONGEST:?}"))?;
    Ok(Load {
        took: began.elapsed(),
        latencies: Sorted::new(latencies.into_inner()),
        failures: failures.into_inner(),
    })
}

/// A count as a number to calculate with.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts here are far below 2^52, where the loss begins"
)]
pub(crate) const fn count(number: usize) -> f64 {
    number as f64
}
