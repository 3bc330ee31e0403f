//! What is wrong with the schema of a version: the rules for OpenAPI schemas in definitions.

use serde_json::Value;

use super::structural;
use crate::kinds::causes::{invalid, invalid_text, unsupported};
use crate::kinds::fields::{flag, has, items, text};
use crate::status::Cause;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// Parts of a schema that are lists of schemas.
pub(super) const JUNCTORS: [&str; 3] = ["allOf", "oneOf", "anyOf"];

/// Fields that the root may have if there is a status subresource.
const ROOT_FIELDS: [&str; 10] = [
    "description",
    "type",
    "format",
    "title",
    "maximum",
    "properties",
    "required",
    "items",
    "example",
    "externalDocs",
];

/// Validates the schema of a version at a path.
pub(super) fn validate(schema: &Value, path: &str, has_status: bool, causes: &mut Vec<Cause>) {
    if has_status {
        root(schema, path, causes);
    }
    if flag(schema, "nullable") {
        causes.push(Cause::forbidden(
            format!("{path}.nullable"),
            "nullable cannot be true at the root",
        ));
    }
    if is_readable(schema) {
        causes.extend(structural::validate(schema, path));
    }
    walk(schema, path, Inside::Root, causes);
}

/// Parts that no schema may have.
const UNSUPPORTED: [&str; 6] = [
    "id",
    "additionalItems",
    "patternProperties",
    "definitions",
    "dependencies",
    "$ref",
];

/// Whether a schema has only parts with which its structure can be judged.
fn is_readable(schema: &Value) -> bool {
    let parts = |key: &str| schema[key].as_object().into_iter().flatten();
    !schema["items"].is_array()
        && UNSUPPORTED.iter().all(|key| schema[*key].is_null())
        && parts("properties").all(|(_, property)| is_readable(property))
        && ["items", "additionalProperties"]
            .iter()
            .all(|key| !schema[*key].is_object() || is_readable(&schema[*key]))
}

fn root(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    if has(schema, "type") && text(schema, "type") != "object" {
        causes.push(invalid(
            format!("{path}.type"),
            &schema["type"],
            "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled",
        ));
        return;
    }
    let foreign = schema.as_object().into_iter().flatten().find(|(key, _)| {
        !key.starts_with("x-kubernetes-")
            && key.as_str() != "nullable"
            && !ROOT_FIELDS.contains(&key.as_str())
    });
    if foreign.is_some() {
        causes.push(invalid(
            path,
            schema,
            "only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the status subresource is enabled",
        ));
    }
}

/// Where a schema is.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Root,
    /// In the metadata, kind or apiVersion of the root, where defaults are forbidden.
    Meta,
    Body,
}

fn walk(schema: &Value, path: &str, inside: Inside, causes: &mut Vec<Cause>) {
    if !schema.is_object() {
        return;
    }
    one(schema, path, inside, causes);
    let additional = &schema["additionalProperties"];
    if !additional.is_null() {
        let properties = schema["properties"].as_object();
        if properties.is_some_and(|properties| !properties.is_empty())
            && (additional.is_object() || additional == &Value::Bool(false))
        {
            causes.push(Cause::forbidden(
                format!("{path}.additionalProperties"),
                "additionalProperties and properties are mutual exclusive",
            ));
        }
        walk(
            additional,
            &format!("{path}.additionalProperties"),
            Inside::Body,
            causes,
        );
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let meta =
            inside == Inside::Root && matches!(name.as_str(), "metadata" | "kind" | "apiVersion");
        let inside = if meta { Inside::Meta } else { Inside::Body };
        walk(
            property,
            &format!("{path}.properties[{name}]"),
            inside,
            causes,
        );
    }
    walk(&schema["not"], &format!("{path}.not"), Inside::Body, causes);
    for junctor in JUNCTORS {
        for (index, part) in items(schema, junctor).iter().enumerate() {
            walk(
                part,
                &format!("{path}.{junctor}[{index}]"),
                Inside::Body,
                causes,
            );
        }
    }
    walk(
        &schema["items"],
        &format!("{path}.items"),
        Inside::Body,
        causes,
    );
    lists(schema, path, causes);
    rules(schema, path, causes);
}

