//! The cells of built-in kinds, as kubectl's users know them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::age::since;
use super::pods;
use crate::kinds::Kind;
use crate::kinds::fields::{at, entries, flag, has, integer, items, text};
use crate::object::meta;

const NONE: &str = "<none>";

/// The cells of one object, one for each column.
pub(super) fn cells(kind: &Kind, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = Value::from(meta(object, "name"));
    let age = || Value::from(since(now, meta(object, "creationTimestamp")));
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => pods::cells(object, now),
        ("", "Node") => node(object, name, age()),
        ("", "Service") => service(object, name, age()),
        (_, "Event") => event(object, name, now),
        ("", "Namespace") => vec![name, text(object, "status.phase").into(), age()],
        ("", "Secret") => {
            let count = entries(object, "data").count();
            vec![name, text(object, "type").into(), count.into(), age()]
        }
        ("", "ConfigMap") => {
            let count = entries(object, "data").count() + entries(object, "binaryData").count();
            vec![name, count.into(), age()]
        }
        ("", "ServiceAccount") => vec![name, age()],
        ("", "Endpoints") => vec![name, endpoints(object).into(), age()],
        ("coordination.k8s.io", _) => {
            vec![name, text(object, "spec.holderIdentity").into(), age()]
        }
        ("discovery.k8s.io", _) => vec![
            name,
            text(object, "addressType").into(),
            slice_ports(object).into(),
            slice_addresses(object).into(),
            age(),
        ],
        ("policy", _) => {
            let number = |path: &str| match at(object, path) {
                Value::Null => "N/A".to_owned(),
                value => plain(value),
            };
            vec![
                name,
                number("spec.minAvailable").into(),
                number("spec.maxUnavailable").into(),
                integer(object, "status.disruptionsAllowed").into(),
                age(),
            ]
        }
        ("autoscaling", _) => autoscaler(object, name, age()),
        ("scheduling.k8s.io", _) => vec![
            name,
            integer(object, "value").into(),
            flag(object, "globalDefault").into(),
            age(),
            text(object, "preemptionPolicy").into(),
        ],
        (_, "RoleBinding" | "ClusterRoleBinding") => binding(object, name, age()),
        ("metrics.k8s.io", _) => metrics(object, name),
        _ => vec![name, meta(object, "creationTimestamp").into()],
    }
}

/// A text or number as text.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

/// `a=1,b=2`.
fn labels(object: &Value, path: &str) -> String {
    let pairs: Vec<String> = entries(object, path)
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    or(&pairs.join(","), NONE).to_owned()
}

