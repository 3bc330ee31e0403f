//! What structured-merge-diff does with values of a shape: check them, list their fields, lay one
//! over another, take fields out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::fields::{self, Fields};
use super::shape::{Atom, Form, List, Map, Rule, Scalar, View};

/// Why a value does not fit its shape, in the words of the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Problem {
    /// Each with the path where it is.
    found: Vec<(String, String)>,
}

impl Problem {
    fn new(message: impl Into<String>) -> Self {
        Self {
            found: vec![(String::new(), message.into())],
        }
    }

    pub(super) fn note(&mut self, message: String) {
        self.found.push((String::new(), message));
    }

    fn join(&mut self, other: Self) {
        self.found.extend(other.found);
    }

    fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The same problem, seen from one level above.
    pub(super) fn below(mut self, element: &str) -> Self {
        for (path, _) in &mut self.found {
            path.insert_str(0, element);
        }
        self
    }

    fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |(path, message): &(String, String)| {
            if path.is_empty() {
                message.clone()
            } else {
                format!("{path}: {message}")
            }
        };
        match self.found.as_slice() {
            [single] => out.write_str(&one(single)),
            several => {
                out.write_str("errors:")?;
                several
                    .iter()
                    .try_for_each(|problem| write!(out, "\n  {}", one(problem)))
            }
        }
    }
}

/// Whether two values are equal; numbers by their value, however they are written.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || left.as_f64() == right.as_f64()
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(name, value)| right.get(name).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

/// What is wrong with a plain value, if anything.
pub(super) fn check_scalar(scalar: Scalar, value: &Value, side: &str) -> Option<String> {
    let expected = match (scalar, value) {
        (_, Value::Null)
        | (Scalar::Numeric, Value::Number(_))
        | (Scalar::Text, Value::String(_))
        | (Scalar::Boolean, Value::Bool(_))
        | (Scalar::Untyped, Value::Number(_) | Value::String(_) | Value::Bool(_)) => return None,
        (Scalar::Numeric, _) => format!("numeric (int or float), got {}", go_type(value)),
        (Scalar::Text, _) => format!(
            "string, got &value.valueUnstructured{{Value:{}}}",
            go_syntax(value)
        ),
        (Scalar::Boolean, _) => format!("boolean, got &{{{}}}", go_plain(value)),
        (Scalar::Untyped, _) => format!("any scalar, got &{{{}}}", go_plain(value)),
    };
    Some(format!("{side}expected {expected}"))
}

/// The Go type of a value, as `%T` writes it.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A value as Go's `%v` writes it.
pub(super) fn go_plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_plain).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(name, value)| format!("{name}:{}", go_plain(value)))
                .collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}

/// A value as Go's `%#v` writes it.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => fields::quoted(text),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(name, value)| format!("{}:{}", fields::quoted(name), go_syntax(value)))
                .collect();
            format!("map[string]interface {{}}{{{}}}", entries.join(", "))
        }
    }
}

/// An entry of a list with the name of its path element.
pub(super) struct Entry<'a> {
    pub(super) name: String,
    pub(super) value: &'a Value,
}

/// The entries of a list whose entries have owners of their own.
pub(super) fn entries<'a>(
    view: View<'_>,
    list: &List,
    items: Option<&'a Vec<Value>>,
) -> Result<Vec<Entry<'a>>, Problem> {
    let mut problem = Problem::default();
    let mut entries = Vec::new();
    for (position, value) in items.into_iter().flatten().enumerate() {
        match entry_name(view, list, value) {
            Ok(name) => entries.push(Entry { name, value }),
            Err(message) => problem.note(format!("element {position}: {message}")),
        }
    }
    problem.into_result().map(|()| entries)
}

fn entry_name(view: View<'_>, list: &List, value: &Value) -> Result<String, String> {
    match &list.rule {
        Rule::Atomic => Err("invalid indexing of non-associative list".to_owned()),
        Rule::Set => match value {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            Value::Array(_) => {
                Err("not supported: associative list with lists as elements".to_owned())
            }
            Value::Null => Err(
                "associative list without keys has an element that's an explicit null".to_owned(),
            ),
            _ => Ok(fields::value_name(value)),
        },
        Rule::Keyed(names) => {
            let Value::Object(entry) = value else {
                let kind = if value.is_null() {
                    "a null element"
                } else {
                    "non-map elements"
                };
                return Err(format!("associative list with keys may not have {kind}"));
            };
            let known = view.item(list).atom().map.as_ref().map(|map| &map.fields);
            let default = |name: &str| {
                known
                    .and_then(|known| known.get(name))
                    .and_then(|field| field.default.as_ref())
                    .filter(|default| !default.is_null())
            };
            let mut keys: Vec<(&str, &Value)> = names
                .iter()
                .filter_map(|name| {
                    let value = entry.get(name).or_else(|| default(name))?;
                    Some((name.as_str(), value))
                })
                .collect();
            if keys.is_empty() && !names.is_empty() {
                let names: Vec<String> = names.iter().map(|name| fields::quoted(name)).collect();
                return Err(format!(
                    "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                    names.join(" ")
                ));
            }
            keys.sort_by_key(|(name, _)| *name);
            Ok(fields::key_name(&keys))
        }
    }
}

