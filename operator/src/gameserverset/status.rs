//! What the status of a set says. Pure; called by the reconcile of sets.
//!
//! Never counts a server twice: each is either live (in `replicas`) or ending (in
//! `shutdownReplicas`).
#![deny(clippy::wildcard_enum_match_arm)]

use crds::GameServerSetStatus;
use crds::state::State;

use super::plan::{Desired, Observed, Plan};

/// Returns the new status.
///
/// Servers that the plan deletes still count as live; a fleet that lowered the set's replicas knows
/// which of them are about to go.
pub(crate) fn status(desired: &Desired, observed: &Observed, plan: &Plan) -> GameServerSetStatus {
    GameServerSetStatus {
        observed_generation: desired.generation,
        backoff: plan.backoff.clone(),
        ..counts(
            observed
                .servers
                .iter()
                .map(|server| (server.state, server.being_deleted)),
        )
    }
}

/// Counts the servers of a set by what they are to its fleet.
///
/// Each is given by its state and whether it is being deleted.
pub(crate) fn counts(servers: impl IntoIterator<Item = (State, bool)>) -> GameServerSetStatus {
    let mut status = GameServerSetStatus::default();
    for (state, being_deleted) in servers {
        if being_deleted {
            status.shutdown_replicas += 1;
            continue;
        }
        match state {
            State::PortAllocation
            | State::Creating
            | State::Starting
            | State::Scheduled
            | State::RequestReady => {}
            State::Ready => status.ready_replicas += 1,
            State::Allocated => status.allocated_replicas += 1,
            State::Reserved => status.reserved_replicas += 1,
            // A set is not empty while there is evidence in it.
            State::Shutdown | State::Error | State::Unhealthy => {
                status.shutdown_replicas += 1;
                continue;
            }
        }
        status.replicas += 1;
    }
    status
}
