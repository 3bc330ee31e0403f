//! Fills in defaults.

use serde_json::Value;

use super::node::{Additional, Node};
use super::prune::prune_default;
use super::{rules, show, validate};
use crate::status::Cause;

/// Sets absent fields, and nulls where null is no value, to their defaults; then the same within
/// what is there now.
pub(super) fn default(value: &mut Value, schema: &Node) {
    match value {
        Value::Object(map) => {
            for (name, property) in &schema.properties {
                let Some(default) = &property.default else {
                    continue;
                };
                match map.get_mut(name) {
                    None => {
                        map.insert(name.clone(), default.clone());
                    }
                    Some(field) => replace_null(field, property),
                }
            }
            for (key, field) in map.iter_mut() {
                if let Some(property) = schema.properties.get(key) {
                    default(field, property);
                } else if let Additional::Schema(additional) = &schema.additional {
                    replace_null(field, additional);
                    default(field, additional);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                for item in list {
                    replace_null(item, items);
                    default(item, items);
                }
            }
        }
        _ => {}
    }
}

fn replace_null(value: &mut Value, schema: &Node) {
    if value.is_null()
        && !schema.is_nullable
        && let Some(default) = &schema.default
    {
        *value = default.clone();
    }
}

/// What is wrong with the defaults of a schema that stands at a place in its definition: the
/// schema itself must accept them.
pub(super) fn faults(schema: &Node, place: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if let Some(default) = &schema.default {
        causes.extend(faults_of(default, schema, &format!("{place}.default")));
    }
    if let Some(items) = &schema.items {
        causes.extend(faults(items, &format!("{place}.items")));
    }
    for (name, property) in &schema.properties {
        causes.extend(faults(property, &format!("{place}.properties[{name}]")));
    }
    causes
}

fn faults_of(default: &Value, schema: &Node, place: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut pruned = default.clone();
    prune_default(&mut pruned, schema);
    if pruned != *default {
        let detail = "must not have unknown fields";
        causes.push(Cause::invalid(place, &show::bad_value(default), detail));
    }
    let misfits = validate::validate(schema, default, None, place);
    if misfits.is_empty() {
        let broken = rules::validate(schema, default, None);
        causes.extend(broken.into_iter().map(|cause| below(place, cause)));
    }
    causes.extend(misfits);
    causes
}

/// A cause within a value that stands at a place.
fn below(place: &str, cause: Cause) -> Cause {
    let field = match cause.field.as_str() {
        "<nil>" => place.to_owned(),
        item if item.starts_with('[') => format!("{place}{item}"),
        field => format!("{place}.{field}"),
    };
    Cause { field, ..cause }
}

/// Prunes the defaults of a schema: they must not bring in what the schema does not know.
pub(super) fn prune_defaults(schema: &mut Node) {
    if let Some(mut default) = schema.default.take() {
        prune_default(&mut default, schema);
        schema.default = Some(default);
    }
    for property in schema.properties.values_mut() {
        prune_defaults(property);
    }
    if let Additional::Schema(additional) = &mut schema.additional {
        prune_defaults(additional);
    }
    if let Some(items) = &mut schema.items {
        prune_defaults(items);
    }
}
