//! What a request asks for: verb, resource, name. Pure.

use std::fmt;
use std::str::FromStr;

use http::{Method, Request};

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Reads one object, or a discovery document.
    Get,
    /// Reads many objects.
    List,
    /// Follows many objects.
    Watch,
    /// Makes an object, or posts to a subresource.
    Create,
    /// Replaces an object.
    Update,
    /// Patches or applies an object.
    Patch,
    /// Deletes an object or a collection.
    Delete,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 7] = [
        Self::Get,
        Self::List,
        Self::Watch,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
    ];

    /// The verb as RBAC writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    /// Whether the state of the cluster may change by it.
    pub const fn is_write(self) -> bool {
        matches!(
            self,
            Self::Create | Self::Update | Self::Patch | Self::Delete
        )
    }
}

/// A request as far as faults are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it does.
    pub verb: Verb,
    /// Plural of the kind; empty for discovery.
    pub resource: String,
    /// Namespace; empty for all and for kinds without.
    pub namespace: String,
    /// Name of the object; empty for collections.
    pub name: String,
    /// Subresource; mostly empty.
    pub subresource: String,
    /// Whether nothing shall be stored.
    pub dry_run: bool,
    /// Whether it asks for the first page of a list.
    pub is_paged: bool,
}

impl Call {
    /// Reads a request.
    pub fn of<B>(request: &Request<B>) -> Self {
        let segments: Vec<&str> = request
            .uri()
            .path()
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        // `/api/v1/…` or `/apis/GROUP/VERSION/…`.
        let rest = match segments.first() {
            Some(&"api") => segments.get(2..),
            Some(&"apis") => segments.get(3..),
            _ => None,
        };
        let rest = rest.unwrap_or_default();
        let (namespace, rest) = match rest {
            // A namespace itself and its subresources.
            ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => {
                ("", rest)
            }
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            _ => ("", rest),
        };
        let part = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
        let query = request.uri().query().unwrap_or_default();
        let has = |wanted: &[&str]| query.split('&').any(|pair| wanted.contains(&pair));
        let sets = |parameter: &str| query.split('&').any(|pair| pair.starts_with(parameter));
        let (resource, name) = (part(0), part(1));
        let verb = match *request.method() {
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::PATCH => Verb::Patch,
            Method::DELETE => Verb::Delete,
            _ if has(&["watch=true", "watch=1"]) => Verb::Watch,
            _ if name.is_empty() && !resource.is_empty() => Verb::List,
            _ => Verb::Get,
        };
        Self {
            verb,
            resource,
            namespace: namespace.to_owned(),
            name,
            subresource: part(2),
            dry_run: has(&["dryRun=All"]),
            is_paged: sets("limit=") && !sets("continue="),
        }
    }

    /// Whether the state of the cluster may change by it.
    pub const fn is_write(&self) -> bool {
        self.verb.is_write() && !self.dry_run
    }
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.verb.as_str(), self.resource)?;
        for part in [&self.namespace, &self.name, &self.subresource] {
            if !part.is_empty() {
                write!(formatter, "/{part}")?;
            }
        }
        if self.dry_run {
            formatter.write_str(" (dry run)")?;
        }
        Ok(())
    }
}

/// Which calls a fault is meant for. Written as `patch gameservers`, `* pods`, `write *`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What the call does.
    pub verb: VerbPattern,
    /// Plural of the kind; none for every kind.
    pub resource: Option<String>,
}

/// What calls of a pattern do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerbPattern {
    /// Anything; `*`.
    Any,
    /// Change the state; `write`.
    Write,
    /// This.
    One(Verb),
}

impl Pattern {
    /// Whether a call is meant. Calls about leases are meant only where they are named: they go on
    /// for as long as a component lives, and would use up the count of every wide pattern.
    pub fn fits(&self, call: &Call) -> bool {
        let verb = match self.verb {
            VerbPattern::Any => true,
            VerbPattern::Write => call.is_write(),
            VerbPattern::One(verb) => call.verb == verb,
        };
        verb && match &self.resource {
            Some(resource) => *resource == call.resource,
            None => call.resource != super::LEASES,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.verb {
            VerbPattern::Any => "*",
            VerbPattern::Write => "write",
            VerbPattern::One(verb) => verb.as_str(),
        };
        write!(
            formatter,
            "{verb} {}",
            self.resource.as_deref().unwrap_or("*")
        )
    }
}

impl FromStr for Pattern {
    type Err = super::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || super::ParseError::new("a verb and a resource, or * for each", text);
        let (verb, resource) = text.split_once(' ').ok_or_else(wrong)?;
        let verb = match verb {
            "*" => VerbPattern::Any,
            "write" => VerbPattern::Write,
            _ => {
                let known = Verb::ALL.into_iter().find(|known| known.as_str() == verb);
                VerbPattern::One(known.ok_or_else(wrong)?)
            }
        };
        if resource.is_empty() || resource.contains(' ') {
            return Err(wrong());
        }
        Ok(Self {
            verb,
            resource: (resource != "*").then(|| resource.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: Method, uri: &str) -> String {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        Call::of(&request).to_string()
    }

    #[test]
    fn requests_are_read() {
        let table = [
            (
                Method::GET,
                "/apis/muster.dev/v1/gameservers?limit=500",
                "list gameservers",
            ),
            (
                Method::GET,
                "/apis/muster.dev/v1/gameservers?limit=5&watch=true",
                "watch gameservers",
            ),
            (
                Method::PATCH,
                "/apis/muster.dev/v1/namespaces/a/fleets/f/status?force=true",
                "patch fleets/a/f/status",
            ),
            (
                Method::POST,
                "/api/v1/namespaces/a/pods?dryRun=All",
                "create pods/a (dry run)",
            ),
            (
                Method::POST,
                "/api/v1/namespaces/a/pods/p/binding",
                "create pods/a/p/binding",
            ),
            (Method::DELETE, "/api/v1/nodes/n", "delete nodes/n"),
            (Method::GET, "/api/v1/namespaces/a", "get namespaces/a"),
            (
                Method::PUT,
                "/api/v1/namespaces/a/finalize",
                "update namespaces/a/finalize",
            ),
            (Method::GET, "/apis/muster.dev/v1", "get "),
        ];
        for (method, uri, expected) in table {
            assert_eq!(call(method, uri), expected, "{uri}");
        }
    }

    #[test]
    fn patterns_round_trip_and_fit() {
        let patch = Request::patch("/apis/muster.dev/v1/namespaces/a/fleets/f")
            .body(())
            .unwrap();
        let lease = Request::put("/apis/coordination.k8s.io/v1/namespaces/a/leases/l")
            .body(())
            .unwrap();
        for (text, fits, fits_lease) in [
            ("* *", true, false),
            ("write *", true, false),
            ("patch fleets", true, false),
            ("update leases", false, true),
            ("get fleets", false, false),
        ] {
            let pattern: Pattern = text.parse().unwrap();
            assert_eq!(pattern.to_string(), text);
            assert_eq!(pattern.fits(&Call::of(&patch)), fits, "{text}");
            assert_eq!(pattern.fits(&Call::of(&lease)), fits_lease, "{text}");
        }
        for wrong in ["", "get", "jump pods", "get a b"] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }
}
