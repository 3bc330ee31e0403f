//! Servers of one namespace with equal labels, and equal fitness for players with tokens, form a
//! class; classes are found by their labels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::allocation::SelectorState;

use super::order::Order;
use super::{Labels, Name};

pub(super) type ClassId = u64;

/// Servers of one namespace that requests cannot tell apart.
#[derive(Debug)]
pub(crate) struct Class {
    pub(super) namespace: Name,
    labels: Arc<Labels>,
    keyless: bool,
    stock: [Stock; 2],
}

/// The servers of a class in one state.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    /// Those that can be chosen.
    pub(crate) order: Order,
    /// Those with a write in flight.
    pub(crate) reserved: u32,
    /// Those of which a newer version is awaited.
    pub(crate) stale: BTreeSet<Name>,
    /// All of them.
    pub(super) total: u32,
}

impl Class {
    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Whether players with tokens cannot join these servers, see
    /// [`Observed::keyless`](super::Observed).
    pub(crate) const fn is_keyless(&self) -> bool {
        self.keyless
    }

    pub(crate) const fn stock(&self, state: SelectorState) -> &Stock {
        &self.stock[slot(state)]
    }

    pub(super) const fn stock_mut(&mut self, state: SelectorState) -> &mut Stock {
        &mut self.stock[slot(state)]
    }

    pub(super) fn stocks_mut(&mut self) -> impl Iterator<Item = &mut Stock> {
        self.stock.iter_mut()
    }

    pub(super) fn fleet(&self) -> &str {
        self.labels
            .get(crds::meta::FLEET_LABEL)
            .map_or("", String::as_str)
    }
}

const fn slot(state: SelectorState) -> usize {
    match state {
        SelectorState::Ready => 0,
        SelectorState::Allocated => 1,
    }
}

/// The classes of one namespace.
#[derive(Debug, Default)]
struct Scope {
    /// By labels and `keyless`.
    by_labels: BTreeMap<(Arc<Labels>, bool), ClassId>,
    by_label: BTreeMap<String, BTreeMap<String, BTreeSet<ClassId>>>,
}

/// All classes.
#[derive(Debug, Default)]
pub(super) struct Classes {
    by_id: BTreeMap<ClassId, Class>,
    scopes: BTreeMap<Name, Scope>,
    next: ClassId,
}

impl Classes {
    /// The class of these servers, made if there is none yet.
    pub(super) fn intern(&mut self, namespace: &Name, labels: Labels, keyless: bool) -> ClassId {
        let scope = self.scopes.entry(namespace.clone()).or_default();
        let place = (Arc::new(labels), keyless);
        if let Some(id) = scope.by_labels.get(&place) {
            return *id;
        }
        let labels = &place.0;
        let id = self.next;
        self.next += 1;
        for (key, value) in labels.iter() {
            let values = scope.by_label.entry(key.clone()).or_default();
            values.entry(value.clone()).or_default().insert(id);
        }
        let labels = Arc::clone(labels);
        scope.by_labels.insert(place, id);
        let namespace = namespace.clone();
        self.by_id.insert(
            id,
            Class {
                namespace,
                labels,
                keyless,
                stock: <[Stock; 2]>::default(),
            },
        );
        id
    }

    /// Forgets a class without servers.
    pub(super) fn drop_empty(&mut self, id: ClassId) {
        let Some(class) = self.by_id.get(&id) else {
            return;
        };
        if class.stock.iter().any(|stock| stock.total > 0) {
            return;
        }
        if let Some(scope) = self.scopes.get_mut(&class.namespace) {
            let place = (Arc::clone(&class.labels), class.keyless);
            scope.by_labels.remove(&place);
            for (key, value) in class.labels.iter() {
                let Some(values) = scope.by_label.get_mut(key) else {
                    continue;
                };
                if let Some(ids) = values.get_mut(value) {
                    ids.remove(&id);
                    if ids.is_empty() {
                        values.remove(value);
                    }
                }
                if values.is_empty() {
                    scope.by_label.remove(key);
                }
            }
            if scope.by_labels.is_empty() {
                self.scopes.remove(&class.namespace);
            }
        }
        self.by_id.remove(&id);
    }

    pub(super) fn get_mut(&mut self, id: ClassId) -> Option<&mut Class> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Class> {
        self.by_id.values()
    }

    /// The classes with one label.
    pub(super) fn with_label(
        &self,
        namespace: &str,
        key: &str,
        value: &str,
    ) -> Option<&BTreeSet<ClassId>> {
        self.scopes.get(namespace)?.by_label.get(key)?.get(value)
    }

    /// The classes under the rarest of the labels; all of the namespace without labels.
    pub(super) fn candidates<'a>(
        &'a self,
        namespace: &str,
        labels: &Labels,
    ) -> Box<dyn Iterator<Item = &'a Class> + 'a> {
        let Some(scope) = self.scopes.get(namespace) else {
            return Box::new(std::iter::empty());
        };
        let resolve = |id: &ClassId| self.by_id.get(id);
        if labels.is_empty() {
            return Box::new(scope.by_labels.values().filter_map(resolve));
        }
        let mut rarest: Option<&BTreeSet<ClassId>> = None;
        for (key, value) in labels {
            let Some(found) = self.with_label(namespace, key, value) else {
                return Box::new(std::iter::empty());
            };
            if rarest.is_none_or(|known| found.len() < known.len()) {
                rarest = Some(found);
            }
        }
        Box::new(rarest.into_iter().flatten().filter_map(resolve))
    }
}
