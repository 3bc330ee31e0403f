//! Sets of fields in the form of `fieldsV1`: what a field manager owns.
//!
//! A set is a tree of JSON objects. The names in it are those of path elements: `f:name` for a
//! field, `k:{…}` for the entry of a list with these keys, `v:…` for the entry of a set, `i:0` for
//! a position. An empty object is a member of the set; an object with content is one only if it
//! contains `.`. Sets are worked on in that form, in place: managed fields are read and written
//! with nearly every request, and mostly changed little.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

/// A set of fields below some path.
pub(super) type Fields = serde_json::Map<String, Value>;

/// Marks an object with content as a member of the set.
const SELF: &str = ".";

/// Whether the path that leads to a node is in the set itself.
fn is_member(node: &Value) -> bool {
    match node {
        Value::Object(below) => below.is_empty() || below.contains_key(SELF),
        _ => true,
    }
}

/// What is in the set below a node.
fn below(node: &Value) -> impl Iterator<Item = (&String, &Value)> {
    node.as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != SELF)
}

/// Adds a path element with what is below it; nothing if neither it nor anything below is a member.
pub(super) fn attach(
    set: &mut Fields,
    name: impl FnOnce() -> String,
    mut below: Fields,
    own: bool,
) {
    if own {
        if !below.is_empty() {
            below.insert(SELF.to_owned(), Value::Object(Fields::new()));
        }
    } else if below.is_empty() {
        return;
    }
    let name = name();
    match set.get_mut(&name) {
        Some(node) => merge_node(node, Value::Object(below)),
        None => {
            set.insert(name, Value::Object(below));
        }
    }
}

/// Adds the members of another set.
pub(super) fn union(set: &mut Fields, other: Fields) {
    for (name, node) in other {
        match set.get_mut(&name) {
            Some(known) => merge_node(known, node),
            None => {
                set.insert(name, node);
            }
        }
    }
}

fn merge_node(node: &mut Value, other: Value) {
    let own = is_member(node) || is_member(&other);
    if let (Value::Object(set), Value::Object(other)) = (node, other) {
        union(set, other);
        if own && !set.is_empty() {
            set.insert(SELF.to_owned(), Value::Object(Fields::new()));
        }
    }
}

/// Removes the members of another set. Members below one that is removed stay.
pub(super) fn subtract(set: &mut Fields, other: &Fields) {
    if set.is_empty() || other.is_empty() {
        return;
    }
    set.retain(|name, node| {
        if name == SELF {
            return true;
        }
        let Some(removed) = other.get(name) else {
            return true;
        };
        let own = is_member(node) && !is_member(removed);
        let Value::Object(set) = node else {
            return own;
        };
        set.remove(SELF);
        if let Value::Object(other) = removed {
            subtract(set, other);
        }
        if set.is_empty() {
            return own;
        }
        if own {
            set.insert(SELF.to_owned(), Value::Object(Fields::new()));
        }
        true
    });
}

/// Members of both sets.
pub(super) fn intersection(set: &Fields, other: &Fields) -> Fields {
    let mut both = Fields::new();
    for (name, node) in set {
        let Some(same) = other.get(name).filter(|_| name != SELF) else {
            continue;
        };
        let below = match (node, same) {
            (Value::Object(set), Value::Object(other)) => intersection(set, other),
            _ => Fields::new(),
        };
        attach(
            &mut both,
            || name.clone(),
            below,
            is_member(node) && is_member(same),
        );
    }
    both
}

/// Whether a path element is in the set, and what is below it.
pub(super) fn look_up<'a>(set: &'a Fields, name: &str) -> (bool, Option<&'a Fields>) {
    match set.get(name) {
        None => (false, None),
        Some(node) => (
            is_member(node),
            node.as_object()
                .filter(|below| below.keys().any(|name| name != SELF)),
        ),
    }
}

/// Removes a field and everything below it. `path` has names of fields.
pub(super) fn remove_below(set: &mut Fields, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let name = format!("f:{first}");
    if rest.is_empty() {
        set.remove(&name);
        return;
    }
    if let Some(Value::Object(below)) = set.get_mut(&name) {
        let own = below.is_empty() || below.contains_key(SELF);
        remove_below(below, rest);
        if !own && below.is_empty() {
            set.remove(&name);
        } else if own && below.len() == 1 {
            below.remove(SELF);
        }
    }
}

/// Names of the fields of metadata that nobody owns.
pub(super) const UNOWNED_METADATA: &[&str] = &[
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
];

/// Removes what nobody owns: the fields that identify the object, and those that the API server
/// writes.
pub(super) fn strip(set: &mut Fields) {
    let member = |name: &str| (format!("f:{name}"), Value::Object(Fields::new()));
    let mut metadata: Fields = UNOWNED_METADATA.iter().map(|name| member(name)).collect();
    metadata.insert(SELF.to_owned(), Value::Object(Fields::new()));
    let mut unowned: Fields = [member("apiVersion"), member("kind")].into_iter().collect();
    unowned.insert("f:metadata".to_owned(), Value::Object(metadata));
    subtract(set, &unowned);
}

/// Name of the path element of a field.
pub(super) fn field_name(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push_str("f:");
    text.push_str(name);
    text
}

/// Name of the path element of an entry of a set.
pub(super) fn value_name(value: &Value) -> String {
    format!("v:{}", json(value))
}

