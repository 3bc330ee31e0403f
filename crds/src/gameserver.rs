//! GameServer: one game server process with its ports, health and state.
//!
//! One atomic object without a status subresource: an allocation changes labels and state in one
//! write. Changes of `spec` after creation have no effect.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube_derive::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::state::State;

/// Desired state of a game server.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "muster.dev",
    version = "v1",
    kind = "GameServer",
    plural = "gameservers",
    shortname = "gs",
    category = "muster",
    namespaced,
    status = "GameServerStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "One game server process with its ports, health and state.",
    scale(
        spec_replicas_path = ".spec.immutableReplicas",
        status_replicas_path = ".status.immutableReplicas"
    ),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.address"),
    printcolumn(name = "Port", type_ = "string", json_path = ".status.ports[0].port"),
    printcolumn(name = "Node", type_ = "string", json_path = ".status.nodeName"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    selectable = ".status.state",
    selectable = ".status.nodeName",
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("metadata.name must be at most 63 characters, because it becomes a label value"),
    attr = "x_kube(crates(kube_core = \"kube_core\"))",
    crates(kube_core = "kube_core", kube = "kube_derive")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    crates(kube_core = "kube_core"),
    validation = Rule::new("size(self.template.spec.containers) == 1 || has(self.container)")
        .message("container is required when the template has more than one container"),
    validation = Rule::new("!has(self.container) || self.template.spec.containers.exists(c, c.name == self.container)")
        .message("container must be the name of one of template.spec.containers"),
    validation = Rule::new("!has(self.ports) || self.ports.all(p, !has(p.container) || self.template.spec.containers.exists(c, c.name == p.container) || (has(self.template.spec.initContainers) && self.template.spec.initContainers.exists(c, c.name == p.container && has(c.restartPolicy) && c.restartPolicy == 'Always')))")
        .message("ports[].container must be the name of one of template.spec.containers, or of an init container with restartPolicy Always"),
    validation = Rule::new("!has(self.connect) || self.connect.policy != 'Token' || (has(self.ports) && self.ports.exists(p, p.protocol != 'TCP'))")
        .message("connect.policy Token needs a port with protocol UDP or TCPUDP: players join by UDP")
)]
pub struct GameServerSpec {
    /// Name of the game container. Defaults to the only container of the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), pattern("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub container: Option<String>,

    /// Ports that players connect to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub ports: Option<Vec<GameServerPort>>,

    /// How the health of the game process is judged.
    #[serde(default)]
    pub health: Health,

    /// Packed puts servers on few nodes, Distributed spreads them.
    #[serde(default)]
    pub scheduling: Scheduling,

    /// Settings of the SDK server beside the game process.
    #[serde(default)]
    pub sdk_server: SdkServer,

    /// Who may join.
    #[serde(default)]
    pub connect: Connect,

    /// Player tracking (alpha).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub players: Option<PlayersSpec>,

    /// Named counters; keys are fixed at creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 1000))]
    pub counters: Option<BTreeMap<String, CounterStatus>>,

    /// Named lists; keys are fixed at creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 1000))]
    pub lists: Option<BTreeMap<String, ListStatus>>,

    /// When the pod may be evicted.
    #[serde(default)]
    pub eviction: Eviction,

    /// Always 1: lets one PodDisruptionBudget cover many game servers.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1))]
    pub immutable_replicas: i32,

    /// The pod of the game server.
    #[schemars(schema_with = "crate::template::pod_template")]
    pub template: PodTemplateSpec,
}

const fn one() -> i32 {
    1
}

/// A port that players connect to.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    crates(kube_core = "kube_core"),
    validation = Rule::new("!(self.portPolicy in ['Dynamic', 'Static', 'None']) || has(self.containerPort)")
        .message("containerPort is required with portPolicy Dynamic, Static and None"),
    validation = Rule::new("self.portPolicy != 'Passthrough' || !has(self.containerPort)")
        .message("containerPort must not be set with portPolicy Passthrough: it becomes the host port"),
    validation = Rule::new("!(self.portPolicy in ['Dynamic', 'Passthrough']) || !has(self.hostPort)")
        .message("hostPort must not be set with portPolicy Dynamic or Passthrough: it is chosen from the port range"),
    validation = Rule::new("self.portPolicy != 'Static' || has(self.hostPort)")
        .message("hostPort is required with portPolicy Static")
)]
pub struct GameServerPort {
    /// Name of the port, as it appears in status and in allocations.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub name: String,

