//! Garbage collection by owner references.
//!
//! An object none of whose owners are there is deleted; one that has an owner left loses the
//! references to those that are gone. An owner that is deleted in the foreground waits for the
//! dependents that block it; one that is deleted as an orphanage first lets go of all of them.
//!
//! The graph only says what to look at: what happens is decided from the objects themselves, and
//! written on condition that they are still as seen. An owner of another name, kind or uid than
//! its reference says, or in another namespace than the dependent, is not there.

mod graph;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use self::graph::{Graph, Node, Owner, Place};
use super::drive::{Controller, Next};
use super::edit::{has_finalizer, is_deleting, kept_kinds, remove_finalizer, shrink};
use super::queue::Queue;
use super::recorder::{Happening, Recorder, Severity};
use crate::object::{Object, meta};
use crate::objects::{Change, Deletion, Objects, Propagation};
use crate::status::Status;

/// On an owner that waits for its dependents to go.
const FOREGROUND: &str = "foregroundDeletion";
/// On an owner whose dependents are to stay.
const ORPHAN: &str = "orphan";
/// Objects looked at before others have their turn.
const TASKS_AT_ONCE: usize = 256;

/// What to do with the object of a uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    /// See whether its owners are there.
    Check(String),
    /// The same after references were added: tell if they lead to another namespace.
    CheckFresh(String),
    /// Let its dependents go, then itself.
    Orphan(String),
}

/// Why an object cannot be decided now.
#[derive(Debug)]
enum Undecided {
    /// An owner is of a kind that is not known (yet).
    UnknownKind(String),
    /// A write failed.
    Refused(Status),
}

impl From<Status> for Undecided {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

/// The garbage collector.
pub(super) struct Collector {
    graph: Graph,
    queue: Queue<Task>,
    recorder: Recorder,
}

/// How the owners of an object stand.
#[derive(Default)]
struct Owners {
    /// There, and not waiting for dependents.
    solid: Vec<Owner>,
    /// Not there.
    absent: Vec<Owner>,
    /// There, until their dependents are gone.
    waiting: Vec<Owner>,
}

impl Collector {
    pub(super) fn new(recorder: Recorder) -> Self {
        Self {
            graph: Graph::default(),
            queue: Queue::default(),
            recorder,
        }
    }

    fn take_in(&mut self, place: Place, object: &Object, now: Instant) {
        let uid = object.meta("uid").to_owned();
        let node = Node::of(place, object);
        let (foreground, orphan) = (node.foreground, node.orphan);
        let Some(update) = self.graph.insert(&uid, node) else {
            return;
        };
        if update.has_new_owners {
            self.queue.add(Task::CheckFresh(uid.clone()), now);
        }
        for owner in update.unblocked {
            self.queue.add(Task::Check(owner), now);
        }
        if orphan && update.began_deletion {
            self.queue.add(Task::Orphan(uid), now);
        } else if foreground && update.began_deletion {
            for dependent in self.graph.dependents(&uid) {
                self.queue.add(Task::Check(dependent), now);
            }
            self.queue.add(Task::Check(uid), now);
        }
    }

    fn take_out(&mut self, uid: &str, now: Instant) {
        for dependent in self.graph.dependents(uid) {
            self.queue.add(Task::Check(dependent), now);
        }
        for owner in self.graph.remove(uid) {
            // It may have waited for this object alone.
            if self.graph.node(&owner).is_some_and(|node| node.foreground) {
                self.queue.add(Task::Check(owner), now);
            }
        }
    }

    fn perform(
        &mut self,
        objects: &dyn Objects,
        task: &Task,
        now: Instant,
    ) -> Result<(), Undecided> {
        match task {
            Task::Check(uid) => self.check(objects, uid, false, now),
            Task::CheckFresh(uid) => self.check(objects, uid, true, now),
            Task::Orphan(uid) => self.orphan(objects, uid),
        }
    }

    fn check(
        &mut self,
        objects: &dyn Objects,
        uid: &str,
        fresh: bool,
        now: Instant,
    ) -> Result<(), Undecided> {
        let Some(node) = self.graph.node(uid) else {
            return Ok(());
        };
        let place = node.place.clone();
        let found = objects.get(&place.kind, &place.namespace, &place.name);
        let Some(object) = found.filter(|object| object.meta("uid") == uid) else {
            // It is gone; the change that says so is on its way.
            return Ok(());
        };
        if is_deleting(object.value()) {
            if has_finalizer(object.value(), FOREGROUND) {
                return self.wait_for_dependents(objects, uid, &place, now);
            }
            return Ok(());
        }
        let references = Owner::list(object.value());
        let Some(owners) = classify(objects, &place, references)? else {
            tracing::warn!(
                kind = place.kind.kind,
                name = place.name,
                "An object without namespace names an owner in one; it stays"
            );
            if fresh {
                self.tell_of_strangers(objects, &place, &object);
            }
            return Ok(());
        };
        if fresh && !owners.absent.is_empty() {
            self.tell_of_strangers(objects, &place, &object);
        }
        self.decide(objects, &place, &object, owners)
    }

