//! Which game servers a set creates, deletes and marks. Pure; called by the reconcile of sets.
//!
//! Never deletes an Allocated or Reserved server, and touches neither servers that are being
//! deleted already nor those in Shutdown, which belong to the GameServer controller.
//!
//! A build whose servers fail is slowed down by an exponential backoff that is kept in the set's
//! status. It is counted in *generations*: a failure counts only if its server was created after
//! the failure that was counted last, so that a node that dies with a hundred servers counts once,
//! and no more than `replicas` servers are created between two counted failures.
#![deny(clippy::wildcard_enum_match_arm)]

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use crds::gameserver::Scheduling;
use crds::gameserverset::{AllocationOverflow, Backoff as BackoffStatus};
use crds::scheduling::{Candidate, scale_down_order};
use crds::state::State;
use jiff::Timestamp;
use runtime::backoff::Backoff;

use crate::ordinals::Ordinals;

/// How far the clocks of the API server (creation times) and of ours (failure times) may be apart,
/// and the resolution of creation times.
const CLOCK_SLACK: Duration = Duration::from_secs(10);

/// Bounds that the operator's configuration sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Most creations per plan.
    pub(crate) max_creations: usize,
    /// Most deletions per plan, and most overflow marks.
    pub(crate) max_deletions: usize,
    /// Most servers that are on their way to Ready at one time.
    pub(crate) max_pending: usize,
    /// How long Error and Unhealthy servers are kept.
    pub(crate) evidence: Duration,
    /// A server that ran this long before it failed says nothing against its build, and one of a
    /// failing build that runs this long says that the build works again.
    pub(crate) settled: Duration,
    /// Delays before the next creation of a failing build.
    pub(crate) backoff: Backoff,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_creations: 64,
            max_deletions: 64,
            max_pending: 5000,
            evidence: Duration::from_secs(30),
            settled: Duration::from_mins(2),
            backoff: Backoff {
                base: Duration::from_secs(1),
                cap: Duration::from_mins(5),
            },
        }
    }
}

/// What the set shall be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Desired {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) generation: Option<i64>,
    pub(crate) being_deleted: bool,
    pub(crate) replicas: i32,
    pub(crate) scheduling: Scheduling,
    pub(crate) overflow: Option<AllocationOverflow>,
}

/// A game server of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) state: State,
    /// Empty while the server has none.
    pub(crate) node: String,
    pub(crate) created: Timestamp,
    /// When the server went to Error or Unhealthy, by its annotations.
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) being_deleted: bool,
    /// See [`carries`].
    pub(crate) has_overflow: bool,
}

