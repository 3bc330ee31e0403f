//! ObjectMeta of every kind: how it is read, and what is wrong with it.

mod read;

use serde_json::Value;

pub use self::read::read;
use super::names;
use super::show;
use crate::kinds::Kind;
use crate::status::Cause;

const ANNOTATIONS_LIMIT: usize = 256 * 1024;
const STANDARD_FINALIZERS: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];

/// What is wrong with the metadata of a new object, after its name was generated.
pub fn validate_create(kind: &Kind, object: &Value) -> Vec<Cause> {
    let meta = &object["metadata"];
    let mut causes = names_and_more(kind, meta, NameRule::of(kind), "metadata");
    if has_strict_finalizers(kind) {
        causes.extend(strict_finalizers(meta));
    }
    causes
}

/// What is wrong with the metadata of an updated object. The API server checks updates twice, and
/// tells most faults twice.
pub fn validate_update(kind: &Kind, new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = common_update(kind, new, old);
    causes.extend(strategy_update(kind, new, old));
    causes
}

/// The first check of an update: that of all kinds.
pub(super) fn common_update(kind: &Kind, new: &Value, old: &Value) -> Vec<Cause> {
    let (new, old) = (&new["metadata"], &old["metadata"]);
    let mut causes = names_and_more(kind, new, NameRule::PathSegment, "metadata");
    causes.extend(changes(new, old));
    causes
}

/// The second check of an update: that of the kind.
pub(super) fn strategy_update(kind: &Kind, new: &Value, old: &Value) -> Vec<Cause> {
    let (new, old) = (&new["metadata"], &old["metadata"]);
    let mut causes = changes(new, old);
    if has_strict_finalizers(kind) {
        causes.extend(strict_finalizers(new));
    }
    causes
}

/// What is wrong with the metadata of an object that is embedded in another one.
pub(super) fn validate_embedded(meta: &Value, field: &str) -> Vec<Cause> {
    let namespaced = !text(meta, "namespace").is_empty();
    let mut causes = Vec::new();
    let name = text(meta, "name");
    for error in NameRule::PathSegment.errors(name, false) {
        causes.push(invalid(format!("{field}.name"), name, &error));
    }
    causes.extend(common(namespaced, meta, field));
    causes
}

/// Warnings about finalizers that others could use too.
pub fn warnings(kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<String> {
    if kind.schema.is_none() {
        return Vec::new();
    }
    let known: Vec<&str> = old
        .map(|old| texts(&old["metadata"], "finalizers"))
        .unwrap_or_default();
    let mut added: Vec<&str> = texts(&new["metadata"], "finalizers")
        .into_iter()
        .filter(|finalizer| !known.contains(finalizer))
        .collect();
    added.sort_unstable();
    added.dedup();
    let mut warnings = Vec::new();
    for finalizer in added {
        let shown = show::quoted(finalizer);
        for error in names::qualified_name(finalizer) {
            warnings.push(format!("metadata.finalizers: {shown}: {error}"));
        }
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
            let detail = if finalizer.contains('.') {
                "name including a path (/)"
            } else {
                "name"
            };
            warnings.push(format!(
                "metadata.finalizers: {shown}: prefer a domain-qualified finalizer {detail} to \
                 avoid accidental conflicts with other finalizer writers"
            ));
        }
    }
    warnings
}

/// What names of a kind look like.
#[derive(Clone, Copy)]
enum NameRule {
    Subdomain,
    Label,
    ServiceLabel,
    PathSegment,
}

impl NameRule {
    fn of(kind: &Kind) -> Self {
        match (kind.group.as_str(), kind.kind.as_str()) {
            ("", "Namespace") => Self::Label,
            ("", "Service") => Self::ServiceLabel,
            ("rbac.authorization.k8s.io", _) => Self::PathSegment,
            _ => Self::Subdomain,
        }
    }

    fn errors(self, name: &str, is_prefix: bool) -> Vec<String> {
        // A prefix may end with a dash, since something follows.
        let masked = match name.strip_suffix('-') {
            Some(rest) if is_prefix && !rest.is_empty() => {
                let kept = rest.char_indices().next_back().map_or(0, |(at, _)| at);
                format!("{}a", &rest[..kept])
            }
            _ => name.to_owned(),
        };
        match self {
            Self::Subdomain => names::dns_subdomain(&masked),
            Self::Label => names::dns_label(&masked),
            Self::ServiceLabel => names::dns_1035_label(&masked),
            Self::PathSegment if is_prefix => names::path_segment_prefix(name),
            Self::PathSegment => names::path_segment(name),
        }
    }
}

/// Kinds of the core insist on finalizers with a domain; custom resources do not.
fn has_strict_finalizers(kind: &Kind) -> bool {
    kind.schema.is_none() && kind.group != "apiextensions.k8s.io"
}

