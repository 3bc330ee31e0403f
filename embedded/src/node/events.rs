//! Events about pods, as the kubelet records them: one object for the same thing said often.
//!
//! Nothing waits for an event. What does not fit into the queue is dropped and counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Clock;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tokio::sync::mpsc;

/// Events that may wait to be written.
const QUEUE: usize = 1024;
/// Events that are remembered, so that a repetition counts up.
const REMEMBERED: usize = 1024;

/// What happened to a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Note {
    namespace: String,
    pod: String,
    uid: String,
    /// Which container it is about, as the path of a field; empty for the pod.
    field: String,
    warning: bool,
    reason: &'static str,
    message: String,
}

/// Records events about pods.
#[derive(Debug)]
pub(super) struct Recorder {
    queue: mpsc::Sender<Note>,
    dropped: AtomicU64,
}

impl Recorder {
    /// A recorder, and what its [`run`] needs.
    pub(super) fn new() -> (Self, mpsc::Receiver<Note>) {
        let (queue, notes) = mpsc::channel(QUEUE);
        let recorder = Self {
            queue,
            dropped: AtomicU64::new(0),
        };
        (recorder, notes)
    }

    /// Records something that is as it should be.
    pub(super) fn normal(
        &self,
        pod: &Pod,
        container: Option<&str>,
        reason: &'static str,
        message: String,
    ) {
        self.record(note(pod, container, (false, reason, message)));
    }

    /// Records something that is not.
    pub(super) fn warning(
        &self,
        pod: &Pod,
        container: Option<&str>,
        reason: &'static str,
        message: String,
    ) {
        self.record(note(pod, container, (true, reason, message)));
    }

    fn record(&self, note: Note) {
        if self.queue.try_send(note).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::debug!(dropped, "Event was dropped");
        }
    }
}

fn note(
    pod: &Pod,
    container: Option<&str>,
    (warning, reason, message): (bool, &'static str, String),
) -> Note {
    let meta = &pod.metadata;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Note {
        namespace: text(&meta.namespace),
        pod: text(&meta.name),
        uid: text(&meta.uid),
        field: container.map(|name| field(pod, name)).unwrap_or_default(),
        warning,
        reason,
        message,
    }
}

fn field(pod: &Pod, container: &str) -> String {
    let is_init = pod.spec.as_ref().is_some_and(|spec| {
        let mut inits = spec.init_containers.iter().flatten();
        inits.any(|init| init.name == container)
    });
    let list = if is_init {
        "initContainers"
    } else {
        "containers"
    };
    format!("spec.{list}{{{container}}}")
}

/// Writes events until the recorder is gone.
pub(super) async fn run(
    client: Client,
    node: String,
    clock: Clock,
    mut notes: mpsc::Receiver<Note>,
) {
    let mut known: BTreeMap<Note, (String, i32)> = BTreeMap::new();
    let mut order: VecDeque<Note> = VecDeque::new();
    let mut number: u64 = 0;
    while let Some(note) = notes.recv().await {
        let now = Time(clock());
        let api: Api<Event> = Api::namespaced(client.clone(), &note.namespace);
        if let Some((name, count)) = known.get_mut(&note) {
            *count += 1;
            let patch = serde_json::json!({ "count": *count, "lastTimestamp": now });
            let patched = api
                .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
                .await;
            match patched {
                Ok(_) => continue,
                // It has expired: begin anew.
                Err(kube::Error::Api(status)) if status.is_not_found() => {
                    known.remove(&note);
                }
                Err(error) => {
                    tracing::debug!(%error, "Event was not written");
                    continue;
                }
            }
        }
        number += 1;
        let unique = u64::try_from(now.0.as_nanosecond()).unwrap_or_default();
        let name = format!("{}.{:x}", note.pod, unique.wrapping_add(number));
        let event = event(&note, &name, &node, &now);
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => {
                order.retain(|old| *old != note);
                order.push_back(note.clone());
                known.insert(note, (name, 1));
                if order.len() > REMEMBERED
                    && let Some(oldest) = order.pop_front()
                {
                    known.remove(&oldest);
                }
            }
            // Namespaces go, and their pods' last events with them.
            Err(error) => tracing::debug!(%error, "Event was not written"),
        }
    }
}

fn event(note: &Note, name: &str, host: &str, now: &Time) -> Event {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Event {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(note.namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: some(&note.namespace),
            name: some(&note.pod),
            uid: some(&note.uid),
            field_path: some(&note.field),
            ..ObjectReference::default()
        },
        reason: some(note.reason),
        message: some(&note.message),
        type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
        count: Some(1),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now.clone()),
        source: Some(EventSource {
            component: Some("kubelet".to_owned()),
            host: some(host),
        }),
        reporting_component: Some("kubelet".to_owned()),
        reporting_instance: some(host),
        ..Event::default()
    }
}
