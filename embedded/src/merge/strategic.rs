//! Strategic merge patches: merge patches that also merge lists, by the keys of built-in types.
//!
//! The directives are `$patch` (replace, delete), `$retainKeys`, `$deleteFromPrimitiveList/FIELD`
//! and `$setElementOrder/FIELD`. Custom resources do not understand such patches.

use serde_json::{Map, Value};

use super::json;
use super::shape::{Patch, Shape, View};
use super::typed::go_plain;
use crate::status::Status;

type Object = Map<String, Value>;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const ELEMENT_ORDER: &str = "$setElementOrder";

/// Applies a strategic merge patch. The object is undefined after an error.
pub fn strategic_patch(object: &mut Value, patch: &Value, shape: &Shape) -> Result<(), Status> {
    if !shape.built_in {
        return Err(Status::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, \
             application/apply-patch+yaml",
        ));
    }
    let patch = match patch {
        Value::Null => return Ok(()),
        Value::Object(patch) => patch.clone(),
        other => {
            return Err(Status::bad_request(json::no_value_of(
                other,
                "map[string]interface {}",
            )));
        }
    };
    let Value::Object(fields) = object else {
        return Err(Status::bad_request("invalid JSON document"));
    };
    merge_map(fields, patch, Some(shape.view())).map_err(Failure::into_status)
}

/// Why a patch cannot be applied.
enum Failure {
    /// It is not well formed.
    Malformed(&'static str),
    /// It cannot be applied to anything.
    Rejected,
    /// It cannot be applied to this object.
    Other(String),
}

impl Failure {
    fn into_status(self) -> Status {
        match self {
            Self::Malformed(message) => Status::bad_request(message),
            Self::Rejected => json::rejected(),
            Self::Other(message) => Status::new(500, "", message),
        }
    }

    fn no_merge_key(map: &Object, key: &str) -> Self {
        Self::Other(format!(
            "map: {} does not contain declared merge key: {key}",
            go_plain(&Value::Object(map.clone()))
        ))
    }

    fn wrong_type(expected: &str, actual: &Value) -> Self {
        let actual = match actual {
            Value::Null => "%!s(<nil>)",
            Value::Bool(_) => "bool",
            Value::Number(number) if number.is_f64() => "float64",
            Value::Number(_) => "int64",
            Value::String(_) => "string",
            Value::Array(_) => LIST,
            Value::Object(_) => MAP,
        };
        Self::Other(format!("expected a {expected}, but received a {actual}"))
    }

    fn unknown_directive(directive: &Value, map: &Object) -> Self {
        Self::Other(format!(
            "unknown patch type: {} in map: {}",
            go_plain(directive),
            go_plain(&Value::Object(map.clone()))
        ))
    }
}

const MAP: &str = "map[string]interface {}";
const LIST: &str = "[]interface {}";
const BAD_PRIMITIVE_LIST: Failure = Failure::Malformed("invalid patch format of primitive list");
const BAD_RETAIN_KEYS: Failure = Failure::Malformed("invalid patch format of retainKeys");
const BAD_ORDER: Failure = Failure::Malformed("invalid patch format of setElementOrder list");

fn merge_map(
    original: &mut Object,
    mut patch: Object,
    view: Option<View<'_>>,
) -> Result<(), Failure> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        match directive.as_str() {
            Some("replace") => {
                patch.remove(DIRECTIVE);
                *original = patch;
            }
            Some("delete") => original.clear(),
            _ => return Err(Failure::unknown_directive(directive, &patch)),
        }
        return Ok(());
    }
    retain_keys(original, &mut patch)?;
    set_element_order(original, &mut patch, view)?;
    for (name, value) in patch {
        if name.starts_with(DELETE_FROM) {
            let field = target(&name, DELETE_FROM).ok_or(BAD_PRIMITIVE_LIST)?;
            delete_from_list(original, field, value)?;
            continue;
        }
        if value.is_null() {
            original.remove(&name);
            continue;
        }
        let merged = match (original.remove(&name), value) {
            (Some(Value::Object(mut inner)), Value::Object(value)) => {
                let (below, strategy) = look_up(view, &name)?;
                if strategy == Patch::Replace {
                    Some(Value::Object(value))
                } else {
                    merge_map(&mut inner, value, below)?;
                    Some(Value::Object(inner))
                }
            }
            (Some(Value::Array(inner)), Value::Array(value)) => {
                let (below, strategy) = look_up_list(view, &name)?;
                let merged = merge_field(inner, value, below, &strategy)?;
                Some(Value::Array(merged.list))
            }
            (Some(_), value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => {
                Some(value)
            }
            (_, value) => without_directives(without_nulls(value)),
        };
        if let Some(merged) = merged {
            original.insert(name, merged);
        }
    }
    Ok(())
}

