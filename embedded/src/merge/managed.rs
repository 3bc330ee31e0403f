//! `metadata.managedFields`: who owns which field.
//!
//! Each entry belongs to a manager, an operation (Apply or Update), a version (for Update) and a
//! subresource. An update owns the fields that it changed and takes them from all others; an apply
//! owns what its configuration contains, and conflicts with others over what it would change.

use jiff::Timestamp;
use serde_json::{Value, json};

pub use super::apply::apply;
use super::compare::{self, Comparison};
use super::fields::{self, Fields};
use super::shape::{Form, Shape, View};
use super::typed;
use crate::object::meta;

/// Update managers that are kept apart; beyond, the oldest become one.
const MAX_UPDATE_MANAGERS: usize = 10;

/// Whose write it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// Field manager as given by the client, or the first part of its user agent; empty for
    /// unknown.
    pub manager: String,
    /// Such as `status`; none for the main resource.
    pub subresource: Option<String>,
    /// Version that the request is for, such as `muster.dev/v1`.
    pub api_version: String,
    /// Now.
    pub now: Timestamp,
}

impl Writer {
    pub(super) fn name(&self) -> &str {
        if self.manager.is_empty() {
            "unknown"
        } else {
            &self.manager
        }
    }

    /// Writes the time of an entry. Entries of the scale subresource have none: the API server
    /// loses it when it translates between the resource and its scale.
    pub(super) fn date(&self, entry: &mut Value) {
        if self.subresource.as_deref() == Some("scale") {
            return;
        }
        entry["time"] = self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    }

    /// An entry of this writer without fields and time.
    pub(super) fn entry(&self, operation: &str) -> Value {
        let mut entry = json!({
            "manager": self.name(),
            "operation": operation,
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": {},
        });
        if let Some(subresource) = self.subresource.as_deref().filter(|name| !name.is_empty()) {
            entry["subresource"] = subresource.into();
        }
        entry
    }
}

/// Records in `new` who owns its fields after a create (without `old`), update or patch other than
/// apply.
///
/// `new` may bring managed fields of its own, as clients that read, change and write do; an empty
/// list forgets all owners. Objects that have no managed fields stay without, until someone applies
/// to them.
pub fn record_update(old: Option<&Value>, new: &mut Value, writer: &Writer, shape: &Shape) {
    let provided = take_entries(new);
    let mut entries = starting_entries(old, provided, writer, shape);
    if entries.is_empty() && old.is_some_and(|old| !meta(old, "uid").is_empty()) {
        return;
    }
    let resets = shape.resets(writer.subresource.as_deref());
    let skeleton;
    let old = if let Some(old) = old {
        old
    } else {
        skeleton = empty_object(shape.view(), new);
        &skeleton
    };
    // What does not fit its type has no owner; the API server then drops the whole record.
    let Ok(comparison) = compare::objects(shape.view(), old, new, resets) else {
        return;
    };
    if !comparison.is_empty() {
        settle(&mut entries, shape.view());
        record(&mut entries, comparison, writer, "Update");
    }
    put_entries(new, entries);
}

/// Puts back the times of entries if nothing else differs from the stored object, so that a write
/// without effect is none.
///
/// To be called last, when defaults are set and what the write cannot change is put back.
pub fn keep_times(old: &Value, new: &mut Value) {
    let stored = old.pointer("/metadata/managedFields");
    let Some(stored) = stored.and_then(Value::as_array) else {
        return;
    };
    let entries = new.pointer("/metadata/managedFields");
    let Some(entries) = entries.and_then(Value::as_array) else {
        return;
    };
    let differs = |name: &str| {
        let mut pairs = stored.iter().zip(entries);
        pairs.any(|(known, entry)| known.get(name) != entry.get(name))
    };
    let rest = [
        "manager",
        "operation",
        "apiVersion",
        "subresource",
        "fieldsV1",
    ];
    if stored.len() != entries.len() || !differs("time") || rest.into_iter().any(differs) {
        return;
    }
    let taken = take_entries(new);
    let mut bare = old.clone();
    take_entries(&mut bare);
    let entries = match taken {
        Some(Value::Array(entries)) if bare != *new => entries,
        _ => stored.clone(),
    };
    put_entries(new, entries);
}