/// Name of the path element of an entry of a list that is keyed by fields, sorted by name.
pub(super) fn key_name(keys: &[(&str, &Value)]) -> String {
    let mut text = "k:{".to_owned();
    for (position, (name, value)) in keys.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        text.push_str(&json(&Value::from(*name)));
        text.push(':');
        text.push_str(&json(value));
    }
    text.push('}');
    text
}

/// JSON as the API server writes it inside of path elements: safe for HTML.
fn json(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    text.chars()
        .map(|letter| match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => format!("\\u{:04x}", u32::from(letter)),
            _ => letter.to_string(),
        })
        .collect()
}

/// A set that a client sent, in the one form that equal sets have; none if it is none.
pub(super) fn normalize(set: &Fields) -> Option<Fields> {
    let mut normal = Fields::new();
    for (name, node) in set {
        let Value::Object(below) = node else {
            return None;
        };
        if name == SELF {
            continue;
        }
        let element = match Element::parse(name) {
            Parsed::Known(element) => element,
            Parsed::Unknown => continue,
            Parsed::Broken => return None,
        };
        let own = is_member(node);
        let below = normalize(below)?;
        let own = own || below.is_empty();
        attach(&mut normal, || element.name(), below, own);
    }
    Some(normal)
}

/// Every member of a set, in the order in which the API server lists them: the members of a level
/// first, then what is below them.
pub(super) fn paths(set: &Fields) -> Vec<FieldPath> {
    let mut found = Vec::new();
    collect(set.iter(), &FieldPath::default(), &mut found);
    found
}

fn collect<'a>(
    set: impl Iterator<Item = (&'a String, &'a Value)>,
    prefix: &FieldPath,
    found: &mut Vec<FieldPath>,
) {
    let mut level: Vec<(Element, &Value)> = set
        .filter_map(|(name, node)| match Element::parse(name) {
            Parsed::Known(element) => Some((element, node)),
            Parsed::Unknown | Parsed::Broken => None,
        })
        .collect();
    level.sort_by(|left, right| left.0.cmp(&right.0));
    for (element, node) in &level {
        if is_member(node) {
            found.push(prefix.with(element.clone()));
        }
    }
    for (element, node) in level {
        collect(below(node), &prefix.with(element), found);
    }
}

/// Way from the root of an object to a field.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct FieldPath(Vec<Element>);

impl FieldPath {
    fn with(&self, element: Element) -> Self {
        let mut path = self.clone();
        path.0.push(element);
        path
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| element.fmt(out))
    }
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Element {
    /// A field of an object.
    Field(String),
    /// The entry of a list with these keys.
    Key(Vec<(String, Value)>),
    /// An entry of a set.
    Value(Value),
    /// A position in a list.
    Index(i64),
}

/// What the name of a path element says.
pub(super) enum Parsed {
    Known(Element),
    /// A kind of element that does not exist yet: to be ignored.
    Unknown,
    Broken,
}

impl Element {
    pub(super) fn parse(name: &str) -> Parsed {
        let Some((kind, text)) = name.split_once(':') else {
            return Parsed::Broken;
        };
        let element = match kind {
            "f" => Some(Self::Field(text.to_owned())),
            "v" => serde_json::from_str(text).ok().map(Self::Value),
            "i" => text.parse().ok().map(Self::Index),
            "k" => serde_json::from_str::<Fields>(text)
                .ok()
                .map(|keys| Self::Key(keys.into_iter().collect())),
            _ if kind.len() == 1 => return Parsed::Unknown,
            _ => None,
        };
        element.map_or(Parsed::Broken, Parsed::Known)
    }

    fn name(&self) -> String {
        match self {
            Self::Field(name) => field_name(name),
            Self::Value(value) => value_name(value),
            Self::Index(index) => format!("i:{index}"),
            Self::Key(keys) => {
                let keys: Vec<(&str, &Value)> = keys
                    .iter()
                    .map(|(name, value)| (name.as_str(), value))
                    .collect();
                key_name(&keys)
            }
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(left), Self::Field(right)) => left.cmp(right),
            (Self::Key(left), Self::Key(right)) => left
                .iter()
                .zip(right)
                .map(|(left, right)| {
                    left.0
                        .cmp(&right.0)
                        .then_with(|| compare(&left.1, &right.1))
                })
                .find(|order| order.is_ne())
                .unwrap_or_else(|| left.len().cmp(&right.len())),
            (Self::Value(left), Self::Value(right)) => compare(left, right),
            (Self::Index(left), Self::Index(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

/// Order of plain values: numbers, texts, booleans, others.
fn compare(left: &Value, right: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) | Value::Object(_) | Value::Null => 3,
    };
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left
                .as_f64()
                .partial_cmp(&right.as_f64())
                .unwrap_or(Ordering::Equal),
        },
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        _ => rank(left).cmp(&rank(right)),
    }
}

impl fmt::Display for Element {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(out, ".{name}"),
            Self::Value(value) => write!(out, "[={}]", shown(value)),
            Self::Index(index) => write!(out, "[{index}]"),
            Self::Key(keys) => {
                out.write_str("[")?;
                for (position, (name, value)) in keys.iter().enumerate() {
                    let comma = if position > 0 { "," } else { "" };
                    write!(out, "{comma}{name}={}", shown(value))?;
                }
                out.write_str("]")
            }
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// A text in quotes as Go's `%q` writes it.
pub(super) fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|letter| match letter {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            _ if letter.is_ascii_control() => format!("\\x{:02x}", u32::from(letter)),
            _ => letter.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}
