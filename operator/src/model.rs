//! A small cluster in memory, for the laws of the planners: it applies plans as the API server and
//! the shell would, and lets game servers live and fail.
//!
//! Every write is guarded as the real one is: by uid and resourceVersion. A write that would end a
//! held server panics, so each test that uses the model tests safety too.

use std::collections::BTreeMap;
use std::time::Duration;

use crds::gameserverset::GameServerTemplate;
use crds::state::State;
use crds::{FleetSpec, GameServerSetSpec, GameServerSetStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::fleet::plan as fleet;
use crate::gameserverset::{plan as set, status::status as set_status};

/// When every model starts.
pub(crate) const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// A write was refused because its object is no longer the one that was seen.
#[derive(Debug)]
pub(crate) struct Conflict;

/// The cluster.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) now: Timestamp,
    pub(crate) policy: set::Policy,
    pub(crate) fleet: fleet::Desired,
    pub(crate) sets: BTreeMap<String, fleet::SetView>,
    /// Game servers by name, with the name of their set.
    pub(crate) servers: BTreeMap<String, (String, set::Server)>,
    /// Servers created so far.
    pub(crate) created: usize,
    set_ordinals: BTreeMap<String, u32>,
    fleet_ordinal: Option<u32>,
    version: u64,
}

/// What can happen to a game server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It gets its node, or is Ready.
    Progress,
    Allocate,
    Reserve,
    /// A match ends, and the server can be used again.
    Release,
    Shutdown,
    /// It crashes, loses its pod or its node; or its pod cannot be made.
    Fail,
    /// An object that is being deleted goes.
    Vanish,
}

/// A template that differs from those of other revisions.
pub(crate) fn template(revision: u8) -> GameServerTemplate {
    let labels = BTreeMap::from([("revision".to_owned(), revision.to_string())]);
    let metadata = ObjectMeta {
        labels: Some(labels),
        ..ObjectMeta::default()
    };
    GameServerTemplate {
        metadata: Some(metadata),
        ..GameServerTemplate::default()
    }
}

impl Cluster {
    /// A cluster with a fleet that has no sets yet.
    pub(crate) fn new(replicas: i32) -> Self {
        let spec = FleetSpec {
            replicas,
            template: template(0),
            ..FleetSpec::default()
        };
        Self {
            now: START,
            policy: set::Policy::default(),
            fleet: fleet::Desired {
                name: "fleet".to_owned(),
                uid: "fleet-uid".to_owned(),
                generation: Some(1),
                being_deleted: false,
                spec,
            },
            sets: BTreeMap::new(),
            servers: BTreeMap::new(),
            created: 0,
            set_ordinals: BTreeMap::new(),
            fleet_ordinal: None,
            version: 0,
        }
    }

    /// A cluster with one set, called `set`.
    pub(crate) fn with_set(replicas: i32) -> Self {
        let mut cluster = Self::new(replicas);
        cluster.create_set("set".to_owned(), replicas, &cluster.fleet.spec.clone());
        cluster
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        let time = SignedDuration::try_from(time).unwrap();
        self.now = self.now.checked_add(time).unwrap();
    }

    pub(crate) fn set(&self, name: &str) -> &fleet::SetView {
        &self.sets[name]
    }

    pub(crate) fn servers_of(&self, set: &str) -> impl Iterator<Item = &set::Server> {
        self.servers
            .values()
            .filter(move |(owner, _)| owner == set)
            .map(|(_, server)| server)
    }

    /// Servers that have not ended and are not about to.
    pub(crate) fn live(&self) -> usize {
        self.servers
            .values()
            .filter(|(_, server)| is_live(server))
            .count()
    }

    pub(crate) fn held(&self) -> usize {
        let held = |server: &set::Server| is_live(server) && server.state.is_held();
        self.servers
            .values()
            .filter(|(_, server)| held(server))
            .count()
    }

    /// Servers that players can use.
    pub(crate) fn usable(&self) -> usize {
        let usable = |server: &set::Server| {
            is_live(server) && (server.state == State::Ready || server.state.is_held())
        };
        self.servers
            .values()
            .filter(|(_, server)| usable(server))
            .count()
    }