/// The element as it is shown in errors, `.name` or `[name="x"]`.
fn shown(name: &str) -> String {
    match fields::Element::parse(name) {
        fields::Parsed::Known(element) => element.to_string(),
        fields::Parsed::Unknown | fields::Parsed::Broken => String::new(),
    }
}

/// Checks that a value fits, and that no list that is a set has an entry twice.
pub(super) fn validate(view: View<'_>, value: &Value) -> Result<(), Problem> {
    match view.form(view.choice(Some(value))) {
        Some(Form::Scalar(scalar)) => match check_scalar(scalar, value, "") {
            Some(message) => Err(Problem::new(message)),
            None => Ok(()),
        },
        Some(Form::List(list)) => validate_list(view, list, value),
        Some(Form::Map(map)) => validate_map(view, map, value),
        None => Err(Problem::new("schema error: invalid atom: inlined")),
    }
}

fn validate_list(view: View<'_>, list: &List, value: &Value) -> Result<(), Problem> {
    let items = match value {
        Value::Null => return Ok(()),
        Value::Array(items) => items,
        _ => {
            return Err(Problem::new(format!(
                "expected list, got &{{{}}}",
                go_plain(value)
            )));
        }
    };
    let mut problem = Problem::default();
    let mut seen = BTreeSet::new();
    for (position, item) in items.iter().enumerate() {
        let element = if list.rule == Rule::Atomic {
            format!("[{position}]")
        } else {
            match entry_name(view, list, item) {
                Ok(name) => {
                    let element = shown(&name);
                    if !seen.insert(name) {
                        problem.note(format!("duplicate entries for key {element}"));
                    }
                    element
                }
                Err(message) => {
                    // Without a name nothing below can be reported.
                    problem.note(format!("element {position}: {message}"));
                    return Err(problem);
                }
            }
        };
        if let Err(inner) = validate(view.item(list), item) {
            problem.join(inner.below(&element));
        }
    }
    problem.into_result()
}

fn validate_map(view: View<'_>, map: &Map, value: &Value) -> Result<(), Problem> {
    let entries = match value {
        Value::Null => return Ok(()),
        Value::Object(entries) => entries,
        _ => {
            return Err(Problem::new(format!(
                "expected map, got &{{{}}}",
                go_plain(value)
            )));
        }
    };
    let mut problem = Problem::default();
    for (name, value) in entries {
        let element = format!(".{name}");
        let Some(below) = view.field(map, name) else {
            problem.join(Problem::new("field not declared in schema").below(&element));
            break;
        };
        if let Err(inner) = validate(below, value) {
            problem.join(inner.below(&element));
        }
    }
    problem.into_result()
}

/// Every field that a value has.
pub(super) fn to_fields(view: View<'_>, value: &Value) -> Fields {
    let mut found = Fields::new();
    list_fields(view, value, &mut found);
    found
}

/// Adds the fields below a path; whether the path itself is one of them.
fn list_fields(view: View<'_>, value: &Value, found: &mut Fields) -> bool {
    match view.form(view.choice(Some(value))) {
        Some(Form::Scalar(_)) => true,
        Some(Form::List(list)) => {
            if list.rule == Rule::Atomic {
                return true;
            }
            let entries = entries(view, list, value.as_array()).unwrap_or_default();
            let mut count: BTreeMap<&str, usize> = BTreeMap::new();
            for entry in &entries {
                *count.entry(&entry.name).or_default() += 1;
            }
            for Entry { name, value } in &entries {
                let mut below = Fields::new();
                if count.get(name.as_str()) == Some(&1) {
                    list_fields(view.item(list), value, &mut below);
                }
                fields::attach(found, || name.clone(), below, true);
            }
            false
        }
        Some(Form::Map(map)) => {
            if map.atomic {
                return true;
            }
            for (name, value) in value.as_object().into_iter().flatten() {
                let mut below = Fields::new();
                let own = view
                    .field(map, name)
                    .is_some_and(|view| list_fields(view, value, &mut below));
                let empty = match value {
                    Value::Null => true,
                    Value::Object(value) => value.is_empty(),
                    _ => false,
                };
                let own = own || empty || !map.fields.contains_key(name);
                fields::attach(found, || fields::field_name(name), below, own);
            }
            false
        }
        None => false,
    }
}

