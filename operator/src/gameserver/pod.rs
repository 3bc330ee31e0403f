//! From a game server to its pod. Pure.

use std::collections::BTreeMap;

use crds::gameserver::{EvictionSafe, GameServer, PortPolicy, Scheduling};
use crds::meta;
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapProjection, Container, ContainerPort, EnvVar, EnvVarSource,
    HTTPGetAction, KeyToPath, ObjectFieldSelector, Pod, PodAffinity, PodAffinityTerm, PodSpec,
    Probe, ProjectedVolumeSource, ResourceRequirements, SeccompProfile, SecurityContext,
    ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::build::{annotate, owner};
use crate::config::SdkConfig;

/// Name of the SDK server's container.
pub(crate) const SDK_CONTAINER: &str = "muster-sdk-server";
/// Name of the ConfigMap with the hub's CA certificates in every namespace of game servers.
pub(crate) const CA_CONFIG_MAP: &str = "muster-hub-ca";
/// Key of the certificates in that ConfigMap.
pub(crate) const CA_KEY: &str = "ca.crt";

const VOLUME: &str = "muster-identity";
const MOUNT_PATH: &str = "/var/run/secrets/muster.dev";
/// Port on which the SDK server answers the kubelet.
const HEALTH_PORT: i32 = 8080;
/// The user of the SDK server: `nonroot` of our images.
const SDK_USER: i64 = 65532;

/// Why no pod can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The template has no container.
    #[error("spec.template.spec.containers is empty")]
    NoContainer,
    /// A port or the spec names a container that does not exist.
    #[error("{field}: there is no container {name} in spec.template.spec")]
    NoSuchContainer {
        /// The field that names it.
        field: String,
        /// The name.
        name: String,
    },
}

/// Builds the pod of a game server whose ports are chosen.
pub(crate) fn build(server: &GameServer, sdk: &SdkConfig) -> Result<Pod, Error> {
    let game = server
        .spec
        .game_container()
        .ok_or(Error::NoContainer)?
        .to_owned();
    let template = server.spec.template.clone();
    let mut spec = template.spec.unwrap_or_default();
    if !spec
        .containers
        .iter()
        .any(|container| container.name == game)
    {
        return Err(Error::NoSuchContainer {
            field: "spec.container".to_owned(),
            name: game,
        });
    }
    let mut metadata = pod_metadata(server, template.metadata.unwrap_or_default(), &game);

    let passthrough = add_ports(server, &mut spec, &game)?;
    if !passthrough.is_empty() {
        // Maps of strings to numbers always serialize.
        let assignment = serde_json::to_string(&passthrough).unwrap_or_default();
        annotate(
            &mut metadata.annotations,
            meta::PASSTHROUGH_ANNOTATION,
            assignment,
        );
    }
    add_sdk_env(server, &mut spec);
    add_liveness_probe(server, &mut spec, &game);
    spec.init_containers
        .get_or_insert_default()
        .insert(0, sdk_container(server, sdk));
    spec.volumes.get_or_insert_default().push(identity_volume());
    if server.spec.scheduling == Scheduling::Packed {
        add_packing(&mut spec);
    }
    spec.restart_policy
        .get_or_insert_with(|| "Never".to_owned());
    // Game pods hold no Kubernetes credentials unless the template asks for them.
    spec.automount_service_account_token.get_or_insert(false);
    let name = server.metadata.name.clone().unwrap_or_default();
    spec.hostname.get_or_insert_with(|| name.replace('.', "-"));
    Ok(Pod {
        metadata,
        spec: Some(spec),
        status: None,
    })
}

