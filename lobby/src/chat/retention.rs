//! Forgets what was said and written down longer ago than operators keep it.
//!
//! One lobby at a time does it, by a lease; two that do it at once only do it twice.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::error::Failure;
use crate::service::Service;

/// How often.
const PERIOD: Duration = Duration::from_mins(10);

/// Who forgets holds this lease.
const LEASE: &str = "chat-retention";

/// For how long; taken again before each batch. Longer than a batch takes, so that another lobby
/// does not begin while this one works.
const LEASE_KEPT: Duration = Duration::from_mins(2);

/// How many rows at once: a statement must not hold up others.
const BATCH: usize = 1000;

/// How many batches of each kind in one round. What is left then is for the next one.
const BATCHES: usize = 1000;

/// What a round forgot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Lines of chats.
    pub lines: usize,
    /// Lines of the audit log.
    pub audit: usize,
}

/// Forgets from time to time, until `stop`.
pub async fn run(service: Service, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let round = round(&service, runtime::clock::now());
        match stop.run_until_cancelled(round).await {
            Some(Ok(forgotten)) if forgotten != Forgotten::default() => {
                tracing::info!(lines = forgotten.lines, audit = forgotten.audit, "Forgot");
            }
            Some(Err(failure)) => tracing::warn!(%failure, "Not everything was forgotten"),
            Some(Ok(_)) | None => {}
        }
    }
    let parts = service.parts();
    if let Err(error) = parts.live.release(LEASE, parts.replica).await {
        tracing::debug!(%error, "The lease of chat retention passes by itself");
    }
}

/// One round, while this lobby has the lease.
pub async fn round(service: &Service, now: Timestamp) -> Result<Forgotten, Failure> {
    let parts = service.parts();
    let (store, settings) = (&parts.store, &parts.settings);
    let mut forgotten = Forgotten::default();
    let before = now.checked_sub(settings.chat_retention);
    let before = before.unwrap_or(Timestamp::MIN);
    for _ in 0..BATCHES {
        if !is_ours(service).await? {
            return Ok(forgotten);
        }
        let lines = store.forget_lines(before, BATCH).await?;
        forgotten.lines += lines;
        if lines < BATCH {
            break;
        }
    }
    for _ in 0..BATCHES {
        if !is_ours(service).await? {
            return Ok(forgotten);
        }
        let age = settings.audit_retention;
        let lines = store.forget_audit(now, age, BATCH).await?;
        forgotten.audit += lines;
        if lines < BATCH {
            break;
        }
    }
    Ok(forgotten)
}

/// Takes the lease, or renews it.
async fn is_ours(service: &Service) -> Result<bool, Failure> {
    let parts = service.parts();
    let lease = parts.live.lease(LEASE, parts.replica, LEASE_KEPT).await?;
    Ok(lease.is_some())
}
