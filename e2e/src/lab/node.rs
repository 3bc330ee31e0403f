//! Simulated machines: kubelets, and a game in every pod that calls its SDK. Scheduling and garbage
//! collection are the embedded API server's own.
//!
//! It sees the state as it is, and writes by a client without faults: what is proven is how our
//! components bear faults. How long each step takes comes from the seed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use operator::Hub;
use proto::muster::hub::v1::state_change::State as Wanted;
use proto::muster::hub::v1::{Change, Hello, StateChange};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::cluster::{Cluster, NAMESPACE};
use super::mirror::{Mirror, is_being_deleted, name, runs, state, text, uid};
use super::replicas::Replicas;

/// A call that is not answered within this time is tried at another replica.
const HUB_LIMIT: Duration = Duration::from_secs(12);
/// Time between two tries.
const HUB_PAUSE: Duration = Duration::from_millis(700);

/// The machines and what runs on them.
#[derive(Clone, Debug)]
pub struct Machines(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cluster: Cluster,
    replicas: Replicas,
    client: ClientHandle,
    random: Mutex<fastrand::Rng>,
    lost: Mutex<BTreeSet<String>>,
    tasks: TaskTracker,
}

struct ClientHandle(Client);

impl std::fmt::Debug for ClientHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Client")
    }
}

impl Machines {
    /// Makes nodes of these names and begins to look after pods.
    pub async fn start(
        cluster: &Cluster,
        replicas: &Replicas,
        nodes: &[&str],
        seed: u64,
    ) -> Result<Self> {
        let machines = Self(Arc::new(Inner {
            cluster: cluster.clone(),
            replicas: replicas.clone(),
            client: ClientHandle(cluster.client("node", None)),
            random: Mutex::new(fastrand::Rng::with_seed(seed ^ 0x6e6f_6465)),
            lost: Mutex::default(),
            tasks: TaskTracker::new(),
        }));
        for (index, node) in nodes.iter().enumerate() {
            machines.add_node(node, index).await?;
        }
        let looking = machines.clone();
        machines
            .0
            .tasks
            .spawn(async move { looking.look_after().await });
        Ok(machines)
    }

