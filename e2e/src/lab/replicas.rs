//! The replicas of operator and allocator: started, crashed, started anew, paused.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Parser as _;
use embedded::faults::{Faults, Mode, Traffic};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Uri;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use operator::Hub;
use proto::muster::allocation::v1::allocator_server::AllocatorServer;
use runtime::admin::Admin;
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::{Channel, Endpoint};

use super::cluster::{Cluster, SYSTEM};

/// Time from a crash to the next start, as of a container.
const RESTART: Duration = Duration::from_secs(2);
/// Calls of one process that may be refused in its life. A fault of a call refuses one. What is
/// planned on an old state is refused too: that is tried again at once and then after half a
/// second, one, two, …, which makes seven times in the 40 seconds that a fault lasts at most. Eight
/// objects of a scenario in that state, and what is not found at the start, come to this.
const MOST_REFUSED: u64 = 60;
/// Calls that one process may begin within one second: three times those of the busiest second
/// without faults.
const MOST_AT_ONCE: u64 = 200;
/// Bytes that a connection holds.
const PIPE: usize = 64 * 1024;

/// Which component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// The operator.
    Operator,
    /// The allocator.
    Allocator,
}

impl Component {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Allocator => "allocator",
        }
    }
}

/// All replicas. Clones share the same ones.
#[derive(Clone, Debug)]
pub struct Replicas(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cluster: Cluster,
    slots: Mutex<BTreeMap<(Component, usize), Slot>>,
    /// Of every process there ever was, in the order of their starts.
    faults: Mutex<Vec<Faults>>,
    /// Which allocator the next connection goes to.
    turn: AtomicUsize,
    tasks: TaskTracker,
}

/// The place of a replica, and who is in it.
#[derive(Debug)]
struct Slot {
    faults: Faults,
    /// None while it is down.
    running: Option<Running>,
}

/// How a replica that runs is reached.
#[derive(Clone, Debug)]
struct Running {
    hub: Option<Hub>,
    api: Option<allocator::api::Api>,
    match_api: Option<allocator::match_api::MatchApi>,
    admin: Admin,
    /// Cancelled when it has ended, however that came.
    gone: CancellationToken,
}

impl Running {
    fn is_ready(&self) -> bool {
        self.admin.closed().is_empty()
    }
}

impl Replicas {
    /// Starts so many of each.
    pub fn start(cluster: &Cluster, operators: usize, allocators: usize) -> Result<Self> {
        let replicas = Self(Arc::new(Inner {
            cluster: cluster.clone(),
            slots: Mutex::default(),
            faults: Mutex::default(),
            turn: AtomicUsize::new(0),
            tasks: TaskTracker::new(),
        }));
        for (component, count) in [
            (Component::Allocator, allocators),
            (Component::Operator, operators),
        ] {
            for index in 0..count {
                replicas.begin((component, index), 0)?;
            }
        }
        Ok(replicas)
    }

    /// What goes wrong for a replica, by its name, such as `operator-0`.
    pub fn faults(&self, name: &str) -> Option<Faults> {
        let slots = self.slots();
        slots
            .iter()
            .find(|((component, index), _)| format!("{}-{index}", component.as_str()) == name)
            .map(|(_, slot)| slot.faults.clone())
    }

    /// The faults of every process there ever was, in the order of their starts.
    pub fn all_faults(&self) -> Vec<Faults> {
        self.processes().clone()
    }

    /// Whether a fault has begun that is not over, such as a pause or a late write.
    pub fn are_disturbed(&self) -> bool {
        self.processes().iter().any(|faults| faults.pending() > 0)
    }

    /// The hub of one of the replicas that run.
    pub fn hub(&self, attempt: usize) -> Option<Hub> {
        let slots = self.slots();
        let hubs: Vec<_> = slots
            .values()
            .filter_map(|slot| slot.running.as_ref())
            .filter(|running| running.is_ready())
            .filter_map(|running| running.hub.clone())
            .collect();
        hubs.get(attempt.checked_rem(hubs.len())?).cloned()
    }

    /// The allocation API of one of the replicas that run.
    pub fn allocator(&self, attempt: usize) -> Option<allocator::api::Api> {
        let slots = self.slots();
        let apis: Vec<_> = slots
            .values()
            .filter_map(|slot| slot.running.as_ref())
            .filter(|running| running.is_ready())
            .filter_map(|running| running.api.clone())
            .collect();
        apis.get(attempt.checked_rem(apis.len())?).cloned()
    }

    /// Whether every replica runs and is ready.
    pub fn are_ready(&self) -> bool {
        self.slots()
            .values()
            .all(|slot| slot.running.as_ref().is_some_and(Running::is_ready))
    }

