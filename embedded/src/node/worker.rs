//! One task per pod: it does what [`next`] says, records what happens, and writes the status.
//!
//! It is the only writer of its pod's status. Changes that come close together become one
//! write, and there is never more than one on its way.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::container::Run;
use super::env::{Place, expand, invocation};
use super::life::{End, Event, Life, Prepared, State};
use super::logs::Log;
use super::pod::{Action, after, next};
use super::ports::{Ports, containers, wanted};
use super::probe::Target;
use super::registry::{Key, pod_directory};
use super::rewrite::{Mounts, paths};
use super::run::Shared;
use super::status::status;
use super::storage::Storage;
use super::volumes::{mounts, private_directory, remove};
use super::{CALL_TIMEOUT, PREPARE_RETRY, START_RETRY};

/// Changes within this time become one write.
const GATHER: Duration = Duration::from_millis(20);
/// Pause before a write that failed is tried again.
const WRITE_RETRY: Duration = Duration::from_secs(1);
/// What processes of a pod whose object is already gone get to end.
const GONE_GRACE: SignedDuration = SignedDuration::from_secs(1);

/// What the node wants of a worker.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The pod as it is now.
    pub(super) pod: Arc<Pod>,
    /// Whether its object is gone.
    pub(super) gone: bool,
    /// Whether the node ends.
    pub(super) quit: bool,
}

type Refreshed = (Box<Storage>, Result<Option<Timestamp>, String>);
type Written = Result<PodStatus, kube::Error>;

/// The worker of a pod.
pub(super) struct Worker {
    shared: Arc<Shared>,
    key: Key,
    pod: Arc<Pod>,
    life: Life,
    directory: PathBuf,
    ports: Option<Ports>,
    /// None while it is being refreshed.
    storage: Option<Box<Storage>>,
    refresh: Option<BoxFuture<'static, Refreshed>>,
    /// Whether a volume may have to change.
    stale: bool,
    refresh_at: Option<Timestamp>,
    stops: BTreeMap<String, watch::Sender<Option<Timestamp>>>,
    runs: JoinSet<()>,
    events: (mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<Event>),
    /// The status that the API server has, as far as it is ours.
    written: PodStatus,
    write: Option<BoxFuture<'static, Written>>,
    write_at: Option<Instant>,
    delete: Option<BoxFuture<'static, Result<(), kube::Error>>>,
    /// Whether the deletion was carried out.
    deleted: bool,
    fate: Fate,
}

/// Why a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It does not.
    Living,
    /// The pod's object is gone.
    Gone,
    /// The node ends.
    Quit,
}

