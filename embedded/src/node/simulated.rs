//! Nodes that only pretend: their pods run and are ready at once, without any process.
//!
//! They are for experiments with numbers of pods that no host could run. One task plays all of
//! them, so that a pod costs two writes and no memory to speak of.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ApiResource, DeleteParams, Object, Patch, PatchParams, Preconditions};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Capacity;
use super::register::{Identity, Readiness, keep_alive, register, write_status};
use crate::Clock;

/// Calls to the API server at once.
const CALLS: usize = 64;
/// Pause before a call that failed is made again.
const RETRY: Duration = Duration::from_secs(1);
/// How long a node tries to say that it ends: somebody waits for the end.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
/// Label of simulated nodes.
pub const LABEL: &str = "muster.dev/simulated";

/// What plays the part of the game in a simulated pod that runs. Dropped when the pod is gone.
pub type OnRunning = Arc<dyn Fn(RunningPod) -> BoxFuture<'static, ()> + Send + Sync>;

/// A simulated pod that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningPod {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// Identity of the pod.
    pub uid: String,
    /// Name of its node.
    pub node: String,
    /// Labels of the pod.
    pub labels: BTreeMap<String, String>,
}

/// How simulated nodes are set up.
#[derive(Clone)]
pub struct Config {
    /// The API server.
    pub client: Client,
    /// What the nodes' names begin with; a number follows. No other node's name may begin so.
    pub prefix: String,
    /// Number of nodes.
    pub nodes: u32,
    /// What each node can give.
    pub capacity: Capacity,
    /// Called once for each pod that runs, those of an earlier run of this program included.
    pub on_running: Option<OnRunning>,
    /// Tells the time.
    pub clock: Clock,
}

impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Config")
            .field("prefix", &self.prefix)
            .field("nodes", &self.nodes)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// Registers the nodes and plays their pods until it is told to stop.
pub async fn run(config: Config, stop: CancellationToken) {
    let registering = register_all(&config);
    let nodes = tokio::select! {
        nodes = registering => nodes,
        () = stop.cancelled() => return,
    };
    tracing::info!(nodes = nodes.len(), "Simulated nodes are ready");
    let identities: Vec<Identity> = nodes.iter().map(|(identity, _)| identity.clone()).collect();
    let beats = keep_alive(config.client.clone(), nodes, config.clock.clone());
    let mut play = Play::new(config.clone());
    tokio::select! {
        () = play.follow() => {}
        () = beats => {}
        () = stop.cancelled() => {}
    }
    let farewells = identities.iter().map(|identity| {
        let write = write_status(&config.client, identity, Readiness::Ending, &config.clock);
        tokio::time::timeout(FAREWELL_TIMEOUT, write)
    });
    // A list, because the compiler cannot see that a closure over references is `Send`.
    let farewells: Vec<_> = farewells.collect();
    let farewells = futures::stream::iter(farewells).buffer_unordered(CALLS);
    let failed = farewells
        .filter(|result| std::future::ready(!matches!(result, Ok(Ok(_)))))
        .count()
        .await;
    if failed > 0 {
        tracing::debug!(failed, "Simulated nodes could not say that they end");
    }
}

async fn register_all(config: &Config) -> Vec<(Identity, Node)> {
    let nodes = (0..config.nodes).map(|index| async move {
        let identity = Identity {
            name: format!("{}{index}", config.prefix),
            address: node_address(index),
            capacity: config.capacity,
            labels: [(LABEL.to_owned(), "true".to_owned())].into(),
        };
        loop {
            match register(&config.client, &identity, &config.clock).await {
                Ok(node) => return (identity, node),
                Err(error) => tracing::debug!(%error, "Simulated node was not registered"),
            }
            tokio::time::sleep(RETRY).await;
        }
    });
    let nodes = futures::stream::iter(nodes);
    nodes.buffer_unordered(CALLS).collect().await
}

/// An address from the networks for benchmarks, in which nobody is: 198.18.0.0/16 for nodes.
fn node_address(index: u32) -> IpAddr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)).wrapping_add(index % 0xffff)).into()
}

/// The same for pods: 198.19.0.0/16.
fn pod_address(index: u32) -> IpAddr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 19, 0, 1)).wrapping_add(index % 0xffff)).into()
}

/// As much of a pod as is needed.
type Light = Object<Spec, Phase>;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    image: String,
    restart_policy: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Phase {
    phase: String,
}

/// What is to be done with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Run,
    Delete,
}

/// What a pod needs now.
fn step(pod: &Light) -> Option<Step> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Some(Step::Delete);
    }
    let phase = pod.status.as_ref().map(|status| status.phase.as_str());
    match phase {
        Some("Running" | "Succeeded" | "Failed") => None,
        _ => Some(Step::Run),
    }
}

/// A pod that a call is to be made for.
#[derive(Debug)]
struct Job {
    step: Step,
    pod: Arc<Light>,
    address: IpAddr,
}

type Done = (Job, Result<(), kube::Error>);