/// Lays `over` on top of `base`: what both have is taken from `over`, entry by entry.
pub(super) fn merge(
    view: View<'_>,
    base: Option<&Value>,
    over: Option<&Value>,
) -> Result<Option<Value>, Problem> {
    let left = view.choice(base);
    let right = view.choice(over);
    if over.is_none() {
        return merge_form(view, view.form(left), base, over);
    }
    if base.is_some() && left != right {
        merge_form(view, view.form(left), base, over)?;
    }
    merge_form(view, view.form(right), base, over)
}

fn merge_form(
    view: View<'_>,
    form: Option<Form<'_>>,
    base: Option<&Value>,
    over: Option<&Value>,
) -> Result<Option<Value>, Problem> {
    let whole = || Ok(over.or(base).cloned());
    match form {
        Some(Form::Scalar(scalar)) => {
            let wrong = |value: Option<&Value>, side| {
                value.and_then(|value| check_scalar(scalar, value, side))
            };
            if let (Some(left), Some(right)) = (wrong(base, "lhs: "), wrong(over, "rhs: ")) {
                let mut problem = Problem::new(left);
                problem.note(right);
                return Err(problem);
            }
            whole()
        }
        Some(Form::List(list)) => {
            let base_items = base.and_then(Value::as_array);
            let over_items = over.and_then(Value::as_array);
            let empty =
                base_items.is_none_or(Vec::is_empty) && over_items.is_none_or(Vec::is_empty);
            if list.rule == Rule::Atomic || empty {
                return whole();
            }
            merge_lists(view, list, base_items, over_items)
        }
        Some(Form::Map(map)) => {
            let base_fields = base.and_then(Value::as_object);
            let over_fields = over.and_then(Value::as_object);
            let empty = base_fields.is_none_or(Fields::is_empty)
                && over_fields.is_none_or(Fields::is_empty);
            if map.atomic || empty {
                return whole();
            }
            let mut merged = Fields::new();
            let names: BTreeSet<&String> = base_fields
                .into_iter()
                .chain(over_fields)
                .flat_map(Fields::keys)
                .collect();
            for name in names {
                let of = |fields: Option<&'_ Fields>| {
                    fields.and_then(|fields| fields.get(name)).cloned()
                };
                let (base, over) = (of(base_fields), of(over_fields));
                let value = match view.field(map, name) {
                    Some(below) => merge(below, base.as_ref(), over.as_ref())
                        .map_err(|problem| problem.below(&format!(".{name}")))?,
                    None => over.or(base),
                };
                if let Some(value) = value {
                    merged.insert(name.clone(), value);
                }
            }
            Ok((!merged.is_empty()).then_some(Value::Object(merged)))
        }
        None => Ok(None),
    }
}

/// Merges lists whose entries have owners of their own. Entries of `over` keep their order; those
/// that only `base` has stay where they are between the common ones.
fn merge_lists(
    view: View<'_>,
    list: &List,
    base: Option<&Vec<Value>>,
    over: Option<&Vec<Value>>,
) -> Result<Option<Value>, Problem> {
    let right = entries(view, list, over)?;
    let left = entries(view, list, base)?;
    let mut in_right: BTreeMap<&str, &Value> = BTreeMap::new();
    for entry in &right {
        if in_right.insert(&entry.name, entry.value).is_some() {
            return Err(Problem::new(format!(
                "duplicate entries for key {}",
                shown(&entry.name)
            )));
        }
    }
    // An entry that is there several times is not merged: null stands for all of them.
    let mut in_left: BTreeMap<&str, &Value> = BTreeMap::new();
    for entry in &left {
        in_left
            .entry(&entry.name)
            .and_modify(|value| *value = &Value::Null)
            .or_insert(entry.value);
    }
    let mut shared = right
        .iter()
        .map(|entry| entry.name.as_str())
        .filter(|name| in_left.contains_key(name));
    let mut next_shared = shared.next();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut merged = Vec::new();
    let mut push = |name: &str, base: Option<&Value>, over: Option<&Value>| {
        merge(view.item(list), base, over)
            .map(|value| merged.extend(value))
            .map_err(|problem| problem.below(&shown(name)))
    };
    let (mut left_at, mut right_at) = (0, 0);
    while left_at < left.len() || right_at < right.len() {
        if let (Some(base), Some(over)) = (left.get(left_at), right.get(right_at)) {
            if base.name == over.name {
                done.insert(&base.name);
                push(
                    &base.name,
                    in_left.get(base.name.as_str()).copied(),
                    Some(over.value),
                )?;
                left_at += 1;
                right_at += 1;
                next_shared = shared.next();
                continue;
            }
            let wanted = next_shared.is_some_and(|next| next != base.name);
            if in_right.contains_key(base.name.as_str()) && wanted {
                // A common entry, but not the next one of `over`: it comes in its place.
                left_at += 1;
                continue;
            }
        }
        if let Some(base) = left.get(left_at) {
            if !in_right.contains_key(base.name.as_str()) {
                push(&base.name, Some(base.value), None)?;
                left_at += 1;
                continue;
            }
            if done.contains(base.name.as_str()) {
                left_at += 1;
            }
        }
        if let Some(over) = right.get(right_at) {
            done.insert(&over.name);
            push(
                &over.name,
                in_left.get(over.name.as_str()).copied(),
                Some(over.value),
            )?;
            right_at += 1;
            if next_shared == Some(over.name.as_str()) {
                next_shared = shared.next();
            }
        }
    }
    Ok((!merged.is_empty()).then_some(Value::Array(merged)))
}

