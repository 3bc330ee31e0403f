//! Everything the controllers and the hub share: caches, ports, queues, and who is told of what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crds::allocation::MatchState;
use crds::gameserver::PortPolicy;
use crds::meta;
use crds::state::State;
use crds::{Fleet, FleetAutoscaler, GameServer, GameServerSet, MatchAllocation};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::ApiServer;
use crate::cache::Cache;
use crate::config::Config;
use crate::controller::Refs;
use crate::events::Events;
use crate::fleet::Acceptances;
use crate::gameserverset::plan::Policy;
use crate::hub::{Keys, Sessions};
use crate::metrics::Metrics;
use crate::namespaces::Namespaces;
use crate::pace::Pace;
use crate::ports::{ChoiceError, Holder, PortPool};
use crate::queue::Queue;

/// Shortest time between two writes of one status.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// Shortest time between two changes of a fleet's size by its autoscaler. A burst is followed
/// well within a second, by few writes.
const SCALE_INTERVAL: Duration = Duration::from_millis(250);

/// Waiting matches that one server that becomes Ready wakes. The others look again by themselves.
const WOKEN: usize = 8;

/// What the controllers and the hub share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) api: ApiServer,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
    pub(crate) servers: Arc<Cache<GameServer>>,
    pub(crate) pods: Arc<Cache<Pod>>,
    pub(crate) nodes: Arc<Cache<Node>>,
    pub(crate) sets: Arc<Cache<GameServerSet>>,
    pub(crate) fleets: Arc<Cache<Fleet>>,
    pub(crate) autoscalers: Arc<Cache<FleetAutoscaler>>,
    pub(crate) matches: Arc<Cache<MatchAllocation>>,
    pub(crate) queues: Queues,
    pub(crate) namespaces: Namespaces,
    pub(crate) sessions: Sessions,
    pub(crate) keys: Keys,
    pub(crate) acceptances: Acceptances,
    /// Where the names of each parent's children go on.
    pub(crate) ordinals: NextOrdinals,
    /// Holds writes of status apart.
    pub(crate) status_pace: Pace,
    /// Holds writes of an autoscaler's size apart.
    pub(crate) scale_pace: Pace,
    ports: Mutex<PortPool>,
    pods_in_flight: Mutex<BTreeSet<Holder>>,
    tallies: Mutex<Tallies>,
}

/// What each controller shall look at.
#[derive(Debug)]
pub(crate) struct Queues {
    pub(crate) servers: Arc<Refs<GameServer>>,
    pub(crate) sets: Arc<Refs<GameServerSet>>,
    pub(crate) fleets: Arc<Refs<Fleet>>,
    pub(crate) autoscalers: Arc<Refs<FleetAutoscaler>>,
    pub(crate) matches: Arc<Refs<MatchAllocation>>,
}

/// Where the names of each parent's children go on, by the parent's uid. Kept in memory: after a
/// restart the planners go on from the names that exist.
#[derive(Debug, Default)]
pub(crate) struct NextOrdinals(Mutex<BTreeMap<String, u32>>);

impl NextOrdinals {
    pub(crate) fn of(&self, uid: &str) -> Option<u32> {
        lock(&self.0).get(uid).copied()
    }

    pub(crate) fn remember(&self, uid: &str, next: u32) {
        lock(&self.0).insert(uid.to_owned(), next);
    }

    fn forget(&self, uid: &str) {
        lock(&self.0).remove(uid);
    }
}

/// Sums and indexes kept from changes, so that no reconcile scans the cluster.
#[derive(Debug, Default)]
struct Tallies {
    /// Ready and Allocated servers per node.
    node_load: BTreeMap<String, usize>,
    /// Game servers per namespace.
    population: BTreeMap<String, usize>,
    /// Autoscalers by namespace and name of their fleet.
    autoscalers: BTreeMap<Holder, BTreeSet<String>>,
    /// Names of MatchAllocations by uid.
    matches: BTreeMap<String, Holder>,
    /// MatchAllocations that wait for a server, by namespace.
    waiting: BTreeMap<String, BTreeSet<String>>,
}

