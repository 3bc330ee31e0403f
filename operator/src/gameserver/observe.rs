//! Gathers what the plan for one game server looks at, from the caches.

use crds::GameServer;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;

use super::plan::{Observed, Place, PodAlive, PodState};
use crate::world::World;

/// Reads the caches; makes no call.
pub(crate) fn observe(world: &World, server: &GameServer) -> Observed {
    let namespace = server.namespace().unwrap_or_default();
    let name = server.name_any();
    let pod = world.pods.get(&namespace, &name);
    let status = server.status.clone().unwrap_or_default();
    Observed {
        state: status.state,
        being_deleted: server.is_being_deleted(),
        dev_address: server.dev_address().map(ToOwned::to_owned),
        has_address: !status.address.is_empty(),
        node_name: status.node_name,
        pod: pod.map_or(PodState::Missing, |pod| pod_state(world, server, &pod)),
        pod_in_flight: world.is_pod_in_flight(&namespace, &name),
    }
}

/// Whether a pod was made for this very server.
pub(crate) fn is_pod_of(pod: &Pod, server: &GameServer) -> bool {
    let uid = server.uid().unwrap_or_default();
    pod.owner_references()
        .iter()
        .any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// Where a pod can be reached, once it is on a node that we know.
pub(crate) fn place(world: &World, pod: &Pod) -> Option<Place> {
    let node_name = pod.spec.as_ref()?.node_name.clone()?;
    let node = world.node(&node_name)?;
    Some(Place {
        address: crate::nodes::address(&node)?,
        addresses: crate::nodes::addresses(&node, pod),
        node_name,
    })
}

fn pod_state(world: &World, server: &GameServer, pod: &Pod) -> PodState {
    if !is_pod_of(pod, server) {
        return PodState::Foreign;
    }
    let status = pod.status.clone().unwrap_or_default();
    let game = server.spec.game_container().unwrap_or_default();
    let game_status = status
        .container_statuses
        .iter()
        .flatten()
        .find(|container| container.name == game);
    match status.phase.as_deref() {
        Some("Succeeded") => PodState::Succeeded,
        Some("Failed") => {
            let reason = status.reason.unwrap_or_else(|| "Pod failed".to_owned());
            let exit = game_status.and_then(exit_code);
            let exit = exit.map(|code| format!(", game container exited with {code}"));
            PodState::Failed(format!("{reason}{}", exit.unwrap_or_default()))
        }
        _ => PodState::Alive(PodAlive {
            being_deleted: pod.metadata.deletion_timestamp.is_some(),
            game_ended: game_status
                .and_then(exit_code)
                .is_some_and(|code| code != 0),
            scheduled_at: status
                .conditions
                .iter()
                .flatten()
                .find(|condition| condition.type_ == "PodScheduled" && condition.status == "True")
                .and_then(|condition| condition.last_transition_time.as_ref())
                .map(|time| time.0),
            place: place(world, pod),
        }),
    }
}

fn exit_code(container: &ContainerStatus) -> Option<i32> {
    Some(container.state.as_ref()?.terminated.as_ref()?.exit_code)
}
