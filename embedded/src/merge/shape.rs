//! How values of a type merge: which parts are one unit, which have parts with owners of their
//! own, and how entries of a list are told apart.
//!
//! A shape knows what server-side apply needs (after the rules of structured-merge-diff) and, for
//! built-in kinds, the different keys of strategic merge patches. It is made once per kind and
//! shared.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::builtin;
use crate::kinds::Kind;

/// Index of an [`Atom`] in its [`Arena`].
pub(super) type Id = usize;

/// How the objects of a kind merge.
#[derive(Clone, Debug)]
pub struct Shape {
    pub(super) arena: Arc<Arena>,
    pub(super) root: Id,
    /// The kind, where it is known: server-side apply refuses a configuration of another one.
    pub(super) kind: Option<String>,
    /// Paths that writes to the main resource cannot change.
    pub(super) main_resets: &'static [&'static [&'static str]],
    /// Paths that writes to the status subresource cannot change.
    pub(super) status_resets: &'static [&'static [&'static str]],
    /// Whether it is in the table of built-in kinds.
    pub(super) built_in: bool,
}

/// All types of a shape. They refer to each other by index, as types may contain themselves.
#[derive(Debug, Default)]
pub(super) struct Arena {
    pub(super) atoms: Vec<Atom>,
}

/// What a value may be. Several are set where the schema leaves the type open.
#[derive(Clone, Debug, Default)]
pub(super) struct Atom {
    pub(super) scalar: Option<Scalar>,
    pub(super) list: Option<List>,
    pub(super) map: Option<Map>,
}

/// Type of a single value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Numeric,
    Text,
    Boolean,
    /// Any of them.
    Untyped,
}

/// A list.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) item: Id,
    pub(super) rule: Rule,
}

/// How the entries of a list are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// They are not: the list is one unit.
    Atomic,
    /// By their value.
    Set,
    /// By these fields.
    Keyed(Vec<String>),
}

/// An object, of known fields or of any.
#[derive(Clone, Debug, Default)]
pub(super) struct Map {
    /// Name of the type, for errors; empty for maps.
    pub(super) name: String,
    pub(super) fields: BTreeMap<String, Field>,
    /// Type of other fields; none if there may not be any.
    pub(super) rest: Option<Id>,
    /// Whether the object is one unit.
    pub(super) atomic: bool,
}

/// A known field of an object.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) id: Id,
    /// What counts as its value in an entry of a list that is keyed by this field but lacks it.
    pub(super) default: Option<Value>,
    /// Whether the API server writes it even if it is empty.
    pub(super) always: bool,
    pub(super) patch: Patch,
}

/// What a strategic merge patch does with a field that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Patch {
    /// Objects are merged, lists replaced.
    #[default]
    Unset,
    /// Lists are merged too; by this field if their entries are objects.
    Merge(String),
    /// Objects are replaced.
    Replace,
}

const STATUS: &[&[&str]] = &[&["status"]];
const SPEC: &[&[&str]] = &[&["spec"]];

impl Shape {
    /// Shape of a kind: from the table of built-in kinds, or from the schema of its definition.
    pub fn for_kind(kind: &Kind) -> Arc<Self> {
        let Some(schema) = &kind.schema else {
            return Self::builtin(&kind.group, &kind.kind);
        };
        let mut shape = Self::compiled(schema);
        shape.kind = Some(kind.kind.clone());
        if !kind.has_status {
            shape.main_resets = &[];
            shape.status_resets = &[];
        }
        Arc::new(shape)
    }

    /// Shape of a built-in kind. Kinds that are not in the table merge by what their objects
    /// contain: objects field by field, lists as one unit.
    pub fn builtin(group: &str, kind: &str) -> Arc<Self> {
        builtin::shape(group, kind)
    }

    /// Shape of custom resources with this `openAPIV3Schema` and a status subresource. Use
    /// [`Shape::for_kind`] where the kind is known.
    pub fn from_schema(schema: &Value) -> Arc<Self> {
        Arc::new(Self::compiled(schema))
    }

    /// Shape of objects whose type is not known.
    pub(super) fn deduced() -> Self {
        let mut arena = Arena::default();
        let root = arena.add_deduced();
        Self {
            arena: Arc::new(arena),
            root,
            kind: None,
            main_resets: STATUS,
            status_resets: SPEC,
            built_in: false,
        }
    }

