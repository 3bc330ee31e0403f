//! Events: what controllers tell people about objects.

use serde_json::{Value, json};

use super::edit::seconds;
use crate::Clock;
use crate::kinds::Kind;
use crate::object::Object;
use crate::objects::Objects;

/// Longest note that an event may have.
const NOTE_BYTES: usize = 1024;

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// As it should be.
    Normal,
    /// Somebody may want to act.
    Warning,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Happening<'a> {
    /// How serious it is.
    pub(super) severity: Severity,
    /// Such as `FailedScheduling`.
    pub(super) reason: &'static str,
    /// What was being done, such as `Scheduling`.
    pub(super) action: &'static str,
    /// Sentence for people.
    pub(super) note: &'a str,
}

/// Writes events of one controller.
pub(super) struct Recorder {
    clock: Clock,
    component: &'static str,
}

impl Recorder {
    pub(super) fn new(clock: Clock, component: &'static str) -> Self {
        Self { clock, component }
    }

    /// The time, for what the controller writes itself.
    pub(super) fn now(&self) -> String {
        seconds(&self.clock)
    }

    /// Records what happened to an object. The same thing again counts up; a failure is only
    /// logged, because an event is nobody's duty.
    pub(super) fn record(
        &self,
        objects: &dyn Objects,
        kind: &Kind,
        object: &Object,
        happening: Happening<'_>,
    ) {
        let kinds = objects.kinds();
        let Some(events) = kinds.resource("", "events") else {
            return;
        };
        let namespace = match object.meta("namespace") {
            "" => "default",
            namespace => namespace,
        };
        let note = shortened(happening.note);
        let name = self.event_name(object, happening.reason, &note);
        let now = (self.clock)();
        let micro = now.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let repeated = objects.change(events, namespace, &name, &mut |event| {
            let count = event
                .pointer("/series/count")
                .and_then(Value::as_i64)
                .unwrap_or(1);
            event["series"] =
                json!({ "count": count.saturating_add(1), "lastObservedTime": micro });
        });
        let result = match repeated {
            Ok(Some(_)) => return,
            Err(status) => Err(status),
            Ok(None) => objects
                .create(
                    events,
                    namespace,
                    json!({
                        "apiVersion": "v1",
                        "kind": "Event",
                        "metadata": { "name": name, "namespace": namespace },
                        "involvedObject": reference(kind, object),
                        "reason": happening.reason,
                        "message": note,
                        "type": match happening.severity {
                            Severity::Normal => "Normal",
                            Severity::Warning => "Warning",
                        },
                        "action": happening.action,
                        "eventTime": micro,
                        "firstTimestamp": null,
                        "lastTimestamp": null,
                        "reportingComponent": self.component,
                        "reportingInstance": self.component,
                        "source": {},
                    }),
                )
                .map(drop),
        };
        if let Err(status) = result {
            // Usually the namespace is on its way out.
            tracing::debug!(%status, reason = happening.reason, "Could not record an event");
        }
    }

    /// A name that the same event has again: the object's, and a hash of the rest.
    fn event_name(&self, object: &Object, reason: &str, note: &str) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let parts = [self.component, object.meta("uid"), reason, note];
        for byte in parts.join("\n").bytes() {
            hash ^= u64::from(byte);
            hash = hash.wrapping_mul(0x0100_0000_01b3);
        }
        format!("{}.{hash:016x}", object.meta("name"))
    }
}

fn reference(kind: &Kind, object: &Object) -> Value {
    let mut reference = json!({
        "apiVersion": kind.api_version(),
        "kind": kind.kind,
        "name": object.meta("name"),
        "resourceVersion": object.meta("resourceVersion"),
        "uid": object.meta("uid"),
    });
    if kind.namespaced {
        reference["namespace"] = object.meta("namespace").into();
    }
    reference
}

fn shortened(note: &str) -> String {
    const MORE: &str = " ...";
    if note.len() <= NOTE_BYTES {
        return note.to_owned();
    }
    let mut end = NOTE_BYTES - MORE.len();
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MORE}", &note[..end])
}
