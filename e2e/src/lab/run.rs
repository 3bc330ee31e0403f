//! One run: a scenario under a schedule, from an empty cluster to rest.

use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use embedded::faults::{Faults, Traffic};
use kube::Client;
use tokio::time::Instant;

use super::cluster::{BEGIN, Cluster, NAMESPACE};
use super::invariants::at_rest;
use super::mirror::Mirror;
use super::node::{Machines, allocated};
use super::portrait::portrait;
use super::replicas::{Component, Replicas};
use super::scenario::Scenario;
use super::schedule::{Event, Mishap, SERVER, Schedule};

/// Longest time for the start and the setup, where nothing goes wrong.
const SETUP_LIMIT: Duration = Duration::from_mins(2);
/// Longest time until rest. Backoffs grow to minutes.
const REST_LIMIT: Duration = Duration::from_mins(30);
/// Nothing that matters was written for so long: the state is taken for the end.
const QUIET: Duration = Duration::from_secs(12);
/// The same where no end is known yet. Longer than any delay of our components without faults.
const LONG_QUIET: Duration = Duration::from_secs(90);
/// Entries of the journal that are shown after a failure.
const SHOWN: usize = 400;

/// How many of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Replicas of the operator.
    pub operators: usize,
    /// Replicas of the allocator.
    pub allocators: usize,
}

/// One of each.
pub const SINGLE: Setup = Setup {
    operators: 1,
    allocators: 1,
};

/// As in production.
pub const REPLICATED: Setup = Setup {
    operators: 2,
    allocators: 3,
};

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The state at the end.
    pub portrait: String,
    /// Every process there was, in the order of their starts.
    pub processes: Vec<Process>,
}

impl Outcome {
    /// The process of this name, such as `operator-0`.
    pub fn process(&self, name: &str) -> Option<&Process> {
        self.processes.iter().find(|process| process.name == name)
    }

    /// Whether a process crashed: its successor has another name.
    pub fn has_crashed(&self, name: &str) -> bool {
        self.process(&format!("{name}-1")).is_some()
    }

    /// Writes of all processes of a component while the scenario was acted.
    pub fn writes(&self, component: Component) -> u64 {
        let of_component = self
            .processes
            .iter()
            .filter(|process| process.name.starts_with(component.as_str()));
        of_component.map(|process| process.writes).sum()
    }

    /// Lists that were answered otherwise than they were.
    pub fn stale_lists(&self) -> u64 {
        let stale = |process: &Process| process.traffic.stale_lists;
        self.processes.iter().map(stale).sum()
    }
}

/// What a process did.
#[derive(Clone, Debug)]
pub struct Process {
    /// Such as `operator-0`, and `operator-0-1` for who was started after its first crash.
    pub name: String,
    /// Writes while the scenario was acted.
    pub writes: u64,
    /// Everything it called in its life.
    pub traffic: Traffic,
}

/// Why a run is not as it should be.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What is wrong.
    pub what: String,
    /// What went before.
    pub journal: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\n{}", self.journal, self.what)
    }
}

/// Everything that a scenario acts on.
#[derive(Debug)]
pub struct Lab {
    cluster: Cluster,
    replicas: Replicas,
    machines: Machines,
    claimed: Mutex<BTreeSet<String>>,
}

impl Lab {
    /// The user's client. Nothing goes wrong with it.
    pub fn user(&self) -> Client {
        self.cluster.client("user", None)
    }

    /// The replicas.
    pub const fn replicas(&self) -> &Replicas {
        &self.replicas
    }

    /// The nodes.
    pub const fn machines(&self) -> &Machines {
        &self.machines
    }

    /// Looks at the state.
    pub fn read<T>(&self, look: impl FnOnce(&Mirror) -> T) -> T {
        self.cluster.watchdog().read(look)
    }

    /// Players join a server.
    pub fn claim(&self, server: &str) {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.insert(server.to_owned());
    }

