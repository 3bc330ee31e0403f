//! The GameServerSet controller: keeps as many game servers of one template as are asked for.

use std::sync::Arc;

use crds::GameServerSet;
use kube::ResourceExt as _;

use crate::controller::{Outcome, Reconciled};
use crate::world::World;

mod apply;
mod desired;
mod observe;
pub(crate) mod plan;
pub(crate) mod status;
#[cfg(test)]
mod tests;

/// Brings one set closer to what it shall be.
pub(crate) async fn reconcile(world: Arc<World>, set: Arc<GameServerSet>) -> Reconciled {
    let now = runtime::clock::now();
    let desired = desired::desired(&set);
    let observed = observe::observe(&world, &set);
    let plan = plan::plan(now, &world.set_policy(), &desired, &observed);
    world.ordinals.remember(&desired.uid, plan.next_ordinal);
    let status = status::status(&desired, &observed, &plan);
    let mut outcome = if plan.actions.is_empty() {
        Outcome::Unchanged
    } else {
        Outcome::Changed
    };
    // The backoff must be known before anything is created on the strength of it.
    let due = write_status(&world, &set, &status, &mut outcome).await?;
    apply::apply(&world, &set, plan.actions).await?;
    let requeue = [plan.requeue, due].into_iter().flatten().min();
    Ok((outcome, requeue))
}

/// Writes a changed status, or returns when it may be written.
async fn write_status(
    world: &World,
    set: &GameServerSet,
    status: &crds::GameServerSetStatus,
    outcome: &mut Outcome,
) -> Result<Option<std::time::Duration>, crate::error::Error> {
    let current = set.status.clone().unwrap_or_default();
    if current == *status {
        return Ok(None);
    }
    // A new failure, and a spec that was seen, are written at once; counts may wait for company.
    if current.backoff == status.backoff
        && current.observed_generation == status.observed_generation
        && let Some(left) = world.status_pace.take(&set.uid().unwrap_or_default())
    {
        return Ok(Some(left));
    }
    let written: Result<GameServerSet, _> = world.api.apply_status(&set.metadata, status).await;
    match written {
        Ok(written) => world.sets.wrote(&written),
        // Deleted meanwhile: nobody reads this status any more.
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    *outcome = Outcome::Changed;
    Ok(None)
}
