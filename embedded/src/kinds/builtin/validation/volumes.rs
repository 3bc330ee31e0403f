//! What is wrong with the volumes of a pod.

use std::collections::BTreeSet;

use serde_json::Value;

use super::container::{field_reference, resource_reference};
use crate::kinds::builtin::quantity::Quantity;
use crate::kinds::causes::{duplicate, each, invalid, invalid_text, unsupported};
use crate::kinds::fields::{has, integer, items, text};
use crate::schema::names;
use crate::status::Cause;

/// Sources in the order in which they are looked at.
const SOURCES: [&str; 12] = [
    "emptyDir",
    "hostPath",
    "secret",
    "nfs",
    "persistentVolumeClaim",
    "downwardAPI",
    "configMap",
    "projected",
    "csi",
    "ephemeral",
    "image",
    "gitRepo",
];

const FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// Validates the volumes, and gives the names of those that are well-formed.
pub(super) fn validate<'a>(
    spec: &'a Value,
    pod: &str,
    causes: &mut Vec<Cause>,
) -> BTreeSet<&'a str> {
    let mut known = BTreeSet::new();
    for (index, volume) in items(spec, "volumes").iter().enumerate() {
        let path = format!("spec.volumes[{index}]");
        let before = causes.len();
        sources(volume, &path, pod, causes);
        let name = text(volume, "name");
        let field = format!("{path}.name");
        if name.is_empty() {
            causes.push(Cause::required(field.as_str(), ""));
        } else {
            causes.extend(each(&field, name, names::dns_label(name)));
        }
        if known.contains(name) {
            causes.push(duplicate(field, &name.into()));
        }
        if causes.len() == before {
            known.insert(name);
        }
    }
    known
}

fn sources(volume: &Value, path: &str, pod: &str, causes: &mut Vec<Cause>) {
    let known = SOURCES.iter().filter(|source| has(volume, source));
    let foreign = volume
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.as_str() != "name" && !SOURCES.contains(&key.as_str()))
        .map(|(key, _)| key.as_str());
    let mut found = 0;
    for source in known.copied().chain(foreign) {
        let path_of_source = format!("{path}.{source}");
        found += 1;
        if found > 1 {
            let detail = "may not specify more than 1 volume type";
            causes.push(Cause::forbidden(path_of_source, detail));
            continue;
        }
        one(source, &volume[source], &path_of_source, causes);
        if source == "ephemeral" && !pod.is_empty() {
            let claim = format!("{pod}-{}", text(volume, "name"));
            for problem in names::dns_subdomain(&claim) {
                let detail = format!("PVC name \"{claim}\": {problem}");
                let name = text(volume, "name");
                causes.push(invalid_text(format!("{path}.name"), name, &detail));
            }
        }
    }
    if found == 0 {
        causes.push(Cause::required(path, "must specify a volume type"));
    }
}

fn one(kind: &str, source: &Value, path: &str, causes: &mut Vec<Cause>) {
    let required = |key: &str, causes: &mut Vec<Cause>| {
        if text(source, key).is_empty() {
            causes.push(Cause::required(format!("{path}.{key}"), ""));
        }
    };
    match kind {
        "emptyDir" => {
            let limit = Quantity::parse(text(source, "sizeLimit"));
            if limit.is_some_and(Quantity::is_negative) {
                causes.push(Cause::forbidden(
                    format!("{path}.sizeLimit"),
                    "SizeLimit field must be a valid resource quantity",
                ));
            }
        }
        "hostPath" => host_path(source, path, causes),
        "secret" => {
            required("secretName", causes);
            keys(source, path, causes);
        }
        "configMap" => {
            required("name", causes);
            keys(source, path, causes);
        }
        "downwardAPI" => {
            mode(source, "defaultMode", path, causes);
            for file in items(source, "items") {
                downward_file(file, path, causes);
            }
        }
        "projected" => projected(source, path, causes),
        "persistentVolumeClaim" => required("claimName", causes),
        "nfs" => {
            required("server", causes);
            required("path", causes);
        }
        "csi" => required("driver", causes),
        _ => {}
    }
}

fn host_path(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    const KINDS: [&str; 8] = [
        "",
        "BlockDevice",
        "CharDevice",
        "Directory",
        "DirectoryOrCreate",
        "File",
        "FileOrCreate",
        "Socket",
    ];
    let place = text(source, "path");
    if place.is_empty() {
        causes.push(Cause::required(format!("{path}.path"), ""));
        return;
    }
    no_backsteps(&format!("{path}.path"), place, causes);
    if !KINDS.contains(&text(source, "type")) {
        causes.push(unsupported(format!("{path}.type"), &source["type"], &KINDS));
    }
}

