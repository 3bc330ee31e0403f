//! The store on disk: one redb file, written by one thread in batches.
//!
//! All writes that arrive while a batch is being made durable go into the next one, so that the
//! price of a sync is shared. The file holds the newest version of each object and the counter;
//! history is not kept over a restart, as if it had been compacted.

use std::fmt;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde_json::Value;

use super::state::Event;
use crate::object::Object;

/// `resource\0key` to the object as JSON.
const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
/// Facts about the file itself.
const FACTS: TableDefinition<'_, &str, &str> = TableDefinition::new("facts");
/// Stamp of this format; a change of the format changes it.
const FORMAT: &str = "muster-embedded-1";
/// Name of the file in the data directory.
const FILE: &str = "objects.redb";

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory cannot be made.
    #[error("cannot make the data directory {path}: choose another, or mend its rights")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error(
        "the data directory {path} is in use by another process: stop that one, or choose another \
         directory"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The file is not ours, or is damaged.
    #[error(
        "{path} is damaged or not a store of Muster: move it away to start empty, or restore it \
         from a copy"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<redb::Error>,
    },
    /// The file's contents are damaged.
    #[error(
        "{path} holds an object that cannot be read ({key}): move the file away to start empty, or \
         restore it from a copy"
    )]
    Object {
        /// The file.
        path: PathBuf,
        /// Which object.
        key: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The file was written by another version of Muster.
    #[error(
        "{path} has the format \"{found}\", but this version of Muster writes \"{FORMAT}\": use \
         the version that wrote it, or move the file away to start empty"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its stamp.
        found: String,
    },
    /// The file cannot be read or written.
    #[error("cannot use {path}")]
    Storage {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
    /// The thread that writes cannot be started.
    #[error("cannot start the thread that writes the store")]
    Thread(#[source] std::io::Error),
}

/// What the file held when it was opened.
pub(super) struct Contents {
    pub(super) revision: u64,
    pub(super) objects: Vec<(String, Arc<str>, Arc<Object>)>,
}

/// A batch that is durable.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) revision: u64,
    pub(super) resources: Vec<Arc<str>>,
}

/// The file and the thread that writes it.
pub(super) struct Disk {
    database: Arc<Database>,
    path: PathBuf,
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Disk")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    writes: Vec<(Arc<str>, Arc<Event>)>,
    closed: bool,
}

impl Disk {
    /// Opens the file in a directory, or makes both: readable by their owner alone, because
    /// Secrets are in it.
    pub(super) fn open(directory: &Path) -> Result<(Self, Contents), Error> {
        let failed = |source| Error::Directory {
            path: directory.to_owned(),
            source,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed)?;
        let path = directory.join(FILE);
        if !path.exists() {
            create(directory, &path)?;
        }
        // The check costs a read of the file, and tells damage apart from a panic later.
        let opened = Database::builder()
            .set_check_integrity_on_open(true)
            .open(&path);
        let database = opened.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => Error::Locked {
                path: directory.to_owned(),
            },
            other => unusable(&path, other.into()),
        })?;
        prepare(&database, &path)?;
        let contents = read(&database, &path)?;
        let disk = Self {
            database: Arc::new(database),
            path,
            queue: Arc::new(Queue::default()),
            thread: Mutex::new(None),
        };
        Ok((disk, contents))
    }

    /// Starts to write. `settle` is told of each durable batch, or once of a failure.
    pub(super) fn start(
        &self,
        settle: impl Fn(Result<Batch, String>) + Send + 'static,
    ) -> Result<(), Error> {
        let queue = Arc::clone(&self.queue);
        let database = Arc::clone(&self.database);
        let path = self.path.clone();
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                while let Some(writes) = queue.take() {
                    let outcome = commit(&database, &writes);
                    let failed = outcome.is_err();
                    settle(outcome.map_err(|error| {
                        tracing::error!(path = %path.display(), %error, "cannot write the store");
                        format!(
                            "cannot write {}: {error}: nothing is written any more; make room or \
                             mend the disk, then start again",
                            path.display()
                        )
                    }));
                    if failed {
                        return;
                    }
                }
            })
            .map_err(Error::Thread)?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// Queues a write.
    pub(super) fn write(&self, resource: Arc<str>, event: Arc<Event>) {
        let mut waiting = self.queue.lock();
        waiting.writes.push((resource, event));
        drop(waiting);
        self.queue.wake.notify_one();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.wake.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // It writes what is queued and ends; the file is free afterwards.
            drop(thread.join());
        }
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for writes; none when closed and empty.
    fn take(&self) -> Option<Vec<(Arc<str>, Arc<Event>)>> {
        let mut waiting = self.lock();
        while waiting.writes.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self
                .wake
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Some(std::mem::take(&mut waiting.writes))
    }
}

