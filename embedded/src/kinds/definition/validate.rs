//! What is wrong with a CustomResourceDefinition, its schemas apart.

use serde_json::Value;

use super::schema;
use crate::kinds::causes::{
    duplicate, each, immutable, invalid, invalid_text, too_many, unsupported,
};
use crate::kinds::fields::{at, flag, has, items, text};
use crate::schema::{Schema, names};
use crate::status::Cause;

/// Everything that is wrong with a new definition, or with a changed one.
pub(in crate::kinds) fn validate(new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if old.is_none() {
        let name = text(new, "metadata.name");
        let wanted = format!(
            "{}.{}",
            text(new, "spec.names.plural"),
            text(new, "spec.group")
        );
        if name != wanted {
            let detail = "must be spec.names.plural+\".\"+spec.group";
            causes.push(invalid_text("metadata.name", name, detail));
        }
    }
    spec(&new["spec"], &mut causes);
    if let Some(old) = old {
        changes(new, old, &mut causes);
    }
    names_of(
        &new["status"]["acceptedNames"],
        "status.acceptedNames",
        &mut causes,
    );
    stored_versions(new, &mut causes);
    if text(new, "spec.group").ends_with(".k8s.io")
        || text(new, "spec.group").ends_with(".kubernetes.io")
    {
        let approved = new["metadata"]["annotations"]["api-approved.kubernetes.io"].is_string();
        if !approved {
            causes.push(Cause::required(
                "metadata.annotations[api-approved.kubernetes.io]",
                "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111",
            ));
        }
    }
    causes
}

/// Names without which there is no kind.
pub(super) fn required_names(crd: &Value) -> Vec<Cause> {
    ["spec.group", "spec.names.plural", "spec.names.kind"]
        .into_iter()
        .filter(|path| text(crd, path).is_empty())
        .map(|path| Cause::required(path, ""))
        .collect()
}

fn spec(spec: &Value, causes: &mut Vec<Cause>) {
    let group = text(spec, "group");
    if group.is_empty() {
        causes.push(Cause::required("spec.group", ""));
    } else {
        let problems = names::dns_subdomain(group);
        if !problems.is_empty() {
            causes.push(invalid_text("spec.group", group, &problems.join(",")));
        } else if !group.contains('.') {
            let detail = "should be a domain with at least one dot";
            causes.push(invalid_text("spec.group", group, detail));
        }
    }
    choice(
        spec,
        "scope",
        "spec.scope",
        &["Cluster", "Namespaced"],
        causes,
    );
    versions(spec, causes);
    for field in ["plural", "singular", "kind", "listKind"] {
        if text(&spec["names"], field).is_empty() {
            causes.push(Cause::required(format!("spec.names.{field}"), ""));
        }
    }
    names_of(&spec["names"], "spec.names", causes);
    shared(spec, causes);
    conversion(spec, causes);
    if flag(spec, "preserveUnknownFields") {
        causes.push(invalid(
            "spec.preserveUnknownFields",
            &true.into(),
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ));
    }
}

/// A required text that must be one of a few.
fn choice(holder: &Value, key: &str, field: &str, known: &[&str], causes: &mut Vec<Cause>) {
    match text(holder, key) {
        "" => causes.push(Cause::required(field, "")),
        value if known.contains(&value) => {}
        _ => causes.push(unsupported(field, &holder[key], known)),
    }
}

/// Parts of versions that belong to the definition as a whole if all versions have the same: key,
/// where the API server then says that they are.
const SHARED: [(&str, &str); 4] = [
    ("schema", "spec.validation"),
    ("subresources", "spec.subresources"),
    ("additionalPrinterColumns", "spec.additionalPrinterColumns"),
    ("selectableFields", "spec.selectableFields"),
];

fn is_shared(spec: &Value, key: &str) -> bool {
    let versions = items(spec, "versions");
    versions
        .iter()
        .all(|version| version.get(key) == versions[0].get(key))
}

fn versions(spec: &Value, causes: &mut Vec<Cause>) {
    let versions = items(spec, "versions");
    for (index, version) in versions.iter().enumerate() {
        if !has(version, "schema.openAPIV3Schema") {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            causes.push(Cause::required(field, ""));
        }
    }
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = text(version, "name");
        let problems = names::dns_1035_label(name);
        if !problems.is_empty() {
            causes.push(invalid_text(
                format!("{path}.name"),
                name,
                &problems.join(","),
            ));
        }
        deprecation(version, &path, causes);
        for (key, _) in SHARED {
            if !is_shared(spec, key) {
                part(version, key, &format!("{path}.{key}"), causes);
            }
        }
    }
    let unique = versions.iter().enumerate().all(|(index, version)| {
        versions[..index]
            .iter()
            .all(|other| text(other, "name") != text(version, "name"))
    });
    let all = &spec["versions"];
    if !unique {
        causes.push(invalid(
            "spec.versions",
            all,
            "must contain unique version names",
        ));
    }
    let storages = versions.iter().filter(|version| flag(version, "storage"));
    if storages.count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        causes.push(invalid("spec.versions", all, detail));
    }
}

