//! Removes what a schema does not know.

use std::fmt::Write as _;

use serde_json::Value;

use super::node::{Additional, Node};

const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Removes the fields that are not in the schema, then nulls that mean nothing. Returns the paths
/// of the unknown fields in order.
pub(super) fn prune(value: &mut Value, schema: &Node) -> Vec<String> {
    let mut pruner = Pruner::default();
    pruner.value(value, Some(schema), true);
    drop_nulls(value, Some(schema));
    pruner.dropped.sort();
    pruner.dropped
}

/// Removes from a default what the schema does not know of it.
pub(super) fn prune_default(value: &mut Value, schema: &Node) {
    Pruner::default().value(value, Some(schema), false);
}

#[derive(Default)]
struct Pruner {
    /// Where the walk stands, as text.
    path: String,
    dropped: Vec<String>,
}

impl Pruner {
    /// `is_root` is whether the value is a whole object, which has metadata whatever its schema
    /// says.
    fn value(&mut self, value: &mut Value, schema: Option<&Node>, is_root: bool) {
        if let Some(schema) = schema
            && schema.preserves_unknown
        {
            self.known_only(value, schema, is_root);
            return;
        }
        match value {
            Value::Object(map) => {
                let is_resource = is_root || schema.is_some_and(|schema| schema.is_resource);
                map.retain(|key, item| {
                    if is_resource && META_FIELDS.contains(&key.as_str()) {
                        return true;
                    }
                    let below = match schema.map_or(Field::Unknown, |it| Field::of(it, key)) {
                        Field::Known(below) => Some(below),
                        Field::Opaque => None,
                        Field::Unknown => {
                            if !self.path.is_empty() || !META_FIELDS.contains(&key.as_str()) {
                                self.within_key(key, |it| it.dropped.push(it.path.clone()));
                            }
                            return false;
                        }
                    };
                    self.within_key(key, |pruner| pruner.value(item, below, false));
                    true
                });
            }
            Value::Array(items) => {
                let below = schema.and_then(|schema| schema.items.as_deref());
                for (index, item) in items.iter_mut().enumerate() {
                    self.within_item(index, |pruner| pruner.value(item, below, false));
                }
            }
            _ => {}
        }
    }

    /// Keeps unknown fields, but prunes inside the known ones.
    fn known_only(&mut self, value: &mut Value, schema: &Node, is_root: bool) {
        match value {
            Value::Object(map) => {
                let is_resource = is_root || schema.is_resource;
                for (key, item) in map.iter_mut() {
                    if is_resource && META_FIELDS.contains(&key.as_str()) {
                        continue;
                    }
                    let below = match Field::of(schema, key) {
                        Field::Known(below) => Some(below),
                        Field::Opaque => None,
                        Field::Unknown => continue,
                    };
                    self.within_key(key, |pruner| pruner.value(item, below, false));
                }
            }
            Value::Array(list) => {
                let Some(items) = schema.items.as_deref() else {
                    return;
                };
                for (index, item) in list.iter_mut().enumerate() {
                    self.within_item(index, |pruner| pruner.known_only(item, items, false));
                }
            }
            _ => {}
        }
    }

    fn within_key(&mut self, key: &str, walk: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        walk(self);
        self.path.truncate(length);
    }

    fn within_item(&mut self, index: usize, walk: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        // Writing to a text cannot fail.
        let _ = write!(self.path, "[{index}]");
        walk(self);
        self.path.truncate(length);
    }
}

/// What a schema knows of a field.
enum Field<'a> {
    Unknown,
    /// It may be there, but nothing within it is known.
    Opaque,
    Known(&'a Node),
}

impl<'a> Field<'a> {
    fn of(schema: &'a Node, key: &str) -> Self {
        if let Some(property) = schema.properties.get(key) {
            return Self::Known(property);
        }
        match &schema.additional {
            Additional::Absent => Self::Unknown,
            Additional::Forbidden | Additional::Any => Self::Opaque,
            Additional::Schema(schema) => Self::Known(schema),
        }
    }
}

/// Removes fields that are null where null is no value and no default takes its place.
fn drop_nulls(value: &mut Value, schema: Option<&Node>) {
    match value {
        Value::Object(map) => map.retain(|key, item| {
            let below = schema.and_then(|schema| schema.field(key));
            let is_empty = item.is_null()
                && below.is_some_and(|below| !below.is_nullable && below.default.is_none());
            if !is_empty {
                drop_nulls(item, below);
            }
            !is_empty
        }),
        Value::Array(items) => {
            let below = schema.and_then(|schema| schema.items.as_deref());
            for item in items {
                drop_nulls(item, below);
            }
        }
        _ => {}
    }
}