    /// Lets something happen to a server. Returns whether it could.
    pub(crate) fn happen(&mut self, name: &str, event: Event) -> bool {
        let version = self.next_version();
        let now = self.now;
        let Some((_, server)) = self.servers.get_mut(name) else {
            return false;
        };
        if event == Event::Vanish {
            let goes = server.being_deleted || server.state == State::Shutdown;
            if goes {
                self.servers.remove(name);
            }
            return goes;
        }
        let next = match (event, server.state) {
            (Event::Progress, State::Creating) => State::Scheduled,
            (Event::Progress, state) if state.is_before_ready() => State::Ready,
            (Event::Allocate, State::Ready) => State::Allocated,
            (Event::Reserve, State::Ready) => State::Reserved,
            (Event::Release, State::Allocated | State::Reserved) => State::Ready,
            (Event::Shutdown, state) if !state.is_before_ready() => State::Shutdown,
            (Event::Fail, State::Creating) => State::Error,
            (Event::Fail, _) => State::Unhealthy,
            _ => return false,
        };
        if server.being_deleted || !server.state.can_become(next) {
            return false;
        }
        server.state = next;
        server.resource_version = version;
        if next == State::Scheduled {
            // Some place that differs between servers.
            server.node = format!("node-{}", crds::names::hash(name.as_bytes()) % 3);
        }
        if matches!(next, State::Error | State::Unhealthy) {
            server.ended_at = Some(now);
        }
        true
    }

    /// Lets the same thing happen to every server.
    pub(crate) fn happen_to_all(&mut self, event: Event) -> bool {
        let names: Vec<_> = self.servers.keys().cloned().collect();
        names.iter().filter(|name| self.happen(name, event)).count() > 0
    }

    /// What the shell hands to the planner of a set.
    pub(crate) fn observe_set(&self, name: &str) -> (set::Desired, set::Observed) {
        let view = self.set(name);
        let desired = set::Desired {
            name: view.name.clone(),
            uid: view.uid.clone(),
            generation: view.generation,
            being_deleted: view.being_deleted,
            replicas: view.spec.replicas,
            scheduling: view.spec.scheduling,
            overflow: view.spec.allocation_overflow.clone(),
        };
        let mut node_load = BTreeMap::new();
        for (_, server) in self.servers.values() {
            if matches!(server.state, State::Ready | State::Allocated) {
                *node_load.entry(server.node.clone()).or_default() += 1;
            }
        }
        let observed = set::Observed {
            servers: self.servers_of(name).cloned().collect(),
            node_load,
            next_ordinal: self.set_ordinals.get(name).copied(),
            backoff: view.status.backoff.clone(),
        };
        (desired, observed)
    }

    /// Plans for a set on what is there now, reports the status, and applies the plan.
    pub(crate) fn reconcile_set(&mut self, name: &str) -> set::Plan {
        let (desired, observed) = self.observe_set(name);
        let plan = set::plan(self.now, &self.policy, &desired, &observed);
        self.report_set(name, set_status(&desired, &observed, &plan));
        self.apply_set(name, &plan).unwrap();
        plan
    }

    /// Plans for every set. Returns whether anything was to be done, and the next requeue.
    pub(crate) fn reconcile_sets(&mut self) -> (bool, Option<Duration>) {
        let names: Vec<_> = self.sets.keys().cloned().collect();
        let plans: Vec<_> = names.iter().map(|name| self.reconcile_set(name)).collect();
        let changed = plans.iter().any(|plan| !plan.actions.is_empty());
        (changed, plans.iter().filter_map(|plan| plan.requeue).min())
    }

    /// Writes the status of every set as it is now, without doing anything else.
    pub(crate) fn report_sets(&mut self) {
        let names: Vec<_> = self.sets.keys().cloned().collect();
        for name in names {
            let (desired, observed) = self.observe_set(&name);
            let plan = set::plan(self.now, &self.policy, &desired, &observed);
            self.report_set(&name, set_status(&desired, &observed, &plan));
        }
    }

    /// Applies the plan of a set in order, up to the first conflict.
    pub(crate) fn apply_set(&mut self, name: &str, plan: &set::Plan) -> Result<(), Conflict> {
        self.set_ordinals.insert(name.to_owned(), plan.next_ordinal);
        plan.actions.iter().try_for_each(|action| match action {
            set::Action::CreateGameServer { name: server, .. } => {
                self.create_server(name, server);
                Ok(())
            }
            set::Action::PutOverflow {
                name,
                uid,
                resource_version,
                ..
            } => {
                let version = self.next_version();
                let server = self.guarded(name, uid, resource_version)?;
                server.has_overflow = true;
                server.resource_version = version;
                Ok(())
            }
            set::Action::DeleteGameServer {
                name,
                uid,
                resource_version,
                ..
            } => {
                let version = self.next_version();
                let server = self.guarded(name, uid, resource_version)?;
                assert!(
                    !server.state.is_held(),
                    "{name} is {} and was deleted",
                    server.state
                );
                server.being_deleted = true;
                server.resource_version = version;
                Ok(())
            }
        })
    }

    /// What the shell hands to the planner of the fleet.
    pub(crate) fn observe_fleet(&self) -> fleet::Observed {
        fleet::Observed {
            sets: self.sets.values().cloned().collect(),
            next_ordinal: self.fleet_ordinal,
        }
    }