/// What is known about the set's servers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// Servers whose controller is this set, in any order.
    pub(crate) servers: Vec<Server>,
    /// Ready and Allocated servers of all sets, by node.
    pub(crate) node_load: BTreeMap<String, usize>,
    /// [`Plan::next_ordinal`] of the plan before; none after a restart.
    pub(crate) next_ordinal: Option<u32>,
    /// As it stands in the set's status.
    pub(crate) backoff: Option<BackoffStatus>,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Create a server of this name.
    CreateGameServer { name: String, why: &'static str },
    /// Put the overflow labels and annotations on a server.
    PutOverflow {
        name: String,
        uid: String,
        resource_version: String,
        why: &'static str,
    },
    /// Delete a server, only if it is still the one that was seen.
    DeleteGameServer {
        name: String,
        uid: String,
        resource_version: String,
        why: &'static str,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// In the order in which they are done.
    pub(crate) actions: Vec<Action>,
    /// When to look again besides on changes.
    pub(crate) requeue: Option<Duration>,
    /// For the set's status.
    pub(crate) backoff: Option<BackoffStatus>,
    /// For [`Observed::next_ordinal`] of the next plan.
    pub(crate) next_ordinal: u32,
}

/// Whether labels and annotations already have everything that marks overflow.
pub(crate) fn carries(
    overflow: &AllocationOverflow,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> bool {
    let has = |all: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>| {
        wanted
            .iter()
            .all(|(key, value)| all.get(key) == Some(value))
    };
    has(labels, &overflow.labels) && has(annotations, &overflow.annotations)
}

/// Decides what is to be done.
pub(crate) fn plan(
    now: Timestamp,
    policy: &Policy,
    desired: &Desired,
    observed: &Observed,
) -> Plan {
    let mut servers: Vec<&Server> = observed.servers.iter().collect();
    servers.sort_by(|a, b| a.name.cmp(&b.name));
    let names = servers.iter().map(|server| server.name.as_str());
    let ordinals = Ordinals::new(&desired.name, &desired.uid, names, observed.next_ordinal);
    let backoff = backoff(now, policy, &servers, observed.backoff.as_ref());
    let mut planner = Planner {
        now,
        policy,
        desired,
        node_load: &observed.node_load,
        census: Census::new(&servers),
        actions: Vec::new(),
        requeue: None,
    };
    // The garbage collector deletes the servers of a set that goes.
    if !desired.being_deleted {
        planner.create(&ordinals, backoff.as_ref());
        planner.put_overflow();
        planner.delete();
        planner.wait_for_recovery(backoff.as_ref());
    }
    let Planner {
        actions, requeue, ..
    } = planner;
    Plan {
        actions,
        requeue,
        backoff,
        next_ordinal: ordinals.next(),
    }
}

/// The set's servers by what can be done with them, each ordered by name. Servers in Shutdown and
/// those that are being deleted are in none.
#[derive(Debug, Default)]
struct Census<'a> {
    before_ready: Vec<&'a Server>,
    ready: Vec<&'a Server>,
    allocated: Vec<&'a Server>,
    reserved: Vec<&'a Server>,
    failed: Vec<&'a Server>,
}

impl<'a> Census<'a> {
    fn new(servers: &[&'a Server]) -> Self {
        let mut census = Self::default();
        for server in servers.iter().filter(|server| !server.being_deleted) {
            match server.state {
                State::PortAllocation
                | State::Creating
                | State::Starting
                | State::Scheduled
                | State::RequestReady => census.before_ready.push(server),
                State::Ready => census.ready.push(server),
                State::Allocated => census.allocated.push(server),
                State::Reserved => census.reserved.push(server),
                State::Error | State::Unhealthy => census.failed.push(server),
                State::Shutdown => {}
            }
        }
        census
    }

    /// Servers that count toward `replicas`.
    const fn live(&self) -> usize {
        self.before_ready.len() + self.ready.len() + self.allocated.len() + self.reserved.len()
    }
}

/// Gathers actions.
#[derive(Debug)]
struct Planner<'a> {
    now: Timestamp,
    policy: &'a Policy,
    desired: &'a Desired,
    node_load: &'a BTreeMap<String, usize>,
    census: Census<'a>,
    actions: Vec<Action>,
    requeue: Option<Duration>,
}

impl Planner<'_> {
    fn replicas(&self) -> usize {
        usize::try_from(self.desired.replicas).unwrap_or(0)
    }

    fn look_again_in(&mut self, delay: Duration) {
        self.requeue = Some(self.requeue.map_or(delay, |known| known.min(delay)));
    }

    fn create(&mut self, ordinals: &Ordinals<'_>, backoff: Option<&BackoffStatus>) {
        let missing = self.replicas().saturating_sub(self.census.live());
        if missing == 0 {
            return;
        }
        if let Some(backoff) = backoff {
            let passed = elapsed(backoff.last_failure_time, self.now);
            let delay = delay(self.policy, backoff);
            if passed < delay {
                self.look_again_in(delay.saturating_sub(passed));
                return;
            }
        }
        // When a pending server becomes Ready or fails, the set is looked at again anyway.
        let room = self
            .policy
            .max_pending
            .saturating_sub(self.census.before_ready.len());
        let count = missing.min(room).min(self.policy.max_creations);
        if count < missing.min(room) {
            self.look_again_in(Duration::ZERO);
        }
        let why = "fewer servers than replicas";
        let creations = ordinals.names(count).into_iter();
        self.actions
            .extend(creations.map(|name| Action::CreateGameServer { name, why }));
    }

    /// Overflow marks stay where they are: as in Agones, nothing takes them off.
    fn put_overflow(&mut self) {
        let is_empty = |overflow: &AllocationOverflow| {
            overflow.labels.is_empty() && overflow.annotations.is_empty()
        };
        if self.desired.overflow.as_ref().is_none_or(is_empty) {
            return;
        }
        let overflowing = self.census.allocated.len().saturating_sub(self.replicas());
        let (marked, mut unmarked): (Vec<_>, Vec<_>) = self
            .census
            .allocated
            .iter()
            .copied()
            .partition(|server| server.has_overflow);
        let wanted = overflowing.saturating_sub(marked.len());
        unmarked.sort_by(|a, b| self.scale_down_order(a, b));
        let count = wanted.min(self.policy.max_deletions);
        if count < wanted {
            self.look_again_in(Duration::ZERO);
        }
        self.actions.extend(
            unmarked
                .into_iter()
                .take(count)
                .map(|server| Action::PutOverflow {
                    name: server.name.clone(),
                    uid: server.uid.clone(),
                    resource_version: server.resource_version.clone(),
                    why: "more servers are Allocated than replicas",
                }),
        );
    }

    fn delete(&mut self) {
        let mut doomed = Vec::new();
        for server in std::mem::take(&mut self.census.failed) {
            let age = elapsed(ended_at(self.now, server), self.now);
            if age < self.policy.evidence {
                self.look_again_in(self.policy.evidence.saturating_sub(age));
            } else {
                doomed.push((server, "failed, and was kept long enough to be looked at"));
            }
        }
        let excess = self.census.live().saturating_sub(self.replicas());
        // Servers that players cannot use yet go first, so that scaling down and rolling updates
        // never cost a Ready server where another would do.
        let mut victims = Vec::new();
        for group in [&self.census.before_ready, &self.census.ready] {
            let mut group = group.clone();
            group.sort_by(|a, b| self.scale_down_order(a, b));
            victims.extend(group);
        }
        let victims = victims.into_iter().take(excess);
        doomed.extend(victims.map(|server| (server, "more servers than replicas")));
        if doomed.len() > self.policy.max_deletions {
            self.look_again_in(Duration::ZERO);
        }
        let doomed = doomed.into_iter().take(self.policy.max_deletions);
        self.actions
            .extend(doomed.map(|(server, why)| Action::DeleteGameServer {
                name: server.name.clone(),
                uid: server.uid.clone(),
                resource_version: server.resource_version.clone(),
                why,
            }));
    }

    /// The backoff ends with time alone, which is no change that would wake the set.
    fn wait_for_recovery(&mut self, backoff: Option<&BackoffStatus>) {
        let Some(backoff) = backoff else { return };
        let census = &self.census;
        let oldest = [&census.ready, &census.allocated, &census.reserved]
            .into_iter()
            .flatten()
            .filter(|server| server.created > backoff.last_failure_time)
            .map(|server| elapsed(server.created, self.now))
            .max();
        if let Some(age) = oldest {
            self.look_again_in(proof_time(self.policy, backoff).saturating_sub(age));
        }
    }

    fn scale_down_order(&self, a: &Server, b: &Server) -> Ordering {
        let candidate = |server| candidate(server, self.node_load);
        scale_down_order(self.desired.scheduling, &candidate(a), &candidate(b))
    }
}

