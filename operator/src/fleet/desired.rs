//! What a fleet asks for, as the plan reads it. Pure.

use crds::Fleet;
use kube::ResourceExt as _;

use super::plan::Desired;

/// Reads the spec of a fleet; the schema has checked it.
pub(crate) fn desired(fleet: &Fleet) -> Desired {
    Desired {
        name: fleet.name_any(),
        uid: fleet.uid().unwrap_or_default(),
        generation: fleet.metadata.generation,
        being_deleted: fleet.metadata.deletion_timestamp.is_some(),
        spec: fleet.spec.clone(),
    }
}
