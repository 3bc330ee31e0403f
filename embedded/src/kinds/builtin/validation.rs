//! What the API server refuses in built-in kinds, in its words.

mod access;
mod cluster;
mod container;
mod data;
mod endpoints;
mod forms;
mod pod;
mod pod_update;
mod scaling;
pub(super) mod service;
mod volumes;

use serde_json::Value;

use super::super::{Kind, definition};
use crate::status::Cause;

/// Everything that is wrong with a new object, or with the change of an old one.
pub(super) fn validate(kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => {
            pod::validate(new, &mut causes);
            match old {
                None => pod::validate_create(new, &mut causes),
                Some(old) => pod_update::validate(new, old, &mut causes),
            }
        }
        ("", "Service") => service::validate(new, old, &mut causes),
        ("", "ConfigMap") => data::config_map(new, old, &mut causes),
        ("", "Secret") => data::secret(new, old, &mut causes),
        ("", "Namespace") => cluster::namespace(new, old, &mut causes),
        ("", "Node") => cluster::node(new, old, &mut causes),
        ("", "Event") | ("events.k8s.io", _) => cluster::event(kind, new, old, &mut causes),
        ("", "Endpoints") => endpoints::endpoints(new, &mut causes),
        ("discovery.k8s.io", _) => endpoints::slice(new, old, &mut causes),
        ("coordination.k8s.io", _) => cluster::lease(new, &mut causes),
        ("scheduling.k8s.io", _) => cluster::priority_class(new, old, &mut causes),
        ("policy", _) => scaling::budget(new, &mut causes),
        ("autoscaling", _) => scaling::autoscaler(new, &mut causes),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => {
            access::role(new, kind.namespaced, &mut causes);
        }
        ("rbac.authorization.k8s.io", _) => {
            access::binding(new, old, kind.namespaced, &mut causes);
        }
        ("apiextensions.k8s.io", _) => return definition::validate(new, old),
        _ => {}
    }
    causes
}
