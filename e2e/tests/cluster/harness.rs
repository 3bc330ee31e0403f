//! One test: a namespace of its own, a share of the cluster, and clean-up whatever happens.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::state::State;
use crds::{Fleet, GameServer};
use e2e::allocator::Allocator;
use e2e::cluster::{ALLOCATOR, Cluster};
use e2e::{echo, wait};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Tests at once: the node is small, and most tests only wait.
const SLOTS: u32 = 4;
static FREE: Semaphore = Semaphore::const_new(SLOTS as usize);
static NUMBER: AtomicU32 = AtomicU32::new(0);
/// Held by this process until it ends; see [`wait_for_other_runs`].
static RUN: OnceLock<File> = OnceLock::new();

/// Longest time for a test; every wait in it has its own deadline, which is shorter.
const LONGEST: Duration = Duration::from_mins(5);
/// Longest time until a namespace with everything in it is gone.
pub(crate) const CLEAN_UP: Duration = Duration::from_mins(2);

type CleanUp = Box<dyn FnOnce() -> BoxFuture<'static, Result<()>>>;

/// A running test.
pub(crate) struct Test {
    /// The cluster.
    pub(crate) cluster: Cluster,
    /// The test's own namespace.
    pub(crate) namespace: String,
    cleanups: Mutex<Vec<CleanUp>>,
}

/// Runs a test beside others.
pub(crate) fn shared(name: &str, body: impl AsyncFnOnce(&Test) -> Result<()>) {
    run(name, 1, async |test| {
        test.cluster.muster_ready().await?;
        body(test).await
    });
}

/// Runs a test that needs the definitions alone, and nothing of Muster that runs.
pub(crate) fn definitions_only(name: &str, body: impl AsyncFnOnce(&Test) -> Result<()>) {
    run(name, 1, body);
}

/// Runs a test alone: it touches what others rely on, such as nodes or Muster's own pods.
pub(crate) fn alone(name: &str, body: impl AsyncFnOnce(&Test) -> Result<()>) {
    run(name, SLOTS, async |test| {
        test.cluster.muster_ready().await?;
        body(test).await
    });
}

/// Waits until no other run of these suites is on: tests that need the cluster for themselves
/// would not know of each other.
fn wait_for_other_runs() {
    RUN.get_or_init(|| {
        let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/cluster-suites.lock");
        let file = File::create(path).unwrap();
        if file.try_lock().is_err() {
            // Past the capture of the test's output, which shows at its end only.
            let mut terminal = std::io::stderr();
            writeln!(terminal, "waiting for another run of the cluster suites").unwrap();
            file.lock().unwrap();
        }
        file
    });
}

fn run(name: &str, slots: u32, body: impl AsyncFnOnce(&Test) -> Result<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    wait_for_other_runs();
    runtime.block_on(async {
        let _slots = FREE.acquire_many(slots).await.unwrap();
        let test = Test::start(name).await.unwrap();
        let work = tokio::time::timeout(LONGEST, body(&test));
        let result = AssertUnwindSafe(work).catch_unwind().await;
        let result = result.map(|in_time| {
            in_time
                .with_context(|| format!("the test took more than {LONGEST:?}"))
                .flatten()
        });
        if !matches!(result, Ok(Ok(()))) {
            test.dump().await;
        }
        let cleaned = test.clean_up().await;
        match result {
            Err(panic) => resume_unwind(panic),
            Ok(result) => result.and(cleaned).unwrap(),
        }
    });
}

impl Test {
    async fn start(name: &str) -> Result<Self> {
        let cluster = Cluster::connect().await?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("e2e-{name}-{}-{number}", std::process::id());
        let object = Namespace {
            metadata: kube::api::ObjectMeta {
                name: Some(namespace.clone()),
                labels: Some(BTreeMap::from([("e2e".to_owned(), name.to_owned())])),
                ..kube::api::ObjectMeta::default()
            },
            ..Namespace::default()
        };
        Api::all(cluster.client())
            .create(&PostParams::default(), &object)
            .await?;
        Ok(Self {
            cluster,
            namespace,
            cleanups: Mutex::new(Vec::new()),
        })
    }

    /// Does this at the end, even if the test panics; the last one added is done first.
    pub(crate) fn at_the_end<F>(&self, work: impl FnOnce() -> F + 'static)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.cleanups
            .lock()
            .unwrap()
            .push(Box::new(move || work().boxed()));
    }

    async fn clean_up(&self) -> Result<()> {
        let cleanups = std::mem::take(&mut *self.cleanups.lock().unwrap());
        let mut result = Ok(());
        for cleanup in cleanups.into_iter().rev() {
            result = result.and(cleanup().await);
        }
        let namespaces = Api::<Namespace>::all(self.cluster.client());
        namespaces
            .delete(&self.namespace, &DeleteParams::background())
            .await?;
        // A namespace that stays has a finalizer that nobody removes: a defect.
        let gone = wait::until_gone(&namespaces, &self.namespace, CLEAN_UP).await;
        let gone = gone.context("the test's namespace does not go away");
        result.and(gone)
    }

