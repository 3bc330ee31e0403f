//! What may not change in a pod.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::pod::tolerations;
use crate::kinds::causes::{immutable, invalid, invalid_text};
use crate::kinds::fields::{assign, at, has, items, items_mut, text};
use crate::status::Cause;

/// Fields that may change, as the API server lists them.
const CHANGEABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Validates the change of a pod or of its status.
pub(super) fn validate(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if at(new, "status") != at(old, "status") {
        status(new, old, causes);
    }
    let (spec, before) = (&new["spec"], &old["spec"]);
    if spec == before {
        return;
    }
    for list in ["containers", "initContainers"] {
        if !same_containers(spec, before, list, causes) {
            return;
        }
    }
    if !deadline(spec, before, causes) {
        return;
    }
    only_added_tolerations(spec, before, causes);
    let gates = items(before, "schedulingGates");
    for (index, gate) in items(spec, "schedulingGates").iter().enumerate() {
        if !gates.iter().any(|old| old["name"] == gate["name"]) {
            let detail = format!(
                "only deletion is allowed, but found new scheduling gate '{}'",
                text(gate, "name")
            );
            causes.push(Cause::forbidden(
                format!("spec.schedulingGates[{index}].name"),
                &detail,
            ));
        }
    }
    let mut rest = spec.clone();
    for list in ["containers", "initContainers"] {
        for (container, old) in items_mut(&mut rest, list).zip(items(before, list)) {
            assign(container, "image", old.get("image"));
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        assign(&mut rest, field, before.get(field));
    }
    let grace = |spec: &Value| spec["terminationGracePeriodSeconds"].as_i64();
    if grace(before).is_some_and(|seconds| seconds < 0) && grace(&rest) == Some(1) {
        let field = "terminationGracePeriodSeconds";
        assign(&mut rest, field, before.get(field));
    }
    // Where a gated pod may run can still be narrowed.
    if !gates.is_empty() {
        assign(&mut rest, "nodeSelector", before.get("nodeSelector"));
    }
    if &rest != before {
        let detail = format!(
            "pod updates may not change fields other than {CHANGEABLE}\n{}",
            difference(before, &rest)
        );
        causes.push(Cause::forbidden("spec", &detail));
    }
}

/// Whether the containers are the same ones. Their images may differ.
fn same_containers(spec: &Value, before: &Value, list: &str, causes: &mut Vec<Cause>) -> bool {
    if items(spec, list).len() != items(before, list).len() {
        let detail = "pod updates may not add or remove containers";
        causes.push(Cause::forbidden(format!("spec.{list}"), detail));
        return false;
    }
    for (index, container) in items(spec, list).iter().enumerate() {
        let image = text(container, "image");
        let field = format!("spec.{list}[{index}].image");
        if image.is_empty() {
            causes.push(Cause::required(field, ""));
        } else if image.trim() != image {
            let detail = "must not have leading or trailing whitespace";
            causes.push(invalid_text(field, image, detail));
        }
    }
    true
}

/// Whether the deadline may be what it is: it may come, and it may come nearer.
fn deadline(spec: &Value, before: &Value, causes: &mut Vec<Cause>) -> bool {
    let field = "spec.activeDeadlineSeconds";
    let wanted = &spec["activeDeadlineSeconds"];
    match (wanted.as_i64(), before["activeDeadlineSeconds"].as_i64()) {
        (Some(seconds), _) if !(0..=i64::from(i32::MAX)).contains(&seconds) => {
            let detail = "must be between 0 and 2147483647, inclusive";
            causes.push(invalid(field, wanted, detail));
            false
        }
        (Some(seconds), Some(old)) if old < seconds => {
            let detail = "must be less than or equal to previous value";
            causes.push(invalid(field, wanted, detail));
            false
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            causes.push(invalid(field, &Value::Null, detail));
            true
        }
        _ => true,
    }
}

fn only_added_tolerations(spec: &Value, before: &Value, causes: &mut Vec<Cause>) {
    let without_time = |toleration: &Value| {
        let mut toleration = toleration.clone();
        assign(&mut toleration, "tolerationSeconds", None);
        toleration
    };
    let kept = items(before, "tolerations").iter().all(|old| {
        items(spec, "tolerations")
            .iter()
            .any(|new| without_time(new) == without_time(old))
    });
    if kept {
        tolerations(spec, causes);
    } else {
        causes.push(Cause::forbidden(
            "spec.tolerations",
            "existing toleration can not be modified except its tolerationSeconds",
        ));
    }
}

fn status(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for (index, condition) in items(new, "status.conditions").iter().enumerate() {
        let kind = text(condition, "type");
        if !matches!(kind, "PodScheduled" | "Ready" | "Initialized") {
            let problems = crate::schema::names::qualified_name(kind);
            let field = format!("status.conditions[{index}].Type");
            causes.extend(crate::kinds::causes::each(&field, kind, problems));
        }
    }
    let class = at(new, "status.qosClass");
    if class != at(old, "status.qosClass") {
        causes.push(immutable("status.qosClass", class));
    }
    let policy = text(old, "spec.restartPolicy");
    if policy == "Always" {
        return;
    }
    for (index, before) in items(old, "status.containerStatuses").iter().enumerate() {
        let ended = at(before, "state.terminated");
        let failed = ended["exitCode"].as_i64().unwrap_or_default() != 0;
        let may_restart = policy == "OnFailure" && failed || restarts_itself(old, before);
        if !ended.is_object() || may_restart {
            continue;
        }
        let revived = items(new, "status.containerStatuses")
            .iter()
            .any(|status| status["name"] == before["name"] && !has(status, "state.terminated"));
        if revived {
            causes.push(Cause::forbidden(
                format!("status.containerStatuses[{index}].state"),
                "may not be transitioned to non-terminated state",
            ));
        }
    }
}

/// Whether the container has a restart policy of its own.
fn restarts_itself(pod: &Value, status: &Value) -> bool {
    items(pod, "spec.containers")
        .iter()
        .any(|container| container["name"] == status["name"] && has(container, "restartPolicy"))
}

/// The fields that differ, as removed and added lines.
fn difference(old: &Value, new: &Value) -> String {
    let none = Map::new();
    let old = old.as_object().unwrap_or(&none);
    let new = new.as_object().unwrap_or(&none);
    let mut lines = String::new();
    let keys = old
        .keys()
        .chain(new.keys().filter(|key| !old.contains_key(*key)));
    for key in keys.filter(|key| old.get(*key) != new.get(*key)) {
        for (sign, side) in [("-", old), ("+", new)] {
            if let Some(value) = side.get(key) {
                // Writing to a text cannot fail.
                let _ = writeln!(lines, "{sign} {key}: {value}");
            }
        }
    }
    lines
}
