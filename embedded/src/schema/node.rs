//! One node of a schema, read once from the `openAPIV3Schema` of a definition.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use super::format::Format;
use super::pattern;
use super::rules::Rule;

/// What a schema says about one value.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a keyword of schemas, independent of the others"
)]
pub(super) struct Node {
    /// The declared type; none if any is allowed, or if it is an integer or a text.
    pub kind: Option<Type>,
    /// `x-kubernetes-int-or-string`.
    pub is_int_or_string: bool,
    /// Whether null is a value.
    pub is_nullable: bool,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserves_unknown: bool,
    /// `x-kubernetes-embedded-resource`.
    pub is_resource: bool,
    /// Value for an absent field.
    pub default: Option<Value>,
    /// Declared fields.
    pub properties: BTreeMap<String, Self>,
    /// Undeclared fields.
    pub additional: Additional,
    /// Items of a list.
    pub items: Option<Box<Self>>,
    /// How a list is merged, and thereby what in it must be unique.
    pub list: ListType,
    /// Limits of the value.
    pub limits: Limits,
    /// CEL rules of this node.
    pub rules: Vec<Rule>,
    /// Whether there are CEL rules here or below.
    pub has_rules: bool,
    /// Schemas of which all must accept the value.
    pub all_of: Vec<Self>,
    /// Schemas of which at least one must accept the value.
    pub any_of: Vec<Self>,
    /// Schemas of which exactly one must accept the value.
    pub one_of: Vec<Self>,
    /// A schema that must not accept the value.
    pub not: Option<Box<Self>>,
}

/// Type of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// An object.
    Object,
    /// A list.
    Array,
    /// A text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
}

/// What a schema says about undeclared fields.
#[derive(Debug, Default)]
pub(super) enum Additional {
    /// Nothing: they are pruned.
    #[default]
    Absent,
    /// They are forbidden.
    Forbidden,
    /// They can have any value.
    Any,
    /// They have this schema.
    Schema(Box<Node>),
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum ListType {
    /// The list is one value.
    #[default]
    Atomic,
    /// The items are unique.
    Set,
    /// The items are objects with unique values at these fields.
    Map(Vec<String>),
}

/// Limits of a value.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// A checked format of texts.
    pub format: Option<Format>,
    /// Pattern of texts, as it is written and compiled.
    pub pattern: Option<(String, Result<Regex, String>)>,
    /// Fewest characters.
    pub min_length: Option<i64>,
    /// Most characters.
    pub max_length: Option<i64>,
    /// Smallest number, and whether it is excluded.
    pub minimum: Option<(f64, bool)>,
    /// Greatest number, and whether it is excluded.
    pub maximum: Option<(f64, bool)>,
    /// What a number must be a multiple of.
    pub multiple_of: Option<f64>,
    /// Fewest items.
    pub min_items: Option<i64>,
    /// Most items.
    pub max_items: Option<i64>,
    /// Whether items are unique.
    pub has_unique_items: bool,
    /// Fewest fields.
    pub min_properties: Option<i64>,
    /// Most fields.
    pub max_properties: Option<i64>,
    /// Fields that must be there.
    pub required: Vec<String>,
    /// The only values; empty for no limit.
    pub values: Vec<Value>,
}

impl Type {
    /// As schemas write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [
            Self::Object,
            Self::Array,
            Self::String,
            Self::Integer,
            Self::Number,
            Self::Boolean,
        ]
        .into_iter()
        .find(|known| known.name() == name)
    }
}

impl Node {
    /// Reads a schema. `path` is where it stands, for errors.
    pub(super) fn read(schema: &Value, path: &str) -> Result<Self, String> {
        let map = schema
            .as_object()
            .ok_or_else(|| format!("{path}: a schema must be an object"))?;
        let kind = match text(map, "type") {
            None | Some("") => None,
            Some(name) => {
                Some(Type::named(name).ok_or_else(|| format!("{path}.type: unknown type {name}"))?)
            }
        };
        let mut node = Self {
            kind,
            is_int_or_string: flag(map, "x-kubernetes-int-or-string"),
            is_nullable: flag(map, "nullable"),
            preserves_unknown: flag(map, "x-kubernetes-preserve-unknown-fields"),
            is_resource: flag(map, "x-kubernetes-embedded-resource"),
            default: map.get("default").filter(|value| !value.is_null()).cloned(),
            properties: properties(map, path)?,
            additional: additional(map, path)?,
            items: child(map, "items", path)?.map(Box::new),
            list: list_type(map),
            limits: Limits::read(map, path)?,
            rules: rules(map, path)?,
            has_rules: false,
            all_of: branches(map, "allOf", path)?,
            any_of: branches(map, "anyOf", path)?,
            one_of: branches(map, "oneOf", path)?,
            not: child(map, "not", path)?.map(Box::new),
        };
        node.has_rules = !node.rules.is_empty()
            || node.properties.values().any(|property| property.has_rules)
            || node.items.as_ref().is_some_and(|items| items.has_rules)
            || node.all_of.iter().any(|branch| branch.has_rules)
            || matches!(&node.additional, Additional::Schema(schema) if schema.has_rules);
        Ok(node)
    }