    async fn add_node(&self, node: &str, index: usize) -> Result<()> {
        let api: Api<Node> = Api::all(self.client());
        let status = json!({
            "addresses": [
                { "type": "ExternalIP", "address": format!("203.0.113.{}", index + 1) },
                { "type": "InternalIP", "address": format!("10.0.0.{}", index + 1) },
            ],
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
                "lastHeartbeatTime": runtime::clock::now(),
                "lastTransitionTime": runtime::clock::now(),
            }],
            "allocatable": { "cpu": "64", "memory": "256Gi", "pods": "250" },
            "capacity": { "cpu": "64", "memory": "256Gi", "pods": "250" },
        });
        let object = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": node }, "status": status,
        });
        let object = serde_json::from_value(object)?;
        let made = api.create(&PostParams::default(), &object).await?;
        // A status that comes with a create may be dropped.
        if made.status.is_none_or(|status| status.addresses.is_none()) {
            let patch = Patch::Merge(json!({ "status": status }));
            api.patch_status(node, &PatchParams::default(), &patch)
                .await?;
        }
        Ok(())
    }

    /// A node dies: nothing there runs any more, and the cluster finds out and cleans up.
    pub async fn lose(&self, node: &str) -> Result<()> {
        self.lost().insert(node.to_owned());
        let nodes: Api<Node> = Api::all(self.client());
        nodes.delete(node, &DeleteParams::default()).await?;
        Ok(())
    }

    /// The game in a server asks for its end.
    pub fn shut_down(&self, server: &str) {
        let (machines, server) = (self.clone(), server.to_owned());
        let game = async move { machines.tell(&server, Wanted::Shutdown).await };
        self.0.tasks.spawn(game);
    }

    /// Starts a life for each pod that appears.
    async fn look_after(&self) {
        let mut changes = self.0.cluster.watchdog().changes();
        let mut known: BTreeSet<String> = BTreeSet::new();
        loop {
            changes.borrow_and_update();
            let pods: Vec<(String, String)> = self.0.cluster.watchdog().read(|mirror| {
                mirror
                    .all("Pod")
                    .map(|pod| (uid(pod).to_owned(), name(pod).to_owned()))
                    .collect()
            });
            for (uid, pod) in pods {
                if known.insert(uid.clone()) {
                    let machines = self.clone();
                    self.0.tasks.spawn(async move {
                        if let Err(error) = machines.live(&pod, &uid).await {
                            let text = format!("pod {pod}: {error:#}");
                            machines.0.cluster.journal().note("node", text);
                        }
                    });
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// The life of a pod, from its creation to its end.
    async fn live(&self, pod: &str, uid: &str) -> Result<()> {
        let node = loop {
            let Some(object) = self.find(uid) else {
                return Ok(());
            };
            let node = text(&object, "/spec/nodeName");
            if !node.is_empty() {
                break node.to_owned();
            }
            self.changed().await;
        };
        self.pause(50, 400).await;
        if self.is_lost(&node) {
            return Ok(());
        }
        if self.find(uid).is_some_and(|pod| !is_being_deleted(&pod)) {
            self.run(pod).await?;
            let (machines, server) = (self.clone(), pod.to_owned());
            let game = async move { machines.tell(&server, Wanted::Ready).await };
            self.0.tasks.spawn(game);
        }
        loop {
            match self.find(uid) {
                None => return Ok(()),
                Some(pod) if is_being_deleted(&pod) => break,
                Some(_) => self.changed().await,
            }
        }
        self.pause(100, 900).await;
        if self.is_lost(&node) {
            return Ok(());
        }
        self.end(pod).await
    }

    async fn run(&self, pod: &str) -> Result<()> {
        let now = runtime::clock::now();
        let number = self.random().u8(2..250);
        let address = format!("10.244.0.{number}");
        let status = json!({ "status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{ "ip": address }],
            "conditions": [
                { "type": "PodScheduled", "status": "True", "lastTransitionTime": now },
                { "type": "Ready", "status": "True", "lastTransitionTime": now },
            ],
        }});
        let api: Api<Pod> = Api::namespaced(self.client(), NAMESPACE);
        let params = PatchParams::default();
        let patched = api
            .patch_status(pod, &params, &Patch::Strategic(&status))
            .await;
        absent_is_fine(patched.map(drop)).context("run")
    }

    /// The kubelet takes a pod away for good.
    async fn end(&self, pod: &str) -> Result<()> {
        let api: Api<Pod> = Api::namespaced(self.client(), NAMESPACE);
        let params = DeleteParams::default().grace_period(0);
        absent_is_fine(api.delete(pod, &params).await.map(drop)).context("end")
    }

    /// What an SDK server does with a wish of its game: says it to one hub after the other, until
    /// one has committed it.
    async fn tell(&self, server: &str, wanted: Wanted) {
        self.pause(20, 300).await;
        let mut attempt = self.random().usize(..);
        loop {
            let pod = self
                .0
                .cluster
                .watchdog()
                .read(|mirror| mirror.get("Pod", NAMESPACE, server).cloned());
            let Some(pod) = pod.filter(|pod| runs(pod)) else {
                return;
            };
            if self.is_lost(text(&pod, "/spec/nodeName")) {
                return;
            }
            attempt = attempt.wrapping_add(1);
            if let Some(hub) = self.0.replicas.hub(attempt) {
                let told = tell_one(&hub, server, uid(&pod), wanted);
                if tokio::time::timeout(HUB_LIMIT, told).await == Ok(true) {
                    return;
                }
            }
            tokio::time::sleep(HUB_PAUSE).await;
        }
    }

    fn find(&self, wanted: &str) -> Option<Arc<Value>> {
        self.0
            .cluster
            .watchdog()
            .read(|mirror| mirror.by_uid("Pod", wanted).cloned())
    }

    async fn changed(&self) {
        let mut changes = self.0.cluster.watchdog().changes();
        changes.borrow_and_update();
        // The watchdog lives as long as the cluster.
        drop(changes.changed().await);
    }

    async fn pause(&self, least: u64, most: u64) {
        let milliseconds = self.random().u64(least..most);
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }

    fn is_lost(&self, node: &str) -> bool {
        self.lost().contains(node)
    }

    fn client(&self) -> Client {
        self.0.client.0.clone()
    }

    fn lost(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.0.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn random(&self) -> std::sync::MutexGuard<'_, fastrand::Rng> {
        self.0.random.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says a wish to one hub; returns whether that is done with.
async fn tell_one(hub: &Hub, server: &str, pod_uid: &str, wanted: Wanted) -> bool {
    let hello = Hello {
        namespace: NAMESPACE.to_owned(),
        name: server.to_owned(),
        ..Hello::default()
    };
    let Ok(session) = hub.connect(hello, pod_uid).await else {
        return false;
    };
    let change = Change {
        id: 1,
        state: Some(StateChange {
            state: wanted.into(),
            reason: "simulated game".to_owned(),
            ..StateChange::default()
        }),
        ..Change::default()
    };
    session.commit(&change).await.code == 0
}

fn absent_is_fine(result: Result<(), kube::Error>) -> Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => Ok(other?),
    }
}

/// Servers that are Allocated, by name.
pub fn allocated(mirror: &Mirror) -> Vec<String> {
    mirror
        .all("GameServer")
        .filter(|server| state(server) == crds::State::Allocated)
        .map(|server| name(server).to_owned())
        .collect()
}
