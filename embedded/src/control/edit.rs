//! Reading and changing the parts of objects that every controller deals with.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::Clock;
use crate::kinds::Kind;
use crate::object::meta;
use crate::objects::Objects;

/// A time of objects: RFC 3339 to the second.
pub(super) fn seconds(clock: &Clock) -> String {
    clock().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Sets a condition of a status; true if it changed. The time of transition moves only with the
/// status of the condition.
pub(super) fn set_condition(object: &mut Value, condition: &Value, now: &str) -> bool {
    if !object["status"].is_object() {
        object["status"] = json!({});
    }
    let list = &mut object["status"]["conditions"];
    if !list.is_array() {
        *list = json!([]);
    }
    let Value::Array(list) = list else {
        return false;
    };
    let mut wanted = condition.clone();
    let known = list
        .iter_mut()
        .find(|known| known.get("type") == condition.get("type"));
    let Some(known) = known else {
        wanted["lastTransitionTime"] = now.into();
        list.push(wanted);
        return true;
    };
    wanted["lastTransitionTime"] = if known.get("status") == condition.get("status") {
        known["lastTransitionTime"].clone()
    } else {
        now.into()
    };
    if *known == wanted {
        return false;
    }
    *known = wanted;
    true
}

/// Every kind once, in its preferred version, that can be listed and deleted.
pub(super) fn kept_kinds(objects: &dyn Objects) -> Vec<Arc<Kind>> {
    let mut kept: Vec<Arc<Kind>> = Vec::new();
    for kind in objects.kinds().iter() {
        let repeated = kept
            .last()
            .is_some_and(|last| last.group == kind.group && last.plural == kind.plural);
        let can = |verb: &str| kind.verbs.iter().any(|known| known == verb);
        if !repeated && can("list") && can("delete") {
            kept.push(kind.clone());
        }
    }
    kept
}

/// Whether a finalizer keeps an object.
pub(super) fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    object["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|list| list.iter().any(|known| known == finalizer))
}

/// Removes a finalizer.
pub(super) fn remove_finalizer(object: &mut Value, finalizer: &str) {
    shrink(object, "finalizers", &|known| known == finalizer);
}

/// Removes what matches from a list in the metadata, and the list if nothing is left.
pub(super) fn shrink(object: &mut Value, field: &str, matches: &dyn Fn(&Value) -> bool) {
    let Some(Value::Object(metadata)) = object.get_mut("metadata") else {
        return;
    };
    let Some(Value::Array(list)) = metadata.get_mut(field) else {
        return;
    };
    list.retain(|item| !matches(item));
    if list.is_empty() {
        metadata.remove(field);
    }
}

/// Whether an object is on its way out.
pub(super) fn is_deleting(object: &Value) -> bool {
    !meta(object, "deletionTimestamp").is_empty()
}
