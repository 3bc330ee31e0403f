//! The MatchAllocation controller: asks the allocator for a server, reports it, and releases it.

use std::sync::Arc;

use crds::MatchAllocation;
use kube::ResourceExt as _;

use crate::controller::{Outcome, Reconciled};
use crate::world::World;

mod apply;
mod client;
mod observe;
mod plan;
mod status;
#[cfg(test)]
mod tests;
mod tokens;

pub(crate) use client::{Allocator, ConnectError};

/// Brings one request a step further.
pub(crate) async fn reconcile(
    world: Arc<World>,
    allocator: Arc<Allocator>,
    request: Arc<MatchAllocation>,
) -> Reconciled {
    let now = runtime::clock::now();
    let observed = observe::observe(&world, &request).await?;
    let plan = plan::plan(now, &request, &observed);
    let mut outcome = Outcome::Unchanged;
    if plan.action != plan::Action::Nothing {
        outcome = Outcome::Changed;
    }
    let applied = apply::apply(&world, &allocator, &request, plan.action).await?;
    let status = status::status(now, &request, &applied);
    if let Some(status) = status
        && request.status.as_ref() != Some(&status)
        && request
            .finalizers()
            .iter()
            .any(|name| name == crds::meta::RELEASE_FINALIZER)
    {
        let written: MatchAllocation = world.api.apply_status(&request.metadata, &status).await?;
        world.matches.wrote(&written);
        outcome = Outcome::Changed;
    }
    Ok((outcome, applied.requeue.or(plan.requeue)))
}
