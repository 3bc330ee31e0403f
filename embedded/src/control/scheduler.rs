//! Chooses nodes for pods, as the default scheduler of Kubernetes does: by selectors, taints,
//! ports, room and company.
//!
//! The state of the nodes is kept up to date by each change, so that a choice costs one look at
//! each node. Pods that are alike fail alike: as long as nothing gets free, one of them is tried
//! for all. What fails is tried again when a node or a pod changes in a way that may help.
//!
//! Not known here: volumes, topology spread, preemption, and selectors of namespaces by label.

mod amounts;
mod demand;
mod fit;
mod nodes;
mod quantity;
mod score;
mod terms;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use self::demand::Demand;
use self::fit::check;
use self::nodes::{Cluster, Node};
use super::drive::{Controller, Next};
use super::edit::{is_deleting, set_condition};
use super::queue::Queue;
use super::recorder::{Happening, Recorder, Severity};
use crate::object::{Object, meta};
use crate::objects::{Change, Objects};
use crate::status::Status;

/// Must hold when a node is chosen.
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
/// Makes a node better.
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Pods looked at before others have their turn.
const PODS_AT_ONCE: usize = 128;
/// What gets free within this time is handed out together.
const PAUSE: Duration = Duration::from_millis(50);

/// What is due later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Later {
    /// Try everything again that did not fit.
    All,
    /// Try a pod again whose write failed.
    Pod(String),
}

/// Where a waiting pod is in the line: higher priority first, then first come, first served.
type Place = (Reverse<i64>, u64, String);

struct Waiting {
    pod: Demand,
    place: Place,
    /// What was told last about why it fits nowhere.
    told: String,
}

/// The scheduler.
pub(super) struct Scheduler {
    recorder: Recorder,
    cluster: Cluster,
    waiting: BTreeMap<String, Waiting>,
    /// Pods to try.
    line: BTreeSet<Place>,
    arrivals: u64,
    /// Uids of waiting pods that must be near others.
    sociable: BTreeSet<String>,
    /// Why pods of a class fit nowhere, as long as nothing gets free.
    failed: BTreeMap<String, String>,
    later: Queue<Later>,
}

impl Scheduler {
    pub(super) fn new(recorder: Recorder) -> Self {
        Self {
            recorder,
            cluster: Cluster::default(),
            waiting: BTreeMap::new(),
            line: BTreeSet::new(),
            arrivals: 0,
            sociable: BTreeSet::new(),
            failed: BTreeMap::new(),
            later: Queue::default(),
        }
    }

    fn take_in(&mut self, object: &Arc<Object>, now: Instant) {
        let pod = Demand::of(object);
        let uid = pod.uid().to_owned();
        let is_known_bound = self.cluster.has_newer(&pod);
        if pod.is_waiting() && !is_known_bound {
            self.line_up(uid, pod);
            return;
        }
        self.forget(&uid);
        let joined = pod.is_running();
        let freed = self.cluster.set_pod(pod);
        if freed || (joined && !self.sociable.is_empty()) {
            self.try_again(now);
        }
    }

    fn line_up(&mut self, uid: String, pod: Demand) {
        if let Some(known) = self.waiting.get_mut(&uid) {
            if known.pod.object.revision() >= pod.object.revision() {
                return;
            }
            let same = known.pod.spec() == pod.spec();
            known.pod = pod;
            if !same {
                let place = known.place.clone();
                self.line.insert(place);
            }
            return;
        }
        let place = (Reverse(pod.priority), self.arrivals, uid.clone());
        self.arrivals += 1;
        self.line.insert(place.clone());
        if !pod.together.is_empty() {
            self.sociable.insert(uid.clone());
        }
        let told = String::new();
        self.waiting.insert(uid, Waiting { pod, place, told });
    }

    fn forget(&mut self, uid: &str) {
        if let Some(waiting) = self.waiting.remove(uid) {
            self.line.remove(&waiting.place);
            self.sociable.remove(uid);
        }
    }

