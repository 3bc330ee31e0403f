//! Server-side apply: lays a configuration over an object, takes out what the applier gave up, and
//! settles who owns what.

use serde_json::{Value, json};

use super::compare;
use super::fields::{self, FieldPath, Fields};
use super::managed::{self, Writer};
use super::shape::{Shape, View};
use super::typed;
use crate::object::meta;
use crate::status::{Cause, Details, Status};

/// Owner of everything that was there before anyone recorded owners.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// The manager for which the record of `kubectl apply` on the client counts.
const KUBECTL: &str = "kubectl";

/// Where `kubectl apply` on the client keeps what it applied last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Applies a configuration: the object as it shall be stored, with managed fields, before defaults.
///
/// Without `live` the object is created. With `force`, fields that others own and that the
/// configuration would change are taken from them; without, that is a conflict (409). If nothing
/// changes, the result equals `live`; if only owners change, no time does. After defaults,
/// [`managed::keep_times`] does the same for changes that the defaults took back.
pub fn apply(
    live: Option<&Value>,
    applied: &Value,
    writer: &Writer,
    force: bool,
    shape: &Shape,
) -> Result<Value, Status> {
    check_configuration(live, applied, writer, shape)?;
    let view = shape.view();
    typed::validate(view, applied).map_err(|problem| {
        failed(format!(
            "failed to create typed patch object ({}): {problem}",
            described(applied)
        ))
    })?;

    let managers = starting_managers(live, writer, shape)?;
    let nothing = empty_base(applied);
    let base = live.unwrap_or(&nothing);
    let attempt = |force: bool| {
        let task = Task {
            base,
            applied,
            writer,
            shape,
        };
        task.run(&managers, force)
    };
    let mut outcome = attempt(force);
    // `kubectl apply --server-side` takes over what `kubectl apply` set on the client.
    if writer.manager == KUBECTL
        && let Err(Failure::Conflicts(conflicts)) = &outcome
        && let Some(allowed) = set_by_client_apply(base, writer, view)
    {
        let left: Vec<(Value, Fields)> = conflicts
            .iter()
            .cloned()
            .map(|(owner, mut set)| {
                fields::subtract(&mut set, &allowed);
                (owner, set)
            })
            .filter(|(_, set)| !set.is_empty())
            .collect();
        outcome = if left.is_empty() {
            attempt(true)
        } else {
            Err(Failure::Conflicts(left))
        };
    }
    let (mut object, managers) = outcome.map_err(Failure::into_status)?;
    if writer.manager == KUBECTL {
        renew_last_applied(&mut object, applied);
    }
    managed::put_entries(&mut object, managers);
    Ok(object)
}

