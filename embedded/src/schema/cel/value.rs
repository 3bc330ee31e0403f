//! Values of CEL, borrowed from JSON where possible.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use jiff::Zoned;
use kube_cel::cel::Value as Foreign;
use serde_json::{Map as JsonMap, Value};

use super::super::format::{self, Meaning};
use super::super::node::{Additional, ListType, Node, Type};
use super::super::show;
use super::{Failure, failure, no_overload};

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Val<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number without a sign.
    Uint(u64),
    /// A float.
    Double(f64),
    /// A text.
    Text(Text<'a>),
    /// Bytes.
    Bytes(Rc<[u8]>),
    /// A list.
    List(List<'a>),
    /// A map or an object.
    Map(Map<'a>),
    /// Nanoseconds.
    Duration(i64),
    /// A point in time, as seen in a zone.
    Time(Zoned),
    /// A type.
    Type(&'static str),
    /// A value that may be absent.
    Optional(Option<Rc<Self>>),
    /// A value of a Kubernetes library, such as a quantity.
    Foreign(Foreign),
    /// A part of which the schema says nothing: it can only be compared.
    Unknown(&'a Value),
    /// What an optional holds if it does not fit its schema: that matters only once it is read.
    Broken(Failure),
}

/// A text, borrowed from an object or made by an expression.
#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    /// Part of an object or an expression.
    Borrowed(&'a str),
    /// Made by an expression.
    Made(Rc<str>),
}

/// A list, part of an object or made by an expression.
#[derive(Clone, Debug)]
pub(crate) enum List<'a> {
    /// Part of an object, with the schema of the list.
    Json(&'a [Value], &'a Node),
    /// Made by an expression.
    Made(Rc<Vec<Val<'a>>>),
}

/// A map, part of an object or made by an expression.
#[derive(Clone, Debug)]
pub(crate) enum Map<'a> {
    /// Part of an object.
    Json(JsonFields<'a>),
    /// Made by an expression.
    Made(Rc<Vec<(Val<'a>, Val<'a>)>>),
}

/// An object or map in JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonFields<'a> {
    fields: &'a JsonMap<String, Value>,
    schema: &'a Node,
    /// Whether this is a whole object: then it has a type and a name.
    is_resource: bool,
}

static TEXT: LazyLock<Node> = LazyLock::new(|| Node {
    kind: Some(Type::String),
    ..Node::default()
});

static META: LazyLock<Node> = LazyLock::new(|| {
    let text = || Node {
        kind: Some(Type::String),
        ..Node::default()
    };
    Node {
        kind: Some(Type::Object),
        properties: BTreeMap::from([
            ("name".to_owned(), text()),
            ("generateName".to_owned(), text()),
        ]),
        ..Node::default()
    }
});

/// The value of a whole object.
pub(super) fn resource<'a>(value: &'a Value, schema: &'a Node) -> Result<Val<'a>, Failure> {
    match value {
        Value::Object(fields) => Ok(Val::Map(Map::Json(JsonFields {
            fields,
            schema,
            is_resource: true,
        }))),
        _ => of(value, schema),
    }
}

/// The value of a part of an object, read by its schema.
pub(super) fn of<'a>(value: &'a Value, schema: &'a Node) -> Result<Val<'a>, Failure> {
    if value.is_null() {
        return if schema.is_nullable {
            Ok(Val::Null)
        } else {
            failure("invalid data, got null for schema with nullable=false")
        };
    }
    if schema.is_int_or_string {
        return match value {
            Value::String(text) => Ok(Val::Text(Text::Borrowed(text))),
            Value::Number(number) if show::int64(number).is_some() => {
                Ok(Val::Int(show::int64(number).unwrap_or_default()))
            }
            _ => failure(
                "invalid data, expected XIntOrString value to be either a string or integer",
            ),
        };
    }
    match (schema.kind, value) {
        (Some(Type::Object), Value::Object(fields)) => Ok(Val::Map(Map::Json(JsonFields {
            fields,
            schema,
            is_resource: schema.is_resource,
        }))),
        (Some(Type::Object), _) => {
            failure("invalid data, expected a map for the provided schema with type=object")
        }
        (Some(Type::Array), Value::Array(items)) => {
            if schema.items.is_some() {
                Ok(Val::List(List::Json(items, schema)))
            } else {
                failure("invalid array type, expected Items with a non-empty Schema")
            }
        }
        (Some(Type::Array), _) => {
            failure("invalid data, expected an array for the provided schema with type=array")
        }
        (Some(Type::String), Value::String(text)) => text_of(text, schema),
        (Some(Type::Number), Value::Number(number)) => {
            Ok(Val::Double(number.as_f64().unwrap_or_default()))
        }
        (Some(Type::Integer), Value::Number(number)) => match show::int64(number) {
            Some(whole) => Ok(Val::Int(whole)),
            None => failure("invalid data, expected int, got float64"),
        },
        (Some(Type::Boolean), Value::Bool(truth)) => Ok(Val::Bool(*truth)),
        (Some(kind), value) => {
            let wanted = match kind {
                Type::Boolean => "bool",
                Type::Integer => "int",
                Type::Number => "float",
                other => other.name(),
            };
            failure(format!(
                "invalid data, expected {wanted}, got {}",
                go_type(value)
            ))
        }
        (None, value) if schema.preserves_unknown => Ok(Val::Unknown(value)),
        (None, _) => failure(
            "invalid type, expected object, array, number, integer, boolean or string, or no type \
             with x-kubernetes-int-or-string or x-kubernetes-preserve-unknown-fields is true, got ",
        ),
    }
}

fn text_of<'a>(text: &'a str, schema: &Node) -> Result<Val<'a>, Failure> {
    let meaning = schema
        .limits
        .format
        .as_ref()
        .map_or(Meaning::Text, |format| format.meaning);
    let value = match meaning {
        Meaning::Text => return Ok(Val::Text(Text::Borrowed(text))),
        Meaning::Duration => format::duration(text).map(Val::Duration),
        Meaning::Date => format::date(text).map(Val::Time),
        Meaning::DateTime => format::date_time(text).map(Val::Time),
        Meaning::Bytes => URL_SAFE
            .decode(text)
            .ok()
            .map(|bytes| Val::Bytes(bytes.into())),
    };
    value.map_or_else(
        || {
            let what = match meaning {
                Meaning::Duration => "duration",
                Meaning::Date => "date formatted string",
                Meaning::DateTime => "date-time formatted string",
                Meaning::Bytes | Meaning::Text => "byte formatted string",
            };
            failure(format!("Invalid {what} {text}"))
        },
        Ok,
    )
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if show::int64(number).is_some() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

impl Val<'_> {
    /// A text that an expression made.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(Text::Made(text.into()))
    }

    /// A list that an expression made.
    pub(crate) fn list(items: Vec<Self>) -> Self {
        Self::List(List::Made(Rc::new(items)))
    }

    /// What an optional holds.
    pub(crate) fn held(&self) -> Result<Self, Failure> {
        match self {
            Self::Broken(failure) => Err(failure.clone()),
            other => Ok(other.clone()),
        }
    }

    /// A value that is there, or not.
    pub(crate) fn optional(value: Option<Self>) -> Self {
        Self::Optional(value.map(Rc::new))
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// Name of the type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Time(_) => "google.protobuf.Timestamp",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Foreign(_) | Self::Unknown(_) | Self::Broken(_) => "unknown",
        }
    }

    /// Whether two values are equal.
    pub(crate) fn equals(&self, other: &Self) -> Result<bool, Failure> {
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Text(left), Self::Text(right)) => left.as_str() == right.as_str(),
            (Self::Bytes(left), Self::Bytes(right)) => left == right,
            (Self::Duration(left), Self::Duration(right)) => left == right,
            (Self::Time(left), Self::Time(right)) => left == right,
            (Self::Type(left), Self::Type(right)) => left == right,
            (Self::List(left), Self::List(right)) => return left.equals(right),
            (Self::Map(left), Self::Map(right)) => return left.equals(right),
            (Self::Optional(left), Self::Optional(right)) => match (left, right) {
                (Some(left), Some(right)) => return left.equals(right),
                (left, right) => left.is_none() && right.is_none(),
            },
            (Self::Foreign(left), Self::Foreign(right)) => left == right,
            (Self::Unknown(left), Self::Unknown(right)) => left == right,
            (left, right) => {
                let ordering = left.number_order(right).unwrap_or_default();
                ordering == Some(Ordering::Equal)
            }
        })
    }

    /// The order of two values, if they have one.
    pub(crate) fn order(&self, other: &Self) -> Result<Option<Ordering>, Failure> {
        Ok(match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Some(left.as_str().cmp(right.as_str())),
            (Self::Bytes(left), Self::Bytes(right)) => Some(left.cmp(right)),
            (Self::Duration(left), Self::Duration(right)) => Some(left.cmp(right)),
            (Self::Time(left), Self::Time(right)) => Some(left.cmp(right)),
            (left, right) => return left.number_order(right),
        })
    }

    /// The order of two numbers of any type.
    fn number_order(&self, other: &Self) -> Result<Option<Ordering>, Failure> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "CEL compares whole numbers with floats as floats"
        )]
        let float = |value: &Self| match value {
            Self::Int(whole) => Some(*whole as f64),
            Self::Uint(whole) => Some(*whole as f64),
            Self::Double(float) => Some(*float),
            _ => None,
        };
        Ok(match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (Self::Uint(left), Self::Uint(right)) => Some(left.cmp(right)),
            (Self::Int(left), Self::Uint(right)) => {
                Some(i128::from(*left).cmp(&i128::from(*right)))
            }
            (Self::Uint(left), Self::Int(right)) => {
                Some(i128::from(*left).cmp(&i128::from(*right)))
            }
            (left, right) => match (float(left), float(right)) {
                (Some(left), Some(right)) => left.partial_cmp(&right),
                _ => return no_overload(),
            },
        })
    }
}

