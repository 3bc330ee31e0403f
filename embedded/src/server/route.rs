//! What a path leads to, and which verb a request is.

use http::Method;

use super::params::{Params, decode};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Something that is no resource, such as `/healthz`.
    Plain,
    /// A resource or a part of one.
    Resource(Target),
}

/// A resource, and which part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// API group; empty for the core group.
    pub(crate) group: String,
    /// Version.
    pub(crate) version: String,
    /// Namespace; empty for none.
    pub(crate) namespace: String,
    /// Plural.
    pub(crate) resource: String,
    /// Name; empty for the collection.
    pub(crate) name: String,
    /// Subresource; empty for the object itself.
    pub(crate) subresource: String,
    /// Whether the path has more parts than a resource can have.
    pub(crate) overlong: bool,
    /// Whether the path itself says that it is a watch, as it did in old times.
    pub(crate) watch: bool,
}

impl Target {
    /// Whether the rest of the path is for whatever is behind the object.
    pub(crate) fn is_proxied(&self) -> bool {
        self.group.is_empty() && self.subresource == "proxy"
    }
}

/// Reads a path, which is still percent-encoded.
pub(crate) fn route(path: &str) -> Route {
    let mut parts = path.split('/').filter(|part| !part.is_empty()).map(decode);
    let mut target = Target::default();
    match parts.next().as_deref() {
        Some("api") => {}
        Some("apis") => match parts.next() {
            Some(group) => target.group = group,
            None => return Route::Plain,
        },
        _ => return Route::Plain,
    }
    let (Some(version), Some(mut first)) = (parts.next(), parts.next()) else {
        return Route::Plain;
    };
    target.version = version;
    if first == "watch" {
        let Some(resource) = parts.next() else {
            return Route::Plain;
        };
        target.watch = true;
        first = resource;
    }
    let rest: Vec<String> = parts.collect();
    let mut rest = rest.into_iter();
    target.resource = first;
    if target.resource == "namespaces" {
        // A namespace is a namespace's content and an object in its own right.
        let name = rest.next().unwrap_or_default();
        target.namespace.clone_from(&name);
        match rest.next() {
            None => target.name = name,
            Some(part) if target.group.is_empty() && (part == "status" || part == "finalize") => {
                target.name = name;
                target.subresource = part;
            }
            Some(part) => {
                target.resource = part;
                target.name = rest.next().unwrap_or_default();
                target.subresource = rest.next().unwrap_or_default();
            }
        }
    } else {
        target.name = rest.next().unwrap_or_default();
        target.subresource = rest.next().unwrap_or_default();
    }
    target.overlong = rest.next().is_some();
    Route::Resource(target)
}

/// The verb of a request on a resource, as authorization knows it; empty if there is none.
pub(crate) fn verb(method: &Method, target: &Target, params: &Params) -> &'static str {
    let collection = target.name.is_empty();
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if collection => "deletecollection",
        Method::DELETE => "delete",
        Method::GET | Method::HEAD if target.watch || params.flag("watch").unwrap_or_default() => {
            "watch"
        }
        Method::GET | Method::HEAD if collection => "list",
        Method::GET | Method::HEAD => "get",
        _ => "",
    }
}