fn check_configuration(
    live: Option<&Value>,
    applied: &Value,
    writer: &Writer,
    shape: &Shape,
) -> Result<(), Status> {
    let text = |object: &Value, name: &str| {
        object
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let kind = text(applied, "kind");
    let expected = shape
        .kind
        .clone()
        .or_else(|| live.map(|live| text(live, "kind")));
    if text(applied, "apiVersion") != writer.api_version
        || expected.is_some_and(|expected| expected != kind)
    {
        return Err(Status::bad_request(format!(
            "invalid object type: {}",
            group_version_kind(applied)
        )));
    }
    let entries = applied.pointer("/metadata/managedFields");
    if entries.is_some_and(Value::is_array) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    Ok(())
}

/// `muster.dev/v1, Kind=Fleet`, with a leading slash for the core group.
fn group_version_kind(object: &Value) -> String {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let version = text("apiVersion");
    let slash = if version.contains('/') { "" } else { "/" };
    format!("{slash}{version}, Kind={}", text("kind"))
}

/// `namespace/name; muster.dev/v1, Kind=Fleet`.
fn described(object: &Value) -> String {
    format!(
        "{}/{}; {}",
        meta(object, "namespace"),
        meta(object, "name"),
        group_version_kind(object)
    )
}

/// An error that the API server does not explain with a reason.
fn failed(message: String) -> Status {
    Status::new(500, "", message)
}

/// Managers of the live object; one that stands for everybody if it has none yet.
fn starting_managers(
    live: Option<&Value>,
    writer: &Writer,
    shape: &Shape,
) -> Result<Vec<Value>, Status> {
    let Some(live) = live else {
        return Ok(Vec::new());
    };
    let stored = live.pointer("/metadata/managedFields");
    let stored = stored.and_then(Value::as_array).map(Vec::as_slice);
    let mut entries = managed::sound(stored.unwrap_or_default())
        .ok_or_else(|| failed("failed to decode managed fields".to_owned()))?;
    let view = shape.view();
    if !entries.is_empty() {
        managed::settle(&mut entries, view);
        return Ok(entries);
    }
    let resets = shape.resets(writer.subresource.as_deref());
    let before = managed::empty_object(view, live);
    let everything = compare::objects(view, &before, live, resets).map_err(|problem| {
        failed(format!(
            "failed to create manager for existing fields: {problem}"
        ))
    })?;
    let first = Writer {
        manager: BEFORE_FIRST_APPLY.to_owned(),
        ..writer.clone()
    };
    let mut managers = Vec::new();
    managed::record(&mut managers, everything, &first, "Update");
    Ok(managers)
}

fn empty_base(applied: &Value) -> Value {
    json!({ "apiVersion": applied.get("apiVersion"), "kind": applied.get("kind") })
}

/// Why an apply did not succeed.
enum Failure {
    /// Entries of managers and what they own of what would change.
    Conflicts(Vec<(Value, Fields)>),
    Other(Status),
}

/// One attempt to apply.
struct Task<'a> {
    base: &'a Value,
    applied: &'a Value,
    writer: &'a Writer,
    shape: &'a Shape,
}

impl Task<'_> {
    fn run(&self, managers: &[Value], force: bool) -> Result<(Value, Vec<Value>), Failure> {
        let view = self.shape.view();
        let resets = self.shape.resets(self.writer.subresource.as_deref());
        let merged = typed::merge(view, Some(self.base), Some(self.applied))
            .map_err(|problem| {
                Failure::Other(failed(format!("failed to merge config: {problem}")))
            })?
            .unwrap_or(Value::Null);

        let mut own = typed::to_fields(view, self.applied);
        for path in resets {
            fields::remove_below(&mut own, path);
        }
        let mut entry = self.writer.entry("Apply");
        let mut managers = managers.to_vec();
        let position = managers
            .iter()
            .position(|known| managed::same_owner(known, &entry));
        let last = position.map(|position| managers.remove(position));
        if let Some(time) = last.as_ref().and_then(|last| last.get("time")) {
            entry["time"] = time.clone();
        }
        let merged = match last.as_ref().and_then(managed::owned) {
            Some(last) if !last.is_empty() => {
                let mut owned = own.clone();
                for set in managers.iter().filter_map(managed::owned) {
                    fields::union(&mut owned, set.clone());
                }
                prune(view, &merged, last, &owned)
            }
            _ => merged,
        };

        let comparison = compare::objects(view, self.base, &merged, resets).map_err(|problem| {
            Failure::Other(failed(format!("failed to compare objects: {problem}")))
        })?;
        let conflicts: Vec<(Value, Fields)> = managers
            .iter()
            .filter_map(|manager| {
                let set = fields::intersection(managed::owned(manager)?, &comparison.changed);
                (!set.is_empty()).then(|| (manager.clone(), set))
            })
            .collect();
        if !force && !conflicts.is_empty() {
            return Err(Failure::Conflicts(conflicts));
        }
        managed::take_from_others(&mut managers, &comparison);

        fields::strip(&mut own);
        if let Some(fields) = managed::owned_mut(&mut entry) {
            *fields = own;
        }
        let same = typed::same(&merged, self.base);
        if !same {
            self.writer.date(&mut entry);
        }
        managers.push(entry);
        managed::drop_empty(&mut managers);
        managed::sort(&mut managers);
        let object = if same { self.base.clone() } else { merged };
        Ok((object, managers))
    }
}

