//! Who asks, and for what.

use std::collections::BTreeMap;

use crate::status::Status;

/// The group that may do everything, whatever the roles say.
pub const MASTERS: &str = "system:masters";
/// The group of everybody who showed valid credentials.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody who showed none.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The name of those who show no credentials.
pub const ANONYMOUS: &str = "system:anonymous";

/// Who makes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Name, such as `system:serviceaccount:default:builder`.
    pub name: String,
    /// Uid of the service account; empty for others.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// What else is known, such as the pod that a token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user with valid credentials: of the given groups, and of all the authenticated.
    pub fn authenticated(name: &str, groups: &[&str]) -> Self {
        let mut user = Self {
            name: name.to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..Self::default()
        };
        user.join_authenticated();
        user
    }

    /// Somebody who shows no credentials.
    pub fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// Whether the user is in a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|known| known == group)
    }

    pub(super) fn join_authenticated(&mut self) {
        if !self.is_in(AUTHENTICATED) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
    }
}

/// What a request wants. Either a resource, or (if `path` is not empty) a path that is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Who asks.
    pub user: User,
    /// Such as `list` or `deletecollection`; of a path, the method in small letters.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// Plural, such as `pods`.
    pub resource: String,
    /// Such as `log`; empty for the object itself.
    pub subresource: String,
    /// Namespace; empty for all and for kinds without. A Namespace is in itself.
    pub namespace: String,
    /// Name of the object; empty for collections.
    pub name: String,
    /// Path of a request that is about no resource, such as `/version`.
    pub path: String,
}

impl Attributes {
    /// Whether the request is about a resource, not a path.
    pub fn is_resource(&self) -> bool {
        self.path.is_empty()
    }

    /// The answer to a request that is not allowed.
    pub(super) fn refuse(&self, reason: &str) -> Status {
        let Self {
            user,
            verb,
            group,
            resource,
            subresource,
            namespace,
            name,
            path,
        } = self;
        let whole = if subresource.is_empty() {
            resource.clone()
        } else {
            format!("{resource}/{subresource}")
        };
        let who = &user.name;
        let mut message = if !self.is_resource() {
            format!("User {who:?} cannot {verb} path {path:?}")
        } else if namespace.is_empty() {
            format!(
                "User {who:?} cannot {verb} resource {whole:?} in API group {group:?} at the \
                 cluster scope"
            )
        } else {
            format!(
                "User {who:?} cannot {verb} resource {whole:?} in API group {group:?} in the \
                 namespace {namespace:?}"
            )
        };
        // The API server shows nothing that a browser would take for markup.
        for (from, to) in [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")] {
            message = message.replace(from, to);
        }
        if !reason.is_empty() {
            message = format!("{message}: {reason}");
        }
        let mut status = Status::forbidden(group, resource, name, &message);
        if resource.is_empty() {
            status.message = format!("forbidden: {message}");
        }
        status
    }
}
