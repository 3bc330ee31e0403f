//! Whether a pod can run on a node, and why not, in the words of the real scheduler.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::amounts::Amounts;
use super::demand::{Demand, text};
use super::nodes::{Cluster, Node};
use super::terms::matches;
use crate::control::selector::Labels;

/// Why a pod cannot run on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// One for each thing that lacks.
    pub(super) reasons: Vec<Cow<'static, str>>,
    /// Whether it could, if fewer pods were there.
    pub(super) crowded: bool,
    /// Whether it is about ports, which differ between pods that are otherwise alike.
    pub(super) ports: bool,
}

impl Misfit {
    fn never(reason: &'static str) -> Self {
        Self {
            reasons: vec![Cow::Borrowed(reason)],
            crowded: false,
            ports: false,
        }
    }

    fn now(reason: &'static str) -> Self {
        Self {
            crowded: true,
            ..Self::never(reason)
        }
    }
}

/// Checks a node for a pod; the counts of its terms must be prepared.
pub(super) fn check(cluster: &Cluster, node: &Node, pod: &Demand) -> Result<(), Misfit> {
    let unschedulable =
        || json!({ "key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule" });
    if node.unschedulable && !pod.tolerates(&unschedulable()) {
        return Err(Misfit::never("node(s) were unschedulable"));
    }
    let untolerated = node.taints.iter().any(|taint| {
        matches!(text(&taint["effect"]), "NoSchedule" | "NoExecute") && !pod.tolerates(taint)
    });
    if untolerated {
        return Err(Misfit::never("node(s) had untolerated taint(s)"));
    }
    if !is_selected(node, pod) {
        return Err(Misfit::never(
            "node(s) didn't match Pod's node affinity/selector",
        ));
    }
    if !node.load.has_free(&pod.ports) {
        return Err(Misfit {
            ports: true,
            ..Misfit::now("node(s) didn't have free ports for the requested pod ports")
        });
    }
    check_room(node, pod)?;
    check_company(cluster, node, pod)
}

fn is_selected(node: &Node, pod: &Demand) -> bool {
    let mut labels = pod.selector.iter();
    labels.all(|(key, value)| node.labels().get(key) == Some(value.as_str()))
        && pod
            .node_terms
            .as_ref()
            .is_none_or(|terms| terms.iter().any(|term| matches_term(node, term)))
}

/// Whether a node matches a term of a node selector; an empty one matches none.
pub(super) fn matches_term(node: &Node, term: &Value) -> bool {
    let list = |field: &str| term[field].as_array().map_or(&[][..], Vec::as_slice);
    let (expressions, fields) = (list("matchExpressions"), list("matchFields"));
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    // The name is the only field.
    let name = json!({ "metadata": { "labels": { "metadata.name": node.name() } } });
    expressions
        .iter()
        .all(|expression| node.labels().match_expression(expression))
        && fields
            .iter()
            .all(|field| Labels::of(&name).match_expression(field))
}

fn check_room(node: &Node, pod: &Demand) -> Result<(), Misfit> {
    let mut reasons: Vec<Cow<'static, str>> = Vec::new();
    let mut crowded = true;
    if node.load.pods + 1 > node.capacity {
        reasons.push(Cow::Borrowed("Too many pods"));
    }
    let (all, used, wanted) = (&node.allocatable, &node.load.requests, &pod.requests);
    let mut lacks = |all: i64, used: i64, wanted: i64| {
        let lacks = wanted > 0 && wanted > all.saturating_sub(used);
        crowded &= !lacks || wanted <= all;
        lacks
    };
    if lacks(all.cpu, used.cpu, wanted.cpu) {
        reasons.push(Cow::Borrowed("Insufficient cpu"));
    }
    if lacks(all.memory, used.memory, wanted.memory) {
        reasons.push(Cow::Borrowed("Insufficient memory"));
    }
    for (name, wanted) in &wanted.others {
        let of = |amounts: &Amounts| amounts.others.get(name).copied().unwrap_or(0);
        if lacks(of(all), of(used), *wanted) {
            reasons.push(Cow::Owned(format!("Insufficient {name}")));
        }
    }
    if reasons.is_empty() {
        return Ok(());
    }
    Err(Misfit {
        reasons,
        crowded,
        ports: false,
    })
}

/// Checks the pods that run near.
fn check_company(cluster: &Cluster, node: &Node, pod: &Demand) -> Result<(), Misfit> {
    for term in &pod.together {
        let counts = cluster.terms.of(term);
        let near = counts.and_then(|counts| counts.near(node));
        let is_met = near.is_some_and(|near| {
            // The first of a group that wants to be together may begin anywhere.
            near > 0 || (counts.is_some_and(|counts| counts.total == 0) && matches(term, pod))
        });
        if !is_met {
            return Err(Misfit::never("node(s) didn't match pod affinity rules"));
        }
    }
    for term in &pod.apart {
        let near = cluster.terms.of(term).and_then(|counts| counts.near(node));
        if near.is_some_and(|near| near > 0) {
            return Err(Misfit::now("node(s) didn't match pod anti-affinity rules"));
        }
    }
    for other in cluster.shy() {
        let Some(home) = cluster.node(&other.node) else {
            continue;
        };
        let keeps_away = other.apart.iter().any(|term| {
            let here = node.domain(&term.topology);
            here.is_some() && here == home.domain(&term.topology) && matches(term, pod)
        });
        if keeps_away {
            return Err(Misfit::now(
                "node(s) didn't satisfy existing pods anti-affinity rules",
            ));
        }
    }
    Ok(())
}
