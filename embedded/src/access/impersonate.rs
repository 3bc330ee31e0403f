//! Acting as somebody else: `kubectl --as`.

use std::collections::BTreeMap;

use super::rbac::{self, Decision};
use super::user::{ANONYMOUS, Attributes, User};
use crate::objects::Objects;
use crate::status::Status;

/// Whom a request wants to act as, from its `Impersonate-*` headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impersonation {
    /// `Impersonate-User`.
    pub user: String,
    /// `Impersonate-Uid`; empty for none.
    pub uid: String,
    /// `Impersonate-Group`, each.
    pub groups: Vec<String>,
    /// `Impersonate-Extra-KEY`, by key in small letters.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// 400: groups and the like alone are nobody. The message prints what was asked for as Go prints
/// references to objects.
fn without_user(wanted: &Impersonation) -> Status {
    let mut references: Vec<String> = wanted
        .groups
        .iter()
        .map(|group| format!("{{Group  {group}    }}"))
        .collect();
    for (key, values) in &wanted.extra {
        references.extend(
            values
                .iter()
                .map(|value| format!("{{UserExtra  {value}  authentication.k8s.io/v1  {key}}}")),
        );
    }
    if !wanted.uid.is_empty() {
        references.push(format!(
            "{{UID  {}  authentication.k8s.io/v1  }}",
            wanted.uid
        ));
    }
    Status::bad_request(format!(
        "requested [{}] without impersonating a user",
        references.join(" ")
    ))
}

/// The other user, if the caller may act as it.
pub(super) fn impersonate(
    objects: &dyn Objects,
    caller: &User,
    wanted: &Impersonation,
) -> Result<User, Status> {
    let Impersonation {
        user: name,
        uid,
        groups,
        extra,
    } = wanted;
    if name.is_empty() {
        return Err(without_user(wanted));
    }
    let ask = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        let attributes = Attributes {
            user: caller.clone(),
            verb: "impersonate".to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            path: String::new(),
        };
        match rbac::decide(objects, &attributes) {
            Decision::Allowed(_) => Ok(()),
            Decision::NoOpinion(reason) => Err(attributes.refuse(&reason)),
        }
    };
    let account = name
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, name)) => ask("", "serviceaccounts", "", namespace, name)?,
        None => ask("", "users", "", "", name)?,
    }
    for group in groups {
        ask("", "groups", "", "", group)?;
    }
    for (key, values) in extra {
        for value in values {
            ask("authentication.k8s.io", "userextras", key, "", value)?;
        }
    }
    if !uid.is_empty() {
        ask("authentication.k8s.io", "uids", "", "", uid)?;
    }

    let mut other = User {
        name: name.clone(),
        uid: uid.clone(),
        groups: groups.clone(),
        extra: extra.clone(),
    };
    if let (Some((namespace, _)), true) = (account, groups.is_empty()) {
        other.groups = vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
        ];
    }
    if name != ANONYMOUS {
        other.join_authenticated();
    } else if !other.is_in(super::UNAUTHENTICATED) {
        other.groups.push(super::UNAUTHENTICATED.to_owned());
    }
    Ok(other)
}