    fn try_again(&mut self, now: Instant) {
        self.failed.clear();
        if self.waiting.len() > self.line.len() {
            self.later.add(Later::All, now + PAUSE);
        }
    }

    /// Chooses a node; the error says why there is none.
    fn choose(&mut self, pod: &Demand) -> Result<String, String> {
        if let Some(why) = self.failed.get(&pod.class) {
            return Err(why.clone());
        }
        self.cluster.prepare(pod);
        let mut fitting: Vec<&Node> = Vec::new();
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        let (mut crowded, mut ports) = (0_usize, false);
        for node in self.cluster.nodes() {
            match check(&self.cluster, node, pod) {
                Ok(()) => fitting.push(node),
                Err(misfit) => {
                    for reason in misfit.reasons {
                        *reasons.entry(reason.into_owned()).or_default() += 1;
                    }
                    crowded += usize::from(misfit.crowded);
                    ports |= misfit.ports;
                }
            }
        }
        if let Some(node) = score::best(&self.cluster, &fitting, pod) {
            return Ok(node.to_owned());
        }
        let why = explain(self.cluster.count(), &reasons, crowded);
        let depends_on_others = !pod.together.is_empty() || self.cluster.shy().next().is_some();
        if !ports && !depends_on_others {
            self.failed.insert(pod.class.clone(), why.clone());
        }
        Err(why)
    }

    fn schedule(&mut self, objects: &dyn Objects, uid: &str, now: Instant) {
        let Some(waiting) = self.waiting.get(uid) else {
            return;
        };
        let pod = waiting.pod.clone();
        let result = match self.choose(&pod) {
            Ok(node) => self.bind(objects, &pod, &node),
            Err(why) => self.refuse(objects, &pod, &why),
        };
        let later = Later::Pod(uid.to_owned());
        match result {
            Ok(()) => self.later.succeed(&later),
            Err(status) => {
                tracing::warn!(%status, "Could not write the choice of a node; trying again");
                self.later.retry(later, now);
            }
        }
    }

    fn bind(&mut self, objects: &dyn Objects, pod: &Demand, node: &str) -> Result<(), Status> {
        let kinds = objects.kinds();
        let Some(kind) = kinds.resource("", "pods") else {
            return Ok(());
        };
        let now = self.recorder.now();
        let (namespace, name) = (pod.namespace(), pod.object.meta("name"));
        let mut bound = false;
        let written = objects.change(kind, namespace, name, &mut |object| {
            let is_free = object["spec"]["nodeName"].as_str().unwrap_or("").is_empty();
            bound = is_free && is_same(object, pod) && !is_deleting(object);
            if !bound {
                return;
            }
            object["spec"]["nodeName"] = node.into();
            let condition = json!({
                "type": "PodScheduled",
                "status": "True",
                "lastProbeTime": null,
                "observedGeneration": object["metadata"]["generation"],
            });
            set_condition(object, &condition, &now);
        })?;
        // If it was not bound, the change that says why is on its way.
        self.forget(pod.uid());
        let Some(written) = written.filter(|_| bound) else {
            return Ok(());
        };
        tracing::debug!(namespace, name, node, "Bound a pod");
        self.cluster.set_pod(Demand::of(&written));
        let text = format!("Successfully assigned {namespace}/{name} to {node}");
        let happening = Happening {
            severity: Severity::Normal,
            reason: "Scheduled",
            action: "Binding",
            note: &text,
        };
        self.recorder.record(objects, kind, &written, happening);
        Ok(())
    }

