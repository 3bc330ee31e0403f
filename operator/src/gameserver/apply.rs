//! Writes about one game server.

use crds::GameServer;
use crds::gameserver::GameServerStatus;
use crds::meta;
use crds::state::State;
use kube::ResourceExt as _;
use kube::api::PropagationPolicy;
use serde_json::{Value, json};

use super::build::{initial_status, wanted_ranges};
use super::observe::is_pod_of;
use super::plan::{Action, Place};
use crate::api::Target;
use crate::error::Error;
use crate::ports::ChoiceError;
use crate::world::World;

/// Carries out one step.
pub(crate) async fn apply(world: &World, server: &GameServer, action: Action) -> Result<(), Error> {
    world.count_action("gameserver", name_of(&action));
    match action {
        Action::AssignPorts => assign_ports(world, server).await,
        Action::CreatePod => create_pod(world, server).await,
        Action::Locate { state, place } => {
            let patch = json!({ "status": located(state, &place) });
            write(world, server, patch).await
        }
        Action::MarkUnhealthy { why } => {
            write(world, server, unhealthy_patch()).await?;
            world.events.warning(server, "Unhealthy", why).await;
            Ok(())
        }
        Action::MarkShutdown { why } => {
            tracing::info!(server = server.name_any(), why, "Game server ended");
            write(
                world,
                server,
                json!({ "status": { "state": State::Shutdown } }),
            )
            .await
        }
        Action::MarkError { why } => mark_error(world, server, why).await,
        Action::Delete => delete(world, &Target::of(&server.metadata), server.dev_address()).await,
    }
}

/// Status fields that say where a server is.
pub(crate) fn located(state: State, place: &Place) -> Value {
    json!({
        "state": state,
        "address": place.address,
        "addresses": place.addresses,
        "nodeName": place.node_name,
    })
}

/// The patch that gives a server up and notes when.
pub(crate) fn unhealthy_patch() -> Value {
    json!({
        "metadata": { "annotations": {
            meta::UNHEALTHY_AT_ANNOTATION: runtime::clock::now().to_string(),
        } },
        "status": { "state": State::Unhealthy },
    })
}

/// Deletes a server together with its pod, and waits for nothing.
///
/// In the foreground: the object stays until the pod is gone, so that nothing takes the server
/// for ended while its process still runs. Without a pod there is nothing to wait for.
pub(crate) async fn delete(
    world: &World,
    target: &Target,
    dev_address: Option<&str>,
) -> Result<(), Error> {
    let propagation = if dev_address.is_some() {
        PropagationPolicy::Background
    } else {
        PropagationPolicy::Foreground
    };
    if let Some(leaving) = world.api.delete::<GameServer>(target, propagation).await? {
        world.servers.wrote(&leaving);
    }
    Ok(())
}

/// Makes the pod of a server. A pod that the API server refuses makes the server an Error.
pub(crate) async fn create_pod(world: &World, server: &GameServer) -> Result<(), Error> {
    let namespace = server.namespace().unwrap_or_default();
    let _in_flight = world.pod_in_flight(&namespace, &server.name_any());
    world.namespaces.ensure(world, &namespace).await?;
    let pod = match super::pod::build(server, &world.config.sdk) {
        Ok(pod) => pod,
        Err(error) => return mark_error(world, server, error.to_string()).await,
    };
    match world
        .api
        .create(&pod, |existing| is_pod_of(existing, server))
        .await
    {
        Ok(created) => {
            world.pods.wrote(&created);
            Ok(())
        }
        Err(error) if error.is_rejected() => mark_error(world, server, error.message()).await,
        Err(error) => Err(error),
    }
}

async fn assign_ports(world: &World, server: &GameServer) -> Result<(), Error> {
    let holder = (server.namespace().unwrap_or_default(), server.name_any());
    let chosen = match world.choose_ports(&holder, &wanted_ranges(&server.spec)) {
        Ok(chosen) => chosen,
        Err(error @ ChoiceError::UnknownRange(_)) => {
            return mark_error(world, server, error.to_string()).await;
        }
        Err(error @ ChoiceError::Exhausted(_)) => {
            world
                .events
                .warning(server, "PortRangeExhausted", error.to_string())
                .await;
            // Ports come free when other servers end; the resync and backoff look again.
            return Err(Error::Waiting {
                what: error.to_string(),
            });
        }
    };
    let status: GameServerStatus = initial_status(&server.spec, server.dev_address(), &chosen);
    let result = write(world, server, json!({ "status": status })).await;
    if result.as_ref().is_err_and(Error::is_without_effect) {
        world.release_ports(&holder);
    }
    result
}

async fn mark_error(world: &World, server: &GameServer, why: String) -> Result<(), Error> {
    let patch = json!({
        "metadata": { "annotations": {
            meta::ERRORED_AT_ANNOTATION: runtime::clock::now().to_string(),
        } },
        "status": { "state": State::Error },
    });
    write(world, server, patch).await?;
    world.events.warning(server, "Error", why).await;
    Ok(())
}

async fn write(world: &World, server: &GameServer, patch: Value) -> Result<(), Error> {
    let written: GameServer = world
        .api
        .patch(&Target::of(&server.metadata), patch)
        .await?;
    world.servers.wrote(&written);
    Ok(())
}

const fn name_of(action: &Action) -> &'static str {
    match action {
        Action::AssignPorts => "AssignPorts",
        Action::CreatePod => "CreatePod",
        Action::Locate { .. } => "Locate",
        Action::MarkUnhealthy { .. } => "MarkUnhealthy",
        Action::MarkShutdown { .. } => "MarkShutdown",
        Action::MarkError { .. } => "MarkError",
        Action::Delete => "Delete",
    }
}