fn node(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let ready = items(object, "status.conditions")
        .iter()
        .find(|condition| text(condition, "type") == "Ready");
    let mut status = match ready {
        Some(condition) if text(condition, "status") == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if flag(object, "spec.unschedulable") {
        status.push_str(",SchedulingDisabled");
    }
    let roles: BTreeSet<&str> = entries(object, "metadata.labels")
        .filter_map(|(key, value)| {
            let role = match key.strip_prefix("node-role.kubernetes.io/") {
                Some(role) => role,
                None if key == "kubernetes.io/role" => value.as_str()?,
                None => return None,
            };
            (!role.is_empty()).then_some(role)
        })
        .collect();
    let roles = roles.into_iter().collect::<Vec<_>>().join(",");
    let address = |kind: &str| {
        items(object, "status.addresses")
            .iter()
            .find(|address| text(address, "type") == kind)
            .map_or(NONE, |address| text(address, "address"))
    };
    let info = |field: &str| text(at(object, "status.nodeInfo"), field);
    vec![
        name,
        status.into(),
        or(&roles, NONE).into(),
        age,
        info("kubeletVersion").into(),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        or(info("osImage"), "<unknown>").into(),
        or(info("kernelVersion"), "<unknown>").into(),
        or(info("containerRuntimeVersion"), "<unknown>").into(),
    ]
}

fn service(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let kind = text(object, "spec.type");
    let ports: Vec<String> = items(object, "spec.ports")
        .iter()
        .map(|port| {
            let (number, protocol) = (integer(port, "port"), text(port, "protocol"));
            match integer(port, "nodePort") {
                0 => format!("{number}/{protocol}"),
                node => format!("{number}:{node}/{protocol}"),
            }
        })
        .collect();
    let address = items(object, "spec.clusterIPs").first();
    vec![
        name,
        kind.into(),
        address.and_then(Value::as_str).unwrap_or(NONE).into(),
        external_address(object, kind).into(),
        or(&ports.join(","), NONE).into(),
        age,
        labels(object, "spec.selector").into(),
    ]
}

fn external_address(service: &Value, kind: &str) -> String {
    let mut addresses: Vec<&str> = Vec::new();
    if kind == "LoadBalancer" {
        let balancer: BTreeSet<&str> = items(service, "status.loadBalancer.ingress")
            .iter()
            .map(|ingress| or(text(ingress, "ip"), text(ingress, "hostname")))
            .filter(|address| !address.is_empty())
            .collect();
        addresses.extend(balancer);
    }
    let own = items(service, "spec.externalIPs");
    addresses.extend(own.iter().filter_map(Value::as_str));
    let empty = match kind {
        "ClusterIP" | "NodePort" => NONE,
        "LoadBalancer" => "<pending>",
        "ExternalName" => return text(service, "spec.externalName").to_owned(),
        _ => "<unknown>",
    };
    or(&addresses.join(","), empty).to_owned()
}

fn event(object: &Value, name: Value, now: Timestamp) -> Vec<Value> {
    // The two groups name some fields differently.
    let either = |core: &str, other: &str| or(text(object, core), text(object, other)).to_owned();
    let first = either("firstTimestamp", "deprecatedFirstTimestamp");
    let first = or(&first, text(object, "eventTime"));
    let last = either("lastTimestamp", "deprecatedLastTimestamp");
    let mut last = or(&last, first).to_owned();
    let mut count = integer(object, "count").max(integer(object, "deprecatedCount"));
    if has(object, "series") {
        text(object, "series.lastObservedTime").clone_into(&mut last);
        count = integer(object, "series.count");
    } else if count == 0 {
        count = 1;
    }
    let about = either("involvedObject.name", "regarding.name");
    let kind = either("involvedObject.kind", "regarding.kind").to_lowercase();
    let component = either("source.component", "deprecatedSource.component");
    let controller = either("reportingComponent", "reportingController");
    let host = either("source.host", "deprecatedSource.host");
    let (component, host) = (
        or(&component, &controller),
        or(&host, text(object, "reportingInstance")),
    );
    vec![
        since(now, &last).into(),
        text(object, "type").into(),
        text(object, "reason").into(),
        if about.is_empty() {
            kind.into()
        } else {
            format!("{kind}/{about}").into()
        },
        either("involvedObject.fieldPath", "regarding.fieldPath").into(),
        if host.is_empty() {
            component.into()
        } else {
            format!("{component}, {host}").into()
        },
        either("message", "note").trim().into(),
        since(now, first).into(),
        count.into(),
        name,
    ]
}

/// At most three, and how many more.
fn shortened(list: &[String], empty: &str) -> String {
    const SHOWN: usize = 3;
    match list.len() {
        0 => empty.to_owned(),
        length if length > SHOWN => {
            format!("{} + {} more...", list[..SHOWN].join(","), length - SHOWN)
        }
        _ => list.join(","),
    }
}

fn endpoints(object: &Value) -> String {
    let mut list = Vec::new();
    for subset in items(object, "subsets") {
        let addresses = items(subset, "addresses")
            .iter()
            .map(|address| text(address, "ip"));
        let ports = items(subset, "ports");
        if ports.is_empty() {
            list.extend(addresses.map(str::to_owned));
            continue;
        }
        for port in ports {
            let number = integer(port, "port");
            list.extend(addresses.clone().map(|address| {
                if address.contains(':') {
                    format!("[{address}]:{number}")
                } else {
                    format!("{address}:{number}")
                }
            }));
        }
    }
    shortened(&list, NONE)
}

fn slice_ports(object: &Value) -> String {
    let ports: Vec<String> = items(object, "ports")
        .iter()
        .map(|port| match (&port["port"], &port["name"]) {
            (Value::Number(number), _) => number.to_string(),
            (_, Value::String(name)) => name.clone(),
            _ => "*".to_owned(),
        })
        .collect();
    shortened(&ports, "<unset>")
}

fn slice_addresses(object: &Value) -> String {
    let addresses: Vec<String> = items(object, "endpoints")
        .iter()
        .flat_map(|endpoint| items(endpoint, "addresses"))
        .map(plain)
        .collect();
    shortened(&addresses, "<unset>")
}

fn binding(object: &Value, name: Value, age: Value) -> Vec<Value> {
    let subjects = |kind: &str| {
        let names: Vec<String> = items(object, "subjects")
            .iter()
            .filter(|subject| text(subject, "kind") == kind)
            .map(|subject| {
                let name = text(subject, "name");
                if kind == "ServiceAccount" {
                    format!("{}/{name}", text(subject, "namespace"))
                } else {
                    name.to_owned()
                }
            })
            .collect();
        Value::from(names.join(", "))
    };
    let role = format!(
        "{}/{}",
        text(object, "roleRef.kind"),
        text(object, "roleRef.name")
    );
    vec![
        name,
        role.into(),
        age,
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

fn autoscaler(object: &Value, name: Value, age: Value) -> Vec<Value> {
    const SHOWN: usize = 2;
    let current = items(object, "status.currentMetrics");
    let metrics: Vec<String> = items(object, "spec.metrics")
        .iter()
        .enumerate()
        .map(|(index, metric)| target(metric, current.get(index)))
        .collect();
    let targets = match metrics.len() {
        0 => NONE.to_owned(),
        length if length > SHOWN => {
            format!(
                "{} + {} more...",
                metrics[..SHOWN].join(", "),
                length - SHOWN
            )
        }
        _ => metrics.join(", "),
    };
    let least = match at(object, "spec.minReplicas") {
        Value::Null => "<unset>".to_owned(),
        number => plain(number),
    };
    vec![
        name,
        format!(
            "{}/{}",
            text(object, "spec.scaleTargetRef.kind"),
            text(object, "spec.scaleTargetRef.name")
        )
        .into(),
        targets.into(),
        least.into(),
        integer(object, "spec.maxReplicas").into(),
        integer(object, "status.currentReplicas").into(),
        age,
    ]
}

/// `cpu: 10%/80%`.
fn target(metric: &Value, current: Option<&Value>) -> String {
    let (source, names_resource) = match text(metric, "type") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let spec = &metric[source];
    let average = has(spec, "target.averageValue");
    let value = |holder: &Value, field: &str, percent: bool| match &holder[field] {
        Value::Null => None,
        value if percent => Some(format!("{}%", plain(value))),
        value => Some(plain(value)),
    };
    let (field, percent) = match (average, names_resource) {
        (true, _) => ("averageValue", false),
        (false, true) => ("averageUtilization", true),
        (false, false) if source == "pods" => ("averageValue", false),
        (false, false) => ("value", false),
    };
    let now = current.and_then(|current| value(&current[source]["current"], field, percent));
    let now = now.unwrap_or_else(|| "<unknown>".to_owned());
    let wanted = value(&spec["target"], field, percent)
        .unwrap_or_else(|| if percent { "<auto>" } else { "0" }.to_owned());
    if names_resource {
        format!("{}: {now}/{wanted}", text(spec, "name"))
    } else if average && source != "pods" {
        format!("{now}/{wanted} (avg)")
    } else {
        format!("{now}/{wanted}")
    }
}

fn metrics(object: &Value, name: Value) -> Vec<Value> {
    use crate::kinds::builtin::quantity::Quantity;
    let total = |resource: &str| {
        let own = std::iter::once(object).chain(items(object, "containers"));
        let amounts = own.filter_map(|holder| Quantity::parse(text(&holder["usage"], resource)));
        amounts
            .reduce(Quantity::plus)
            .map_or_else(|| json!("0"), |amount| amount.canonical().into())
    };
    vec![
        name,
        total("cpu"),
        total("memory"),
        text(object, "window").into(),
    ]
}
