//! What a set asks for, as the plan reads it. Pure.

use crds::GameServerSet;
use kube::ResourceExt as _;

use super::plan::Desired;

/// Reads the spec of a set; the schema has checked it.
pub(crate) fn desired(set: &GameServerSet) -> Desired {
    Desired {
        name: set.name_any(),
        uid: set.uid().unwrap_or_default(),
        generation: set.metadata.generation,
        being_deleted: set.metadata.deletion_timestamp.is_some(),
        replicas: set.spec.replicas,
        scheduling: set.spec.scheduling,
        overflow: set.spec.allocation_overflow.clone(),
    }
}
