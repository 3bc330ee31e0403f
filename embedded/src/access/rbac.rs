//! Rights from roles: what the bindings of a user's name and groups grant. Rights only add up;
//! nothing forbids.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::Value;

use super::user::{Attributes, MASTERS, User};
use crate::object::Object;
use crate::objects::Objects;

/// API group of roles and bindings.
pub(super) const GROUP: &str = "rbac.authorization.k8s.io";

/// What roles say of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is granted; why (nothing for masters).
    Allowed(String),
    /// Nothing grants it; what was wrong with bindings that could have, if anything.
    NoOpinion(String),
}

/// Decides a request.
pub(super) fn decide(objects: &dyn Objects, attributes: &Attributes) -> Decision {
    let user = &attributes.user;
    if user.is_in(MASTERS) {
        return Decision::Allowed(String::new());
    }
    let mut granted = None;
    let mut problems = Vec::new();
    let _ = visit(objects, user, &attributes.namespace, &mut |found| {
        match found {
            Found::Rule {
                binding,
                subject,
                rule,
            } if allows(rule, attributes) => {
                granted = Some(format!("RBAC: allowed by {}", describe(binding, subject)));
                return ControlFlow::Break(());
            }
            Found::Rule { .. } => {}
            Found::Problem(problem) => problems.push(problem),
        }
        ControlFlow::Continue(())
    });
    match granted {
        Some(reason) => Decision::Allowed(reason),
        None if problems.is_empty() => Decision::NoOpinion(String::new()),
        None => Decision::NoOpinion(format!("RBAC: {}", aggregate(problems))),
    }
}

/// All rules for a user in a namespace, and what was wrong with bindings.
pub(super) fn rules(objects: &dyn Objects, user: &User, namespace: &str) -> (Vec<Value>, String) {
    let mut rules = Vec::new();
    let mut problems = Vec::new();
    let _ = visit(objects, user, namespace, &mut |found| {
        match found {
            Found::Rule { rule, .. } => rules.push(rule.clone()),
            Found::Problem(problem) => problems.push(problem),
        }
        ControlFlow::Continue(())
    });
    let problems = if problems.is_empty() {
        String::new()
    } else {
        aggregate(problems)
    };
    (rules, problems)
}

