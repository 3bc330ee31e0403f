//! The controllers that belong to an API server rather than to an application: without them,
//! objects would outlive their owners, namespaces would never end, and pods would never start.
//!
//! Each is a task that is fed by changes of objects, keeps what it needs of them, and acts through
//! [`Objects`]. A controller decides from the state alone, so that after a restart, or after its
//! queue overflowed, a full list puts it right. None of them polls; what must wait, waits for a
//! time or for a change. A failed write is logged and tried again with growing pauses.
//!
//! What runs: garbage collection by owners, the end of namespaces, the end of definitions, what
//! every namespace has (a service account, the root certificate), aggregated roles, scheduling, and
//! the removal of pods whose node is gone.
//!
//! What deliberately does not: EndpointSlices, PodDisruptionBudgets and HorizontalPodAutoscalers
//! are data only. Nobody fills their status, and an HorizontalPodAutoscaler scales nothing here.
//! Nodes report themselves; a silent node is not marked unready.

mod accounts;
mod aggregation;
mod collector;
mod definitions;
mod drive;
mod edit;
mod namespaces;
mod pods;
mod queue;
mod recorder;
mod scheduler;
pub(crate) mod selector;

#[cfg(test)]
pub(crate) mod memory;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Clock;
use crate::objects::Objects;

pub use self::definitions::{CLEANUP, begin_definition_deletion};

use self::drive::drive;
use self::recorder::Recorder;

/// How long a pod may be on a node that is not there, as in a real cluster: a node that comes
/// back in this time keeps its pods.
pub const NODE_ABSENCE: Duration = Duration::from_secs(40);

/// What the controllers work with.
#[derive(Clone)]
pub struct Settings {
    /// The time, for what is written into objects. Pauses follow tokio's clock.
    pub clock: Clock,
    /// Certificate of the authority of the API server in PEM, for the ConfigMap
    /// `kube-root-ca.crt` of every namespace; none without TLS.
    pub root_certificate: Option<String>,
    /// How long a pod may be on a node that is not there: usually [`NODE_ABSENCE`].
    pub node_absence: Duration,
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("root_certificate", &self.root_certificate.is_some())
            .field("node_absence", &self.node_absence)
            .finish_non_exhaustive()
    }
}

impl From<Clock> for Settings {
    fn from(clock: Clock) -> Self {
        Self {
            clock,
            root_certificate: None,
            node_absence: NODE_ABSENCE,
        }
    }
}

/// Starts the controllers. They end when `stop` is cancelled.
pub fn spawn(
    objects: &Arc<dyn Objects>,
    tracker: &TaskTracker,
    stop: &CancellationToken,
    settings: impl Into<Settings>,
) {
    let Settings {
        clock,
        root_certificate,
        node_absence,
    } = settings.into();
    let recorder = |component| Recorder::new(clock.clone(), component);
    let start = |future| drop(tracker.spawn(future));
    start(drive(
        Box::new(collector::Collector::new(recorder(
            "garbage-collector-controller",
        ))),
        objects.clone(),
        stop.clone(),
    ));
    start(drive(
        Box::new(namespaces::Terminator::new(clock.clone())),
        objects.clone(),
        stop.clone(),
    ));
    start(drive(
        Box::new(definitions::Finalizer::new(clock.clone())),
        objects.clone(),
        stop.clone(),
    ));
    start(drive(
        Box::new(accounts::Furnisher::new(root_certificate)),
        objects.clone(),
        stop.clone(),
    ));
    start(drive(
        Box::new(aggregation::Aggregator::default()),
        objects.clone(),
        stop.clone(),
    ));
    start(drive(
        Box::new(pods::Sweeper::new(clock.clone(), node_absence)),
        objects.clone(),
        stop.clone(),
    ));
    start(drive(
        Box::new(scheduler::Scheduler::new(recorder("default-scheduler"))),
        objects.clone(),
        stop.clone(),
    ));
}
