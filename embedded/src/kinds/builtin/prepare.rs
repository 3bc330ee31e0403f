//! What the API server settles itself when an object is created or changed: who may write which
//! part, generations, the first status.

use serde_json::{Map, Value, json};

use super::super::fields::{
    assign, at, entries, has, integer, items, items_mut, remove, section, text,
};
use super::super::{Kind, definition};
use super::quantity::Quantity;

/// Prepares an object for creation.
pub(super) fn create(kind: &Kind, object: &mut Value) {
    if has_generation(kind) {
        section(object, "metadata")["generation"] = 1.into();
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => {
            let mut status = json!({ "phase": "Pending", "qosClass": quality(object) });
            if !items(object, "spec.schedulingGates").is_empty() {
                status["conditions"] = json!([{
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "SchedulingGated",
                    "message": "Scheduling is blocked due to non-empty scheduling gates",
                    "lastProbeTime": null,
                    "lastTransitionTime": null,
                }]);
            }
            object["status"] = status;
        }
        ("", "Namespace") => {
            object["status"] = json!({ "phase": "Active" });
            let spec = section(object, "spec");
            let mut finalizers = items(spec, "finalizers").to_vec();
            if !finalizers.contains(&"kubernetes".into()) {
                finalizers.push("kubernetes".into());
            }
            spec["finalizers"] = finalizers.into();
        }
        ("", "Node") => {
            remove(section(object, "spec"), "configSource");
            remove(section(object, "status"), "config");
        }
        ("", "ServiceAccount") => clean_secrets(object),
        ("", "Service") => {
            object["status"] = Map::new().into();
            single_family(section(object, "spec"));
        }
        ("policy", "PodDisruptionBudget") | ("autoscaling", "HorizontalPodAutoscaler") => {
            object["status"] = Map::new().into();
        }
        ("coordination.k8s.io", "Lease") => {
            let spec = section(object, "spec");
            remove(spec, "strategy");
            remove(spec, "preferredHolder");
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            remove(object, "status");
            definition::remember_storage(object);
        }
        _ => {}
    }
}

/// Prepares a change: what this endpoint may not write is taken from the old object.
pub(super) fn update(kind: &Kind, new: &mut Value, old: &Value, subresource: Option<&str>) {
    let name = (kind.group.as_str(), kind.kind.as_str());
    match subresource {
        Some("status") if kind.has_status => {
            if name != ("policy", "PodDisruptionBudget") || at(new, "spec") != at(old, "spec") {
                assign(new, "spec", old.get("spec"));
            }
            if name == ("", "Pod") {
                pod_status(new, old);
            }
        }
        Some("finalize") => assign(new, "status", old.get("status")),
        _ => {
            if kind.has_status {
                assign(new, "status", old.get("status"));
            }
            match name {
                ("", "Namespace") => {
                    let finalizers = old["spec"].get("finalizers").cloned();
                    assign(section(new, "spec"), "finalizers", finalizers.as_ref());
                }
                ("", "Pod") => keep_priority(new, old),
                ("", "ServiceAccount") => clean_secrets(new),
                ("", "Service") => service_update(new, old),
                ("apiextensions.k8s.io", _) => definition::remember_storage(new),
                ("", "Secret") if text(new, "type").is_empty() => {
                    assign(new, "type", old.get("type"));
                }
                _ => {}
            }
        }
    }
    if has_generation(kind) {
        let before = integer(old, "metadata.generation");
        let generation = if same_state(kind, new, old) {
            before
        } else {
            before + 1
        };
        // Objects from before generations were kept stay without.
        if generation > 0 {
            section(new, "metadata")["generation"] = generation.into();
        }
    }
}

/// Whether `metadata.generation` counts the changes of this kind.
pub(super) fn has_generation(kind: &Kind) -> bool {
    matches!(
        (kind.group.as_str(), kind.kind.as_str()),
        ("", "Pod")
            | ("policy", "PodDisruptionBudget")
            | ("discovery.k8s.io", "EndpointSlice")
            | ("apiextensions.k8s.io", "CustomResourceDefinition")
            | ("scheduling.k8s.io", "PriorityClass")
    )
}

/// Whether the generation stays.
fn same_state(kind: &Kind, new: &Value, old: &Value) -> bool {
    match kind.kind.as_str() {
        // Set once, and never again.
        "PriorityClass" => true,
        "EndpointSlice" => ["endpoints", "ports", "addressType", "metadata.labels"]
            .iter()
            .all(|path| at(new, path) == at(old, path)),
        _ => at(new, "spec") == at(old, "spec"),
    }
}

/// What admission found when the pod was created stays when a writer leaves it out.
pub(super) fn keep_priority(new: &mut Value, old: &Value) {
    let (spec, before) = (section(new, "spec"), &old["spec"]);
    for field in ["priority", "preemptionPolicy"] {
        if !has(spec, field) {
            assign(spec, field, before.get(field));
        }
    }
}

fn clean_secrets(account: &mut Value) {
    for secret in items_mut(account, "secrets") {
        *secret = match secret.get("name") {
            Some(name) => json!({ "name": name }),
            None => json!({}),
        };
    }
}