    fn compiled(schema: &Value) -> Self {
        let mut arena = Arena::default();
        let mut compiler = Compiler {
            deduced: arena.add_deduced(),
            untyped: arena.add_untyped(),
            metadata: builtin::add_metadata(&mut arena),
            arena: &mut arena,
        };
        let root = compiler.resource(schema, Unknown::Refused);
        Self {
            arena: Arc::new(arena),
            root,
            kind: None,
            main_resets: STATUS,
            status_resets: SPEC,
            built_in: false,
        }
    }

    /// Paths that a write cannot change because the resource it goes to does not reach them:
    /// status through the main resource, spec through the status subresource. Such a write neither
    /// owns them nor takes them from others; the caller resets them to what they were.
    pub fn resets(&self, subresource: Option<&str>) -> &'static [&'static [&'static str]] {
        match subresource {
            Some("status") => self.status_resets,
            _ => self.main_resets,
        }
    }

    pub(super) fn view(&self) -> View<'_> {
        View {
            arena: &self.arena,
            id: self.root,
        }
    }
}

impl Arena {
    pub(super) fn add(&mut self, atom: Atom) -> Id {
        self.atoms.push(atom);
        self.atoms.len() - 1
    }

    /// A type by what is found: objects field by field, lists as one unit.
    pub(super) fn add_deduced(&mut self) -> Id {
        let untyped = self.add_untyped();
        let id = self.atoms.len();
        self.add(Atom::open(untyped, id, false))
    }

    /// A type of which every value is one unit.
    pub(super) fn add_untyped(&mut self) -> Id {
        let id = self.atoms.len();
        self.add(Atom::open(id, id, true))
    }
}

impl Atom {
    pub(super) fn scalar(scalar: Scalar) -> Self {
        Self {
            scalar: Some(scalar),
            ..Self::default()
        }
    }

    fn open(item: Id, rest: Id, atomic: bool) -> Self {
        Self {
            scalar: Some(Scalar::Untyped),
            list: Some(List {
                item,
                rule: Rule::Atomic,
            }),
            map: Some(Map {
                rest: Some(rest),
                atomic,
                ..Map::default()
            }),
        }
    }
}

/// What a schema says of fields that it does not name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Refused,
    /// `x-kubernetes-preserve-unknown-fields`, which holds for everything below.
    Kept,
}

/// Turns a structural schema into atoms.
struct Compiler<'a> {
    arena: &'a mut Arena,
    deduced: Id,
    untyped: Id,
    metadata: Id,
}

