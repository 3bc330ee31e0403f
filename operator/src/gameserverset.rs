//! The GameServerSet controller: keeps as many game servers of one template as are asked for.

use std::sync::Arc;
use std::time::Duration;

use crds::{GameServerSet, GameServerSetStatus};
use kube::ResourceExt as _;

use crate::controller::{Outcome, Reconciled};
use crate::error::Error;
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
    let written = write_status(&world, &set, &status, &mut outcome).await?;
    let due = match written {
        Written::Done => None,
        // Servers are gone, perhaps because the set is and its watch is late: the garbage
        // collector would delete new ones at once, for as long as the watch takes.
        Written::Later(left) if lacks_servers(&set, &status, &plan.actions) => {
            return Ok((Outcome::Unchanged, Some(left)));
        }
        Written::Later(left) => Some(left),
        Written::Gone => return Ok((Outcome::Unchanged, None)),
    };
    apply::apply(&world, &set, plan.actions).await?;
    let requeue = [plan.requeue, due].into_iter().flatten().min();
    Ok((outcome, requeue))
}

/// What came of writing a status.
enum Written {
    /// It is as it should be.
    Done,
    /// It may be written after this time.
    Later(Duration),
    /// The set does not exist any more.
    Gone,
}

/// Whether servers shall be made in place of some that the status, as it stands, still counts.
fn lacks_servers(
    set: &GameServerSet,
    status: &GameServerSetStatus,
    actions: &[plan::Action],
) -> bool {
    let counted = set.status.as_ref().map_or(0, |status| status.replicas);
    let creates = |action: &plan::Action| matches!(action, plan::Action::CreateGameServer { .. });
    status.replicas < counted && actions.iter().any(creates)
}

/// Writes a changed status, unless that must wait.
async fn write_status(
    world: &World,
    set: &GameServerSet,
    status: &GameServerSetStatus,
    outcome: &mut Outcome,
) -> Result<Written, Error> {
    let current = set.status.clone().unwrap_or_default();
    if current == *status {
        return Ok(Written::Done);
    }
    // A new failure, and a spec that was seen, are written at once; counts may wait for company.
    if current.backoff == status.backoff
        && current.observed_generation == status.observed_generation
        && let Some(left) = world.status_pace.take(&set.uid().unwrap_or_default())
    {
        return Ok(Written::Later(left));
    }
    let written: Result<GameServerSet, _> = world.api.apply_status(&set.metadata, status).await;
    match written {
        Ok(written) => world.sets.wrote(&written),
        // Deleted meanwhile, and the watch is late.
        Err(error) if error.is_not_found() => {
            world.sets.lost(set);
            return Ok(Written::Gone);
        }
        Err(error) => return Err(error),
    }
    *outcome = Outcome::Changed;
    Ok(Written::Done)
}
