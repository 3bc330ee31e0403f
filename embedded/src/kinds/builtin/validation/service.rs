//! What is wrong with services.

use serde_json::{Value, json};

use super::forms::{
    address, choice, endpoint_address, labels, port_number, port_or_name, protocol,
};
use crate::kinds::causes::{
    duplicate, duplicate_of, each, invalid, invalid_text, record, unsupported,
};
use crate::kinds::fields::{has, integer, items, text};
use crate::schema::names;
use crate::status::Cause;

/// Validates a service, new or changed.
pub(super) fn validate(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    if let Some(old) = old {
        addresses_stay(&new["spec"], &old["spec"], causes);
    }
    let spec = &new["spec"];
    let kind = text(spec, "type");
    let headless = text(spec, "clusterIP") == "None";
    let ports = items(spec, "ports");
    if ports.is_empty() && !headless && kind != "ExternalName" {
        causes.push(Cause::required("spec.ports", ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            causes.push(invalid_text("spec.clusterIPs[0]", "None", &detail));
        }
        "ExternalName" => external_name(spec, causes),
        _ => {}
    }
    let mut known: Vec<&str> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        one_port(port, &path, ports.len() > 1, &mut known, causes);
    }
    labels(spec, "selector", "spec.selector", causes);
    affinity(spec, causes);
    if kind != "ExternalName" {
        cluster_addresses(spec, causes);
    }
    for (index, external) in items(spec, "externalIPs").iter().enumerate() {
        let field = format!("spec.externalIPs[{index}]");
        let external = external.as_str().unwrap_or_default();
        if let Some(external) = address(&field, external, causes) {
            endpoint_address(&field, external, causes);
        }
    }
    let types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    choice("spec.type", &spec["type"], &types, causes);
    node_ports(kind, ports, causes);
    traffic(spec, kind, causes);
}

/// Addresses that the service has had cannot change.
fn addresses_stay(spec: &Value, before: &Value, causes: &mut Vec<Cause>) {
    let external = |spec: &Value| text(spec, "type") == "ExternalName";
    let headless = |spec: &Value| text(spec, "clusterIP") == "None";
    if external(spec) || external(before) || headless(spec) && headless(before) {
        return;
    }
    let (new, old) = (items(spec, "clusterIPs"), items(before, "clusterIPs"));
    let all = json!(new);
    match (new.first(), old.first()) {
        (None, Some(_)) => causes.push(invalid(
            "spec.clusterIPs[0]",
            &all,
            "primary clusterIP can not be unset",
        )),
        (Some(now), Some(before)) if now != before => {
            causes.push(invalid(
                "spec.clusterIPs[0]",
                &all,
                "may not change once set",
            ));
        }
        _ => {}
    }
}

fn external_name(spec: &Value, causes: &mut Vec<Cause>) {
    for key in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if has(spec, key) {
            let detail = "may not be set for ExternalName services";
            causes.push(Cause::forbidden(format!("spec.{key}"), detail));
        }
    }
    let name = text(spec, "externalName");
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        causes.push(Cause::required("spec.externalName", ""));
    } else {
        causes.extend(each("spec.externalName", name, names::dns_subdomain(name)));
    }
}

fn one_port<'a>(
    port: &'a Value,
    path: &str,
    needs_name: bool,
    known: &mut Vec<&'a str>,
    causes: &mut Vec<Cause>,
) {
    let name = text(port, "name");
    let field = format!("{path}.name");
    if name.is_empty() {
        if needs_name {
            causes.push(Cause::required(field, ""));
        }
    } else {
        causes.extend(each(&field, name, names::dns_label(name)));
        if known.contains(&name) {
            causes.push(duplicate(field, &name.into()));
        } else {
            known.push(name);
        }
    }
    port_number(&format!("{path}.port"), &port["port"], causes);
    protocol(&format!("{path}.protocol"), &port["protocol"], causes);
    port_or_name(&format!("{path}.targetPort"), &port["targetPort"], causes);
    if let Some(application) = port["appProtocol"].as_str() {
        let problems = names::qualified_name(application);
        causes.extend(each(&format!("{path}.appProtocol"), application, problems));
    }
}

fn affinity(spec: &Value, causes: &mut Vec<Cause>) {
    let field = "spec.sessionAffinity";
    choice(
        field,
        &spec["sessionAffinity"],
        &["ClientIP", "None"],
        causes,
    );
    let config = &spec["sessionAffinityConfig"];
    match text(spec, "sessionAffinity") {
        "ClientIP" => {
            let seconds = &config["clientIP"]["timeoutSeconds"];
            if !(1..=86_400).contains(&seconds.as_i64().unwrap_or_default()) {
                causes.push(invalid(
                    "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
                    seconds,
                    "must be greater than 0 and less than 86400",
                ));
            }
        }
        "None" if config.is_object() => causes.push(Cause::forbidden(
            "spec.sessionAffinityConfig",
            "must not be set when session affinity is None",
        )),
        _ => {}
    }
}