    /// The games that nobody joined end.
    fn end_unclaimed(&self) {
        let claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        let unclaimed = self.read(|mirror| {
            allocated(mirror)
                .into_iter()
                .filter(|server| {
                    let server_object = mirror.get("GameServer", NAMESPACE, server);
                    let of_match = server_object.is_some_and(|server| {
                        !super::mirror::label(server, crds::meta::REQUEST_LABEL).is_empty()
                    });
                    !of_match && !claimed.contains(server)
                })
                .collect::<Vec<_>>()
        });
        drop(claimed);
        for server in unclaimed {
            // Nobody will, from now on.
            self.claim(&server);
            self.machines.shut_down(&server);
        }
    }

    /// Waits until nothing that matters is written any more; with `joined`, all players have come
    /// that will.
    async fn rest(
        &self,
        limit: Duration,
        joined: bool,
        done: impl Fn(&Mirror) -> Option<String>,
    ) -> Result<()> {
        let begin = Instant::now();
        let mut changes = self.cluster.watchdog().changes();
        changes.mark_changed();
        let mut missing = None;
        let mut disturbed = begin;
        while begin.elapsed() < limit {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.replicas.are_disturbed() {
                disturbed = Instant::now();
            }
            // To look is dear, and in vain where nothing was written.
            if changes.has_changed()? {
                changes.borrow_and_update();
                self.check()?;
                // A write may land long after its caller has given up.
                if joined {
                    self.end_unclaimed();
                }
                missing = self.read(&done);
            }
            let last = self.cluster.watchdog().last_write().max(disturbed);
            let is_quiet = last.elapsed() >= QUIET;
            if missing.is_none() && is_quiet {
                return Ok(());
            }
        }
        let why = missing.unwrap_or_else(|| "writes went on".to_owned());
        bail!("the end was not reached within {limit:?}: {why}")
    }

    fn check(&self) -> Result<()> {
        match self.cluster.watchdog().broken().first() {
            Some(broken) => bail!("an invariant was broken: {broken}"),
            None => Ok(()),
        }
    }
}

/// Runs a scenario. With `expected`, the end is reached when the state is that; without, the state
/// counts in which nothing has moved for long.
pub fn run(
    scenario: &Scenario,
    setup: Setup,
    schedule: &Schedule,
    seed: u64,
    expected: Option<&str>,
) -> Result<Outcome, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| Failure {
            what: error.to_string(),
            journal: String::new(),
        })?;
    fastrand::seed(seed);
    runtime.block_on(async {
        let begin = BEGIN.parse().map_err(|error| Failure {
            what: format!("{error}"),
            journal: String::new(),
        })?;
        let _time = runtime::clock::virtual_time(begin);
        let cluster = Cluster::start(seed).map_err(|error| Failure {
            what: format!("{error:#}"),
            journal: String::new(),
        })?;
        let result = tokio::select! {
            biased;
            why = cluster.watchdog().storm() => Err(anyhow!(why)),
            result = act(&cluster, scenario, setup, schedule, seed, expected) => result,
        };
        result.map_err(|error| {
            let mut journal = String::new();
            let entries = cluster.journal().entries();
            for entry in entries.iter().skip(entries.len().saturating_sub(SHOWN)) {
                // Writing to a text cannot fail.
                let _ = writeln!(journal, "{entry}");
            }
            Failure {
                what: format!("{error:#}"),
                journal,
            }
        })
    })
}