impl World {
    pub(crate) fn new(config: Config, client: &Client, metrics: Metrics) -> Arc<Self> {
        let namespaces = &config.namespaces;
        let role = format!("{}={}", meta::ROLE_LABEL, meta::ROLE_GAMESERVER);
        let world = Arc::new(Self {
            api: ApiServer {
                client: client.clone(),
                metrics: metrics.clone(),
            },
            events: Events::new(client.clone(), &config.identity),
            servers: Arc::new(Cache::within(client, namespaces, None, |object| {
                object.metadata.managed_fields = None;
            })),
            pods: Arc::new(Cache::within(client, namespaces, Some(&role), prune_pod)),
            nodes: Arc::new(Cache::everywhere(client, None, prune_node)),
            sets: Arc::new(Cache::within(client, namespaces, None, |object| {
                object.metadata.managed_fields = None;
            })),
            fleets: Arc::new(Cache::within(client, namespaces, None, |object| {
                object.metadata.managed_fields = None;
            })),
            autoscalers: Arc::new(Cache::within(client, namespaces, None, |object| {
                object.metadata.managed_fields = None;
            })),
            matches: Arc::new(Cache::within(client, namespaces, None, |object| {
                object.metadata.managed_fields = None;
            })),
            queues: Queues {
                servers: Queue::new(),
                sets: Queue::new(),
                fleets: Queue::new(),
                autoscalers: Queue::new(),
                matches: Queue::new(),
            },
            namespaces: Namespaces::default(),
            sessions: Sessions::default(),
            keys: Keys::default(),
            acceptances: Acceptances::default(),
            ordinals: NextOrdinals::default(),
            status_pace: Pace::new(STATUS_INTERVAL),
            scale_pace: Pace::new(SCALE_INTERVAL),
            ports: Mutex::new(PortPool::new(config.port_ranges.clone())),
            pods_in_flight: Mutex::default(),
            tallies: Mutex::default(),
            metrics,
            config,
        });
        world.listen();
        world
    }

    /// Starts the watches.
    pub(crate) fn watch(self: &Arc<Self>, tasks: &TaskTracker, stop: &CancellationToken) {
        let metrics = || self.metrics.clone();
        tasks.spawn(Arc::clone(&self.servers).run(metrics(), stop.clone()));
        tasks.spawn(Arc::clone(&self.pods).run(metrics(), stop.clone()));
        tasks.spawn(Arc::clone(&self.nodes).run(metrics(), stop.clone()));
        tasks.spawn(Arc::clone(&self.sets).run(metrics(), stop.clone()));
        tasks.spawn(Arc::clone(&self.fleets).run(metrics(), stop.clone()));
        tasks.spawn(Arc::clone(&self.autoscalers).run(metrics(), stop.clone()));
        tasks.spawn(Arc::clone(&self.matches).run(metrics(), stop.clone()));
        tasks.spawn(crate::hub::follow_keys(Arc::clone(self), stop.clone()));
    }

    /// Waits until every cache was filled once.
    pub(crate) async fn wait_until_synced(&self) {
        self.servers.wait_until_synced().await;
        self.pods.wait_until_synced().await;
        self.nodes.wait_until_synced().await;
        self.sets.wait_until_synced().await;
        self.fleets.wait_until_synced().await;
        self.autoscalers.wait_until_synced().await;
        self.matches.wait_until_synced().await;
    }

    pub(crate) fn node(&self, name: &str) -> Option<Arc<Node>> {
        // Nodes have no namespace.
        self.nodes.store().get(&ObjectRef::new(name))
    }

    /// Chooses and holds ports for a server.
    pub(crate) fn choose_ports(
        &self,
        holder: &Holder,
        wanted: &[&str],
    ) -> Result<Vec<u16>, ChoiceError> {
        let nodes = self
            .nodes
            .all()
            .iter()
            .filter(|node| crate::nodes::is_schedulable(node))
            .count();
        lock(&self.ports).choose(nodes, holder, wanted)
    }

    /// Gives back ports that were chosen for an object that did not come about.
    pub(crate) fn release_ports(&self, (namespace, name): &Holder) {
        // An object that exists keeps what it records.
        let recorded = self.servers.get(namespace, name);
        let ports = recorded
            .map(|server| object_ports(&server))
            .unwrap_or_default();
        lock(&self.ports).set_object(&(namespace.clone(), name.clone()), ports);
    }

