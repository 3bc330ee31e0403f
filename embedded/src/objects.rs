//! What the controllers inside the API server need of it: garbage collection, the life of
//! namespaces, service accounts, scheduling.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc;

use crate::kinds::{Kind, Kinds};
use crate::object::Object;
use crate::status::Status;

/// Changes that wait at most in a queue of [`Objects::changes`].
pub const CHANGES: usize = 32 * 1024;

/// A change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its kind.
    pub kind: Arc<Kind>,
    /// As it was; none if it was created.
    pub before: Option<Arc<Object>>,
    /// As it is; none if it is gone.
    pub after: Option<Arc<Object>>,
}

/// How a deletion treats dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay, without their owner.
    Orphan,
}

/// Conditions and manner of a deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deletion {
    /// The object must have this uid.
    pub uid: Option<String>,
    /// The object must have this version.
    pub resource_version: Option<String>,
    /// How dependents are treated; none for the default of the kind.
    pub propagation: Option<Propagation>,
    /// Seconds that a pod gets to end.
    pub grace_period_seconds: Option<i64>,
}

/// Direct access to the objects, for code in the process that is part of the API server.
///
/// Namespaces are empty for kinds without. Calls do not block.
pub trait Objects: Send + Sync {
    /// The kinds as they are now.
    fn kinds(&self) -> Arc<Kinds>;

    /// One object.
    fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Arc<Object>>;

    /// All objects of a kind, in one namespace or (if none is given) in all.
    fn list(&self, kind: &Kind, namespace: Option<&str>) -> Vec<Arc<Object>>;

    /// Creates an object.
    fn create(&self, kind: &Kind, namespace: &str, object: Value) -> Result<Arc<Object>, Status>;

    /// Reads, changes and writes an object at once; nothing is written if nothing changed. May
    /// change every part but identity; an object whose last finalizer goes while it is being
    /// deleted is removed. None if there is no such object.
    fn change(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        change: &mut dyn FnMut(&mut Value),
    ) -> Result<Option<Arc<Object>>, Status>;

    /// Deletes an object; none if there is no such object.
    fn delete(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        deletion: &Deletion,
    ) -> Result<(), Status>;

    /// Every change from now on, in order. A queue that nobody empties ends (returns none after
    /// what it holds) when [`CHANGES`] wait in it: then start anew with `list`.
    fn changes(&self) -> mpsc::Receiver<Change>;
}