fn pod_status(new: &mut Value, old: &Value) {
    remove(section(new, "metadata"), "deletionTimestamp");
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "ownerReferences",
    ] {
        let value = old["metadata"].get(field).cloned();
        assign(section(new, "metadata"), field, value.as_ref());
    }
    let status = section(new, "status");
    if text(status, "qosClass").is_empty() {
        assign(status, "qosClass", old["status"].get("qosClass"));
    }
    if integer(status, "observedGeneration") == 0 {
        assign(
            status,
            "observedGeneration",
            old["status"].get("observedGeneration"),
        );
    }
    let known = items(old, "status.conditions");
    for condition in items_mut(status, "conditions") {
        if integer(condition, "observedGeneration") != 0 {
            continue;
        }
        let before = known
            .iter()
            .find(|before| before["type"] == condition["type"])
            .and_then(|before| before.get("observedGeneration"))
            .cloned();
        assign(condition, "observedGeneration", before.as_ref());
    }
}

/// Every service has one address family here.
fn single_family(spec: &mut Value) {
    normalize_address(spec);
    if text(spec, "type") == "ExternalName" {
        remove(spec, "internalTrafficPolicy");
        return;
    }
    if !has(spec, "ipFamilyPolicy") {
        spec["ipFamilyPolicy"] = "SingleStack".into();
    }
    if !has(spec, "ipFamilies") {
        spec["ipFamilies"] = json!(["IPv4"]);
        // Headless without selector: whoever makes the endpoints may use both families.
        if text(spec, "clusterIP") == "None" && entries(spec, "selector").next().is_none() {
            spec["ipFamilies"] = json!(["IPv4", "IPv6"]);
            spec["ipFamilyPolicy"] = "RequireDualStack".into();
        }
    }
}

/// `clusterIP` and the first of `clusterIPs` are one.
fn normalize_address(spec: &mut Value) {
    let single = text(spec, "clusterIP").to_owned();
    if !single.is_empty() && items(spec, "clusterIPs").is_empty() {
        spec["clusterIPs"] = json!([single]);
    }
}

fn service_update(new: &mut Value, old: &Value) {
    let (spec, before) = (section(new, "spec"), &old["spec"]);
    let kind = text(spec, "type").to_owned();
    let old_kind = text(before, "type");
    let external = |kind: &str| kind == "ExternalName";
    let node_ports = |kind: &str| matches!(kind, "NodePort" | "LoadBalancer");
    if !external(&kind) && !external(old_kind) {
        // What the server settled stays when a writer leaves it out.
        for field in ["clusterIP", "clusterIPs"] {
            if !has(spec, field) {
                assign(spec, field, before.get(field));
            }
        }
    }
    if node_ports(&kind) && node_ports(old_kind) {
        keep_node_ports(spec, before);
    }
    if spec.get("clusterIP") != before.get("clusterIP")
        && spec.get("clusterIPs") == before.get("clusterIPs")
    {
        let addresses = spec.get("clusterIP").map(|address| json!([address]));
        assign(spec, "clusterIPs", addresses.as_ref());
    }
    if external(&kind) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if !external(old_kind) && spec.get(field) == before.get(field) {
                remove(spec, field);
            }
        }
        remove(spec, "internalTrafficPolicy");
    } else {
        if !external(old_kind) {
            for field in ["ipFamilies", "ipFamilyPolicy"] {
                if !has(spec, field) {
                    assign(spec, field, before.get(field));
                }
            }
        }
        single_family(spec);
    }
    if node_ports(old_kind) && !node_ports(&kind) {
        for (port, old) in items_mut(spec, "ports").zip(items(before, "ports")) {
            if port.get("nodePort") == old.get("nodePort") {
                remove(port, "nodePort");
            }
        }
        if spec.get("externalTrafficPolicy") == before.get("externalTrafficPolicy")
            && items(spec, "externalIPs").is_empty()
        {
            remove(spec, "externalTrafficPolicy");
        }
    }
    if old_kind == "LoadBalancer" && kind != "LoadBalancer" {
        for field in [
            "allocateLoadBalancerNodePorts",
            "loadBalancerClass",
            "healthCheckNodePort",
        ] {
            if spec.get(field) == before.get(field) {
                remove(spec, field);
            }
        }
    }
    if kind != "LoadBalancer" {
        section(new, "status")["loadBalancer"] = Map::new().into();
    }
}

/// Ports of the same name keep their node port, if no other port has taken it.
fn keep_node_ports(spec: &mut Value, before: &Value) {
    let taken: Vec<i64> = items(spec, "ports")
        .iter()
        .map(|port| integer(port, "nodePort"))
        .collect();
    for port in items_mut(spec, "ports") {
        if integer(port, "nodePort") != 0 {
            continue;
        }
        let known = items(before, "ports")
            .iter()
            .find(|old| text(old, "name") == text(port, "name"))
            .map(|old| integer(old, "nodePort"))
            .filter(|number| *number != 0 && !taken.contains(number));
        if let Some(number) = known {
            port["nodePort"] = number.into();
        }
    }
}

/// The quality of service class that follows from requests and limits.
fn quality(pod: &Value) -> &'static str {
    let containers = || {
        items(pod, "spec.containers")
            .iter()
            .chain(items(pod, "spec.initContainers"))
    };
    let amount = |container: &Value, list: &str, name: &str| {
        Quantity::parse(text(&container["resources"][list], name))
            .filter(|amount| !amount.is_negative() && !amount.is_zero())
    };
    let names = ["cpu", "memory"];
    let any = containers().any(|container| {
        names.iter().any(|name| {
            amount(container, "requests", name).is_some()
                || amount(container, "limits", name).is_some()
        })
    });
    if !any {
        return "BestEffort";
    }
    let guaranteed = containers().all(|container| {
        names.iter().all(|name| {
            let limit = amount(container, "limits", name);
            limit.is_some() && amount(container, "requests", name) == limit
        })
    });
    if guaranteed {
        "Guaranteed"
    } else {
        "Burstable"
    }
}