    /// Named port range to choose from; the ranges are settings of the operator.
    #[serde(default = "default_range")]
    #[schemars(length(max = 63))]
    pub range: String,

    /// How the host port comes about.
    #[serde(default)]
    pub port_policy: PortPolicy,

    /// Container that listens. Defaults to the game container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub container: Option<String>,

    /// Port on which the container listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub container_port: Option<i32>,

    /// Port on the node, with port policy Static.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub host_port: Option<i32>,

    /// Protocol; TCPUDP opens both on the same host port.
    #[serde(default)]
    pub protocol: Protocol,
}

/// The port range that is used when a port names none.
pub const DEFAULT_RANGE: &str = "default";

fn default_range() -> String {
    DEFAULT_RANGE.to_owned()
}

/// How the host port of a port comes about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PortPolicy {
    /// The operator picks a free host port.
    #[default]
    Dynamic,
    /// The user picks the host port.
    Static,
    /// As Dynamic, and the container listens on that same port.
    Passthrough,
    /// No host port: reachable inside the cluster only.
    None,
}

/// Protocol of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// UDP.
    #[default]
    #[serde(rename = "UDP")]
    Udp,
    /// TCP.
    #[serde(rename = "TCP")]
    Tcp,
    /// Both, on the same host port.
    #[serde(rename = "TCPUDP")]
    TcpUdp,
}

/// How the health of the game process is judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Health {
    /// Switches health checks off.
    pub disabled: bool,
    /// A health ping is expected within this time, in seconds.
    #[schemars(range(min = 1))]
    pub period_seconds: i32,
    /// This many periods without a ping make the server Unhealthy.
    #[schemars(range(min = 1))]
    pub failure_threshold: i32,
    /// Time before the first period, in seconds.
    #[schemars(range(min = 0))]
    pub initial_delay_seconds: i32,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            disabled: false,
            period_seconds: 5,
            failure_threshold: 3,
            initial_delay_seconds: 5,
        }
    }
}

/// Whether servers share few nodes or spread over many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Scheduling {
    /// On few nodes, so that others can be removed.
    #[default]
    Packed,
    /// Over many nodes.
    Distributed,
}

/// Settings of the SDK server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SdkServer {
    /// How much the SDK server logs.
    pub log_level: SdkLogLevel,
    /// Port of the gRPC endpoint in the pod.
    #[schemars(range(min = 1, max = 65535))]
    pub grpc_port: i32,
    /// Port of the REST endpoint in the pod.
    #[schemars(range(min = 1, max = 65535))]
    pub http_port: i32,
}

impl Default for SdkServer {
    fn default() -> Self {
        Self {
            log_level: SdkLogLevel::Info,
            grpc_port: 9357,
            http_port: 9358,
        }
    }
}

/// Log level of the SDK server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SdkLogLevel {
    /// State changes and errors.
    #[default]
    Info,
    /// Decisions too.
    Debug,
    /// Errors alone.
    Error,
    /// Payloads too.
    Trace,
}

impl SdkLogLevel {
    /// The level's name in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Error => "error",
            Self::Trace => "trace",
        }
    }
}

/// Who may join a game server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Connect {
    /// Anybody who knows the address, or only players with a connect token.
    pub policy: ConnectPolicy,
}

/// Who may join a game server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConnectPolicy {
    /// Anybody who knows the address. A game that asks for its connect key gets tokens too.
    #[default]
    Open,
    /// Players with a connect token only. The game must ask for its connect key before Ready:
    /// without one, the server is not allocated to players.
    Token,
}

/// Player tracking (alpha).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlayersSpec {
    /// Player capacity at start.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub initial_capacity: i64,
}

/// A counter with its capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CounterStatus {
    /// Current count.
    #[schemars(range(min = 0))]
    pub count: i64,
    /// Most that the count can be.
    #[schemars(range(min = 0))]
    pub capacity: i64,
}