/// Validates what all versions have in common.
fn shared(spec: &Value, causes: &mut Vec<Cause>) {
    let Some(first) = items(spec, "versions").first() else {
        return;
    };
    for (key, path) in SHARED {
        if is_shared(spec, key) {
            part(first, key, path, causes);
        }
    }
}

/// Validates one part of a version.
fn part(version: &Value, key: &str, path: &str, causes: &mut Vec<Cause>) {
    match key {
        "schema" => {
            let Some(open_api) = version["schema"].get("openAPIV3Schema") else {
                return;
            };
            let field = format!("{path}.openAPIV3Schema");
            let before = causes.len();
            let has_status = has(version, "subresources.status");
            schema::validate(open_api, &field, has_status, causes);
            if causes.len() == before {
                match Schema::check_defaults(open_api, &field) {
                    Ok(faults) => causes.extend(faults),
                    Err(problem) => causes.push(invalid_text(field, "", &problem)),
                }
            }
        }
        "subresources" => scale(version, &format!("{path}.scale"), causes),
        "additionalPrinterColumns" => {
            for (index, column) in items(version, key).iter().enumerate() {
                printer_column(column, &format!("{path}[{index}]"), causes);
            }
        }
        _ => selectable_fields(version, path, causes),
    }
}

fn deprecation(version: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(warning) = version["deprecationWarning"].as_str() else {
        return;
    };
    let detail = if !flag(version, "deprecated") {
        "can only be set for deprecated versions"
    } else if warning.len() > 256 {
        "must be <= 256 characters long"
    } else if warning.is_empty() {
        "must not be an empty string"
    } else {
        return;
    };
    causes.push(invalid_text(
        format!("{path}.deprecationWarning"),
        warning,
        detail,
    ));
}

fn scale(version: &Value, path: &str, causes: &mut Vec<Cause>) {
    let scale = at(version, "subresources.scale");
    if !scale.is_object() {
        return;
    }
    let parts: [(&str, &[&str], &str); 3] = [
        (
            "specReplicasPath",
            &[".spec."],
            "should be a json path under .spec",
        ),
        (
            "statusReplicasPath",
            &[".status."],
            "should be a json path under .status",
        ),
        (
            "labelSelectorPath",
            &[".spec.", ".status."],
            "should be a json path under either .spec or .status",
        ),
    ];
    for (key, roots, detail) in parts {
        let field = format!("{path}.{key}");
        let place = text(scale, key);
        if place.is_empty() {
            if key != "labelSelectorPath" {
                causes.push(Cause::required(field, ""));
            }
        } else if !place.starts_with('.') {
            let detail = "must be a simple json path starting with .";
            causes.push(invalid_text(field, place, detail));
        } else if !roots.iter().any(|root| place.starts_with(root)) {
            causes.push(invalid_text(field, place, detail));
        }
    }
}

fn printer_column(column: &Value, path: &str, causes: &mut Vec<Cause>) {
    const TYPES: &str = "must be one of boolean,date,integer,number,string";
    const FORMATS: [&str; 8] = [
        "byte",
        "date",
        "date-time",
        "double",
        "float",
        "int32",
        "int64",
        "password",
    ];
    if text(column, "name").is_empty() {
        causes.push(Cause::required(format!("{path}.name"), ""));
    }
    match text(column, "type") {
        "" => causes.push(Cause::required(format!("{path}.type"), TYPES)),
        "boolean" | "date" | "integer" | "number" | "string" => {}
        other => causes.push(invalid_text(format!("{path}.type"), other, TYPES)),
    }
    let format = text(column, "format");
    if !format.is_empty() && !FORMATS.contains(&format) {
        let detail = format!("must be one of {}", FORMATS.join(","));
        causes.push(invalid_text(format!("{path}.format"), format, &detail));
    }
    let place = text(column, "jsonPath");
    let field = format!("{path}.JSONPath");
    if place.is_empty() {
        causes.push(Cause::required(field, ""));
    } else if !place.starts_with('.') {
        let detail = "must be a simple json path starting with .";
        causes.push(invalid_text(field, place, detail));
    }
}

