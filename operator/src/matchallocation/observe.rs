//! Gathers what the plan for one request looks at.

use std::sync::Arc;

use crds::allocation::MatchState;
use crds::{GameServer, MatchAllocation, meta};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use crate::error::Error;
use crate::world::World;

/// What is known about a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// The server that carries this request's label.
    pub(crate) server: Option<Arc<GameServer>>,
}

/// Finds the server of a request.
///
/// A request without a server in its status may still have one: the allocation was committed and
/// its answer lost with the process that waited for it. Only the API server knows, so it is asked
/// once more before another server is taken.
pub(crate) async fn observe(world: &World, request: &MatchAllocation) -> Result<Observed, Error> {
    let namespace = request.namespace().unwrap_or_default();
    let uid = request.uid().unwrap_or_default();
    let status = request.status.clone().unwrap_or_default();
    let is_ours =
        |server: &GameServer| server.labels().get(meta::MATCH_ALLOCATION_LABEL) == Some(&uid);
    if !status.game_server_name.is_empty() {
        let server = world.servers.get(&namespace, &status.game_server_name);
        return Ok(Observed {
            server: server.filter(|server| is_ours(server)),
        });
    }
    if status.state != MatchState::Pending {
        return Ok(Observed::default());
    }
    let params = ListParams::default()
        .labels(&format!("{}={uid}", meta::MATCH_ALLOCATION_LABEL))
        .limit(1);
    let api: Api<GameServer> = Api::namespaced(world.api.client.clone(), &namespace);
    let found = world
        .api
        .call("list", format!("GameServer {namespace}"), api.list(&params))
        .await?;
    let server = found.items.into_iter().next();
    if let Some(server) = &server {
        world.servers.wrote(server);
    }
    Ok(Observed {
        server: server.map(Arc::new),
    })
}
