//! The Fleet controller: one set per revision of the template, sized by the rollout strategy.

use std::sync::Arc;

use crds::Fleet;

use crate::controller::{Outcome, Reconciled};
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
    apply::apply(&world, &fleet, plan.actions).await?;

    let previous = fleet.status.clone().unwrap_or_default();
    let status = status::status(now, &desired, &observed, &acceptance, &previous);
    if status == previous {
        return Ok((outcome, None));
    }
    if let Some(left) = world.status_pace.take(&desired.uid) {
        return Ok((outcome, Some(left)));
    }
    let written: Result<Fleet, _> = world.api.apply_status(&fleet.metadata, &status).await;
    match written {
        Ok(written) => {
            world.fleets.wrote(&written);
            outcome = Outcome::Changed;
        }
        // Deleted meanwhile: nobody reads this status any more.
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    Ok((outcome, None))
}
