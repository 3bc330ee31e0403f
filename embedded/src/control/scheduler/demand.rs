//! What a pod needs of a node, read once from the pod.

use std::sync::Arc;

use serde_json::Value;

use super::amounts::Amounts;
use super::{PREFERRED, REQUIRED};
use crate::object::Object;

/// The scheduler that pods get if they name none.
const SCHEDULER: &str = "default-scheduler";
/// What a container that asks for nothing counts for, when nodes are compared.
const USUAL_MILLICORES: i64 = 100;
const USUAL_MEMORY: i64 = 200 * 1024 * 1024;

/// A port of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort {
    pub(super) port: i64,
    pub(super) protocol: String,
    /// Address on which it is opened; none for all.
    pub(super) address: Option<String>,
}

impl HostPort {
    /// Whether two cannot be open at once.
    pub(super) fn conflicts(&self, other: &Self) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address.is_none() || other.address.is_none() || self.address == other.address)
    }
}

/// A term of a pod affinity.
#[derive(Clone, Debug)]
pub(super) struct Term {
    /// Equal for terms that match the same pods.
    pub(super) key: String,
    pub(super) value: Value,
    /// The label that says where a node is.
    pub(super) topology: String,
    /// Namespace of the pod that has the term.
    pub(super) namespace: String,
    /// How much it is wanted; nothing for what is required.
    pub(super) weight: i64,
}

/// A pod, as far as it matters where it runs.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    pub(super) object: Arc<Object>,
    /// The node that it is bound to; empty if none.
    pub(super) node: String,
    pub(super) requests: Amounts,
    /// Processor and memory that it counts for when nodes are compared.
    pub(super) weight: (i64, i64),
    pub(super) ports: Vec<HostPort>,
    pub(super) priority: i64,
    /// Pods that must be near.
    pub(super) together: Vec<Term>,
    /// Pods that must not be near.
    pub(super) apart: Vec<Term>,
    /// Pods that had better be near, or (with negative weight) had better not.
    pub(super) company: Vec<Term>,
    /// Nodes that would be better, each with `weight` and `preference`.
    pub(super) wishes: Vec<Value>,
    /// Labels that a node must have.
    pub(super) selector: Vec<(String, String)>,
    /// One of which a node must match, if there are any.
    pub(super) node_terms: Option<Vec<Value>>,
    tolerations: Vec<Value>,
    /// Equal for pods that fit the same nodes, apart from ports; empty once it has one.
    pub(super) class: String,
}

impl Demand {
    pub(super) fn of(object: &Arc<Object>) -> Self {
        let spec = &object.value()["spec"];
        let (requests, weight) = requests(spec);
        let affinity = &spec["affinity"];
        let namespace = object.meta("namespace");
        let terms = |kind: &str| {
            let terms = affinity[kind][REQUIRED].as_array().into_iter().flatten();
            terms.map(|term| self::term(term, namespace, 0)).collect()
        };
        let preferred = |kind: &str, sign: i64| {
            let terms = affinity[kind][PREFERRED].as_array().into_iter().flatten();
            terms.map(move |weighted| {
                let weight = weighted["weight"].as_i64().unwrap_or(0);
                term(&weighted["podAffinityTerm"], namespace, sign * weight)
            })
        };
        let node = text(&spec["nodeName"]);
        let class = if node.is_empty() {
            format!(
                "{namespace} {requests:?} {} {affinity} {}",
                spec["nodeSelector"], spec["tolerations"]
            )
        } else {
            String::new()
        };
        let of_nodes = &affinity["nodeAffinity"];
        let selector = spec["nodeSelector"].as_object().into_iter().flatten();
        Self {
            object: object.clone(),
            node: node.to_owned(),
            class,
            requests,
            weight,
            ports: ports(spec),
            priority: spec["priority"].as_i64().unwrap_or(0),
            together: terms("podAffinity"),
            apart: terms("podAntiAffinity"),
            company: preferred("podAffinity", 1)
                .chain(preferred("podAntiAffinity", -1))
                .collect(),
            wishes: list(&of_nodes[PREFERRED]),
            selector: selector
                .map(|(key, value)| (key.clone(), text(value).to_owned()))
                .collect(),
            node_terms: of_nodes[REQUIRED]["nodeSelectorTerms"].as_array().cloned(),
            tolerations: list(&spec["tolerations"]),
        }
    }