fn no_backsteps(field: &str, path: &str, causes: &mut Vec<Cause>) {
    if path.split('/').any(|step| step == "..") {
        causes.push(invalid_text(field, path, "must not contain '..'"));
    }
}

/// A path that does not leave its root.
pub(super) fn descending_path(field: &str, path: &str, causes: &mut Vec<Cause>) {
    if path.starts_with('/') {
        causes.push(invalid_text(field, path, "must be a relative path"));
    }
    no_backsteps(field, path, causes);
}

/// A descending path that is not reserved for links.
fn local_path(field: &str, path: &str, causes: &mut Vec<Cause>) {
    descending_path(field, path, causes);
    if path.starts_with("..") && !path.starts_with("../") {
        causes.push(invalid_text(field, path, "must not start with '..'"));
    }
}

fn mode(holder: &Value, key: &str, path: &str, causes: &mut Vec<Cause>) {
    if has(holder, key) && !(0..=0o777).contains(&integer(holder, key)) {
        causes.push(invalid(format!("{path}.{key}"), &holder[key], MODE));
    }
}

fn keys(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    mode(source, "defaultMode", path, causes);
    for (index, item) in items(source, "items").iter().enumerate() {
        let path = format!("{path}.items[{index}]");
        for key in ["key", "path"] {
            if text(item, key).is_empty() {
                causes.push(Cause::required(format!("{path}.{key}"), ""));
            }
        }
        local_path(&format!("{path}.path"), text(item, "path"), causes);
        mode(item, "mode", &path, causes);
    }
}

fn downward_file(file: &Value, path: &str, causes: &mut Vec<Cause>) {
    let place = text(file, "path");
    let field = format!("{path}.path");
    if place.is_empty() {
        causes.push(Cause::required(field.as_str(), ""));
    }
    local_path(&field, place, causes);
    match (file.get("fieldRef"), file.get("resourceFieldRef")) {
        (Some(reference), other) => {
            field_reference(reference, &format!("{path}.fieldRef"), FIELDS, causes);
            if other.is_some() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                causes.push(invalid_text(path, "resource", detail));
            }
        }
        (None, Some(reference)) => {
            resource_reference(reference, &format!("{path}.resourceFieldRef"), true, causes);
        }
        (None, None) => causes.push(Cause::required(
            path,
            "one of fieldRef and resourceFieldRef is required",
        )),
    }
    mode(file, "mode", path, causes);
}

fn projected(source: &Value, path: &str, causes: &mut Vec<Cause>) {
    mode(source, "defaultMode", path, causes);
    let mut places: BTreeSet<&str> = BTreeSet::new();
    for (index, part) in items(source, "sources").iter().enumerate() {
        let at = format!("{path}.sources[{index}]");
        for kind in ["secret", "configMap"] {
            let Some(part) = part.get(kind) else {
                continue;
            };
            let at = format!("{at}.{kind}");
            let name = text(part, "name");
            if name.is_empty() {
                causes.push(Cause::required(format!("{at}.name"), ""));
            }
            keys(part, &at, causes);
            for item in items(part, "items") {
                let place = text(item, "path");
                if !place.is_empty() && !places.insert(place) {
                    causes.push(invalid_text(path, name, "conflicting duplicate paths"));
                }
            }
        }
        for file in items(&part["downwardAPI"], "items") {
            downward_file(file, &format!("{at}.downwardAPI"), causes);
            let place = text(file, "path");
            if !place.is_empty() && !places.insert(place) {
                causes.push(invalid_text(path, place, "conflicting duplicate paths"));
            }
        }
        if let Some(token) = part.get("serviceAccountToken") {
            let field = format!("{at}.serviceAccountToken.expirationSeconds");
            let seconds = integer(token, "expirationSeconds");
            if seconds < 600 {
                let detail = "may not specify a duration less than 10 minutes";
                causes.push(invalid(field, &seconds.into(), detail));
            } else if seconds > 1 << 32 {
                let detail = "may not specify a duration larger than 2^32 seconds";
                causes.push(invalid(field, &seconds.into(), detail));
            }
            if text(token, "path").is_empty() {
                causes.push(Cause::required(format!("{path}.path"), ""));
            } else {
                local_path(&format!("{path}.path"), text(token, "path"), causes);
            }
        }
        if part.as_object().is_some_and(|part| part.len() > 1) {
            let detail = "may not specify more than 1 volume type per source";
            causes.push(Cause::forbidden(at, detail));
        }
    }
}
