//! Fleet: the desired number of servers of a build, with a rollout strategy.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube_derive::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gameserver::Scheduling;
use crate::gameserverset::{AllocationOverflow, GameServerTemplate, Priority};

/// Desired state of a fleet.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "muster.dev",
    version = "v1",
    kind = "Fleet",
    plural = "fleets",
    shortname = "flt",
    category = "muster",
    namespaced,
    status = "FleetStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "The desired number of game servers of a build, with a rollout strategy.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.labelSelector"
    ),
    printcolumn(name = "Scheduling", type_ = "string", json_path = ".spec.scheduling"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Current", type_ = "integer", json_path = ".status.replicas"),
    printcolumn(name = "Allocated", type_ = "integer", json_path = ".status.allocatedReplicas"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 57")
        .message("metadata.name must be at most 57 characters, because sets are named after it with a suffix of 6"),
    attr = "x_kube(crates(kube_core = \"kube_core\"))",
    crates(kube_core = "kube_core", kube = "kube_derive")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(crates(kube_core = "kube_core"))]
pub struct FleetSpec {
    /// How many game servers there shall be.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub replicas: i32,

    /// What is put on Allocated servers beyond `replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation_overflow: Option<AllocationOverflow>,

    /// How a new template replaces the old one.
    #[serde(default)]
    pub strategy: Strategy,

    /// Order of scale-down, and placement of pods.
    #[serde(default)]
    pub scheduling: Scheduling,

    /// Order of scale-down by counters and lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub priorities: Option<Vec<Priority>>,

    /// The game servers of this fleet.
    pub template: GameServerTemplate,
}

/// How a new template replaces the old one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Strategy {
    /// RollingUpdate (default) or Recreate.
    #[serde(rename = "type")]
    pub type_: StrategyType,
    /// Bounds of a rolling update.
    pub rolling_update: RollingUpdate,
}

/// Kind of replacement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StrategyType {
    /// Step by step, within bounds.
    #[default]
    RollingUpdate,
    /// All at once; Allocated and Reserved servers stay.
    Recreate,
}

/// Bounds of a rolling update.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(crates(kube_core = "kube_core"))]
pub struct RollingUpdate {
    /// Servers beyond `replicas` during an update: a number of at least 1, or 1% to 99%.
    #[serde(default = "quarter")]
    #[x_kube(validation = Rule::new("type(self) == int ? self >= 1 : self.matches('^[1-9][0-9]?%$')")
        .message("must be an integer of at least 1 or a percentage from 1% to 99%"))]
    pub max_surge: IntOrString,
    /// Servers that may be missing during an update: a number of at least 1, or 1% to 99%.
    #[serde(default = "quarter")]
    #[x_kube(validation = Rule::new("type(self) == int ? self >= 1 : self.matches('^[1-9][0-9]?%$')")
        .message("must be an integer of at least 1 or a percentage from 1% to 99%"))]
    pub max_unavailable: IntOrString,
}

impl Default for RollingUpdate {
    fn default() -> Self {
        Self {
            max_surge: quarter(),
            max_unavailable: quarter(),
        }
    }
}

fn quarter() -> IntOrString {
    IntOrString::String("25%".to_owned())
}

/// Observed state of a fleet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FleetStatus {
    /// Generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Game servers that exist and have not ended, over all sets.
    pub replicas: i32,
    /// Servers in state Ready.
    pub ready_replicas: i32,
    /// Servers in state Reserved.
    pub reserved_replicas: i32,
    /// Servers in state Allocated: the active matches.
    pub allocated_replicas: i32,
    /// Selector of the fleet's pods, for the scale subresource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label_selector: String,
    /// `Ready`: the desired number of the current template is up. `Accepted`: the template can
    /// be made into pods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Resolves a number or percentage of `total`.
///
/// A percentage is rounded up or down as asked. A malformed value, which the schema refuses,
/// counts as 0.
pub fn resolve(value: &IntOrString, total: i32, rounding: Rounding) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            let percent: i64 = text
                .strip_suffix('%')
                .and_then(|digits| digits.parse().ok())
                .unwrap_or(0);
            let scaled = i64::from(total) * percent;
            let share = match rounding {
                Rounding::Up => scaled.div_euclid(100) + i64::from(scaled.rem_euclid(100) > 0),
                Rounding::Down => scaled.div_euclid(100),
            };
            i32::try_from(share).unwrap_or(i32::MAX)
        }
    }
}

/// Direction in which a share of servers is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the next whole server.
    Up,
    /// To whole servers only.
    Down,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_asked() {
        let cases = [
            ("25%", 10, 3, 2),
            ("1%", 1, 1, 0),
            ("99%", 100, 99, 99),
            ("50%", 0, 0, 0),
        ];
        for (text, total, up, down) in cases {
            let value = IntOrString::String(text.to_owned());
            assert_eq!(
                resolve(&value, total, Rounding::Up),
                up,
                "{text} of {total} up"
            );
            assert_eq!(
                resolve(&value, total, Rounding::Down),
                down,
                "{text} of {total} down"
            );
        }
        assert_eq!(resolve(&IntOrString::Int(4), 1, Rounding::Up), 4);
    }
}
