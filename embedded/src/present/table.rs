//! Tables: what `kubectl get` prints.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age::since;
use super::columns::{self, NAME};
use super::jsonpath::Path;
use super::rows;
use crate::kinds::Kind;
use crate::object::meta;

/// What a row says about its object, besides the cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    Nothing,
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl Include {
    /// Reads the query parameter `includeObject`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "Metadata" => Some(Self::Metadata),
            "None" => Some(Self::Nothing),
            "Object" => Some(Self::Object),
            _ => None,
        }
    }
}

/// Whether a client that sends this `Accept` header wants a table above all that we serve.
pub fn is_wanted(accept: &str) -> bool {
    for media in accept.split(',') {
        let has = |wanted: &str| media.split(';').any(|part| part.trim() == wanted);
        if has("as=Table") && has("g=meta.k8s.io") && has("v=v1") && has("application/json") {
            return true;
        }
        let parameters = media
            .split(';')
            .skip(1)
            .any(|part| part.trim().starts_with("as="));
        if !parameters && (has("application/json") || has("*/*") || has("application/*")) {
            return false;
        }
    }
    false
}

/// A table of objects of one kind. `metadata` is that of the list (or the version of a single
/// object); `headers` is false for later events of a watch, and if the client wants none.
pub fn table<'a>(
    kind: &Kind,
    objects: impl IntoIterator<Item = &'a Value>,
    metadata: Value,
    include: Include,
    headers: bool,
    now: Timestamp,
) -> Value {
    let custom = Columns::new(kind);
    let rows: Vec<Value> = objects
        .into_iter()
        .map(|object| {
            let cells = match &custom {
                Some(columns) => columns.cells(object, now),
                None => rows::cells(kind, object, now),
            };
            let mut row = json!({ "cells": cells, "object": shown(object, include) });
            if let Some(conditions) = conditions(kind, object) {
                row["conditions"] = conditions;
            }
            row
        })
        .collect();
    let definitions = if !headers {
        Value::Null
    } else if let Some(columns) = &custom {
        columns.definitions()
    } else {
        columns::of(kind)
            .iter()
            .map(columns::Column::definition)
            .collect()
    };
    let mut table = json!({ "kind": "Table", "apiVersion": "meta.k8s.io/v1" });
    table["metadata"] = metadata;
    table["columnDefinitions"] = definitions;
    table["rows"] = rows.into();
    table
}

/// An object as the only row of a table, with its version as that of the table.
pub fn single(
    kind: &Kind,
    object: &Value,
    include: Include,
    headers: bool,
    now: Timestamp,
) -> Value {
    let metadata = json!({ "resourceVersion": meta(object, "resourceVersion") });
    table(kind, [object], metadata, include, headers, now)
}

fn shown(object: &Value, include: Include) -> Value {
    match include {
        Include::Nothing => Value::Null,
        Include::Object => object.clone(),
        Include::Metadata => partial(object),
    }
}

/// An object with nothing but its metadata.
pub fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

fn conditions(kind: &Kind, object: &Value) -> Option<Value> {
    if kind.kind != "Pod" || !kind.group.is_empty() {
        return None;
    }
    let (reason, message) = match object["status"]["phase"].as_str()? {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!([{
        "type": "Completed",
        "status": "True",
        "reason": reason,
        "message": message,
    }]))
}

/// The columns of a custom resource.
struct Columns<'a> {
    columns: Vec<(&'a Value, Option<Path>)>,
    /// Whether the kind defines none: then there is an age.
    default_age: bool,
}

impl<'a> Columns<'a> {
    fn new(kind: &'a Kind) -> Option<Self> {
        kind.schema.as_ref()?;
        let columns = kind
            .printer_columns
            .iter()
            .map(|column| {
                let path = column["jsonPath"].as_str().unwrap_or_default();
                (column, Path::parse(path).ok())
            })
            .collect::<Vec<_>>();
        Some(Self {
            default_age: columns.is_empty(),
            columns,
        })
    }

    fn definitions(&self) -> Value {
        let mut definitions = vec![NAME.definition()];
        for (column, _) in &self.columns {
            let path = column["jsonPath"].as_str().unwrap_or_default();
            let description = column["description"]
                .as_str()
                .filter(|text| !text.is_empty());
            definitions.push(json!({
                "name": column["name"],
                "type": column["type"],
                "format": column["format"].as_str().unwrap_or_default(),
                "description": description.map_or_else(
                    || format!("Custom resource definition column (in JSONPath format): {path}"),
                    str::to_owned,
                ),
                "priority": column["priority"].as_i64().unwrap_or_default(),
            }));
        }
        if self.default_age {
            definitions.push(columns::age("date"));
        }
        definitions.into()
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let mut cells = vec![Value::from(meta(object, "name"))];
        for (column, path) in &self.columns {
            let found = path.as_ref().and_then(|path| path.first(object));
            let holds = column["type"].as_str().unwrap_or_default();
            cells.push(found.map_or(Value::Null, |value| cell(holds, value, now)));
        }
        if self.default_age {
            cells.push(since(now, meta(object, "creationTimestamp")).into());
        }
        cells
    }
}

/// A value as a cell of a column of a type; null if it is of another type.
fn cell(holds: &str, value: &Value, now: Timestamp) -> Value {
    match (holds, value) {
        ("string", Value::String(_))
        | ("boolean", Value::Bool(_))
        | ("number", Value::Number(_)) => value.clone(),
        ("string", Value::Null) => "<nil>".into(),
        ("string", value) => value.to_string().into(),
        ("integer", Value::Number(number)) => number.as_i64().map_or_else(
            || {
                // Fractions are cut off.
                let whole = number.as_f64().map(f64::trunc).unwrap_or_default();
                format!("{whole:.0}")
                    .parse::<i64>()
                    .unwrap_or_default()
                    .into()
            },
            Value::from,
        ),
        ("date", Value::String(text)) => since(now, text).into(),
        _ => Value::Null,
    }
}