    /// The API of a kind in the test's namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        self.cluster.api(&self.namespace)
    }

    /// The allocator.
    pub(crate) async fn allocator(&self) -> Result<Allocator> {
        Ok(Allocator::new(
            self.cluster.service_address(ALLOCATOR).await?,
        ))
    }

    /// Creates an object.
    pub(crate) async fn create<K>(&self, object: &K) -> Result<K>
    where
        K: wait::Watched + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Ok(self
            .api::<K>()
            .create(&PostParams::default(), object)
            .await?)
    }

    /// Creates a fleet and waits until all its servers are Ready.
    pub(crate) async fn ready_fleet(&self, fleet: &Fleet) -> Result<Vec<GameServer>> {
        self.create(fleet).await?;
        self.fleet_in(
            &fleet.name_any(),
            State::Ready,
            usize::try_from(fleet.spec.replicas)?,
        )
        .await
    }

    /// Waits until exactly so many servers of a fleet are in a state, and returns those.
    pub(crate) async fn fleet_in(
        &self,
        fleet: &str,
        state: State,
        count: usize,
    ) -> Result<Vec<GameServer>> {
        let what = format!("until {count} are {state}");
        let in_state = |it: &&GameServer| it.state() == state && !it.is_being_deleted();
        let servers = wait::until_all(&self.api::<GameServer>(), &of_fleet(fleet), &what, |all| {
            all.values().filter(in_state).count() == count
        })
        .await?;
        Ok(servers.into_values().filter(|it| in_state(&it)).collect())
    }

    /// Waits until a server is in a state.
    pub(crate) async fn in_state(&self, name: &str, state: State) -> Result<GameServer> {
        let what = format!("to be {state}");
        wait::until(&self.api::<GameServer>(), name, &what, |it| {
            it.state() == state
        })
        .await
    }

    /// Waits until a server is gone.
    pub(crate) async fn gone(&self, name: &str) -> Result<()> {
        wait::until_gone(&self.api::<GameServer>(), name, wait::PATIENCE).await
    }

    /// Changes an object by a merge patch.
    pub(crate) async fn patch<K>(&self, name: &str, patch: Value) -> Result<K>
    where
        K: wait::Watched + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Ok(self
            .api::<K>()
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?)
    }

    /// Sets the replicas of a fleet through its scale subresource, as kubectl and an HPA do.
    pub(crate) async fn scale(&self, fleet: &str, replicas: i32) -> Result<()> {
        let patch = json!({ "spec": { "replicas": replicas } });
        let parameters = PatchParams::default();
        self.api::<Fleet>()
            .patch_scale(fleet, &parameters, &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// Writes down what is in the namespace, for whoever reads the failure.
    async fn dump(&self) {
        eprintln!("--- namespace {} at the failure ---", self.namespace);
        let all = ListParams::default();
        for server in self
            .api::<GameServer>()
            .list(&all)
            .await
            .into_iter()
            .flatten()
        {
            let status = serde_json::to_string(&server.status).unwrap_or_default();
            let deleted = server.is_being_deleted();
            eprintln!(
                "GameServer {} deleted={deleted} {status}",
                server.name_any()
            );
        }
        for pod in self.api::<Pod>().list(&all).await.into_iter().flatten() {
            let status = serde_json::to_string(&pod.status).unwrap_or_default();
            eprintln!("Pod {} {status}", pod.name_any());
        }
        for fleet in self.api::<Fleet>().list(&all).await.into_iter().flatten() {
            let status = serde_json::to_string(&fleet.status).unwrap_or_default();
            eprintln!(
                "Fleet {} replicas={} {status}",
                fleet.name_any(),
                fleet.spec.replicas
            );
        }
        for event in self.api::<Event>().list(&all).await.into_iter().flatten() {
            eprintln!(
                "Event {}/{} {}: {}",
                event.involved_object.kind.unwrap_or_default(),
                event.involved_object.name.unwrap_or_default(),
                event.reason.unwrap_or_default(),
                event.message.unwrap_or_default(),
            );
        }
    }
}

/// The selector of the servers and sets of a fleet.
pub(crate) fn of_fleet(fleet: &str) -> String {
    format!("{}={fleet}", crds::meta::FLEET_LABEL)
}

/// Names of servers, in order.
pub(crate) fn names<'a>(servers: impl IntoIterator<Item = &'a GameServer>) -> Vec<String> {
    let mut names: Vec<_> = servers.into_iter().map(ResourceExt::name_any).collect();
    names.sort();
    names
}

/// Where players reach a server: one of its ports.
pub(crate) fn endpoint(server: &GameServer, port: usize) -> Result<SocketAddr> {
    let status = server.status.as_ref().context("the server has no status")?;
    let port = status
        .ports
        .get(port)
        .with_context(|| format!("no port {port}: {status:?}"))?;
    e2e::allocator::join(&status.address, port.port)
}

/// Sends a packet to a server's first port, and returns the answer.
pub(crate) async fn udp(server: &GameServer, message: &str) -> Result<String> {
    Ok(echo::udp(endpoint(server, 0)?, message).await?.0)
}

/// Sends a command to a server and expects it to be acknowledged.
pub(crate) async fn command(server: &GameServer, command: &str) -> Result<()> {
    let answer = udp(server, command).await?;
    ensure!(
        answer == format!("ACK: {command}"),
        "{} answered {answer:?}",
        server.name_any()
    );
    Ok(())
}