    fn decide(
        &self,
        objects: &dyn Objects,
        place: &Place,
        object: &Object,
        owners: Owners,
    ) -> Result<(), Undecided> {
        let Owners {
            solid,
            mut absent,
            waiting,
        } = owners;
        let uid = object.meta("uid");
        if !solid.is_empty() {
            // Those that wait must not wait for an object that stays.
            absent.extend(waiting);
            if !absent.is_empty() {
                let gone: Vec<&str> = absent.iter().map(|owner| owner.uid.as_str()).collect();
                release(objects, place, uid, &gone)?;
            }
            return Ok(());
        }
        if absent.is_empty() && waiting.is_empty() {
            return Ok(());
        }
        let dependents = self.graph.dependents(uid);
        let mut version = object.meta("resourceVersion").to_owned();
        let propagation = if !waiting.is_empty() && !dependents.is_empty() {
            let circle = dependents.iter().any(|dependent| {
                self.graph
                    .node(dependent)
                    .is_some_and(|node| node.foreground)
            });
            if circle && let Some(unblocked) = unblock(objects, place, uid)? {
                unblocked.meta("resourceVersion").clone_into(&mut version);
            }
            Propagation::Foreground
        } else if has_finalizer(object.value(), ORPHAN) {
            Propagation::Orphan
        } else if has_finalizer(object.value(), FOREGROUND) {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        let deletion = Deletion {
            uid: Some(uid.to_owned()),
            // An owner may have been added since they were read.
            resource_version: Some(version),
            propagation: Some(propagation),
            grace_period_seconds: None,
        };
        tracing::debug!(
            kind = place.kind.kind,
            namespace = place.namespace,
            name = place.name,
            ?propagation,
            "Deleted an object without owners"
        );
        match objects.delete(&place.kind, &place.namespace, &place.name, &deletion) {
            Ok(()) => Ok(()),
            Err(status) if status.code == 404 => Ok(()),
            Err(status) => Err(status.into()),
        }
    }

    /// Lets an owner that is deleted in the foreground go, once nothing blocks it.
    fn wait_for_dependents(
        &mut self,
        objects: &dyn Objects,
        uid: &str,
        place: &Place,
        now: Instant,
    ) -> Result<(), Undecided> {
        let mut blocked = false;
        for dependent in self.graph.dependents(uid) {
            let Some(node) = self.graph.node(&dependent) else {
                continue;
            };
            if node
                .owners
                .iter()
                .any(|owner| owner.uid == uid && owner.blocks)
            {
                blocked = true;
                if !node.foreground {
                    self.queue.add(Task::Check(dependent), now);
                }
            }
        }
        if !blocked {
            drop_finalizer(objects, place, uid, FOREGROUND)?;
        }
        Ok(())
    }

    fn orphan(&self, objects: &dyn Objects, uid: &str) -> Result<(), Undecided> {
        let Some(node) = self.graph.node(uid) else {
            return Ok(());
        };
        for dependent in self.graph.dependents(uid) {
            if let Some(dependent_node) = self.graph.node(&dependent) {
                release(objects, &dependent_node.place, &dependent, &[uid])?;
            }
        }
        drop_finalizer(objects, &node.place, uid, ORPHAN)?;
        Ok(())
    }

    /// Tells of references to owners that are there, but in another namespace: a mistake that
    /// is about to cost the object its life.
    fn tell_of_strangers(&self, objects: &dyn Objects, place: &Place, object: &Object) {
        let kinds = objects.kinds();
        for owner in Owner::list(object.value()) {
            let Some(kind) = kinds.named(&owner.api_version, &owner.kind) else {
                continue;
            };
            let elsewhere = kind.namespaced
                && objects.list(kind, None).iter().any(|other| {
                    other.meta("uid") == owner.uid && other.meta("namespace") != place.namespace
                });
            if elsewhere {
                let note = format!(
                    "ownerRef [{}/{}, namespace: {}, name: {}, uid: {}] does not exist in \
                     namespace {:?}",
                    owner.api_version,
                    owner.kind,
                    place.namespace,
                    owner.name,
                    owner.uid,
                    place.namespace
                );
                let happening = Happening {
                    severity: Severity::Warning,
                    reason: "OwnerRefInvalidNamespace",
                    action: "GarbageCollection",
                    note: &note,
                };
                self.recorder
                    .record(objects, &place.kind, object, happening);
            }
        }
    }
}

impl Controller for Collector {
    fn name(&self) -> &'static str {
        "garbage collector"
    }