fn pod_metadata(server: &GameServer, template: ObjectMeta, game: &str) -> ObjectMeta {
    let name = server.metadata.name.clone().unwrap_or_default();
    let mut labels = template.labels.unwrap_or_default();
    labels.insert(
        meta::ROLE_LABEL.to_owned(),
        meta::ROLE_GAMESERVER.to_owned(),
    );
    labels.insert(meta::GAMESERVER_LABEL.to_owned(), name.clone());
    for key in [meta::FLEET_LABEL, meta::GAMESERVERSET_LABEL] {
        if let Some(value) = server.metadata.labels.as_ref().and_then(|own| own.get(key)) {
            labels.insert(key.to_owned(), value.clone());
        }
    }
    let safe = server
        .status
        .as_ref()
        .and_then(|status| status.eviction.as_ref())
        .map_or(server.spec.eviction.safe, |eviction| eviction.safe);
    let (movable, removable) = match safe {
        EvictionSafe::Always => ("true", "true"),
        EvictionSafe::OnUpgrade => ("true", "false"),
        EvictionSafe::Never => ("false", "false"),
    };
    labels
        .entry(meta::SAFE_TO_EVICT_LABEL.to_owned())
        .or_insert_with(|| movable.to_owned());
    let mut annotations = template.annotations;
    annotate(&mut annotations, meta::CONTAINER_ANNOTATION, game);
    annotate(
        &mut annotations,
        meta::VERSION_ANNOTATION,
        env!("CARGO_PKG_VERSION"),
    );
    annotations
        .get_or_insert_default()
        .entry(meta::CLUSTER_AUTOSCALER_ANNOTATION.to_owned())
        .or_insert_with(|| removable.to_owned());
    ObjectMeta {
        name: Some(name),
        namespace: server.metadata.namespace.clone(),
        labels: Some(labels),
        annotations,
        owner_references: Some(vec![owner(server)]),
        ..ObjectMeta::default()
    }
}

/// Opens the ports on their containers. Returns the passed-through ports: container to indexes.
fn add_ports(
    server: &GameServer,
    spec: &mut PodSpec,
    game: &str,
) -> Result<BTreeMap<String, Vec<usize>>, Error> {
    let assigned = server
        .status
        .as_ref()
        .map(|status| status.ports.as_slice())
        .unwrap_or_default();
    let mut passthrough: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (position, single) in crds::ports::expand(&server.spec).into_iter().enumerate() {
        let Some(port) = server.spec.ports().get(single.index) else {
            continue;
        };
        let assigned = assigned.get(position).map(|port| port.port);
        let (container_port, host_port) = match port.port_policy {
            PortPolicy::Dynamic => (port.container_port, assigned),
            PortPolicy::Passthrough => (assigned, assigned),
            PortPolicy::Static => (port.container_port, port.host_port),
            PortPolicy::None => (port.container_port, None),
        };
        let wanted = port.container.as_deref().unwrap_or(game);
        let container = spec
            .containers
            .iter_mut()
            .chain(spec.init_containers.iter_mut().flatten())
            .find(|container| container.name == wanted)
            .ok_or_else(|| Error::NoSuchContainer {
                field: format!("spec.ports[{}].container", single.index),
                name: wanted.to_owned(),
            })?;
        let ports = container.ports.get_or_insert_default();
        if port.port_policy == PortPolicy::Passthrough {
            passthrough
                .entry(wanted.to_owned())
                .or_default()
                .push(ports.len());
        }
        ports.push(ContainerPort {
            container_port: container_port.unwrap_or_default(),
            host_port,
            protocol: Some(single.protocol.to_owned()),
            ..ContainerPort::default()
        });
    }
    Ok(passthrough)
}

/// Tells every container where the SDK server listens.
fn add_sdk_env(server: &GameServer, spec: &mut PodSpec) {
    let sdk = &server.spec.sdk_server;
    let variables = [
        ("AGONES_SDK_GRPC_PORT", sdk.grpc_port),
        ("AGONES_SDK_HTTP_PORT", sdk.http_port),
    ];
    for container in spec
        .containers
        .iter_mut()
        .chain(spec.init_containers.iter_mut().flatten())
    {
        let env = container.env.get_or_insert_default();
        for (name, port) in variables {
            env.retain(|variable| variable.name != name);
            env.push(variable(name, port.to_string()));
        }
    }
}

fn variable(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.into()),
        value_from: None,
    }
}

/// The pod's own addresses, for the SDK server to tell the hub.
fn pod_ips() -> EnvVar {
    let field = ObjectFieldSelector {
        field_path: "status.podIPs".to_owned(),
        ..ObjectFieldSelector::default()
    };
    EnvVar {
        name: "POD_IPS".to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(field),
            ..EnvVarSource::default()
        }),
    }
}

