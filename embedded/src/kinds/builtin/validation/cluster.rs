//! What is wrong with namespaces, nodes, leases, events and priority classes.

use serde_json::Value;

use super::forms::{choice, taint_effect};
use crate::kinds::Kind;
use crate::kinds::causes::{
    duplicate_of, each, immutable, invalid, invalid_text, not_negative, record,
};
use crate::kinds::fields::{at, entries, has, integer, items, text};
use crate::object::meta;
use crate::schema::{names, show};
use crate::status::Cause;

/// Validates a change of a namespace.
pub(super) fn namespace(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let Some(old) = old else {
        return;
    };
    for (index, finalizer) in items(new, "spec.finalizers").iter().enumerate() {
        let finalizer = finalizer.as_str().unwrap_or_default();
        let field = format!("spec.finalizers[{index}]");
        causes.extend(each(&field, finalizer, names::qualified_name(finalizer)));
        if !finalizer.contains('/') && finalizer != "kubernetes" {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(invalid_text(field, finalizer, detail));
        }
    }
    if at(new, "status") == at(old, "status") {
        return;
    }
    let phase = text(new, "status.phase");
    let (wanted, condition) = if has(new, "metadata.deletionTimestamp") {
        ("Terminating", "is not empty")
    } else {
        ("Active", "is empty")
    };
    if phase != wanted {
        let detail = format!("may only be '{wanted}' if `deletionTimestamp` {condition}");
        causes.push(invalid_text("status.Phase", phase, &detail));
    }
}

/// Validates a node.
pub(super) fn node(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    taints(new, causes);
    for list in ["capacity", "allocatable"] {
        for (name, amount) in entries(new, &format!("status.{list}")) {
            let amount = amount.as_str().unwrap_or_default();
            if amount.starts_with('-') {
                let detail = "must be greater than or equal to 0";
                causes.push(invalid_text(
                    format!("status.{list}[{name}]"),
                    amount,
                    detail,
                ));
            }
        }
    }
    let Some(old) = old else {
        return;
    };
    let addresses = items(new, "status.addresses");
    for (index, address) in addresses.iter().enumerate() {
        if addresses[..index].contains(address) {
            let shown = record(&[("Type", &address["type"]), ("Address", &address["address"])]);
            causes.push(duplicate_of(format!("status.addresses[{index}]"), &shown));
        }
    }
    if !items(old, "spec.podCIDRs").is_empty()
        && at(old, "spec.podCIDRs") != at(new, "spec.podCIDRs")
    {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        causes.push(Cause::forbidden("spec.podCIDRs", detail));
    }
    let provider = text(old, "spec.providerID");
    if !provider.is_empty() && provider != text(new, "spec.providerID") {
        let detail = "node updates may not change providerID except from \"\" to valid";
        causes.push(Cause::forbidden("spec.providerID", detail));
    }
}

fn taints(node: &Value, causes: &mut Vec<Cause>) {
    let mut known: Vec<(&str, &str)> = Vec::new();
    for (index, taint) in items(node, "spec.taints").iter().enumerate() {
        // The API server names the metadata here.
        let path = format!("metadata.taints[{index}]");
        let (key, value) = (text(taint, "key"), text(taint, "value"));
        causes.extend(each(
            &format!("{path}.key"),
            key,
            names::qualified_name(key),
        ));
        let problems = names::label_value(value);
        if !problems.is_empty() {
            causes.push(invalid_text(
                format!("{path}.value"),
                value,
                &problems.join(";"),
            ));
        }
        taint_effect(&format!("{path}.effect"), &taint["effect"], causes);
        let identity = (key, text(taint, "effect"));
        if known.contains(&identity) {
            let shown = record(&[
                ("Key", &key.into()),
                ("Value", &value.into()),
                ("Effect", &taint["effect"]),
                ("TimeAdded", &taint["timeAdded"]),
            ]);
            let mut cause = duplicate_of(path, &shown);
            cause
                .message
                .push_str(": taints must be unique by key and effect pair");
            causes.push(cause);
        }
        known.push(identity);
    }
}

