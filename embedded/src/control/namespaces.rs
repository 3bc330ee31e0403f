//! The end of namespaces: pods first, then everything else, then the namespace itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::drive::{Controller, Next};
use super::edit::{is_deleting, kept_kinds, seconds, set_condition};
use super::queue::Queue;
use crate::Clock;
use crate::kinds::Kind;
use crate::objects::{Change, Deletion, Objects, Propagation};
use crate::status::Status;

/// On a namespace until its content is gone, in `spec.finalizers`.
const FINALIZER: &str = "kubernetes";
/// Content that goes within this time is looked at together.
const PAUSE: Duration = Duration::from_millis(100);

/// Conditions of a namespace that ends, with reason and message for when nothing is in the way.
const CONDITIONS: [(&str, &str, &str); 5] = [
    (
        "NamespaceDeletionDiscoveryFailure",
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        CONTENT_FAILURE,
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    (
        CONTENT_REMAINING,
        "ContentRemoved",
        "All content successfully removed",
    ),
    (
        FINALIZERS_REMAINING,
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    ),
];
const CONTENT_FAILURE: &str = "NamespaceDeletionContentFailure";
const CONTENT_REMAINING: &str = "NamespaceContentRemaining";
const FINALIZERS_REMAINING: &str = "NamespaceFinalizersRemaining";

/// What is left in a namespace after everything was told to go.
#[derive(Default)]
struct Rest {
    /// Objects by resource, as `pods.` or `fleets.muster.dev`.
    resources: BTreeMap<String, usize>,
    /// Objects by finalizer.
    finalizers: BTreeMap<String, usize>,
    /// Why some were not told.
    failures: Vec<Status>,
}

impl Rest {
    /// The conditions that are not as they should be.
    fn conditions(&self) -> Vec<Value> {
        let mut conditions = Vec::new();
        let mut add = |name: &str, reason: &str, message: String| {
            conditions.push(json!({
                "type": name,
                "status": "True",
                "reason": reason,
                "message": message,
            }));
        };
        let each = |counts: &BTreeMap<String, usize>, verb: &str| {
            let each = counts
                .iter()
                .map(|(name, count)| format!("{name} {verb} {count} resource instances"));
            each.collect::<Vec<_>>().join(", ")
        };
        if !self.failures.is_empty() {
            let mut messages: Vec<&str> = self
                .failures
                .iter()
                .map(|failure| failure.message.as_str())
                .collect();
            messages.sort_unstable();
            add(
                CONTENT_FAILURE,
                "ContentDeletionFailed",
                format!(
                    "Failed to delete all resource types, {} remaining: {}",
                    messages.len(),
                    messages.join(", ")
                ),
            );
        }
        if !self.resources.is_empty() {
            let list = each(&self.resources, "has");
            add(
                CONTENT_REMAINING,
                "SomeResourcesRemain",
                format!("Some resources are remaining: {list}"),
            );
        }
        if !self.finalizers.is_empty() {
            let list = each(&self.finalizers, "in");
            add(
                FINALIZERS_REMAINING,
                "SomeFinalizersRemain",
                format!("Some content in the namespace has finalizers remaining: {list}"),
            );
        }
        conditions
    }
}

/// Ends namespaces.
pub(super) struct Terminator {
    clock: Clock,
    /// Namespaces that are being deleted.
    ending: BTreeSet<String>,
    queue: Queue<String>,
}

impl Terminator {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            ending: BTreeSet::new(),
            queue: Queue::default(),
        }
    }

    fn take_in(&mut self, namespace: &Value, now: Instant) {
        if is_deleting(namespace) {
            let name = crate::object::meta(namespace, "name");
            self.ending.insert(name.to_owned());
            self.queue.add(name.to_owned(), now);
        }
    }

    /// Empties a namespace; ends it if nothing is left.
    fn end(&mut self, objects: &dyn Objects, name: &str) -> Result<(), Status> {
        let kinds = objects.kinds();
        let Some(kind) = kinds.resource("", "namespaces") else {
            return Ok(());
        };
        let found = objects.get(kind, "", name);
        let Some(namespace) = found.filter(|found| is_deleting(found.value())) else {
            self.ending.remove(name);
            return Ok(());
        };
        if namespace.value()["status"]["phase"] != "Terminating" {
            objects.change(kind, "", name, &mut |namespace| {
                namespace["status"]["phase"] = "Terminating".into();
            })?;
        }
        if !is_held(namespace.value()) {
            // Others may hold it by finalizers of its metadata.
            return Ok(());
        }
        let mut rest = Rest::default();
        let mut left = 0;
        if let Some(pods) = kinds.resource("", "pods") {
            left = empty(objects, pods, name, &mut rest);
        }
        if left > 0 {
            // While pods remain, only failures are told, as in a real cluster.
            rest.resources.clear();
            rest.finalizers.clear();
        } else {
            for content in kept_kinds(objects) {
                let is_pods = content.group.is_empty() && content.plural == "pods";
                if content.namespaced && !is_pods {
                    left += empty(objects, &content, name, &mut rest);
                }
            }
        }
        self.tell(objects, kind, name, &rest)?;
        if let Some(failure) = rest.failures.into_iter().next() {
            return Err(failure);
        }
        if left == 0 {
            finalize(objects, kind, name, namespace.meta("uid"))?;
        }
        Ok(())
    }

    fn tell(
        &self,
        objects: &dyn Objects,
        kind: &Kind,
        name: &str,
        rest: &Rest,
    ) -> Result<(), Status> {
        let bad = rest.conditions();
        let now = seconds(&self.clock);
        let tell = |namespace: &mut Value| {
            for (name, reason, message) in CONDITIONS {
                let wanted = bad.iter().find(|condition| condition["type"] == name);
                let wanted = wanted.cloned().unwrap_or_else(|| {
                    json!({
                        "type": name,
                        "status": "False",
                        "reason": reason,
                        "message": message,
                    })
                });
                set_condition(namespace, &wanted, &now);
            }
        };
        objects.change(kind, "", name, &mut |namespace| tell(namespace))?;
        Ok(())
    }
}