fn one(schema: &Value, path: &str, inside: Inside, causes: &mut Vec<Cause>) {
    let kind = text(schema, "type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        causes.push(unsupported(format!("{path}.type"), &schema["type"], &TYPES));
    }
    if inside == Inside::Meta && has(schema, "default") {
        let name = path.rsplit('[').next().unwrap_or_default();
        let detail = format!(
            "must not be set in top-level {}",
            name.trim_end_matches(']')
        );
        causes.push(Cause::forbidden(format!("{path}.default"), &detail));
    }
    for key in UNSUPPORTED {
        if !schema[key].is_null() {
            let detail = format!("{key} is not supported");
            causes.push(Cause::forbidden(format!("{path}.{key}"), &detail));
        }
    }
    if kind == "null" {
        causes.push(Cause::forbidden(
            format!("{path}.type"),
            "type cannot be set to null, use nullable as an alternative",
        ));
    }
    if schema["items"].is_array() {
        causes.push(Cause::forbidden(
            format!("{path}.items"),
            "items must be a schema object and not an array",
        ));
    }
    if flag(schema, "uniqueItems") {
        causes.push(Cause::forbidden(
            format!("{path}.uniqueItems"),
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ));
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == Value::Bool(false) {
        causes.push(invalid(
            format!("{path}.x-kubernetes-preserve-unknown-fields"),
            &false.into(),
            "must be true or undefined",
        ));
    }
}

/// A type that an extension needs.
fn needs_type(schema: &Value, path: &str, (wanted, detail): (&str, &str), causes: &mut Vec<Cause>) {
    let field = format!("{path}.type");
    match text(schema, "type") {
        "" => causes.push(Cause::required(field, detail)),
        kind if kind == wanted => {}
        other => causes.push(invalid_text(field, other, detail)),
    }
}

fn lists(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let map_type = &schema["x-kubernetes-map-type"];
    if let Some(kind) = map_type.as_str() {
        let detail = "must be object if x-kubernetes-map-type is specified";
        needs_type(schema, path, ("object", detail), causes);
        if !matches!(kind, "atomic" | "granular") {
            let field = format!("{path}.x-kubernetes-map-type");
            causes.push(unsupported(field, map_type, &["atomic", "granular"]));
        }
    }
    let list_type = &schema["x-kubernetes-list-type"];
    let field = format!("{path}.x-kubernetes-list-type");
    let keys = items(schema, "x-kubernetes-list-map-keys");
    let list_kind = list_type.as_str();
    if let Some(kind) = list_kind {
        let detail = "must be array if x-kubernetes-list-type is specified";
        needs_type(schema, path, ("array", detail), causes);
        if !matches!(kind, "atomic" | "set" | "map") {
            causes.push(unsupported(
                field.as_str(),
                list_type,
                &["atomic", "set", "map"],
            ));
        }
    }
    if !keys.is_empty() && list_kind != Some("map") {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        causes.push(match list_kind {
            None => Cause::required(field, detail),
            Some(kind) => invalid_text(field, kind, detail),
        });
    }
    if list_kind == Some("map") {
        map_list(schema, path, keys, causes);
    }
    if matches!(list_kind, Some("map" | "set")) && flag(&schema["items"], "nullable") {
        causes.push(Cause::forbidden(
            format!("{path}.items.nullable"),
            &format!(
                "cannot be nullable when x-kubernetes-list-type is {}",
                list_kind.unwrap_or_default()
            ),
        ));
    }
}

fn map_list(schema: &Value, path: &str, keys: &[Value], causes: &mut Vec<Cause>) {
    let field = format!("{path}.x-kubernetes-list-map-keys");
    if keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        causes.push(Cause::required(field.as_str(), detail));
    }
    let item = &schema["items"];
    if item.is_null() {
        causes.push(Cause::required(
            format!("{path}.items"),
            "must have a schema if x-kubernetes-list-type is map",
        ));
        return;
    }
    if text(item, "type") != "object" {
        causes.push(invalid_text(
            format!("{path}.items.type"),
            text(item, "type"),
            "must be object if parent array's x-kubernetes-list-type is map",
        ));
        return;
    }
    let all = &schema["x-kubernetes-list-map-keys"];
    for (index, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or_default();
        let property = &item["properties"][name];
        if property.is_null() {
            let detail = "entries must all be names of item properties";
            causes.push(invalid(field.as_str(), all, detail));
        } else if matches!(text(property, "type"), "array" | "object") {
            causes.push(invalid_text(
                format!("{path}.items.properties[{name}].type"),
                "object",
                "must be a scalar type if parent array's x-kubernetes-list-type is map",
            ));
        }
        if keys[..index].contains(key) {
            causes.push(invalid(
                field.as_str(),
                all,
                "must not contain duplicate entries",
            ));
        }
        if property.is_null() {
            continue;
        }
        let required = items(item, "required").contains(key);
        if !required && property["default"].is_null() {
            causes.push(Cause::required(
                format!("{path}.items.properties[{name}].default"),
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
            ));
        }
        if flag(property, "nullable") {
            causes.push(Cause::forbidden(
                format!("{path}.items.properties[{name}].nullable"),
                "this property is in x-kubernetes-list-map-keys, so it cannot be nullable",
            ));
        }
    }
}

fn rules(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    const REASONS: [&str; 4] = [
        "FieldValueDuplicate",
        "FieldValueForbidden",
        "FieldValueInvalid",
        "FieldValueRequired",
    ];
    for (index, rule) in items(schema, "x-kubernetes-validations").iter().enumerate() {
        let path = format!("{path}.x-kubernetes-validations[{index}]");
        let (body, message) = (text(rule, "rule").trim(), text(rule, "message"));
        if body.is_empty() {
            causes.push(Cause::required(
                format!("{path}.rule"),
                "rule is not specified",
            ));
        } else if !message.is_empty() && message.trim().is_empty() {
            let detail = "must be non-empty if specified";
            causes.push(invalid_text(format!("{path}.message"), message, detail));
        } else if message.trim().contains(['\r', '\n']) {
            let detail = "must not contain line breaks";
            causes.push(invalid_text(format!("{path}.message"), message, detail));
        } else if body.contains(['\r', '\n']) && message.trim().is_empty() {
            causes.push(Cause::required(
                format!("{path}.message"),
                "message must be specified if rule contains line breaks",
            ));
        }
        let reason = text(rule, "reason");
        if !reason.is_empty() && !REASONS.contains(&reason) {
            causes.push(unsupported(
                format!("{path}.reason"),
                &rule["reason"],
                &REASONS,
            ));
        }
    }
}
