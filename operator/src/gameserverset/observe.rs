//! Gathers what the plan for one set looks at, from the caches.

use crds::state::State;
use crds::{GameServer, GameServerSet, meta};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::plan::{Observed, Server, carries};
use crate::world::World;

/// Reads the caches; makes no call.
pub(crate) fn observe(world: &World, set: &GameServerSet) -> Observed {
    let uid = set.uid().unwrap_or_default();
    let servers = world.servers.owned_by(&uid);
    Observed {
        servers: servers.iter().map(|server| view(set, server)).collect(),
        node_load: world.node_load(),
        next_ordinal: world.ordinals.of(&uid),
        backoff: set
            .status
            .as_ref()
            .and_then(|status| status.backoff.clone()),
    }
}

fn view(set: &GameServerSet, server: &GameServer) -> Server {
    let at = |key: &str| {
        server
            .annotations()
            .get(key)
            .and_then(|time| time.parse().ok())
    };
    let ended_at: Option<Timestamp> = match server.state() {
        State::Error => at(meta::ERRORED_AT_ANNOTATION),
        State::Unhealthy => at(meta::UNHEALTHY_AT_ANNOTATION),
        _ => None,
    };
    let created = server
        .metadata
        .creation_timestamp
        .as_ref()
        .map(|time| time.0);
    Server {
        name: server.name_any(),
        uid: server.uid().unwrap_or_default(),
        resource_version: server.resource_version().unwrap_or_default(),
        state: server.state(),
        node: server
            .status
            .as_ref()
            .map(|status| status.node_name.clone())
            .unwrap_or_default(),
        created: created.unwrap_or(Timestamp::UNIX_EPOCH),
        ended_at,
        being_deleted: server.is_being_deleted(),
        has_overflow: set
            .spec
            .allocation_overflow
            .as_ref()
            .is_some_and(|overflow| carries(overflow, server.labels(), server.annotations())),
    }
}