    fn start(&mut self, objects: &dyn Objects, now: Instant) {
        self.graph = Graph::default();
        self.queue = Queue::default();
        for kind in kept_kinds(objects) {
            if is_ignored(&kind.plural, &kind.group) {
                continue;
            }
            for object in objects.list(&kind, None) {
                self.take_in(Place::of(&kind, &object), &object, now);
            }
        }
    }

    fn observe(&mut self, change: &Change, now: Instant) {
        if is_ignored(&change.kind.plural, &change.kind.group) {
            return;
        }
        match (&change.before, &change.after) {
            (before, Some(after)) => {
                if let Some(before) = before
                    && before.meta("uid") != after.meta("uid")
                {
                    self.take_out(before.meta("uid"), now);
                }
                self.take_in(Place::of(&change.kind, after), after, now);
            }
            (Some(before), None) => self.take_out(before.meta("uid"), now),
            (None, None) => {}
        }
    }

    fn work(&mut self, objects: &dyn Objects, now: Instant) -> Next {
        for _ in 0..TASKS_AT_ONCE {
            let Some(task) = self.queue.take(now) else {
                return self.queue.next().into();
            };
            match self.perform(objects, &task, now) {
                Ok(()) => self.queue.succeed(&task),
                Err(Undecided::UnknownKind(kind)) => {
                    tracing::debug!(kind, "The kind of an owner is not known");
                    self.queue.retry(task, now);
                }
                Err(Undecided::Refused(status)) => {
                    if status.code != 409 {
                        tracing::warn!(%status, "Could not collect garbage; trying again");
                    }
                    self.queue.retry(task, now);
                }
            }
        }
        Next::Now
    }
}

/// Events own nothing and have no owners; there are many of them.
fn is_ignored(plural: &str, group: &str) -> bool {
    plural == "events" && (group.is_empty() || group == "events.k8s.io")
}

/// How the owners of an object stand; none if it cannot have one of them.
fn classify(
    objects: &dyn Objects,
    place: &Place,
    references: Vec<Owner>,
) -> Result<Option<Owners>, Undecided> {
    let kinds = objects.kinds();
    let mut owners = Owners::default();
    for reference in references {
        let kind = kinds
            .named(&reference.api_version, &reference.kind)
            .ok_or_else(|| {
                Undecided::UnknownKind(format!("{}/{}", reference.api_version, reference.kind))
            })?;
        if kind.namespaced && !place.kind.namespaced {
            return Ok(None);
        }
        let namespace = if kind.namespaced {
            place.namespace.as_str()
        } else {
            ""
        };
        let found = objects.get(kind, namespace, &reference.name);
        match found.filter(|owner| owner.meta("uid") == reference.uid) {
            None => owners.absent.push(reference),
            Some(owner)
                if is_deleting(owner.value()) && has_finalizer(owner.value(), FOREGROUND) =>
            {
                owners.waiting.push(reference);
            }
            Some(_) => owners.solid.push(reference),
        }
    }
    Ok(Some(owners))
}

/// Changes an object that is still the same one.
fn change(
    objects: &dyn Objects,
    place: &Place,
    uid: &str,
    apply: &mut dyn FnMut(&mut Value),
) -> Result<Option<Arc<Object>>, Status> {
    objects.change(&place.kind, &place.namespace, &place.name, &mut |object| {
        if meta(object, "uid") == uid {
            apply(object);
        }
    })
}

/// Removes the references to owners.
fn release(objects: &dyn Objects, place: &Place, uid: &str, owners: &[&str]) -> Result<(), Status> {
    change(objects, place, uid, &mut |object| {
        shrink(object, "ownerReferences", &|reference| {
            let owner = reference.get("uid").and_then(Value::as_str);
            owner.is_some_and(|owner| owners.contains(&owner))
        });
    })
    .map(drop)
}

/// Lets no owner wait for this object any more.
fn unblock(objects: &dyn Objects, place: &Place, uid: &str) -> Result<Option<Arc<Object>>, Status> {
    change(objects, place, uid, &mut |object| {
        let references = object.pointer_mut("/metadata/ownerReferences");
        let references = references.and_then(Value::as_array_mut);
        for reference in references.into_iter().flatten() {
            if reference["blockOwnerDeletion"] == true {
                reference["blockOwnerDeletion"] = false.into();
            }
        }
    })
}

fn drop_finalizer(
    objects: &dyn Objects,
    place: &Place,
    uid: &str,
    finalizer: &str,
) -> Result<(), Status> {
    change(objects, place, uid, &mut |object| {
        remove_finalizer(object, finalizer);
    })
    .map(drop)
}