/// Validates the addresses of a service in the cluster. Comes before they are allocated, too.
pub(in crate::kinds::builtin) fn cluster_addresses(spec: &Value, causes: &mut Vec<Cause>) {
    let single = text(spec, "clusterIP");
    let all = items(spec, "clusterIPs");
    let shown = &spec["clusterIPs"];
    let field = "spec.clusterIPs";
    match all.first() {
        None if !single.is_empty() => causes.push(Cause::required(field, "")),
        Some(_) if single.is_empty() => {
            let detail = "must be empty when `clusterIP` is not specified";
            causes.push(invalid(field, shown, detail));
        }
        Some(first) if first != single => {
            causes.push(invalid(field, shown, "first value must match `clusterIP`"));
        }
        _ => {}
    }
    let families = ["IPv4", "IPv6"];
    let mut seen: Vec<&Value> = Vec::new();
    for (index, family) in items(spec, "ipFamilies").iter().enumerate() {
        let field = format!("spec.ipFamilies[{index}]");
        if !families.contains(&family.as_str().unwrap_or_default()) {
            causes.push(unsupported(field.as_str(), family, &families));
        }
        if seen.contains(&family) {
            causes.push(duplicate(field, family));
        }
        seen.push(family);
    }
    if has(spec, "ipFamilyPolicy") {
        let known = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        choice(
            "spec.ipFamilyPolicy",
            &spec["ipFamilyPolicy"],
            &known,
            causes,
        );
    }
    for (index, value) in all.iter().enumerate() {
        let value = value.as_str().unwrap_or_default();
        if index == 0 && value == "None" {
            if all.len() > 1 {
                let detail = "'None' must be the first and only value";
                causes.push(invalid(field, shown, detail));
            }
            continue;
        }
        address(&format!("{field}[{index}]"), value, causes);
    }
    if all.len() > 2 {
        causes.push(invalid(field, shown, "may only hold up to 2 values"));
    }
}

fn node_ports(kind: &str, ports: &[Value], causes: &mut Vec<Cause>) {
    let mut taken: Vec<(i64, &str)> = Vec::new();
    let mut known: Vec<(i64, &str)> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        if kind == "ClusterIP" && integer(port, "nodePort") != 0 {
            causes.push(Cause::forbidden(
                format!("spec.ports[{index}].nodePort"),
                "may not be used when `type` is 'ClusterIP'",
            ));
        }
    }
    for (index, port) in ports.iter().enumerate() {
        let number = integer(port, "nodePort");
        let key = (number, text(port, "protocol"));
        if number != 0 && taken.contains(&key) {
            let field = format!("spec.ports[{index}].nodePort");
            causes.push(duplicate(field, &number.into()));
        }
        taken.push(key);
    }
    for (index, port) in ports.iter().enumerate() {
        let key = (integer(port, "port"), text(port, "protocol"));
        if known.contains(&key) {
            let shown = record(&[
                ("Name", &"".into()),
                ("Protocol", &key.1.into()),
                ("AppProtocol", &Value::Null),
                ("Port", &key.0.into()),
                ("TargetPort", &0.into()),
                ("NodePort", &0.into()),
            ]);
            causes.push(duplicate_of(format!("spec.ports[{index}]"), &shown));
        }
        known.push(key);
    }
}

fn traffic(spec: &Value, kind: &str, causes: &mut Vec<Cause>) {
    let balanced = kind == "LoadBalancer";
    for key in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        if has(spec, key) && !balanced {
            let detail = "may only be used when `type` is 'LoadBalancer'";
            causes.push(Cause::forbidden(format!("spec.{key}"), detail));
        }
    }
    let external = balanced
        || kind == "NodePort"
        || kind == "ClusterIP" && !items(spec, "externalIPs").is_empty();
    let policy = &spec["externalTrafficPolicy"];
    let field = "spec.externalTrafficPolicy";
    if external {
        choice(field, policy, &["Cluster", "Local"], causes);
    } else if let Some(text) = policy.as_str() {
        let detail = "may only be set for externally-accessible services";
        causes.push(invalid_text(field, text, detail));
    }
    if has(spec, "internalTrafficPolicy") {
        let field = "spec.internalTrafficPolicy";
        choice(
            field,
            &spec["internalTrafficPolicy"],
            &["Cluster", "Local"],
            causes,
        );
    }
}
