//! All checks of a custom resource, in the order of the API server.

use serde_json::Value;

use super::{Schema, metadata, show, validate};
use crate::kinds::{Kind, Scale};
use crate::status::Cause;

/// What is wrong with a new object, after its name was generated.
pub fn validate_create(kind: &Kind, schema: &Schema, new: &Value) -> Vec<Cause> {
    let mut causes = metadata::validate_create(kind, new);
    causes.extend(validate::validate(&schema.root, new, None, ""));
    if let Some(scale) = &kind.scale {
        causes.extend(scale_spec(scale, new));
        causes.extend(scale_status(scale, new));
    }
    schema.validate_rest(causes, new, None)
}

/// What is wrong with an updated object.
pub fn validate_update(kind: &Kind, schema: &Schema, new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = metadata::strategy_update(kind, new, old);
    causes.extend(validate::validate(&schema.root, new, Some(old), ""));
    if let Some(scale) = &kind.scale {
        causes.extend(scale_spec(scale, new));
        causes.extend(scale_status(scale, new));
    }
    let mut all = metadata::common_update(kind, new, old);
    all.extend(schema.validate_rest(causes, new, Some(old)));
    all
}

/// What is wrong with an object after an update of its status.
pub fn validate_status(kind: &Kind, schema: &Schema, new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = metadata::strategy_update(kind, new, old);
    causes.extend(schema.validate_status_values(new, old));
    if let Some(scale) = &kind.scale {
        causes.extend(scale_status(scale, new));
    }
    let mut all = metadata::common_update(kind, new, old);
    all.extend(schema.validate_rest(causes, new, Some(old)));
    all
}

fn scale_spec(scale: &Scale, object: &Value) -> Option<Cause> {
    replicas(&scale.spec_replicas_path, object)
}

fn scale_status(scale: &Scale, object: &Value) -> Vec<Cause> {
    let mut causes: Vec<Cause> = replicas(&scale.status_replicas_path, object)
        .into_iter()
        .collect();
    if let Some(path) = &scale.label_selector_path {
        match at(path, object) {
            Ok(None | Some(Value::String(_))) => {}
            Ok(Some(found)) => {
                let error = misfit(path, found, "string");
                causes.push(Cause::invalid(path, "\"\"", &error));
            }
            Err(error) => causes.push(Cause::invalid(path, "\"\"", &error)),
        }
    }
    causes
}

fn replicas(path: &str, object: &Value) -> Option<Cause> {
    let found = match at(path, object) {
        Ok(found) => found?,
        Err(error) => return Some(Cause::invalid(path, "0", &error)),
    };
    let Some(count) = found.as_i64() else {
        let error = misfit(path, found, "int64");
        return Some(Cause::invalid(path, "0", &error));
    };
    let words = if count < 0 {
        "should be a non-negative integer".to_owned()
    } else if count > i64::from(i32::MAX) {
        format!("should be less than or equal to {}", i32::MAX)
    } else {
        return None;
    };
    Some(Cause::invalid(path, &count.to_string(), &words))
}

/// The value at a path with leading dot; an error if something on the way is no object.
fn at<'a>(path: &str, object: &'a Value) -> Result<Option<&'a Value>, String> {
    let mut current = object;
    let mut seen = String::new();
    for name in path.trim_start_matches('.').split('.') {
        seen.push('.');
        seen.push_str(name);
        let Some(map) = current.as_object() else {
            return Err(misfit(&seen, current, "map[string]interface{}"));
        };
        match map.get(name) {
            Some(Value::Null) | None => return Ok(None),
            Some(value) => current = value,
        }
    }
    Ok(Some(current))
}

fn misfit(path: &str, found: &Value, wanted: &str) -> String {
    let (shown, kind) = match found {
        Value::Null => ("<nil>".to_owned(), "<nil>"),
        Value::Bool(truth) => (truth.to_string(), "bool"),
        Value::Number(number) => match show::int64(number) {
            Some(whole) => (whole.to_string(), "int64"),
            None => (show::bad_value(found), "float64"),
        },
        Value::String(text) => (text.clone(), "string"),
        Value::Array(_) => (show::json(found), "[]interface {}"),
        Value::Object(_) => (show::json(found), "map[string]interface {}"),
    };
    format!("{path} accessor error: {shown} is of the type {kind}, expected {wanted}")
}
