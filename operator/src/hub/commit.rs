//! Writes a change that an SDK server asked for.

use std::sync::Arc;

use crds::GameServer;
use crds::gameserver::GameServerStatusAddress;
use crds::state::State;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use proto::muster::hub::v1::state_change::State as Wanted;
use proto::muster::hub::v1::{Ack, Change};
use tonic::Code;
use tracing::{Instrument as _, Span};

use super::change::{Decision, decide, ends_another_match, trace_of_match, without_place};
use super::session::Peer;
use crate::api::Target;
use crate::error::Error;
use crate::gameserver::plan::Place;
use crate::nodes::POD_IP;
use crate::ports::Holder;
use crate::world::World;

/// How often a write is tried when the object keeps changing under it.
const ATTEMPTS: usize = 8;

/// Commits a change and says how it went.
pub(crate) async fn commit(world: &World, peer: &Peer, change: &Change) -> Ack {
    let written = try_commit(world, peer, change).instrument(span(world, peer));
    let (code, message, outcome) = match written.await {
        Ok(Committed::Wholly) => (Code::Ok, String::new(), format!("{:?}", Code::Ok)),
        Ok(Committed::WithoutMatchEnd) => {
            let (namespace, server) = &peer.key;
            tracing::warn!(
                namespace,
                server,
                "Dropped the end of a match that is not the game server's, or no more"
            );
            (Code::Ok, String::new(), "OtherMatch".to_owned())
        }
        Err((code, message)) => (code, message, format!("{code:?}")),
    };
    world
        .metrics
        .hub_changes
        .with_label_values(&[&outcome])
        .inc();
    Ack {
        id: change.id,
        code: code.into(),
        message,
    }
}

/// A span in the trace of the match that the server is allocated for, if it has one.
fn span(world: &World, peer: &Peer) -> Span {
    if !runtime::trace::is_on() {
        return Span::none();
    }
    let (namespace, name) = &peer.key;
    let server = world.servers.get(namespace, name);
    let Some(context) = server.as_deref().and_then(trace_of_match) else {
        return Span::none();
    };
    let span = runtime::span!(
        "write state change",
        otel.kind = "server",
        k8s.namespace.name = namespace,
        muster.game_server = name,
    );
    runtime::trace::continue_from(&span, &context);
    span
}

/// How much of a change was committed.
#[derive(Clone, Copy, Debug)]
enum Committed {
    Wholly,
    /// It was the end of another match.
    WithoutMatchEnd,
}

async fn try_commit(
    world: &World,
    peer: &Peer,
    change: &Change,
) -> Result<Committed, (Code, String)> {
    let key = &peer.key;
    let (namespace, name) = key;
    let gone = || {
        (
            Code::NotFound,
            format!("game server {namespace}/{name} does not exist"),
        )
    };
    let mut server = world.servers.get(namespace, name).ok_or_else(gone)?;
    for _ in 0..ATTEMPTS {
        let place = world
            .pods
            .get(namespace, name)
            .and_then(|pod| crate::gameserver::place(world, &pod))
            .map(|place| with_pod_ips(place, peer));
        let committed = if ends_another_match(&server, change) {
            Committed::WithoutMatchEnd
        } else {
            Committed::Wholly
        };
        let now = runtime::clock::now();
        let mut decision = decide(now, &server, place.as_ref(), change);
        if decision == Decision::NeedsPlace {
            // The watches may be behind the kubelet.
            decision = match live_place(world, key).await {
                Ok(place) => decide(now, &server, Some(&with_pod_ips(place, peer)), change),
                // Written down, and completed by the controller as soon as the node is known.
                Err(_) if is_ready(change) => without_place(now, &server, change),
                Err(error) => return Err(failed(&error)),
            };
        }
        let patch = match decision {
            Decision::Write(patch) => patch,
            Decision::Nothing | Decision::NeedsPlace => return Ok(committed),
            Decision::Refuse(code, message) => return Err((code, message)),
        };
        match world
            .api
            .patch::<GameServer>(&Target::of(&server.metadata), patch)
            .await
        {
            Ok(written) => {
                world.servers.wrote(&written);
                report(world, &written, change).await;
                return Ok(committed);
            }
            Err(error) if error.is_conflict() => {
                let fresh: GameServer = world
                    .api
                    .get(namespace, name)
                    .await
                    .map_err(|error| failed(&error))?;
                world.servers.wrote(&fresh);
                server = Arc::new(fresh);
            }
            Err(error) if error.is_not_found() => return Err(gone()),
            Err(error) => return Err(failed(&error)),
        }
    }
    Err((
        Code::Aborted,
        "the game server keeps changing; try again".to_owned(),
    ))
}

/// Adds the addresses that the pod told, while the kubelet has not reported any.
fn with_pod_ips(mut place: Place, peer: &Peer) -> Place {
    if !place
        .addresses
        .iter()
        .any(|address| address.type_ == POD_IP)
    {
        place
            .addresses
            .extend(peer.pod_ips.iter().map(|ip| GameServerStatusAddress {
                type_: POD_IP.to_owned(),
                address: ip.to_string(),
            }));
    }
    place
}

fn is_ready(change: &Change) -> bool {
    change
        .state
        .as_ref()
        .is_some_and(|wanted| wanted.state() == Wanted::Ready)
}

fn failed(error: &Error) -> (Code, String) {
    if error.is_rejected() {
        return (Code::InvalidArgument, error.message());
    }
    let status = super::auth::unavailable(error);
    (status.code(), status.message().to_owned())
}

/// Reads pod and node from the API server.
async fn live_place(world: &World, (namespace, name): &Holder) -> Result<Place, Error> {
    let pod: Pod = world.api.get(namespace, name).await?;
    world.pods.wrote(&pod);
    if let Some(place) = crate::gameserver::place(world, &pod) {
        return Ok(place);
    }
    let node_name = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
    let api: Api<Node> = Api::all(world.api.client.clone());
    let node = world
        .api
        .call("get", format!("Node {node_name}"), api.get(&node_name))
        .await?;
    world.nodes.wrote(&node);
    let pod = world.pods.get(namespace, name);
    pod.and_then(|pod| crate::gameserver::place(world, &pod))
        .ok_or_else(|| Error::Waiting {
            what: format!("node {node_name} has no address that players could use"),
        })
}

/// Events only for what a person acts on.
async fn report(world: &World, server: &GameServer, change: &Change) {
    let Some(wanted) = &change.state else { return };
    tracing::info!(
        namespace = server.metadata.namespace,
        server = server.metadata.name,
        state = server.state().as_str(),
        why = wanted.reason,
        "Game server changed its state"
    );
    if wanted.state() == Wanted::Unhealthy && server.state() == State::Unhealthy {
        world
            .events
            .warning(server, "Unhealthy", wanted.reason.clone())
            .await;
    }
}