    /// Bounds for the planner of sets.
    pub(crate) fn set_policy(&self) -> Policy {
        Policy {
            max_creations: self.config.max_creations,
            max_deletions: self.config.max_deletions,
            max_pending: self.config.max_pending,
            ..Policy::default()
        }
    }

    /// Ready and Allocated servers per node.
    pub(crate) fn node_load(&self) -> BTreeMap<String, usize> {
        lock(&self.tallies).node_load.clone()
    }

    /// Marks a pod as being made until the guard is dropped.
    pub(crate) fn pod_in_flight(&self, namespace: &str, name: &str) -> PodInFlight<'_> {
        let key = (namespace.to_owned(), name.to_owned());
        lock(&self.pods_in_flight).insert(key.clone());
        PodInFlight { world: self, key }
    }

    pub(crate) fn is_pod_in_flight(&self, namespace: &str, name: &str) -> bool {
        lock(&self.pods_in_flight).contains(&(namespace.to_owned(), name.to_owned()))
    }

    pub(crate) fn count_action(&self, controller: &str, action: &str) {
        self.metrics
            .actions
            .with_label_values(&[controller, action])
            .inc();
    }

    fn listen(self: &Arc<Self>) {
        let world = Arc::downgrade(self);
        self.servers.listen(Box::new(move |before, after| {
            if let Some(world) = world.upgrade() {
                world.server_changed(before.map(Arc::as_ref), after.map(Arc::as_ref));
            }
        }));
        let world = Arc::downgrade(self);
        self.pods.listen(Box::new(move |before, after| {
            if let (Some(world), Some(pod)) = (world.upgrade(), after.or(before)) {
                let key = holder(pod.as_ref());
                let ports = after.map(|pod| pod_ports(pod)).unwrap_or_default();
                lock(&world.ports).set_pod(&key, ports);
                world
                    .queues
                    .servers
                    .push(ObjectRef::new(&key.1).within(&key.0));
            }
        }));
        let world = Arc::downgrade(self);
        self.sets.listen(Box::new(move |before, after| {
            if let (Some(world), Some(set)) = (world.upgrade(), after.or(before)) {
                world.queues.sets.push(ObjectRef::from_obj(set.as_ref()));
                world.push_fleet_of(set.as_ref());
                if after.is_none() {
                    world.ordinals.forget(&set.uid().unwrap_or_default());
                }
            }
        }));
        let world = Arc::downgrade(self);
        self.fleets.listen(Box::new(move |before, after| {
            if let (Some(world), Some(fleet)) = (world.upgrade(), after.or(before)) {
                world
                    .queues
                    .fleets
                    .push(ObjectRef::from_obj(fleet.as_ref()));
                world.push_autoscalers_of(&holder(fleet.as_ref()));
                if after.is_none() {
                    world.acceptances.forget(&fleet.uid().unwrap_or_default());
                    world.ordinals.forget(&fleet.uid().unwrap_or_default());
                }
            }
        }));
        let world = Arc::downgrade(self);
        self.autoscalers.listen(Box::new(move |before, after| {
            if let Some(world) = world.upgrade() {
                world.autoscaler_changed(before.map(Arc::as_ref), after.map(Arc::as_ref));
            }
        }));
        let world = Arc::downgrade(self);
        self.matches.listen(Box::new(move |before, after| {
            if let Some(world) = world.upgrade() {
                world.match_changed(before.map(Arc::as_ref), after.map(Arc::as_ref));
            }
        }));
    }

    fn server_changed(&self, before: Option<&GameServer>, after: Option<&GameServer>) {
        let Some(server) = after.or(before) else {
            return;
        };
        let key = holder(server);
        lock(&self.ports).set_object(&key, after.map(object_ports).unwrap_or_default());
        {
            let mut tallies = lock(&self.tallies);
            if let Some(node) = before.and_then(loaded_node)
                && let Some(load) = tallies.node_load.get_mut(node)
            {
                *load -= 1;
                if *load == 0 {
                    tallies.node_load.remove(node);
                }
            }
            match (before, after) {
                (None, Some(_)) => *tallies.population.entry(key.0.clone()).or_default() += 1,
                (Some(_), None) => {
                    let left = tallies.population.entry(key.0.clone()).or_default();
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        tallies.population.remove(&key.0);
                        self.namespaces.forget(&key.0);
                    }
                }
                (Some(_), Some(_)) | (None, None) => {}
            }
            if let Some(node) = after.and_then(loaded_node) {
                *tallies.node_load.entry(node.to_owned()).or_default() += 1;
            }
        }
        self.count_server(before, -1);
        self.count_server(after, 1);
        self.sessions.notify(&key);
        self.queues
            .servers
            .push(ObjectRef::new(&key.1).within(&key.0));
        let owner = server
            .owner_references()
            .iter()
            .find(|owner| owner.controller == Some(true));
        if let Some(owner) = owner {
            self.queues
                .sets
                .push(ObjectRef::new(&owner.name).within(&key.0));
        }
        if before.map(GameServer::state) == after.map(GameServer::state) {
            return;
        }
        self.push_fleet_of(server);
        if let Some(fleet) = server.labels().get(meta::FLEET_LABEL) {
            self.push_autoscalers_of(&(key.0.clone(), fleet.clone()));
        }
        let tallies = lock(&self.tallies);
        if let Some(uid) = server.labels().get(meta::REQUEST_LABEL)
            && let Some((namespace, name)) = tallies.matches.get(uid)
        {
            self.queues
                .matches
                .push(ObjectRef::new(name).within(namespace));
        }
        if after.is_some_and(|server| server.state() == State::Ready) {
            for name in tallies
                .waiting
                .get(&key.0)
                .into_iter()
                .flatten()
                .take(WOKEN)
            {
                self.queues
                    .matches
                    .push(ObjectRef::new(name).within(&key.0));
            }
        }
    }

    fn count_server(&self, server: Option<&GameServer>, by: i64) {
        if let Some(server) = server {
            let fleet = server
                .labels()
                .get(meta::FLEET_LABEL)
                .map_or("none", String::as_str);
            let namespace = server.namespace().unwrap_or_default();
            let labels = [server.state().as_str(), fleet, namespace.as_str()];
            let gauge = self.metrics.game_servers.with_label_values(&labels);
            gauge.add(by);
            // Series of fleets and namespaces that are gone must not pile up.
            if gauge.get() == 0 {
                drop(self.metrics.game_servers.remove_label_values(&labels));
            }
        }
    }

    fn autoscaler_changed(
        &self,
        before: Option<&FleetAutoscaler>,
        after: Option<&FleetAutoscaler>,
    ) {
        let mut tallies = lock(&self.tallies);
        if let Some(autoscaler) = before {
            let fleet = (holder(autoscaler).0, autoscaler.spec.fleet_name.clone());
            if let Some(names) = tallies.autoscalers.get_mut(&fleet) {
                names.remove(&autoscaler.name_any());
                if names.is_empty() {
                    tallies.autoscalers.remove(&fleet);
                }
            }
        }
        if let Some(autoscaler) = after {
            let fleet = (holder(autoscaler).0, autoscaler.spec.fleet_name.clone());
            tallies
                .autoscalers
                .entry(fleet)
                .or_default()
                .insert(autoscaler.name_any());
            self.queues
                .autoscalers
                .push(ObjectRef::from_obj(autoscaler));
        }
        // One that goes leaves the fleet to the next.
        if let (Some(autoscaler), None) = (before, after) {
            let namespace = holder(autoscaler).0;
            let fleet = (namespace.clone(), autoscaler.spec.fleet_name.clone());
            for name in tallies.autoscalers.get(&fleet).into_iter().flatten() {
                self.queues
                    .autoscalers
                    .push(ObjectRef::new(name).within(&namespace));
            }
        }
    }

    fn match_changed(&self, before: Option<&MatchAllocation>, after: Option<&MatchAllocation>) {
        let mut tallies = lock(&self.tallies);
        if let Some(request) = before {
            let (namespace, name) = holder(request);
            tallies.matches.remove(&request.uid().unwrap_or_default());
            if let Some(names) = tallies.waiting.get_mut(&namespace) {
                names.remove(&name);
                if names.is_empty() {
                    tallies.waiting.remove(&namespace);
                }
            }
        }
        if let Some(request) = after {
            let (namespace, name) = holder(request);
            tallies.matches.insert(
                request.uid().unwrap_or_default(),
                (namespace.clone(), name.clone()),
            );
            let state = request
                .status
                .as_ref()
                .map(|status| status.state)
                .unwrap_or_default();
            let is_invalid = |condition: &Condition| condition.reason == "Invalid";
            let conditions = request.status.iter().flat_map(|status| &status.conditions);
            if state == MatchState::Pending && !conditions.into_iter().any(is_invalid) {
                tallies.waiting.entry(namespace).or_default().insert(name);
            }
            self.queues.matches.push(ObjectRef::from_obj(request));
        }
    }

    fn push_fleet_of<K: crate::api::Kind>(&self, child: &K) {
        if let Some(fleet) = child.labels().get(meta::FLEET_LABEL) {
            let namespace = child.namespace().unwrap_or_default();
            self.queues
                .fleets
                .push(ObjectRef::new(fleet).within(&namespace));
        }
    }

    /// Names of the autoscalers of a fleet.
    pub(crate) fn autoscalers_of(&self, fleet: &Holder) -> Vec<String> {
        lock(&self.tallies)
            .autoscalers
            .get(fleet)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    fn push_autoscalers_of(&self, fleet: &Holder) {
        let tallies = lock(&self.tallies);
        for name in tallies.autoscalers.get(fleet).into_iter().flatten() {
            self.queues
                .autoscalers
                .push(ObjectRef::new(name).within(&fleet.0));
        }
    }
}

