//! The node as a whole: it registers itself, watches for its pods, and gives each a worker.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use hyper::body::Bytes;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::cache::Cache;
use super::env::Sources;
use super::events::{self, Recorder};
use super::ports::Pool;
use super::processes::Processes;
use super::register::{Identity, Readiness, keep_alive, register, write_status};
use super::registry::{Key, Registry, pod_directory};
use super::usage::Meter;
use super::volumes::{private_directory, remove};
use super::worker::{Wanted, Worker};
use super::{CALL_TIMEOUT, Config, Error};
use crate::kubelet::{Kubelet, LogQuery, Usage};
use crate::status::Status;

/// Time between two samples of usage.
const SAMPLE_PERIOD: Duration = Duration::from_secs(5);
/// How long the node tries to say that it ends: somebody waits for the end.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause before the node tries again to register.
const REGISTER_RETRY: Duration = Duration::from_secs(1);

/// What the parts of the node share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) processes: Arc<Processes>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) cache: Cache,
    pub(super) pool: Pool,
    pub(super) registry: Arc<Registry>,
    pub(super) allocatable: BTreeMap<String, Quantity>,
}

impl Shared {
    /// What references of a pod resolve to.
    pub(super) fn sources<'a>(&'a self, pod: &Pod) -> Of<'a> {
        Of {
            shared: self,
            namespace: pod.namespace().unwrap_or_default(),
        }
    }
}

/// What references in a namespace resolve to.
#[derive(Debug)]
pub(super) struct Of<'a> {
    shared: &'a Shared,
    namespace: String,
}

impl Sources for Of<'_> {
    fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>> {
        self.shared.cache.config_map(&self.namespace, name)
    }

    fn secret(&self, name: &str) -> Option<Arc<Secret>> {
        self.shared.cache.secret(&self.namespace, name)
    }

    fn address(&self) -> IpAddr {
        self.shared.config.address
    }

    fn allocatable(&self) -> &BTreeMap<String, Quantity> {
        &self.shared.allocatable
    }
}

/// A node that runs pods as processes of this host.
#[derive(Debug)]
pub struct Node {
    config: Config,
    registry: Arc<Registry>,
    meter: Arc<Meter>,
}

impl Node {
    /// A node that does not run yet.
    pub fn new(mut config: Config) -> Self {
        config.images.anchor();
        config.root = std::path::absolute(&config.root).unwrap_or(config.root);
        Self {
            config,
            registry: Arc::new(Registry::default()),
            meter: Arc::new(Meter::default()),
        }
    }

    /// What all pods of the node use together.
    pub fn total_usage(&self) -> Usage {
        let samples = self
            .registry
            .all_processes()
            .into_iter()
            .filter_map(|pid| self.meter.sample(pid));
        let (cpu, memory) = samples.fold((0, 0), |(cpu, memory), sample| {
            (cpu + sample.cpu_millicores, memory + sample.memory_bytes)
        });
        Usage {
            container: String::new(),
            cpu_millicores: cpu,
            memory_bytes: memory,
        }
    }

    /// Runs pods until it is told to stop. Then all processes end before it returns.
    ///
    /// An API server that does not answer is waited for. Dropping this future ends all
    /// processes, too, but less gently.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Error> {
        let config = &self.config;
        let _lock = lock(&config.root)?;
        let records = config.root.join("processes");
        // Later runs begin later.
        let first = u64::try_from((config.clock)().as_microsecond()).unwrap_or_default();
        let processes = Processes::begin(config.helper.clone(), records, first)
            .await
            .map_err(Error::Processes)?;
        let (recorder, notes) = Recorder::new();
        let shared = Arc::new(Shared {
            config: config.clone(),
            processes: Arc::new(processes),
            recorder: Arc::new(recorder),
            cache: Cache::new(),
            pool: Pool::new(config.ports.clone(), std::process::id()),
            registry: self.registry.clone(),
            allocatable: config.capacity.quantities(),
        });
        let identity = Identity {
            name: config.name.clone(),
            address: config.address,
            capacity: config.capacity,
            labels: config.labels.clone(),
        };
        let mut tasks = JoinSet::new();
        let (client, clock) = (config.client.clone(), config.clock.clone());
        tasks.spawn(events::run(
            client.clone(),
            config.name.clone(),
            clock.clone(),
            notes,
        ));
        let caching = shared.clone();
        let cache_client = client.clone();
        tasks.spawn(async move { caching.cache.run(cache_client).await });
        tasks.spawn(sample(self.registry.clone(), self.meter.clone()));

        let registering = async {
            loop {
                match tokio::time::timeout(CALL_TIMEOUT, register(&client, &identity, &clock)).await
                {
                    Ok(Ok(node)) => return node,
                    Ok(Err(error)) => tracing::debug!(%error, "Node was not registered"),
                    Err(_) => tracing::debug!("Node was not registered in time"),
                }
                tokio::time::sleep(REGISTER_RETRY).await;
            }
        };
        let node = tokio::select! {
            node = registering => node,
            () = stop.cancelled() => return Ok(()),
        };
        tracing::info!(node = config.name, address = %config.address, "Node is ready");
        let beats = keep_alive(
            client.clone(),
            vec![(identity.clone(), node)],
            clock.clone(),
        );
        tasks.spawn(beats);

        let mut workers = Workers {
            shared,
            pods: BTreeMap::new(),
            tasks: JoinSet::new(),
        };
        tokio::select! {
            () = workers.follow() => {}
            () = stop.cancelled() => {}
        }
        let farewell = write_status(&client, &identity, Readiness::Ending, &clock);
        let farewell = tokio::time::timeout(FAREWELL_TIMEOUT, farewell);
        let (farewell, ()) = tokio::join!(farewell, workers.quit());
        workers.shared.processes.finish().await;
        if !matches!(farewell, Ok(Ok(_))) {
            tracing::debug!("Node could not say that it ends");
        }
        Ok(())
    }
}

