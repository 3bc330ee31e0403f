//! Allocations by request id, as the objects of their servers have them: what `Get` and `Watch`
//! answer from, and where a request id is looked up first.
//!
//! Everything here comes from the watch of game servers, so it may be behind by some milliseconds.
//! Nothing that must not happen twice is decided by it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds::gameserver::{ConnectStatus, GameServerStatusPort};
use crds::matches::{Match, MatchEnd};
use crds::meta;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::broadcast;

use crate::index::{Key, Name};
use crate::object::{ServerStatus, Spec, Watched, Written};

/// Changes that a watcher may be behind, before it is told to begin again.
pub const BACKLOG: usize = 4096;

/// An allocation by request id.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocation {
    /// The server.
    pub server: Key,
    /// Its uid, from which its keys are derived.
    pub uid: String,
    /// The match that it is allocated for.
    pub of_match: Match,
    /// Whether the match goes on. It has ended when the game said so, and when its server was
    /// released, ended or failed.
    pub is_live: bool,
    /// When it was allocated.
    pub since: Option<Timestamp>,
    /// What the game reported at the end; empty before.
    pub result: String,
    /// Node of the server.
    pub node: String,
    /// Address by which players reach it.
    pub address: String,
    /// Ports by which players reach it.
    pub ports: Vec<GameServerStatusPort>,
    /// To where players connect with their tokens.
    pub game_address: Option<SocketAddr>,
    /// Which key connect tokens are sealed with; none if the server takes no tokens.
    pub connect: Option<ConnectStatus>,
}

impl Allocation {
    /// What a watched object says.
    pub fn watched(server: &Watched) -> Option<Self> {
        Self::of(&server.metadata, &server.spec, server.status.as_ref())
    }

    /// What an object says that was read or written.
    pub fn written(server: &Written) -> Option<Self> {
        Self::of(&server.metadata, &server.spec, server.status.as_ref())
    }

    /// None if the server was allocated without a request id, or not at all.
    fn of(metadata: &ObjectMeta, spec: &Spec, status: Option<&ServerStatus>) -> Option<Self> {
        let request_id = metadata.labels.as_ref()?.get(meta::REQUEST_LABEL)?.clone();
        let annotation = |key| metadata.annotations.as_ref()?.get(key);
        let of_match = annotation(meta::MATCH_ANNOTATION)
            .and_then(|json| serde_json::from_str::<Match>(json).ok())
            .filter(|of_match| of_match.request_id == request_id)
            // Somebody has changed it: the request id alone is what must hold.
            .unwrap_or_else(|| Match {
                request_id,
                ..Match::default()
            });
        let result = result_of(metadata, &of_match.match_id);
        let status = status.cloned().unwrap_or_default();
        Some(Self {
            server: Key::new(
                metadata.namespace.as_deref().unwrap_or_default(),
                metadata.name.as_deref().unwrap_or_default(),
            ),
            uid: metadata.uid.clone().unwrap_or_default(),
            is_live: status.state == "Allocated"
                && metadata.deletion_timestamp.is_none()
                && result.is_empty(),
            since: annotation(meta::LAST_ALLOCATED_ANNOTATION).and_then(|time| time.parse().ok()),
            result,
            game_address: status.game_address(spec),
            node: status.node_name,
            address: status.address,
            ports: status.ports,
            connect: status.connect,
            of_match,
        })
    }

    /// The same after its server was released or has gone.
    fn ended(&self, server: Option<&Watched>) -> Self {
        let mut ended = self.clone();
        ended.is_live = false;
        if let Some(server) = server
            && ended.result.is_empty()
        {
            ended.result = result_of(&server.metadata, &ended.of_match.match_id);
        }
        ended
    }
}

