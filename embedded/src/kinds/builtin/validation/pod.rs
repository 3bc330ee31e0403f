//! What is wrong with a pod as a whole.

use serde_json::Value;

use super::container::{self, Place};
use super::forms::{address, choice, labels, taint_effect};
use super::volumes;
use crate::kinds::causes::{duplicate, each, invalid, invalid_text, unsupported};
use crate::kinds::fields::{at, flag, has, integer, items, text};
use crate::schema::names;
use crate::status::Cause;

/// Validates a pod, new or changed.
pub(super) fn validate(pod: &Value, causes: &mut Vec<Cause>) {
    let spec = &pod["spec"];
    let known = volumes::validate(spec, text(pod, "metadata.name"), causes);
    container::validate_all(spec, &known, causes);
    host_ports(spec, causes);
    let policies = ["Always", "OnFailure", "Never"];
    choice(
        "spec.restartPolicy",
        &spec["restartPolicy"],
        &policies,
        causes,
    );
    let dns = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    choice("spec.dnsPolicy", &spec["dnsPolicy"], &dns, causes);
    labels(spec, "nodeSelector", "spec.nodeSelector", causes);
    security(&spec["securityContext"], "spec.securityContext", causes);
    dns_config(spec, causes);
    for (index, gate) in items(spec, "readinessGates").iter().enumerate() {
        let kind = text(gate, "conditionType");
        let field = format!("spec.readinessGates[{index}].conditionType");
        causes.extend(each(&field, kind, names::qualified_name(kind)));
    }
    scheduling_gates(spec, causes);
    spread(spec, causes);
    scalars(spec, causes);
    tolerations(spec, causes);
    for (index, alias) in items(spec, "hostAliases").iter().enumerate() {
        let field = format!("spec.hostAliases[{index}].ip");
        address(&field, text(alias, "ip"), causes);
        for (inner, name) in items(alias, "hostnames").iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            let field = format!("spec.hostAliases[{index}].hostnames[{inner}]");
            causes.extend(each(&field, name, names::dns_subdomain(name)));
        }
    }
    if has(spec, "preemptionPolicy") {
        let known = ["PreemptLowerPriority", "Never"];
        choice(
            "spec.preemptionPolicy",
            &spec["preemptionPolicy"],
            &known,
            causes,
        );
    }
    if has(spec, "os") {
        os(&spec["os"]["name"], causes);
    }
    if let Some(cost) =
        pod["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"].as_str()
        && cost.parse::<i32>().is_err()
    {
        causes.push(invalid_text(
            "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]",
            cost,
            "must be a 32bit integer",
        ));
    }
}

/// What only a new pod may not have.
pub(super) fn validate_create(pod: &Value, causes: &mut Vec<Cause>) {
    if !items(pod, "spec.ephemeralContainers").is_empty() {
        causes.push(Cause::forbidden(
            "spec.ephemeralContainers",
            "cannot be set on create",
        ));
    }
    if !text(pod, "spec.nodeName").is_empty() && !items(pod, "spec.schedulingGates").is_empty() {
        causes.push(Cause::forbidden(
            "spec.nodeName",
            "cannot be set until all schedulingGates have been cleared",
        ));
    }
}

fn host_ports(spec: &Value, causes: &mut Vec<Cause>) {
    if !flag(spec, "hostNetwork") {
        return;
    }
    for (index, container) in items(spec, "containers").iter().enumerate() {
        for (inner, port) in items(container, "ports").iter().enumerate() {
            if integer(port, "hostPort") != integer(port, "containerPort") {
                causes.push(invalid(
                    format!("spec.containers[{index}].ports[{inner}].hostPort"),
                    &integer(port, "hostPort").into(),
                    "must match `containerPort` when `hostNetwork` is true",
                ));
            }
        }
    }
}

/// Users and groups of a security context.
pub(super) fn security(context: &Value, path: &str, causes: &mut Vec<Cause>) {
    for key in ["fsGroup", "runAsUser", "runAsGroup"] {
        if let Some(id) = context[key].as_i64()
            && !(0..=i64::from(i32::MAX)).contains(&id)
        {
            causes.push(invalid(
                format!("{path}.{key}"),
                &id.into(),
                "must be between 0 and 2147483647, inclusive",
            ));
        }
    }
    if has(context, "seccompProfile") {
        let known = ["Localhost", "RuntimeDefault", "Unconfined"];
        let field = format!("{path}.seccompProfile.type");
        choice(&field, at(context, "seccompProfile.type"), &known, causes);
    }
}

fn os(name: &Value, causes: &mut Vec<Cause>) {
    let known = ["linux", "windows"];
    match name.as_str().unwrap_or_default() {
        "" => causes.push(Cause::required("spec.os.name", "")),
        text if known.contains(&text) => {}
        _ => causes.push(unsupported("spec.os", name, &known)),
    }
}

