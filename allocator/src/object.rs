//! The parts of Kubernetes objects that the allocator reads. Everything else is skipped while it is
//! decoded, so that a watch of thousands of servers needs little memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crds::GameServer;
use crds::allocation::SelectorState;
use crds::gameserver::{ConnectStatus, GameServerStatusAddress, GameServerStatusPort};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Deserializer};

use crate::index::{Entry, Key, Name, Observed, Place};

/// Annotation on game servers: which request allocated it last.
///
/// A write that timed out may have been committed; by this mark its sender finds out. It is unique
/// for each request.
pub const ALLOCATION_ID_ANNOTATION: &str = "muster.dev/allocation-id";

/// A port of this name is preferred.
const GAME_PORT: &str = "game";

/// A GameServer as it is watched.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Watched {
    /// Identity, version, labels, deletion time and the annotations of ours that matter.
    #[serde(deserialize_with = "watched_meta")]
    pub metadata: ObjectMeta,
    /// How players get in.
    #[serde(default)]
    pub spec: Spec,
    /// Where it is.
    #[serde(default)]
    pub status: Option<ServerStatus>,
}

/// The part of a GameServer's spec that is read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// Who may join.
    pub connect: Connect,
    /// Protocols of the ports by their names.
    pub ports: Option<Vec<SpecPort>>,
}

/// Who may join. Apart from the type of the CRD, it takes any text: a policy that a later version
/// adds must not stop the watch.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Connect {
    policy: String,
}

/// The name of a port, and what is spoken there.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SpecPort {
    name: String,
    protocol: String,
}

/// A GameServer as it comes back from a write.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Written {
    /// All but the managed fields.
    #[serde(deserialize_with = "written_meta")]
    pub metadata: ObjectMeta,
    /// How players get in.
    #[serde(default)]
    pub spec: Spec,
    /// What the answer to the caller is made of.
    #[serde(default)]
    pub status: Option<ServerStatus>,
}

/// The part of a GameServer's status that is read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerStatus {
    /// Not an enumeration: a state that a later version adds must not stop the watch.
    pub state: String,
    /// Node on which the server runs.
    pub node_name: String,
    /// Address by which players reach it.
    pub address: String,
    /// Addresses of its node and pod.
    pub addresses: Vec<GameServerStatusAddress>,
    /// Ports by which players reach it.
    pub ports: Vec<GameServerStatusPort>,
    /// Which key connect tokens are sealed with.
    pub connect: Option<ConnectStatus>,
}

/// A Node as it is watched.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct WatchedNode {
    /// Its name and deletion time.
    #[serde(deserialize_with = "node_meta")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    unschedulable: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    conditions: Option<Vec<NodeCondition>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct NodeCondition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<Annotations> {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    deletion_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<Annotations>,
}

/// The annotations that are kept of a watched server, by the names in [`crds::meta`].
#[derive(Deserialize)]
struct Kept {
    #[serde(rename = "muster.dev/dev-address")]
    dev_address: Option<String>,
    #[serde(rename = "muster.dev/last-allocated")]
    last_allocated: Option<String>,
    #[serde(rename = "muster.dev/match")]
    of_match: Option<String>,
    #[serde(rename = "muster.dev/match-result")]
    match_result: Option<String>,
}

fn watched_meta<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let meta = Meta::<Kept>::deserialize(deserializer)?;
    let annotations = meta.annotations.map(|kept| {
        [
            (crds::meta::DEV_ADDRESS_ANNOTATION, kept.dev_address),
            (crds::meta::LAST_ALLOCATED_ANNOTATION, kept.last_allocated),
            (crds::meta::MATCH_ANNOTATION, kept.of_match),
            (crds::meta::MATCH_RESULT_ANNOTATION, kept.match_result),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
    });
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        deletion_timestamp: meta.deletion_timestamp,
        labels: meta.labels,
        annotations,
        ..ObjectMeta::default()
    })
}

fn written_meta<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let meta = Meta::<BTreeMap<String, String>>::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        deletion_timestamp: meta.deletion_timestamp,
        labels: meta.labels,
        annotations: meta.annotations,
        ..ObjectMeta::default()
    })
}

fn node_meta<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let meta = Meta::<serde::de::IgnoredAny>::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: meta.name,
        resource_version: meta.resource_version,
        deletion_timestamp: meta.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