/// Several problems as one text: each once, in brackets if there are more.
fn aggregate(problems: Vec<String>) -> String {
    let mut once: Vec<String> = Vec::new();
    for problem in problems {
        if !once.contains(&problem) {
            once.push(problem);
        }
    }
    match once.as_slice() {
        [single] => single.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

/// What a visit of the bindings comes across.
enum Found<'a> {
    /// A rule that applies to the user.
    Rule {
        binding: &'a Object,
        subject: &'a Value,
        rule: &'a Value,
    },
    /// A binding of a role that is not there.
    Problem(String),
}

type Visitor<'a> = &'a mut dyn FnMut(Found<'_>) -> ControlFlow<()>;

/// Shows every rule that applies to a user: those of the cluster, then those of the namespace.
fn visit(
    objects: &dyn Objects,
    user: &User,
    namespace: &str,
    visitor: Visitor<'_>,
) -> ControlFlow<()> {
    for binding in list(objects, "clusterrolebindings", None) {
        visit_binding(objects, user, &binding, "", visitor)?;
    }
    if namespace.is_empty() {
        return ControlFlow::Continue(());
    }
    for binding in list(objects, "rolebindings", Some(namespace)) {
        visit_binding(objects, user, &binding, namespace, visitor)?;
    }
    ControlFlow::Continue(())
}

fn visit_binding(
    objects: &dyn Objects,
    user: &User,
    binding: &Object,
    namespace: &str,
    visitor: Visitor<'_>,
) -> ControlFlow<()> {
    let subject = items(binding.value(), "subjects")
        .iter()
        .find(|subject| applies(subject, user, namespace));
    let Some(subject) = subject else {
        return ControlFlow::Continue(());
    };
    let reference = binding.value().get("roleRef").unwrap_or(&Value::Null);
    let kind = text(reference, "kind");
    let role = match role(objects, kind, namespace, text(reference, "name")) {
        Ok(role) => role,
        Err(problem) => return visitor(Found::Problem(problem)),
    };
    for rule in items(role.value(), "rules") {
        visitor(Found::Rule {
            binding,
            subject,
            rule,
        })?;
    }
    ControlFlow::Continue(())
}

/// A role by its kind and name.
pub(super) fn role(
    objects: &dyn Objects,
    kind: &str,
    namespace: &str,
    name: &str,
) -> Result<Arc<Object>, String> {
    let (resource, singular, namespace) = match kind {
        "ClusterRole" => ("clusterroles", "clusterrole", ""),
        "Role" => ("roles", "role", namespace),
        other => return Err(format!("unsupported role reference kind: {other:?}")),
    };
    let kinds = objects.kinds();
    kinds
        .resource(GROUP, resource)
        .and_then(|kind| objects.get(kind, namespace, name))
        .ok_or_else(|| format!("{singular}.{GROUP} \"{name}\" not found"))
}

fn list(objects: &dyn Objects, resource: &str, namespace: Option<&str>) -> Vec<Arc<Object>> {
    let kinds = objects.kinds();
    kinds
        .resource(GROUP, resource)
        .map_or_else(Vec::new, |kind| objects.list(kind, namespace))
}

/// Whether a subject of a binding is the user, or a group of the user.
fn applies(subject: &Value, user: &User, namespace: &str) -> bool {
    let name = text(subject, "name");
    match text(subject, "kind") {
        "User" => user.name == name,
        "Group" => user.is_in(name),
        "ServiceAccount" => {
            let of = match text(subject, "namespace") {
                "" => namespace,
                of => of,
            };
            // Without allocation: this runs for each subject of each request.
            !of.is_empty()
                && user
                    .name
                    .strip_prefix("system:serviceaccount:")
                    .and_then(|rest| rest.strip_prefix(of))
                    .and_then(|rest| rest.strip_prefix(':'))
                    == Some(name)
        }
        _ => false,
    }
}

/// Whether a rule allows a request.
fn allows(rule: &Value, wanted: &Attributes) -> bool {
    let verb = has(rule, "verbs", |verb| verb == "*" || verb == wanted.verb);
    if !wanted.is_resource() {
        return verb
            && has(rule, "nonResourceURLs", |url| {
                matches_url(url, &wanted.path)
            });
    }
    verb && has(rule, "apiGroups", |group| {
        group == "*" || group == wanted.group
    }) && has(rule, "resources", |resource| {
        matches_resource(resource, wanted)
    }) && (items(rule, "resourceNames").is_empty()
        || has(rule, "resourceNames", |name| name == wanted.name))
}

fn matches_resource(resource: &str, wanted: &Attributes) -> bool {
    if resource == "*" {
        return true;
    }
    if wanted.subresource.is_empty() {
        return resource == wanted.resource;
    }
    resource
        .strip_suffix(wanted.subresource.as_str())
        .and_then(|rest| rest.strip_suffix('/'))
        .is_some_and(|parent| parent == "*" || parent == wanted.resource)
}

fn matches_url(url: &str, path: &str) -> bool {
    url == "*" || url == path || (url.ends_with('*') && path.starts_with(url.trim_end_matches('*')))
}

/// Which binding grants, as `ClusterRoleBinding "x" of ClusterRole "y" to User "z"`.
fn describe(binding: &Object, subject: &Value) -> String {
    let namespace = binding.meta("namespace");
    let own = binding.meta("name");
    let (kind, own) = if namespace.is_empty() {
        ("ClusterRoleBinding", own.to_owned())
    } else {
        ("RoleBinding", format!("{own}/{namespace}"))
    };
    let reference = binding.value().get("roleRef").unwrap_or(&Value::Null);
    let (role_kind, role) = (text(reference, "kind"), text(reference, "name"));
    let (subject_kind, name) = (text(subject, "kind"), text(subject, "name"));
    let name = if subject_kind == "ServiceAccount" {
        let of = match text(subject, "namespace") {
            "" => namespace,
            of => of,
        };
        format!("{name}/{of}")
    } else {
        name.to_owned()
    };
    format!("{kind} {own:?} of {role_kind} {role:?} to {subject_kind} {name:?}")
}

fn has(rule: &Value, field: &str, matches: impl Fn(&str) -> bool) -> bool {
    items(rule, field)
        .iter()
        .filter_map(Value::as_str)
        .any(matches)
}

/// A list in an object; empty if it is absent.
pub(super) fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value
        .get(field)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A text in an object; empty if it is absent.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
