//! Clearing up: what nothing can need any more.

use std::time::Duration;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::error::Failure;
use crate::service::audit::{Event, Outcome};
use crate::service::keys::{DEVICE, EMAIL, LABEL, TOTP};
use crate::service::{Service, now};
use crate::store::{SealedColumn, SealedValue};

/// How often.
const PERIOD: Duration = Duration::from_mins(10);

/// How often accounts are looked for that nobody came back to.
const ACCOUNTS_PERIOD: Duration = Duration::from_hours(6);

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
        let mut sealed_by = None;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // To find nothing, whole tables are read: once for each master key, if there is a former
            // one at all.
            let secrets = self.parts().secrets.current();
            let current = secrets.keys.current();
            let has_former = secrets.keys.versions().any(|version| version < current);
            drop(secrets);
            if has_former && sealed_by != Some(current) {
                match self.seal_anew(current, &stop).await {
                    Ok(()) => sealed_by = Some(current),
                    Err(failure) => tracing::warn!(%failure, "Not everything was sealed anew"),
                }
            }
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

    /// Seals by the current master key what former ones sealed, so that they can go some day.
    async fn seal_anew(&self, current: u32, stop: &CancellationToken) -> Result<(), Failure> {
        let store = &self.parts().store;
        while !stop.is_cancelled() {
            let found = store.sealed_before(current, AT_ONCE).await?;
            if found.is_empty() {
                return Ok(());
            }
            let mut done = 0;
            for value in &found {
                done += usize::from(self.seal_one_anew(value).await?);
            }
            tracing::info!(
                done,
                of = found.len(),
                "Sealed values by the current master key"
            );
            // What cannot be opened is found again and again.
            if done == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// False when the value cannot be opened, or is no more as it was.
    async fn seal_one_anew(&self, value: &SealedValue) -> Result<bool, Failure> {
        let player = value.player.0.as_bytes();
        let (column, row) = match &value.column {
            SealedColumn::Email => (EMAIL, player.as_slice()),
            SealedColumn::Totp => (TOTP, player.as_slice()),
            SealedColumn::Label(hash) => (LABEL, hash.0.as_slice()),
            SealedColumn::DeviceLabel(hash) | SealedColumn::Device(hash) => {
                (DEVICE, hash.0.as_slice())
            }
        };
        match self.parts().columns.reseal(&column.cell(row), &value.value) {
            Ok(Some(new)) => Ok(self.parts().store.reseal(value, &new).await?),
            Ok(None) => Ok(false),
            Err(error) => {
                tracing::warn!(%error, user_id = %value.player, "A value cannot be sealed anew");
                Ok(false)
            }
        }
    }

    /// Removes accounts that nobody came back to from time to time, until `stop`.
    pub(super) async fn purge_accounts(&self, stop: CancellationToken) {
        let Some(after) = self.settings().abandoned else {
            return;
        };
        let mut ticks = tokio::time::interval(ACCOUNTS_PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            loop {
                match stop.run_until_cancelled(self.remove_abandoned(after)).await {
                    None => return,
                    Some(Ok(0)) => break,
                    Some(Ok(removed)) => tracing::info!(removed, "Removed accounts"),
                    Some(Err(failure)) => {
                        tracing::warn!(%failure, "No accounts were removed");
                        break;
                    }
                }
            }
        }
    }

    /// Removes accounts that were made `after` ago or before and that nobody came back to; returns
    /// how many. There may be more.
    pub async fn remove_abandoned(&self, after: SignedDuration) -> Result<usize, Failure> {
        let store = &self.parts().store;
        let before = now().checked_sub(after).unwrap_or(jiff::Timestamp::MIN);
        let mut removed = 0;
        for player in store.abandoned(before, AT_ONCE).await? {
            let detail = serde_json::json!({ "by": "time" });
            let line = Self::line(Event::AccountDeleted, Outcome::Success, player, "", &detail);
            if store.delete_abandoned(player, before, &line).await? {
                self.said(&line);
                removed += 1;
            }
        }
        Ok(removed)
    }
}