/// Lets the kubelet start the health clock of the SDK server, and end a game that it found dead.
fn add_liveness_probe(server: &GameServer, spec: &mut PodSpec, game: &str) {
    let health = &server.spec.health;
    if health.disabled {
        return;
    }
    let container = spec
        .containers
        .iter_mut()
        .find(|container| container.name == game);
    if let Some(container) = container
        && container.liveness_probe.is_none()
    {
        container.liveness_probe = Some(Probe {
            initial_delay_seconds: Some(health.initial_delay_seconds),
            period_seconds: Some(health.period_seconds),
            failure_threshold: Some(health.failure_threshold),
            ..probe("/gshealthz")
        });
    }
}

fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(HEALTH_PORT),
            ..HTTPGetAction::default()
        }),
        ..Probe::default()
    }
}

fn sdk_container(server: &GameServer, sdk: &SdkConfig) -> Container {
    let quantities = |pairs: &[(&'static str, String)]| {
        let map: BTreeMap<_, _> = pairs
            .iter()
            .map(|(name, amount)| ((*name).to_owned(), Quantity(amount.clone())))
            .collect();
        (!map.is_empty()).then_some(map)
    };
    let of_server = &server.spec.sdk_server;
    let meta = &server.metadata;
    Container {
        name: SDK_CONTAINER.to_owned(),
        image: Some(sdk.image.clone()),
        image_pull_policy: Some(sdk.pull_policy.clone()),
        // A sidecar: up before the game and down after it.
        restart_policy: Some("Always".to_owned()),
        args: Some(vec![
            format!("--grpc-port={}", of_server.grpc_port),
            format!("--http-port={}", of_server.http_port),
        ]),
        env: Some(vec![
            variable("GAMESERVER_NAME", meta.name.clone().unwrap_or_default()),
            variable("POD_NAMESPACE", meta.namespace.clone().unwrap_or_default()),
            pod_ips(),
            variable("LOG_LEVEL", of_server.log_level.as_str()),
            variable("HUB_ADDRESS", sdk.hub_endpoint.clone()),
            variable("HUB_TOKEN_FILE", format!("{MOUNT_PATH}/token")),
            variable("HUB_CA_FILE", format!("{MOUNT_PATH}/{CA_KEY}")),
        ]),
        liveness_probe: Some(Probe {
            initial_delay_seconds: Some(3),
            period_seconds: Some(3),
            ..probe("/healthz")
        }),
        resources: Some(ResourceRequirements {
            requests: quantities(&sdk.requests),
            limits: quantities(&sdk.limits),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            run_as_user: Some(SDK_USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![VolumeMount {
            name: VOLUME.to_owned(),
            mount_path: MOUNT_PATH.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        }]),
        ..Container::default()
    }
}

/// The token that proves which pod is calling, and the hub's CA. Mounted in the SDK server alone.
fn identity_volume() -> Volume {
    let token = VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            audience: Some(meta::TOKEN_AUDIENCE.to_owned()),
            expiration_seconds: Some(3600),
            path: "token".to_owned(),
        }),
        ..VolumeProjection::default()
    };
    let ca = VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: CA_CONFIG_MAP.to_owned(),
            items: Some(vec![KeyToPath {
                key: CA_KEY.to_owned(),
                path: CA_KEY.to_owned(),
                mode: None,
            }]),
            optional: Some(false),
        }),
        ..VolumeProjection::default()
    };
    Volume {
        name: VOLUME.to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(vec![token, ca]),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// Prefers nodes that have game servers already.
fn add_packing(spec: &mut PodSpec) {
    let role = BTreeMap::from([(
        meta::ROLE_LABEL.to_owned(),
        meta::ROLE_GAMESERVER.to_owned(),
    )]);
    let term = WeightedPodAffinityTerm {
        weight: 100,
        pod_affinity_term: PodAffinityTerm {
            topology_key: "kubernetes.io/hostname".to_owned(),
            label_selector: Some(LabelSelector {
                match_labels: Some(role),
                ..LabelSelector::default()
            }),
            ..PodAffinityTerm::default()
        },
    };
    let affinity: &mut Affinity = spec.affinity.get_or_insert_default();
    let pods: &mut PodAffinity = affinity.pod_affinity.get_or_insert_default();
    pods.preferred_during_scheduling_ignored_during_execution
        .get_or_insert_default()
        .push(term);
}
