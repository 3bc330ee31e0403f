//! Gathers what the plan for one request looks at.

use std::sync::Arc;

use crds::allocation::MatchState;
use crds::state::State;
use crds::{GameServer, MatchAllocation, meta};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use crate::error::Error;
use crate::world::World;

/// What is known about a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// The server that was allocated for this request. Of a request that waits for one or goes
    /// nothing is known here: the allocator gives it the same again, and takes it back.
    pub(crate) server: Option<Arc<GameServer>>,
}

/// Finds the server of a request.
///
/// The allocator wrote the label, so our watch may be behind it: before a server counts as gone the
/// API server is asked.
pub(crate) async fn observe(world: &World, request: &MatchAllocation) -> Result<Observed, Error> {
    let namespace = request.namespace().unwrap_or_default();
    let uid = request.uid().unwrap_or_default();
    let status = request.status.clone().unwrap_or_default();
    let is_leaving = request.metadata.deletion_timestamp.is_some();
    if is_leaving || status.state != MatchState::Allocated {
        return Ok(Observed::default());
    }
    let known = world.servers.get(&namespace, &status.game_server_name);
    let held = known.filter(|server| {
        server.state() == State::Allocated && server.labels().get(meta::REQUEST_LABEL) == Some(&uid)
    });
    if held.is_some() {
        return Ok(Observed { server: held });
    }
    let params = ListParams::default().labels(&format!("{}={uid}", meta::REQUEST_LABEL));
    let api: Api<GameServer> = Api::namespaced(world.api.client.clone(), &namespace);
    let found = world
        .api
        .call("list", format!("GameServer {namespace}"), api.list(&params))
        .await?;
    for server in &found.items {
        world.servers.wrote(server);
    }
    // A request has one server at most.
    let server = found.items.into_iter().next().map(Arc::new);
    Ok(Observed { server })
}