fn unusable(path: &Path, error: redb::Error) -> Error {
    let path = path.to_owned();
    let source = Box::new(error);
    match *source {
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::RepairAborted
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. } => Error::Corrupt { path, source },
        // redb tells of a file that is none of its own as of invalid data.
        redb::Error::Io(ref error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
            ) =>
        {
            Error::Corrupt { path, source }
        }
        _ => Error::Storage { path, source },
    }
}

/// Makes the tables of a new file, and checks the stamp of an old one.
fn prepare(database: &Database, path: &Path) -> Result<(), Error> {
    let outcome = || -> Result<Option<String>, redb::Error> {
        let transaction = database.begin_write()?;
        let found = {
            let mut facts = transaction.open_table(FACTS)?;
            let found = facts.get("format")?.map(|stamp| stamp.value().to_owned());
            if found.is_none() {
                facts.insert("format", FORMAT)?;
            }
            transaction.open_table(OBJECTS)?;
            found
        };
        transaction.commit()?;
        Ok(found)
    };
    match outcome().map_err(|error| unusable(path, error))? {
        Some(found) if found != FORMAT => Err(Error::Format {
            path: path.to_owned(),
            found,
        }),
        _ => Ok(()),
    }
}

/// Makes an empty store. It gets its name when it is whole: whoever is killed before leaves
/// nothing that could be taken for damaged data.
fn create(directory: &Path, path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Directory {
        path: directory.to_owned(),
        source,
    };
    let fresh = directory.join(format!("{FILE}.new"));
    // Made first, because the database would make it readable by everybody.
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(failed)?;
    let database = Database::create(&fresh).map_err(|error| unusable(&fresh, error.into()))?;
    prepare(&database, &fresh)?;
    drop(database);
    std::fs::rename(&fresh, path).map_err(failed)
}

/// The counter, and objects as JSON by resource and key.
type Raw = (u64, Vec<(String, Vec<u8>)>);

fn read(database: &Database, path: &Path) -> Result<Contents, Error> {
    let raw = || -> Result<Raw, redb::Error> {
        let transaction = database.begin_read()?;
        let facts = transaction.open_table(FACTS)?;
        let revision = facts
            .get("revision")?
            .and_then(|text| text.value().parse().ok())
            .unwrap_or(1);
        let mut objects = Vec::new();
        for entry in transaction.open_table(OBJECTS)?.iter()? {
            let (key, value) = entry?;
            objects.push((key.value().to_owned(), value.value().to_vec()));
        }
        Ok((revision, objects))
    };
    let (revision, raw) = raw().map_err(|error| unusable(path, error))?;
    let mut objects = Vec::with_capacity(raw.len());
    let mut newest = revision;
    for (key, json) in raw {
        let value: Value = serde_json::from_slice(&json).map_err(|source| Error::Object {
            path: path.to_owned(),
            key: key.replace('\0', " "),
            source,
        })?;
        let version = value
            .pointer("/metadata/resourceVersion")
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok())
            .unwrap_or(revision);
        // The counter is written with each object; if it is behind, versions still go on.
        newest = newest.max(version);
        let (resource, key) = key.split_once('\0').unwrap_or(("", &key));
        objects.push((
            resource.to_owned(),
            Arc::from(key),
            Arc::new(Object::new(value, version)),
        ));
    }
    Ok(Contents {
        revision: newest,
        objects,
    })
}

fn commit(database: &Database, writes: &[(Arc<str>, Arc<Event>)]) -> Result<Batch, redb::Error> {
    let mut batch = Batch::default();
    let transaction = database.begin_write()?;
    {
        let mut objects = transaction.open_table(OBJECTS)?;
        for (resource, event) in writes {
            let key = format!("{resource}\0{}", event.key);
            match &event.after {
                Some(object) => {
                    objects.insert(key.as_str(), object.json().as_ref())?;
                }
                None => {
                    objects.remove(key.as_str())?;
                }
            }
            batch.revision = batch.revision.max(event.revision);
            if !batch.resources.contains(resource) {
                batch.resources.push(Arc::clone(resource));
            }
        }
        let mut facts = transaction.open_table(FACTS)?;
        facts.insert("revision", batch.revision.to_string().as_str())?;
    }
    transaction.commit()?;
    Ok(batch)
}