/// Takes out what the applier owned and does not apply any more, unless somebody else owns it.
fn prune(view: View<'_>, merged: &Value, last: &Fields, owned: &Fields) -> Value {
    let last = typed::with_named_fields(view, last);
    let pruned = typed::remove(view, merged, &last);
    let named = |value: &Value| typed::with_named_fields(view, &typed::to_fields(view, value));

    // What somebody owns comes back,
    let before = named(merged);
    let mut gone = before.clone();
    let mut kept = named(&pruned);
    fields::union(&mut kept, typed::with_named_fields(view, owned));
    fields::subtract(&mut gone, &kept);
    let pruned = typed::remove(view, merged, &gone);

    // and what the applier never owned.
    let mut gone = before;
    fields::subtract(&mut gone, &named(&pruned));
    typed::remove(view, merged, &fields::intersection(&gone, &last))
}

/// Fields that still are as `kubectl apply` on the client set them.
fn set_by_client_apply(live: &Value, writer: &Writer, view: View<'_>) -> Option<Fields> {
    let text = live
        .get("metadata")?
        .get("annotations")?
        .get(LAST_APPLIED)?;
    let last: Value = serde_json::from_str(text.as_str()?).ok()?;
    if last.get("apiVersion").and_then(Value::as_str) != Some(writer.api_version.as_str()) {
        return None;
    }
    typed::validate(view, &last).ok()?;
    let comparison = compare::objects(view, &last, live, &[]).ok()?;
    let mut set = typed::to_fields(view, &last);
    fields::subtract(&mut set, &comparison.removed);
    fields::subtract(&mut set, &comparison.changed);
    Some(set)
}

/// Keeps the record of `kubectl apply` on the client up to date, where there is one.
fn renew_last_applied(object: &mut Value, applied: &Value) {
    let Some(Value::String(text)) = object
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"))
        .and_then(|annotations| annotations.get_mut(LAST_APPLIED))
    else {
        return;
    };
    if text.is_empty() {
        return;
    }
    let mut applied = applied.clone();
    if let Some(annotations) = applied
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(LAST_APPLIED);
    }
    *text = format!("{applied}\n");
}

impl Failure {
    fn into_status(self) -> Status {
        let conflicts = match self {
            Self::Other(status) => return status,
            Self::Conflicts(conflicts) => conflicts,
        };
        let mut conflicts: Vec<(String, String, Vec<FieldPath>)> = conflicts
            .iter()
            .map(|(entry, set)| {
                (
                    managed::identity(entry),
                    shown_manager(entry),
                    fields::paths(set),
                )
            })
            .collect();
        conflicts.sort_by(|left, right| left.0.cmp(&right.0));
        let causes: Vec<Cause> = conflicts
            .iter()
            .flat_map(|(_, manager, paths)| {
                paths.iter().map(move |path| Cause {
                    reason: "FieldManagerConflict",
                    message: format!("conflict with {manager}"),
                    field: path.to_string(),
                })
            })
            .collect();
        let message = if let [only] = causes.as_slice() {
            format!(
                "Apply failed with 1 conflict: {}: {}",
                only.message, only.field
            )
        } else {
            let mut lines = Vec::new();
            for (_, manager, paths) in &conflicts {
                lines.push(format!("conflicts with {manager}:"));
                lines.extend(paths.iter().map(|path| format!("- {path}")));
            }
            format!(
                "Apply failed with {} conflicts: {}",
                causes.len(),
                lines.join("\n")
            )
        };
        let mut status = Status::new(409, "Conflict", message);
        status.details = Some(Box::new(Details {
            causes,
            ..Details::default()
        }));
        status
    }
}

/// A manager as conflicts name it.
fn shown_manager(entry: &Value) -> String {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut shown = fields::quoted(text("manager"));
    if !text("subresource").is_empty() {
        shown.push_str(" with subresource ");
        shown.push_str(&fields::quoted(text("subresource")));
    }
    if managed::is_applied(entry) {
        return shown;
    }
    format!("{shown} using {}", text("apiVersion"))
}
