//! The end of CustomResourceDefinitions: their objects go first.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::drive::{Controller, Next};
use super::edit::{has_finalizer, is_deleting, remove_finalizer, seconds, set_condition};
use super::queue::Queue;
use crate::Clock;
use crate::objects::{Change, Deletion, Objects};
use crate::status::Status;

/// Keeps a definition until its objects are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

const GROUP: &str = "apiextensions.k8s.io";
const RESOURCE: &str = "customresourcedefinitions";

/// What a deletion of a definition does at once: from then on it waits for its objects. The
/// server calls it when it sets the time of deletion.
pub fn begin_definition_deletion(definition: &mut Value, now: &str) {
    if !has_finalizer(definition, CLEANUP) {
        match &mut definition["metadata"]["finalizers"] {
            Value::Array(list) => list.push(CLEANUP.into()),
            other => *other = json!([CLEANUP]),
        }
    }
    let pending = condition(
        "True",
        "InstanceDeletionPending",
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    );
    set_condition(definition, &pending, now);
}

/// Removes the objects of definitions that are being deleted.
pub(super) struct Finalizer {
    clock: Clock,
    /// Definitions that wait, by group and plural of their objects.
    waiting: BTreeMap<(String, String), String>,
    queue: Queue<String>,
}

impl Finalizer {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            waiting: BTreeMap::new(),
            queue: Queue::default(),
        }
    }

    fn take_in(&mut self, definition: &Value, now: Instant) {
        if !is_deleting(definition) || !has_finalizer(definition, CLEANUP) {
            return;
        }
        let name = crate::object::meta(definition, "name").to_owned();
        self.waiting.insert(resource(definition), name.clone());
        self.queue.add(name, now);
    }

    fn finalize(&mut self, objects: &dyn Objects, name: &str) -> Result<(), Status> {
        let kinds = objects.kinds();
        let Some(kind) = kinds.resource(GROUP, RESOURCE) else {
            return Ok(());
        };
        let found = objects.get(kind, "", name);
        let is_waiting =
            |definition: &Value| is_deleting(definition) && has_finalizer(definition, CLEANUP);
        let Some(definition) = found.filter(|found| is_waiting(found.value())) else {
            self.waiting.retain(|_, waiting| waiting != name);
            return Ok(());
        };
        let (group, plural) = resource(definition.value());
        let now = seconds(&self.clock);
        let progress = |condition: &Value| {
            objects
                .change(kind, "", name, &mut |definition| {
                    set_condition(definition, condition, &now);
                })
                .map(drop)
        };
        let is_established = definition.value()["status"]["conditions"]
            .as_array()
            .is_some_and(|list| {
                list.iter().any(|condition| {
                    condition["type"] == "Established" && condition["status"] == "True"
                })
            });
        let done = match kinds.resource(&group, &plural).filter(|_| is_established) {
            None => condition(
                "False",
                "NeverEstablished",
                "resource was never established",
            ),
            Some(instances) => {
                progress(&condition(
                    "True",
                    "InstanceDeletionInProgress",
                    "CustomResource deletion is in progress",
                ))?;
                for instance in objects.list(instances, None) {
                    if is_deleting(instance.value()) {
                        continue;
                    }
                    let (namespace, name) = (instance.meta("namespace"), instance.meta("name"));
                    let deleted = objects.delete(instances, namespace, name, &Deletion::default());
                    if let Err(status) = deleted {
                        progress(&condition(
                            "True",
                            "InstanceDeletionFailed",
                            &format!("could not issue all deletes: {status}"),
                        ))?;
                        return Err(status);
                    }
                }
                if !objects.list(instances, None).is_empty() {
                    // The last one to go comes back here.
                    return Ok(());
                }
                condition(
                    "False",
                    "InstanceDeletionCompleted",
                    "removed all instances",
                )
            }
        };
        objects.change(kind, "", name, &mut |definition| {
            if is_waiting(definition) {
                set_condition(definition, &done, &now);
                remove_finalizer(definition, CLEANUP);
            }
        })?;
        self.waiting.retain(|_, waiting| waiting != name);
        Ok(())
    }
}

fn condition(status: &str, reason: &str, message: &str) -> Value {
    json!({ "type": "Terminating", "status": status, "reason": reason, "message": message })
}

/// Group and plural of what a definition defines.
fn resource(definition: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spec = &definition["spec"];
    (text(&spec["group"]), text(&spec["names"]["plural"]))
}

impl Controller for Finalizer {
    fn name(&self) -> &'static str {
        "finalizer of definitions"
    }

    fn start(&mut self, objects: &dyn Objects, now: Instant) {
        self.waiting.clear();
        self.queue = Queue::default();
        if let Some(kind) = objects.kinds().resource(GROUP, RESOURCE) {
            for definition in objects.list(kind, None) {
                self.take_in(definition.value(), now);
            }
        }
    }

    fn observe(&mut self, change: &Change, now: Instant) {
        let kind = &change.kind;
        if kind.group == GROUP && kind.plural == RESOURCE {
            if let Some(after) = &change.after {
                self.take_in(after.value(), now);
            }
        } else if change.after.is_none() && !self.waiting.is_empty() {
            let gone = (kind.group.clone(), kind.plural.clone());
            if let Some(definition) = self.waiting.get(&gone) {
                self.queue.add(definition.clone(), now);
            }
        }
    }

    fn work(&mut self, objects: &dyn Objects, now: Instant) -> Next {
        while let Some(name) = self.queue.take(now) {
            match self.finalize(objects, &name) {
                Ok(()) => self.queue.succeed(&name),
                Err(status) => {
                    tracing::warn!(%status, name, "Could not end a definition; trying again");
                    self.queue.retry(name, now);
                }
            }
        }
        self.queue.next().into()
    }
}
