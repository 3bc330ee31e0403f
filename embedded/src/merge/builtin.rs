//! Merge rules of the built-in kinds.
//!
//! `builtin.txt` has one line per type: its name, then its fields. `Name@` is a type that is one
//! unit. A field is
//!
//! ```text
//! name [!] [: type] [= default] [~ strategy]
//! ```
//!
//! with `!` if the API server writes it even if empty, the default (JSON) where lists are keyed by
//! the field, and `~key` if strategic merge patches merge the list (`~` for lists of plain values,
//! `~!` if they replace an object). The type is text if it is not given, or one of
//!
//! ```text
//! n b u    number, boolean, any plain value
//! a d      any value: one unit, or by what is found
//! Name     a type of the table; Name@ as one unit
//! {type}   map; {type}@ as one unit
//! [type]   list as one unit; [type]= a set; [type]=a,b keyed by the fields a and b
//! ```
//!
//! The facts are those of Kubernetes 1.35: struct tags of its Go types, list and map types of its
//! OpenAPI documents. Server-side apply and strategic merge patches differ in some keys, such as
//! those of ports.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::shape::{Arena, Atom, Field, Id, List, Map, Patch, Rule, Scalar, Shape};

const TABLE: &str = include_str!("builtin.txt");

/// A type and what its subresources cannot change.
struct Root {
    group: &'static str,
    kind: &'static str,
    name: &'static str,
    main_resets: &'static [&'static [&'static str]],
    status_resets: &'static [&'static [&'static str]],
}

const fn data(group: &'static str, kind: &'static str) -> Root {
    Root {
        group,
        kind,
        name: kind,
        main_resets: &[],
        status_resets: &[],
    }
}

const fn with_status(group: &'static str, kind: &'static str) -> Root {
    Root {
        main_resets: &[&["status"]],
        status_resets: &[&["spec"]],
        ..data(group, kind)
    }
}

const ROOTS: &[Root] = &[
    with_status("", "Namespace"),
    Root {
        status_resets: &[
            &["spec"],
            &["metadata", "deletionTimestamp"],
            &["metadata", "ownerReferences"],
        ],
        ..with_status("", "Pod")
    },
    with_status("", "Node"),
    with_status("", "Service"),
    data("", "ConfigMap"),
    data("", "Secret"),
    data("", "ServiceAccount"),
    data("", "Event"),
    Root {
        name: "events.Event",
        ..data("events.k8s.io", "Event")
    },
    data("coordination.k8s.io", "Lease"),
    data("discovery.k8s.io", "EndpointSlice"),
    data("", "Endpoints"),
    data("scheduling.k8s.io", "PriorityClass"),
    with_status("policy", "PodDisruptionBudget"),
    with_status("autoscaling", "HorizontalPodAutoscaler"),
    Root {
        name: "autoscaling1.Scale",
        ..data("autoscaling", "Scale")
    },
    Root {
        status_resets: &[&["spec"], &["metadata"]],
        ..with_status("apiextensions.k8s.io", "CustomResourceDefinition")
    },
    data("rbac.authorization.k8s.io", "Role"),
    data("rbac.authorization.k8s.io", "ClusterRole"),
    data("rbac.authorization.k8s.io", "RoleBinding"),
    data("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    data("authentication.k8s.io", "SelfSubjectReview"),
    data("authentication.k8s.io", "TokenRequest"),
    data("authentication.k8s.io", "TokenReview"),
    data("authorization.k8s.io", "LocalSubjectAccessReview"),
    data("authorization.k8s.io", "SelfSubjectAccessReview"),
    data("authorization.k8s.io", "SelfSubjectRulesReview"),
    data("authorization.k8s.io", "SubjectAccessReview"),
];

type Shapes = BTreeMap<(&'static str, &'static str), Arc<Shape>>;

static SHAPES: LazyLock<Shapes> = LazyLock::new(|| {
    let mut arena = Arena::default();
    let ids: Vec<Id> = {
        let mut reader = Reader::new(&mut arena);
        ROOTS.iter().map(|root| reader.named(root.name)).collect()
    };
    let arena = Arc::new(arena);
    ROOTS
        .iter()
        .zip(ids)
        .map(|(root, id)| {
            let shape = Shape {
                arena: Arc::clone(&arena),
                root: id,
                kind: Some(root.kind.to_owned()),
                main_resets: root.main_resets,
                status_resets: root.status_resets,
                built_in: true,
            };
            ((root.group, root.kind), Arc::new(shape))
        })
        .collect()
});

static DEDUCED: LazyLock<Arc<Shape>> = LazyLock::new(|| Arc::new(Shape::deduced()));

/// Shape of a kind in the table, or one by what objects contain.
pub(super) fn shape(group: &str, kind: &str) -> Arc<Shape> {
    SHAPES
        .iter()
        .find(|((known_group, known_kind), _)| *known_group == group && *known_kind == kind)
        .map_or(&*DEDUCED, |(_, shape)| shape)
        .clone()
}

/// Adds the type of `metadata` to the types of custom resources.
pub(super) fn add_metadata(arena: &mut Arena) -> Id {
    Reader::new(arena).named("ObjectMeta")
}

/// Reads types out of the table as they are referred to.
struct Reader<'a> {
    arena: &'a mut Arena,
    lines: BTreeMap<&'static str, &'static str>,
    known: BTreeMap<&'static str, Id>,
    deduced: Id,
    untyped: Id,
}

impl<'a> Reader<'a> {
    fn new(arena: &'a mut Arena) -> Self {
        let lines = TABLE
            .lines()
            .map(|line| {
                let (name, fields) = line.split_once(' ').unwrap_or((line, ""));
                (name, fields)
            })
            .collect();
        Self {
            deduced: arena.add_deduced(),
            untyped: arena.add_untyped(),
            arena,
            lines,
            known: BTreeMap::new(),
        }
    }

    /// A type by name; with `@` behind the name it is one unit, wherever the mark is.
    fn named(&mut self, name: &'static str) -> Id {
        if let Some(id) = self.known.get(name) {
            return *id;
        }
        let plain = name.trim_end_matches('@');
        let whole = self.lines.get_key_value(format!("{plain}@").as_str());
        let (fields, atomic) = match whole {
            Some((_, fields)) => (*fields, true),
            None => (
                self.lines.get(plain).copied().unwrap_or_default(),
                name.ends_with('@'),
            ),
        };
        // The type is known before its fields are read, since it may contain itself.
        let id = self.arena.add(Atom::default());
        self.known.insert(name, id);
        let fields = fields
            .split(' ')
            .filter(|text| !text.is_empty())
            .map(|text| self.field(text))
            .collect();
        self.arena.atoms[id].map = Some(Map {
            name: plain.rsplit('.').next().unwrap_or(plain).to_owned(),
            fields,
            rest: None,
            atomic,
        });
        id
    }

    fn field(&mut self, text: &'static str) -> (String, Field) {
        let (text, patch) = match text.split_once('~') {
            None => (text, Patch::Unset),
            Some((text, "!")) => (text, Patch::Replace),
            Some((text, key)) => (text, Patch::Merge(key.to_owned())),
        };
        // A list's `=` is behind its bracket; any other begins the default.
        let default_at = text
            .rfind('=')
            .filter(|position| !text.contains(']') && *position > 0);
        let (text, default) = match default_at {
            Some(position) => (
                &text[..position],
                serde_json::from_str::<Value>(&text[position + 1..]).ok(),
            ),
            None => (text, None),
        };
        let (name, kind) = text.split_once(':').unwrap_or((text, "s"));
        let field = Field {
            id: self.kind(kind),
            default,
            always: name.ends_with('!'),
            patch,
        };
        (name.trim_end_matches('!').to_owned(), field)
    }

    fn kind(&mut self, text: &'static str) -> Id {
        let scalar = match text {
            "s" => Scalar::Text,
            "n" => Scalar::Numeric,
            "b" => Scalar::Boolean,
            "u" => Scalar::Untyped,
            "a" => return self.untyped,
            "d" => return self.deduced,
            _ => return self.compound(text),
        };
        self.arena.add(Atom::scalar(scalar))
    }

    fn compound(&mut self, text: &'static str) -> Id {
        if let Some(inner) = text.strip_prefix('{') {
            let (inner, atomic) = match inner.strip_suffix('@') {
                Some(inner) => (inner, true),
                None => (inner, false),
            };
            let rest = self.kind(inner.trim_end_matches('}'));
            return self.arena.add(Atom {
                map: Some(Map {
                    rest: Some(rest),
                    atomic,
                    ..Map::default()
                }),
                ..Atom::default()
            });
        }
        if let Some((item, rule)) = text
            .strip_prefix('[')
            .and_then(|inner| inner.split_once(']'))
        {
            let item = self.kind(item);
            let rule = match rule.strip_prefix('=') {
                None => Rule::Atomic,
                Some("") => Rule::Set,
                Some(keys) => Rule::Keyed(keys.split(',').map(str::to_owned).collect()),
            };
            return self.arena.add(Atom {
                list: Some(List { item, rule }),
                ..Atom::default()
            });
        }
        self.named(text)
    }
}
