//! Which of the nodes that fit is best: in company that the pod prefers, else with the most room.

use serde_json::Value;

use super::demand::{Demand, text};
use super::fit::matches_term;
use super::nodes::{Cluster, Node};
use super::terms::Counts;

/// The highest mark that one aspect gives.
const FULL: i64 = 100;

/// The name of the best node; of equals, the first by name.
pub(super) fn best<'a>(cluster: &Cluster, nodes: &[&'a Node], pod: &Demand) -> Option<&'a str> {
    let counts: Vec<(i64, &Counts)> = pod
        .company
        .iter()
        .filter_map(|term| Some((term.weight, cluster.terms.of(term)?)))
        .collect();
    let company = spread(&marks(nodes, |node| company(node, &counts)));
    let wish = spread_from_zero(&marks(nodes, |node| wish(node, pod)));
    let taints = spread_from_zero(&marks(nodes, |node| unwelcome(node, pod)));
    let mut best: Option<(i64, &Node)> = None;
    for (index, node) in nodes.iter().enumerate() {
        let of = |marks: &[i64]| marks.get(index).copied().unwrap_or(0);
        // Weights as in a real cluster.
        let mark = 2 * of(&company) + 2 * of(&wish) + 3 * (FULL - of(&taints)) + room(node, pod);
        if best.is_none_or(|(known, _)| mark > known) {
            best = Some((mark, node));
        }
    }
    best.map(|(_, node)| node.name())
}

fn marks(nodes: &[&Node], mark: impl Fn(&Node) -> i64) -> Vec<i64> {
    nodes.iter().map(|node| mark(node)).collect()
}

/// From the lowest (0) to the highest (100).
fn spread(marks: &[i64]) -> Vec<i64> {
    let lowest = marks.iter().copied().min().unwrap_or(0);
    let highest = marks.iter().copied().max().unwrap_or(0);
    let range = highest.saturating_sub(lowest);
    let each = marks.iter().map(|mark| {
        if range == 0 {
            0
        } else {
            mark.saturating_sub(lowest).saturating_mul(FULL) / range
        }
    });
    each.collect()
}

/// From nothing (0) to the highest (100).
fn spread_from_zero(marks: &[i64]) -> Vec<i64> {
    let highest = marks.iter().copied().max().unwrap_or(0);
    let each = marks.iter().map(|mark| {
        if highest <= 0 {
            0
        } else {
            mark.saturating_mul(FULL) / highest
        }
    });
    each.collect()
}

/// Pods near the node that the pod wants to be with, less those that it wants to avoid.
fn company(node: &Node, counts: &[(i64, &Counts)]) -> i64 {
    let near = counts.iter().map(|(weight, counts)| {
        let near = counts.near(node).unwrap_or(0);
        weight.saturating_mul(near)
    });
    near.fold(0, i64::saturating_add)
}

/// How much the pod wants this node.
fn wish(node: &Node, pod: &Demand) -> i64 {
    let wishes = pod.wishes.iter();
    wishes
        .filter(|weighted| matches_term(node, &weighted["preference"]))
        .map(weight)
        .sum()
}

fn weight(weighted: &Value) -> i64 {
    weighted["weight"].as_i64().unwrap_or(0)
}

/// How many taints ask the pod to go elsewhere.
fn unwelcome(node: &Node, pod: &Demand) -> i64 {
    let taints = node
        .taints
        .iter()
        .filter(|taint| text(&taint["effect"]) == "PreferNoSchedule" && !pod.tolerates(taint));
    i64::try_from(taints.count()).unwrap_or(FULL)
}

/// What would be left, in hundredths: the mean of processor and memory.
fn room(node: &Node, pod: &Demand) -> i64 {
    let left = |all: i64, used: i64, wanted: i64| {
        let left = all.saturating_sub(used).saturating_sub(wanted);
        if all <= 0 || left <= 0 {
            0
        } else {
            // Memory in bytes would overflow when it is multiplied.
            i64::try_from(i128::from(left) * i128::from(FULL) / i128::from(all)).unwrap_or(0)
        }
    };
    let (all, load, own) = (&node.allocatable, node.load.weight, pod.weight);
    i64::midpoint(
        left(all.cpu, load.0, own.0),
        left(all.memory, load.1, own.1),
    )
}