/// The reported end of this match; empty without one.
fn result_of(metadata: &ObjectMeta, match_id: &str) -> String {
    let annotations = metadata.annotations.as_ref();
    annotations
        .and_then(|annotations| annotations.get(meta::MATCH_RESULT_ANNOTATION))
        .and_then(|json| serde_json::from_str::<MatchEnd>(json).ok())
        .filter(|end| end.match_id == match_id)
        .map(|end| end.result)
        .unwrap_or_default()
}

/// The allocations that are known, and their changes.
#[derive(Clone, Debug)]
pub struct Matches(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    known: Mutex<Known>,
    changes: broadcast::Sender<Arc<Allocation>>,
}

#[derive(Debug, Default)]
struct Known {
    by_server: BTreeMap<Key, Arc<Allocation>>,
    /// By namespace and request id.
    by_request: BTreeMap<(Name, String), Name>,
}

impl Default for Matches {
    fn default() -> Self {
        let (changes, _) = broadcast::channel(BACKLOG);
        Self(Arc::new(Inner {
            known: Mutex::default(),
            changes,
        }))
    }
}

impl Matches {
    /// Takes in a server that was watched.
    pub fn watched(&self, server: &Watched) {
        let next = Allocation::watched(server).map(Arc::new);
        self.replace(&server.key(), next, Some(server));
    }

    /// A server is gone. What was last seen of it tells whether its match had a result.
    pub fn removed(&self, server: &Watched) {
        self.replace(&server.key(), None, Some(server));
    }

    /// Every server of `namespace` (none: of all) that is not in `keep` is gone.
    pub fn retain(&self, namespace: Option<&str>, keep: &BTreeSet<Key>) {
        let gone: Vec<Key> = {
            let known = self.lock();
            let in_scope = |key: &&Key| namespace.is_none_or(|only| only == &*key.namespace);
            let keys = known.by_server.keys().filter(in_scope);
            keys.filter(|key| !keep.contains(key)).cloned().collect()
        };
        for key in gone {
            self.replace(&key, None, None);
        }
    }

    /// The allocation of a request id.
    pub fn find(&self, namespace: &str, request_id: &str) -> Option<Arc<Allocation>> {
        let known = self.lock();
        let request = (Name::from(namespace), request_id.to_owned());
        let name = known.by_request.get(&request)?.clone();
        let namespace = request.0;
        known.by_server.get(&Key { namespace, name }).cloned()
    }

    /// The allocations of a namespace, and every change after that, of all namespaces.
    pub fn subscribe(
        &self,
        namespace: &str,
    ) -> (Vec<Arc<Allocation>>, broadcast::Receiver<Arc<Allocation>>) {
        let known = self.lock();
        // Changes are told under the same lock: nothing falls between the two.
        let changes = self.0.changes.subscribe();
        let of_namespace = known
            .by_server
            .iter()
            .filter(|(key, _)| *key.namespace == *namespace)
            .map(|(_, allocation)| Arc::clone(allocation))
            .collect();
        (of_namespace, changes)
    }

    fn replace(&self, key: &Key, next: Option<Arc<Allocation>>, server: Option<&Watched>) {
        let mut known = self.lock();
        let old = known.by_server.remove(key);
        if let Some(old) = &old {
            let request = (key.namespace.clone(), old.of_match.request_id.clone());
            // Another server may carry the request since.
            if known.by_request.get(&request) == Some(&key.name) {
                known.by_request.remove(&request);
            }
            let same = |next: &Arc<Allocation>| {
                next.uid == old.uid && next.of_match.request_id == old.of_match.request_id
            };
            if old.is_live && !next.as_ref().is_some_and(same) {
                self.tell(Arc::new(old.ended(server)));
            }
        }
        let Some(next) = next else {
            return;
        };
        let request = (key.namespace.clone(), next.of_match.request_id.clone());
        known.by_request.insert(request, key.name.clone());
        if old.as_ref() != Some(&next) {
            self.tell(Arc::clone(&next));
        }
        known.by_server.insert(key.clone(), next);
    }

    fn tell(&self, change: Arc<Allocation>) {
        // Nobody may be watching.
        drop(self.0.changes.send(change));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
