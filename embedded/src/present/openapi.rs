//! OpenAPI 3: one document for each group and version, with the schemas of its kinds.
//!
//! Built-in kinds are described by k8s-openapi, custom ones by their definitions. Paths carry what
//! clients look for: kinds, parameters such as `fieldValidation`, and the types of patches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::operations;
use crate::kinds::builtin::types::{Types, definition_name};
use crate::kinds::{Kind, Kinds};

/// Where schemas refer to each other.
pub(super) const REFERENCE: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// `/openapi/v3`: where the documents are. Their addresses change with their content.
pub fn index(kinds: &Kinds) -> Value {
    let paths: Map<String, Value> = by_path(kinds)
        .into_iter()
        .map(|(path, kinds)| {
            let address = format!("/openapi/v3/{path}?hash={:016X}", fingerprint(&kinds));
            (path, json!({ "serverRelativeURL": address }))
        })
        .collect();
    json!({ "paths": paths })
}

/// `/openapi/v3/PATH`, with a path as in the index, such as `apis/muster.dev/v1`.
pub fn document(kinds: &Kinds, path: &str) -> Option<Value> {
    let kinds = by_path(kinds).remove(path)?;
    let mut paths = Map::new();
    let mut schemas = BTreeMap::new();
    for kind in &kinds {
        operations::add(kind, &mut paths);
        schemas.insert(name(kind), schema(kind));
        schemas.insert(format!("{}List", name(kind)), list_schema(kind));
    }
    let mut wanted = BTreeSet::new();
    references(&Value::Object(paths.clone()), &mut wanted);
    for schema in schemas.values() {
        references(schema, &mut wanted);
    }
    add_definitions(wanted, &mut schemas);
    let components: Map<String, Value> = schemas.into_iter().collect();
    Some(json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": "v1.35.4" },
        "paths": paths,
        "components": { "schemas": components },
    }))
}

/// Kinds by the path of their document.
fn by_path(kinds: &Kinds) -> BTreeMap<String, Vec<Arc<Kind>>> {
    let mut paths: BTreeMap<String, Vec<Arc<Kind>>> = BTreeMap::new();
    for kind in kinds.iter() {
        let path = if kind.group.is_empty() {
            format!("api/{}", kind.version)
        } else {
            format!("apis/{}/{}", kind.group, kind.version)
        };
        paths.entry(path).or_default().push(Arc::clone(kind));
    }
    paths
}

/// A number that changes when a kind changes (FNV-1a).
fn fingerprint(kinds: &[Arc<Kind>]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in format!("{kinds:?}").bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}

/// Name of the schema of a kind, such as `dev.muster.v1.Fleet`.
pub(super) fn name(kind: &Kind) -> String {
    if kind.schema.is_none() {
        return definition_name(&kind.group, &kind.version, &kind.kind);
    }
    let reversed: Vec<&str> = kind.group.rsplit('.').collect();
    format!("{}.{}.{}", reversed.join("."), kind.version, kind.kind)
}

fn kind_mark(kind: &Kind, name: &str) -> Value {
    json!([{ "group": kind.group, "kind": name, "version": kind.version }])
}

/// The schema of a kind.
fn schema(kind: &Kind) -> Value {
    let mut schema = match &kind.schema {
        Some(schema) => {
            let mut schema = schema.as_ref().clone();
            publish(&mut schema);
            if !schema["properties"].is_object() {
                schema["properties"] = json!({});
            }
            for field in ["apiVersion", "kind", "metadata"] {
                schema["properties"][field] = common_field(field);
            }
            schema
        }
        None => Types::get().definitions().get(&name(kind)).map_or_else(
            || json!({ "type": "object" }),
            |schema| built_in(&name(kind), schema),
        ),
    };
    schema["x-kubernetes-group-version-kind"] = kind_mark(kind, &kind.kind);
    if !kind.selectable_fields.is_empty() && kind.schema.is_some() {
        schema["x-kubernetes-selectable-fields"] = kind
            .selectable_fields
            .iter()
            .map(|field| json!({ "fieldPath": field }))
            .collect();
    }
    schema
}

/// What apiVersion, kind and metadata are, as in every built-in kind.
fn common_field(name: &str) -> Value {
    Types::get()
        .definitions()
        .get("io.k8s.api.core.v1.ConfigMap")
        .map_or(Value::Null, |schema| schema["properties"][name].clone())
}

fn list_schema(kind: &Kind) -> Value {
    let properties = json!({
        "apiVersion": common_field("apiVersion"),
        "kind": common_field("kind"),
        "metadata": {
            "description": "Standard list metadata.",
            "allOf": [{ "$ref": format!("{REFERENCE}{META}.ListMeta") }],
        },
        "items": {
            "description": format!("List of {}.", kind.plural),
            "type": "array",
            "items": { "$ref": format!("{REFERENCE}{}", name(kind)) },
        },
    });
    json!({
        "description": format!("{} is a list of {}", kind.list_kind, kind.kind),
        "type": "object",
        "required": ["items"],
        "properties": properties,
        "x-kubernetes-group-version-kind": kind_mark(kind, &kind.list_kind),
    })
}

