//! What the API server settles itself in every object: what this way of writing may not change,
//! and what counts for the generation.

use serde_json::{Value, json};

use super::write::{remove_meta, set_meta};
use crate::kinds::{Kind, builtin};

/// Whether the kind is CustomResourceDefinition.
pub(crate) fn is_definition(kind: &Kind) -> bool {
    kind.group == "apiextensions.k8s.io" && kind.plural == "customresourcedefinitions"
}

/// Whether the kind is one of the core group.
pub(crate) fn is_core(kind: &Kind, plural: &str) -> bool {
    kind.group.is_empty() && kind.plural == plural
}

fn is_custom(kind: &Kind) -> bool {
    kind.schema.is_some()
}

/// Whether a deletion answers with the object, not with a Status.
pub(crate) fn returns_deleted(kind: &Kind) -> bool {
    matches!(
        (kind.group.as_str(), kind.plural.as_str()),
        (
            "",
            "namespaces"
                | "persistentvolumeclaims"
                | "persistentvolumes"
                | "pods"
                | "podtemplates"
                | "resourcequotas"
                | "serviceaccounts"
                | "services"
        ) | ("storage.k8s.io", "storageclasses")
    )
}

/// Settles what a new object begins with.
pub(crate) fn prepare_create(kind: &Kind, value: &mut Value) {
    if is_custom(kind) {
        if kind.has_status {
            remove(value, "status");
        }
        set_meta(value, "generation", 1.into());
    } else {
        builtin::prepare_create(kind, value);
    }
}

/// Puts back what this way of writing may not change, and counts the generation.
pub(crate) fn prepare_update(kind: &Kind, subresource: Option<&str>, new: &mut Value, old: &Value) {
    keep_meta(new, old, "generation");
    if is_custom(kind) {
        prepare_custom(kind, subresource, new, old);
    } else {
        builtin::prepare_update(kind, new, old, subresource);
    }
    if !has_meta(new, "uid") {
        keep_meta(new, old, "uid");
    }
    for field in ["creationTimestamp", "deletionTimestamp"] {
        if has_meta(old, field) {
            keep_meta(new, old, field);
        }
    }
    if !has_meta(new, "deletionGracePeriodSeconds") {
        keep_meta(new, old, "deletionGracePeriodSeconds");
    }
}

fn prepare_custom(kind: &Kind, subresource: Option<&str>, new: &mut Value, old: &Value) {
    if subresource == Some("status") {
        let status = new.get("status").cloned();
        let managed = new.pointer("/metadata/managedFields").cloned();
        *new = old.clone();
        set_or_remove(new, "status", status);
        match managed {
            Some(managed) => set_meta(new, "managedFields", managed),
            None => remove_meta(new, "managedFields"),
        }
        return;
    }
    if kind.has_status {
        set_or_remove(new, "status", old.get("status").cloned());
    }
    if is_changed(kind, new, old) {
        let generation = old.pointer("/metadata/generation").and_then(Value::as_i64);
        set_meta(
            new,
            "generation",
            (generation.unwrap_or_default() + 1).into(),
        );
    }
}

/// Whether something of a custom resource changed that counts for the generation.
fn is_changed(kind: &Kind, new: &Value, old: &Value) -> bool {
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else {
        return false;
    };
    let counts = |name: &str| name != "metadata" && !(name == "status" && kind.has_status);
    new.iter()
        .filter(|(name, _)| counts(name))
        .any(|(name, value)| old.get(name) != Some(value))
        || old
            .keys()
            .any(|name| counts(name) && !new.contains_key(name))
}

/// Whether an update takes the last thing that kept an object from going.
pub(crate) fn is_finished(kind: &Kind, new: &Value, old: &Value) -> bool {
    let grace = old
        .pointer("/metadata/deletionGracePeriodSeconds")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    has_meta(old, "deletionTimestamp") && grace == 0 && !has_finalizers(kind, new)
}

/// Whether anything keeps an object from going.
pub(crate) fn has_finalizers(kind: &Kind, object: &Value) -> bool {
    let is_empty = |path: &str| {
        object
            .pointer(path)
            .and_then(Value::as_array)
            .is_none_or(Vec::is_empty)
    };
    !is_empty("/metadata/finalizers")
        || (is_core(kind, "namespaces") && !is_empty("/spec/finalizers"))
}

fn has_meta(object: &Value, field: &str) -> bool {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get(field))
        .is_some_and(|value| !value.is_null() && *value != json!(""))
}

fn keep_meta(new: &mut Value, old: &Value, field: &str) {
    match old.get("metadata").and_then(|metadata| metadata.get(field)) {
        Some(value) => set_meta(new, field, value.clone()),
        None => remove_meta(new, field),
    }
}

fn set_or_remove(object: &mut Value, field: &str, value: Option<Value>) {
    match value {
        Some(value) => object[field] = value,
        None => remove(object, field),
    }
}

fn remove(object: &mut Value, field: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove(field);
    }
}
