//! FleetAutoscaler: sizes a Fleet from its active matches.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube_derive::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Desired behavior of an autoscaler.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "autoscaling.muster.dev",
    version = "v1",
    kind = "FleetAutoscaler",
    plural = "fleetautoscalers",
    shortname = "fas",
    category = "muster",
    namespaced,
    status = "FleetAutoscalerStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "Sizes a Fleet from its active matches.",
    printcolumn(name = "Fleet", type_ = "string", json_path = ".spec.fleetName"),
    printcolumn(name = "Policy", type_ = "string", json_path = ".spec.policy.type"),
    printcolumn(
        name = "Current",
        type_ = "integer",
        json_path = ".status.currentReplicas"
    ),
    printcolumn(
        name = "Desired",
        type_ = "integer",
        json_path = ".status.desiredReplicas"
    ),
    printcolumn(name = "Able", type_ = "boolean", json_path = ".status.ableToScale"),
    printcolumn(
        name = "Limited",
        type_ = "boolean",
        json_path = ".status.scalingLimited"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    crates(kube_core = "kube_core")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(crates(kube_core = "kube_core"))]
pub struct FleetAutoscalerSpec {
    /// Name of the Fleet, in the same namespace.
    #[schemars(length(min = 1, max = 63))]
    pub fleet_name: String,
    /// How the size is found.
    pub policy: Policy,
    /// When the policy is evaluated besides on every change.
    #[serde(default)]
    pub sync: Sync,
}

/// How the size is found.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    crates(kube_core = "kube_core"),
    validation = Rule::new("self.type != 'Buffer' || has(self.buffer)")
        .message("buffer is required with type Buffer")
)]
pub struct Policy {
    /// Buffer: a number of free servers beside the allocated ones.
    #[serde(rename = "type")]
    pub type_: PolicyType,
    /// Settings of the Buffer policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer: Option<BufferPolicy>,
}

/// Kind of policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PolicyType {
    /// A number or share of free servers beside the allocated ones.
    #[default]
    Buffer,
}

/// Keeps a number or share of free servers.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    crates(kube_core = "kube_core"),
    validation = Rule::new("self.minReplicas <= self.maxReplicas")
        .message("minReplicas must not be greater than maxReplicas"),
    validation = Rule::new("type(self.bufferSize) == int ? self.bufferSize >= 1 : self.bufferSize.matches('^[1-9][0-9]?%$')")
        .message("bufferSize must be an integer of at least 1 or a percentage from 1% to 99%"),
    validation = Rule::new("type(self.bufferSize) != int || self.maxReplicas >= self.bufferSize")
        .message("maxReplicas must be at least bufferSize"),
    validation = Rule::new("type(self.bufferSize) != int || self.minReplicas == 0 || self.minReplicas >= self.bufferSize")
        .message("minReplicas must be 0 or at least bufferSize"),
    validation = Rule::new("type(self.bufferSize) == int || self.minReplicas >= 1")
        .message("minReplicas must be at least 1 when bufferSize is a percentage")
)]
pub struct BufferPolicy {
    /// Most servers.
    #[schemars(range(min = 1))]
    pub max_replicas: i32,
    /// Fewest servers.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub min_replicas: i32,
    /// Free servers: a number, or a percentage of all.
    pub buffer_size: IntOrString,
}

/// When the policy is evaluated besides on every change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Sync {
    /// FixedInterval.
    #[serde(rename = "type")]
    pub type_: SyncType,
    /// The interval.
    pub fixed_interval: FixedInterval,
}

/// Kind of evaluation in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SyncType {
    /// At a fixed interval.
    #[default]
    FixedInterval,
}

/// An interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FixedInterval {
    /// Seconds between evaluations.
    #[schemars(range(min = 1))]
    pub seconds: i32,
}

impl Default for FixedInterval {
    fn default() -> Self {
        Self { seconds: 30 }
    }
}

/// Observed behavior of an autoscaler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FleetAutoscalerStatus {
    /// Generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Servers of the fleet.
    pub current_replicas: i32,
    /// Servers that the policy asks for.
    pub desired_replicas: i32,
    /// When the fleet's size was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>")]
    pub last_scale_time: Option<jiff::Timestamp>,
    /// Whether the fleet exists and can be scaled.
    pub able_to_scale: bool,
    /// Whether minReplicas or maxReplicas held the size back.
    pub scaling_limited: bool,
    /// The policy that was applied last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_applied_policy: String,
    /// `Ready`: the policy can be applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