/// A view of a kind is that kind for the API: same group, version and plural.
macro_rules! views {
    ($($view:ty => $kind:ty),* $(,)?) => {$(
        impl kube::Resource for $view {
            type DynamicType = ();
            type Scope = <$kind as kube::Resource>::Scope;

            fn kind((): &()) -> Cow<'_, str> {
                <$kind as kube::Resource>::kind(&())
            }

            fn group((): &()) -> Cow<'_, str> {
                <$kind as kube::Resource>::group(&())
            }

            fn version((): &()) -> Cow<'_, str> {
                <$kind as kube::Resource>::version(&())
            }

            fn plural((): &()) -> Cow<'_, str> {
                <$kind as kube::Resource>::plural(&())
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    )*};
}

views!(Watched => GameServer, Written => GameServer, WatchedNode => Node);

/// What the index has to know of a version of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// It could be allocated.
    Allocatable(Key, Observed),
    /// This version of it could not.
    Other(Key, u64),
    /// Its version is not a number, so that it cannot be guarded.
    Unreadable(Key),
}

/// Takes from an object what the index has to know.
fn sighting(metadata: &ObjectMeta, spec: &Spec, status: Option<&ServerStatus>) -> Sighting {
    let (state, node) = status.map_or(("", ""), |status| {
        (status.state.as_str(), status.node_name.as_str())
    });
    let key = key(metadata);
    let version = metadata.resource_version.as_deref().unwrap_or_default();
    let Ok(version) = version.parse() else {
        return Sighting::Unreadable(key);
    };
    let state = match state {
        "Ready" => Some(SelectorState::Ready),
        "Allocated" => Some(SelectorState::Allocated),
        _ => None,
    };
    let annotations = metadata.annotations.as_ref();
    let development = annotations
        .is_some_and(|annotations| annotations.contains_key(crds::meta::DEV_ADDRESS_ANNOTATION));
    let place = match (development, node) {
        (true, _) => Some(Place::Development),
        // Nothing is known of the ground under it.
        (false, "") => None,
        (false, node) => Some(Place::Node(Name::from(node))),
    };
    match (state, place, &metadata.deletion_timestamp) {
        (Some(state), Some(place), None) => {
            let mut labels = metadata.labels.clone().unwrap_or_default();
            // It differs between all servers in matches: each would be a class of its own.
            let has_request = labels.remove(crds::meta::REQUEST_LABEL).is_some();
            Sighting::Allocatable(
                key,
                Observed {
                    version,
                    labels,
                    state,
                    place,
                    entry: entry(spec, status),
                    has_request,
                },
            )
        }
        _ => Sighting::Other(key, version),
    }
}

/// How players with tokens get in.
fn entry(spec: &Spec, status: Option<&ServerStatus>) -> Entry {
    let connect = status.and_then(|status| Some((status, status.connect.as_ref()?)));
    match connect {
        Some((status, connect)) if status.game_address(spec).is_some() => {
            Entry::Key(connect.key_version)
        }
        Some(_) => Entry::Closed,
        None if spec.connect.needs_token() => Entry::Closed,
        None => Entry::Open,
    }
}

impl ServerStatus {
    /// To where players send their packets, with their tokens: the UDP port that is called `game`,
    /// or else the first one, at the first IP address of the server. None if there is no such
    /// address: tokens name no hosts.
    pub fn game_address(&self, spec: &Spec) -> Option<SocketAddr> {
        let mut udp = self.ports.iter().filter(|port| spec.takes_udp(&port.name));
        let game = udp.clone().find(|port| port.name == GAME_PORT);
        let port = u16::try_from(game.or_else(|| udp.next())?.port).ok()?;
        let of_kind = |kind: &'static str| {
            let known = self.addresses.iter();
            known.filter(move |address| address.type_ == kind)
        };
        let others = of_kind("ExternalIP").chain(of_kind("InternalIP"));
        let mut texts = std::iter::once(&self.address).chain(others.map(|other| &other.address));
        let address: IpAddr = texts.find_map(|text| text.parse().ok())?;
        Some(SocketAddr::new(address, port))
    }
}

impl Connect {
    /// Whether players need a token.
    fn needs_token(&self) -> bool {
        self.policy == "Token"
    }
}

impl Spec {
    /// Whether the port of this name in the status takes UDP. The halves of a TCPUDP port have
    /// names of their own there.
    pub fn takes_udp(&self, name: &str) -> bool {
        self.ports
            .iter()
            .flatten()
            .any(|port| match port.protocol.as_str() {
                "TCP" => false,
                "TCPUDP" => name.strip_suffix("-udp") == Some(&port.name),
                // The default is UDP.
                _ => name == port.name,
            })
    }
}

impl Watched {
    /// What the index has to know.
    pub fn sighting(&self) -> Sighting {
        sighting(&self.metadata, &self.spec, self.status.as_ref())
    }

    /// Namespace and name.
    pub fn key(&self) -> Key {
        key(&self.metadata)
    }
}

