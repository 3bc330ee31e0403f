//! Whether a schema is structural: every value that it speaks of has one known type.

use serde_json::{Value, json};

use super::schema::JUNCTORS;
use crate::kinds::causes::{invalid, invalid_text};
use crate::kinds::fields::{flag, has, items, text};
use crate::schema::show;
use crate::status::Cause;

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// What keeps a schema from being structural, sorted.
pub(super) fn validate(schema: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    invariants(schema, Level::Root, path, &mut causes);
    complete(schema, schema, path, path, &mut causes);
    causes.sort_by_cached_key(|cause| format!("{}: {}", cause.field, cause.message));
    causes
}

fn invariants(schema: &Value, level: Level, path: &str, causes: &mut Vec<Cause>) {
    if !schema.is_object() {
        return;
    }
    let kind = text(schema, "type");
    let sub = |name: &str| format!("{path}.{name}");
    if kind == "array" && schema["items"].is_null() {
        causes.push(Cause::required(sub("items"), "must be specified"));
    }
    invariants(&schema["items"], Level::Item, &sub("items"), causes);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.properties[{name}]");
        invariants(property, Level::Field, &path, causes);
    }
    let additional = &schema["additionalProperties"];
    if !additional.is_null() {
        if level == Level::Root {
            causes.push(Cause::forbidden(
                sub("additionalProperties"),
                "must not be used at the root",
            ));
        }
        invariants(
            additional,
            Level::Field,
            &sub("additionalProperties"),
            causes,
        );
    }
    let int_or_text = flag(schema, "x-kubernetes-int-or-string");
    let preserves = flag(schema, "x-kubernetes-preserve-unknown-fields");
    let embedded = flag(schema, "x-kubernetes-embedded-resource");
    for (set, key) in [
        (preserves, "x-kubernetes-preserve-unknown-fields"),
        (embedded, "x-kubernetes-embedded-resource"),
    ] {
        if int_or_text && set {
            let detail = "must be false if x-kubernetes-int-or-string is true";
            causes.push(invalid(sub(key), &true.into(), detail));
        }
    }
    let either = json!([{ "type": "integer" }, { "type": "string" }]);
    let skip_any = schema["anyOf"] == either;
    let skip_first = schema["allOf"][0]["anyOf"] == either;
    values(schema, (skip_any, skip_first), path, causes);
    if embedded && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        causes.push(if kind.is_empty() {
            Cause::required(sub("type"), detail)
        } else {
            invalid_text(sub("type"), kind, detail)
        });
    } else if kind.is_empty() && !int_or_text && !preserves {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        causes.push(Cause::required(sub("type"), detail));
    }
    if embedded && !additional.is_null() {
        causes.push(Cause::forbidden(
            sub("additionalProperties"),
            "must not be used if x-kubernetes-embedded-resource is set",
        ));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        causes.push(invalid_text(
            sub("type"),
            kind,
            "must be object at the root",
        ));
    }
    let properties = &schema["properties"];
    metadata(properties, level, embedded, path, causes);
    let empty = properties.as_object().is_none_or(serde_json::Map::is_empty);
    if embedded && !preserves && empty {
        causes.push(Cause::required(
            sub("properties"),
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        ));
    }
}

/// Kind, version and metadata are what they are.
fn metadata(properties: &Value, level: Level, embedded: bool, path: &str, causes: &mut Vec<Cause>) {
    let checked = level == Level::Root || embedded;
    for name in ["kind", "apiVersion"] {
        if checked && has(properties, name) && text(&properties[name], "type") != "string" {
            causes.push(invalid_text(
                format!("{path}.properties[{name}].type"),
                text(&properties[name], "type"),
                "must be string",
            ));
        }
    }
    let Some(metadata) = properties.get("metadata") else {
        return;
    };
    let path = format!("{path}.properties[metadata]");
    if checked && text(metadata, "type") != "object" {
        let kind = text(metadata, "type");
        causes.push(invalid_text(format!("{path}.type"), kind, "must be object"));
    }
    if level == Level::Root {
        let extra = metadata
            .as_object()
            .into_iter()
            .flatten()
            .any(|(key, value)| match key.as_str() {
                "type" | "default" => false,
                "properties" => value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .any(|(name, _)| !matches!(name.as_str(), "name" | "generateName")),
                _ => true,
            });
        if extra {
            causes.push(Cause::forbidden(
                path,
                "must not specify anything other than name and generateName, but metadata is implicitly specified",
            ));
        }
    }
}

