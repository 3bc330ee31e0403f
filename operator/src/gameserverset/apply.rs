//! Writes about the game servers of one set.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crds::{GameServer, GameServerSet};
use futures::StreamExt as _;
use kube::ResourceExt as _;
use serde_json::json;

use super::plan::Action;
use crate::api::Target;
use crate::error::Error;
use crate::gameserver::build::{game_server, wanted_ranges};
use crate::ports::ChoiceError;
use crate::world::World;

/// Calls at once. They are started in the order of the plan.
const PARALLEL: usize = 16;

/// Carries out the actions of a plan. Starts none after one that failed; the next plan sees what
/// was done.
pub(crate) async fn apply(
    world: &Arc<World>,
    set: &GameServerSet,
    actions: Vec<Action>,
) -> Result<(), Error> {
    // Deletions first: what they free, creations may need.
    let (deletions, others): (Vec<_>, Vec<_>) = actions
        .into_iter()
        .partition(|action| matches!(action, Action::DeleteGameServer { .. }));
    let failed = AtomicBool::new(false);
    let results: Vec<Result<(), Error>> =
        futures::stream::iter(deletions.into_iter().chain(others))
            .map(async |action| {
                if failed.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let result = apply_one(world, set, action).await;
                failed.fetch_or(result.is_err(), Ordering::Relaxed);
                result
            })
            .buffered(PARALLEL)
            // Calls that are on their way are waited for: their answers are what we know.
            .collect()
            .await;
    results.into_iter().collect()
}

async fn apply_one(world: &World, set: &GameServerSet, action: Action) -> Result<(), Error> {
    let namespace = set.namespace().unwrap_or_default();
    match action {
        Action::CreateGameServer { name, why } => {
            world.count_action("gameserverset", "CreateGameServer");
            tracing::info!(
                namespace,
                set = set.name_any(),
                server = name,
                why,
                "Creating game server"
            );
            // A whole manifest: kept off the stack of every caller.
            Box::pin(create(world, set, &name)).await
        }
        Action::DeleteGameServer {
            name,
            uid,
            resource_version,
            why,
        } => {
            world.count_action("gameserverset", "DeleteGameServer");
            tracing::info!(
                namespace,
                set = set.name_any(),
                server = name,
                why,
                "Deleting game server"
            );
            let target = Target {
                namespace,
                name,
                uid,
                resource_version,
            };
            let server = world.servers.get(&target.namespace, &target.name);
            let dev_address = server.as_ref().and_then(|server| server.dev_address());
            crate::gameserver::delete(world, &target, dev_address).await
        }
        Action::PutOverflow {
            name,
            uid,
            resource_version,
            why,
        } => {
            world.count_action("gameserverset", "PutOverflow");
            tracing::info!(
                namespace,
                set = set.name_any(),
                server = name,
                why,
                "Marking game server"
            );
            let overflow = set.spec.allocation_overflow.clone().unwrap_or_default();
            let target = Target {
                namespace,
                name,
                uid,
                resource_version,
            };
            let patch = json!({ "metadata": {
                "labels": overflow.labels,
                "annotations": overflow.annotations,
            } });
            let written: GameServer = world.api.patch(&target, patch).await?;
            world.servers.wrote(&written);
            Ok(())
        }
    }
}

/// Creates a server with its ports chosen, and its pod right after it.
async fn create(world: &World, set: &GameServerSet, name: &str) -> Result<(), Error> {
    let namespace = set.namespace().unwrap_or_default();
    let holder = (namespace.clone(), name.to_owned());
    let chosen = match world.choose_ports(&holder, &wanted_ranges(&set.spec.template.spec)) {
        Ok(chosen) => chosen,
        Err(error) => {
            let reason = match error {
                ChoiceError::Exhausted(_) => "PortRangeExhausted",
                ChoiceError::UnknownRange(_) => "PortRangeUnknown",
            };
            world.events.warning(set, reason, error.to_string()).await;
            return Err(Error::Waiting {
                what: error.to_string(),
            });
        }
    };
    // Held from before the object exists until after its pod does, so that the controller of the
    // server does not make the same pod at the same time.
    let _in_flight = world.pod_in_flight(&namespace, name);
    let planned = game_server(set, name, &chosen);
    let uid = set.uid().unwrap_or_default();
    let is_ours = |existing: &GameServer| {
        let owners = existing.owner_references();
        owners
            .iter()
            .any(|owner| owner.controller == Some(true) && owner.uid == uid)
    };
    let server = match world.api.create(&planned, is_ours).await {
        Ok(server) => server,
        Err(error) => {
            // A create that may still come about keeps its ports; the next plan repeats its name.
            if error.is_without_effect() {
                world.release_ports(&holder);
            }
            return Err(error);
        }
    };
    world.servers.wrote(&server);
    if server.dev_address().is_some() || server.state() != crds::State::Creating {
        return Ok(());
    }
    crate::gameserver::create_pod(world, &server).await
}