/// Name of the field that a directive such as `$setElementOrder/ports` is about.
fn target<'a>(name: &'a str, directive: &str) -> Option<&'a str> {
    name.split_once('/')
        .filter(|(prefix, _)| *prefix == directive)
        .map(|(_, field)| field)
}

fn look_up<'a>(view: Option<View<'a>>, name: &str) -> Result<(Option<View<'a>>, Patch), Failure> {
    let Some(view) = view else {
        return Ok((None, Patch::Unset));
    };
    let Some(map) = view.atom().map.as_ref() else {
        return Ok((None, Patch::Unset));
    };
    match (map.fields.get(name), map.rest) {
        (Some(field), _) => Ok((Some(view.at(field.id)), field.patch.clone())),
        (None, Some(rest)) => Ok((Some(view.at(rest)), Patch::Unset)),
        (None, None) => Err(Failure::Other(format!(
            "unable to find api field in struct {} for the json field \"{name}\"",
            map.name
        ))),
    }
}

/// Type of the entries of a list.
fn look_up_list<'a>(
    view: Option<View<'a>>,
    name: &str,
) -> Result<(Option<View<'a>>, Patch), Failure> {
    let (list, patch) = look_up(view, name)?;
    let item = list.and_then(|list| Some(list.item(list.atom().list.as_ref()?)));
    Ok((item, patch))
}

/// Clears what the patch does not name, if it says so.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), Failure> {
    let Some(retained) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let Value::Array(retained) = retained else {
        return Err(BAD_RETAIN_KEYS);
    };
    let kept = |name: &String| retained.iter().any(|kept| kept.as_str() == Some(name));
    let unnamed = patch.iter().any(|(name, value)| {
        let directive = name.starts_with(DELETE_FROM) || name.starts_with(ELEMENT_ORDER);
        !value.is_null() && !directive && !kept(name)
    });
    if unnamed {
        return Err(BAD_RETAIN_KEYS);
    }
    original.retain(|name, _| kept(name));
    Ok(())
}

/// Merges the lists whose order the patch gives, and takes them out of the patch.
fn set_element_order(
    original: &mut Object,
    patch: &mut Object,
    view: Option<View<'_>>,
) -> Result<(), Failure> {
    let directives: Vec<String> = patch
        .keys()
        .filter(|name| name.starts_with(ELEMENT_ORDER))
        .cloned()
        .collect();
    for directive in directives {
        let order = match patch.remove(&directive) {
            Some(Value::Array(order)) => order,
            Some(other) => return Err(Failure::wrong_type(LIST, &other)),
            None => continue,
        };
        let name = target(&directive, ELEMENT_ORDER).ok_or(BAD_ORDER)?;
        let list_of = |object: &Object| match object.get(name) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list.clone())),
            Some(other) => Err(Failure::wrong_type(LIST, other)),
        };
        let live = list_of(original)?;
        let patched = list_of(patch)?;
        let (item, strategy) = look_up_list(view, name)?;
        let key = match &strategy {
            Patch::Merge(key) => key.as_str(),
            Patch::Unset | Patch::Replace => "",
        };
        check_order(patched.as_deref().unwrap_or_default(), &order, key)?;
        let elements = [
            live.as_deref().unwrap_or_default(),
            patched.as_deref().unwrap_or_default(),
        ];
        let kind = ElementKind::of(elements);
        let (merged, server_order) = match (live, patched) {
            (None, None) => continue,
            (Some(live), None) => (live.clone(), live),
            (None, Some(patched)) => match without_directives(Value::Array(patched)) {
                Some(Value::Array(list)) => (list, Vec::new()),
                _ => continue,
            },
            (Some(live), Some(patched)) => {
                let merged = merge_field(live, patched, item, &strategy)?;
                (merged.list, merged.server_order)
            }
        };
        let kind = kind?;
        let (ordered, rest) = partition(merged, &order, key)?;
        let sorted = interleave(ordered, rest, &order, &server_order, key, kind)?;
        original.insert(name.to_owned(), Value::Array(sorted));
        patch.remove(name);
    }
    Ok(())
}

