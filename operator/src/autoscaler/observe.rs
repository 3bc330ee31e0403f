//! Gathers what an autoscaler looks at, from the caches.

use crds::FleetAutoscaler;
use crds::state::State;
use kube::ResourceExt as _;

use super::plan::{FleetView, Observed};
use crate::world::World;

/// Reads the caches; makes no call. Active matches are counted from the servers themselves, so
/// that a burst of allocations is seen before any status was written.
pub(crate) fn observe(world: &World, autoscaler: &FleetAutoscaler) -> Observed {
    let namespace = autoscaler.namespace().unwrap_or_default();
    let Some(fleet) = world.fleets.get(&namespace, &autoscaler.spec.fleet_name) else {
        return Observed::default();
    };
    let uid = fleet.uid().unwrap_or_default();
    let allocated = world
        .sets
        .owned_by(&uid)
        .iter()
        .flat_map(|set| world.servers.owned_by(&set.uid().unwrap_or_default()))
        .filter(|server| server.state() == State::Allocated && !server.is_being_deleted())
        .count();
    Observed {
        rival: older_autoscaler(world, autoscaler),
        fleet: Some(FleetView {
            name: fleet.name_any(),
            uid,
            resource_version: fleet.resource_version().unwrap_or_default(),
            being_deleted: fleet.metadata.deletion_timestamp.is_some(),
            replicas: fleet.spec.replicas,
            current: fleet
                .status
                .as_ref()
                .map(|status| status.replicas)
                .unwrap_or_default(),
            allocated: i32::try_from(allocated).unwrap_or(i32::MAX),
        }),
    }
}

/// The name of an autoscaler of the same fleet that was there before this one.
fn older_autoscaler(world: &World, autoscaler: &FleetAutoscaler) -> Option<String> {
    let namespace = autoscaler.namespace().unwrap_or_default();
    let age = |it: &FleetAutoscaler| {
        (
            it.metadata.creation_timestamp.as_ref().map(|time| time.0),
            it.name_any(),
        )
    };
    world
        .autoscalers_of(&(namespace.clone(), autoscaler.spec.fleet_name.clone()))
        .iter()
        .filter_map(|name| world.autoscalers.get(&namespace, name))
        .map(|other| age(&other))
        .min()
        .filter(|oldest| *oldest < age(autoscaler))
        .map(|(_, name)| name)
}
