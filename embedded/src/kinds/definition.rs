//! CustomResourceDefinitions: what they fill in, refuse and report, and the kinds that they make.

mod schema;
mod structural;
#[cfg(test)]
mod tests;
mod validate;

use std::sync::Arc;

use serde_json::{Value, json};

use self::validate::required_names;
use super::fields::{assign, at, fill, flag, items, object_mut, section, text};
use super::{Kind, Kinds, Scale};
use crate::status::Cause;

pub(super) use self::validate::validate;

/// The kinds that a definition serves, one for each served version, the preferred one first.
pub fn to_kind(crd: &Value) -> Result<Vec<Kind>, Vec<Cause>> {
    let causes = required_names(crd);
    if !causes.is_empty() {
        return Err(causes);
    }
    let mut kinds: Vec<Kind> = items(crd, "spec.versions")
        .iter()
        .filter(|version| flag(version, "served"))
        .map(|version| kind_of(&crd["spec"], version))
        .collect();
    kinds.sort_by(|left, right| super::by_priority(&left.version, &right.version));
    Ok(kinds)
}

/// The version in which objects are stored.
pub fn storage_version(crd: &Value) -> &str {
    items(crd, "spec.versions")
        .iter()
        .find(|version| flag(version, "storage"))
        .map_or("", |version| text(version, "name"))
}

/// Whether the names are accepted and the resource is served.
pub fn is_established(crd: &Value) -> bool {
    condition(crd, "Established") == "True"
}

/// Settles the status, as the controllers of the API server do after each write: which names are
/// accepted beside those of the other `kinds`, and whether the resource is served. Nothing
/// changes if it is settled already. `now` is in RFC 3339.
pub fn settle(crd: &mut Value, kinds: &Kinds, now: &str) {
    let (accepted, conflict) = accept(crd, kinds);
    let status = section(crd, "status");
    status["acceptedNames"] = accepted;
    let was_established = condition_of(status, "Established") == "True";
    if let Some((reason, message)) = conflict {
        set_condition(status, ("NamesAccepted", "False", reason), &message, now);
        if !was_established {
            let message = "not all names are accepted";
            set_condition(
                status,
                ("Established", "False", "NotAccepted"),
                message,
                now,
            );
        }
        return;
    }
    let message = "no conflicts found";
    set_condition(
        status,
        ("NamesAccepted", "True", "NoConflicts"),
        message,
        now,
    );
    // Once established, always established.
    if !was_established {
        let (reason, message) = (
            "InitialNamesAccepted",
            "the initial names have been accepted",
        );
        set_condition(status, ("Established", "True", reason), message, now);
    }
}

/// The names that a definition may have, and the last of those that another resource of its group
/// already has.
fn accept(crd: &Value, kinds: &Kinds) -> (Value, Option<(&'static str, String)>) {
    let names = at(crd, "spec.names");
    let group = text(crd, "spec.group");
    let plural = text(names, "plural");
    let others: Vec<_> = kinds
        .iter()
        .filter(|kind| kind.group == group && kind.plural != plural)
        .collect();
    let resource_taken = |name: &str| {
        others.iter().any(|kind| {
            kind.plural == name
                || kind.singular == name
                || kind.short_names.iter().any(|short| short == name)
        })
    };
    let kind_taken = |name: &str| {
        others
            .iter()
            .any(|kind| kind.kind == name || kind.list_kind == name)
    };
    let mut accepted = at(crd, "status.acceptedNames").clone();
    if !accepted.is_object() {
        accepted = json!({});
    }
    let mut conflict = None;
    for (reason, field) in [
        ("PluralConflict", "plural"),
        ("SingularConflict", "singular"),
        ("ShortNamesConflict", "shortNames"),
        ("KindConflict", "kind"),
        ("ListKindConflict", "listKind"),
    ] {
        if names.get(field) == accepted.get(field) {
            continue;
        }
        let text = names[field].as_str();
        let mut wanted = text
            .into_iter()
            .chain(items(names, field).iter().filter_map(Value::as_str));
        let taken = |name: &&str| {
            if field.to_lowercase().ends_with("kind") {
                kind_taken(name)
            } else {
                resource_taken(name)
            }
        };
        match wanted.find(taken) {
            Some(name) => conflict = Some((reason, format!("\"{name}\" is already in use"))),
            None => assign(&mut accepted, field, names.get(field)),
        }
    }
    assign(&mut accepted, "categories", names.get("categories"));
    (accepted, conflict)
}

fn condition<'a>(crd: &'a Value, kind: &str) -> &'a str {
    condition_of(&crd["status"], kind)
}