    /// Plans for the fleet on what is there now, and applies the plan.
    pub(crate) fn reconcile_fleet(&mut self) -> fleet::Plan {
        let plan = fleet::plan(&self.fleet, &self.observe_fleet());
        self.apply_fleet(&self.fleet.clone(), &plan).unwrap();
        plan
    }

    /// Applies the plan of the fleet in order, up to the first conflict.
    pub(crate) fn apply_fleet(
        &mut self,
        desired: &fleet::Desired,
        plan: &fleet::Plan,
    ) -> Result<(), Conflict> {
        self.fleet_ordinal = Some(plan.next_ordinal);
        plan.actions.iter().try_for_each(|action| match action {
            fleet::Action::Create { name, replicas, .. } => {
                self.create_set(name.clone(), *replicas, &desired.spec);
                Ok(())
            }
            fleet::Action::Scale {
                name,
                uid,
                resource_version,
                replicas,
                ..
            } => self
                .change_set(name, uid, resource_version, *replicas)
                .map(|_| ()),
            fleet::Action::Update {
                name,
                uid,
                resource_version,
                replicas,
                ..
            } => {
                let spec = desired.spec.clone();
                let set = self.change_set(name, uid, resource_version, *replicas)?;
                set.spec.scheduling = spec.scheduling;
                set.spec.allocation_overflow = spec.allocation_overflow;
                set.spec.priorities = spec.priorities;
                Ok(())
            }
            fleet::Action::Delete {
                name,
                uid,
                resource_version,
                ..
            } => {
                let set = self.sets.get(name).ok_or(Conflict)?;
                if set.uid != *uid || set.resource_version != *resource_version {
                    return Err(Conflict);
                }
                let lost: Vec<_> = self.servers_of(name).map(|server| server.state).collect();
                assert!(
                    lost.is_empty(),
                    "set {name} was deleted with servers {lost:?}"
                );
                self.sets.remove(name);
                Ok(())
            }
        })
    }

    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    fn create_server(&mut self, set: &str, name: &str) {
        let version = self.next_version();
        // A create that finds its own object has succeeded earlier.
        if self.servers.contains_key(name) {
            return;
        }
        let server = set::Server {
            name: name.to_owned(),
            uid: format!("uid-{version}"),
            resource_version: version,
            state: State::Creating,
            node: String::new(),
            // The API server keeps whole seconds.
            created: Timestamp::from_second(self.now.as_second()).unwrap(),
            ended_at: None,
            being_deleted: false,
            has_overflow: false,
        };
        self.created += 1;
        self.servers
            .insert(name.to_owned(), (set.to_owned(), server));
    }

    fn guarded(
        &mut self,
        name: &str,
        uid: &str,
        resource_version: &str,
    ) -> Result<&mut set::Server, Conflict> {
        let (_, server) = self.servers.get_mut(name).ok_or(Conflict)?;
        let same = server.uid == uid && server.resource_version == resource_version;
        if same { Ok(server) } else { Err(Conflict) }
    }

    fn create_set(&mut self, name: String, replicas: i32, fleet: &FleetSpec) {
        let version = self.next_version();
        let spec = GameServerSetSpec {
            replicas,
            allocation_overflow: fleet.allocation_overflow.clone(),
            scheduling: fleet.scheduling,
            priorities: fleet.priorities.clone(),
            template: fleet.template.clone(),
        };
        let set = fleet::SetView {
            name: name.clone(),
            uid: format!("uid-{name}"),
            resource_version: version,
            generation: Some(1),
            created: self.now,
            being_deleted: false,
            spec,
            status: GameServerSetStatus::default(),
        };
        self.sets.entry(name).or_insert(set);
    }

    fn change_set(
        &mut self,
        name: &str,
        uid: &str,
        resource_version: &str,
        replicas: i32,
    ) -> Result<&mut fleet::SetView, Conflict> {
        let version = self.next_version();
        let set = self.sets.get_mut(name).ok_or(Conflict)?;
        if set.uid != uid || set.resource_version != resource_version {
            return Err(Conflict);
        }
        set.spec.replicas = replicas;
        set.generation = set.generation.map(|generation| generation + 1);
        set.resource_version = version;
        Ok(set)
    }

    fn report_set(&mut self, name: &str, status: GameServerSetStatus) {
        let version = self.next_version();
        let Some(set) = self.sets.get_mut(name) else {
            return;
        };
        if set.status != status {
            set.status = status;
            set.resource_version = version;
        }
    }
}

fn is_live(server: &set::Server) -> bool {
    !server.being_deleted && !server.state.is_ending()
}