impl Text<'_> {
    /// The text itself.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'a> List<'a> {
    /// How many items there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(items, _) => items.len(),
            Self::Made(items) => items.len(),
        }
    }

    /// One item.
    pub(crate) fn get(&self, index: usize) -> Option<Result<Val<'a>, Failure>> {
        match self {
            Self::Json(items, schema) => {
                let item = items.get(index)?;
                Some(match &schema.items {
                    Some(schema) => of(item, schema),
                    None => Ok(Val::Unknown(item)),
                })
            }
            Self::Made(items) => items.get(index).cloned().map(Ok),
        }
    }

    /// All items.
    pub(crate) fn items(&self) -> impl Iterator<Item = Result<Val<'a>, Failure>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    fn kind(&self) -> &ListType {
        match self {
            Self::Json(_, schema) => &schema.list,
            Self::Made(_) => &ListType::Atomic,
        }
    }

    /// Sets and lists with keys are equal in any order.
    fn equals(&self, other: &Self) -> Result<bool, Failure> {
        if self.len() != other.len() {
            return Ok(false);
        }
        if let (Self::Json(left, schema), Self::Json(right, other)) = (self, other)
            && std::ptr::eq(*schema, *other)
            && left == right
        {
            return Ok(true);
        }
        match self.kind() {
            ListType::Atomic => {
                for (left, right) in self.items().zip(other.items()) {
                    if !left?.equals(&right?)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            ListType::Set => {
                for item in other.items() {
                    if !self.contains(&item?)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            ListType::Map(keys) => {
                for item in other.items() {
                    let item = item?;
                    match self.with_keys_of(keys, &item)? {
                        Some(twin) if twin.equals(&item)? => {}
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
        }
    }

    fn with_keys_of(&self, keys: &[String], item: &Val<'a>) -> Result<Option<Val<'a>>, Failure> {
        for candidate in self.items() {
            let candidate = candidate?;
            let mut is_twin = true;
            for key in keys {
                let same = match (candidate.field(key)?, item.field(key)?) {
                    (Some(left), Some(right)) => left.equals(&right)?,
                    (left, right) => left.is_none() && right.is_none(),
                };
                is_twin &= same;
            }
            if is_twin {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    /// Whether an item equals a value.
    pub(crate) fn contains(&self, value: &Val<'a>) -> Result<bool, Failure> {
        for item in self.items() {
            if item?.equals(value)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// This list and the items of another one: those that a set has are not added again, and those
    /// with the keys of an item take its place.
    pub(crate) fn with(&self, other: &Self) -> Result<Val<'a>, Failure> {
        let mut items = self.items().collect::<Result<Vec<_>, _>>()?;
        for item in other.items() {
            let item = item?;
            match self.kind() {
                ListType::Set if self.contains(&item)? => {}
                ListType::Map(keys) => {
                    let twin = self.with_keys_of(keys, &item)?;
                    let mut place = None;
                    if let Some(twin) = twin {
                        for (index, known) in items.iter().enumerate() {
                            if known.equals(&twin)? {
                                place = Some(index);
                                break;
                            }
                        }
                    }
                    match place {
                        Some(index) => items[index] = item,
                        None => items.push(item),
                    }
                }
                ListType::Atomic | ListType::Set => items.push(item),
            }
        }
        Ok(Val::list(items))
    }
}

impl Val<'_> {
    /// A field by its name in JSON; none if it is absent, or if this is no map.
    fn field(&self, name: &str) -> Result<Option<Self>, Failure> {
        match self {
            Self::Map(Map::Json(map)) => map.get_json(name).transpose(),
            Self::Map(map) => map.get(&Self::text(name)),
            _ => Ok(None),
        }
    }
}

impl<'a> Map<'a> {
    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(map) => map.fields.len(),
            Self::Made(entries) => entries.len(),
        }
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &Val<'a>) -> Result<Option<Val<'a>>, Failure> {
        match self {
            Self::Json(map) => match key.as_text() {
                Some(key) => map.get(key).transpose(),
                None => no_overload(),
            },
            Self::Made(entries) => {
                for (known, value) in entries.iter() {
                    if known.equals(key)? {
                        return Ok(Some(value.clone()));
                    }
                }
                Ok(None)
            }
        }
    }

    /// All entries, in order of their keys.
    pub(crate) fn entries(&self) -> Result<Vec<(Val<'a>, Val<'a>)>, Failure> {
        match self {
            Self::Json(map) => {
                let mut entries = Vec::with_capacity(map.fields.len());
                for key in map.fields.keys() {
                    if let Some(value) = map.get_json(key) {
                        entries.push((Val::Text(Text::Borrowed(key)), value?));
                    }
                }
                Ok(entries)
            }
            Self::Made(entries) => Ok(entries.to_vec()),
        }
    }

    /// All keys, in order. Values are not read, so that a wrong one does no harm.
    pub(crate) fn keys(&self) -> Vec<Val<'a>> {
        match self {
            Self::Json(map) => map
                .fields
                .keys()
                .filter(|key| map.schema_of(key).is_some())
                .map(|key| Val::Text(Text::Borrowed(key)))
                .collect(),
            Self::Made(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
        }
    }

    fn equals(&self, other: &Self) -> Result<bool, Failure> {
        if self.len() != other.len() {
            return Ok(false);
        }
        if let (Self::Json(left), Self::Json(right)) = (self, other) {
            return left.equals(right);
        }
        for (key, value) in self.entries()? {
            match other.get(&key)? {
                Some(twin) if value.equals(&twin)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

impl<'a> JsonFields<'a> {
    fn is_object(&self) -> bool {
        self.is_resource || !self.schema.properties.is_empty()
    }

    /// A field by the name that expressions use for it: some names are escaped.
    pub(crate) fn get(&self, name: &str) -> Option<Result<Val<'a>, Failure>> {
        if self.is_object() && name.contains("__") {
            return self.get_json(&unescaped(name)?);
        }
        self.get_json(name)
    }

    fn get_json(&self, name: &str) -> Option<Result<Val<'a>, Failure>> {
        let value = self.fields.get(name)?;
        if value.is_null() && self.is_object() {
            return None;
        }
        Some(of(value, self.schema_of(name)?))
    }

    fn schema_of(&self, name: &str) -> Option<&'a Node> {
        if self.is_resource {
            match name {
                "apiVersion" | "kind" => return Some(&TEXT),
                "metadata" => return Some(meta(self.schema)),
                _ => {}
            }
        }
        if self.is_object() {
            return self.schema.properties.get(name);
        }
        match &self.schema.additional {
            Additional::Schema(schema) => Some(schema),
            Additional::Absent | Additional::Forbidden | Additional::Any => None,
        }
    }

    fn equals(&self, other: &Self) -> Result<bool, Failure> {
        if std::ptr::eq(self.schema, other.schema) && self.fields == other.fields {
            return Ok(true);
        }
        for (key, value) in self.fields {
            if self.schema_of(key).is_none() {
                // Without a schema, values are compared as they are.
                if other.fields.get(key).is_some_and(|twin| twin != value) {
                    return Ok(false);
                }
                continue;
            }
            match (self.get_json(key), other.get_json(key)) {
                (None, None) => {}
                (Some(left), Some(right)) => {
                    if !left?.equals(&right?)? {
                        return Ok(false);
                    }
                }
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// The schema of the metadata of an object: names can always be read, more only if the schema
/// declares the names too.
pub(super) fn meta(schema: &Node) -> &Node {
    let declared = schema.properties.get("metadata");
    declared.filter(|meta| has_names(meta)).unwrap_or(&META)
}

/// Whether a schema declares the names in metadata itself.
fn has_names(meta: &Node) -> bool {
    ["name", "generateName"].into_iter().all(|name| {
        meta.properties
            .get(name)
            .is_some_and(|field| field.kind == Some(Type::String))
    })
}

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The name of a field in JSON for its escaped name; none if no field has that name.
pub(super) fn unescaped(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(start) = rest.find("__") {
        let inside = &rest[start + 2..];
        let Some(end) = inside.find("__").filter(|end| *end > 0) else {
            break;
        };
        let word = &inside[..end];
        if word.contains('_') {
            out.push_str(&rest[..=start]);
            rest = &rest[start + 1..];
            continue;
        }
        out.push_str(&rest[..start]);
        match word {
            "underscores" => out.push_str("__"),
            "dot" => out.push('.'),
            "dash" => out.push('-'),
            "slash" => out.push('/'),
            reserved if RESERVED.contains(&reserved) && word.len() + 4 == name.len() => {
                out.push_str(reserved);
            }
            _ => return None,
        }
        rest = &inside[end + 2..];
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn names_are_unescaped() {
        for (escaped, plain) in [
            ("a_b", Some("a_b")),
            ("foo__dash__bar", Some("foo-bar")),
            ("a__dot__b__slash__c", Some("a.b/c")),
            ("__namespace__", Some("namespace")),
            ("a__underscores__b", Some("a__b")),
            ("__other__", None),
            ("a__b", Some("a__b")),
        ] {
            assert_eq!(unescaped(escaped).as_deref(), plain, "{escaped}");
        }
    }
}