fn strict_finalizers(meta: &Value) -> Vec<Cause> {
    let finalizers = texts(meta, "finalizers").into_iter().enumerate();
    finalizers
        .filter(|(_, name)| !name.contains('/') && !STANDARD_FINALIZERS.contains(name))
        .map(|(index, name)| {
            invalid(
                format!("metadata.finalizers[{index}]"),
                name,
                "name is neither a standard finalizer name nor is it fully qualified",
            )
        })
        .collect()
}

fn names_and_more(kind: &Kind, meta: &Value, rule: NameRule, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let prefix = text(meta, "generateName");
    if !prefix.is_empty() {
        for error in rule.errors(prefix, true) {
            causes.push(invalid(format!("{field}.generateName"), prefix, &error));
        }
    }
    let name = text(meta, "name");
    if name.is_empty() {
        causes.push(Cause::required(
            format!("{field}.name"),
            "name or generateName is required",
        ));
    } else {
        for error in rule.errors(name, false) {
            causes.push(invalid(format!("{field}.name"), name, &error));
        }
    }
    causes.extend(common(kind.namespaced, meta, field));
    causes
}

fn common(is_namespaced: bool, meta: &Value, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let namespace = text(meta, "namespace");
    if !is_namespaced {
        if !namespace.is_empty() {
            causes.push(Cause::forbidden(
                format!("{field}.namespace"),
                "not allowed on this type",
            ));
        }
    } else if namespace.is_empty() {
        causes.push(Cause::required(format!("{field}.namespace"), ""));
    } else {
        for error in names::dns_label(namespace) {
            causes.push(invalid(format!("{field}.namespace"), namespace, &error));
        }
    }
    let generation = meta["generation"].as_i64().unwrap_or_default();
    if generation < 0 {
        causes.push(Cause::invalid(
            format!("{field}.generation"),
            &generation.to_string(),
            "must be greater than or equal to 0",
        ));
    }
    causes.extend(labels(meta, &format!("{field}.labels")));
    causes.extend(annotations(meta, &format!("{field}.annotations")));
    causes.extend(owners(meta, &format!("{field}.ownerReferences")));
    causes.extend(finalizers(meta, &format!("{field}.finalizers")));
    causes.extend(managed_fields(meta, &format!("{field}.managedFields")));
    causes
}

/// What must not change, and what must stay right.
fn changes(new: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if !old["deletionTimestamp"].is_null() {
        let known = texts(old, "finalizers");
        let mut added: Vec<&str> = texts(new, "finalizers")
            .into_iter()
            .filter(|finalizer| !known.contains(finalizer))
            .collect();
        added.sort_unstable();
        added.dedup();
        if !added.is_empty() {
            let added: Vec<String> = added.into_iter().map(show::quoted).collect();
            causes.push(Cause::forbidden(
                "metadata.finalizers",
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new \
                     finalizers []string{{{}}}",
                    added.join(", ")
                ),
            ));
        }
    }
    let generation = |meta: &Value| meta["generation"].as_i64().unwrap_or_default();
    if generation(new) < generation(old) {
        causes.push(Cause::invalid(
            "metadata.generation",
            &generation(new).to_string(),
            "must not be decremented",
        ));
    }
    for name in ["name", "namespace", "uid"] {
        if text(new, name) != text(old, name) {
            causes.push(invalid(
                format!("metadata.{name}"),
                text(new, name),
                "field is immutable",
            ));
        }
    }
    for name in [
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        if new[name] != old[name] {
            causes.push(Cause::invalid(
                format!("metadata.{name}"),
                &show::json(&new[name]),
                "field is immutable",
            ));
        }
    }
    causes.extend(labels(new, "metadata.labels"));
    causes.extend(annotations(new, "metadata.annotations"));
    causes.extend(owners(new, "metadata.ownerReferences"));
    causes.extend(managed_fields(new, "metadata.managedFields"));
    causes
}

/// What is wrong with the labels of some metadata, also of a template.
pub fn labels(meta: &Value, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (key, value) in meta["labels"].as_object().into_iter().flatten() {
        for error in names::qualified_name(key) {
            causes.push(invalid(field.to_owned(), key, &error));
        }
        let value = value.as_str().unwrap_or_default();
        for error in names::label_value(value) {
            causes.push(invalid(field.to_owned(), value, &error));
        }
    }
    causes
}

/// What is wrong with the annotations of some metadata, also of a template.
pub fn annotations(meta: &Value, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut size = 0;
    for (key, value) in meta["annotations"].as_object().into_iter().flatten() {
        for error in names::qualified_name(&key.to_lowercase()) {
            causes.push(invalid(field.to_owned(), key, &error));
        }
        size += key.len() + value.as_str().unwrap_or_default().len();
    }
    if size > ANNOTATIONS_LIMIT {
        causes.push(too_long(field.to_owned(), ANNOTATIONS_LIMIT));
    }
    causes
}