fn dns_config(spec: &Value, causes: &mut Vec<Cause>) {
    let config = &spec["dnsConfig"];
    if text(spec, "dnsPolicy") == "None" {
        if config.is_null() {
            causes.push(Cause::required(
                "spec.dnsConfig",
                "must provide `dnsConfig` when `dnsPolicy` is None",
            ));
            return;
        }
        if items(config, "nameservers").is_empty() {
            causes.push(Cause::required(
                "spec.dnsConfig.nameservers",
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            ));
            return;
        }
    }
    let servers = items(config, "nameservers");
    if servers.len() > 3 {
        causes.push(invalid(
            "spec.dnsConfig.nameservers",
            &config["nameservers"],
            "must not have more than 3 nameservers",
        ));
    }
    for (index, server) in servers.iter().enumerate() {
        let field = format!("spec.dnsConfig.nameservers[{index}]");
        address(&field, server.as_str().unwrap_or_default(), causes);
    }
    for (index, option) in items(config, "options").iter().enumerate() {
        if text(option, "name").is_empty() {
            let field = format!("spec.dnsConfig.options[{index}]");
            causes.push(Cause::required(field, "must not be empty"));
        }
    }
}

fn scheduling_gates(spec: &Value, causes: &mut Vec<Cause>) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, gate) in items(spec, "schedulingGates").iter().enumerate() {
        let name = text(gate, "name");
        let field = format!("spec.schedulingGates[{index}]");
        causes.extend(each(&field, name, names::qualified_name(name)));
        if seen.contains(&name) {
            causes.push(duplicate(field, &name.into()));
        }
        seen.push(name);
    }
}

fn spread(spec: &Value, causes: &mut Vec<Cause>) {
    for (index, term) in items(spec, "topologySpreadConstraints").iter().enumerate() {
        let field = |key: &str| format!("spec.topologySpreadConstraints[{index}].{key}");
        if integer(term, "maxSkew") < 1 {
            let skew = integer(term, "maxSkew").into();
            causes.push(invalid(
                field("maxSkew"),
                &skew,
                "must be greater than zero",
            ));
        }
        if text(term, "topologyKey").is_empty() {
            causes.push(Cause::required(field("topologyKey"), "can not be empty"));
        }
        let known = ["DoNotSchedule", "ScheduleAnyway"];
        if !known.contains(&text(term, "whenUnsatisfiable")) {
            let value = &term["whenUnsatisfiable"];
            causes.push(unsupported(field("whenUnsatisfiable"), value, &known));
        }
    }
}

fn scalars(spec: &Value, causes: &mut Vec<Cause>) {
    type Form = fn(&str) -> Vec<String>;
    let forms: [(&str, Form); 5] = [
        ("serviceAccountName", names::dns_subdomain),
        ("nodeName", names::dns_subdomain),
        ("hostname", names::dns_label),
        ("subdomain", names::dns_label),
        ("priorityClassName", names::dns_subdomain),
    ];
    for (key, form) in forms {
        let name = text(spec, key);
        if !name.is_empty() {
            causes.extend(each(&format!("spec.{key}"), name, form(name)));
        }
    }
    if let Some(deadline) = spec["activeDeadlineSeconds"].as_i64()
        && !(1..=i64::from(i32::MAX)).contains(&deadline)
    {
        causes.push(invalid(
            "spec.activeDeadlineSeconds",
            &deadline.into(),
            "must be between 1 and 2147483647, inclusive",
        ));
    }
}

/// Validates tolerations.
pub(super) fn tolerations(spec: &Value, causes: &mut Vec<Cause>) {
    for (index, toleration) in items(spec, "tolerations").iter().enumerate() {
        let field = |key: &str| format!("spec.tolerations[{index}].{key}");
        let (key, operator) = (text(toleration, "key"), text(toleration, "operator"));
        let (value, effect) = (text(toleration, "value"), text(toleration, "effect"));
        if !key.is_empty() {
            causes.extend(each(&field("key"), key, names::qualified_name(key)));
        } else if operator != "Exists" {
            causes.push(invalid_text(
                field("operator"),
                operator,
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            ));
        }
        if has(toleration, "tolerationSeconds") && effect != "NoExecute" {
            causes.push(invalid_text(
                field("effect"),
                effect,
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            ));
        }
        match operator {
            "" | "Equal" => {
                let problems = names::label_value(value);
                if !problems.is_empty() {
                    causes.push(invalid_text(field("operator"), value, &problems.join(";")));
                }
            }
            "Exists" if value.is_empty() => {}
            "Exists" => causes.push(invalid_text(
                field("operator"),
                value,
                "value must be empty when `operator` is 'Exists'",
            )),
            "Lt" | "Gt" => {
                let known = ["Equal", "Exists", "Lt", "Gt"];
                causes.push(unsupported(field("operator"), &operator.into(), &known));
            }
            _ => {
                let known = ["Equal", "Exists"];
                causes.push(unsupported(field("operator"), &operator.into(), &known));
            }
        }
        if !effect.is_empty() {
            taint_effect(&field("effect"), &toleration["effect"], causes);
        }
    }
}

/// Lists of containers with their place.
pub(super) const LISTS: [(&str, Place); 3] = [
    ("containers", Place::Main),
    ("initContainers", Place::Init),
    ("ephemeralContainers", Place::Ephemeral),
];
