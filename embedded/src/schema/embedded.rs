//! Objects within objects (`x-kubernetes-embedded-resource`): they need a type and good metadata.

use serde_json::Value;

use super::metadata;
use super::names;
use super::node::{Additional, Node};
use super::path::Path;
use super::show;
use crate::status::Cause;

/// Brings the metadata of embedded objects into the form in which it is stored. Returns the paths
/// of unknown fields, or the first thing that cannot be read.
pub(super) fn read(schema: &Node, value: &mut Value) -> Result<Vec<String>, Cause> {
    let mut unknown = Vec::new();
    read_at(schema, value, &Path::Root, &mut unknown)?;
    unknown.sort();
    Ok(unknown)
}

fn read_at(
    schema: &Node,
    value: &mut Value,
    path: &Path,
    unknown: &mut Vec<String>,
) -> Result<(), Cause> {
    if schema.is_resource && value.is_object() {
        for name in ["apiVersion", "kind"] {
            if let Some(field) = value.get(name).filter(|field| !field.is_string()) {
                return Err(Cause::invalid(
                    Path::Field(path, name).bracketed(),
                    &show::bad_value(field),
                    "must be a string",
                ));
            }
        }
        let before = value.get("metadata").map(show::bad_value);
        let found = metadata::read(value).map_err(|error| {
            Cause::invalid(
                Path::Field(path, "metadata").bracketed(),
                &before.unwrap_or_default(),
                &error,
            )
        })?;
        unknown.extend(found.into_iter().map(|field| match path {
            Path::Root => field,
            place => format!("{}.{field}", place.bracketed()),
        }));
    }
    match value {
        Value::Object(map) => {
            for (key, field) in map.iter_mut() {
                if let Some(property) = schema.properties.get(key) {
                    read_at(property, field, &Path::Field(path, key), unknown)?;
                } else if let Additional::Schema(additional) = &schema.additional {
                    read_at(additional, field, &Path::Key(path, key), unknown)?;
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                for (index, item) in list.iter_mut().enumerate() {
                    read_at(items, item, &Path::Item(path, index), unknown)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// What is wrong with the embedded objects.
pub(super) fn validate(schema: &Node, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(&mut causes, schema, value, &Path::Root);
    causes
}

fn walk(causes: &mut Vec<Cause>, schema: &Node, value: &Value, path: &Path) {
    match value {
        Value::Object(map) => {
            if schema.is_resource {
                object(causes, value, path);
            }
            for (key, field) in map {
                if let Some(property) = schema.properties.get(key) {
                    walk(causes, property, field, &Path::Field(path, key));
                } else if let Additional::Schema(additional) = &schema.additional {
                    walk(causes, additional, field, &Path::Key(path, key));
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &schema.items {
                for (index, item) in list.iter().enumerate() {
                    walk(causes, items, item, &Path::Item(path, index));
                }
            }
        }
        _ => {}
    }
}

fn object(causes: &mut Vec<Cause>, value: &Value, path: &Path) {
    for name in ["apiVersion", "kind"] {
        let field = || Path::Field(path, name).bracketed();
        match value.get(name) {
            None => causes.push(Cause::required(field(), "")),
            Some(Value::String(text)) if text.is_empty() => {
                causes.push(Cause::invalid(field(), "\"\"", "must not be empty"));
            }
            Some(Value::String(text)) => {
                let error = if name == "kind" {
                    kind_error(text)
                } else {
                    (text.split('/').count() > 2)
                        .then(|| format!("unexpected GroupVersion string: {text}"))
                };
                if let Some(error) = error {
                    causes.push(Cause::invalid(field(), &show::quoted(text), &error));
                }
            }
            Some(other) => causes.push(Cause::invalid(
                field(),
                &show::bad_value(other),
                "must be a string",
            )),
        }
    }
    if let Some(meta) = value.get("metadata") {
        let field = Path::Field(path, "metadata").bracketed();
        causes.extend(metadata::validate_embedded(meta, &field));
    }
}

fn kind_error(kind: &str) -> Option<String> {
    let errors = names::dns_1035_label(&kind.to_lowercase());
    (!errors.is_empty()).then(|| {
        format!(
            "may have mixed case, but should otherwise match: {}",
            errors.join(",")
        )
    })
}