/// The validations of a value, apart from its structure.
fn values(schema: &Value, skip: (bool, bool), path: &str, causes: &mut Vec<Cause>) {
    let (skip_any, skip_first) = skip;
    for junctor in ["anyOf", "allOf", "oneOf"] {
        if junctor == "anyOf" && skip_any {
            continue;
        }
        for (index, part) in items(schema, junctor).iter().enumerate() {
            let skip_inner = junctor == "allOf" && skip_first && index == 0;
            nested(
                part,
                skip_inner,
                &format!("{path}.{junctor}[{index}]"),
                causes,
            );
        }
    }
    nested(&schema["not"], false, &format!("{path}.not"), causes);
    let pattern = text(schema, "pattern");
    if !pattern.is_empty()
        && let Err(error) = regex::Regex::new(pattern)
    {
        let problem = error.to_string();
        let problem = problem.lines().last().unwrap_or_default();
        let detail = format!("must be a valid regular expression, but isn't: {problem}");
        causes.push(Cause::invalid(
            format!("{path}.pattern"),
            &show::quoted(pattern),
            &detail,
        ));
    }
}

/// A schema inside of a junctor may only restrict values.
fn nested(schema: &Value, skip_any: bool, path: &str, causes: &mut Vec<Cause>) {
    if !schema.is_object() {
        return;
    }
    values(schema, (skip_any, false), path, causes);
    nested(&schema["items"], false, &format!("{path}.items"), causes);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        nested(
            property,
            false,
            &format!("{path}.properties[{name}]"),
            causes,
        );
    }
    for (key, detail) in [
        ("type", "must be empty to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        (
            "x-kubernetes-preserve-unknown-fields",
            "must be false to be structural",
        ),
        (
            "x-kubernetes-embedded-resource",
            "must be false to be structural",
        ),
        (
            "x-kubernetes-int-or-string",
            "must be false to be structural",
        ),
        (
            "x-kubernetes-list-map-keys",
            "must be empty to be structural",
        ),
        (
            "x-kubernetes-list-type",
            "must be undefined to be structural",
        ),
        (
            "x-kubernetes-map-type",
            "must be undefined to be structural",
        ),
    ] {
        let set = match &schema[key] {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            _ => true,
        };
        if set {
            causes.push(Cause::forbidden(format!("{path}.{key}"), detail));
        }
    }
    if !items(schema, "x-kubernetes-validations").is_empty() {
        causes.push(Cause::forbidden(
            format!("{path}.x-kubernetes-validations"),
            "must be empty to be structural",
        ));
    }
    if has(&schema["properties"], "metadata") {
        causes.push(Cause::forbidden(
            format!("{path}.properties[metadata]"),
            "must not be specified in a nested context",
        ));
    }
}

/// What junctors speak of must be there outside of them.
fn complete(values: &Value, schema: &Value, path: &str, at: &str, causes: &mut Vec<Cause>) {
    let not = std::iter::once((&values["not"], format!("{at}.not")));
    let parts = JUNCTORS.iter().flat_map(|junctor| {
        items(values, junctor)
            .iter()
            .enumerate()
            .map(move |(index, part)| (part, format!("{at}.{junctor}[{index}]")))
    });
    for (part, at) in not.chain(parts) {
        complete_nested(part, schema, path, &at, causes);
    }
}

fn complete_nested(values: &Value, schema: &Value, path: &str, at: &str, causes: &mut Vec<Cause>) {
    if !values.is_object() {
        return;
    }
    if !schema.is_object() {
        let detail = format!("because it is defined in {at}");
        causes.push(Cause::required(path, &detail));
        return;
    }
    complete(values, schema, path, at, causes);
    complete_nested(
        &values["items"],
        &schema["items"],
        &format!("{path}.items"),
        &format!("{at}.items"),
        causes,
    );
    for (name, part) in values["properties"].as_object().into_iter().flatten() {
        let (path, at) = (
            format!("{path}.properties[{name}]"),
            format!("{at}.properties[{name}]"),
        );
        if let Some(property) = schema["properties"].get(name) {
            complete_nested(part, property, &path, &at, causes);
        } else {
            let detail = format!("because it is defined in {at}");
            causes.push(Cause::required(path, &detail));
        }
    }
}