/// What the object is before it is created: the parts that are always there, empty.
pub(super) fn empty_object(view: View<'_>, new: &Value) -> Value {
    let mut object = Fields::new();
    for name in ["apiVersion", "kind"] {
        if let Some(value) = new.get(name) {
            object.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(Form::Map(map)) = view.form(view.choice(Some(new))) {
        for (name, field) in map.fields.iter().filter(|(_, field)| field.always) {
            object.insert(name.clone(), empty_value(view.at(field.id)));
        }
    }
    Value::Object(object)
}

/// The zero value of a Go type.
fn empty_value(view: View<'_>) -> Value {
    use super::shape::Scalar;

    let atom = view.atom();
    match (&atom.map, atom.scalar) {
        (Some(map), None) if !map.fields.is_empty() => Value::Object(
            map.fields
                .iter()
                .filter(|(_, field)| field.always)
                .map(|(name, field)| (name.clone(), empty_value(view.at(field.id))))
                .collect(),
        ),
        (None, Some(Scalar::Text)) => Value::from(""),
        (None, Some(Scalar::Numeric)) => Value::from(0),
        (None, Some(Scalar::Boolean)) => Value::from(false),
        _ => Value::Null,
    }
}

/// Removes `metadata.managedFields`.
fn take_entries(object: &mut Value) -> Option<Value> {
    object
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
        .and_then(|metadata| metadata.remove("managedFields"))
}

/// Writes `metadata.managedFields`; an empty list is left out.
pub(super) fn put_entries(object: &mut Value, entries: Vec<Value>) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    if entries.is_empty() {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        return;
    }
    let metadata = object
        .entry("metadata")
        .or_insert_with(|| Value::Object(Fields::new()));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("managedFields".to_owned(), Value::Array(entries));
    }
}

