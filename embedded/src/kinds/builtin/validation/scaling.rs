//! What is wrong with disruption budgets and autoscalers.

use serde_json::Value;

use super::forms::{label_selector, number_or_percent};
use crate::kinds::causes::{each, invalid, invalid_text, not_negative, record, unsupported};
use crate::kinds::fields::{at, has, integer, items, text};
use crate::schema::names;
use crate::status::Cause;

/// Validates a PodDisruptionBudget.
pub(super) fn budget(new: &Value, causes: &mut Vec<Cause>) {
    let spec = &new["spec"];
    if has(spec, "minAvailable") && has(spec, "maxUnavailable") {
        let shown = record(&[
            ("MinAvailable", &spec["minAvailable"]),
            ("Selector", &spec["selector"]),
            ("MaxUnavailable", &spec["maxUnavailable"]),
            (
                "UnhealthyPodEvictionPolicy",
                &spec["unhealthyPodEvictionPolicy"],
            ),
        ]);
        let detail = "minAvailable and maxUnavailable cannot be both set";
        causes.push(Cause::invalid("spec", &shown, detail));
    }
    for key in ["minAvailable", "maxUnavailable"] {
        if has(spec, key) {
            number_or_percent(&format!("spec.{key}"), &spec[key], causes);
        }
    }
    label_selector(&spec["selector"], "spec.selector", causes);
    let policy = &spec["unhealthyPodEvictionPolicy"];
    let known = ["AlwaysAllow", "IfHealthyBudget"];
    if policy
        .as_str()
        .is_some_and(|policy| !known.contains(&policy))
    {
        causes.push(unsupported(
            "spec.unhealthyPodEvictionPolicy",
            policy,
            &known,
        ));
    }
    for key in [
        "disruptionsAllowed",
        "currentHealthy",
        "desiredHealthy",
        "expectedPods",
    ] {
        let field = format!("status.{key}");
        causes.extend(not_negative(field.as_str(), at(new, &field)));
    }
}

/// Validates a HorizontalPodAutoscaler.
pub(super) fn autoscaler(new: &Value, causes: &mut Vec<Cause>) {
    let spec = &new["spec"];
    let (least, most) = (&spec["minReplicas"], integer(spec, "maxReplicas"));
    if least.as_i64().is_some_and(|least| least < 1) {
        let detail = "must be greater than or equal to 1";
        causes.push(invalid("spec.minReplicas", least, detail));
    }
    if most < 1 {
        causes.push(invalid(
            "spec.maxReplicas",
            &most.into(),
            "must be greater than 0",
        ));
    }
    if least.as_i64().is_some_and(|least| most < least) {
        let detail = "must be greater than or equal to `minReplicas`";
        causes.push(invalid("spec.maxReplicas", &most.into(), detail));
    }
    reference(&spec["scaleTargetRef"], "spec.scaleTargetRef", true, causes);
    let metrics = items(spec, "metrics");
    for (index, metric) in metrics.iter().enumerate() {
        one_metric(metric, &format!("spec.metrics[{index}]"), causes);
    }
    let outside = |metric: &Value| matches!(text(metric, "type"), "Object" | "External");
    if least.as_i64() == Some(0) && !metrics.iter().any(outside) {
        causes.push(Cause::forbidden(
            "spec.metrics",
            "must specify at least one Object or External metric to support scaling to zero replicas",
        ));
    }
    for direction in ["scaleUp", "scaleDown"] {
        if let Some(rules) = spec["behavior"].get(direction) {
            scaling_rules(rules, &format!("spec.behavior.{direction}"), causes);
        }
    }
    for key in ["currentReplicas", "desiredReplicas"] {
        let field = format!("status.{key}");
        causes.extend(not_negative(field.as_str(), at(new, &field)));
    }
}

fn reference(reference: &Value, path: &str, needs_group: bool, causes: &mut Vec<Cause>) {
    for key in ["kind", "name"] {
        let value = text(reference, key);
        let field = format!("{path}.{key}");
        if value.is_empty() {
            causes.push(Cause::required(field, ""));
        } else {
            causes.extend(each(&field, value, names::path_segment(value)));
        }
    }
    let version = text(reference, "apiVersion");
    let core_scalable = text(reference, "kind") == "ReplicationController";
    let detail = match version.matches('/').count() {
        0 if needs_group && !(core_scalable && version == "v1") => {
            "apiVersion must specify API group".to_owned()
        }
        0 | 1 => return,
        _ => format!("unexpected GroupVersion string: {version}"),
    };
    causes.push(invalid_text(format!("{path}.apiVersion"), version, &detail));
}

