//! The node's own object and lease.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::CALL_TIMEOUT;
use crate::Clock;

/// Namespace of the leases of nodes.
const LEASES: &str = "kube-node-lease";
/// How long a lease holds, as with the kubelet.
const LEASE_SECONDS: i32 = 40;

/// What a node can give to its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Cores, in thousandths.
    pub cpu_millicores: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Number of pods.
    pub pods: u32,
}

impl Capacity {
    /// That of this host.
    pub fn of_host(pods: u32) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let memory = sysinfo::System::new().map(|mut system| {
            system.refresh_memory();
            system.total_memory()
        });
        Self {
            cpu_millicores: u64::try_from(cores).unwrap_or(1) * 1000,
            memory_bytes: memory.unwrap_or(1 << 30),
            pods,
        }
    }

    /// As the API writes it.
    pub(super) fn quantities(self) -> BTreeMap<String, Quantity> {
        let cpu = if self.cpu_millicores.is_multiple_of(1000) {
            (self.cpu_millicores / 1000).to_string()
        } else {
            format!("{}m", self.cpu_millicores)
        };
        let memory = format!("{}Ki", self.memory_bytes / 1024);
        [
            ("cpu", cpu),
            ("memory", memory),
            ("pods", self.pods.to_string()),
        ]
        .into_iter()
        .map(|(name, amount)| (name.to_owned(), Quantity(amount)))
        .collect()
    }
}

/// What is said about a node.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// Its name.
    pub(super) name: String,
    /// Its address.
    pub(super) address: IpAddr,
    /// What it can give.
    pub(super) capacity: Capacity,
    /// Labels besides those that every node has.
    pub(super) labels: BTreeMap<String, String>,
}

/// `Ready`, and why (not).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Pods may come.
    Ready,
    /// The node ends.
    Ending,
}

/// Go's word for the kind of processor.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Go's word for the operating system.
fn operating_system() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