impl Kubelet for Node {
    fn logs(
        &self,
        namespace: &str,
        pod: &str,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Bytes>, Status> {
        self.registry
            .logs((self.config.clock)(), namespace, pod, query)
    }

    fn usage(&self, namespace: &str, pod: &str) -> Vec<Usage> {
        self.registry
            .processes(namespace, pod)
            .into_iter()
            .filter_map(|(container, pid)| {
                let sample = self.meter.sample(pid)?;
                Some(Usage {
                    container,
                    cpu_millicores: sample.cpu_millicores,
                    memory_bytes: sample.memory_bytes,
                })
            })
            .collect()
    }
}

/// Makes sure that no other node uses the directory.
fn lock(root: &Path) -> Result<File, Error> {
    let failed = |error: io::Error| Error::Root {
        path: root.to_owned(),
        error,
    };
    private_directory(root).map_err(failed)?;
    let file = File::create(root.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked {
            path: root.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Samples usage while anything runs; never ends.
async fn sample(registry: Arc<Registry>, meter: Arc<Meter>) {
    let mut ticks = tokio::time::interval(SAMPLE_PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (registry, meter) = (registry.clone(), meter.clone());
        let look = tokio::task::spawn_blocking(move || meter.look(&registry.all_processes()));
        if let Err(error) = look.await {
            tracing::warn!(%error, "Usage could not be sampled");
        }
    }
}

/// The workers of the node's pods.
struct Workers {
    shared: Arc<Shared>,
    /// By uid.
    pods: BTreeMap<String, watch::Sender<Wanted>>,
    tasks: JoinSet<()>,
}

impl Workers {
    /// Follows the node's pods; never ends by itself.
    async fn follow(&mut self) {
        let config = &self.shared.config;
        let api: Api<Pod> = Api::all(config.client.clone());
        let mine = format!("spec.nodeName={}", config.name);
        let events = kube::runtime::watcher(api, watcher::Config::default().fields(&mine));
        let mut events = events.default_backoff().boxed();
        let mut listed: BTreeMap<String, Pod> = BTreeMap::new();
        let mut is_first = true;
        loop {
            tokio::select! {
                event = events.next() => match event {
                    None => return,
                    Some(Ok(Event::Init)) => listed.clear(),
                    Some(Ok(Event::InitApply(pod))) => {
                        listed.insert(pod.uid().unwrap_or_default(), pod);
                    }
                    Some(Ok(Event::InitDone)) => {
                        self.relist(std::mem::take(&mut listed));
                        if std::mem::take(&mut is_first) {
                            self.clean();
                        }
                    }
                    Some(Ok(Event::Apply(pod))) => self.apply(pod),
                    Some(Ok(Event::Delete(pod))) => self.gone(&pod.uid().unwrap_or_default()),
                    Some(Err(error)) => {
                        tracing::debug!(%error, "Watch of pods was interrupted");
                    }
                },
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "Worker of a pod failed");
                    }
                    self.pods.retain(|_, worker| !worker.is_closed());
                }
            }
        }
    }

    fn relist(&mut self, pods: BTreeMap<String, Pod>) {
        let absent: Vec<_> = self
            .pods
            .keys()
            .filter(|uid| !pods.contains_key(*uid))
            .cloned()
            .collect();
        for uid in absent {
            self.gone(&uid);
        }
        for pod in pods.into_values() {
            self.apply(pod);
        }
    }

    fn apply(&mut self, pod: Pod) {
        let pod = Arc::new(pod);
        let uid = pod.uid().unwrap_or_default();
        if let Some(worker) = self.pods.get(&uid) {
            worker.send_modify(|wanted| wanted.pod = pod);
            return;
        }
        let key = Key {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            uid: uid.clone(),
        };
        let (sender, wanted) = watch::channel(Wanted {
            pod: pod.clone(),
            gone: false,
            quit: false,
        });
        let worker = Worker::new(self.shared.clone(), key, pod);
        self.tasks.spawn(worker.run(wanted));
        self.pods.insert(uid, sender);
    }

    fn gone(&mut self, uid: &str) {
        if let Some(worker) = self.pods.get(uid) {
            worker.send_modify(|wanted| wanted.gone = true);
        }
    }

    /// Removes the directories of pods that an earlier run had and that are gone since.
    fn clean(&self) {
        let root = &self.shared.config.root;
        let known: Vec<_> = self
            .pods
            .iter()
            .map(|(uid, worker)| {
                let pod = &worker.borrow().pod;
                let key = Key {
                    namespace: pod.namespace().unwrap_or_default(),
                    name: pod.name_any(),
                    uid: uid.clone(),
                };
                (pod_directory(root, &key), root.join("volumes").join(uid))
            })
            .collect();
        for folder in ["pods", "volumes"] {
            for entry in fs::read_dir(root.join(folder)).into_iter().flatten() {
                let Ok(entry) = entry else { continue };
                let path = entry.path();
                if !known
                    .iter()
                    .any(|(pod, volumes)| path == *pod || path == *volumes)
                    && let Err(error) = remove(&path)
                {
                    tracing::warn!(path = %path.display(), %error, "Directory was not removed");
                }
            }
        }
    }

    /// Ends all processes.
    async fn quit(&mut self) {
        for worker in self.pods.values() {
            worker.send_modify(|wanted| wanted.quit = true);
        }
        while self.tasks.join_next().await.is_some() {}
    }
}