fn one_metric(metric: &Value, path: &str, causes: &mut Vec<Cause>) {
    const TYPES: [(&str, &str); 5] = [
        ("ContainerResource", "containerResource"),
        ("External", "external"),
        ("Object", "object"),
        ("Pods", "pods"),
        ("Resource", "resource"),
    ];
    let names = TYPES.map(|(name, _)| name);
    let kind = text(metric, "type");
    let field = format!("{path}.type");
    if kind.is_empty() {
        let detail = "must specify a metric source type";
        causes.push(Cause::required(field.as_str(), detail));
    }
    let expected = TYPES.iter().find(|(name, _)| *name == kind);
    let Some((_, expected)) = expected else {
        // The API server says it twice.
        causes.push(unsupported(field.as_str(), &kind.into(), &names));
        causes.push(unsupported(field, &kind.into(), &names));
        return;
    };
    if has(metric, expected) {
        source(
            &metric[*expected],
            &format!("{path}.{expected}"),
            expected,
            causes,
        );
    } else {
        let detail = "must populate information for the given metric source";
        causes.push(Cause::required(format!("{path}.{expected}"), detail));
    }
    for (_, other) in TYPES.iter().filter(|(_, other)| other != expected) {
        if has(metric, other) {
            let detail = "must populate the given metric source only";
            causes.push(Cause::forbidden(format!("{path}.{other}"), detail));
        }
    }
}

fn source(source: &Value, path: &str, kind: &str, causes: &mut Vec<Cause>) {
    let by_resource = matches!(kind, "resource" | "containerResource");
    if kind == "object" {
        let described = format!("{path}.describedObject");
        reference(&source["describedObject"], &described, false, causes);
    }
    if by_resource {
        if text(source, "name").is_empty() {
            let detail = "must specify a resource name";
            causes.push(Cause::required(format!("{path}.name"), detail));
        }
    } else if text(source, "metric.name").is_empty() {
        let detail = "must specify a metric name";
        causes.push(Cause::required(format!("{path}.metric.name"), detail));
    }
    let target = &source["target"];
    let field = format!("{path}.target.type");
    let known = ["AverageValue", "Utilization", "Value"];
    let kind_of_target = text(target, "type");
    if kind_of_target.is_empty() {
        let detail = "must specify a metric target type";
        causes.push(Cause::required(field, detail));
    } else if !known.contains(&kind_of_target) {
        let detail = "must be either Utilization, Value, or AverageValue";
        causes.push(invalid_text(field, kind_of_target, detail));
    }
    let utilization = &target["averageUtilization"];
    if utilization.as_i64().is_some_and(|percent| percent < 1) {
        let field = format!("{path}.target.averageUtilization");
        causes.push(invalid(field, utilization, "must be greater than 0"));
    }
}

fn scaling_rules(rules: &Value, path: &str, causes: &mut Vec<Cause>) {
    let window = &rules["stabilizationWindowSeconds"];
    let field = format!("{path}.stabilizationWindowSeconds");
    match window.as_i64() {
        Some(seconds) if seconds < 0 => {
            causes.push(invalid(
                field,
                window,
                "must be greater than or equal to zero",
            ));
        }
        Some(seconds) if seconds > 3600 => {
            causes.push(invalid(field, window, "must be less than or equal to 3600"));
        }
        _ => {}
    }
    let policy = &rules["selectPolicy"];
    let known = ["Disabled", "Max", "Min"];
    if policy
        .as_str()
        .is_some_and(|policy| !known.contains(&policy))
    {
        causes.push(unsupported(format!("{path}.selectPolicy"), policy, &known));
    }
    let policies = items(rules, "policies");
    if policies.is_empty() {
        let detail = "must specify at least one Policy";
        causes.push(Cause::required(format!("{path}.policies"), detail));
    }
    for (index, policy) in policies.iter().enumerate() {
        let field = |key: &str| format!("{path}.policies[{index}].{key}");
        let known = ["Percent", "Pods"];
        if !known.contains(&text(policy, "type")) {
            causes.push(unsupported(field("type"), &policy["type"], &known));
        }
        for key in ["value", "periodSeconds"] {
            let number = integer(policy, key);
            if number <= 0 {
                let detail = "must be greater than zero";
                causes.push(invalid(field(key), &number.into(), detail));
            }
        }
        let period = integer(policy, "periodSeconds");
        if period > 1800 {
            let detail = "must be less than or equal to 1800";
            causes.push(invalid(field("periodSeconds"), &period.into(), detail));
        }
    }
}