async fn act(
    cluster: &Cluster,
    scenario: &Scenario,
    setup: Setup,
    schedule: &Schedule,
    seed: u64,
    expected: Option<&str>,
) -> Result<Outcome> {
    let replicas = Replicas::start(cluster, setup.operators, setup.allocators)?;
    let machines = Machines::start(cluster, &replicas, &["node-a", "node-b"], seed).await?;
    let lab = Arc::new(Lab {
        cluster: cluster.clone(),
        replicas,
        machines,
        claimed: Mutex::default(),
    });
    let begin = Instant::now();
    while !lab.replicas.are_ready() {
        if begin.elapsed() > SETUP_LIMIT {
            bail!("the replicas did not become ready");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    (scenario.setup)(&lab).await.context("set up")?;
    lab.rest(SETUP_LIMIT, false, unsettled)
        .await
        .context("set up")?;

    let writes_before: Vec<_> = writes(&lab);
    cluster.journal().note("lab", "acts from here on");
    let disasters = arm(&lab, schedule, &writes_before)?;
    let acted = async {
        (scenario.act)(&lab).await.context("act")?;
        disasters.await?;
        Ok::<_, anyhow::Error>(())
    };
    tokio::time::timeout(REST_LIMIT, acted)
        .await
        .context("act")??;
    let (done, limit) = (scenario.done, REST_LIMIT);
    lab.rest(limit, true, |mirror| {
        if !done(mirror) {
            return Some(portrait(mirror));
        }
        let now = portrait(mirror);
        match expected {
            Some(expected) if now != expected => Some(now),
            _ => unsettled(mirror),
        }
    })
    .await?;
    if expected.is_none() {
        while cluster.watchdog().last_write().elapsed() < LONG_QUIET {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        if !lab.read(done) {
            bail!("the end did not last");
        }
    }
    lab.check()?;
    let process = |faults: &Faults| {
        let name = faults.name().to_owned();
        Process {
            writes: faults.writes() - writes_of(&writes_before, &name),
            traffic: *faults.traffic().borrow(),
            name,
        }
    };
    Ok(Outcome {
        portrait: lab.read(portrait),
        processes: lab.replicas.all_faults().iter().map(process).collect(),
    })
}

/// What keeps the state from being at rest.
fn unsettled(mirror: &Mirror) -> Option<String> {
    let problems = at_rest(mirror);
    (!problems.is_empty()).then(|| problems.join("; "))
}

fn writes_of(writes: &[(String, u64)], replica: &str) -> u64 {
    let known = writes.iter().find(|(name, _)| name == replica);
    known.map_or(0, |(_, count)| *count)
}

fn writes(lab: &Lab) -> Vec<(String, u64)> {
    let faults = lab.replicas.all_faults();
    faults
        .iter()
        .map(|faults| (faults.name().to_owned(), faults.writes()))
        .collect()
}

/// Puts the schedule into place; the future ends when all that has a time has happened.
fn arm(
    lab: &Arc<Lab>,
    schedule: &Schedule,
    writes: &[(String, u64)],
) -> Result<impl Future<Output = Result<()>> + use<>> {
    let mut timed = Vec::new();
    let before = |replica: &str| writes_of(writes, replica);
    for mishap in &schedule.0 {
        let find = |replica: &str| {
            let faults = lab.replicas.faults(replica);
            faults.ok_or_else(|| anyhow!("there is no replica {replica}"))
        };
        match mishap {
            Mishap::Call { replica, rule } => find(replica)?.add(rule.clone()),
            Mishap::Crash { replica, writes } => {
                find(replica)?.crash_after(before(replica) + writes);
            }
            Mishap::Pause {
                replica,
                writes,
                by,
            } => find(replica)?.pause_after(before(replica) + writes, *by),
            Mishap::At {
                replica,
                time,
                event,
            } => {
                if replica != SERVER {
                    find(replica)?;
                }
                timed.push((*time, replica.clone(), event.clone()));
            }
        }
    }
    let lab = Arc::clone(lab);
    let begin = Instant::now();
    Ok(async move {
        let happen = timed.into_iter().map(|(time, replica, event)| {
            let lab = Arc::clone(&lab);
            async move {
                tokio::time::sleep_until(begin + time).await;
                if event == Event::Compact {
                    lab.cluster.compact();
                    return;
                }
                // Who crashed before has a successor by now, or none yet.
                let Some(faults) = lab.replicas.faults(&replica) else {
                    return;
                };
                match event {
                    Event::Crash => faults.crash(),
                    Event::Cut => faults.cut_watches(),
                    Event::Pause(by) => {
                        faults.pause();
                        tokio::time::sleep(by).await;
                        faults.resume();
                    }
                    Event::Compact => {}
                }
            }
        });
        futures::future::join_all(happen).await;
        Ok(())
    })
}
