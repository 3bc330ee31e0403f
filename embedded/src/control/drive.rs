//! Runs a controller: feeds it changes, and lets it work when something is due.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::objects::{Change, Objects};

/// Changes that are taken in before a controller works again.
const CHANGES_AT_ONCE: usize = 1024;
/// Pause before a controller starts anew. It doubles while queues end without one change.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// When a controller wants to work again, if no change comes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// As soon as others had their turn: more is due than it does in one go.
    Now,
    /// At a time.
    At(Instant),
    /// Only after a change.
    Idle,
}

impl From<Option<Instant>> for Next {
    fn from(due: Option<Instant>) -> Self {
        due.map_or(Self::Idle, Self::At)
    }
}

/// Keeps a part of the state as it should be. Nothing here awaits or panics.
pub(super) trait Controller: Send {
    /// For logs.
    fn name(&self) -> &'static str;

    /// Forgets everything, and looks at all objects. Changes that were on their way come
    /// afterwards, and may be older than what is seen here.
    fn start(&mut self, objects: &dyn Objects, now: Instant);

    /// Takes a change in.
    fn observe(&mut self, change: &Change, now: Instant);

    /// Does what is due, or a part of it.
    fn work(&mut self, objects: &dyn Objects, now: Instant) -> Next;
}

/// Runs a controller until `stop`.
pub(super) async fn drive(
    mut controller: Box<dyn Controller>,
    objects: Arc<dyn Objects>,
    stop: CancellationToken,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut changes = objects.changes();
        controller.start(&*objects, Instant::now());
        loop {
            let next = controller.work(&*objects, Instant::now());
            let change = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                change = changes.recv() => match change {
                    Some(change) => change,
                    None => break,
                },
                () = wait(next) => continue,
            };
            pause = FIRST_PAUSE;
            let now = Instant::now();
            controller.observe(&change, now);
            for _ in 1..CHANGES_AT_ONCE {
                let Ok(change) = changes.try_recv() else {
                    break;
                };
                controller.observe(&change, now);
            }
        }
        tracing::warn!(
            controller = controller.name(),
            "Fell behind the changes of objects; starting anew"
        );
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn wait(next: Next) {
    match next {
        Next::Now => tokio::task::yield_now().await,
        Next::At(due) => tokio::time::sleep_until(due).await,
        Next::Idle => std::future::pending().await,
    }
}
