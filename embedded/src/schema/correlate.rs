//! Finds the old value of a part of an object: what did not change may stay invalid.

use serde_json::{Map, Value};

use super::node::{ListType, Node, Type};

/// Whether a part is the same as before. Lists with keys may be in another order; a field without
/// a schema is never the same, as in the API server.
pub(super) fn is_same(schema: &Node, old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Array(old), Value::Array(new)) => {
            if old.len() != new.len() {
                return false;
            }
            let ListType::Map(_) = &schema.list else {
                return old == new;
            };
            let Some(items) = &schema.items else {
                return old == new;
            };
            new.iter().all(|item| {
                old_item(schema, old, item).is_some_and(|before| is_same(items, before, item))
            })
        }
        (Value::Object(old), Value::Object(new)) => {
            old.len() == new.len()
                && new.iter().all(|(key, value)| {
                    let before = old.get(key).zip(schema.field(key));
                    before.is_some_and(|(before, below)| is_same(below, before, value))
                })
        }
        (old, new) => old == new,
    }
}

/// The old item with the same keys as an item of a list with keys.
pub(super) fn old_item<'a>(schema: &Node, old: &'a [Value], item: &Value) -> Option<&'a Value> {
    let ListType::Map(keys) = &schema.list else {
        return None;
    };
    if keys.is_empty() || schema.kind != Some(Type::Array) {
        return None;
    }
    let wanted = item.as_object()?;
    // An item that lacks a key, or has no plain value there, is like no other.
    keys.iter()
        .all(|key| wanted.get(key).is_some_and(is_plain))
        .then_some(())?;
    old.iter().find(|other| {
        other
            .as_object()
            .is_some_and(|other| has_same_keys(keys, other, wanted))
    })
}

fn has_same_keys(keys: &[String], old: &Map<String, Value>, new: &Map<String, Value>) -> bool {
    keys.iter().all(|key| old.get(key) == new.get(key))
}

fn is_plain(value: &Value) -> bool {
    matches!(value, Value::Bool(_) | Value::Number(_) | Value::String(_))
}