impl Written {
    /// What the index has to know.
    pub fn sighting(&self) -> Sighting {
        sighting(&self.metadata, &self.spec, self.status.as_ref())
    }

    /// Whether it is this version, so that a write that is guarded by it may still apply.
    pub fn is_version(&self, version: u64) -> bool {
        self.metadata.resource_version.as_deref() == Some(version.to_string().as_str())
    }

    /// Whether it is handed out.
    pub fn is_allocated(&self) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|status| status.state == "Allocated")
    }

    /// The request id that it was allocated for.
    pub fn request_id(&self) -> Option<&str> {
        let labels = self.metadata.labels.as_ref()?;
        labels.get(crds::meta::REQUEST_LABEL).map(String::as_str)
    }

    /// The request that allocated the server last.
    pub fn allocation_id(&self) -> Option<&str> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations
            .get(ALLOCATION_ID_ANNOTATION)
            .map(String::as_str)
    }

    /// The fleet of the server.
    pub fn fleet(&self) -> Option<&str> {
        let labels = self.metadata.labels.as_ref()?;
        labels.get(crds::meta::FLEET_LABEL).map(String::as_str)
    }
}

impl WatchedNode {
    /// Whether servers on the node may be handed out: it is Ready, and neither cordoned nor being
    /// deleted.
    pub fn is_usable(&self) -> bool {
        let mut conditions = self.status.conditions.iter().flatten();
        let ready =
            conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
        ready && self.spec.unschedulable != Some(true) && self.metadata.deletion_timestamp.is_none()
    }
}

