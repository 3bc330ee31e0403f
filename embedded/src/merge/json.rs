//! JSON patches (RFC 6902) and JSON merge patches (RFC 7386), as the API server applies them.
//!
//! It does not keep to the letter of RFC 6902: `replace` also adds, a missing value equals null in
//! `test`, and indices may count from the end. Clients rely on what it does, so this does the same.

use serde_json::{Map, Value};

use crate::schema::show;
use crate::status::Status;

/// Operations that one patch may have.
const MAX_OPERATIONS: usize = 10_000;

/// Applies a JSON patch. The object is undefined after an error.
pub fn json_patch(object: &mut Value, patch: &Value) -> Result<(), Status> {
    let operations = match patch {
        Value::Null => return Ok(()),
        Value::Array(operations) => operations,
        other => return Err(undecodable(&no_value_of(other, "[]handlers.jsonPatchOp"))),
    };
    for operation in operations {
        check_operation(operation)?;
    }
    if operations.len() > MAX_OPERATIONS {
        return Err(Status::new(
            413,
            "RequestEntityTooLarge",
            format!(
                "Request entity is too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
                operations.len()
            ),
        ));
    }
    operations
        .iter()
        .try_for_each(|operation| perform(object, operation))
        .map_err(|Refused| rejected())
}

/// Applies a JSON merge patch.
pub fn merge_patch(object: &mut Value, patch: &Value) -> Result<(), Status> {
    match (object, patch) {
        (_, Value::Null) => Err(Status::bad_request("Invalid JSON Patch")),
        (Value::Object(object), Value::Object(patch)) => {
            merge_objects(object, patch);
            Ok(())
        }
        (object, Value::Object(_)) => {
            *object = without_nulls(patch);
            Ok(())
        }
        (_, other) => Err(undecodable(&no_value_of(other, "map[string]interface {}"))),
    }
}

/// What `encoding/json` of Go says about a value of the wrong type.
pub(super) fn no_value_of(value: &Value, target: &str) -> String {
    format!(
        "json: cannot unmarshal {} into Go value of type {target}",
        show::type_name(value)
    )
}

fn undecodable(reason: &str) -> Status {
    Status::bad_request(format!("error decoding patch: {reason}"))
}

/// The answer to a patch that cannot be applied; the API server does not say why.
pub(super) fn rejected() -> Status {
    let mut status = Status::new(
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
    );
    status.details = Some(Box::default());
    status
}

fn check_operation(operation: &Value) -> Result<(), Status> {
    let fields = match operation {
        Value::Null => return Ok(()),
        Value::Object(fields) => fields,
        other => return Err(undecodable(&no_value_of(other, "handlers.jsonPatchOp"))),
    };
    for name in ["op", "path", "from"] {
        match fields.get(name) {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(other) => {
                return Err(undecodable(&format!(
                    "json: cannot unmarshal {} into Go struct field jsonPatchOp.{name} of type string",
                    show::type_name(other)
                )));
            }
        }
    }
    Ok(())
}

/// An operation that cannot be done.
struct Refused;

fn perform(object: &mut Value, operation: &Value) -> Result<(), Refused> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str);
    let path = || text("path").ok_or(Refused);
    let value = || operation.get("value").cloned().unwrap_or_default();
    match text("op") {
        Some("add") => add(object, path()?, value()),
        Some("remove") => remove(object, path()?).map(drop),
        Some("replace") => replace(object, path()?, value()),
        Some("test") => test(object, path()?, operation.get("value")),
        Some("move") => {
            let moved = remove(object, text("from").ok_or(Refused)?)?;
            add(object, path()?, moved)
        }
        Some("copy") => {
            let (parent, key) = locate(object, text("from").ok_or(Refused)?)?;
            let copied = get(parent, &key)?.cloned().unwrap_or_default();
            add(object, path()?, copied)
        }
        _ => Err(Refused),
    }
}