/// The entries to go on with: those that the request brings, if it may and they are sound, else
/// those of the stored object.
fn starting_entries(
    old: Option<&Value>,
    provided: Option<Value>,
    writer: &Writer,
    shape: &Shape,
) -> Vec<Value> {
    let stored = old.and_then(|old| old.pointer("/metadata/managedFields"));
    if let (Some(Value::Array(provided)), None) = (provided, &writer.subresource) {
        let reset = match provided.as_slice() {
            // The decoder of custom resources loses empty lists.
            [] => shape.built_in,
            [only] => only.as_object().is_some_and(Fields::is_empty),
            _ => false,
        };
        if reset {
            return Vec::new();
        }
        if stored.and_then(Value::as_array) == Some(&provided) {
            // Came from here, so it is sound.
            return provided;
        }
        if let Some(mut entries) = sound(&provided).filter(|entries| !entries.is_empty()) {
            drop_empty(&mut entries);
            sort(&mut entries);
            return entries;
        }
    }
    stored
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

/// The entries in the form in which they are stored; none if one of them is not sound.
pub(super) fn sound(entries: &[Value]) -> Option<Vec<Value>> {
    let mut sound: Vec<Value> = Vec::with_capacity(entries.len());
    for entry in entries {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        if !matches!(text("operation"), "Apply" | "Update")
            || text("apiVersion").is_empty()
            || text("fieldsType") != "FieldsV1"
        {
            return None;
        }
        let fields = match entry.get("fieldsV1") {
            None | Some(Value::Null) => Fields::new(),
            Some(Value::Object(fields)) => fields::normalize(fields)?,
            Some(_) => return None,
        };
        let mut normal = json!({
            "operation": text("operation"),
            "apiVersion": text("apiVersion"),
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        });
        for name in ["manager", "subresource"] {
            if !text(name).is_empty() {
                normal[name] = text(name).into();
            }
        }
        if let Ok(time) = text("time").parse::<Timestamp>() {
            normal["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
        }
        sound.retain(|known| !same_owner(known, &normal));
        sound.push(normal);
    }
    Some(sound)
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn is_applied(entry: &Value) -> bool {
    text(entry, "operation") == "Apply"
}

/// Whether anyone owns the field at a path.
pub fn is_owned(object: &Value, path: &[&str]) -> bool {
    let entries = object.pointer("/metadata/managedFields");
    let mut entries = entries.and_then(Value::as_array).into_iter().flatten();
    entries.any(|entry| {
        path.iter()
            .try_fold(&entry["fieldsV1"], |below, name| {
                below.get(fields::field_name(name))
            })
            .is_some()
    })
}

/// Whether two entries are of the same manager, operation, subresource and, for updates, version.
pub(super) fn same_owner(left: &Value, right: &Value) -> bool {
    let equal = |name: &str| text(left, name) == text(right, name);
    equal("operation")
        && equal("manager")
        && equal("subresource")
        && (is_applied(left) || equal("apiVersion"))
}

pub(super) fn owned(entry: &Value) -> Option<&Fields> {
    entry.get("fieldsV1").and_then(Value::as_object)
}

pub(super) fn owned_mut(entry: &mut Value) -> Option<&mut Fields> {
    entry.get_mut("fieldsV1").and_then(Value::as_object_mut)
}

/// Fits what was recorded to a shape that may have changed since.
pub(super) fn settle(entries: &mut [Value], view: View<'_>) {
    for fields in entries.iter_mut().filter_map(owned_mut) {
        typed::settle(view, fields);
    }
}

/// Takes what an update removed or changed from all managers.
pub(super) fn take_from_others(entries: &mut [Value], comparison: &Comparison) {
    for entry in entries.iter_mut() {
        if let Some(fields) = owned_mut(entry) {
            fields::subtract(fields, &comparison.removed);
            fields::subtract(fields, &comparison.changed);
        }
    }
}

/// Drops managers that own nothing.
pub(super) fn drop_empty(entries: &mut Vec<Value>) {
    entries.retain(|entry| owned(entry).is_some_and(|fields| !fields.is_empty()));
}

/// Gives what changed to the writer and takes it from all others.
pub(super) fn record(
    entries: &mut Vec<Value>,
    comparison: Comparison,
    writer: &Writer,
    operation: &str,
) {
    take_from_others(entries, &comparison);
    let changed = comparison.changed;
    if !changed.is_empty() {
        let own = writer.entry(operation);
        let known = entries.iter().position(|entry| same_owner(entry, &own));
        let mut entry = known.map_or(own, |position| entries.swap_remove(position));
        if let Some(fields) = owned_mut(&mut entry) {
            fields::union(fields, changed);
        }
        writer.date(&mut entry);
        entries.push(entry);
    }
    drop_empty(entries);
    cap_updates(entries);
    sort(entries);
}

/// The order in which the API server writes entries: applies first, then by time.
pub(super) fn sort(entries: &mut [Value]) {
    // Times have one form, so that texts sort as times do; none sorts first.
    entries.sort_by(|left, right| {
        ["operation", "time", "manager", "apiVersion", "subresource"]
            .iter()
            .map(|name| text(left, name).cmp(text(right, name)))
            .find(|order| order.is_ne())
            .unwrap_or(std::cmp::Ordering::Equal)
    });
}

/// Joins the oldest update managers of each version into one, until there are few enough.
fn cap_updates(entries: &mut Vec<Value>) {
    let mut updaters: Vec<Value> = Vec::new();
    if entries.iter().filter(|entry| !is_applied(entry)).count() <= MAX_UPDATE_MANAGERS {
        return;
    }
    entries.retain_mut(|entry| {
        let applied = is_applied(entry);
        if !applied {
            updaters.push(entry.take());
        }
        applied
    });
    updaters.sort_by_cached_key(|entry| (text(entry, "time").to_owned(), identity(entry)));
    let mut excess = updaters.len() - MAX_UPDATE_MANAGERS;
    let mut kept: Vec<Value> = Vec::with_capacity(MAX_UPDATE_MANAGERS);
    for mut entry in updaters {
        // The oldest of its version becomes the one that others are joined into.
        let oldest = kept.iter_mut().find(|known| {
            let joins = excess > 0 && text(known, "apiVersion") == text(&entry, "apiVersion");
            joins || same_owner(known, &entry)
        });
        let Some(oldest) = oldest else {
            kept.push(entry);
            continue;
        };
        excess = excess.saturating_sub(1);
        oldest["manager"] = "ancient-changes".into();
        if let Some(oldest) = oldest.as_object_mut() {
            oldest.remove("subresource");
            // The later time: what is joined last is the most recent.
            match entry.get("time") {
                Some(time) => oldest.insert("time".to_owned(), time.clone()),
                None => oldest.remove("time"),
            };
        }
        if let (Some(fields), Some(others)) = (owned_mut(oldest), owned_mut(&mut entry)) {
            fields::union(fields, std::mem::take(others));
        }
    }
    entries.append(&mut kept);
}

/// What the API server sorts managers of equal age by.
pub(super) fn identity(entry: &Value) -> String {
    let parts: Vec<String> = ["manager", "operation", "apiVersion", "subresource"]
        .into_iter()
        .filter(|name| !(*name == "apiVersion" && is_applied(entry)))
        .map(|name| (name, text(entry, name)))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{}:{}", Value::from(name), Value::from(value)))
        .collect();
    format!("{{{}}}", parts.join(","))
}
