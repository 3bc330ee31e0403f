//! The CustomResourceDefinitions as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_core::CustomResourceExt as _;

use crate::{Fleet, FleetAutoscaler, GameServer, GameServerSet, MatchAllocation};

/// Returns every definition, in the order in which they are installed.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![
        game_server(),
        GameServerSet::crd(),
        Fleet::crd(),
        MatchAllocation::crd(),
        FleetAutoscaler::crd(),
    ]
}

/// GameServer has no status subresource, on purpose: an allocation changes labels and state in one
/// write.
fn game_server() -> CustomResourceDefinition {
    let mut definition = GameServer::crd();
    for version in &mut definition.spec.versions {
        if let Some(subresources) = &mut version.subresources {
            subresources.status = None;
        }
    }
    definition
}

/// Writes a definition as it is committed under `charts/`.
pub fn to_yaml(definition: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    let yaml = serde_saphyr::to_string(definition)?;
    Ok(format!(
        "# Written by `cargo xtask codegen`; do not edit.\n{}\n",
        yaml.trim_end()
    ))
}