/// Plays all pods.
struct Play {
    config: Config,
    /// Pods by uid, with the last step that was begun for each.
    known: BTreeMap<String, Step>,
    queue: VecDeque<Job>,
    calls: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Calls of `on_running`, which end with this value.
    games: JoinSet<()>,
    /// The same by the uid of the pod, for as long as that is there.
    played: BTreeMap<String, AbortHandle>,
    addresses: u32,
}

impl Play {
    fn new(config: Config) -> Self {
        Self {
            config,
            known: BTreeMap::new(),
            queue: VecDeque::new(),
            calls: FuturesUnordered::new(),
            games: JoinSet::new(),
            played: BTreeMap::new(),
            addresses: 0,
        }
    }

    async fn follow(&mut self) {
        let resource = ApiResource::erase::<Pod>(&());
        let api: Api<Light> = Api::all_with(self.config.client.clone(), &resource);
        // Pods without a node are none of ours yet.
        let bound = watcher::Config::default().fields("spec.nodeName!=");
        let mut events = kube::runtime::watcher(api, bound).default_backoff().boxed();
        let mut listed = Vec::new();
        loop {
            while self.calls.len() < CALLS
                && let Some(job) = self.queue.pop_front()
            {
                let (client, now) = (self.config.client.clone(), (self.config.clock)());
                self.calls.push(call(client, now, job).boxed());
            }
            tokio::select! {
                event = events.next() => match event {
                    None => return,
                    Some(Ok(Event::Init)) => listed.clear(),
                    Some(Ok(Event::InitApply(pod))) => listed.push(pod),
                    Some(Ok(Event::InitDone)) => {
                        // Whatever went unseen is gone; the rest is looked at anew.
                        self.known.clear();
                        let there: BTreeSet<_> = listed.iter().filter_map(Light::uid).collect();
                        self.played.retain(|uid, game| {
                            let stays = there.contains(uid);
                            if !stays {
                                game.abort();
                            }
                            stays
                        });
                        for pod in listed.drain(..) {
                            self.saw(pod);
                        }
                    }
                    Some(Ok(Event::Apply(pod))) => self.saw(pod),
                    Some(Ok(Event::Delete(pod))) => {
                        let uid = pod.uid().unwrap_or_default();
                        self.known.remove(&uid);
                        if let Some(game) = self.played.remove(&uid) {
                            game.abort();
                        }
                    }
                    Some(Err(error)) => {
                        tracing::debug!(%error, "Watch of simulated pods was interrupted");
                    }
                },
                Some((job, result)) = self.calls.next() => self.done(job, result),
                Some(ended) = self.games.join_next() => {
                    if let Err(error) = ended && !error.is_cancelled() {
                        tracing::error!(%error, "Part of a game failed");
                    }
                }
            }
        }
    }

    fn saw(&mut self, pod: Light) {
        if !self.is_ours(&pod.spec.node_name) {
            return;
        }
        let Some(step) = step(&pod) else {
            self.play(&pod);
            return;
        };
        let uid = pod.uid().unwrap_or_default();
        let known = self.known.get(&uid);
        if known == Some(&step) || known == Some(&Step::Delete) {
            return;
        }
        self.known.insert(uid, step);
        self.addresses = self.addresses.wrapping_add(1);
        self.queue.push_back(Job {
            step,
            pod: Arc::new(pod),
            address: pod_address(self.addresses),
        });
    }

    fn is_ours(&self, node: &str) -> bool {
        node.strip_prefix(self.config.prefix.as_str())
            .and_then(|number| number.parse::<u32>().ok())
            .is_some_and(|number| number < self.config.nodes)
    }

    fn done(&mut self, job: Job, result: Result<(), kube::Error>) {
        match result {
            // The change that it makes comes back as an event.
            Ok(()) => {}
            // It is gone, or another one by now: a change will tell.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
            Err(error) => {
                tracing::debug!(%error, "Simulated pod was not written");
                let again = async move {
                    tokio::time::sleep(RETRY).await;
                    (job, Err(error))
                };
                // The pause takes one of the calls: the API server has enough to do.
                self.calls.push(retry(self.config.clone(), again).boxed());
            }
        }
    }

    /// Calls `on_running` for a pod, once.
    fn play(&mut self, pod: &Light) {
        let Some(on_running) = &self.config.on_running else {
            return;
        };
        let uid = pod.uid().unwrap_or_default();
        let phase = pod.status.as_ref().map(|status| status.phase.as_str());
        if phase != Some("Running") || self.played.contains_key(&uid) {
            return;
        }
        let game = on_running(RunningPod {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            uid: uid.clone(),
            node: pod.spec.node_name.clone(),
            labels: pod.labels().clone(),
        });
        let game = self.games.spawn(game);
        self.played.insert(uid, game);
    }
}

/// Makes a call again after a pause.
async fn retry(config: Config, pause: impl Future<Output = Done>) -> Done {
    let (job, _) = pause.await;
    call(config.client, (config.clock)(), job).await
}