/// The patched entries must be in the order that the patch itself gives.
fn check_order(patched: &[Value], order: &[Value], key: &str) -> Result<(), Failure> {
    if patched.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut entries = Vec::with_capacity(patched.len());
    for entry in patched {
        if key.is_empty() {
            entries.push(entry);
            continue;
        }
        let map = entry
            .as_object()
            .ok_or_else(|| Failure::wrong_type(MAP, entry))?;
        if map.get(DIRECTIVE).and_then(Value::as_str) != Some("delete") {
            entries.push(entry);
        }
    }
    let mut entries = entries.into_iter().peekable();
    let mut wanted = order.iter();
    while let Some(entry) = entries.peek() {
        if entry.get(DIRECTIVE).is_some() && !wanted.as_slice().is_empty() {
            entries.next();
            continue;
        }
        let Some(next) = wanted.next() else {
            let shown = |list: &[Value]| go_plain(&Value::Array(list.to_vec()));
            return Err(Failure::Other(format!(
                "The order in patch list:\n{}\n doesn't match {ELEMENT_ORDER} list:\n{}\n",
                shown(patched),
                shown(order)
            )));
        };
        if same_key(entry, next, key)? {
            entries.next();
        }
    }
    Ok(())
}

fn same_key(left: &Value, right: &Value, key: &str) -> Result<bool, Failure> {
    if key.is_empty() {
        return Ok(left == right);
    }
    Ok(key_of(left, key)? == key_of(right, key)?)
}

fn key_of<'a>(entry: &'a Value, key: &str) -> Result<&'a Value, Failure> {
    let map = entry
        .as_object()
        .ok_or_else(|| Failure::wrong_type(MAP, entry))?;
    map.get(key).ok_or_else(|| Failure::no_merge_key(map, key))
}

/// What the entries of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ElementKind {
    Objects,
    Plain,
}

impl ElementKind {
    /// All entries must be of one type, and none a list.
    fn of(lists: [&[Value]; 2]) -> Result<Self, Failure> {
        let mut entries = lists.into_iter().flatten();
        let Some(first) = entries.next() else {
            return Err(Failure::Other(
                "no elements in any of the given slices".to_owned(),
            ));
        };
        if first.is_array() {
            return Err(Failure::Rejected);
        }
        if entries.any(|other| std::mem::discriminant(other) != std::mem::discriminant(first)) {
            let shown: Vec<String> = lists
                .into_iter()
                .map(|list| go_plain(&Value::Array(list.to_vec())))
                .collect();
            return Err(Failure::Other(format!(
                "list element types are not identical: [{}]",
                shown.join(" ")
            )));
        }
        Ok(if first.is_object() {
            Self::Objects
        } else {
            Self::Plain
        })
    }
}

fn delete_from_list(original: &mut Object, field: &str, gone: Value) -> Result<(), Failure> {
    match (original.get_mut(field), gone) {
        (Some(Value::Array(list)), Value::Array(gone)) => {
            if !list.is_empty() || !gone.is_empty() {
                ElementKind::of([list, &gone])?;
            }
            list.retain(|entry| !gone.contains(entry));
        }
        (Some(_), Value::Null) => {
            original.remove(field);
        }
        _ => {}
    }
    Ok(())
}

/// A list that was merged.
struct Merged {
    list: Vec<Value>,
    /// The order of the stored list to sort by later. It is that list as the merge of the API
    /// server leaves its memory: entries that went are overwritten by those that came.
    server_order: Vec<Value>,
}

/// Merges a list into one that is there, as the strategy of the field says.
fn merge_field(
    original: Vec<Value>,
    patch: Vec<Value>,
    item: Option<View<'_>>,
    strategy: &Patch,
) -> Result<Merged, Failure> {
    let Patch::Merge(key) = strategy else {
        return Ok(Merged {
            list: patch,
            server_order: original,
        });
    };
    if original.is_empty() && patch.is_empty() {
        return Ok(Merged {
            list: Vec::new(),
            server_order: original,
        });
    }
    let kind = ElementKind::of([&original, &patch])?;
    if kind == ElementKind::Plain {
        let mut merged = original.clone();
        merged.extend(patch.iter().cloned());
        let (patched, rest) = partition(deduplicated(merged), &patch, key)?;
        return Ok(Merged {
            list: interleave(patched, rest, &patch, &original, key, kind)?,
            server_order: original,
        });
    }
    if key.is_empty() {
        return Err(Failure::Other(
            "cannot merge lists without merge key for struct".to_owned(),
        ));
    }
    let Directed {
        base,
        patch,
        mut memory,
    } = apply_directives(original, patch, key)?;
    let merged = merge_entries(base.clone(), &patch, key, item)?;
    let slots = memory.iter_mut().skip(base.len());
    for (slot, entry) in slots.zip(merged.iter().skip(base.len())) {
        *slot = entry.clone();
    }
    let (patched, rest) = partition(merged, &patch, key)?;
    Ok(Merged {
        list: interleave(patched, rest, &patch, &base, key, kind)?,
        server_order: memory,
    })
}

