//! The Fleet controller: one set per revision of the template, sized by the rollout strategy.

use std::sync::Arc;

use crds::{Fleet, FleetStatus};

use crate::controller::{Outcome, Reconciled};
use crate::error::Error;
use crate::world::World;

mod accept;
mod apply;
mod desired;
mod observe;
pub(crate) mod plan;
pub(crate) mod status;
#[cfg(test)]
mod tests;

pub(crate) use accept::Acceptances;

/// Brings one fleet closer to what it shall be.
pub(crate) async fn reconcile(world: Arc<World>, fleet: Arc<Fleet>) -> Reconciled {
    let now = runtime::clock::now();
    let desired = desired::desired(&fleet);
    let observed = observe::observe(&world, &fleet);
    let acceptance = accept::accept(&world, &fleet).await?;
    let plan = plan::plan(&desired, &observed);
    world.ordinals.remember(&desired.uid, plan.next_ordinal);
    let mut outcome = if plan.actions.is_empty() {
        Outcome::Unchanged
    } else {
        Outcome::Changed
    };
    let previous = fleet.status.clone().unwrap_or_default();
    let status = status::status(now, &desired, &observed, &acceptance, &previous);
    // Servers are gone with their set, perhaps because the fleet is and its watch is late: the
    // garbage collector would delete a new set at once, for as long as the watch takes. The write
    // tells.
    let creates = |action: &plan::Action| matches!(action, plan::Action::Create { .. });
    let lacks_sets = status.replicas < previous.replicas && plan.actions.iter().any(creates);
    if lacks_sets && !write_status(&world, &fleet, &status).await? {
        return Ok((Outcome::Unchanged, None));
    }
    apply::apply(&world, &fleet, plan.actions).await?;
    if lacks_sets || status == previous {
        return Ok((outcome, None));
    }
    if let Some(left) = world.status_pace.take(&desired.uid) {
        return Ok((outcome, Some(left)));
    }
    if write_status(&world, &fleet, &status).await? {
        outcome = Outcome::Changed;
    }
    Ok((outcome, None))
}

/// Writes a status; returns whether the fleet still exists.
async fn write_status(world: &World, fleet: &Fleet, status: &FleetStatus) -> Result<bool, Error> {
    let written: Result<Fleet, _> = world.api.apply_status(&fleet.metadata, status).await;
    match written {
        Ok(written) => {
            world.fleets.wrote(&written);
            Ok(true)
        }
        // Deleted meanwhile, and the watch is late.
        Err(error) if error.is_not_found() => {
            world.fleets.lost(fleet);
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