/// Makes the call that a pod needs.
async fn call(client: Client, now: Timestamp, job: Job) -> Done {
    let namespace = job.pod.namespace().unwrap_or_default();
    let name = job.pod.name_any();
    let uid = job.pod.uid();
    let api: Api<kube::api::PartialObjectMeta<Pod>> = Api::namespaced(client, &namespace);
    let result = match job.step {
        Step::Run => {
            let mut patch = json!({ "status": running(&job.pod, now, job.address) });
            patch["metadata"] = json!({ "uid": uid });
            let (parameters, patch) = (PatchParams::default(), Patch::Merge(&patch));
            let call = api.patch_subresource("status", &name, &parameters, &patch);
            call.await.map(drop)
        }
        Step::Delete => {
            let how = DeleteParams {
                grace_period_seconds: Some(0),
                preconditions: Some(Preconditions {
                    uid,
                    resource_version: None,
                }),
                ..DeleteParams::default()
            };
            api.delete(&name, &how).await.map(drop)
        }
    };
    (job, result)
}

/// The status of a pod that runs and is ready.
fn running(pod: &Light, now: Timestamp, address: IpAddr) -> Value {
    let now = json!(Time(now));
    let uid = pod.uid().unwrap_or_default();
    let container = |container: &Container, is_done: bool| {
        let id = format!("simulated://{uid}/{}", container.name);
        let state = if is_done {
            json!({ "terminated": {
                "exitCode": 0, "reason": "Completed", "containerID": id,
                "startedAt": now, "finishedAt": now,
            } })
        } else {
            json!({ "running": { "startedAt": now } })
        };
        json!({
            "name": container.name,
            "image": container.image,
            "imageID": container.image,
            "containerID": id,
            "ready": true,
            "started": !is_done,
            "restartCount": 0,
            "lastState": {},
            "state": state,
        })
    };
    let inits = pod.spec.init_containers.iter();
    let inits = inits.map(|init| container(init, init.restart_policy != "Always"));
    let containers = pod.spec.containers.iter().map(|one| container(one, false));
    let conditions = [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ];
    let conditions = conditions.map(|type_| {
        json!({
            "type": type_, "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
            "observedGeneration": pod.metadata.generation,
        })
    });
    let host = node_number(&pod.spec.node_name).map_or(address, node_address);
    let mut status = json!({
        "phase": "Running",
        "observedGeneration": pod.metadata.generation,
        "conditions": conditions,
        "hostIP": host,
        "hostIPs": [{ "ip": host }],
        "podIP": address,
        "podIPs": [{ "ip": address }],
        "startTime": now,
        "containerStatuses": containers.collect::<Vec<_>>(),
    });
    if !pod.spec.init_containers.is_empty() {
        status["initContainerStatuses"] = inits.collect();
    }
    status
}

/// The number at the end of a simulated node's name.
fn node_number(name: &str) -> Option<u32> {
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    name[name.len() - digits..].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(value: Value) -> Light {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn pods_run_once_and_go_at_once() {
        let deleted = json!({
            "metadata": { "deletionTimestamp": "2024-01-01T00:00:00Z" }, "spec": {},
            "status": { "phase": "Running" },
        });
        for (value, expected) in [
            (json!({ "metadata": {}, "spec": {} }), Some(Step::Run)),
            (
                json!({ "metadata": {}, "spec": {}, "status": { "phase": "Pending" } }),
                Some(Step::Run),
            ),
            (
                json!({ "metadata": {}, "spec": {}, "status": { "phase": "Running" } }),
                None,
            ),
            (deleted, Some(Step::Delete)),
        ] {
            assert_eq!(step(&pod(value.clone())), expected, "{value}");
        }
    }

    #[test]
    fn addresses_stay_in_their_networks() {
        for (address, expected) in [
            (node_address(0), [198, 18, 0, 1]),
            (node_address(300), [198, 18, 1, 45]),
            (node_address(0xfffe), [198, 18, 255, 255]),
            (node_address(0xffff), [198, 18, 0, 1]),
            (pod_address(u32::MAX), [198, 19, 0, 1]),
        ] {
            assert_eq!(address, IpAddr::from(expected));
        }
        assert_eq!(node_number("sim-12"), Some(12));
        assert_eq!(node_number("sim"), None);
    }

    #[test]
    fn a_running_pod_has_a_whole_status() {
        let pod = pod(json!({
            "metadata": { "uid": "u", "generation": 1 },
            "spec": {
                "nodeName": "sim-3",
                "initContainers": [
                    { "name": "once", "image": "a" },
                    { "name": "sdk", "image": "b", "restartPolicy": "Always" },
                ],
                "containers": [{ "name": "game", "image": "c" }],
            },
        }));
        let status = running(&pod, Timestamp::UNIX_EPOCH, pod_address(0));
        // It is a status that everybody else can read.
        let status: k8s_openapi::api::core::v1::PodStatus = serde_json::from_value(status).unwrap();
        assert_eq!(status.host_ip.as_deref(), Some("198.18.0.4"));
        let inits = status.init_container_statuses.unwrap();
        let is_running = |index: usize| inits[index].state.as_ref().unwrap().running.is_some();
        assert_eq!((is_running(0), is_running(1)), (false, true));
        assert_eq!(status.conditions.unwrap().len(), 5);
    }
}
