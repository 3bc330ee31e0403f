//! How many pods match the terms of pod affinities, by topology: counted once, then kept up to
//! date, because thousands of pods share a term.

use std::collections::BTreeMap;

use serde_json::Value;

use super::demand::{Demand, Term, text};
use super::nodes::Node;
use crate::control::selector::Labels;

/// Terms that are kept; the next one makes all be counted anew.
const TERMS: usize = 64;

/// Pods that match a term.
#[derive(Debug)]
pub(super) struct Counts {
    term: Term,
    /// By value of the topology label.
    domains: BTreeMap<String, i64>,
    pub(super) total: i64,
}

impl Counts {
    fn count(&mut self, pod: &Demand, node: &Node, change: i64) {
        let Some(domain) = node.domain(&self.term.topology) else {
            return;
        };
        if !matches(&self.term, pod) {
            return;
        }
        self.total += change;
        if let Some(count) = self.domains.get_mut(domain) {
            *count += change;
        } else {
            self.domains.insert(domain.to_owned(), change);
        }
    }

    /// Pods near a node; none if the node is nowhere.
    pub(super) fn near(&self, node: &Node) -> Option<i64> {
        let domain = node.domain(&self.term.topology)?;
        Some(self.domains.get(domain).copied().unwrap_or(0))
    }
}

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Terms {
    counts: BTreeMap<String, Counts>,
}

impl Terms {
    pub(super) fn clear(&mut self) {
        self.counts.clear();
    }

    /// Counts a pod that came to a node, or (-1) went from it.
    pub(super) fn count(&mut self, pod: &Demand, node: &Node, change: i64) {
        for counts in self.counts.values_mut() {
            counts.count(pod, node, change);
        }
    }

    /// Makes room for so many terms of one pod.
    pub(super) fn make_room(&mut self, terms: usize) {
        if self.counts.len() + terms > TERMS {
            self.counts.clear();
        }
    }

    /// Counts all pods for a term, unless that was done.
    pub(super) fn prepare<'a, I>(&mut self, term: &Term, pods: impl FnOnce() -> I)
    where
        I: Iterator<Item = (&'a Demand, &'a Node)>,
    {
        if self.counts.contains_key(&term.key) {
            return;
        }
        let mut counts = Counts {
            term: term.clone(),
            domains: BTreeMap::new(),
            total: 0,
        };
        for (pod, node) in pods() {
            counts.count(pod, node, 1);
        }
        self.counts.insert(term.key.clone(), counts);
    }

    /// Pods that match a term; none unless it was prepared.
    pub(super) fn of(&self, term: &Term) -> Option<&Counts> {
        self.counts.get(&term.key)
    }
}

/// Whether a pod matches a term. A selector of namespaces matches all of them if it is empty,
/// and none otherwise.
pub(super) fn matches(term: &Term, pod: &Demand) -> bool {
    let namespaces = term.value["namespaces"].as_array();
    let namespaces = namespaces.map_or(&[][..], Vec::as_slice);
    let selector = term
        .value
        .get("namespaceSelector")
        .and_then(Value::as_object);
    let of = pod.namespace();
    let here = match selector {
        Some(selector) if selector.is_empty() => true,
        None if namespaces.is_empty() => of == term.namespace,
        _ => namespaces.iter().any(|known| text(known) == of),
    };
    here && Labels::of(pod.object.value()).match_selector(&term.value["labelSelector"])
}