    pub(super) fn spec(&self) -> &Value {
        &self.object.value()["spec"]
    }

    pub(super) fn uid(&self) -> &str {
        self.object.meta("uid")
    }

    pub(super) fn namespace(&self) -> &str {
        self.object.meta("namespace")
    }

    /// Whether it takes up room on its node.
    pub(super) fn is_running(&self) -> bool {
        !self.node.is_empty() && !self.is_over()
    }

    fn is_over(&self) -> bool {
        let phase = text(&self.object.value()["status"]["phase"]);
        matches!(phase, "Succeeded" | "Failed")
    }

    /// Whether a node is to be chosen for it.
    pub(super) fn is_waiting(&self) -> bool {
        let spec = self.spec();
        let gates = spec["schedulingGates"].as_array();
        self.node.is_empty()
            && !self.is_over()
            && self.object.meta("deletionTimestamp").is_empty()
            && gates.is_none_or(Vec::is_empty)
            && matches!(text(&spec["schedulerName"]), "" | SCHEDULER)
    }

    /// Whether it tolerates a taint.
    pub(super) fn tolerates(&self, taint: &Value) -> bool {
        self.tolerations.iter().any(|toleration| {
            let effect = text(&toleration["effect"]);
            let key = text(&toleration["key"]);
            let exists = text(&toleration["operator"]) == "Exists";
            (effect.is_empty() || effect == text(&taint["effect"]))
                && (key == text(&taint["key"]) || (key.is_empty() && exists))
                && (exists || text(&toleration["value"]) == text(&taint["value"]))
        })
    }
}

/// A text; empty for anything else.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn term(value: &Value, namespace: &str, weight: i64) -> Term {
    Term {
        key: format!("{namespace} {value}"),
        value: value.clone(),
        topology: text(&value["topologyKey"]).to_owned(),
        namespace: namespace.to_owned(),
        weight,
    }
}

fn containers<'a>(spec: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    spec[list].as_array().into_iter().flatten()
}

/// Init containers that go on running beside the others.
fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

/// The most that a pod ever needs at once: either all that run together, or one that runs before,
/// with the sidecars that were started by then.
fn requests(spec: &Value) -> (Amounts, (i64, i64)) {
    let mut sidecars = Amounts::default();
    let mut most = Amounts::default();
    let mut weight = (0_i64, 0_i64);
    let mut weigh = |own: &Amounts| {
        let or = |amount, usual| if amount == 0 { usual } else { amount };
        weight.0 = weight.0.saturating_add(or(own.cpu, USUAL_MILLICORES));
        weight.1 = weight.1.saturating_add(or(own.memory, USUAL_MEMORY));
    };
    for container in containers(spec, "initContainers") {
        let own = container_requests(container);
        if is_sidecar(container) {
            weigh(&own);
            sidecars.add(&own);
            most.raise(&sidecars);
        } else {
            let mut at_once = own;
            at_once.add(&sidecars);
            most.raise(&at_once);
        }
    }
    let mut together = sidecars;
    for container in containers(spec, "containers") {
        let own = container_requests(container);
        weigh(&own);
        together.add(&own);
    }
    most.raise(&together);
    most.add(&Amounts::of(&spec["overhead"]));
    (most, weight)
}

/// What a container asks for; what it is limited to counts where it asks for nothing.
fn container_requests(container: &Value) -> Amounts {
    let resources = &container["resources"];
    let mut amounts = Amounts::of(&resources["limits"]);
    amounts.overwrite(&resources["requests"]);
    amounts
}

fn ports(spec: &Value) -> Vec<HostPort> {
    let sidecars = containers(spec, "initContainers").filter(|container| is_sidecar(container));
    let all = containers(spec, "containers").chain(sidecars);
    let ports = all
        .filter_map(|container| container["ports"].as_array())
        .flatten();
    ports
        .filter_map(|port| {
            let number = port["hostPort"].as_i64().filter(|port| *port > 0)?;
            let protocol = match text(&port["protocol"]) {
                "" => "TCP",
                protocol => protocol,
            };
            let address = text(&port["hostIP"]);
            Some(HostPort {
                port: number,
                protocol: protocol.to_owned(),
                address: (!matches!(address, "" | "0.0.0.0")).then(|| address.to_owned()),
            })
        })
        .collect()
}
