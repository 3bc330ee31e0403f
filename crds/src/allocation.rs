//! MatchAllocation: a declarative request for a game server for a match.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelectorRequirement};
use kube_derive::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::gameserver::{GameServerStatusPort, Scheduling};
use crate::matches::Player;

/// What kind of server a match wants, and for how long.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "muster.dev",
    version = "v1",
    kind = "MatchAllocation",
    plural = "matchallocations",
    shortname = "ma",
    category = "muster",
    namespaced,
    status = "MatchAllocationStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "A request for a game server for a match; deleting it releases the server.",
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(
        name = "GameServer",
        type_ = "string",
        json_path = ".status.gameServerName"
    ),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.address"),
    printcolumn(name = "Port", type_ = "string", json_path = ".status.ports[0].port"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    selectable = ".status.state",
    crates(kube_core = "kube_core")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    crates(kube_core = "kube_core"),
    validation = Rule::new("self == oldSelf")
        .message("spec is immutable: delete the MatchAllocation and create another one")
)]
pub struct MatchAllocationSpec {
    /// Tried in order: the first that matches any server wins. None matches every Ready server.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub selectors: Vec<GameServerSelector>,

    /// Packed prefers full nodes, Distributed spreads.
    #[serde(default)]
    pub scheduling: Scheduling,

    /// Labels and annotations that are put on the chosen server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<MetadataPatch>,

    /// Who plays. Each gets a connect token, in the Secret that the status names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["playerId"]))]
    pub players: Vec<Player>,

    /// How long the connect tokens can be used to join, in seconds.
    #[serde(default = "token_lifetime_seconds")]
    #[schemars(range(min = 1, max = 600))]
    pub token_lifetime_seconds: i64,

    /// The server is released after this time, in seconds. Without it the allocation has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_duration_seconds: Option<i64>,

    /// What happens to the server when it is released.
    #[serde(default)]
    pub release_policy: ReleasePolicy,
}

impl Default for MatchAllocationSpec {
    fn default() -> Self {
        Self {
            selectors: Vec::new(),
            scheduling: Scheduling::default(),
            metadata: None,
            players: Vec::new(),
            token_lifetime_seconds: token_lifetime_seconds(),
            max_duration_seconds: None,
            release_policy: ReleasePolicy::default(),
        }
    }
}

/// Longer than for a call: objects and Secrets take longer to reach the players.
const fn token_lifetime_seconds() -> i64 {
    300
}

/// Which servers fit.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(crates(kube_core = "kube_core"))]
pub struct GameServerSelector {
    /// Labels that a server must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub match_labels: BTreeMap<String, String>,

    /// Expressions that a server's labels must fulfill.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "match_expressions")]
    pub match_expressions: Vec<LabelSelectorRequirement>,

    /// State that a server must be in.
    #[serde(default)]
    pub game_server_state: SelectorState,
}

fn match_expressions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": {
            "type": "object",
            "required": ["key", "operator"],
            "properties": {
                "key": { "type": "string", "description": "Label key.", "maxLength": 317 },
                "operator": {
                    "type": "string",
                    "description": "How the label relates to the values.",
                    "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                },
                "values": {
                    "type": "array",
                    "description": "Values, with In and NotIn.",
                    "maxItems": 64,
                    "items": { "type": "string", "maxLength": 63 },
                },
            },
            "x-kubernetes-validations": [{
                "rule": "!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)",
                "message": "values is required with operator In and NotIn",
            }, {
                "rule": "!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || size(self.values) == 0",
                "message": "values must be empty with operator Exists and DoesNotExist",
            }],
        },
    })
}

/// State that a server must be in to be chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SelectorState {
    /// Not in use.
    #[default]
    Ready,
    /// Already in use by another match: for servers that host several.
    Allocated,
}

/// Labels and annotations to put on a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MetadataPatch {
    /// Labels to set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// Annotations to set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
}

/// What happens to a server when its match is released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReleasePolicy {
    /// The server ends and is replaced.
    #[default]
    Shutdown,
    /// The server is Ready again.
    ReturnToReady,
}

/// What became of the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MatchAllocationStatus {
    /// Generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the request is.
    pub state: MatchState,
    /// Name of the chosen server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub game_server_name: String,
    /// Address by which players reach it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Ports by which players reach it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<GameServerStatusPort>,
    /// Node on which it runs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// When it was allocated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>")]
    pub allocation_time: Option<jiff::Timestamp>,
    /// When it will be released, with maxDurationSeconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>")]
    pub expiration_time: Option<jiff::Timestamp>,
    /// Name of the Secret with the players' connect tokens: one data key per player id, with a token
    /// of netcode 1.02 in its standard form of 2048 bytes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub connect_tokens_secret_name: String,
    /// `Allocated`: a server is held for this match, or why not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Where a MatchAllocation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MatchState {
    /// No server yet.
    #[default]
    Pending,
    /// A server is held.
    Allocated,
    /// The time was up, and the server was released.
    Released,
    /// The server ended or failed before it was released.
    Lost,
}
