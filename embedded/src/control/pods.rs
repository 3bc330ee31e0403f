//! Pods that nobody will end: those whose node is gone, and those that are deleted before they
//! had a node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::drive::{Controller, Next};
use super::edit::{is_deleting, seconds, set_condition};
use super::queue::Queue;
use crate::Clock;
use crate::kinds::Kind;
use crate::object::{Object, meta};
use crate::objects::{Change, Deletion, Objects};
use crate::status::Status;

/// Namespace and name of a pod.
type Pod = (String, String);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    /// See whether a node is back.
    Node(String),
    /// End a pod that is deleted and has no node.
    Unbound(Pod),
}

/// Ends pods.
pub(super) struct Sweeper {
    clock: Clock,
    absence: Duration,
    /// Pods by node.
    pods: BTreeMap<String, BTreeSet<Pod>>,
    nodes: BTreeSet<String>,
    queue: Queue<Task>,
}

impl Sweeper {
    pub(super) fn new(clock: Clock, absence: Duration) -> Self {
        Self {
            clock,
            absence,
            pods: BTreeMap::new(),
            nodes: BTreeSet::new(),
            queue: Queue::default(),
        }
    }

    fn take_in(&mut self, pod: &Object, now: Instant) {
        let node = node_of(pod.value());
        if !node.is_empty() {
            self.pods
                .entry(node.to_owned())
                .or_default()
                .insert(name_of(pod));
            if !self.nodes.contains(node) {
                self.queue
                    .add(Task::Node(node.to_owned()), now + self.absence);
            }
        } else if is_deleting(pod.value()) {
            self.queue.add(Task::Unbound(name_of(pod)), now);
        }
    }

    fn take_out(&mut self, pod: &Object) {
        let node = node_of(pod.value());
        if let Some(pods) = self.pods.get_mut(node) {
            pods.remove(&name_of(pod));
            if pods.is_empty() {
                self.pods.remove(node);
            }
        }
    }

    fn perform(&self, objects: &dyn Objects, task: &Task) -> Result<(), Status> {
        let kinds = objects.kinds();
        let (Some(nodes), Some(pods)) = (kinds.resource("", "nodes"), kinds.resource("", "pods"))
        else {
            return Ok(());
        };
        match task {
            Task::Node(node) => {
                if objects.get(nodes, "", node).is_some() {
                    return Ok(());
                }
                for pod in self.pods.get(node).into_iter().flatten() {
                    let lost = json!({
                        "type": "DisruptionTarget",
                        "status": "True",
                        "reason": "DeletionByPodGC",
                        "message": "PodGC: node no longer exists",
                        "lastProbeTime": null,
                    });
                    self.end(objects, pods, pod, node, Some(&lost))?;
                }
                Ok(())
            }
            Task::Unbound(pod) => self.end(objects, pods, pod, "", None),
        }
    }

    /// Marks a pod as failed, for those who watch it, and removes it at once.
    fn end(
        &self,
        objects: &dyn Objects,
        kind: &Arc<Kind>,
        (namespace, name): &Pod,
        node: &str,
        condition: Option<&Value>,
    ) -> Result<(), Status> {
        let mut is_it = false;
        let now = seconds(&self.clock);
        let pod = objects.change(kind, namespace, name, &mut |pod| {
            is_it = node_of(pod) == node && (!node.is_empty() || is_deleting(pod));
            let phase = pod["status"]["phase"].as_str().unwrap_or_default();
            if !is_it || phase == "Succeeded" || phase == "Failed" {
                return;
            }
            let generation = pod["metadata"]["generation"].clone();
            if let Some(mut condition) = condition.cloned() {
                condition["observedGeneration"] = generation.clone();
                set_condition(pod, &condition, &now);
            }
            pod["status"]["phase"] = "Failed".into();
            pod["status"]["observedGeneration"] = generation;
        })?;
        let Some(pod) = pod.filter(|_| is_it) else {
            return Ok(());
        };
        tracing::info!(namespace, name, node, "Removed a pod that nobody runs");
        let deletion = Deletion {
            uid: Some(pod.meta("uid").to_owned()),
            grace_period_seconds: Some(0),
            ..Deletion::default()
        };
        match objects.delete(kind, namespace, name, &deletion) {
            Err(status) if status.code == 404 => Ok(()),
            other => other,
        }
    }
}

fn node_of(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

fn name_of(pod: &Object) -> Pod {
    (
        meta(pod.value(), "namespace").to_owned(),
        pod.meta("name").to_owned(),
    )
}

impl Controller for Sweeper {
    fn name(&self) -> &'static str {
        "sweeper of pods"
    }

    fn start(&mut self, objects: &dyn Objects, now: Instant) {
        self.pods.clear();
        self.queue = Queue::default();
        let kinds = objects.kinds();
        let all = |resource| {
            let kind = kinds.resource("", resource);
            kind.map_or_else(Vec::new, |kind| objects.list(kind, None))
        };
        self.nodes = all("nodes")
            .iter()
            .map(|node| node.meta("name").to_owned())
            .collect();
        for pod in all("pods") {
            self.take_in(&pod, now);
        }
    }

    fn observe(&mut self, change: &Change, now: Instant) {
        if !change.kind.group.is_empty() {
            return;
        }
        match (change.kind.plural.as_str(), &change.before, &change.after) {
            ("nodes", _, Some(node)) => {
                let name = node.meta("name").to_owned();
                self.queue.cancel(&Task::Node(name.clone()));
                self.nodes.insert(name);
            }
            ("nodes", Some(node), None) => {
                let name = node.meta("name").to_owned();
                self.nodes.remove(&name);
                if self.pods.contains_key(&name) {
                    self.queue.add(Task::Node(name), now + self.absence);
                }
            }
            ("pods", before, after) => {
                if let Some(before) = before {
                    self.take_out(before);
                }
                if let Some(after) = after {
                    self.take_in(after, now);
                }
            }
            _ => {}
        }
    }

    fn work(&mut self, objects: &dyn Objects, now: Instant) -> Next {
        while let Some(task) = self.queue.take(now) {
            match self.perform(objects, &task) {
                Ok(()) => self.queue.succeed(&task),
                Err(status) => {
                    tracing::warn!(%status, "Could not end a pod; trying again");
                    self.queue.retry(task, now);
                }
            }
        }
        self.queue.next().into()
    }
}