/// Why a container cannot be started: reason and sentence.
struct Refusal(&'static str, String);

impl Worker {
    /// The worker of a pod that the node sees now.
    pub(super) fn new(shared: Arc<Shared>, key: Key, pod: Arc<Pod>) -> Self {
        let life = Life::begin((shared.config.clock)(), &pod);
        let root = &shared.config.root;
        let directory = pod_directory(root, &key);
        let names = pod
            .spec
            .iter()
            .flat_map(|spec| &spec.containers)
            .map(|container| container.name.clone())
            .collect();
        shared
            .registry
            .insert(&key, directory.clone(), names, life.clone());
        Self {
            storage: Some(Box::new(Storage::new(root.join("volumes").join(&key.uid)))),
            written: pod.status.clone().unwrap_or_default(),
            life,
            directory,
            ports: None,
            refresh: None,
            stale: false,
            refresh_at: None,
            stops: BTreeMap::new(),
            runs: JoinSet::new(),
            events: mpsc::unbounded_channel(),
            write: None,
            write_at: None,
            delete: None,
            deleted: false,
            fate: Fate::Living,
            shared,
            key,
            pod,
        }
    }

    fn now(&self) -> Timestamp {
        (self.shared.config.clock)()
    }

    /// Works until the pod is gone, or the node ends and nothing of the pod runs any more.
    pub(super) async fn run(mut self, mut wanted: watch::Receiver<Wanted>) {
        let mut cache = self.shared.cache.changes();
        loop {
            let wake = self.advance();
            self.shared.registry.update(&self.key, &self.life);
            if self.fate != Fate::Living && !self.life.is_up() {
                break;
            }
            self.plan_writes();
            let now = self.now();
            let wake = [wake, self.refresh_at].into_iter().flatten().min();
            let wake = wake.map(|wake| {
                let left = Duration::try_from(wake.duration_since(now));
                Instant::now() + left.unwrap_or(Duration::ZERO)
            });
            tokio::select! {
                changed = wanted.changed() => match changed {
                    Ok(()) => {
                        let wanted = wanted.borrow_and_update().clone();
                        self.take(wanted);
                    }
                    Err(_) => self.end_by(Fate::Quit, after(now, GONE_GRACE)),
                },
                Some(event) = self.events.1.recv() => self.happened(event),
                _ = cache.changed(), if self.depends_on_others() => self.look_again(now),
                refreshed = ready(&mut self.refresh) => {
                    self.refresh = None;
                    self.refreshed(refreshed);
                }
                written = ready(&mut self.write) => {
                    self.write = None;
                    self.wrote(written);
                }
                deleted = ready(&mut self.delete) => {
                    self.delete = None;
                    self.did_delete(deleted);
                }
                () = sleep_until(self.write_at), if self.write.is_none() => self.begin_write(),
                () = sleep_until(wake) => {}
            }
        }
        // The processes have ended; what is left are their logs' last lines.
        while self.runs.join_next().await.is_some() {}
        if let Some(ports) = &self.ports {
            self.shared.pool.release(ports);
        }
        if self.fate == Fate::Gone {
            self.shared.registry.remove(&self.key);
            let volumes = self.shared.config.root.join("volumes").join(&self.key.uid);
            for path in [&self.directory, &volumes] {
                if let Err(error) = remove(path) {
                    tracing::warn!(path = %path.display(), %error, "Directory was not removed");
                }
            }
        }
    }

    /// Does all that is due. Gives the time at which something is due next.
    fn advance(&mut self) -> Option<Timestamp> {
        loop {
            let now = self.now();
            let plan = next(now, &self.pod, &self.life);
            let mut acted = false;
            for action in plan.actions {
                if action != Action::Delete {
                    acted = true;
                    self.act(now, &action);
                }
            }
            if !acted {
                break plan.wake;
            }
        }
    }

    fn act(&mut self, now: Timestamp, action: &Action) {
        self.life.begun(&self.pod, action);
        match action {
            Action::Prepare => self.begin_refresh(),
            Action::Start { container, number } => {
                if let Err(Refusal(reason, message)) = self.start(container, *number) {
                    self.happened(Event::NotStarted {
                        container: container.clone(),
                        reason: reason.to_owned(),
                        message,
                        retry_at: after(now, START_RETRY),
                    });
                }
            }
            Action::BackOff { container, .. } => {
                let Key {
                    namespace,
                    name,
                    uid,
                } = &self.key;
                let message = format!(
                    "Back-off restarting failed container {container} in pod \
                     {name}_{namespace}({uid})"
                );
                let recorder = &self.shared.recorder;
                recorder.warning(&self.pod, Some(container), "BackOff", message);
            }
            Action::Stop {
                container,
                kill_at,
                why,
            } => {
                if let Some(stop) = self.stops.get(container) {
                    let again = stop.borrow().is_some();
                    stop.send_replace(Some(*kill_at));
                    if !again {
                        let message = if why.is_empty() {
                            format!("Stopping container {container}")
                        } else {
                            format!("Container {container} {why}, will be restarted")
                        };
                        let recorder = &self.shared.recorder;
                        recorder.normal(&self.pod, Some(container), "Killing", message);
                    }
                }
            }
            Action::End(end) => {
                if let Some((reason, message)) = &end.failure
                    && reason == "DeadlineExceeded"
                {
                    let recorder = &self.shared.recorder;
                    recorder.normal(&self.pod, None, "DeadlineExceeded", message.clone());
                }
            }
            Action::Delete => {}
        }
    }

    fn happened(&mut self, event: Event) {
        if let Event::NotStarted {
            container,
            reason,
            message,
            ..
        } = &event
        {
            let seen = self.life.containers.get(container);
            let known = seen.is_some_and(|seen| {
                matches!(&seen.state, State::Starting { message: old, .. } if old == message)
            });
            if !known {
                tracing::warn!(
                    namespace = self.key.namespace,
                    pod = self.key.name,
                    container,
                    reason,
                    "{message}"
                );
                let reason = match reason.as_str() {
                    "ErrImageNeverPull" => "ErrImageNeverPull",
                    _ => "Failed",
                };
                let recorder = &self.shared.recorder;
                recorder.warning(&self.pod, Some(container), reason, message.clone());
            }
        }
        if let Event::Ended { container, .. } = &event {
            self.stops.remove(container);
        }
        let pod = self.pod.clone();
        self.life.happened(&pod, event);
    }

    /// Starts a container; else says why that cannot be.
    fn start(&mut self, name: &str, number: i32) -> Result<(), Refusal> {
        let spec = self.pod.spec.as_ref();
        let container = spec
            .into_iter()
            .flat_map(containers)
            .find(|container| container.name == name);
        let (Some(container), Some(ports)) = (container, &self.ports) else {
            return Err(Refusal("ContainerCreating", String::new()));
        };
        let image = container.image.as_deref().unwrap_or_default();
        let program = self
            .shared
            .config
            .images
            .resolve(image)
            .map_err(|message| Refusal("ErrImageNeverPull", message))?;
        let sources = self.shared.sources(&self.pod);
        let base = &self.shared.config.environment;
        let invoke = |mounts: &Mounts| {
            let place = Place { ports, mounts };
            invocation(&self.pod, container, program, place, (base, &sources))
                .map_err(|message| Refusal("CreateContainerConfigError", message))
        };
        // subPathExpr may refer to variables, so they are looked up first.
        let place = |volume: &str| self.storage.as_ref().map(|storage| storage.place(volume));
        let plain = mounts(container, place, str::to_owned);
        let invocation = invoke(&plain)?;
        let mounts = mounts(container, place, |text| expand(text, &invocation.env));
        let invocation = if mounts == plain {
            invocation
        } else {
            invoke(&mounts)?
        };

        let own = self.directory.join(name);
        let failed = |error: std::io::Error| Refusal("CreateContainerError", error.to_string());
        private_directory(&own).map_err(failed)?;
        let path = super::logs::path(&own, number);
        let log = Log::create(path, self.shared.config.clock.clone()).map_err(failed)?;
        let key = &self.key;
        self.shared.registry.follow(key, name, log.subscribe());
        // Of the logs of a container, those of the last two runs are kept.
        for old in (0..number - 1).rev().take(2) {
            let path = super::logs::path(&own, old);
            drop(remove(&path));
            drop(remove(&path.with_extension("log.1")));
        }
        let target = Target {
            container: container.clone(),
            address: self.shared.config.address,
            ports: ports.clone(),
            directory: working_directory(container, &mounts, &program.path),
            mounts,
            env: invocation.env,
            processes: self.shared.processes.clone(),
        };
        let run = Run {
            pod: self.pod.clone(),
            number,
            program: program.path.clone(),
            args: invocation.args,
            target: Arc::new(target),
            log: Arc::new(log),
            clock: self.shared.config.clock.clone(),
            recorder: self.shared.recorder.clone(),
            events: self.events.0.clone(),
        };
        let (stop, stopped) = watch::channel(None);
        self.stops.insert(name.to_owned(), stop);
        self.runs.spawn(run.run(stopped));
        Ok(())
    }

    /// Takes over what the node wants.
    fn take(&mut self, wanted: Wanted) {
        let now = self.now();
        let old = std::mem::replace(&mut self.pod, wanted.pod);
        if old.metadata.labels != self.pod.metadata.labels
            || old.metadata.annotations != self.pod.metadata.annotations
        {
            self.look_again(now);
        }
        if wanted.gone && self.fate != Fate::Gone {
            self.end_by(Fate::Gone, after(now, GONE_GRACE));
        }
        if wanted.quit && self.fate == Fate::Living {
            let seconds = self
                .pod
                .spec
                .as_ref()
                .and_then(|spec| spec.termination_grace_period_seconds)
                .unwrap_or(i64::MAX);
            let grace = SignedDuration::from_secs(seconds).min(super::QUIT_GRACE);
            self.end_by(Fate::Quit, after(now, grace));
        }
    }

    fn end_by(&mut self, fate: Fate, kill_at: Timestamp) {
        self.fate = fate;
        let end = self.life.end.take();
        self.life.end = Some(End {
            kill_at: end.as_ref().map_or(kill_at, |end| end.kill_at.min(kill_at)),
            failure: end.and_then(|end| end.failure),
            deleted: false,
        });
    }

    /// Whether the pod may have to change when ConfigMaps or Secrets do.
    fn depends_on_others(&self) -> bool {
        self.life.end.is_none()
    }

    /// What the pod refers to may have changed.
    fn look_again(&mut self, now: Timestamp) {
        match &mut self.life.prepared {
            Prepared::Retry { at } => *at = now,
            Prepared::Yes => self.begin_refresh(),
            Prepared::Asked => self.stale = true,
            Prepared::No => {}
        }
        for seen in self.life.containers.values_mut() {
            if let State::Waiting { reason, until, .. } = &mut seen.state
                && reason == "CreateContainerConfigError"
            {
                *until = Some(now);
            }
        }
    }

    fn begin_refresh(&mut self) {
        if self.ports.is_none() {
            let wanted = self.pod.spec.as_ref().map(wanted).unwrap_or_default();
            self.ports = self.shared.pool.assign(&wanted);
        }
        self.refresh_at = None;
        let Some(mut storage) = self.storage.take() else {
            self.stale = true;
            return;
        };
        self.stale = false;
        let (shared, pod) = (self.shared.clone(), self.pod.clone());
        let has_ports = self.ports.is_some();
        let refresh = async move {
            let result = if has_ports {
                storage.refresh(&shared, &pod).await
            } else {
                Err("no free port of the host is left".to_owned())
            };
            (storage, result)
        };
        self.refresh = Some(refresh.boxed());
    }

    fn refreshed(&mut self, (storage, result): Refreshed) {
        self.storage = Some(storage);
        let now = self.now();
        let pod = self.pod.clone();
        match result {
            Ok(renew_at) => {
                self.refresh_at = renew_at;
                self.life.happened(&pod, Event::Prepared);
            }
            Err(message) => {
                let retry_at = after(now, PREPARE_RETRY);
                self.shared
                    .recorder
                    .warning(&pod, None, "FailedMount", message);
                if self.life.prepared == Prepared::Asked {
                    self.life.happened(&pod, Event::Unprepared { retry_at });
                } else {
                    self.refresh_at = Some(retry_at);
                }
            }
        }
        if self.stale {
            self.look_again(now);
        }
    }

    /// Begins the writes that are due: the status first, and the deletion once it is written.
    fn plan_writes(&mut self) {
        if self.fate != Fate::Living || self.deleted {
            self.write_at = None;
            return;
        }
        let due = self.refresh_at.is_some_and(|at| at <= self.now());
        if due && self.refresh.is_none() && self.life.end.is_none() {
            self.begin_refresh();
        }
        if self.write.is_some() || self.write_at.is_some() {
            return;
        }
        if self.status() != self.written {
            self.write_at = Some(Instant::now() + GATHER);
        } else if self.delete.is_none()
            && self.life.end.as_ref().is_some_and(|end| end.deleted)
            && !self.life.is_up()
        {
            let api: Api<Pod> =
                Api::namespaced(self.shared.config.client.clone(), &self.key.namespace);
            let (name, uid) = (self.key.name.clone(), self.key.uid.clone());
            let delete = async move {
                let how = DeleteParams {
                    grace_period_seconds: Some(0),
                    preconditions: Some(Preconditions {
                        uid: Some(uid),
                        resource_version: None,
                    }),
                    ..DeleteParams::default()
                };
                api.delete(&name, &how).await.map(drop)
            };
            self.delete = Some(delete.boxed());
        }
    }

    /// The status that the pod should have.
    fn status(&self) -> PodStatus {
        let mut base = self.written.clone();
        // Others write conditions, too.
        let theirs = self.pod.status.as_ref();
        let theirs = theirs.and_then(|status| status.conditions.as_deref());
        let conditions = base.conditions.get_or_insert_default();
        for condition in theirs.unwrap_or_default() {
            match conditions
                .iter_mut()
                .find(|own| own.type_ == condition.type_)
            {
                Some(own) if super::status::is_own(&own.type_) => {}
                Some(own) => *own = condition.clone(),
                None => conditions.push(condition.clone()),
            }
        }
        let about = (self.shared.config.address, &self.shared.config.images);
        status(self.now(), &self.pod, &base, &self.life, about)
    }

    fn begin_write(&mut self) {
        self.write_at = None;
        let status = self.status();
        if status == self.written {
            return;
        }
        let api: Api<Pod> = Api::namespaced(self.shared.config.client.clone(), &self.key.namespace);
        let (name, uid) = (self.key.name.clone(), self.key.uid.clone());
        let write = async move {
            let patch = json!({ "metadata": { "uid": uid }, "status": status });
            let patch = Patch::Merge(&patch);
            let parameters = PatchParams::default();
            let call = api.patch_status(&name, &parameters, &patch);
            match tokio::time::timeout(CALL_TIMEOUT, call).await {
                Ok(result) => result.map(|_| status),
                Err(_) => Err(kube::Error::Service(Box::new(std::io::Error::from(
                    std::io::ErrorKind::TimedOut,
                )))),
            }
        };
        self.write = Some(write.boxed());
    }

    fn wrote(&mut self, written: Written) {
        match written {
            Ok(status) => self.written = status,
            Err(error) => {
                tracing::debug!(
                    namespace = self.key.namespace, pod = self.key.name, %error,
                    "Status of the pod was not written"
                );
                self.write_at = Some(Instant::now() + WRITE_RETRY);
            }
        }
    }

    fn did_delete(&mut self, deleted: Result<(), kube::Error>) {
        match deleted {
            Ok(()) => self.deleted = true,
            Err(kube::Error::Api(error)) if error.is_not_found() || error.is_conflict() => {
                self.deleted = true;
            }
            Err(error) => {
                tracing::debug!(
                    namespace = self.key.namespace, pod = self.key.name, %error,
                    "Pod was not deleted"
                );
                self.write_at = Some(Instant::now() + WRITE_RETRY);
            }
        }
    }
}

/// Where a container starts: in the directory that it names, if that is one of its volumes or a
/// directory of the host; else where its program lies, as images have it.
fn working_directory(container: &Container, mounts: &Mounts, program: &Path) -> PathBuf {
    let wanted = container
        .working_dir
        .as_deref()
        .filter(|dir| !dir.is_empty());
    let wanted = wanted.map(|directory| PathBuf::from(paths(directory, mounts)));
    wanted
        .filter(|directory| directory.is_dir())
        .or_else(|| program.parent().map(Path::to_owned))
        .unwrap_or_else(|| PathBuf::from("/"))
}

/// The result of a future that may not be there; then it never comes.
async fn ready<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}