    /// Tells that a pod fits nowhere, unless that was told.
    fn refuse(&mut self, objects: &dyn Objects, pod: &Demand, why: &str) -> Result<(), Status> {
        let Some(waiting) = self.waiting.get_mut(pod.uid()) else {
            return Ok(());
        };
        if waiting.told == why {
            return Ok(());
        }
        let kinds = objects.kinds();
        let Some(kind) = kinds.resource("", "pods") else {
            return Ok(());
        };
        let now = self.recorder.now();
        let (namespace, name) = (pod.namespace(), pod.object.meta("name"));
        let mut told_before = false;
        let written = objects.change(kind, namespace, name, &mut |object| {
            if !is_same(object, pod) {
                return;
            }
            let condition = json!({
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": why,
                "lastProbeTime": null,
                "observedGeneration": object["metadata"]["generation"],
            });
            told_before = !set_condition(object, &condition, &now);
        })?;
        why.clone_into(&mut waiting.told);
        if let Some(written) = written.filter(|_| !told_before) {
            let happening = Happening {
                severity: Severity::Warning,
                reason: "FailedScheduling",
                action: "Scheduling",
                note: why,
            };
            self.recorder.record(objects, kind, &written, happening);
        }
        Ok(())
    }

    fn do_later(&mut self, later: &Later) {
        match later {
            Later::All => {
                let places = self.waiting.values().map(|waiting| waiting.place.clone());
                self.line.extend(places);
            }
            Later::Pod(uid) => {
                if let Some(waiting) = self.waiting.get(uid) {
                    self.line.insert(waiting.place.clone());
                }
            }
        }
    }
}

/// Whether an object is still the pod that was looked at.
fn is_same(object: &serde_json::Value, pod: &Demand) -> bool {
    meta(object, "uid") == pod.uid()
}

/// Why a pod fits nowhere, as the real scheduler says it.
fn explain(nodes: usize, reasons: &BTreeMap<String, usize>, crowded: usize) -> String {
    if nodes == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    let list = |mut parts: Vec<String>| {
        parts.sort();
        parts.join(", ")
    };
    let reasons = list(
        reasons
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect(),
    );
    let mut preemption = Vec::new();
    if crowded > 0 {
        preemption.push(format!(
            "{crowded} No preemption victims found for incoming pod"
        ));
    }
    if nodes > crowded {
        preemption.push(format!(
            "{} Preemption is not helpful for scheduling",
            nodes - crowded
        ));
    }
    let preemption = list(preemption);
    format!(
        "0/{nodes} nodes are available: {reasons}. no new claims to deallocate, preemption: \
         0/{nodes} nodes are available: {preemption}."
    )
}

impl Controller for Scheduler {
    fn name(&self) -> &'static str {
        "scheduler"
    }

    fn start(&mut self, objects: &dyn Objects, now: Instant) {
        self.cluster = Cluster::default();
        self.waiting.clear();
        self.line.clear();
        self.sociable.clear();
        self.failed.clear();
        self.later = Queue::default();
        let kinds = objects.kinds();
        let all = |resource| {
            let kind = kinds.resource("", resource);
            kind.map_or_else(Vec::new, |kind| objects.list(kind, None))
        };
        for node in all("nodes") {
            self.cluster.set_node(&node);
        }
        let mut pods = all("pods");
        pods.sort_by_key(|pod| pod.revision());
        for pod in pods {
            self.take_in(&pod, now);
        }
    }

    fn observe(&mut self, change: &Change, now: Instant) {
        if !change.kind.group.is_empty() {
            return;
        }
        match (change.kind.plural.as_str(), &change.before, &change.after) {
            ("nodes", _, Some(node)) => {
                let may_help = self.cluster.set_node(node);
                if may_help {
                    self.try_again(now);
                }
            }
            ("nodes", Some(node), None) => {
                self.cluster.remove_node(node.meta("name"));
                // Nothing fits better, but what is told of the others changes.
                self.try_again(now);
            }
            ("pods", _, Some(pod)) => self.take_in(pod, now),
            ("pods", Some(pod), None) => {
                self.forget(pod.meta("uid"));
                if self.cluster.remove_pod(pod.meta("uid")) {
                    self.try_again(now);
                }
            }
            _ => {}
        }
    }

    fn work(&mut self, objects: &dyn Objects, now: Instant) -> Next {
        while let Some(later) = self.later.take(now) {
            self.do_later(&later);
        }
        for _ in 0..PODS_AT_ONCE {
            let Some((_, _, uid)) = self.line.pop_first() else {
                return self.later.next().into();
            };
            self.schedule(objects, &uid, now);
        }
        Next::Now
    }
}