fn condition_of<'a>(status: &'a Value, kind: &str) -> &'a str {
    items(status, "conditions")
        .iter()
        .find(|condition| text(condition, "type") == kind)
        .map_or("", |condition| text(condition, "status"))
}

fn set_condition(
    status: &mut Value,
    (kind, state, reason): (&str, &str, &str),
    message: &str,
    now: &str,
) {
    let mut condition = json!({
        "type": kind,
        "status": state,
        "reason": reason,
        "message": message,
        "lastTransitionTime": now,
    });
    let mut conditions = items(status, "conditions").to_vec();
    match conditions
        .iter_mut()
        .find(|known| text(known, "type") == kind)
    {
        Some(known) => {
            if known["status"] == condition["status"] {
                condition["lastTransitionTime"] = known["lastTransitionTime"].clone();
            }
            *known = condition;
        }
        None => conditions.push(condition),
    }
    status["conditions"] = conditions.into();
}

/// Fills in what the API server fills in when it reads a definition.
pub(super) fn default(crd: &mut Value) {
    let storage = storage_version(crd).to_owned();
    let status = section(crd, "status");
    if items(status, "storedVersions").is_empty() && !storage.is_empty() {
        status["storedVersions"] = json!([storage]);
    }
    fill(section(status, "acceptedNames"), "kind", "");
    let spec = section(crd, "spec");
    let names = section(spec, "names");
    let kind = text(names, "kind").to_owned();
    if !kind.is_empty() {
        fill(names, "singular", kind.to_lowercase());
        fill(names, "listKind", format!("{kind}List"));
    }
    fill(spec, "conversion", json!({ "strategy": "None" }));
    let service = object_mut(spec, "conversion")
        .and_then(|conversion| object_mut(conversion, "webhook"))
        .and_then(|webhook| object_mut(webhook, "clientConfig"))
        .and_then(|config| object_mut(config, "service"));
    if let Some(service) = service {
        fill(service, "port", 443);
    }
}

/// Adds the storage version of a changed definition to those in which objects may be stored.
pub(super) fn remember_storage(crd: &mut Value) {
    let storage = storage_version(crd).to_owned();
    let status = section(crd, "status");
    let mut stored = items(status, "storedVersions").to_vec();
    if !storage.is_empty() && !stored.contains(&storage.as_str().into()) {
        stored.push(storage.into());
        status["storedVersions"] = stored.into();
    }
}

fn kind_of(spec: &Value, version: &Value) -> Kind {
    let names = &spec["names"];
    let owned = |path: &str| text(names, path).to_owned();
    let texts = |path: &str| {
        items(names, path)
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let kind = owned("kind");
    let or = |text: String, other: String| if text.is_empty() { other } else { text };
    let subresources = &version["subresources"];
    let scale = &subresources["scale"];
    Kind {
        group: text(spec, "group").to_owned(),
        version: text(version, "name").to_owned(),
        list_kind: or(owned("listKind"), format!("{kind}List")),
        plural: owned("plural"),
        singular: or(owned("singular"), kind.to_lowercase()),
        kind,
        short_names: texts("shortNames"),
        categories: texts("categories"),
        namespaced: text(spec, "scope") == "Namespaced",
        verbs: VERBS.map(str::to_owned).to_vec(),
        has_status: subresources["status"].is_object(),
        scale: scale.is_object().then(|| Scale {
            spec_replicas_path: text(scale, "specReplicasPath").to_owned(),
            status_replicas_path: text(scale, "statusReplicasPath").to_owned(),
            label_selector_path: scale["labelSelectorPath"].as_str().map(str::to_owned),
        }),
        selectable_fields: items(version, "selectableFields")
            .iter()
            .map(|field| text(field, "jsonPath").trim_start_matches('.').to_owned())
            .collect(),
        printer_columns: items(version, "additionalPrinterColumns").to_vec(),
        // A version without a schema prunes everything; it is custom all the same.
        schema: Some(Arc::new(match version["schema"].get("openAPIV3Schema") {
            Some(schema) => schema.clone(),
            None => json!({ "type": "object" }),
        })),
    }
}

/// Verbs of every custom resource, in the order in which the API server lists them.
const VERBS: [&str; 8] = [
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
];
