//! Which fields of an object changed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::{self, Fields};
use super::shape::{Choice, Form, List, Map, Rule, Scalar, View};
use super::typed::{self, Entry, Problem};

/// Fields that differ between two objects, as sets.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// In the old object only.
    pub(super) removed: Fields,
    /// In the new object only, or in both but different.
    pub(super) changed: Fields,
}

/// What happened to a path itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Removed,
    Changed,
}

impl Comparison {
    pub(super) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Compares two objects, without the fields that nobody owns and without `resets`.
///
/// An error means that the objects do not fit the shape, so that nobody can own parts of them.
pub(super) fn objects(
    view: View<'_>,
    old: &Value,
    new: &Value,
    resets: &[&[&str]],
) -> Result<Comparison, Problem> {
    let mut found = Comparison::default();
    let Some(Form::Map(map)) = view.form(view.choice(Some(new))) else {
        return Ok(found);
    };
    each(old.as_object(), new.as_object(), |name, old, new| {
        if matches!(name, "apiVersion" | "kind") || resets.contains(&[name].as_slice()) {
            return Ok(());
        }
        let Some(below) = view.field(map, name) else {
            return Ok(());
        };
        if name != "metadata" {
            return step(below, old, new, || fields::field_name(name), &mut found);
        }
        let mut inner = Comparison::default();
        let Some(Form::Map(metadata)) = below.form(below.choice(new.or(old))) else {
            return Ok(());
        };
        each(
            old.and_then(Value::as_object),
            new.and_then(Value::as_object),
            |name, old, new| match below.field(metadata, name) {
                Some(below)
                    if !fields::UNOWNED_METADATA.contains(&name)
                        && !resets.contains(&["metadata", name].as_slice()) =>
                {
                    step(below, old, new, || fields::field_name(name), &mut inner)
                }
                _ => Ok(()),
            },
        )?;
        let name = || fields::field_name("metadata");
        fields::attach(&mut found.removed, name, inner.removed, false);
        fields::attach(&mut found.changed, name, inner.changed, false);
        Ok(())
    })?;
    Ok(found)
}

/// Visits the fields of two objects, each name once.
fn each<'a>(
    old: Option<&'a Fields>,
    new: Option<&'a Fields>,
    mut visit: impl FnMut(&str, Option<&'a Value>, Option<&'a Value>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    for (name, value) in old.into_iter().flatten() {
        visit(name, Some(value), new.and_then(|new| new.get(name)))?;
    }
    for (name, value) in new.into_iter().flatten() {
        if old.is_none_or(|old| !old.contains_key(name)) {
            visit(name, None, Some(value))?;
        }
    }
    Ok(())
}

/// Compares what is at one path element, and notes what is found below its name.
fn step(
    view: View<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    name: impl Fn() -> String,
    found: &mut Comparison,
) -> Result<(), Problem> {
    let mut below = Comparison::default();
    let fate = values(view, old, new, &mut below).map_err(|problem| {
        let element = match fields::Element::parse(&name()) {
            fields::Parsed::Known(element) => element.to_string(),
            fields::Parsed::Unknown | fields::Parsed::Broken => String::new(),
        };
        problem.below(&element)
    })?;
    let removed = fate == Fate::Removed;
    let changed = fate == Fate::Changed;
    fields::attach(&mut found.removed, &name, below.removed, removed);
    fields::attach(&mut found.changed, &name, below.changed, changed);
    Ok(())
}

fn values(
    view: View<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Comparison,
) -> Result<Fate, Problem> {
    let left = view.choice(old);
    let right = view.choice(new);
    let (fate, leaf) = if new.is_none() {
        one_form(view, left, old, new, found)?
    } else if old.is_none() || left == right {
        one_form(view, right, old, new, found)?
    } else {
        // The type changed: what the old one had goes, what the new one has comes.
        let (before, _) = one_form(view, left, old, new, found)?;
        let (after, leaf) = one_form(view, right, old, new, found)?;
        (if after == Fate::Kept { before } else { after }, leaf)
    };
    Ok(match (leaf, old, new) {
        (true, ..) | (_, Some(_), Some(_)) => fate,
        (false, None, _) => Fate::Changed,
        (false, Some(_), None) => Fate::Removed,
    })
}

/// Compares by one alternative of the type. Says also whether the value was taken as one unit.
fn one_form(
    view: View<'_>,
    choice: Choice,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Comparison,
) -> Result<(Fate, bool), Problem> {
    match view.form(choice) {
        Some(Form::Scalar(scalar)) => {
            let fits = |value: Option<&Value>| {
                value.is_none_or(|value| typed::check_scalar(scalar, value, "").is_none())
            };
            if !fits(old) && !fits(new) {
                return Err(mismatch(scalar, old, new));
            }
            Ok((leaf(old, new), true))
        }
        Some(Form::List(list)) => {
            let old_items = old.and_then(Value::as_array);
            let new_items = new.and_then(Value::as_array);
            let empty = old_items.is_none_or(Vec::is_empty) && new_items.is_none_or(Vec::is_empty);
            if list.rule == Rule::Atomic || empty {
                return Ok((leaf(old, new), true));
            }
            if old_items != new_items {
                lists(view, list, old_items, new_items, found)?;
            }
            Ok((Fate::Kept, false))
        }
        Some(Form::Map(map)) => {
            let old_fields = old.and_then(Value::as_object);
            let new_fields = new.and_then(Value::as_object);
            let empty =
                old_fields.is_none_or(Fields::is_empty) && new_fields.is_none_or(Fields::is_empty);
            if map.atomic || empty {
                return Ok((leaf(old, new), true));
            }
            maps(view, map, old_fields, new_fields, found)?;
            Ok((Fate::Kept, false))
        }
        None => Ok((Fate::Kept, false)),
    }
}

fn mismatch(scalar: Scalar, old: Option<&Value>, new: Option<&Value>) -> Problem {
    let mut problem = Problem::default();
    for (value, side) in [(old, "lhs: "), (new, "rhs: ")] {
        if let Some(message) = value.and_then(|value| typed::check_scalar(scalar, value, side)) {
            problem.note(message);
        }
    }
    problem
}

fn leaf(old: Option<&Value>, new: Option<&Value>) -> Fate {
    match (old, new) {
        (Some(_), None) => Fate::Removed,
        (Some(old), Some(new)) if typed::same(old, new) => Fate::Kept,
        (None, _) | (Some(_), Some(_)) => Fate::Changed,
    }
}

fn maps(
    view: View<'_>,
    map: &Map,
    old: Option<&Fields>,
    new: Option<&Fields>,
    found: &mut Comparison,
) -> Result<(), Problem> {
    each(old, new, |name, old, new| {
        match view.field(map, name) {
            Some(below) => step(below, old, new, || fields::field_name(name), found),
            // A field that the schema does not have: nobody can own it.
            None => Ok(()),
        }
    })
}

/// Compares lists by entry. Entries that are there several times count as one unit together.
fn lists(
    view: View<'_>,
    list: &List,
    old: Option<&Vec<Value>>,
    new: Option<&Vec<Value>>,
    found: &mut Comparison,
) -> Result<(), Problem> {
    let mut sides: BTreeMap<String, Sides<'_>> = BTreeMap::new();
    for Entry { name, value } in typed::entries(view, list, old)? {
        sides.entry(name).or_default().old.push(value);
    }
    for Entry { name, value } in typed::entries(view, list, new)? {
        sides.entry(name).or_default().new.push(value);
    }
    let item = view.item(list);
    for (name, Sides { old, new }) in sides {
        let named = || name.clone();
        match (old.as_slice(), new.as_slice()) {
            ([] | [_], [] | [_]) => {
                step(
                    item,
                    old.first().copied(),
                    new.first().copied(),
                    named,
                    found,
                )?;
            }
            ([] | [_], _) => {
                if let Some(value) = old.first() {
                    step(item, Some(value), None, named, found)?;
                }
                fields::attach(&mut found.changed, named, Fields::new(), true);
            }
            (_, [] | [_]) => {
                if let Some(value) = new.first() {
                    step(item, None, Some(value), named, found)?;
                }
                fields::attach(&mut found.removed, named, Fields::new(), true);
            }
            (old, new) => {
                let mut pairs = old.iter().zip(new);
                if old.len() != new.len() || !pairs.all(|(old, new)| typed::same(old, new)) {
                    fields::attach(&mut found.changed, named, Fields::new(), true);
                }
            }
        }
    }
    Ok(())
}

/// The entries of one name in both lists.
#[derive(Default)]
struct Sides<'a> {
    old: Vec<&'a Value>,
    new: Vec<&'a Value>,
}
