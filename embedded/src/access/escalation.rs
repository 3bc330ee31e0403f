//! Nobody grants more than he has: who writes a role must hold all of its rules, and who binds one
//! must hold all that it grants, unless he may `escalate` or `bind`.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};

use super::rbac::{self, Decision, GROUP, items, text};
use super::user::{Attributes, MASTERS, User};
use crate::kinds::Kind;
use crate::object::meta;
use crate::objects::Objects;
use crate::status::Status;

/// One verb on one thing: either all of it is held by one rule, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Right<'a> {
    thing: Thing<'a>,
    verb: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing<'a> {
    Resource {
        group: &'a str,
        resource: &'a str,
        name: Option<&'a str>,
    },
    Url(&'a str),
}

/// Refuses a role or binding that grants what its writer does not hold. Other kinds pass.
pub(super) fn confirm(
    objects: &dyn Objects,
    user: &User,
    (kind, namespace): (&Kind, &str),
    new: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    if kind.group != GROUP || user.is_in(MASTERS) {
        return Ok(());
    }
    // The garbage collector, and those who clean up after it, grant nothing.
    if old.is_some_and(|old| changes_only_ownership(new, old)) {
        return Ok(());
    }
    let rights = Rights {
        objects,
        user,
        namespace,
    };
    let forbid = |detail: &str| Status::forbidden(GROUP, &kind.plural, meta(new, "name"), detail);
    match kind.plural.as_str() {
        "roles" | "clusterroles" => {
            if rights.may("escalate", &kind.plural, meta(old.unwrap_or(new), "name")) {
                return Ok(());
            }
            rights
                .hold(items(new, "rules"))
                .map_err(|detail| forbid(&detail))?;
            let aggregates =
                |role: &Value| !items(&role["aggregationRule"], "clusterRoleSelectors").is_empty();
            if aggregates(new) || old.is_some_and(aggregates) {
                rights.hold(&everything()).map_err(|_| {
                    forbid("must have cluster-admin privileges to use the aggregationRule")
                })?;
            }
            Ok(())
        }
        "rolebindings" | "clusterrolebindings" => {
            let reference = new.get("roleRef").unwrap_or(&Value::Null);
            let (role_kind, name) = (text(reference, "kind"), text(reference, "name"));
            let (resource, singular) = match role_kind {
                "ClusterRole" => ("clusterroles", "clusterrole"),
                "Role" => ("roles", "role"),
                // The validation that follows says what is wrong.
                _ => return Ok(()),
            };
            if rights.may("bind", resource, name) {
                return Ok(());
            }
            let role = rbac::role(objects, role_kind, namespace, name)
                .map_err(|_| Status::not_found(GROUP, singular, name))?;
            rights
                .hold(items(role.value(), "rules"))
                .map_err(|detail| forbid(&detail))
        }
        _ => Ok(()),
    }
}

/// The rules of a cluster's administrator.
fn everything() -> [Value; 2] {
    [
        json!({ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }),
        json!({ "nonResourceURLs": ["*"], "verbs": ["*"] }),
    ]
}

fn changes_only_ownership(new: &Value, old: &Value) -> bool {
    let mut new = new.clone();
    for field in ["ownerReferences", "finalizers", "managedFields"] {
        let known = old.get("metadata").and_then(|metadata| metadata.get(field));
        let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) else {
            return false;
        };
        match known {
            Some(known) => metadata.insert(field.to_owned(), known.clone()),
            None => metadata.remove(field),
        };
    }
    new == *old
}

/// What somebody holds in a namespace.
struct Rights<'a> {
    objects: &'a dyn Objects,
    user: &'a User,
    namespace: &'a str,
}

impl Rights<'_> {
    /// Whether a verb on a role is granted, which makes all of its rules grantable.
    fn may(&self, verb: &str, resource: &str, name: &str) -> bool {
        let attributes = Attributes {
            user: self.user.clone(),
            verb: verb.to_owned(),
            group: GROUP.to_owned(),
            resource: resource.to_owned(),
            namespace: self.namespace.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        };
        matches!(
            rbac::decide(self.objects, &attributes),
            Decision::Allowed(_)
        )
    }

    /// Whether all rules are held; if not, which are missing.
    fn hold(&self, rules: &[Value]) -> Result<(), String> {
        let (held, problems) = rbac::rules(self.objects, self.user, self.namespace);
        let missing: Vec<Right<'_>> = rules
            .iter()
            .flat_map(rights)
            .filter(|right| !held.iter().any(|rule| covers(rule, right)))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let mut detail = format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            self.user.name,
            List(&self.user.groups),
            describe(&missing)
        );
        if !problems.is_empty() {
            detail.push_str("; resolution errors: [");
            detail.push_str(&problems);
            detail.push(']');
        }
        Err(detail)
    }
}

