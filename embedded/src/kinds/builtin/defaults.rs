//! What the API server fills in when it reads an object of a built-in kind.

use serde_json::{Map, Value, json};

use super::super::Kind;
use super::super::fields::{
    entries, fill, flag, has, integer, items, items_mut, object_mut, remove, section, text,
};
use super::quantity::Quantity;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Fills in defaults.
pub(super) fn default(kind: &Kind, object: &mut Value) {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => pod(object),
        ("", "Service") => service(object),
        ("", "Secret") => secret(object),
        ("", "Namespace") => namespace(object),
        ("", "Node") => node(object),
        ("", "Endpoints") => {
            for subset in items_mut(object, "subsets") {
                for port in items_mut(subset, "ports") {
                    fill(port, "protocol", "TCP");
                }
            }
        }
        ("discovery.k8s.io", "EndpointSlice") => {
            for port in items_mut(object, "ports") {
                fill(port, "name", "");
                fill(port, "protocol", "TCP");
            }
        }
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler(section(object, "spec")),
        (RBAC, "RoleBinding" | "ClusterRoleBinding") => {
            if text(object, "roleRef.apiGroup").is_empty() {
                section(object, "roleRef")["apiGroup"] = RBAC.into();
            }
            for subject in items_mut(object, "subjects") {
                if matches!(text(subject, "kind"), "User" | "Group") {
                    fill(subject, "apiGroup", RBAC);
                }
            }
        }
        ("scheduling.k8s.io", "PriorityClass") => {
            fill(object, "preemptionPolicy", "PreemptLowerPriority");
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            super::super::definition::default(object);
        }
        _ => {}
    }
}

fn namespace(object: &mut Value) {
    let name = text(object, "metadata.name").to_owned();
    if !name.is_empty() {
        section(section(object, "metadata"), "labels")["kubernetes.io/metadata.name"] = name.into();
    }
    fill(section(object, "status"), "phase", "Active");
}

fn node(object: &mut Value) {
    first_of(section(object, "spec"), "podCIDR", "podCIDRs", |cidr| {
        cidr.clone()
    });
    let status = section(object, "status");
    for list in ["capacity", "allocatable"] {
        round_amounts(status, list);
    }
    if let Some(capacity) = status.get("capacity").cloned() {
        fill(status, "allocatable", capacity);
    }
}

/// A field that is the first item of a list: the field counts if they differ.
fn first_of(holder: &mut Value, single: &str, list: &str, item: fn(&Value) -> Value) {
    let first = &items(holder, list).first().cloned().unwrap_or_default();
    let value = holder.get(single).cloned();
    match value {
        Some(value) if first != &item(&value) => holder[list] = json!([item(&value)]),
        None if first.is_object() => {
            if let Some(address) = first.get("ip").cloned() {
                holder[single] = address;
            }
        }
        None if first.is_string() => holder[single] = first.clone(),
        _ => {}
    }
}

fn secret(object: &mut Value) {
    fill(object, "type", "Opaque");
    if let Some(Value::Object(texts)) = object
        .as_object_mut()
        .and_then(|all| all.remove("stringData"))
    {
        let data = section(object, "data");
        for (key, value) in texts {
            let bytes = value.as_str().unwrap_or_default();
            data[key] =
                base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes).into();
        }
    }
}

fn service(object: &mut Value) {
    let spec = section(object, "spec");
    fill(spec, "type", "ClusterIP");
    fill(spec, "sessionAffinity", "None");
    let kind = text(spec, "type").to_owned();
    match text(spec, "sessionAffinity") {
        "None" => remove(spec, "sessionAffinityConfig"),
        "ClientIP" if !has(spec, "sessionAffinityConfig.clientIP.timeoutSeconds") => {
            spec["sessionAffinityConfig"] = json!({ "clientIP": { "timeoutSeconds": 10800 } });
        }
        _ => {}
    }
    for port in items_mut(spec, "ports") {
        fill(port, "protocol", "TCP");
        let target = &port["targetPort"];
        if target.is_null() || target == 0 || target == "" {
            port["targetPort"] = port["port"].clone();
        }
    }
    let external = kind == "LoadBalancer"
        || kind == "NodePort"
        || (kind == "ClusterIP" && !items(spec, "externalIPs").is_empty());
    if external {
        fill(spec, "externalTrafficPolicy", "Cluster");
    }
    if kind != "ExternalName" {
        fill(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", true);
        if let Some(balancer) = object_mut(section(object, "status"), "loadBalancer") {
            for ingress in items_mut(balancer, "ingress") {
                if has(ingress, "ip") {
                    fill(ingress, "ipMode", "VIP");
                }
            }
        }
    }
}

fn autoscaler(spec: &mut Value) {
    fill(spec, "minReplicas", 1);
    fill(
        spec,
        "metrics",
        json!([{
            "type": "Resource",
            "resource": {
                "name": "cpu",
                "target": { "type": "Utilization", "averageUtilization": 80 },
            },
        }]),
    );
    if let Some(behavior) = object_mut(spec, "behavior") {
        let up = section(behavior, "scaleUp");
        fill(up, "stabilizationWindowSeconds", 0);
        fill(up, "selectPolicy", "Max");
        fill(
            up,
            "policies",
            json!([
                { "type": "Pods", "value": 4, "periodSeconds": 15 },
                { "type": "Percent", "value": 100, "periodSeconds": 15 },
            ]),
        );
        let down = section(behavior, "scaleDown");
        fill(down, "selectPolicy", "Max");
        fill(
            down,
            "policies",
            json!([{ "type": "Percent", "value": 100, "periodSeconds": 15 }]),
        );
    }
}

fn pod(object: &mut Value) {
    if let Some(status) = object_mut(object, "status") {
        first_of(
            status,
            "podIP",
            "podIPs",
            |address| json!({ "ip": address }),
        );
    }
    let spec = section(object, "spec");
    fill(spec, "dnsPolicy", "ClusterFirst");
    fill(spec, "restartPolicy", "Always");
    fill(spec, "securityContext", Map::new());
    fill(spec, "terminationGracePeriodSeconds", 30);
    if integer(spec, "terminationGracePeriodSeconds") < 0 {
        spec["terminationGracePeriodSeconds"] = 1.into();
    }
    fill(spec, "schedulerName", "default-scheduler");
    fill(spec, "enableServiceLinks", true);
    // One is an old name of the other.
    for (from, to) in [
        ("serviceAccountName", "serviceAccount"),
        ("serviceAccount", "serviceAccountName"),
    ] {
        if let Some(name) = spec.get(from).cloned() {
            fill(spec, to, name);
        }
    }
    round_amounts(spec, "overhead");
    let host_network = flag(spec, "hostNetwork");
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for entry in items_mut(spec, list) {
            container(entry);
            if list == "ephemeralContainers" {
                continue;
            }
            requests_from_limits(entry);
            if host_network {
                for port in items_mut(entry, "ports") {
                    if integer(port, "hostPort") == 0 {
                        port["hostPort"] = port["containerPort"].clone();
                    }
                }
            }
        }
    }
    for entry in items_mut(spec, "volumes") {
        volume(entry);
    }
}

