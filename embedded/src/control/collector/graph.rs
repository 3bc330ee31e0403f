//! Who depends on whom, by uid. Only objects with owners, and owners that wait for their
//! dependents, are in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::{FOREGROUND, ORPHAN};
use crate::control::edit::{has_finalizer, is_deleting};
use crate::kinds::Kind;
use crate::object::Object;

/// Where an object is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) kind: Arc<Kind>,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Place {
    pub(super) fn of(kind: &Arc<Kind>, object: &Object) -> Self {
        Self {
            kind: kind.clone(),
            namespace: object.meta("namespace").to_owned(),
            name: object.meta("name").to_owned(),
        }
    }
}

/// A reference to an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: String,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    /// Whether a deletion of the owner in the foreground waits for the dependent.
    pub(super) blocks: bool,
}

impl Owner {
    /// The owners that an object names.
    pub(super) fn list(object: &Value) -> Vec<Self> {
        let references = object["metadata"]["ownerReferences"].as_array();
        let text = |reference: &Value, field: &str| {
            let text = reference.get(field).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        references
            .into_iter()
            .flatten()
            .map(|reference| Self {
                uid: text(reference, "uid"),
                api_version: text(reference, "apiVersion"),
                kind: text(reference, "kind"),
                name: text(reference, "name"),
                blocks: reference["blockOwnerDeletion"] == true,
            })
            .collect()
    }
}

/// What is kept of an object.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) owners: Vec<Owner>,
    /// It is being deleted, and waits for its dependents to go.
    pub(super) foreground: bool,
    /// It is being deleted, and waits for its dependents to be let go.
    pub(super) orphan: bool,
    revision: u64,
}

impl Node {
    pub(super) fn of(place: Place, object: &Object) -> Self {
        let value = object.value();
        let deleting = is_deleting(value);
        Self {
            place,
            owners: Owner::list(value),
            foreground: deleting && has_finalizer(value, FOREGROUND),
            orphan: deleting && has_finalizer(value, ORPHAN),
            revision: object.revision(),
        }
    }
}

/// What an insertion changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Update {
    /// References were added, or lead elsewhere than before.
    pub(super) has_new_owners: bool,
    /// Owners that the object does not block any more.
    pub(super) unblocked: Vec<String>,
    /// It began to wait for its dependents.
    pub(super) began_deletion: bool,
}

/// The graph.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: BTreeMap<String, Node>,
    /// Dependents by owner.
    dependents: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    pub(super) fn node(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// Who names an owner, as far as known.
    pub(super) fn dependents(&self, owner: &str) -> Vec<String> {
        let dependents = self.dependents.get(owner);
        dependents.into_iter().flatten().cloned().collect()
    }

    /// Takes in an object as it is now; none if something newer is known.
    pub(super) fn insert(&mut self, uid: &str, node: Node) -> Option<Update> {
        let before = self.nodes.get(uid);
        if before.is_some_and(|before| before.revision >= node.revision) {
            return None;
        }
        let old: Vec<Owner> = before.map_or_else(Vec::new, |before| before.owners.clone());
        let was_waiting = before.is_some_and(|before| before.foreground || before.orphan);
        let update = Update {
            has_new_owners: node.owners.iter().any(|owner| {
                let known = old.iter().find(|known| known.uid == owner.uid);
                known.is_none_or(|known| {
                    (&known.api_version, &known.kind, &known.name)
                        != (&owner.api_version, &owner.kind, &owner.name)
                })
            }),
            unblocked: old
                .iter()
                .filter(|known| known.blocks)
                .filter(|known| {
                    let mut now = node.owners.iter();
                    !now.any(|owner| owner.uid == known.uid && owner.blocks)
                })
                .map(|known| known.uid.clone())
                .collect(),
            began_deletion: !was_waiting && (node.foreground || node.orphan),
        };
        for owner in &old {
            self.unlink(&owner.uid, uid);
        }
        for owner in &node.owners {
            self.dependents
                .entry(owner.uid.clone())
                .or_default()
                .insert(uid.to_owned());
        }
        if node.owners.is_empty() && !node.foreground && !node.orphan {
            self.nodes.remove(uid);
        } else {
            self.nodes.insert(uid.to_owned(), node);
        }
        Some(update)
    }

    /// Removes an object, and gives its owners.
    pub(super) fn remove(&mut self, uid: &str) -> Vec<String> {
        let owners = self
            .nodes
            .remove(uid)
            .map_or_else(Vec::new, |node| node.owners);
        for owner in &owners {
            self.unlink(&owner.uid, uid);
        }
        owners.into_iter().map(|owner| owner.uid).collect()
    }

    fn unlink(&mut self, owner: &str, dependent: &str) {
        if let Some(dependents) = self.dependents.get_mut(owner) {
            dependents.remove(dependent);
            if dependents.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }
}