/// A rule in parts that are held or not.
fn rights(rule: &Value) -> Vec<Right<'_>> {
    let mut rights = Vec::new();
    let names: Vec<Option<&str>> = match items(rule, "resourceNames") {
        [] => vec![None],
        names => names.iter().map(Value::as_str).collect(),
    };
    for group in texts(rule, "apiGroups") {
        for resource in texts(rule, "resources") {
            for verb in texts(rule, "verbs") {
                rights.extend(names.iter().map(|name| Right {
                    thing: Thing::Resource {
                        group,
                        resource,
                        name: *name,
                    },
                    verb,
                }));
            }
        }
    }
    for url in texts(rule, "nonResourceURLs") {
        rights.extend(texts(rule, "verbs").map(|verb| Right {
            thing: Thing::Url(url),
            verb,
        }));
    }
    rights
}

fn texts<'a>(rule: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    items(rule, field).iter().filter_map(Value::as_str)
}

/// Whether one rule grants a right.
fn covers(rule: &Value, right: &Right<'_>) -> bool {
    let has = |field: &str, all: &str, wanted: &str| {
        texts(rule, field).any(|known| known == all || known == wanted)
    };
    if !has("verbs", "*", right.verb) {
        return false;
    }
    match right.thing {
        Thing::Url(url) => texts(rule, "nonResourceURLs").any(|known| {
            known == url || (known.ends_with('*') && url.starts_with(known.trim_end_matches('*')))
        }),
        Thing::Resource {
            group,
            resource,
            name,
        } => {
            // A subresource is also held by whoever holds it of all resources.
            let of_all = resource
                .split_once('/')
                .map(|(_, subresource)| format!("*/{subresource}"));
            let names = items(rule, "resourceNames");
            has("apiGroups", "*", group)
                && (has("resources", "*", resource)
                    || of_all.is_some_and(|of_all| {
                        texts(rule, "resources").any(|known| known == of_all)
                    }))
                && (names.is_empty()
                    || name.is_some_and(|name| names.iter().any(|known| known == name)))
        }
    }
}

/// What is missing, a line for each thing, in the order of the text.
fn describe(missing: &[Right<'_>]) -> String {
    let mut things: Vec<(Thing<'_>, Vec<&str>)> = Vec::new();
    for right in missing {
        let known = things.iter_mut().find(|(thing, _)| {
            // Rules for paths are not put together.
            *thing == right.thing && matches!(thing, Thing::Resource { .. })
        });
        match known {
            Some((_, verbs)) => verbs.push(right.verb),
            None => things.push((right.thing, vec![right.verb])),
        }
    }
    let lines: BTreeSet<String> = things
        .into_iter()
        .map(|(thing, verbs)| match thing {
            Thing::Url(url) => {
                format!(
                    "{{NonResourceURLs:{}, Verbs:{}}}",
                    List(&[url]),
                    List(&verbs)
                )
            }
            Thing::Resource {
                group,
                resource,
                name,
            } => {
                let names = name.map_or_else(String::new, |name| {
                    format!(", ResourceNames:{}", List(&[name]))
                });
                format!(
                    "{{APIGroups:{}, Resources:{}{names}, Verbs:{}}}",
                    List(&[group]),
                    List(&[resource]),
                    List(&verbs)
                )
            }
        })
        .collect();
    let lines: Vec<String> = lines.into_iter().collect();
    lines.join("\n")
}

/// Texts as Go's `%q` shows a list.
struct List<'a, T>(&'a [T]);

impl<T: AsRef<str>> fmt::Display for List<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted: Vec<String> = self
            .0
            .iter()
            .map(|item| format!("{:?}", item.as_ref()))
            .collect();
        write!(out, "[{}]", quoted.join(" "))
    }
}
