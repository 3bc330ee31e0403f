//! What the API server asks the node about its pods: logs and usage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use futures::stream::BoxStream;
use hyper::body::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;

use super::life::{Life, Observed, State};
use super::logs;
use crate::kubelet::LogQuery;
use crate::status::Status;

/// A pod as the registry knows it.
#[derive(Debug)]
struct Entry {
    uid: String,
    /// Where the directories of its containers are.
    directory: PathBuf,
    life: Life,
    /// The containers in the order of the pod's specification, those of `containers` alone.
    names: Vec<String>,
    logs: BTreeMap<String, watch::Receiver<logs::Progress>>,
}

/// The pods of the node.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<BTreeMap<(String, String), Entry>>);

/// Which pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// Its identity.
    pub(super) uid: String,
}

impl Registry {
    fn with<T>(&self, change: impl FnOnce(&mut BTreeMap<(String, String), Entry>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in a pod, in place of an earlier one of the same name.
    pub(super) fn insert(&self, key: &Key, directory: PathBuf, names: Vec<String>, life: Life) {
        let entry = Entry {
            uid: key.uid.clone(),
            directory,
            life,
            names,
            logs: BTreeMap::new(),
        };
        self.with(|pods| pods.insert((key.namespace.clone(), key.name.clone()), entry));
    }

    /// Notes how a pod is.
    pub(super) fn update(&self, key: &Key, life: &Life) {
        self.with(|pods| {
            if let Some(entry) = find(pods, key) {
                entry.life = life.clone();
            }
        });
    }

    /// Notes where the log of a container's new run can be followed.
    pub(super) fn follow(
        &self,
        key: &Key,
        container: &str,
        progress: watch::Receiver<logs::Progress>,
    ) {
        self.with(|pods| {
            if let Some(entry) = find(pods, key) {
                entry.logs.insert(container.to_owned(), progress);
            }
        });
    }

    /// Forgets a pod.
    pub(super) fn remove(&self, key: &Key) {
        self.with(|pods| {
            if find(pods, key).is_some() {
                pods.remove(&(key.namespace.clone(), key.name.clone()));
            }
        });
    }

    /// Processes of the containers of a pod that run.
    pub(super) fn processes(&self, namespace: &str, pod: &str) -> Vec<(String, u32)> {
        self.with(|pods| {
            let key = (namespace.to_owned(), pod.to_owned());
            pods.get(&key).map(running).unwrap_or_default()
        })
    }

    /// Processes of all containers that run.
    pub(super) fn all_processes(&self) -> Vec<u32> {
        self.with(|pods| {
            let running = pods.values().flat_map(running);
            running.map(|(_, pid)| pid).collect()
        })
    }

    /// The log of a container.
    pub(super) fn logs(
        &self,
        now: Timestamp,
        namespace: &str,
        pod: &str,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Bytes>, Status> {
        self.with(|pods| {
            let Some(entry) = pods.get(&(namespace.to_owned(), pod.to_owned())) else {
                return Err(Status::not_found("", "pods", pod));
            };
            let container = match (&query.container, entry.names.as_slice()) {
                (Some(container), _) => container.as_str(),
                (None, [only]) => only,
                (None, names) => {
                    return Err(Status::bad_request(format!(
                        "a container name must be specified for pod {pod}, choose one of: [{}]",
                        names.join(" ")
                    )));
                }
            };
            let Some(seen) = entry.life.containers.get(container) else {
                return Err(Status::bad_request(format!(
                    "container {container} is not valid for pod {pod}"
                )));
            };
            let number = log_number(pod, container, seen, query.previous)?;
            let path = logs::path(&entry.directory.join(container), number);
            let current = !query.previous && seen.is_up();
            let progress = entry.logs.get(container).filter(|_| current).cloned();
            let stream = logs::stream(&path, query, now, progress);
            stream.map(StreamExt::boxed).map_err(|error| {
                Status::internal(format_args!(
                    "the log of container {container} cannot be read: {error}"
                ))
            })
        })
    }
}

fn find<'a>(pods: &'a mut BTreeMap<(String, String), Entry>, key: &Key) -> Option<&'a mut Entry> {
    pods.get_mut(&(key.namespace.clone(), key.name.clone()))
        .filter(|entry| entry.uid == key.uid)
}

fn running(entry: &Entry) -> Vec<(String, u32)> {
    let containers = entry.life.containers.iter();
    containers
        .filter_map(|(name, seen)| match &seen.state {
            State::Running(running) => Some((name.clone(), running.pid)),
            _ => None,
        })
        .collect()
}

/// Number of the run whose log is meant; else why there is none, in the kubelet's words.
fn log_number(pod: &str, container: &str, seen: &Observed, previous: bool) -> Result<i32, Status> {
    match &seen.state {
        State::Running(_) | State::Ended(_) if !previous => Ok(seen.restarts),
        State::Running(_) | State::Ended(_) if seen.last.is_some() => Ok(seen.restarts - 1),
        // Not started again yet: the last run is the one there is.
        State::Waiting { .. } | State::Starting { .. } if seen.last.is_some() => Ok(seen.restarts),
        _ if previous => Err(Status::bad_request(format!(
            "previous terminated container {container:?} in pod {pod:?} not found"
        ))),
        State::Waiting { reason, .. } | State::Starting { reason, .. } => {
            let reason = if reason.is_empty() {
                "ContainerCreating"
            } else {
                reason
            };
            Err(Status::bad_request(format!(
                "container {container:?} in pod {pod:?} is waiting to start: {reason}"
            )))
        }
        State::Running(_) | State::Ended(_) => Ok(seen.restarts),
    }
}

/// The directory of a pod's containers below the node's root.
pub(super) fn pod_directory(root: &Path, key: &Key) -> PathBuf {
    root.join("pods")
        .join(format!("{}_{}_{}", key.namespace, key.name, key.uid))
}