/// Removes duplicates; the last entry takes the place of each that goes.
fn deduplicated(mut list: Vec<Value>) -> Vec<Value> {
    let mut first = 0;
    while first < list.len() {
        let mut other = first + 1;
        while other < list.len() {
            if list[first] == list[other] {
                list.swap_remove(other);
            } else {
                other += 1;
            }
        }
        first += 1;
    }
    list
}

/// Lists whose directives are carried out.
struct Directed {
    /// What is merged into.
    base: Vec<Value>,
    patch: Vec<Value>,
    /// The stored list with entries moved over those that were deleted, at its old length.
    memory: Vec<Value>,
}

/// Carries out the directives in a list.
fn apply_directives(
    original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<Directed, Failure> {
    let mut memory = original;
    let mut length = memory.len();
    let mut plain = Vec::new();
    let mut replace = false;
    for entry in patch {
        let Some(map) = entry.as_object() else {
            return Err(Failure::wrong_type(MAP, &entry));
        };
        let Some(directive) = map.get(DIRECTIVE) else {
            plain.push(entry);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let gone = map
                    .get(key)
                    .ok_or_else(|| Failure::no_merge_key(map, key))?;
                while let Some(position) = memory
                    .iter()
                    .take(length)
                    .position(|known| known.get(key) == Some(gone))
                {
                    // The last entry stays where it was, too.
                    memory.insert(length, memory[length - 1].clone());
                    memory.remove(position);
                    length -= 1;
                }
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(Failure::Other(
                    "merging lists cannot yet be specified in the patch".to_owned(),
                ));
            }
            _ => return Err(Failure::unknown_directive(directive, map)),
        }
    }
    Ok(if replace {
        Directed {
            base: plain,
            patch: Vec::new(),
            memory,
        }
    } else {
        Directed {
            base: memory.iter().take(length).cloned().collect(),
            patch: plain,
            memory,
        }
    })
}

fn merge_entries(
    mut original: Vec<Value>,
    patch: &[Value],
    key: &str,
    item: Option<View<'_>>,
) -> Result<Vec<Value>, Failure> {
    for entry in patch {
        let wanted = key_of(entry, key)?;
        let known = original
            .iter_mut()
            .find(|known| known.get(key) == Some(wanted));
        match (known, entry) {
            (Some(Value::Object(known)), Value::Object(entry)) => {
                merge_map(known, entry.clone(), item)?;
            }
            _ => original.push(entry.clone()),
        }
    }
    Ok(original)
}

/// Splits a list into the entries that `by` has too, and the others.
fn partition(
    list: Vec<Value>,
    by: &[Value],
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), Failure> {
    let mut common = Vec::new();
    let mut rest = Vec::new();
    for entry in list {
        let known = if key.is_empty() {
            by.contains(&entry)
        } else {
            let wanted = key_of(&entry, key)?;
            by.iter().any(|other| other.get(key) == Some(wanted))
        };
        if known {
            common.push(entry);
        } else {
            rest.push(entry);
        }
    }
    Ok((common, rest))
}

/// Brings the entries of the patch into its order, the others into theirs, and puts the others
/// between them where they were.
fn interleave(
    mut patched: Vec<Value>,
    mut rest: Vec<Value>,
    patch_order: &[Value],
    server_order: &[Value],
    key: &str,
    kind: ElementKind,
) -> Result<Vec<Value>, Failure> {
    if kind == ElementKind::Objects {
        for entry in patched
            .iter()
            .chain(patch_order)
            .chain(&rest)
            .chain(server_order)
        {
            key_of(entry, key)?;
        }
    }
    let index = |order: &[Value], entry: &Value| {
        order.iter().position(|other| match kind {
            ElementKind::Objects => other.get(key) == entry.get(key),
            ElementKind::Plain => other == entry,
        })
    };
    patched.sort_by_key(|entry| index(patch_order, entry));
    rest.sort_by_key(|entry| index(server_order, entry));
    let mut merged = Vec::with_capacity(patched.len() + rest.len());
    let mut patched = patched.into_iter().peekable();
    let mut rest = rest.into_iter().peekable();
    while let (Some(left), Some(right)) = (rest.peek(), patched.peek()) {
        let before = match (index(server_order, left), index(server_order, right)) {
            (Some(left), Some(right)) => left < right,
            _ => false,
        };
        merged.extend(if before { rest.next() } else { patched.next() });
    }
    merged.extend(patched);
    merged.extend(rest);
    Ok(merged)
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// A value without objects that are directives; none if it is one itself.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => None,
        Value::Object(fields) => Some(Value::Object(
            fields
                .into_iter()
                .filter_map(|(name, value)| Some((name, without_directives(value)?)))
                .collect(),
        )),
        Value::Array(items) => Some(Value::Array(
            items.into_iter().filter_map(without_directives).collect(),
        )),
        other => Some(other),
    }
}
