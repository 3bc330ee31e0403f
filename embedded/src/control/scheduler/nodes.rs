//! The nodes, and what is left on them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::amounts::Amounts;
use super::demand::{Demand, HostPort};
use super::terms::Terms;
use crate::control::selector::Labels;
use crate::object::Object;

/// A node with what runs on it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) object: Arc<Object>,
    pub(super) allocatable: Amounts,
    /// How many pods it takes.
    pub(super) capacity: i64,
    /// Taints that keep pods away, also that of a node that is not ready.
    pub(super) taints: Vec<Value>,
    pub(super) unschedulable: bool,
    pub(super) load: Load,
}

/// What runs on a node.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    pub(super) pods: i64,
    pub(super) requests: Amounts,
    /// Processor and memory for comparing nodes.
    pub(super) weight: (i64, i64),
    /// Open ports by number: the others cannot conflict.
    ports: BTreeMap<i64, Vec<HostPort>>,
}

impl Load {
    fn add(&mut self, pod: &Demand) {
        self.pods += 1;
        self.requests.add(&pod.requests);
        self.weight.0 = self.weight.0.saturating_add(pod.weight.0);
        self.weight.1 = self.weight.1.saturating_add(pod.weight.1);
        for port in &pod.ports {
            self.ports.entry(port.port).or_default().push(port.clone());
        }
    }

    fn remove(&mut self, pod: &Demand) {
        self.pods -= 1;
        self.requests.subtract(&pod.requests);
        self.weight.0 = self.weight.0.saturating_sub(pod.weight.0);
        self.weight.1 = self.weight.1.saturating_sub(pod.weight.1);
        for port in &pod.ports {
            if let Some(open) = self.ports.get_mut(&port.port) {
                if let Some(place) = open.iter().position(|known| known == port) {
                    open.swap_remove(place);
                }
                if open.is_empty() {
                    self.ports.remove(&port.port);
                }
            }
        }
    }

    /// Whether all ports can be opened.
    pub(super) fn has_free(&self, ports: &[HostPort]) -> bool {
        ports.iter().all(|port| {
            let open = self.ports.get(&port.port);
            open.is_none_or(|open| open.iter().all(|known| !known.conflicts(port)))
        })
    }
}

impl Node {
    fn of(object: &Arc<Object>, load: Load) -> Self {
        let value = object.value();
        let conditions = value["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        let ready = conditions
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        let mut taints = value["spec"]["taints"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if !ready {
            // In a cluster, the node controller sets it.
            taints.push(json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" }));
        }
        let allocatable = Amounts::of(&value["status"]["allocatable"]);
        Self {
            object: object.clone(),
            capacity: allocatable.others.get("pods").copied().unwrap_or(0),
            allocatable,
            taints,
            unschedulable: value["spec"]["unschedulable"] == true,
            load,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.object.meta("name")
    }

    pub(super) fn labels(&self) -> Labels<'_> {
        Labels::of(self.object.value())
    }

    /// Where it is: the value of a topology label. Every node is a host, also one whose labels do
    /// not say so.
    pub(super) fn domain(&self, topology: &str) -> Option<&str> {
        match self.labels().get(topology) {
            None if topology == "kubernetes.io/hostname" => Some(self.name()),
            found => found,
        }
    }

    /// Whether another pod could fit now that the node is as it is.
    fn offers_more_than(&self, before: &Self) -> bool {
        self.allocatable != before.allocatable
            || self.taints != before.taints
            || self.unschedulable != before.unschedulable
            || self.differs_in_labels(before)
    }

    fn differs_in_labels(&self, other: &Self) -> bool {
        let labels = |node: &Self| node.object.value()["metadata"]["labels"].clone();
        labels(self) != labels(other)
    }
}

/// All nodes, and the pods on them.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    nodes: BTreeMap<String, Node>,
    /// Pods that take up room, by uid; on nodes that may not be there.
    pods: BTreeMap<String, Demand>,
    /// Uids of pods that keep others away from their topology.
    shy: BTreeSet<String>,
    pub(super) terms: Terms,
}

impl Cluster {
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    pub(super) fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Whether a newer state of the pod is known, in which it has a node.
    pub(super) fn has_newer(&self, pod: &Demand) -> bool {
        let known = self.pods.get(pod.uid());
        known.is_some_and(|known| known.object.revision() > pod.object.revision())
    }

    /// Pods that keep others away.
    pub(super) fn shy(&self) -> impl Iterator<Item = &Demand> {
        self.shy.iter().filter_map(|uid| self.pods.get(uid))
    }

    /// Takes in a node; true if pods may fit that did not.
    pub(super) fn set_node(&mut self, object: &Arc<Object>) -> bool {
        let name = object.meta("name");
        if let Some(known) = self.nodes.get_mut(name) {
            if known.object.revision() >= object.revision()
                && known.object.meta("uid") == object.meta("uid")
            {
                return false;
            }
            let node = Node::of(object, std::mem::take(&mut known.load));
            let (more, moved) = (node.offers_more_than(known), node.differs_in_labels(known));
            *known = node;
            if moved {
                self.terms.clear();
            }
            return more;
        }
        let mut load = Load::default();
        for pod in self.pods.values().filter(|pod| pod.node == name) {
            load.add(pod);
        }
        self.nodes.insert(name.to_owned(), Node::of(object, load));
        self.terms.clear();
        true
    }

    pub(super) fn remove_node(&mut self, name: &str) {
        self.nodes.remove(name);
        self.terms.clear();
    }

    /// Takes in a pod as it is; true if it freed room.
    pub(super) fn set_pod(&mut self, pod: Demand) -> bool {
        let uid = pod.uid().to_owned();
        if let Some(known) = self.pods.get(&uid)
            && known.object.revision() > pod.object.revision()
        {
            return false;
        }
        if let Some(known) = self.pods.get_mut(&uid)
            && pod.is_running()
            && known.node == pod.node
            && known.requests == pod.requests
            && known.object.value()["metadata"]["labels"]
                == pod.object.value()["metadata"]["labels"]
        {
            // Most changes of a pod are of its status, and change nothing here.
            *known = pod;
            return false;
        }
        let freed = self.remove_pod(&uid);
        if !pod.is_running() {
            return freed;
        }
        if !pod.apart.is_empty() {
            self.shy.insert(uid.clone());
        }
        if let Some(node) = self.nodes.get_mut(&pod.node) {
            node.load.add(&pod);
            self.terms.count(&pod, node, 1);
        }
        self.pods.insert(uid, pod);
        freed
    }

    /// Removes a pod; true if that freed room.
    pub(super) fn remove_pod(&mut self, uid: &str) -> bool {
        let Some(pod) = self.pods.remove(uid) else {
            return false;
        };
        self.shy.remove(uid);
        if let Some(node) = self.nodes.get_mut(&pod.node) {
            node.load.remove(&pod);
            self.terms.count(&pod, node, -1);
        }
        true
    }

    /// Makes the counts of the terms of a pod ready.
    pub(super) fn prepare(&mut self, pod: &Demand) {
        let Self {
            nodes, pods, terms, ..
        } = self;
        terms.make_room(pod.together.len() + pod.apart.len() + pod.company.len());
        for term in pod.together.iter().chain(&pod.apart).chain(&pod.company) {
            terms.prepare(term, || {
                pods.values()
                    .filter_map(|pod| Some((pod, nodes.get(&pod.node)?)))
            });
        }
    }
}