/// A pod that is being made.
#[derive(Debug)]
pub(crate) struct PodInFlight<'a> {
    world: &'a World,
    key: Holder,
}

impl Drop for PodInFlight<'_> {
    fn drop(&mut self) {
        lock(&self.world.pods_in_flight).remove(&self.key);
        // The controller passed over this server meanwhile.
        self.world
            .queues
            .servers
            .push(ObjectRef::new(&self.key.1).within(&self.key.0));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn holder<K: crate::api::Kind>(object: &K) -> Holder {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The node of a server that counts toward the node's load.
fn loaded_node(server: &GameServer) -> Option<&str> {
    let status = server.status.as_ref()?;
    let counts = matches!(status.state, State::Ready | State::Allocated);
    (counts && !status.node_name.is_empty()).then_some(status.node_name.as_str())
}

/// Host ports that an object records.
fn object_ports(server: &GameServer) -> BTreeSet<u16> {
    let assigned = server
        .status
        .as_ref()
        .map(|status| status.ports.as_slice())
        .unwrap_or_default();
    crds::ports::expand(&server.spec)
        .iter()
        .zip(assigned)
        .filter(|(single, _)| {
            let port = server.spec.ports().get(single.index);
            port.is_some_and(|port| port.port_policy != PortPolicy::None)
        })
        .filter_map(|(_, assigned)| u16::try_from(assigned.port).ok())
        .filter(|port| *port != 0)
        .collect()
}

/// Host ports that a pod holds. A pod that has ended holds none.
fn pod_ports(pod: &Pod) -> BTreeSet<u16> {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return BTreeSet::new();
    }
    let Some(spec) = &pod.spec else {
        return BTreeSet::new();
    };
    spec.containers
        .iter()
        .chain(spec.init_containers.iter().flatten())
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| u16::try_from(port.host_port?).ok())
        .collect()
}

/// Keeps of a pod what the controllers read: owner, node, ports, and how its containers are.
fn prune_pod(pod: &mut Pod) {
    pod.metadata.managed_fields = None;
    pod.metadata.annotations = None;
    let Some(spec) = &mut pod.spec else { return };
    let slim = |containers: &[k8s_openapi::api::core::v1::Container]| {
        containers
            .iter()
            .map(|container| k8s_openapi::api::core::v1::Container {
                name: container.name.clone(),
                ports: container.ports.clone(),
                ..Default::default()
            })
            .collect::<Vec<_>>()
    };
    *spec = k8s_openapi::api::core::v1::PodSpec {
        containers: slim(&spec.containers),
        init_containers: spec.init_containers.as_deref().map(slim),
        node_name: spec.node_name.take(),
        ..Default::default()
    };
}

/// Keeps of a node its addresses and whether pods may run there.
fn prune_node(node: &mut Node) {
    node.metadata.managed_fields = None;
    node.metadata.annotations = None;
    if let Some(status) = &mut node.status {
        *status = k8s_openapi::api::core::v1::NodeStatus {
            addresses: status.addresses.take(),
            conditions: status.conditions.take(),
            ..Default::default()
        };
    }
}