fn container(container: &mut Value) {
    let policy = pull_policy(text(container, "image"));
    fill(container, "imagePullPolicy", policy);
    fill(container, "terminationMessagePath", "/dev/termination-log");
    fill(container, "terminationMessagePolicy", "File");
    for port in items_mut(container, "ports") {
        fill(port, "protocol", "TCP");
    }
    for variable in items_mut(container, "env") {
        if let Some(source) = object_mut(variable, "valueFrom") {
            field_reference(source);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = object_mut(container, probe) else {
            continue;
        };
        fill(probe, "timeoutSeconds", 1);
        fill(probe, "periodSeconds", 10);
        fill(probe, "successThreshold", 1);
        fill(probe, "failureThreshold", 3);
        if let Some(call) = object_mut(probe, "grpc") {
            fill(call, "service", "");
        }
        http_get(probe);
    }
    if let Some(lifecycle) = object_mut(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = object_mut(lifecycle, hook) {
                http_get(hook);
            }
        }
    }
    if let Some(resources) = object_mut(container, "resources") {
        for list in ["requests", "limits"] {
            round_amounts(resources, list);
        }
    }
}

fn http_get(handler: &mut Value) {
    if let Some(get) = object_mut(handler, "httpGet") {
        fill(get, "path", "/");
        fill(get, "scheme", "HTTP");
    }
}

fn field_reference(source: &mut Value) {
    if let Some(field) = object_mut(source, "fieldRef") {
        fill(field, "apiVersion", "v1");
    }
}

fn requests_from_limits(container: &mut Value) {
    let limits: Vec<(String, Value)> = entries(container, "resources.limits")
        .map(|(name, amount)| (name.clone(), amount.clone()))
        .collect();
    if limits.is_empty() {
        return;
    }
    let requests = section(section(container, "resources"), "requests");
    for (name, amount) in limits {
        fill(requests, &name, amount);
    }
}

/// Rounds the amounts of resources in a field up to thousandths.
fn round_amounts(value: &mut Value, list: &str) {
    let amounts = value.get_mut(list).and_then(Value::as_object_mut);
    for amount in amounts.into_iter().flat_map(Map::values_mut) {
        if let Some(quantity) = amount.as_str().and_then(Quantity::parse) {
            *amount = quantity.rounded_to_milli().canonical().into();
        }
    }
}

fn volume(volume: &mut Value) {
    let sources = volume.as_object().map_or(0, Map::len) - usize::from(has(volume, "name"));
    if sources == 0 {
        fill(volume, "emptyDir", Map::new());
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = object_mut(volume, source) {
            fill(source, "defaultMode", 0o644);
        }
    }
    if let Some(source) = object_mut(volume, "downwardAPI") {
        items_mut(source, "items").for_each(field_reference);
    }
    if let Some(source) = object_mut(volume, "projected") {
        for projection in items_mut(source, "sources") {
            if let Some(token) = object_mut(projection, "serviceAccountToken") {
                fill(token, "expirationSeconds", 3600);
            }
            if let Some(source) = object_mut(projection, "downwardAPI") {
                items_mut(source, "items").for_each(field_reference);
            }
        }
    }
    if let Some(source) = object_mut(volume, "hostPath") {
        fill(source, "type", "");
    }
    if let Some(source) = object_mut(volume, "image") {
        let policy = pull_policy(text(source, "reference"));
        fill(source, "pullPolicy", policy);
    }
    if let Some(source) = object_mut(volume, "ephemeral")
        && let Some(template) = object_mut(source, "volumeClaimTemplate")
    {
        fill(section(template, "spec"), "volumeMode", "Filesystem");
    }
}

/// Images that may change under their name are pulled always.
fn pull_policy(image: &str) -> &'static str {
    let (reference, digest) = image.split_once('@').unwrap_or((image, ""));
    let name = reference.rsplit('/').next().unwrap_or(reference);
    let latest = match name.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => digest.is_empty() && !name.is_empty(),
    };
    // A name that is none has no tag.
    if latest && !reference.contains(char::is_uppercase) {
        "Always"
    } else {
        "IfNotPresent"
    }
}
