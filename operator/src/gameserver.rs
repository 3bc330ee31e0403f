//! The GameServer controller: makes the pod, follows it, and lets ended servers go.

use std::sync::Arc;

use crds::GameServer;

use crate::controller::{Outcome, Reconciled};
use crate::world::World;

mod apply;
pub(crate) mod build;
mod observe;
pub(crate) use apply::{create_pod, delete};
pub(crate) use observe::{is_pod_of, place};
pub(crate) mod plan;
pub(crate) mod pod;
#[cfg(test)]
mod tests;

/// Brings one game server a step further.
pub(crate) async fn reconcile(world: Arc<World>, server: Arc<GameServer>) -> Reconciled {
    let observed = observe::observe(&world, &server);
    let plan = plan::plan(runtime::clock::now(), &observed);
    let changed = plan.action.is_some();
    if let Some(action) = plan.action {
        apply::apply(&world, &server, action).await?;
    }
    let outcome = if changed {
        Outcome::Changed
    } else {
        Outcome::Unchanged
    };
    Ok((outcome, plan.requeue))
}
