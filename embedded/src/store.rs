//! Every object at every version that is still kept: the part of the API server that etcd plays
//! for a real one.
//!
//! One counter numbers all writes. Each object keeps its versions back to the point of compaction,
//! so that pages of one list agree with each other, and each resource keeps its changes, so that
//! a watch resumes where it ended. Readers never wait for a writer that is still deciding: a writer
//! holds [`Writing`] while it reads, checks and writes, and the state itself only for moments.
//!
//! What the disk does not yet hold is not shown to watches, and answers wait for it
//! ([`Store::settled`]).

mod disk;
mod state;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use self::disk::Disk;
pub use self::disk::Error;
use self::state::State;
pub use self::state::{Event, Expired, Listed, Query};
use crate::object::Object;

/// Where versions begin. Clients that ask for what was at version 1 learn that it is forgotten, as
/// they do of a cluster that has been used.
const FIRST: u64 = 100;

/// How long and how much history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Seconds that a change is kept.
    pub seconds: i64,
    /// Changes that are kept at most.
    pub events: usize,
    /// Size of the JSON of superseded versions that is kept at most.
    pub bytes: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            seconds: 300,
            events: 100_000,
            bytes: 96 * 1024 * 1024,
        }
    }
}

/// All objects. Cheap to clone; every clone is the same store.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
    /// Not in what is shared with the thread that writes: whoever drops the last store waits for
    /// that thread, after which the file is free.
    disk: Option<Arc<Disk>>,
}

#[derive(Debug)]
struct Shared {
    state: RwLock<State>,
    writing: Mutex<()>,
    /// The newest revision that is safe, or why none will be any more.
    settled: watch::Sender<Settled>,
    retention: Retention,
}

/// How far writes are safe.
#[derive(Clone, Debug)]
struct Settled {
    revision: u64,
    failure: Option<Arc<str>>,
}

impl Store {
    /// A store that forgets everything when it is dropped.
    pub fn in_memory(retention: Retention) -> Self {
        Self::with(State::new(FIRST), retention, None)
    }

    /// A store in memory that begins with the objects of this one.
    #[must_use]
    pub fn copy(&self, retention: Retention) -> Self {
        let state = self
            .shared
            .state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .newest();
        Self::with(state, retention, None)
    }

    /// The store in a directory, which is made if it is missing.
    pub fn open(directory: &Path, retention: Retention) -> Result<Self, Error> {
        let (disk, contents) = Disk::open(directory)?;
        let mut state = State::new(contents.revision.max(FIRST));
        for (resource, key, object) in contents.objects {
            state.restore(&resource, key, object);
        }
        let store = Self::with(state, retention, Some(Arc::new(disk)));
        if let Some(disk) = &store.disk {
            let shared = Arc::downgrade(&store.shared);
            disk.start(move |outcome| {
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                match outcome {
                    Ok(batch) => shared.settle(batch.revision, &batch.resources),
                    Err(failure) => shared.settled.send_modify(|settled| {
                        settled.failure = Some(Arc::from(failure.as_str()));
                    }),
                }
            })?;
        }
        Ok(store)
    }

    fn with(state: State, retention: Retention, disk: Option<Arc<Disk>>) -> Self {
        let (settled, _) = watch::channel(Settled {
            revision: state.revision(),
            failure: None,
        });
        Self {
            shared: Arc::new(Shared {
                state: RwLock::new(state),
                writing: Mutex::new(()),
                settled,
                retention,
            }),
            disk,
        }
    }

