//! Servers of one namespace with equal labels, entry for players, and in a match or not, form a
//! class; classes are found by their labels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::allocation::SelectorState;

use super::order::Order;
use super::{Entry, Labels, Name};

pub(super) type ClassId = u64;

/// Servers of one namespace that requests cannot tell apart.
#[derive(Debug)]
pub(crate) struct Class {
    pub(super) namespace: Name,
    kind: Kind,
    stock: [Stock; 2],
}

/// What requests tell servers of one namespace apart by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) labels: Arc<Labels>,
    pub(super) entry: Entry,
    pub(super) has_request: bool,
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
        &self.kind.labels
    }

    /// How players get into these servers.
    pub(crate) const fn entry(&self) -> Entry {
        self.kind.entry
    }

    /// Whether these servers carry request ids.
    pub(crate) const fn has_request(&self) -> bool {
        self.kind.has_request
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
        self.kind
            .labels
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
    by_kind: BTreeMap<Kind, ClassId>,
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
    pub(super) fn intern(&mut self, namespace: &Name, kind: Kind) -> ClassId {
        let scope = self.scopes.entry(namespace.clone()).or_default();
        if let Some(id) = scope.by_kind.get(&kind) {
            return *id;
        }
        let id = self.next;
        self.next += 1;
        for (key, value) in kind.labels.iter() {
            let values = scope.by_label.entry(key.clone()).or_default();
            values.entry(value.clone()).or_default().insert(id);
        }
        scope.by_kind.insert(kind.clone(), id);
        let namespace = namespace.clone();
        self.by_id.insert(
            id,
            Class {
                namespace,
                kind,
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
            scope.by_kind.remove(&class.kind);
            for (key, value) in class.kind.labels.iter() {
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
            if scope.by_kind.is_empty() {
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
            return Box::new(scope.by_kind.values().filter_map(resolve));
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
