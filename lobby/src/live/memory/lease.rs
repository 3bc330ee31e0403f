//! A lease in memory.

use tokio::time::Instant;
use uuid::Uuid;

use crate::live::Fence;

/// Who has the right to something, and how often that changed.
#[derive(Debug, Default)]
pub(super) struct Lease {
    held: Option<(Uuid, Instant)>,
    fence: Option<Fence>,
}

impl Lease {
    /// Takes or renews it until `end`. The fence of who takes it is the time in milliseconds, or
    /// one more than the last where the clock did not go on: a process that starts anew gives none
    /// that one before it gave.
    pub(super) fn take(&mut self, now: Instant, holder: Uuid, end: Instant) -> Option<Fence> {
        let fence = match (self.held, self.fence) {
            (Some((other, until)), _) if until > now && other != holder => return None,
            (Some((_, until)), Some(fence)) if until > now => fence,
            (_, before) => {
                let time = runtime::clock::now().as_millisecond();
                let least = before.map_or(1, |Fence(number)| number + 1);
                Fence(u64::try_from(time).unwrap_or_default().max(least))
            }
        };
        self.held = Some((holder, end));
        self.fence = Some(fence);
        Some(fence)
    }

    pub(super) fn release(&mut self, holder: Uuid) {
        self.held = self.held.filter(|(held_by, _)| *held_by != holder);
    }

    /// Whether this is the last fence that was given.
    pub(super) fn has(&self, fence: Fence) -> bool {
        self.fence == Some(fence)
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.held.is_none_or(|(_, until)| until <= now)
    }
}
