//! What is wrong with roles and their bindings.

use serde_json::Value;

use super::forms::label_selector;
use crate::kinds::causes::{each, invalid, record, unsupported};
use crate::kinds::fields::{at, has, items, text};
use crate::schema::names;
use crate::status::Cause;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Validates a Role or a ClusterRole.
pub(super) fn role(new: &Value, namespaced: bool, causes: &mut Vec<Cause>) {
    for (index, rule) in items(new, "rules").iter().enumerate() {
        let path = format!("rules[{index}]");
        if items(rule, "verbs").is_empty() {
            let detail = "verbs must contain at least one value";
            causes.push(Cause::required(format!("{path}.verbs"), detail));
        }
        let urls = &rule["nonResourceURLs"];
        let empty = |key: &str| items(rule, key).is_empty();
        if !empty("nonResourceURLs") {
            let field = format!("{path}.nonResourceURLs");
            if namespaced {
                let detail = "namespaced rules cannot apply to non-resource URLs";
                causes.push(invalid(field.as_str(), urls, detail));
            }
            if !(empty("apiGroups") && empty("resources") && empty("resourceNames")) {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                causes.push(invalid(field, urls, detail));
            }
            continue;
        }
        if empty("apiGroups") {
            let detail = "resource rules must supply at least one api group";
            causes.push(Cause::required(format!("{path}.apiGroups"), detail));
        }
        if empty("resources") {
            let detail = "resource rules must supply at least one resource";
            causes.push(Cause::required(format!("{path}.resources"), detail));
        }
    }
    if has(new, "aggregationRule") {
        let selectors = items(new, "aggregationRule.clusterRoleSelectors");
        if selectors.is_empty() {
            causes.push(Cause::required(
                "aggregationRule.clusterRoleSelectors",
                "at least one clusterRoleSelector required if aggregationRule is non-nil",
            ));
        }
        for (index, selector) in selectors.iter().enumerate() {
            let field = format!("aggregationRule.clusterRoleSelectors[{index}]");
            label_selector(selector, &field, causes);
        }
    }
}

/// Validates a RoleBinding or a ClusterRoleBinding.
pub(super) fn binding(new: &Value, old: Option<&Value>, namespaced: bool, causes: &mut Vec<Cause>) {
    let reference = &new["roleRef"];
    let field = |key: &str| format!("roleRef.{key}");
    if text(reference, "apiGroup") != GROUP {
        causes.push(unsupported(
            field("apiGroup"),
            &reference["apiGroup"],
            &[GROUP],
        ));
    }
    let kinds: &[&str] = if namespaced {
        &["Role", "ClusterRole"]
    } else {
        &["ClusterRole"]
    };
    let kind = text(reference, "kind");
    if !kinds.contains(&kind) {
        causes.push(unsupported(field("kind"), &kind.into(), kinds));
    }
    let name = text(reference, "name");
    if name.is_empty() {
        causes.push(Cause::required(field("name"), ""));
    } else {
        causes.extend(each(&field("name"), name, names::path_segment(name)));
    }
    for (index, entry) in items(new, "subjects").iter().enumerate() {
        subject(entry, &format!("subjects[{index}]"), namespaced, causes);
    }
    if let Some(old) = old
        && at(old, "roleRef") != reference
    {
        let shown = record(&[
            ("APIGroup", &reference["apiGroup"]),
            ("Kind", &reference["kind"]),
            ("Name", &reference["name"]),
        ]);
        causes.push(Cause::invalid("roleRef", &shown, "cannot change roleRef"));
    }
}

fn subject(subject: &Value, path: &str, namespaced: bool, causes: &mut Vec<Cause>) {
    let name = text(subject, "name");
    let field = |key: &str| format!("{path}.{key}");
    if name.is_empty() {
        causes.push(Cause::required(field("name"), ""));
    }
    let group: Value = text(subject, "apiGroup").into();
    match text(subject, "kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                causes.extend(each(&field("name"), name, names::dns_subdomain(name)));
            }
            if group != "" {
                causes.push(unsupported(field("apiGroup"), &group, &[""]));
            }
            if !namespaced && text(subject, "namespace").is_empty() {
                causes.push(Cause::required(field("namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                causes.push(unsupported(field("apiGroup"), &group, &[GROUP]));
            }
        }
        kind => {
            let known = ["ServiceAccount", "User", "Group"];
            causes.push(unsupported(field("kind"), &kind.into(), &known));
        }
    }
}
