//! Paths into JSON: `spec.ports[0].name`, `items[*].metadata.name`, `resources[name=pods].verbs`,
//! `metadata.labels['a.example/b']`. An empty path is the whole value.

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

/// A way into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// A member of an object.
    Key(String),
    /// An item of a list.
    Index(usize),
    /// Every item of a list.
    All,
    /// The first item of a list that has a text at a key.
    Where(String, String),
}

impl Path {
    /// Reads a path.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut segments = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let end = inner
                    .find(']')
                    .with_context(|| format!("path {text}: no end of ["))?;
                let (inside, after) = inner.split_at(end);
                segments.push(bracket(inside).with_context(|| format!("path {text}"))?);
                rest = after.get(1..).unwrap_or_default();
            } else {
                rest = rest.strip_prefix('.').unwrap_or(rest);
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (key, after) = rest.split_at(end);
                if key.is_empty() {
                    bail!("path {text}: an empty key");
                }
                segments.push(Segment::Key(key.to_owned()));
                rest = after;
            }
        }
        Ok(Self(segments))
    }

    /// What is there; a list if the path has `[*]`.
    pub(super) fn get(&self, root: &Value) -> Option<Value> {
        fn find(segments: &[Segment], value: &Value) -> Option<Value> {
            let Some((first, rest)) = segments.split_first() else {
                return Some(value.clone());
            };
            match first {
                Segment::All => {
                    let items = value.as_array()?.iter();
                    let found = items.filter_map(|item| find(rest, item));
                    Some(Value::Array(found.collect()))
                }
                one => find(rest, one.place(value)?.of(value)?),
            }
        }
        find(&self.0, root)
    }

    /// Changes what is there, if it is there, at every place if the path has `[*]`.
    pub(super) fn change(&self, root: &mut Value, change: &mut dyn FnMut(&mut Value)) {
        fn visit(segments: &[Segment], value: &mut Value, change: &mut dyn FnMut(&mut Value)) {
            match segments.split_first() {
                None => change(value),
                Some((Segment::All, rest)) => {
                    for item in value.as_array_mut().into_iter().flatten() {
                        visit(rest, item, change);
                    }
                }
                Some((one, rest)) => {
                    if let Some(place) = one.place(value)
                        && let Some(inner) = place.of_mut(value)
                    {
                        visit(rest, inner, change);
                    }
                }
            }
        }
        visit(&self.0, root, change);
    }

    /// Takes away what is there.
    pub(super) fn remove(&self, root: &mut Value) {
        let Some((last, parents)) = self.0.split_last() else {
            *root = Value::Null;
            return;
        };
        Self(parents.to_vec()).change(root, &mut |parent| match last {
            Segment::All => {
                if let Some(list) = parent.as_array_mut() {
                    list.clear();
                }
            }
            one => match (one.place(parent), parent) {
                (Some(Place::Key(key)), Value::Object(map)) => {
                    map.remove(&key);
                }
                (Some(Place::Index(index)), Value::Array(items)) if index < items.len() => {
                    items.remove(index);
                }
                _ => {}
            },
        });
    }

    /// Puts a value there, and makes the objects on the way.
    pub(super) fn set(&self, root: &mut Value, new: Value) -> Result<()> {
        let mut current = root;
        for segment in &self.0 {
            if let Segment::Key(key) = segment {
                if current.is_null() {
                    *current = Value::Object(Map::new());
                }
                let map = current.as_object_mut().context("no object there")?;
                current = map.entry(key.clone()).or_insert(Value::Null);
            } else {
                let place = segment.place(current).context("no such item")?;
                current = place.of_mut(current).context("no such item")?;
            }
        }
        *current = new;
        Ok(())
    }
}

/// A member or an item.
enum Place {
    Key(String),
    Index(usize),
}

impl Segment {
    /// Which member or item of `value` this is; none for several or if there is no such item.
    fn place(&self, value: &Value) -> Option<Place> {
        match self {
            Self::Key(key) => Some(Place::Key(key.clone())),
            Self::Index(index) => Some(Place::Index(*index)),
            Self::All => None,
            Self::Where(key, wanted) => value
                .as_array()?
                .iter()
                .position(|item| item.get(key).and_then(Value::as_str) == Some(wanted))
                .map(Place::Index),
        }
    }
}

impl Place {
    fn of<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Key(key) => value.get(key),
            Self::Index(index) => value.get(index),
        }
    }

    fn of_mut<'v>(&self, value: &'v mut Value) -> Option<&'v mut Value> {
        match self {
            Self::Key(key) => value.get_mut(key),
            Self::Index(index) => value.get_mut(index),
        }
    }
}

/// The inside of brackets.
fn bracket(inside: &str) -> Result<Segment> {
    if inside == "*" {
        return Ok(Segment::All);
    }
    if let Some(key) = inside
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
    {
        return Ok(Segment::Key(key.to_owned()));
    }
    if let Some((key, wanted)) = inside.split_once('=') {
        return Ok(Segment::Where(key.to_owned(), wanted.to_owned()));
    }
    let index = inside.parse().with_context(|| format!("[{inside}]"))?;
    Ok(Segment::Index(index))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample() -> Value {
        json!({
            "items": [
                { "name": "a", "labels": { "x.y/z": "1" } },
                { "name": "b" },
            ],
        })
    }

    fn at(path: &str) -> Option<Value> {
        Path::parse(path).unwrap().get(&sample())
    }

    #[test]
    fn a_path_finds_members_items_and_all_of_them() {
        assert_eq!(at("items[1].name"), Some(json!("b")));
        assert_eq!(at("items[*].name"), Some(json!(["a", "b"])));
        assert_eq!(at("items[name=b]"), Some(json!({ "name": "b" })));
        assert_eq!(at("items[0].labels['x.y/z']"), Some(json!("1")));
        assert_eq!(at(""), Some(sample()));
        assert_eq!(at("items[2]"), None);
        assert_eq!(at("items[name=c]"), None);
        assert_eq!(at("none.more"), None);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        assert!(Path::parse("a[").is_err());
        assert!(Path::parse("a..b").is_err());
        assert!(Path::parse("a[b]").is_err());
    }

    #[test]
    fn a_path_removes_and_sets() {
        let mut value = sample();
        Path::parse("items[*].labels").unwrap().remove(&mut value);
        Path::parse("items[0]").unwrap().remove(&mut value);
        Path::parse("meta.deep")
            .unwrap()
            .set(&mut value, json!(1))
            .unwrap();
        assert_eq!(
            value,
            json!({ "items": [{ "name": "b" }], "meta": { "deep": 1 } })
        );
        assert!(
            Path::parse("items[5]")
                .unwrap()
                .set(&mut value, json!(1))
                .is_err()
        );
    }
}