    fn begin(&self, place: (Component, usize), incarnation: usize) -> Result<()> {
        let (component, index) = place;
        let name = format!("{}-{index}", component.as_str());
        let identity = if incarnation == 0 {
            name
        } else {
            format!("{name}-{incarnation}")
        };
        let faults = Faults::new(identity.clone(), self.0.cluster.journal().clone());
        self.processes().push(faults.clone());
        let (life, running) = match component {
            Component::Operator => self.operator(&identity, &faults)?,
            Component::Allocator => self.allocator_of(&identity, &faults)?,
        };
        self.slots().insert(
            place,
            Slot {
                faults: faults.clone(),
                running: Some(running.clone()),
            },
        );
        let replicas = self.clone();
        self.0.tasks.spawn(async move {
            let mut mode = faults.mode();
            let crashed = mode.wait_for(|mode| *mode == Mode::Crashed);
            let mut traffic = faults.traffic();
            tokio::select! {
                biased;
                _ = crashed => {}
                Ok(traffic) = traffic.wait_for(is_storm) => {
                    let why = format!("{} is a storm: {:?}", faults.name(), *traffic);
                    replicas.0.cluster.watchdog().give_up(why);
                    return;
                }
                () = pausable(life, faults.mode()) => {
                    faults.crash();
                }
            }
            running.gone.cancel();
            replicas.restart(place, incarnation + 1).await;
        });
        Ok(())
    }

    async fn restart(&self, place: (Component, usize), incarnation: usize) {
        if let Some(slot) = self.slots().get_mut(&place) {
            slot.running = None;
        }
        tokio::time::sleep(RESTART).await;
        if let Err(error) = self.begin(place, incarnation) {
            let text = format!("could not be started: {error:#}");
            self.0.cluster.journal().note(place.0.as_str(), text);
        }
    }

    fn operator(
        &self,
        identity: &str,
        faults: &Faults,
    ) -> Result<(BoxFuture<'static, ()>, Running)> {
        let args = [
            "operator",
            "--pod-name",
            identity,
            "--pod-namespace",
            SYSTEM,
            "--port-range",
            "default=7000-7019",
        ];
        let args = operator::Args::try_parse_from(args)?;
        let config = operator::Config::try_from(args)
            .map_err(|problems| anyhow!("configure the operator: {problems:?}"))?;
        let client = self.0.cluster.client(identity, Some(faults));
        let replica = operator::Replica::new(&client, config)?
            .with_allocator(self.channel())
            .without_listeners();
        let gone = CancellationToken::new();
        let running = Running {
            hub: Some(replica.hub()),
            api: None,
            match_api: None,
            admin: replica.admin().clone(),
            gone: gone.clone(),
        };
        let journal = self.0.cluster.journal().clone();
        let identity = identity.to_owned();
        let life = async move {
            if let Err(error) = replica.run(gone).await {
                journal.note(&identity, format!("ended: {error}"));
            }
        };
        Ok((life.boxed(), running))
    }

    fn allocator_of(
        &self,
        identity: &str,
        faults: &Faults,
    ) -> Result<(BoxFuture<'static, ()>, Running)> {
        let args = ["allocator", "--disable-tls", "--pod-namespace", SYSTEM];
        let args = allocator::Args::try_parse_from(args)?;
        let config = allocator::Config::try_from(args)
            .map_err(|problems| anyhow!("configure the allocator: {problems:?}"))?;
        let client = self.0.cluster.client(identity, Some(faults));
        let number = u128::from(crds::names::hash(identity.as_bytes()));
        let replica = allocator::Replica::new(client, config, number)?;
        let running = Running {
            hub: None,
            api: Some(replica.api().clone()),
            match_api: Some(replica.match_api().clone()),
            admin: replica.admin().clone(),
            gone: CancellationToken::new(),
        };
        Ok((replica.follow().boxed(), running))
    }

    /// What the operator reaches the allocators by: each connection goes to the next of those that
    /// are ready, as through a Service.
    fn channel(&self) -> Channel {
        let replicas = self.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let connected = replicas.connect().map(TokioIo::new);
            async move { connected.ok_or_else(|| std::io::Error::other("no allocator is ready")) }
        });
        Endpoint::from_static("http://allocator.lab").connect_with_connector_lazy(connector)
    }

    fn connect(&self) -> Option<DuplexStream> {
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
        let running = {
            let slots = self.slots();
            let ready: Vec<_> = slots
                .values()
                .filter_map(|slot| slot.running.as_ref())
                .filter(|running| running.match_api.is_some() && running.is_ready())
                .collect();
            (*ready.get(turn.checked_rem(ready.len())?)?).clone()
        };
        let (near, far) = tokio::io::duplex(PIPE);
        let service = TowerToHyperService::new(AllocatorServer::new(running.match_api?));
        self.0.tasks.spawn(async move {
            let connection = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(far), service);
            // A broken connection is the other side's to notice.
            drop(running.gone.run_until_cancelled(connection).await);
        });
        Some(near)
    }

    fn processes(&self) -> MutexGuard<'_, Vec<Faults>> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<(Component, usize), Slot>> {
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a process calls more than it ever should.
const fn is_storm(traffic: &Traffic) -> bool {
    traffic.refused > MOST_REFUSED || traffic.busiest > MOST_AT_ONCE
}

/// A process that stands still while it is paused: nothing of it is polled, and its timers are
/// found to be over when it wakes up.
async fn pausable(mut life: BoxFuture<'static, ()>, mut mode: watch::Receiver<Mode>) {
    loop {
        // The sender lives as long as the faults.
        drop(mode.wait_for(|mode| *mode == Mode::Running).await);
        tokio::select! {
            biased;
            _ = mode.wait_for(|mode| *mode != Mode::Running) => {}
            () = &mut life => return,
        }
    }
}
