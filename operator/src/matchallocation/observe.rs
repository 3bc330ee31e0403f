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
    /// Servers that carry this request's label, the one that was allocated first in front. More
    /// than one only if an answer was lost and its write came late.
    pub(crate) servers: Vec<Arc<GameServer>>,
}

/// Finds the servers of a request.
///
/// The allocator wrote the label, so our watch may be behind it. Before anything is decided that
/// cannot be taken back (another server, none any more, the request's end) the API server is asked.
pub(crate) async fn observe(world: &World, request: &MatchAllocation) -> Result<Observed, Error> {
    let namespace = request.namespace().unwrap_or_default();
    let uid = request.uid().unwrap_or_default();
    let status = request.status.clone().unwrap_or_default();
    let leaving = request.metadata.deletion_timestamp.is_some();
    match status.state {
        MatchState::Released | MatchState::Lost => return Ok(Observed::default()),
        MatchState::Allocated if !leaving => {
            let known = world.servers.get(&namespace, &status.game_server_name);
            let held = known.filter(|server| {
                server.state() == State::Allocated
                    && server.labels().get(meta::MATCH_ALLOCATION_LABEL) == Some(&uid)
            });
            if let Some(server) = held {
                return Ok(Observed {
                    servers: vec![server],
                });
            }
        }
        MatchState::Pending | MatchState::Allocated => {}
    }
    let params = ListParams::default().labels(&format!("{}={uid}", meta::MATCH_ALLOCATION_LABEL));
    let api: Api<GameServer> = Api::namespaced(world.api.client.clone(), &namespace);
    let found = world
        .api
        .call("list", format!("GameServer {namespace}"), api.list(&params))
        .await?;
    let mut servers: Vec<_> = found.items.into_iter().map(Arc::new).collect();
    for server in &servers {
        world.servers.wrote(server);
    }
    servers.sort_by_key(|server| {
        let since = server
            .annotations()
            .get(meta::LAST_ALLOCATED_ANNOTATION)
            .cloned();
        (
            server.name_any() != status.game_server_name,
            since,
            server.name_any(),
        )
    });
    Ok(Observed { servers })
}