fn candidate<'a>(server: &'a Server, node_load: &BTreeMap<String, usize>) -> Candidate<'a> {
    Candidate {
        name: &server.name,
        node: &server.node,
        ready: server.state == State::Ready,
        node_load: node_load.get(&server.node).copied().unwrap_or(0),
        created: server.created.as_second(),
    }
}

/// Counts what the servers tell about their build onto what was known before.
///
/// Applying it again to its own result changes nothing, so a status that is written late does no
/// harm.
fn backoff(
    now: Timestamp,
    policy: &Policy,
    servers: &[&Server],
    known: Option<&BackoffStatus>,
) -> Option<BackoffStatus> {
    let mut backoff = known
        .filter(|known| !has_recovered(now, policy, servers, known))
        .cloned();
    let mut failed: Vec<_> = servers
        .iter()
        .filter(|server| matches!(server.state, State::Error | State::Unhealthy))
        .map(|server| (ended_at(now, server), server))
        // Evidence that outlived the count it belongs to must not start another one.
        .filter(|(ended, _)| elapsed(*ended, now) < policy.settled)
        .filter(|(ended, server)| elapsed(server.created, *ended) < policy.settled)
        .collect();
    failed.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
    for (ended, server) in failed {
        let failures = match &backoff {
            None => 1,
            Some(known) if is_next_generation(policy, known, ended, server) => {
                known.failures.saturating_add(1)
            }
            Some(_) => continue,
        };
        backoff = Some(BackoffStatus {
            failures,
            last_failure_time: ended,
        });
    }
    backoff
}

/// Whether a failed server was created after the failure that was counted last.
///
/// Creations were held back for the delay, so its failure comes later than that. The creation time
/// is by another clock, and only excludes servers that are clearly older.
fn is_next_generation(
    policy: &Policy,
    known: &BackoffStatus,
    ended: Timestamp,
    server: &Server,
) -> bool {
    ended > known.last_failure_time
        && elapsed(known.last_failure_time, ended) >= delay(policy, known)
        && elapsed(server.created, known.last_failure_time) <= CLOCK_SLACK
}

/// Whether a server of the generation after the last failure has proved the build.
fn has_recovered(
    now: Timestamp,
    policy: &Policy,
    servers: &[&Server],
    known: &BackoffStatus,
) -> bool {
    servers.iter().any(|server| {
        let runs = server.state == State::Ready || server.state.is_held();
        runs && !server.being_deleted
            && server.created > known.last_failure_time
            && elapsed(server.created, now) >= proof_time(policy, known)
    })
}

/// How long a server has to exist to prove its build. Together with the delay before its creation,
/// at least twice the delay has passed since the failure.
fn proof_time(policy: &Policy, known: &BackoffStatus) -> Duration {
    policy.settled.max(delay(policy, known))
}

/// The time between the last counted failure and the next creation.
fn delay(policy: &Policy, known: &BackoffStatus) -> Duration {
    policy
        .backoff
        .bound(u32::try_from(known.failures.saturating_sub(1)).unwrap_or(0))
}

/// When a failed server failed. A time to come would postpone everything that waits for it.
fn ended_at(now: Timestamp, server: &Server) -> Timestamp {
    server
        .ended_at
        .map_or(server.created, |ended| ended.min(now).max(server.created))
}

/// The time from one moment to a later one; zero if it is not later.
fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}
