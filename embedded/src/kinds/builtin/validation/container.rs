//! What is wrong with the containers of a pod.

use std::collections::BTreeSet;

use serde_json::Value;

use super::forms::{choice, config_key, port_name, port_number, port_or_name, protocol};
use super::pod::{LISTS, security};
use crate::kinds::builtin::quantity::Quantity;
use crate::kinds::causes::{
    duplicate, each, invalid, invalid_text, not_found, not_negative, unsupported,
};
use crate::kinds::fields::{at, entries, has, integer, items, text};
use crate::schema::names;
use crate::status::Cause;

/// Which list a container is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The containers.
    Main,
    /// The init containers.
    Init,
    /// The ephemeral containers.
    Ephemeral,
}

/// Validates all containers. `volumes` are the names of the pod's volumes.
pub(super) fn validate_all(spec: &Value, volumes: &BTreeSet<&str>, causes: &mut Vec<Cause>) {
    let grace = spec["terminationGracePeriodSeconds"].as_i64();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for (list, place) in LISTS {
        let containers = items(spec, list);
        if place == Place::Main && containers.is_empty() {
            causes.push(Cause::required("spec.containers", ""));
        }
        let mut host_ports = BTreeSet::new();
        for (index, container) in containers.iter().enumerate() {
            let path = format!("spec.{list}[{index}]");
            common(container, &path, volumes, causes);
            if place == Place::Init {
                restart_policy(container, &path, causes);
            }
            let name = text(container, "name");
            if !known.insert(name) && (place == Place::Main || !name.is_empty()) {
                causes.push(duplicate(format!("{path}.name"), &name.into()));
            }
            if place == Place::Init {
                // They run one after the other.
                host_ports.clear();
                unique_host_ports(
                    container,
                    &format!("spec.{list}[0]"),
                    &mut host_ports,
                    causes,
                );
            }
            let probed = place == Place::Main || text(container, "restartPolicy") == "Always";
            if probed {
                life(container, &path, grace, causes);
            } else if place == Place::Init {
                no_life(container, &path, causes);
            }
            if place == Place::Main {
                restart_policy(container, &path, causes);
            }
        }
        if place == Place::Main {
            for (index, container) in containers.iter().enumerate() {
                let path = format!("spec.{list}[{index}]");
                unique_host_ports(container, &path, &mut host_ports, causes);
            }
        }
    }
}

fn common(container: &Value, path: &str, volumes: &BTreeSet<&str>, causes: &mut Vec<Cause>) {
    let field = |key: &str| format!("{path}.{key}");
    let name = text(container, "name");
    if name.is_empty() {
        causes.push(Cause::required(field("name"), ""));
    } else {
        causes.extend(each(&field("name"), name, names::dns_label(name)));
    }
    if text(container, "image").is_empty() {
        causes.push(Cause::required(field("image"), ""));
    }
    choice(
        &field("terminationMessagePolicy"),
        &container["terminationMessagePolicy"],
        &["File", "FallbackToLogsOnError"],
        causes,
    );
    ports(container, path, causes);
    for (index, variable) in items(container, "env").iter().enumerate() {
        environment(variable, &format!("{path}.env[{index}]"), causes);
    }
    for (index, source) in items(container, "envFrom").iter().enumerate() {
        environment_from(source, path, index, causes);
    }
    mounts(container, path, volumes, causes);
    choice(
        &field("imagePullPolicy"),
        &container["imagePullPolicy"],
        &["Always", "IfNotPresent", "Never"],
        causes,
    );
    resources(&container["resources"], &field("resources"), causes);
    security(
        &container["securityContext"],
        &field("securityContext"),
        causes,
    );
}

fn restart_policy(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let field = format!("{path}.restartPolicy");
    let policy = &container["restartPolicy"];
    let known = ["Always", "Never", "OnFailure"];
    match policy.as_str() {
        None if !items(container, "restartPolicyRules").is_empty() => causes.push(Cause::required(
            field,
            "must specify restartPolicy when restart rules are used",
        )),
        Some(text) if !known.contains(&text) => causes.push(unsupported(field, policy, &known)),
        _ => {}
    }
}