fn owners(meta: &Value, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut controller: Option<String> = None;
    let owners = meta["ownerReferences"].as_array();
    for owner in owners.into_iter().flatten() {
        let api_version = text(owner, "apiVersion");
        // The part after the slash; a text with more than one slash is no version at all.
        let version = match api_version.split('/').collect::<Vec<_>>().as_slice() {
            [version] | [_, version] => *version,
            _ => "",
        };
        if version.is_empty() {
            causes.push(invalid(
                format!("{field}.apiVersion"),
                api_version,
                "version must not be empty",
            ));
        }
        for name in ["kind", "name", "uid"] {
            if text(owner, name).is_empty() {
                causes.push(invalid(format!("{field}.{name}"), "", "must not be empty"));
            }
        }
        if api_version == "v1" && text(owner, "kind") == "Event" {
            causes.push(Cause::invalid(
                field,
                &owner_json(owner),
                "/v1, Kind=Event is disallowed from being an owner",
            ));
        }
        if owner["controller"] == true {
            let this = format!("{}/{}", text(owner, "kind"), text(owner, "name"));
            match &controller {
                Some(first) => {
                    let all: Vec<String> = owners.into_iter().flatten().map(owner_json).collect();
                    causes.push(Cause::invalid(
                        field,
                        &format!("[{}]", all.join(",")),
                        &format!(
                            "Only one reference can have Controller set to true. Found \"true\" \
                             in references for {first} and {this}"
                        ),
                    ));
                }
                None => controller = Some(this),
            }
        }
    }
    causes
}

/// A reference with its fields in the order of the type.
fn owner_json(owner: &Value) -> String {
    let mut parts: Vec<String> = ["apiVersion", "kind", "name", "uid"]
        .into_iter()
        .map(|name| format!("\"{name}\":{}", show::json(&text(owner, name).into())))
        .collect();
    for name in ["controller", "blockOwnerDeletion"] {
        if let Some(truth) = owner[name].as_bool() {
            parts.push(format!("\"{name}\":{truth}"));
        }
    }
    format!("{{{}}}", parts.join(","))
}

fn finalizers(meta: &Value, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let finalizers = texts(meta, "finalizers");
    for finalizer in &finalizers {
        for error in names::qualified_name(finalizer) {
            causes.push(invalid(field.to_owned(), finalizer, &error));
        }
    }
    if ["orphan", "foregroundDeletion"]
        .iter()
        .all(|name| finalizers.contains(name))
    {
        causes.push(Cause::invalid(
            field,
            &show::json(&meta["finalizers"]),
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
    causes
}

fn managed_fields(meta: &Value, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let entries = meta["managedFields"].as_array().into_iter().flatten();
    for (index, entry) in entries.enumerate() {
        let field = format!("{field}[{index}]");
        let operation = text(entry, "operation");
        if !matches!(operation, "Apply" | "Update") {
            causes.push(invalid(
                format!("{field}.operation"),
                operation,
                "must be `Apply` or `Update`",
            ));
        }
        let fields_type = text(entry, "fieldsType");
        if !matches!(fields_type, "" | "FieldsV1") {
            causes.push(invalid(
                format!("{field}.fieldsType"),
                fields_type,
                "must be `FieldsV1`",
            ));
        }
        causes.extend(field_manager(
            text(entry, "manager"),
            &format!("{field}.manager"),
        ));
        if text(entry, "subresource").len() > 256 {
            causes.push(too_long(format!("{field}.subresource"), 256));
        }
    }
    causes
}

/// What is wrong with the name of a field manager, in an object or a request.
pub fn field_manager(manager: &str, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if manager.len() > 128 {
        causes.push(too_long(field.to_owned(), 128));
    }
    for (at, letter) in manager.char_indices() {
        if letter.is_control() {
            causes.push(invalid(
                field.to_owned(),
                manager,
                &format!(
                    "invalid character U+{:04X} (at position {at})",
                    u32::from(letter)
                ),
            ));
        }
    }
    causes
}

fn too_long(field: String, most: usize) -> Cause {
    Cause {
        reason: "FieldValueTooLong",
        message: format!("Too long: may not be more than {most} bytes"),
        field,
    }
}

fn invalid(field: String, value: &str, detail: &str) -> Cause {
    Cause::invalid(field, &show::quoted(value), detail)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn texts<'a>(value: &'a Value, name: &str) -> Vec<&'a str> {
    let items = value[name].as_array().into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests;