impl Compiler<'_> {
    /// An object with apiVersion, kind and metadata.
    fn resource(&mut self, schema: &Value, unknown: Unknown) -> Id {
        let text = self.arena.add(Atom::scalar(Scalar::Text));
        let id = self.node(schema, unknown);
        let metadata = self.metadata;
        if let Some(map) = self
            .arena
            .atoms
            .get_mut(id)
            .and_then(|atom| atom.map.as_mut())
        {
            for (name, field) in [("apiVersion", text), ("kind", text), ("metadata", metadata)] {
                map.fields.insert(name.to_owned(), Field::plain(field));
            }
        }
        id
    }

    fn node(&mut self, schema: &Value, unknown: Unknown) -> Id {
        let flag = |name: &str| schema.get(name).and_then(Value::as_bool) == Some(true);
        let unknown = if flag("x-kubernetes-preserve-unknown-fields") {
            Unknown::Kept
        } else {
            unknown
        };
        let text = |name: &str| schema.get(name).and_then(Value::as_str).unwrap_or_default();
        let atom = match text("type") {
            "object" => Atom {
                map: Some(self.map(schema, unknown)),
                ..Atom::default()
            },
            "array" => Atom {
                list: Some(self.list(schema, unknown)),
                ..Atom::default()
            },
            "integer" | "number" => Atom::scalar(Scalar::Numeric),
            "boolean" => Atom::scalar(Scalar::Boolean),
            "string" if matches!(text("format"), "" | "byte") => Atom::scalar(Scalar::Text),
            "string" => Atom::scalar(Scalar::Untyped),
            _ => Atom {
                scalar: Some(Scalar::Untyped),
                list: Some(self.list(schema, unknown)),
                map: Some(self.map(schema, unknown)),
            },
        };
        self.arena.add(atom)
    }

    fn map(&mut self, schema: &Value, unknown: Unknown) -> Map {
        let empty = serde_json::Map::new();
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let mut fields = BTreeMap::new();
        for (name, property) in properties {
            let embedded = property.get("x-kubernetes-embedded-resource");
            let id = if embedded.and_then(Value::as_bool) == Some(true) {
                self.resource(property, unknown)
            } else {
                self.node(property, unknown)
            };
            let field = Field {
                default: property.get("default").cloned(),
                ..Field::plain(id)
            };
            fields.insert(name.clone(), field);
        }
        let rest = match schema.get("additionalProperties") {
            None if unknown == Unknown::Kept || properties.is_empty() => Some(self.deduced),
            Some(Value::Bool(true)) => Some(self.deduced),
            None | Some(Value::Bool(false)) => None,
            Some(rest) => Some(self.node(rest, unknown)),
        };
        let map_type = schema.get("x-kubernetes-map-type").and_then(Value::as_str);
        Map {
            name: String::new(),
            fields,
            rest,
            atomic: map_type == Some("atomic"),
        }
    }

    fn list(&mut self, schema: &Value, unknown: Unknown) -> List {
        let item = match schema.get("items") {
            Some(items) => self.node(items, unknown),
            None => self.untyped,
        };
        let list_type = schema.get("x-kubernetes-list-type").and_then(Value::as_str);
        let rule = match list_type {
            Some("set") => Rule::Set,
            Some("map") => {
                let keys = schema.get("x-kubernetes-list-map-keys");
                let keys = keys.and_then(Value::as_array).map(Vec::as_slice);
                Rule::Keyed(
                    keys.unwrap_or_default()
                        .iter()
                        .filter_map(|key| key.as_str().map(str::to_owned))
                        .collect(),
                )
            }
            _ => Rule::Atomic,
        };
        List { item, rule }
    }
}

impl Field {
    pub(super) fn plain(id: Id) -> Self {
        Self {
            id,
            default: None,
            always: false,
            patch: Patch::Unset,
        }
    }
}

/// A type, with the arena that it is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    arena: &'a Arena,
    id: Id,
}

/// Which of its alternatives a type takes for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    scalar: bool,
    list: bool,
    map: bool,
}

/// A type narrowed to one alternative.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form<'a> {
    Scalar(Scalar),
    List(&'a List),
    Map(&'a Map),
}

impl<'a> View<'a> {
    pub(super) fn atom(self) -> &'a Atom {
        // Every id comes from the arena that it is used with.
        &self.arena.atoms[self.id]
    }

    pub(super) fn at(self, id: Id) -> Self {
        Self { id, ..self }
    }

    /// Type of a field; none if there may not be such a field.
    pub(super) fn field(self, map: &Map, name: &str) -> Option<Self> {
        map.fields
            .get(name)
            .map(|field| field.id)
            .or(map.rest)
            .map(|id| self.at(id))
    }

    pub(super) fn item(self, list: &List) -> Self {
        self.at(list.item)
    }

    /// Narrows the type to what the value is. Null and values of a wrong type leave it open.
    pub(super) fn choice(self, value: Option<&Value>) -> Choice {
        let atom = self.atom();
        let open = Choice {
            scalar: atom.scalar.is_some(),
            list: atom.list.is_some(),
            map: atom.map.is_some(),
        };
        let none = Choice {
            scalar: false,
            list: false,
            map: false,
        };
        match value {
            Some(Value::Array(_)) if open.list => Choice { list: true, ..none },
            Some(Value::Object(_)) if open.map => Choice { map: true, ..none },
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) if open.scalar => Choice {
                scalar: true,
                ..none
            },
            _ => open,
        }
    }

    /// The alternative that a choice stands for; of several, the first of map, scalar, list.
    pub(super) fn form(self, choice: Choice) -> Option<Form<'a>> {
        let atom = self.atom();
        match atom {
            Atom { map: Some(map), .. } if choice.map => Some(Form::Map(map)),
            Atom {
                scalar: Some(scalar),
                ..
            } if choice.scalar => Some(Form::Scalar(*scalar)),
            Atom {
                list: Some(list), ..
            } if choice.list => Some(Form::List(list)),
            _ => None,
        }
    }
}
