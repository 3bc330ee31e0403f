//! The FleetAutoscaler controller: sizes a fleet as matches come and go.

use std::sync::Arc;

use crds::{Fleet, FleetAutoscaler};
use kube::ResourceExt as _;
use serde_json::json;

use crate::api::Target;
use crate::controller::{Outcome, Reconciled};
use crate::error::Error;
use crate::world::World;

mod observe;
pub(crate) mod plan;
pub(crate) mod status;
#[cfg(test)]
mod tests;

use plan::Action;
use status::Applied;

/// Evaluates one autoscaler.
pub(crate) async fn reconcile(world: Arc<World>, autoscaler: Arc<FleetAutoscaler>) -> Reconciled {
    let now = runtime::clock::now();
    let desired = plan::Desired {
        generation: autoscaler.metadata.generation,
        being_deleted: autoscaler.metadata.deletion_timestamp.is_some(),
        spec: autoscaler.spec.clone(),
    };
    let observed = observe::observe(&world, &autoscaler);
    let plan = plan::plan(&desired, &observed);
    let mut applied = Applied::Nothing;
    let uid = autoscaler.uid().unwrap_or_default();
    if let Some(action) = &plan.action {
        if let Some(left) = world.scale_pace.take(&uid) {
            return Ok((Outcome::Unchanged, Some(left)));
        }
        apply(&world, &autoscaler, action).await?;
        applied = Applied::Scaled;
    }
    let previous = autoscaler.status.clone().unwrap_or_default();
    let status = status::status(now, &desired, &observed, &plan, applied, &previous);
    if status == previous {
        return Ok((Outcome::Unchanged, plan.requeue));
    }
    // The time of a scaling would be lost if it waited; counts may.
    if applied == Applied::Nothing
        && let Some(left) = world.status_pace.take(&uid)
    {
        return Ok((Outcome::Unchanged, Some(left)));
    }
    let written: Result<FleetAutoscaler, _> =
        world.api.apply_status(&autoscaler.metadata, &status).await;
    match written {
        Ok(written) => world.autoscalers.wrote(&written),
        // Deleted meanwhile: nobody reads this status any more.
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    Ok((Outcome::Changed, plan.requeue))
}

async fn apply(
    world: &World,
    autoscaler: &FleetAutoscaler,
    Action::ScaleFleet {
        fleet,
        uid,
        resource_version,
        from,
        to,
        why,
    }: &Action,
) -> Result<(), Error> {
    world.count_action("fleetautoscaler", "ScaleFleet");
    let target = Target {
        namespace: autoscaler.namespace().unwrap_or_default(),
        name: fleet.clone(),
        uid: uid.clone(),
        resource_version: resource_version.clone(),
    };
    let written: Fleet = world
        .api
        .patch(&target, json!({ "spec": { "replicas": to } }))
        .await?;
    world.fleets.wrote(&written);
    tracing::info!(
        namespace = target.namespace,
        fleet,
        from,
        to,
        why,
        "Scaled fleet"
    );
    let note = format!("Scaled Fleet {fleet} from {from} to {to}: {why}");
    world
        .events
        .normal(autoscaler, "AutoScalingFleet", note)
        .await;
    Ok(())
}
