//! Gathers what the plan for one fleet looks at, from the caches.

use crds::{Fleet, GameServerSet, GameServerSetStatus};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::plan::{Observed, SetView};
use crate::world::World;

/// Reads the caches; makes no call.
pub(crate) fn observe(world: &World, fleet: &Fleet) -> Observed {
    let uid = fleet.uid().unwrap_or_default();
    let sets = world.sets.owned_by(&uid);
    Observed {
        sets: sets.iter().map(|set| view(world, set)).collect(),
        next_ordinal: world.ordinals.of(&uid),
    }
}

fn view(world: &World, set: &GameServerSet) -> SetView {
    let created = set.metadata.creation_timestamp.as_ref().map(|time| time.0);
    SetView {
        name: set.name_any(),
        uid: set.uid().unwrap_or_default(),
        resource_version: set.resource_version().unwrap_or_default(),
        generation: set.metadata.generation,
        created: created.unwrap_or(Timestamp::UNIX_EPOCH),
        being_deleted: set.metadata.deletion_timestamp.is_some(),
        spec: set.spec.clone(),
        status: live_status(world, set),
    }
}

/// The set's status with its numbers as they are now: the stored ones are written less often than
/// servers change. What the set's controller has seen of its spec, only the stored status tells.
fn live_status(world: &World, set: &GameServerSet) -> GameServerSetStatus {
    let stored = set.status.clone().unwrap_or_default();
    let servers = world.servers.owned_by(&set.uid().unwrap_or_default());
    GameServerSetStatus {
        observed_generation: stored.observed_generation,
        backoff: stored.backoff,
        ..crate::gameserverset::status::counts(
            servers
                .iter()
                .map(|server| (server.state(), server.is_being_deleted())),
        )
    }
}