fn ports(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let mut known: Vec<&str> = Vec::new();
    for (index, port) in items(container, "ports").iter().enumerate() {
        let field = |key: &str| format!("{path}.ports[{index}].{key}");
        let name = text(port, "name");
        if !name.is_empty() {
            let problems = port_name(name);
            if !problems.is_empty() {
                causes.extend(each(&field("name"), name, problems));
            } else if known.contains(&name) {
                causes.push(duplicate(field("name"), &name.into()));
            } else {
                known.push(name);
            }
        }
        if integer(port, "containerPort") == 0 {
            causes.push(Cause::required(field("containerPort"), ""));
        } else {
            port_number(&field("containerPort"), &port["containerPort"], causes);
        }
        if integer(port, "hostPort") != 0 {
            port_number(&field("hostPort"), &port["hostPort"], causes);
        }
        protocol(&field("protocol"), &port["protocol"], causes);
    }
}

fn unique_host_ports(
    container: &Value,
    path: &str,
    known: &mut BTreeSet<String>,
    causes: &mut Vec<Cause>,
) {
    for (index, port) in items(container, "ports").iter().enumerate() {
        let number = integer(port, "hostPort");
        if number == 0 {
            continue;
        }
        let key = format!(
            "{}/{}/{number}",
            text(port, "protocol"),
            text(port, "hostIP")
        );
        if known.contains(&key) {
            let field = format!("{path}.ports[{index}].hostPort");
            causes.push(duplicate(field, &key.into()));
        } else {
            known.insert(key);
        }
    }
}

/// What is wrong with the name of an environment variable.
fn variable_name(name: &str) -> Vec<String> {
    let is_plain = |letter: char| letter.is_ascii_graphic() || letter == ' ';
    if name.chars().all(|letter| is_plain(letter) && letter != '=') {
        Vec::new()
    } else {
        vec![
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
                .to_owned(),
        ]
    }
}

fn environment(variable: &Value, path: &str, causes: &mut Vec<Cause>) {
    let name = text(variable, "name");
    let field = format!("{path}.name");
    if name.is_empty() {
        causes.push(Cause::required(field, ""));
    } else {
        causes.extend(each(&field, name, variable_name(name)));
    }
    let source = &variable["valueFrom"];
    if !source.is_object() {
        return;
    }
    let path = format!("{path}.valueFrom");
    let mut sources = 0;
    if let Some(reference) = source.get("fieldRef") {
        sources += 1;
        field_reference(
            reference,
            &format!("{path}.fieldRef"),
            ENVIRONMENT_FIELDS,
            causes,
        );
    }
    if let Some(reference) = source.get("resourceFieldRef") {
        sources += 1;
        resource_reference(
            reference,
            &format!("{path}.resourceFieldRef"),
            false,
            causes,
        );
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(reference) = source.get(kind) {
            sources += 1;
            key_reference(reference, &format!("{path}.{kind}"), causes);
        }
    }
    sources += usize::from(has(source, "fileKeyRef"));
    let detail = if sources == 0 {
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
    } else if !text(variable, "value").is_empty() {
        "may not be specified when `value` is not empty"
    } else if sources > 1 {
        "may not have more than one field specified at a time"
    } else {
        return;
    };
    causes.push(invalid_text(path, "", detail));
}

/// Fields that environment variables may have.
const ENVIRONMENT_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Every field that can be named at all.
const KNOWN_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.hostname",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

/// A reference to a field of the pod.
pub(super) fn field_reference(
    reference: &Value,
    path: &str,
    allowed: &[&str],
    causes: &mut Vec<Cause>,
) {
    for key in ["apiVersion", "fieldPath"] {
        if text(reference, key).is_empty() {
            causes.push(Cause::required(format!("{path}.{key}"), ""));
            return;
        }
    }
    let place = text(reference, "fieldPath");
    let field = format!("{path}.fieldPath");
    let version = text(reference, "apiVersion");
    if version != "v1" {
        let detail = format!("error converting fieldPath: unsupported pod version: {version}");
        causes.push(invalid_text(field, place, &detail));
        return;
    }
    if let Some((map, key)) = place
        .strip_suffix("']")
        .and_then(|place| place.split_once("['"))
    {
        match map {
            "metadata.annotations" => {
                let problems = names::qualified_name(&key.to_lowercase());
                causes.extend(each(path, key, problems));
            }
            "metadata.labels" => causes.extend(each(path, key, names::qualified_name(key))),
            _ => {
                let detail = format!(
                    "error converting fieldPath: field label does not support subscript: {place}"
                );
                causes.push(invalid_text(field, place, &detail));
            }
        }
    } else if !KNOWN_FIELDS.contains(&place) {
        let detail = format!("error converting fieldPath: field label not supported: {place}");
        causes.push(invalid_text(field, place, &detail));
    } else if !allowed.contains(&place) {
        causes.push(unsupported(field, &place.into(), allowed));
    }
}