fn selectable_fields(version: &Value, path: &str, causes: &mut Vec<Cause>) {
    const MOST: usize = 8;
    let fields = items(version, "selectableFields");
    let mut known: Vec<&str> = Vec::new();
    for (index, entry) in fields.iter().enumerate() {
        let field = format!("{path}[{index}].jsonPath");
        let place = text(entry, "jsonPath");
        if place.is_empty() {
            causes.push(Cause::required(field, ""));
            continue;
        }
        let steps = place.trim_start_matches('.').split('.');
        let found = steps.fold(at(version, "schema.openAPIV3Schema"), |schema, step| {
            &schema["properties"][step]
        });
        if found.is_null() {
            let detail = "is an invalid path: does not refer to a valid field";
            causes.push(invalid_text(field, place, detail));
            continue;
        }
        if place.starts_with(".metadata") {
            let detail = "must not point to fields in metadata";
            causes.push(invalid_text(field.as_str(), place, detail));
        }
        if !matches!(text(found, "type"), "string" | "boolean" | "integer") {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            causes.push(invalid_text(field.as_str(), place, detail));
        }
        if known.contains(&place) {
            causes.push(duplicate(field, &place.into()));
        } else {
            known.push(place);
        }
    }
    if known.len() > MOST {
        causes.push(too_many(path, known.len(), MOST));
    }
}

fn names_of(names: &Value, path: &str, causes: &mut Vec<Cause>) {
    for field in ["plural", "singular"] {
        let name = text(names, field);
        let problems = names::dns_1035_label(name);
        if !name.is_empty() && !problems.is_empty() {
            causes.push(invalid_text(
                format!("{path}.{field}"),
                name,
                &problems.join(","),
            ));
        }
    }
    for field in ["kind", "listKind"] {
        let name = text(names, field);
        let problems = names::dns_1035_label(&name.to_lowercase());
        if !name.is_empty() && !problems.is_empty() {
            let detail = format!(
                "may have mixed case, but should otherwise match: {}",
                problems.join(",")
            );
            causes.push(invalid_text(format!("{path}.{field}"), name, &detail));
        }
    }
    let list = |field: &str, causes: &mut Vec<Cause>| {
        for (index, name) in items(names, field).iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            let problems = names::dns_1035_label(name);
            if !problems.is_empty() {
                let field = format!("{path}.{field}[{index}]");
                causes.extend(each(&field, name, vec![problems.join(",")]));
            }
        }
    };
    list("shortNames", causes);
    let (kind, list_kind) = (text(names, "kind"), text(names, "listKind"));
    if !kind.is_empty() && kind == list_kind {
        let detail = "kind and listKind may not be the same";
        causes.push(invalid_text(format!("{path}.listKind"), list_kind, detail));
    }
    list("categories", causes);
}

fn conversion(spec: &Value, causes: &mut Vec<Cause>) {
    let conversion = &spec["conversion"];
    if conversion.is_null() {
        return;
    }
    choice(
        conversion,
        "strategy",
        "spec.conversion.strategy",
        &["None", "Webhook"],
        causes,
    );
    if text(conversion, "strategy") == "Webhook" {
        // The API server calls webhooks; this one has no way to.
        causes.push(unsupported(
            "spec.conversion.strategy",
            &conversion["strategy"],
            &["None"],
        ));
    } else if has(conversion, "webhook.clientConfig") {
        causes.push(Cause::forbidden(
            "spec.conversion.webhookClientConfig",
            "should not be set when strategy is not set to Webhook",
        ));
    }
}

fn changes(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let mut fixed = Vec::new();
    if super::is_established(old) {
        fixed.extend(["spec.scope", "spec.names.kind"]);
    }
    fixed.extend(["spec.group", "spec.names.plural"]);
    for path in fixed {
        if at(new, path) != at(old, path) {
            causes.push(immutable(path, at(new, path)));
        }
    }
}

fn stored_versions(crd: &Value, causes: &mut Vec<Cause>) {
    let field = "status.storedVersions";
    let list = at(crd, field);
    let stored = items(crd, field);
    if stored.is_empty() {
        causes.push(invalid(
            field,
            &Value::Null,
            "must have at least one stored version",
        ));
        return;
    }
    let versions = items(crd, "spec.versions");
    for version in versions {
        if flag(version, "storage") && !stored.contains(&version["name"]) {
            let detail = format!("must have the storage version {}", text(version, "name"));
            causes.push(invalid(field, list, &detail));
        }
    }
    for (index, name) in stored.iter().enumerate() {
        if !versions.iter().any(|version| &version["name"] == name) {
            let version = name.as_str().unwrap_or_default();
            let detail = format!(
                "missing from spec.versions; {version} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {version} and removes {version} from status.storedVersions"
            );
            causes.push(invalid(format!("{field}[{index}]"), name, &detail));
        }
    }
}