    /// The schema of a field, declared or not.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(match &self.additional {
            Additional::Schema(schema) => Some(schema),
            Additional::Absent | Additional::Forbidden | Additional::Any => None,
        })
    }

    /// Whether a type is allowed by name; every one is if none is declared.
    pub(super) fn allows(&self, kind: Type) -> bool {
        if self.is_int_or_string {
            matches!(kind, Type::Integer | Type::String)
        } else {
            self.kind == Some(kind)
        }
    }

    /// Whether a type is declared.
    pub(super) fn has_type(&self) -> bool {
        self.is_int_or_string || self.kind.is_some()
    }

    /// The declared types as messages list them.
    pub(super) fn type_names(&self) -> &'static str {
        if self.is_int_or_string {
            "integer,string"
        } else {
            self.kind.map_or("", Type::name)
        }
    }
}

impl Limits {
    fn read(map: &Map<String, Value>, path: &str) -> Result<Self, String> {
        let format = match text(map, "format") {
            Some(name) => Format::named(name).map_err(|error| format!("{path}.format: {error}"))?,
            None => None,
        };
        let bound = |name: &str, exclusive: &str| -> Option<(f64, bool)> {
            Some((map.get(name)?.as_f64()?, flag(map, exclusive)))
        };
        let count = |name: &str| map.get(name).and_then(Value::as_i64);
        Ok(Self {
            format,
            pattern: text(map, "pattern")
                .filter(|written| !written.is_empty())
                .map(|written| (written.to_owned(), pattern::compile(written))),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            multiple_of: map.get("multipleOf").and_then(Value::as_f64),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            has_unique_items: flag(map, "uniqueItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            required: texts(map, "required"),
            values: map
                .get("enum")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
        })
    }
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    map.get(name).and_then(Value::as_str)
}

fn flag(map: &Map<String, Value>, name: &str) -> bool {
    map.get(name).and_then(Value::as_bool).unwrap_or_default()
}

fn texts(map: &Map<String, Value>, name: &str) -> Vec<String> {
    let items = map.get(name).and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn child(map: &Map<String, Value>, name: &str, path: &str) -> Result<Option<Node>, String> {
    map.get(name)
        .filter(|schema| !schema.is_null())
        .map(|schema| Node::read(schema, &format!("{path}.{name}")))
        .transpose()
}

fn branches(map: &Map<String, Value>, name: &str, path: &str) -> Result<Vec<Node>, String> {
    let items = map.get(name).and_then(Value::as_array);
    items
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(index, schema)| Node::read(schema, &format!("{path}.{name}[{index}]")))
        .collect()
}

fn properties(map: &Map<String, Value>, path: &str) -> Result<BTreeMap<String, Node>, String> {
    let fields = map.get("properties").and_then(Value::as_object);
    fields
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let node = Node::read(schema, &format!("{path}.properties[{name}]"))?;
            Ok((name.clone(), node))
        })
        .collect()
}

fn additional(map: &Map<String, Value>, path: &str) -> Result<Additional, String> {
    Ok(match map.get("additionalProperties") {
        None | Some(Value::Null) => Additional::Absent,
        Some(Value::Bool(false)) => Additional::Forbidden,
        Some(Value::Bool(true)) => Additional::Any,
        Some(schema) => Additional::Schema(Box::new(Node::read(
            schema,
            &format!("{path}.additionalProperties"),
        )?)),
    })
}

fn list_type(map: &Map<String, Value>) -> ListType {
    match text(map, "x-kubernetes-list-type") {
        Some("set") => ListType::Set,
        Some("map") => ListType::Map(texts(map, "x-kubernetes-list-map-keys")),
        _ => ListType::Atomic,
    }
}

fn rules(map: &Map<String, Value>, path: &str) -> Result<Vec<Rule>, String> {
    let rules = map
        .get("x-kubernetes-validations")
        .and_then(Value::as_array);
    rules
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(index, rule)| {
            Rule::read(rule, map)
                .map_err(|error| format!("{path}.x-kubernetes-validations[{index}].{error}"))
        })
        .collect()
}