/// Validates a lease.
pub(super) fn lease(new: &Value, causes: &mut Vec<Cause>) {
    let spec = &new["spec"];
    if has(spec, "leaseDurationSeconds") && integer(spec, "leaseDurationSeconds") <= 0 {
        causes.push(invalid(
            "spec.leaseDurationSeconds",
            &spec["leaseDurationSeconds"],
            "must be greater than 0",
        ));
    }
    let transitions = &spec["leaseTransitions"];
    causes.extend(not_negative("spec.leaseTransitions", transitions));
}

/// Validates a priority class.
pub(super) fn priority_class(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    const HIGHEST: i64 = 1_000_000_000;
    let name = meta(new, "name");
    if name.starts_with("system-") {
        if !matches!(name, "system-cluster-critical" | "system-node-critical") {
            let detail = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a known system priority class"
            );
            causes.push(Cause::forbidden("metadata.name", &detail));
        }
    } else if integer(new, "value") > HIGHEST {
        let detail = format!("maximum allowed value of a user defined priority is {HIGHEST}");
        causes.push(Cause::forbidden("value", &detail));
    }
    let known = ["PreemptLowerPriority", "Never"];
    choice("preemptionPolicy", &new["preemptionPolicy"], &known, causes);
    if let Some(old) = old {
        if integer(new, "value") != integer(old, "value") {
            causes.push(Cause::forbidden(
                "value",
                "may not be changed in an update.",
            ));
        }
        if new["preemptionPolicy"] != old["preemptionPolicy"] {
            causes.push(immutable("preemptionPolicy", &new["preemptionPolicy"]));
        }
    }
}

/// Validates an event of either group. Fields have the names of the core group in the answers.
pub(super) fn event(kind: &Kind, new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let strict = !kind.group.is_empty();
    let about = if strict {
        "regarding"
    } else {
        "involvedObject"
    };
    let controller = if strict {
        ("reportingController", "reportingController")
    } else {
        ("reportingComponent", "reportingComponent")
    };
    let namespace = meta(new, "namespace");
    let object_namespace = text(&new[about], "namespace");
    let modern = has(new, "eventTime");
    let mismatch = if object_namespace.is_empty() {
        namespace != "default" && !(modern && namespace == "kube-system")
    } else {
        !modern && namespace != object_namespace
    };
    if mismatch {
        causes.push(invalid_text(
            "involvedObject.namespace",
            object_namespace,
            "does not match event.namespace",
        ));
    }
    if modern {
        let (key, field) = controller;
        let name = text(new, key);
        if name.is_empty() {
            causes.push(Cause::required(field, ""));
        }
        causes.extend(each(field, name, names::qualified_name(name)));
        for (key, most) in [("reportingInstance", 128), ("action", 128), ("reason", 128)] {
            let value = text(new, key);
            if value.is_empty() {
                causes.push(Cause::required(key, ""));
            } else if value.len() > most {
                let detail = format!("can have at most {most} characters");
                causes.push(Cause::invalid(key, &show::quoted(""), &detail));
            }
        }
        let message = text(new, if strict { "note" } else { "message" });
        if message.len() > 1024 {
            let detail = "can have at most 1024 characters";
            causes.push(Cause::invalid("message", &show::quoted(""), detail));
        }
    }
    if strict {
        strict_event(new, old, causes);
    }
}

fn strict_event(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let series_changed = old.is_none_or(|old| at(old, "series") != at(new, "series"));
    if has(new, "series") && series_changed && integer(new, "series.count") < 2 {
        causes.push(invalid_text("series.count", "", "should be at least 2"));
    }
    let Some(old) = old else {
        if !has(new, "eventTime") {
            causes.push(Cause::required("eventTime", ""));
        }
        let kind = text(new, "type");
        if !matches!(kind, "Normal" | "Warning") {
            let detail = format!("has invalid value: {kind}");
            causes.push(invalid_text("type", "", &detail));
        }
        for (key, field) in [
            ("deprecatedFirstTimestamp", "firstTimestamp"),
            ("deprecatedLastTimestamp", "lastTimestamp"),
        ] {
            if has(new, key) {
                causes.push(invalid_text(field, "", "needs to be unset"));
            }
        }
        if integer(new, "deprecatedCount") != 0 {
            causes.push(invalid_text("count", "", "needs to be unset"));
        }
        return;
    };
    for (key, field) in [
        ("regarding", "involvedObject"),
        ("reason", "reason"),
        ("note", "message"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingController", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ] {
        if at(new, key) != at(old, key) {
            causes.push(immutable(field, at(new, key)));
        }
    }
}
