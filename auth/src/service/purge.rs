//! Clearing up: what nothing can need any more.

use std::time::Duration;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::service::{Service, now};

/// How often.
const PERIOD: Duration = Duration::from_mins(10);

/// How many rows of each table at once: a statement must not hold up others.
const AT_ONCE: u32 = 1000;

/// How long what has ended is kept: longer than anything asks for it, so that an operator can look.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// How long the audit log is kept.
const AUDIT_KEPT: SignedDuration = SignedDuration::from_hours(24 * 365);

impl Service {
    /// Clears up from time to time, until `stop`. Every replica does: rows go once.
    pub(super) async fn purge(&self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            loop {
                let (before, audit_before) = (now() - KEPT, now() - AUDIT_KEPT);
                let store = &self.parts().store;
                match store.purge(before, audit_before, AT_ONCE).await {
                    Ok(purged) if purged.most() < u64::from(AT_ONCE) => break,
                    Ok(purged) => tracing::debug!(?purged, "Cleared up; there is more"),
                    Err(error) => {
                        tracing::warn!(%error, "Nothing was cleared up");
                        break;
                    }
                }
                if stop.is_cancelled() {
                    return;
                }
            }
        }
    }
}