/// The node's object as it is created.
fn object(identity: &Identity) -> Node {
    let mut labels: BTreeMap<String, String> = [
        ("kubernetes.io/hostname", identity.name.as_str()),
        ("kubernetes.io/os", operating_system()),
        ("kubernetes.io/arch", architecture()),
        ("beta.kubernetes.io/os", operating_system()),
        ("beta.kubernetes.io/arch", architecture()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    labels.extend(identity.labels.clone());
    Node {
        metadata: ObjectMeta {
            name: Some(identity.name.clone()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec::default()),
        status: None,
    }
}

/// The node's status.
fn status(
    identity: &Identity,
    readiness: Readiness,
    now: Timestamp,
    before: &[NodeCondition],
) -> NodeStatus {
    let ready = match readiness {
        Readiness::Ready => ("True", "KubeletReady", "kubelet is posting ready status"),
        Readiness::Ending => ("False", "KubeletNotReady", "node is shutting down"),
    };
    let conditions = [
        (
            "MemoryPressure",
            (
                "False",
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available",
            ),
        ),
        (
            "DiskPressure",
            (
                "False",
                "KubeletHasNoDiskPressure",
                "kubelet has no disk pressure",
            ),
        ),
        (
            "PIDPressure",
            (
                "False",
                "KubeletHasSufficientPID",
                "kubelet has sufficient PID available",
            ),
        ),
        ("Ready", ready),
    ];
    let conditions = conditions.map(|(type_, (status, reason, message))| {
        let old = before.iter().find(|condition| condition.type_ == type_);
        let changed_at = old
            .filter(|old| old.status == status)
            .and_then(|old| old.last_transition_time.clone());
        NodeCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_heartbeat_time: Some(Time(now)),
            last_transition_time: Some(changed_at.unwrap_or(Time(now))),
        }
    });
    let address = |type_: &str, address: String| NodeAddress {
        type_: type_.to_owned(),
        address,
    };
    let unknown = || "unknown".to_owned();
    NodeStatus {
        addresses: Some(vec![
            address("InternalIP", identity.address.to_string()),
            address("Hostname", identity.name.clone()),
        ]),
        allocatable: Some(identity.capacity.quantities()),
        capacity: Some(identity.capacity.quantities()),
        conditions: Some(conditions.to_vec()),
        node_info: Some(NodeSystemInfo {
            architecture: architecture().to_owned(),
            operating_system: operating_system().to_owned(),
            kernel_version: sysinfo::System::kernel_version().unwrap_or_else(|_| unknown()),
            os_image: sysinfo::System::long_os_version().unwrap_or_else(|_| unknown()),
            container_runtime_version: format!("process://{}", env!("CARGO_PKG_VERSION")),
            kubelet_version: format!("v1.35.4+muster.{}", env!("CARGO_PKG_VERSION")),
            ..NodeSystemInfo::default()
        }),
        ..NodeStatus::default()
    }
}

/// Creates the node's object, or takes over the one that is there, and says that it is ready.
pub(super) async fn register(
    client: &Client,
    identity: &Identity,
    clock: &Clock,
) -> Result<Node, kube::Error> {
    let api: Api<Node> = Api::all(client.clone());
    let wanted = object(identity);
    match api.create(&PostParams::default(), &wanted).await {
        Err(kube::Error::Api(error)) if error.is_already_exists() => {
            let patch = json!({ "metadata": { "labels": wanted.metadata.labels } });
            let patch = Patch::Merge(&patch);
            api.patch(&identity.name, &PatchParams::default(), &patch)
                .await?;
        }
        other => {
            other?;
        }
    }
    write_status(client, identity, Readiness::Ready, clock).await
}

/// Writes the node's status.
pub(super) async fn write_status(
    client: &Client,
    identity: &Identity,
    readiness: Readiness,
    clock: &Clock,
) -> Result<Node, kube::Error> {
    let api: Api<Node> = Api::all(client.clone());
    let known = api.get(&identity.name).await?;
    let before = known.status.unwrap_or_default();
    let conditions = before.conditions.unwrap_or_default();
    let mut status = status(identity, readiness, clock(), &conditions);
    // Conditions of others stay.
    if let Some(own) = &mut status.conditions {
        let others = conditions.into_iter().filter(|condition| {
            let own = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"];
            !own.contains(&condition.type_.as_str())
        });
        own.splice(0..0, others.collect::<Vec<_>>());
    }
    let patch = json!({ "status": status });
    api.patch_status(
        &identity.name,
        &PatchParams::default(),
        &Patch::Merge(&patch),
    )
    .await
}

/// Renews the node's lease, or creates it.
pub(super) async fn renew(client: &Client, node: &Node, clock: &Clock) -> Result<(), kube::Error> {
    let api: Api<Lease> = Api::namespaced(client.clone(), LEASES);
    let name = node.metadata.name.clone().unwrap_or_default();
    let now = MicroTime(clock());
    let patch = json!({ "spec": {
        "holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now,
    } });
    let patched = api
        .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
        .await;
    match patched {
        Err(kube::Error::Api(error)) if error.is_not_found() => {}
        other => return other.map(drop),
    }
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(LEASES.to_owned()),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Node".to_owned(),
                name: name.clone(),
                uid: node.metadata.uid.clone().unwrap_or_default(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        spec: serde_json::from_value(patch["spec"].clone()).ok(),
    };
    api.create(&PostParams::default(), &lease).await.map(drop)
}

/// Renews leases and statuses of nodes; never ends. Failures are tried again in time.
pub(super) async fn keep_alive(client: Client, identities: Vec<(Identity, Node)>, clock: Clock) {
    let mut beats = tokio::time::interval(super::LEASE_PERIOD);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut number: u32 = 0;
    loop {
        beats.tick().await;
        let writes_status = number > 0 && number.is_multiple_of(super::BEATS_PER_STATUS);
        number = number.wrapping_add(1);
        for (identity, node) in &identities {
            let renewal = tokio::time::timeout(CALL_TIMEOUT, renew(&client, node, &clock)).await;
            if let Ok(Err(error)) = renewal {
                tracing::debug!(node = identity.name, %error, "Lease of the node was not renewed");
            }
            if writes_status {
                let write = write_status(&client, identity, Readiness::Ready, &clock);
                if let Ok(Err(error)) = tokio::time::timeout(CALL_TIMEOUT, write).await {
                    tracing::debug!(node = identity.name, %error, "Node was not written");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn quantities_are_as_the_api_writes_them() {
        let capacity = Capacity {
            cpu_millicores: 2500,
            memory_bytes: 8 << 30,
            pods: 110,
        };
        let texts: Vec<_> = capacity
            .quantities()
            .into_iter()
            .map(|(name, amount)| format!("{name}={}", amount.0))
            .collect();
        assert_eq!(texts, ["cpu=2500m", "memory=8388608Ki", "pods=110"]);
        let whole = Capacity {
            cpu_millicores: 2000,
            ..capacity
        };
        assert_eq!(whole.quantities()["cpu"].0, "2");
    }

    #[test]
    fn a_condition_keeps_the_time_of_its_last_change() {
        let identity = Identity {
            name: "node".to_owned(),
            address: Ipv4Addr::LOCALHOST.into(),
            capacity: Capacity {
                cpu_millicores: 1000,
                memory_bytes: 1024,
                pods: 1,
            },
            labels: BTreeMap::new(),
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = status(&identity, Readiness::Ready, at(1), &[]);
        let conditions = first.conditions.unwrap();
        let second = status(&identity, Readiness::Ready, at(2), &conditions);
        let ready = |status: &NodeStatus| {
            let conditions = status.conditions.clone().unwrap();
            let ready = conditions.into_iter().find(|one| one.type_ == "Ready");
            let ready = ready.unwrap();
            (ready.status, ready.last_transition_time.unwrap().0)
        };
        assert_eq!(ready(&second), ("True".to_owned(), at(1)));
        let conditions = second.conditions.unwrap();
        let third = status(&identity, Readiness::Ending, at(3), &conditions);
        assert_eq!(ready(&third), ("False".to_owned(), at(3)));
    }
}
