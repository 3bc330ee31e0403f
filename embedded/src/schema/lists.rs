//! Checks that lists of the types set and map have no twins.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::node::{Additional, ListType, Node};
use super::path::Path;
use super::show;
use crate::status::Cause;

/// What is wrong with the lists within a value.
pub(super) fn validate(schema: &Node, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(&mut causes, schema, value, &Path::Root);
    causes
}

fn walk(causes: &mut Vec<Cause>, schema: &Node, value: &Value, path: &Path) {
    match value {
        Value::Array(list) => {
            match &schema.list {
                ListType::Atomic => {}
                ListType::Set => twins(causes, list, path),
                ListType::Map(keys) => map(causes, keys, list, path),
            }
            if let Some(items) = &schema.items {
                for (index, item) in list.iter().enumerate() {
                    walk(causes, items, item, &Path::Item(path, index));
                }
            }
        }
        Value::Object(fields) => {
            if let Additional::Schema(additional) = &schema.additional {
                for (key, field) in fields {
                    walk(causes, additional, field, &Path::Key(path, key));
                }
            }
            for (key, field) in fields {
                if let Some(property) = schema.properties.get(key) {
                    walk(causes, property, field, &Path::Field(path, key));
                }
            }
        }
        _ => {}
    }
}

/// Tells the first repetition of each item.
fn twins(causes: &mut Vec<Cause>, list: &[Value], path: &Path) {
    let mut seen: HashMap<&Value, usize> = HashMap::with_capacity(list.len());
    for (index, item) in list.iter().enumerate() {
        let times = seen.entry(item).or_default();
        *times += 1;
        if *times == 2 {
            causes.push(Cause {
                reason: "FieldValueDuplicate",
                message: format!("Duplicate value: {}", show::bad_value(item)),
                field: Path::Item(path, index).bracketed(),
            });
        }
    }
}

fn map(causes: &mut Vec<Cause>, keys: &[String], list: &[Value], path: &Path) {
    let misfit = list
        .iter()
        .enumerate()
        .find(|(_, item)| !item.is_object() && !item.is_null());
    if let Some((index, item)) = misfit {
        causes.push(Cause::invalid(
            Path::Item(path, index).bracketed(),
            &show::bad_value(item),
            "must be an object for an array of list-type map",
        ));
        return;
    }
    let identities: Vec<Value> = list
        .iter()
        .map(|item| {
            let identity: Map<String, Value> = keys
                .iter()
                .filter_map(|key| Some((key.clone(), item.get(key)?.clone())))
                .collect();
            Value::Object(identity)
        })
        .collect();
    twins(causes, &identities, path);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::node::Node;
    use super::validate;

    fn causes(schema: &Value, value: &Value) -> Vec<String> {
        let node = Node::read(schema, "schema").unwrap();
        validate(&node, value)
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    #[test]
    fn a_set_tells_each_twin_once() {
        let schema = json!({ "properties": { "values": {
            "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" },
        } } });
        assert_eq!(
            causes(&schema, &json!({ "values": ["a", "b", "a", "a", "b"] })),
            [
                r#"values[2]: Duplicate value: "a""#,
                r#"values[4]: Duplicate value: "b""#
            ]
        );
        assert!(causes(&schema, &json!({ "values": ["a", "b"] })).is_empty());
    }

    #[test]
    fn a_map_compares_its_keys() {
        let schema = json!({ "additionalProperties": {
            "type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name", "port"], "items": { "type": "object" },
        } });
        let twins = json!({ "a": [
            { "name": "x", "port": 1, "other": 1 }, { "name": "x", "port": 2 },
            { "port": 1, "name": "x" },
        ] });
        assert_eq!(
            causes(&schema, &twins),
            [r#"[a][2]: Duplicate value: {"name":"x","port":1}"#]
        );
        assert_eq!(
            causes(&schema, &json!({ "a": ["x"] })),
            [r#"[a][0]: Invalid value: "x": must be an object for an array of list-type map"#]
        );
    }
}