/// A reference to a resource of a container.
pub(super) fn resource_reference(
    reference: &Value,
    path: &str,
    in_volume: bool,
    causes: &mut Vec<Cause>,
) {
    const KNOWN: [&str; 6] = [
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    let resource = text(reference, "resource");
    if in_volume && text(reference, "containerName").is_empty() {
        causes.push(Cause::required(format!("{path}.containerName"), ""));
    } else if resource.is_empty() {
        causes.push(Cause::required(format!("{path}.resource"), ""));
    } else if !KNOWN.contains(&resource) && !resource.contains(".hugepages-") {
        let field = format!("{path}.resource");
        causes.push(unsupported(field, &resource.into(), &KNOWN));
    }
}

fn key_reference(reference: &Value, path: &str, causes: &mut Vec<Cause>) {
    let name = text(reference, "name");
    causes.extend(each(
        &format!("{path}.name"),
        name,
        names::dns_subdomain(name),
    ));
    let key = text(reference, "key");
    let field = format!("{path}.key");
    if key.is_empty() {
        causes.push(Cause::required(field, ""));
    } else {
        causes.extend(each(&field, key, config_key(key)));
    }
}

fn environment_from(source: &Value, path: &str, index: usize, causes: &mut Vec<Cause>) {
    let all = format!("{path}.envFrom");
    let path = format!("{all}[{index}]");
    let prefix = text(source, "prefix");
    causes.extend(each(
        &format!("{path}.prefix"),
        prefix,
        variable_name(prefix),
    ));
    let mut sources = 0;
    for kind in ["configMapRef", "secretRef"] {
        if let Some(reference) = source.get(kind) {
            sources += 1;
            let name = text(reference, "name");
            let field = format!("{path}.{kind}.name");
            if name.is_empty() {
                causes.push(Cause::required(field, ""));
            } else {
                causes.extend(each(&field, name, names::dns_subdomain(name)));
            }
        }
    }
    if sources == 0 {
        let detail = "must specify one of: `configMapRef` or `secretRef`";
        causes.push(invalid_text(all, "", detail));
    } else if sources > 1 {
        let detail = "may not have more than one field specified at a time";
        causes.push(invalid_text(all, "", detail));
    }
}

fn mounts(container: &Value, path: &str, volumes: &BTreeSet<&str>, causes: &mut Vec<Cause>) {
    let mut places: BTreeSet<&str> = BTreeSet::new();
    for (index, mount) in items(container, "volumeMounts").iter().enumerate() {
        let field = |key: &str| format!("{path}.volumeMounts[{index}].{key}");
        let name = text(mount, "name");
        if name.is_empty() {
            causes.push(Cause::required(field("name"), ""));
        }
        if !volumes.contains(name) {
            causes.push(not_found(field("name"), name));
        }
        let place = text(mount, "mountPath");
        if place.is_empty() {
            causes.push(Cause::required(field("mountPath"), ""));
        }
        if !places.insert(place) {
            causes.push(invalid_text(field("mountPath"), place, "must be unique"));
        }
        for key in ["subPath", "subPathExpr"] {
            let inner = text(mount, key);
            if !inner.is_empty() {
                let field = format!("{path}.volumeMounts.{key}");
                super::volumes::descending_path(&field, inner, causes);
            }
        }
    }
}

/// Requests and limits.
pub(super) fn resources(resources: &Value, path: &str, causes: &mut Vec<Cause>) {
    for list in ["limits", "requests"] {
        for (name, amount) in entries(resources, list) {
            let field = format!("{path}.{list}[{name}]");
            resource_name(name, &field, causes);
            let text = amount.as_str().unwrap_or_default();
            let Some(quantity) = Quantity::parse(text) else {
                continue;
            };
            if quantity.is_negative() {
                let detail = "must be greater than or equal to 0";
                causes.push(invalid_text(field.as_str(), text, detail));
            }
            let extended = name.contains('/') && !name.starts_with("kubernetes.io/");
            if extended && !quantity.is_whole() {
                causes.push(invalid_text(field, text, "must be an integer"));
            }
            if list == "limits" {
                continue;
            }
            let field = format!("{path}.requests");
            let limit = resources["limits"][name].as_str();
            let rigid = extended || name.starts_with("hugepages-");
            match limit.and_then(Quantity::parse) {
                Some(most) if rigid && quantity != most => {
                    let limit = limit.unwrap_or_default();
                    let detail = format!("must be equal to {name} limit of {limit}");
                    causes.push(invalid_text(field, text, &detail));
                }
                Some(most) if quantity > most => {
                    let limit = limit.unwrap_or_default();
                    let detail = format!("must be less than or equal to {name} limit of {limit}");
                    causes.push(invalid_text(field, text, &detail));
                }
                None if rigid => causes.push(Cause::required(
                    format!("{path}.limits"),
                    "Limit must be set for non overcommitable resources",
                )),
                _ => {}
            }
        }
    }
}

fn resource_name(name: &str, field: &str, causes: &mut Vec<Cause>) {
    const STANDARD: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "storage"];
    let problems = names::qualified_name(name);
    if !problems.is_empty() {
        causes.extend(each(field, name, problems));
    }
    if name.contains('/') || name.starts_with("hugepages-") {
        return;
    }
    if !STANDARD.contains(&name) && names::qualified_name(name).is_empty() {
        let detail = "must be a standard resource type or fully qualified";
        causes.push(invalid_text(field, name, detail));
    }
    if !STANDARD[..3].contains(&name) {
        let detail = "must be a standard resource for containers";
        causes.push(invalid_text(field, name, detail));
    }
}