/// Makes a definition's schema fit for clients, as the API server does.
fn publish(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
                fields
                    .entry("anyOf")
                    .or_insert_with(|| json!([{ "type": "integer" }, { "type": "string" }]));
            }
            for (key, value) in fields {
                // Values that happen to look like schemas.
                if key != "default" && key != "enum" && key != "example" {
                    publish(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(publish),
        _ => {}
    }
}

/// Adds the definitions that are referred to, and those that they refer to.
fn add_definitions(wanted: BTreeSet<String>, schemas: &mut BTreeMap<String, Value>) {
    let definitions = Types::get().definitions();
    let mut queue: Vec<String> = wanted.into_iter().collect();
    while let Some(name) = queue.pop() {
        if schemas.contains_key(&name) {
            continue;
        }
        let Some(definition) = definitions.get(&name) else {
            continue;
        };
        let mut schema = built_in(&name, definition);
        if let Some(mark) = foreign_mark(&name) {
            schema["x-kubernetes-group-version-kind"] = mark;
        }
        let mut more = BTreeSet::new();
        references(&schema, &mut more);
        queue.extend(more);
        schemas.insert(name, schema);
    }
}

/// Kinds that appear in documents of other groups.
fn foreign_mark(name: &str) -> Option<Value> {
    let (group, kind) = match name {
        "io.k8s.api.autoscaling.v1.Scale" => ("autoscaling", "Scale"),
        "io.k8s.api.policy.v1.Eviction" => ("policy", "Eviction"),
        "io.k8s.api.authentication.v1.TokenRequest" => ("authentication.k8s.io", "TokenRequest"),
        "io.k8s.api.core.v1.Binding" => ("", "Binding"),
        "io.k8s.apimachinery.pkg.apis.meta.v1.Status" => ("", "Status"),
        _ => return None,
    };
    Some(json!([{ "group": group, "kind": kind, "version": "v1" }]))
}

/// Names of the schemas that a value refers to.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| reference.strip_prefix(REFERENCE))
            {
                found.insert(name.to_owned());
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// A definition of k8s-openapi in the form of the API server: lists say how patches merge them.
fn built_in(name: &str, definition: &Value) -> Value {
    let mut schema = definition.clone();
    let short = name.rsplit('.').next().unwrap_or(name);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for (field, property) in properties {
            if let Some(merge) = MERGED
                .iter()
                .find(|merge| merge.0 == short && merge.1 == field)
            {
                let (_, _, key, strategy) = merge;
                property["x-kubernetes-patch-strategy"] = (*strategy).into();
                if !key.is_empty() {
                    property["x-kubernetes-patch-merge-key"] = (*key).into();
                }
            }
        }
    }
    // k8s-openapi requires what its types cannot leave out, which the API server does not.
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|field| field != "metadata" && field != "spec" && field != "status");
        if required.is_empty()
            && let Some(fields) = schema.as_object_mut()
        {
            fields.remove("required");
        }
    }
    schema
}

/// Lists that strategic merge patches merge: type, field, key (empty for sets) and strategy.
const MERGED: &[(&str, &str, &str, &str)] = &[
    ("Container", "env", "name", "merge"),
    ("Container", "ports", "containerPort", "merge"),
    ("Container", "volumeDevices", "devicePath", "merge"),
    ("Container", "volumeMounts", "mountPath", "merge"),
    (
        "ContainerStatus",
        "allocatedResourcesStatus",
        "name",
        "merge",
    ),
    ("ContainerStatus", "volumeMounts", "mountPath", "merge"),
    ("EphemeralContainer", "env", "name", "merge"),
    ("EphemeralContainer", "ports", "containerPort", "merge"),
    ("EphemeralContainer", "volumeDevices", "devicePath", "merge"),
    ("EphemeralContainer", "volumeMounts", "mountPath", "merge"),
    ("NamespaceStatus", "conditions", "type", "merge"),
    ("NodeSpec", "podCIDRs", "", "merge"),
    ("NodeStatus", "addresses", "type", "merge"),
    ("NodeStatus", "conditions", "type", "merge"),
    ("PodSpec", "containers", "name", "merge"),
    ("PodSpec", "ephemeralContainers", "name", "merge"),
    ("PodSpec", "hostAliases", "ip", "merge"),
    ("PodSpec", "imagePullSecrets", "name", "merge"),
    ("PodSpec", "initContainers", "name", "merge"),
    ("PodSpec", "resourceClaims", "name", "merge,retainKeys"),
    ("PodSpec", "schedulingGates", "name", "merge"),
    (
        "PodSpec",
        "topologySpreadConstraints",
        "topologyKey",
        "merge",
    ),
    ("PodSpec", "volumes", "name", "merge,retainKeys"),
    ("PodStatus", "conditions", "type", "merge"),
    ("PodStatus", "hostIPs", "ip", "merge"),
    ("PodStatus", "podIPs", "ip", "merge"),
    (
        "PodStatus",
        "resourceClaimStatuses",
        "name",
        "merge,retainKeys",
    ),
    ("ServiceAccount", "secrets", "name", "merge"),
    ("ServiceSpec", "ports", "port", "merge"),
    ("ServiceStatus", "conditions", "type", "merge"),
    ("PodDisruptionBudgetSpec", "selector", "", "replace"),
    ("PodDisruptionBudgetStatus", "conditions", "type", "merge"),
    (
        "HorizontalPodAutoscalerStatus",
        "conditions",
        "type",
        "merge",
    ),
    ("ObjectMeta", "finalizers", "", "merge"),
    ("ObjectMeta", "ownerReferences", "uid", "merge"),
];
