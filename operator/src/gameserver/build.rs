//! From a template to a game server, and from chosen ports to a status. Pure.

use std::collections::BTreeMap;

use crds::gameserver::{
    Eviction, EvictionSafe, GameServer, GameServerSpec, GameServerStatus, GameServerStatusPort,
    PlayerStatus, PortPolicy,
};
use crds::gameserverset::GameServerSet;
use crds::meta;
use crds::state::State;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::core::ObjectMeta;

/// The port ranges from which the server's ports are to be chosen, one per port that needs it.
pub(crate) fn wanted_ranges(spec: &GameServerSpec) -> Vec<&str> {
    spec.ports()
        .iter()
        .filter(|port| crds::ports::needs_choice(port))
        .map(|port| port.range.as_str())
        .collect()
}

/// The ports of a status, from the ports that were chosen for [`wanted_ranges`].
pub(crate) fn status_ports(spec: &GameServerSpec, chosen: &[u16]) -> Vec<GameServerStatusPort> {
    let mut chosen = chosen.iter();
    let by_index: Vec<i32> = spec
        .ports()
        .iter()
        .map(|port| match port.port_policy {
            PortPolicy::Dynamic | PortPolicy::Passthrough => {
                chosen.next().map_or(0, |port| i32::from(*port))
            }
            PortPolicy::Static => port.host_port.unwrap_or_default(),
            PortPolicy::None => port.container_port.unwrap_or_default(),
        })
        .collect();
    crds::ports::expand(spec)
        .into_iter()
        .map(|single| GameServerStatusPort {
            name: single.name,
            port: by_index.get(single.index).copied().unwrap_or_default(),
        })
        .collect()
}

/// The status with which a server starts its life: ports chosen, pod to be made. A development
/// server has no pod and is Ready at once.
pub(crate) fn initial_status(
    spec: &GameServerSpec,
    dev_address: Option<&str>,
    chosen: &[u16],
) -> GameServerStatus {
    let template_annotations = spec
        .template
        .metadata
        .as_ref()
        .and_then(|meta| meta.annotations.as_ref());
    let always = template_annotations
        .and_then(|annotations| annotations.get(meta::CLUSTER_AUTOSCALER_ANNOTATION))
        .is_some_and(|value| value == "true");
    let eviction = if always {
        Eviction {
            safe: EvictionSafe::Always,
        }
    } else {
        spec.eviction.clone()
    };
    GameServerStatus {
        state: if dev_address.is_some() {
            State::Ready
        } else {
            State::Creating
        },
        ports: status_ports(spec, chosen),
        address: dev_address.unwrap_or_default().to_owned(),
        players: spec.players.as_ref().map(|players| PlayerStatus {
            capacity: players.initial_capacity,
            ..PlayerStatus::default()
        }),
        counters: spec.counters.clone(),
        lists: spec.lists.clone(),
        eviction: Some(eviction),
        immutable_replicas: 1,
        ..GameServerStatus::default()
    }
}

/// The game server of that name of a set, with its ports chosen.
pub(crate) fn game_server(set: &GameServerSet, name: &str, chosen: &[u16]) -> GameServer {
    let template = &set.spec.template;
    let of_template = template.metadata.clone().unwrap_or_default();
    let mut labels = of_template.labels.unwrap_or_default();
    let set_name = set.metadata.name.clone().unwrap_or_default();
    labels.insert(meta::GAMESERVERSET_LABEL.to_owned(), set_name);
    if let Some(fleet) = set
        .metadata
        .labels
        .as_ref()
        .and_then(|own| own.get(meta::FLEET_LABEL))
    {
        labels.insert(meta::FLEET_LABEL.to_owned(), fleet.clone());
    }
    let annotations = of_template.annotations.unwrap_or_default();
    let dev_address = annotations.get(meta::DEV_ADDRESS_ANNOTATION).cloned();
    let status = initial_status(&template.spec, dev_address.as_deref(), chosen);
    let mut server = GameServer::new(name, template.spec.clone());
    server.metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: set.metadata.namespace.clone(),
        labels: Some(labels),
        annotations: (!annotations.is_empty()).then_some(annotations),
        owner_references: Some(vec![owner(set)]),
        ..ObjectMeta::default()
    };
    // Placement follows the set, as in a Fleet whose scheduling is given once.
    server.spec.scheduling = set.spec.scheduling;
    server.status = Some(status);
    server
}

/// A controller reference that also makes a foreground deletion of the owner wait.
pub(crate) fn owner<K: Resource<DynamicType = ()>>(object: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: object.meta().name.clone().unwrap_or_default(),
        uid: object.meta().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Adds an annotation to a map that may not exist yet.
pub(crate) fn annotate(
    annotations: &mut Option<BTreeMap<String, String>>,
    key: &str,
    value: impl Into<String>,
) {
    annotations
        .get_or_insert_default()
        .insert(key.to_owned(), value.into());
}
