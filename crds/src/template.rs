//! The schema of the pod template inside a game server.
//!
//! A full structural schema of a pod costs the API server more per write than everything else in
//! the object. Only what our own rules look at is described; the rest is kept as it is and checked
//! by the API server when the pod is created (and by a dry run when a Fleet changes).

use schemars::{Schema, SchemaGenerator, json_schema};

/// Upper bound of containers per pod template; it bounds the cost of the CEL rules over them.
const MAX_CONTAINERS: u32 = 16;

/// A name as Kubernetes wants it for containers.
const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// Returns the schema of `template`.
pub(crate) fn pod_template(_: &mut SchemaGenerator) -> Schema {
    let resources = json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "limits": quantities(),
            "requests": quantities(),
        },
        "x-kubernetes-validations": [{
            "rule": "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || !isQuantity(string(self.requests[name])) || !isQuantity(string(self.limits[name])) || quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
            "message": "resources.requests must not be greater than resources.limits",
            "fieldPath": ".requests",
        }],
    });
    let container = json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "required": ["name"],
        "properties": {
            "name": {
                "type": "string",
                "description": "Name of the container, unique in the pod.",
                "maxLength": 63,
                "pattern": DNS_LABEL,
            },
            "image": { "type": "string", "description": "Image of the container.", "maxLength": 1024 },
            "restartPolicy": {
                "type": "string",
                "description": "Always on an init container makes it a sidecar.",
                "maxLength": 32,
            },
            "resources": resources,
        },
    });
    let metadata = json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "labels": { "type": "object", "additionalProperties": { "type": "string", "maxLength": 63 } },
            "annotations": { "type": "object", "additionalProperties": { "type": "string" } },
        },
    });
    json_schema!({
        "type": "object",
        "description": "The pod of the game server (a PodTemplateSpec). Fields beyond these are kept and checked when the pod is created.",
        "x-kubernetes-preserve-unknown-fields": true,
        "required": ["spec"],
        "properties": {
            "metadata": metadata,
            "spec": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": true,
                "required": ["containers"],
                "properties": {
                    "containers": {
                        "type": "array",
                        "description": "Containers of the pod; one of them is the game server.",
                        "minItems": 1,
                        "maxItems": MAX_CONTAINERS,
                        "items": container.clone(),
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                    },
                    "initContainers": {
                        "type": "array",
                        "maxItems": MAX_CONTAINERS,
                        "items": container,
                    },
                },
            },
        },
    })
}

/// Amounts of resources by name; each must be a quantity that is not negative.
fn quantities() -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {
            "x-kubernetes-int-or-string": true,
            "anyOf": [{ "type": "integer" }, { "type": "string" }],
            "maxLength": 32,
            "x-kubernetes-validations": [{
                "rule": "isQuantity(string(self)) && sign(quantity(string(self))) >= 0",
                "message": "must be a quantity such as 100m or 64Mi and not negative",
            }],
        },
    })
}