    /// Begins a write: nobody else writes until it is dropped.
    pub fn begin(&self, now: Timestamp) -> Writing<'_> {
        let guard = self
            .shared
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.shared.forget(now);
        Writing {
            shared: &self.shared,
            disk: self.disk.as_deref(),
            now,
            _guard: guard,
        }
    }

    /// The version of the newest write.
    pub fn revision(&self) -> u64 {
        self.shared.read().revision()
    }

    /// The newest version that is on disk, if there is a disk.
    pub fn settled_revision(&self) -> u64 {
        self.shared.settled.borrow().revision
    }

    /// Waits until a version is safe; fails with the reason if the disk failed.
    pub async fn settled(&self, revision: u64) -> Result<(), Arc<str>> {
        if self.disk.is_none() {
            return Ok(());
        }
        let mut settled = self.shared.settled.subscribe();
        let outcome = settled
            .wait_for(|settled| settled.revision >= revision || settled.failure.is_some())
            .await;
        match outcome {
            Ok(settled) if settled.revision >= revision => Ok(()),
            Ok(settled) => Err(settled.failure.clone().unwrap_or_else(|| Arc::from(""))),
            Err(_) => Err(Arc::from("the store is closed")),
        }
    }

    /// Why nothing can be written any more, if that is so.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.shared.settled.borrow().failure.clone()
    }

    /// One object as it is now. `key` is `namespace/name`, or `name` for kinds without namespaces.
    pub fn get(&self, resource: &str, key: &str) -> Option<Arc<Object>> {
        self.shared.read().get(resource, key)
    }

    /// Objects of a resource in the order of their keys.
    pub fn list(&self, query: &Query<'_>) -> Result<Listed, Expired> {
        self.shared.read().list(query)
    }

    /// Up to `limit` changes after `revision` that are safe, oldest first, and the version up to
    /// which the answer is complete.
    pub fn events(
        &self,
        resource: &str,
        revision: u64,
        limit: usize,
    ) -> Result<(Vec<Arc<Event>>, u64), Expired> {
        let settled = self.settled_revision();
        self.shared
            .read()
            .events(resource, revision, settled, limit)
    }

    /// Tells of changes of a resource: the value is the version of the newest safe one.
    pub fn signal(&self, resource: &str) -> watch::Receiver<u64> {
        self.shared.write().signal(resource)
    }

    /// Changes the form of objects as they are now without a write: `form` gives the new form of an
    /// object, if it is another. History stays as it was.
    pub fn refresh(&self, resource: &str, form: &dyn Fn(&Object) -> Option<Value>) {
        self.shared.write().refresh(resource, form);
    }

    /// Forgets all history through a version.
    pub fn compact(&self, revision: u64) {
        self.shared.write().compact(revision);
    }

    /// The version through which history is forgotten.
    pub fn compacted(&self) -> u64 {
        self.shared.read().compacted()
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is too old or too much.
    fn forget(&self, now: Timestamp) {
        let until = self.read().forgettable(now, self.retention);
        if let Some(revision) = until {
            self.write().compact(revision);
        }
    }

    fn settle(&self, revision: u64, resources: &[Arc<str>]) {
        self.settled
            .send_modify(|settled| settled.revision = settled.revision.max(revision));
        let state = self.read();
        for resource in resources {
            state.announce(resource, revision);
        }
    }
}

/// The right to write. Dropping it lets the next writer in.
#[derive(Debug)]
pub struct Writing<'a> {
    shared: &'a Shared,
    disk: Option<&'a Disk>,
    now: Timestamp,
    _guard: MutexGuard<'a, ()>,
}

impl Writing<'_> {
    /// One object as it is now.
    pub fn get(&self, resource: &str, key: &str) -> Option<Arc<Object>> {
        self.shared.read().get(resource, key)
    }

    /// Writes an object, whose version is set here.
    pub fn put(&mut self, resource: &Arc<str>, key: &str, mut value: Value) -> Arc<Event> {
        let mut state = self.shared.write();
        let revision = state.next_revision();
        set_version(&mut value, revision);
        let object = Arc::new(Object::new(value, revision));
        let event = state.record(resource, key, Some(object), None, self.now);
        drop(state);
        self.persist(resource, &event);
        event
    }

    /// Removes an object; none if it is not there.
    pub fn remove(&mut self, resource: &Arc<str>, key: &str) -> Option<Arc<Event>> {
        let mut state = self.shared.write();
        let before = state.get(resource, key)?;
        let revision = state.next_revision();
        // Watches tell of a deletion with the version of the deletion.
        let mut value = before.value().clone();
        set_version(&mut value, revision);
        let last = Arc::new(Object::new(value, revision));
        let event = state.record(resource, key, None, Some(last), self.now);
        drop(state);
        self.persist(resource, &event);
        Some(event)
    }

    fn persist(&self, resource: &Arc<str>, event: &Arc<Event>) {
        match self.disk {
            Some(disk) => disk.write(Arc::clone(resource), Arc::clone(event)),
            None => self
                .shared
                .settle(event.revision, std::slice::from_ref(resource)),
        }
    }
}

fn set_version(value: &mut Value, revision: u64) {
    if let Some(object) = value.as_object_mut() {
        let metadata = object.entry("metadata").or_insert_with(|| json!({}));
        metadata["resourceVersion"] = revision.to_string().into();
    }
}