/// The object or list that a path's last part is in, and that part.
fn locate<'a>(object: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), Refused> {
    let decoded = |part: &str| part.replace("~1", "/").replace("~0", "~");
    // What is before the first slash does not count.
    let mut parts: Vec<&str> = path.split('/').skip(1).collect();
    let last = parts.pop().ok_or(Refused)?;
    let mut place = object;
    for part in parts {
        place = match place {
            Value::Object(fields) => fields.get_mut(&decoded(part)).ok_or(Refused)?,
            Value::Array(items) => {
                let position = position(&decoded(part), items.len(), items.len())?;
                items.get_mut(position).ok_or(Refused)?
            }
            _ => return Err(Refused),
        };
    }
    match place {
        Value::Object(_) | Value::Array(_) => Ok((place, decoded(last))),
        _ => Err(Refused),
    }
}

/// A position in a list of `length`; negative ones count from `end`.
fn position(text: &str, length: usize, end: usize) -> Result<usize, Refused> {
    let index: i64 = text.parse().map_err(|_| Refused)?;
    let index = if index < 0 {
        index + i64::try_from(end).map_err(|_| Refused)?
    } else {
        index
    };
    let index = usize::try_from(index).map_err(|_| Refused)?;
    if index < length {
        Ok(index)
    } else {
        Err(Refused)
    }
}

fn get<'a>(parent: &'a Value, key: &str) -> Result<Option<&'a Value>, Refused> {
    match parent {
        Value::Object(fields) => Ok(fields.get(key)),
        Value::Array(items) => position(key, items.len(), items.len()).map(|at| items.get(at)),
        _ => Err(Refused),
    }
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), Refused> {
    let (parent, key) = locate(object, path)?;
    match parent {
        Value::Object(fields) => {
            fields.insert(key, value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let length = items.len() + 1;
            items.insert(position(&key, length, length)?, value);
        }
        _ => return Err(Refused),
    }
    Ok(())
}

fn remove(object: &mut Value, path: &str) -> Result<Value, Refused> {
    let (parent, key) = locate(object, path)?;
    match parent {
        Value::Object(fields) => fields.remove(&key).ok_or(Refused),
        Value::Array(items) => {
            let at = position(&key, items.len(), items.len())?;
            Ok(items.remove(at))
        }
        _ => Err(Refused),
    }
}

fn replace(object: &mut Value, path: &str, value: Value) -> Result<(), Refused> {
    if path.is_empty() {
        if !value.is_object() && !value.is_array() {
            return Err(Refused);
        }
        *object = value;
        return Ok(());
    }
    let (parent, key) = locate(object, path)?;
    match parent {
        Value::Object(fields) => {
            fields.insert(key, value);
        }
        Value::Array(items) => {
            let at = position(&key, items.len(), items.len())?;
            *items.get_mut(at).ok_or(Refused)? = value;
        }
        _ => return Err(Refused),
    }
    Ok(())
}

fn test(object: &mut Value, path: &str, wanted: Option<&Value>) -> Result<(), Refused> {
    let wanted = wanted.unwrap_or(&Value::Null);
    let equal = if path.is_empty() {
        object == wanted
    } else {
        let (parent, key) = locate(object, path)?;
        get(parent, &key)?.unwrap_or(&Value::Null) == wanted
    };
    if equal { Ok(()) } else { Err(Refused) }
}

fn merge_objects(object: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match (object.get_mut(name), value) {
            (_, Value::Null) => {
                object.remove(name);
            }
            (Some(Value::Object(object)), Value::Object(patch)) => merge_objects(object, patch),
            // An object becomes what the patch says, to the letter; anything else loses the nulls.
            (Some(Value::Object(_)), _) => {
                object.insert(name.clone(), value.clone());
            }
            _ => {
                object.insert(name.clone(), without_nulls(value));
            }
        }
    }
}

/// A value without fields that are null. Nulls in lists stay.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}
