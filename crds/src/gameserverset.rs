//! GameServerSet: one immutable revision of a Fleet's template.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_derive::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::gameserver::{GameServerSpec, Scheduling};

/// Desired state of a set of game servers.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "muster.dev",
    version = "v1",
    kind = "GameServerSet",
    plural = "gameserversets",
    shortname = "gss",
    shortname = "gsset",
    category = "muster",
    namespaced,
    status = "GameServerSetStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "One immutable revision of a Fleet's template.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas"
    ),
    printcolumn(name = "Scheduling", type_ = "string", json_path = ".spec.scheduling"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Current", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Allocated", type_ = "integer", json_path = ".status.allocatedReplicas"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("metadata.name must be at most 63 characters, because it becomes a label value"),
    attr = "x_kube(crates(kube_core = \"kube_core\"))",
    crates(kube_core = "kube_core", kube = "kube_derive")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(crates(kube_core = "kube_core"))]
pub struct GameServerSetSpec {
    /// How many game servers there shall be.
    #[schemars(range(min = 0))]
    pub replicas: i32,

    /// What is put on Allocated servers beyond `replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation_overflow: Option<AllocationOverflow>,

    /// Order of scale-down, and placement of pods.
    #[serde(default)]
    pub scheduling: Scheduling,

    /// Order of scale-down by counters and lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub priorities: Option<Vec<Priority>>,

    /// The game servers of this set; immutable.
    #[x_kube(validation = Rule::new("self == oldSelf").message("template is immutable: change the Fleet instead"))]
    pub template: GameServerTemplate,
}

/// Metadata and spec of the game servers that a Fleet or set makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GameServerTemplate {
    /// Labels and annotations of each game server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "template_metadata")]
    pub metadata: Option<ObjectMeta>,
    /// Spec of each game server.
    pub spec: GameServerSpec,
}

fn template_metadata(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "labels": {
                "type": "object",
                "maxProperties": 128,
                "additionalProperties": { "type": "string", "maxLength": 63 },
            },
            "annotations": {
                "type": "object",
                "maxProperties": 128,
                "additionalProperties": { "type": "string" },
            },
        },
        "x-kubernetes-validations": [{
            "rule": "!has(self.labels) || self.labels.all(key, !key.startsWith('muster.dev/'))",
            "message": "labels under muster.dev/ are set by Muster alone",
            "fieldPath": ".labels",
        }],
    })
}

/// Labels and annotations for Allocated servers beyond the desired number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AllocationOverflow {
    /// Labels to put on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations to put on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An order by the available capacity of a counter or list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Priority {
    /// Counter or List.
    #[serde(rename = "type")]
    pub type_: PriorityType,
    /// Name of the counter or list.
    #[schemars(length(max = 63))]
    pub key: String,
    /// Ascending puts the smallest available capacity first.
    #[serde(default)]
    pub order: PriorityOrder,
}

/// What a priority looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PriorityType {
    /// A counter.
    #[default]
    Counter,
    /// A list.
    List,
}

/// Direction of a priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PriorityOrder {
    /// Smallest available capacity first.
    #[default]
    Ascending,
    /// Largest available capacity first.
    Descending,
}

/// Observed state of a set of game servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GameServerSetStatus {
    /// Generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Game servers that exist and have not ended.
    pub replicas: i32,
    /// Servers in state Ready.
    pub ready_replicas: i32,
    /// Servers in state Reserved.
    pub reserved_replicas: i32,
    /// Servers in state Allocated.
    pub allocated_replicas: i32,
    /// Servers that are ending.
    pub shutdown_replicas: i32,
    /// Why and since when replacement of failing servers is slowed down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
}

/// The crash-loop state of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// Failures in a row; each doubles the delay before the next creation.
    pub failures: i32,
    /// When the last of them was seen.
    #[schemars(with = "k8s_openapi::apimachinery::pkg::apis::meta::v1::Time")]
    pub last_failure_time: jiff::Timestamp,
}