fn key(metadata: &ObjectMeta) -> Key {
    Key::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(object: serde_json::Value) -> String {
        let watched: Watched = serde_json::from_value(object).unwrap();
        match watched.sighting() {
            Sighting::Allocatable(key, seen) if seen.entry != Entry::Open => {
                format!("{key} {:?}", seen.entry)
            }
            Sighting::Allocatable(key, seen) => format!("{key} {:?} {:?}", seen.state, seen.place),
            Sighting::Other(key, version) => format!("{key} out at {version}"),
            Sighting::Unreadable(key) => format!("{key} unreadable"),
        }
    }

    #[test]
    fn only_live_ready_and_allocated_servers_with_a_place_are_allocatable() {
        let server = |version: &str, patch: serde_json::Value, state: &str, node: &str| {
            let mut metadata = json!({
                "name": "a", "namespace": "n", "resourceVersion": version,
                "managedFields": [{"manager": "m"}], "annotations": {"x": "y"},
            });
            let fields = patch.as_object().unwrap().clone();
            metadata.as_object_mut().unwrap().extend(fields);
            seen(json!({
                "apiVersion": "muster.dev/v1", "kind": "GameServer", "metadata": metadata,
                "spec": {"anything": [1]}, "status": {"state": state, "nodeName": node},
            }))
        };
        let dev = || json!({"annotations": {"muster.dev/dev-address": "10.0.0.1"}});
        let ended = json!({"deletionTimestamp": "2026-11-21T00:00:00Z"});
        assert_eq!(
            server("1", json!({}), "Ready", "w"),
            r#"n/a Ready Node("w")"#
        );
        assert_eq!(
            server("1", json!({}), "Allocated", "w"),
            r#"n/a Allocated Node("w")"#
        );
        assert_eq!(server("1", dev(), "Ready", ""), "n/a Ready Development");
        assert_eq!(
            server("1", dev(), "Ready", "10.0.0.1"),
            "n/a Ready Development"
        );
        assert_eq!(server("7", json!({}), "Ready", ""), "n/a out at 7");
        assert_eq!(server("7", json!({}), "Reserved", "w"), "n/a out at 7");
        assert_eq!(server("7", json!({}), "FromTheFuture", "w"), "n/a out at 7");
        assert_eq!(server("7", ended, "Ready", "w"), "n/a out at 7");
        assert_eq!(server("x7", json!({}), "Ready", "w"), "n/a unreadable");
        assert_eq!(
            seen(json!({"metadata": {"name": "a", "namespace": "n", "resourceVersion": "3"}})),
            "n/a out at 3"
        );
    }

    #[test]
    fn a_server_for_tokens_needs_a_key() {
        let at = |address: &str, policy: &str, connect: serde_json::Value| {
            seen(json!({
                "metadata": {"name": "a", "namespace": "n", "resourceVersion": "1"},
                "spec": {"connect": {"policy": policy}, "ports": [{"name": "game"}]},
                "status": {
                    "state": "Ready", "nodeName": "w", "connect": connect,
                    "address": address, "ports": [{"name": "game", "port": 7000}],
                },
            }))
        };
        let server = |policy: &str, connect| at("203.0.113.7", policy, connect);
        let connect = || json!({"bootId": "00112233445566778899aabbccddeeff", "keyVersion": 1});
        assert_eq!(server("Token", json!(null)), "n/a Closed");
        assert_eq!(server("Token", connect()), "n/a Key(1)");
        assert_eq!(server("Open", connect()), "n/a Key(1)");
        assert_eq!(at("game.example", "Token", connect()), "n/a Closed");
        assert_eq!(server("Open", json!(null)), r#"n/a Ready Node("w")"#);
        assert_eq!(
            server("FromTheFuture", json!(null)),
            r#"n/a Ready Node("w")"#
        );
    }

    #[test]
    fn the_udp_half_of_a_port_is_found_by_its_name_in_the_status() {
        let spec: Spec = serde_json::from_value(json!({"ports": [
            {"name": "query", "protocol": "TCP"}, {"name": "both", "protocol": "TCPUDP"},
            {"name": "game"},
        ]}))
        .unwrap();
        let udp = ["query", "both", "both-tcp", "both-udp", "game", "game-udp"]
            .map(|name| spec.takes_udp(name));
        assert_eq!(udp, [false, false, false, true, true, false]);
    }

    #[test]
    fn tokens_name_the_first_ip_address_of_the_server() {
        let spec: Spec = serde_json::from_value(json!({"ports": [
            {"name": "query", "protocol": "TCP"}, {"name": "play"},
        ]}))
        .unwrap();
        let of = |address: &str, ports: serde_json::Value, others: &[(&str, &str)]| {
            let other = |(kind, address): &(&str, &str)| json!({"type": kind, "address": address});
            let others: Vec<_> = others.iter().map(other).collect();
            let status = json!({"address": address, "addresses": others, "ports": ports});
            let status: ServerStatus = serde_json::from_value(status).unwrap();
            status
                .game_address(&spec)
                .map(|address| address.to_string())
        };
        let ports = || json!([{"name": "query", "port": 1}, {"name": "play", "port": 2}]);
        let others = [
            ("PodIP", "10.0.0.1"),
            ("InternalIP", "10.0.0.2"),
            ("ExternalDNS", "game.example"),
            ("ExternalIP", "2001:db8::1"),
        ];
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(of("203.0.113.7", ports(), &others), is("203.0.113.7:2"));
        assert_eq!(of("game.example", ports(), &others), is("[2001:db8::1]:2"));
        assert_eq!(of("game.example", ports(), &others[..3]), is("10.0.0.2:2"));
        assert_eq!(of("game.example", ports(), &others[..1]), None);
        let none = json!([{"name": "query", "port": 1}]);
        assert_eq!(of("203.0.113.7", none, &others), None);
    }

    #[test]
    fn the_request_id_makes_no_labels_of_their_own() {
        let server = |labels: serde_json::Value| {
            let watched: Watched = serde_json::from_value(json!({
                "metadata": {
                    "name": "a", "namespace": "n", "resourceVersion": "1", "labels": labels,
                },
                "status": {"state": "Allocated", "nodeName": "w"},
            }))
            .unwrap();
            match watched.sighting() {
                Sighting::Allocatable(_, seen) => (seen.labels, seen.has_request),
                other => panic!("{other:?}"),
            }
        };
        let (plain, has_request) = server(json!({"muster.dev/fleet": "f"}));
        assert!(!has_request && plain.len() == 1);
        for request in ["r", "s"] {
            let labels = json!({"muster.dev/fleet": "f", "muster.dev/request": request});
            assert_eq!(server(labels), (plain.clone(), true));
        }
    }

    #[test]
    fn a_node_is_usable_while_it_is_ready_and_not_cordoned() {
        let node = |unschedulable: serde_json::Value, ready: &str| {
            let conditions = json!([
                {"type": "MemoryPressure", "status": "True"}, {"type": "Ready", "status": ready},
            ]);
            let node = json!({
                "metadata": {"name": "w"}, "spec": {"unschedulable": unschedulable},
                "status": {"conditions": conditions, "images": []},
            });
            serde_json::from_value::<WatchedNode>(node)
                .unwrap()
                .is_usable()
        };
        assert!(node(json!(null), "True"));
        assert!(node(json!(false), "True"));
        assert!(!node(json!(true), "True"));
        assert!(!node(json!(null), "False"));
        assert!(!node(json!(null), "Unknown"));
        assert!(
            !serde_json::from_value::<WatchedNode>(json!({"metadata": {}}))
                .unwrap()
                .is_usable()
        );
    }
}
