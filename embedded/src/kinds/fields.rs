//! Reading and filling fields of objects by dotted paths.

use serde_json::{Map, Value};

/// The value at a path such as `spec.replicas`; null if there is none.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, key| &value[key])
}

/// The text at a path; empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).as_str().unwrap_or_default()
}

/// The whole number at a path; zero if there is none.
pub(crate) fn integer(value: &Value, path: &str) -> i64 {
    at(value, path).as_i64().unwrap_or_default()
}

/// Whether there is `true` at a path.
pub(crate) fn flag(value: &Value, path: &str) -> bool {
    at(value, path).as_bool().unwrap_or_default()
}

/// The list at a path; empty if there is none.
pub(crate) fn items<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path).as_array().map_or(&[], Vec::as_slice)
}

/// Keys and values at a path; none if there is no object.
pub(crate) fn entries<'a>(
    value: &'a Value,
    path: &str,
) -> impl DoubleEndedIterator<Item = (&'a String, &'a Value)> {
    at(value, path).as_object().into_iter().flatten()
}

/// Whether there is anything but null at a path.
pub(crate) fn has(value: &Value, path: &str) -> bool {
    !at(value, path).is_null()
}

/// The items of a list in a field, for change; none if there is no list.
pub(crate) fn items_mut<'a>(
    value: &'a mut Value,
    key: &str,
) -> impl Iterator<Item = &'a mut Value> {
    value
        .get_mut(key)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

/// An object in a field, for change.
pub(crate) fn object_mut<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    value.get_mut(key).filter(|value| value.is_object())
}

/// Sets a field if it is absent.
pub(crate) fn fill(value: &mut Value, key: &str, default: impl Into<Value>) {
    if let Some(fields) = value.as_object_mut()
        && fields.get(key).is_none_or(Value::is_null)
    {
        fields.insert(key.to_owned(), default.into());
    }
}

/// Sets a field to a value, or removes it if there is none.
pub(crate) fn assign(value: &mut Value, key: &str, new: Option<&Value>) {
    if let Some(fields) = value.as_object_mut() {
        match new {
            Some(new) => {
                fields.insert(key.to_owned(), new.clone());
            }
            None => {
                fields.remove(key);
            }
        }
    }
}

/// Removes a field.
pub(crate) fn remove(value: &mut Value, key: &str) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(key);
    }
}

/// The object in a field, which is made if it is absent.
pub(crate) fn section<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    fill(value, key, Map::new());
    &mut value[key]
}