/// The value without the fields of a set. Null is left of an object or list that loses its last
/// entry.
pub(super) fn remove(view: View<'_>, value: &Value, gone: &Fields) -> Value {
    match view.form(view.choice(Some(value))) {
        Some(Form::Scalar(_)) => value.clone(),
        Some(Form::List(list)) => {
            let Some(items) = value.as_array().filter(|_| list.rule != Rule::Atomic) else {
                return Value::Null;
            };
            let kept: Vec<Value> = items
                .iter()
                .filter_map(|item| {
                    let name = entry_name(view, list, item).unwrap_or_default();
                    remove_at(view.item(list), item, gone, &name)
                })
                .collect();
            if kept.is_empty() {
                Value::Null
            } else {
                Value::Array(kept)
            }
        }
        Some(Form::Map(map)) => {
            let Some(entries) = value.as_object().filter(|_| !map.atomic) else {
                return Value::Null;
            };
            let kept: Fields = entries
                .iter()
                .filter_map(|(name, item)| {
                    let element = fields::field_name(name);
                    let left = match view.field(map, name) {
                        Some(below) => remove_at(below, item, gone, &element)?,
                        None => item.clone(),
                    };
                    Some((name.clone(), left))
                })
                .collect();
            if kept.is_empty() {
                Value::Null
            } else {
                Value::Object(kept)
            }
        }
        None => Value::Null,
    }
}

fn remove_at(view: View<'_>, value: &Value, gone: &Fields, name: &str) -> Option<Value> {
    match fields::look_up(gone, name) {
        (true, _) => None,
        (false, Some(below)) => Some(remove(view, value, below)),
        (false, None) => Some(value.clone()),
    }
}

/// The set with every named field that leads to a member as a member too.
pub(super) fn with_named_fields(view: View<'_>, set: &Fields) -> Fields {
    let mut found = Fields::new();
    let atom = view.atom();
    for (name, node) in set.iter().filter(|(name, _)| *name != ".") {
        let (own, below) = fields::look_up(set, name);
        let field = name.strip_prefix("f:");
        let named = field.is_some_and(|field| {
            atom.map
                .as_ref()
                .is_some_and(|map| map.fields.contains_key(field))
        });
        let next = match (field, &atom.map, &atom.list) {
            (Some(field), Some(map), _) => view.field(map, field),
            (None, _, Some(list)) => Some(view.item(list)),
            _ => None,
        };
        let inner = match (next, below) {
            (Some(next), Some(below)) => with_named_fields(next, below),
            (None, Some(below)) => below.clone(),
            (_, None) => Fields::new(),
        };
        let own = own || (named && below.is_some());
        debug_assert!(node.is_object(), "sets are trees of objects");
        let mut inner = inner;
        inner.remove(".");
        fields::attach(&mut found, || name.clone(), inner, own);
    }
    found
}

/// Makes a set that was recorded before a schema changed one of the shape: what is one unit now is
/// owned as a whole by those who owned parts of it.
pub(super) fn settle(view: View<'_>, set: &mut Fields) {
    let atom = view.atom();
    for (name, node) in set.iter_mut() {
        let below = match (name.strip_prefix("f:"), &atom.map, &atom.list) {
            (Some(field), Some(map), _) => view.field(map, field),
            (None, _, Some(list)) if name != "." => Some(view.item(list)),
            _ => None,
        };
        let (Some(below), Value::Object(fields)) = (below, node) else {
            continue;
        };
        match below.atom() {
            Atom { map: Some(map), .. } if map.atomic => fields.clear(),
            // Values of any type have the owners that they have.
            Atom {
                map: Some(_),
                list: Some(_),
                ..
            } => {}
            Atom {
                map: None,
                list: Some(list),
                ..
            } if list.rule == Rule::Atomic => fields.clear(),
            _ => settle(below, fields),
        }
    }
}
