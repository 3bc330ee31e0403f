//! Writes about the sets of one fleet.

use std::collections::BTreeMap;

use crds::{Fleet, GameServerSet, GameServerSetSpec, meta};
use kube::ResourceExt as _;
use kube::api::PropagationPolicy;
use kube::core::ObjectMeta;
use serde_json::{Value, json};

use super::plan::Action;
use crate::api::Target;
use crate::error::Error;
use crate::gameserver::build::owner;
use crate::world::World;

/// Carries out the actions of a plan in order, one call each. Stops at the first that fails.
pub(crate) async fn apply(world: &World, fleet: &Fleet, actions: Vec<Action>) -> Result<(), Error> {
    for action in actions {
        apply_one(world, fleet, action).await?;
    }
    Ok(())
}

async fn apply_one(world: &World, fleet: &Fleet, action: Action) -> Result<(), Error> {
    let namespace = fleet.namespace().unwrap_or_default();
    let fleet_name = fleet.name_any();
    match action {
        Action::Create {
            name,
            replicas,
            why,
        } => {
            world.count_action("fleet", "CreateSet");
            tracing::info!(
                namespace,
                fleet = fleet_name,
                set = name,
                replicas,
                why,
                "Creating set"
            );
            create(world, fleet, &name, replicas).await?;
            let note = format!("Created GameServerSet {name}");
            world
                .events
                .normal(fleet, "CreatingGameServerSet", note)
                .await;
            Ok(())
        }
        Action::Scale {
            name,
            uid,
            resource_version,
            replicas,
            why,
        } => {
            world.count_action("fleet", "ScaleSet");
            tracing::info!(
                namespace,
                fleet = fleet_name,
                set = name,
                replicas,
                why,
                "Scaling set"
            );
            let target = Target {
                namespace,
                name,
                uid,
                resource_version,
            };
            patch(world, &target, json!({ "spec": { "replicas": replicas } })).await
        }
        Action::Update {
            name,
            uid,
            resource_version,
            replicas,
            why,
        } => {
            world.count_action("fleet", "UpdateSet");
            tracing::info!(
                namespace,
                fleet = fleet_name,
                set = name,
                replicas,
                why,
                "Updating set"
            );
            let target = Target {
                namespace,
                name,
                uid,
                resource_version,
            };
            let spec = json!({
                "replicas": replicas,
                "scheduling": fleet.spec.scheduling,
                // Merge patches remove a field by null.
                "allocationOverflow": fleet.spec.allocation_overflow,
                "priorities": fleet.spec.priorities,
            });
            patch(world, &target, json!({ "spec": spec })).await
        }
        Action::Delete {
            name,
            uid,
            resource_version,
            why,
        } => {
            world.count_action("fleet", "DeleteSet");
            tracing::info!(
                namespace,
                fleet = fleet_name,
                set = name,
                why,
                "Deleting set"
            );
            let target = Target {
                namespace,
                name,
                uid,
                resource_version,
            };
            world
                .api
                .delete::<GameServerSet>(&target, PropagationPolicy::Background)
                .await
                .map(drop)
        }
    }
}

async fn patch(world: &World, target: &Target, patch: Value) -> Result<(), Error> {
    let written: GameServerSet = world.api.patch(target, patch).await?;
    world.sets.wrote(&written);
    Ok(())
}

async fn create(world: &World, fleet: &Fleet, name: &str, replicas: i32) -> Result<(), Error> {
    let mut set = GameServerSet::new(
        name,
        GameServerSetSpec {
            replicas,
            allocation_overflow: fleet.spec.allocation_overflow.clone(),
            scheduling: fleet.spec.scheduling,
            priorities: fleet.spec.priorities.clone(),
            template: fleet.spec.template.clone(),
        },
    );
    set.metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: fleet.namespace(),
        labels: Some(BTreeMap::from([(
            meta::FLEET_LABEL.to_owned(),
            fleet.name_any(),
        )])),
        owner_references: Some(vec![owner(fleet)]),
        ..ObjectMeta::default()
    };
    let uid = fleet.uid().unwrap_or_default();
    let created = world
        .api
        .create(&set, |existing: &GameServerSet| {
            let owners = existing.owner_references();
            owners
                .iter()
                .any(|owner| owner.controller == Some(true) && owner.uid == uid)
        })
        .await?;
    world.sets.wrote(&created);
    Ok(())
}