fn life(container: &Value, path: &str, grace: Option<i64>, causes: &mut Vec<Cause>) {
    for hook in ["postStart", "preStop"] {
        if let Some(handler) = container["lifecycle"].get(hook) {
            handlers(handler, &format!("{path}.lifecycle.{hook}"), grace, causes);
        }
    }
    for kind in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get(kind) else {
            continue;
        };
        let path = format!("{path}.{kind}");
        handlers(probe, &path, grace, causes);
        for key in [
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
        ] {
            causes.extend(not_negative(format!("{path}.{key}"), &probe[key]));
        }
        let own_grace = &probe["terminationGracePeriodSeconds"];
        let field = format!("{path}.terminationGracePeriodSeconds");
        if own_grace.as_i64().is_some_and(|seconds| seconds <= 0) {
            causes.push(invalid(field.as_str(), own_grace, "must be greater than 0"));
        }
        if kind == "readinessProbe" {
            if !own_grace.is_null() {
                let detail = "must not be set for readinessProbes";
                causes.push(invalid(field, own_grace, detail));
            }
        } else if integer(probe, "successThreshold") != 1 {
            let threshold = integer(probe, "successThreshold").into();
            causes.push(invalid(
                format!("{path}.successThreshold"),
                &threshold,
                "must be 1",
            ));
        }
    }
}

fn no_life(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    for key in [
        "lifecycle",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
    ] {
        if has(container, key) {
            causes.push(Cause::forbidden(
                format!("{path}.{key}"),
                "may not be set for init containers without restartPolicy=Always",
            ));
        }
    }
}

fn handlers(holder: &Value, path: &str, grace: Option<i64>, causes: &mut Vec<Cause>) {
    let mut found = 0;
    for kind in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let Some(handler) = holder.get(kind) else {
            continue;
        };
        let path = format!("{path}.{kind}");
        found += 1;
        if found > 1 {
            let detail = "may not specify more than 1 handler type";
            causes.push(Cause::forbidden(path, detail));
            continue;
        }
        match kind {
            "exec" if items(handler, "command").is_empty() => {
                causes.push(Cause::required(format!("{path}.command"), ""));
            }
            "exec" => {}
            "sleep" => {
                let seconds = integer(handler, "seconds");
                if let Some(grace) = grace
                    && !(0..=grace).contains(&seconds)
                {
                    let detail = format!(
                        "must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                    );
                    causes.push(invalid(path, &seconds.into(), &detail));
                }
            }
            _ => {
                port_or_name(&format!("{path}.port"), &handler["port"], causes);
                let scheme = at(handler, "scheme");
                if kind == "httpGet" && !matches!(scheme.as_str(), Some("HTTP" | "HTTPS")) {
                    let known = ["HTTP", "HTTPS"];
                    causes.push(unsupported(format!("{path}.scheme"), scheme, &known));
                }
            }
        }
    }
    if found == 0 {
        causes.push(Cause::required(path, "must specify a handler type"));
    }
}