impl Default for CounterStatus {
    fn default() -> Self {
        Self {
            count: 0,
            capacity: 1000,
        }
    }
}

/// A list of distinct values with its capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListStatus {
    /// Most values that the list can hold.
    #[schemars(range(min = 0, max = 1000))]
    pub capacity: i64,
    /// Current values, without repetition.
    #[schemars(length(max = 1000), extend("x-kubernetes-list-type" = "set"))]
    pub values: Vec<String>,
}

impl Default for ListStatus {
    fn default() -> Self {
        Self {
            capacity: 1000,
            values: Vec::new(),
        }
    }
}

/// When the pod may be evicted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Eviction {
    /// Never, when nodes are upgraded, or always.
    pub safe: EvictionSafe,
}

/// When the pod may be evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EvictionSafe {
    /// Whenever the cluster wants to.
    Always,
    /// When a node is upgraded, but not when the cluster shrinks.
    OnUpgrade,
    /// Never.
    #[default]
    Never,
}

/// Observed state of a game server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GameServerStatus {
    /// Where the server is in its life.
    pub state: State,
    /// Ports as players reach them, in the order of the expanded spec ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<GameServerStatusPort>,
    /// Address by which players reach the server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Every address of the node, and those of the pod (type PodIP).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<GameServerStatusAddress>,
    /// Node on which the server runs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// When the reservation ends; absent while none is limited in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>")]
    pub reserved_until: Option<Timestamp>,
    /// Which key connect tokens are sealed with; absent until the game has asked for its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<ConnectStatus>,
    /// Player tracking (alpha).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub players: Option<PlayerStatus>,
    /// Counters as they are now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counters: Option<BTreeMap<String, CounterStatus>>,
    /// Lists as they are now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lists: Option<BTreeMap<String, ListStatus>>,
    /// When the pod may be evicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eviction: Option<Eviction>,
    /// Always 1.
    #[serde(default = "one")]
    pub immutable_replicas: i32,
}

/// Which key connect tokens are sealed with. The key itself is in no object: it is derived from a
/// master key, the uid of the game server and the boot id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectStatus {
    /// The life of the game's process, 16 bytes in hexadecimal. A process that starts anew has
    /// another one, and refuses tokens of its predecessor.
    #[schemars(pattern("^[0-9a-f]{32}$"))]
    pub boot_id: String,
    /// Version of the master key.
    #[schemars(range(min = 1, max = 4_294_967_295_i64))]
    pub key_version: i64,
}

/// A port as players reach it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GameServerStatusPort {
    /// Name of the port.
    #[serde(default)]
    pub name: String,
    /// Host port; with port policy None the container port.
    pub port: i32,
}

/// An address of the server's node or pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GameServerStatusAddress {
    /// ExternalDNS, ExternalIP, InternalDNS, InternalIP, Hostname or PodIP.
    #[serde(rename = "type")]
    pub type_: String,
    /// The address itself.
    pub address: String,
}

/// Player tracking (alpha).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PlayerStatus {
    /// Connected players.
    pub count: i64,
    /// Most players.
    pub capacity: i64,
    /// Ids of the connected players.
    pub ids: Vec<String>,
}

impl GameServer {
    /// The state, PortAllocation while none is recorded.
    pub fn state(&self) -> State {
        self.status
            .as_ref()
            .map_or_else(State::default, |status| status.state)
    }

    /// Whether the object is being deleted.
    pub const fn is_being_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// The address of a development server, which has no pod.
    pub fn dev_address(&self) -> Option<&str> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations
            .get(crate::meta::DEV_ADDRESS_ANNOTATION)
            .map(String::as_str)
    }
}

impl GameServerSpec {
    /// The name of the game container: the given one, or the only one of the template.
    pub fn game_container(&self) -> Option<&str> {
        self.container.as_deref().or_else(|| {
            let containers = &self.template.spec.as_ref()?.containers;
            containers.first().map(|container| container.name.as_str())
        })
    }

    /// The ports, none if the list is absent.
    pub fn ports(&self) -> &[GameServerPort] {
        self.ports.as_deref().unwrap_or_default()
    }
}