fn is_held(namespace: &Value) -> bool {
    namespace["spec"]["finalizers"]
        .as_array()
        .is_some_and(|list| list.iter().any(|known| known == FINALIZER))
}

/// Deletes all objects of a kind in a namespace, and counts those that are still there.
fn empty(objects: &dyn Objects, kind: &Kind, namespace: &str, rest: &mut Rest) -> usize {
    let deletion = Deletion {
        propagation: Some(Propagation::Background),
        ..Deletion::default()
    };
    for object in objects.list(kind, Some(namespace)) {
        if is_deleting(object.value()) {
            continue;
        }
        match objects.delete(kind, namespace, object.meta("name"), &deletion) {
            Err(status) if status.code != 404 => {
                rest.failures.push(status);
                // The others of the kind would fail alike.
                break;
            }
            _ => {}
        }
    }
    let left = objects.list(kind, Some(namespace));
    if left.is_empty() {
        return 0;
    }
    rest.resources
        .insert(format!("{}.{}", kind.plural, kind.group), left.len());
    for object in &left {
        let finalizers = object.value()["metadata"]["finalizers"].as_array();
        for finalizer in finalizers.into_iter().flatten().filter_map(Value::as_str) {
            *rest.finalizers.entry(finalizer.to_owned()).or_default() += 1;
        }
    }
    left.len()
}

fn finalize(objects: &dyn Objects, kind: &Kind, name: &str, uid: &str) -> Result<(), Status> {
    objects.change(kind, "", name, &mut |namespace| {
        if crate::object::meta(namespace, "uid") == uid
            && let Some(Value::Array(list)) = namespace.pointer_mut("/spec/finalizers")
        {
            list.retain(|known| known != FINALIZER);
        }
    })?;
    tracing::debug!(name, "Ended a namespace");
    Ok(())
}

impl Controller for Terminator {
    fn name(&self) -> &'static str {
        "terminator of namespaces"
    }

    fn start(&mut self, objects: &dyn Objects, now: Instant) {
        self.ending.clear();
        self.queue = Queue::default();
        if let Some(kind) = objects.kinds().resource("", "namespaces") {
            for namespace in objects.list(kind, None) {
                self.take_in(namespace.value(), now);
            }
        }
    }

    fn observe(&mut self, change: &Change, now: Instant) {
        let kind = &change.kind;
        if kind.group.is_empty() && kind.plural == "namespaces" {
            match (&change.before, &change.after) {
                (_, Some(after)) => self.take_in(after.value(), now),
                (Some(before), None) => {
                    self.ending.remove(before.meta("name"));
                }
                (None, None) => {}
            }
            return;
        }
        if self.ending.is_empty() || !kind.namespaced {
            return;
        }
        let object = change.after.as_ref().or(change.before.as_ref());
        let namespace = object.map_or("", |object| object.meta("namespace"));
        if self.ending.contains(namespace) {
            self.queue.add(namespace.to_owned(), now + PAUSE);
        }
    }

    fn work(&mut self, objects: &dyn Objects, now: Instant) -> Next {
        while let Some(name) = self.queue.take(now) {
            match self.end(objects, &name) {
                Ok(()) => self.queue.succeed(&name),
                Err(status) => {
                    tracing::warn!(%status, name, "Could not empty a namespace; trying again");
                    self.queue.retry(name, now);
                }
            }
        }
        self.queue.next().into()
    }
}
