//! The contract of the custom resources: for every rule of their schemas, manifests that the API
//! server must accept and manifests that it must refuse, with the message and the field.
//!
//! The files in `e2e/crd-cases/` write them down compactly: each case puts values at a path of a
//! base object. A path with a leading dot is relative to the place where the base stands, and one
//! base can stand in several kinds. Values can be `$absent`, or generated: `{$text, $times}`,
//! `{$list, $times}` and `{$map, $times}`, where `#` in a text becomes the index.

mod check;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub use check::check;

/// Every file, by name.
const FILES: [(&str, &str); 7] = [
    (
        "gameserver-spec.yaml",
        include_str!("../crd-cases/gameserver-spec.yaml"),
    ),
    (
        "gameserver.yaml",
        include_str!("../crd-cases/gameserver.yaml"),
    ),
    ("template.yaml", include_str!("../crd-cases/template.yaml")),
    (
        "gameserverset.yaml",
        include_str!("../crd-cases/gameserverset.yaml"),
    ),
    ("fleet.yaml", include_str!("../crd-cases/fleet.yaml")),
    (
        "matchallocation.yaml",
        include_str!("../crd-cases/matchallocation.yaml"),
    ),
    (
        "fleetautoscaler.yaml",
        include_str!("../crd-cases/fleetautoscaler.yaml"),
    ),
];

/// A manifest and what the API server must say to it.
#[derive(Clone, Debug)]
pub struct Case {
    /// File, kind, path and value, to find it again.
    pub title: String,
    /// Kind of the manifest.
    pub kind: String,
    /// The manifest.
    pub manifest: Value,
    /// For an update: the manifest that was created before.
    pub before: Option<Value>,
    /// What must come.
    pub verdict: Verdict,
}

/// What the API server must say to a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Accepted,
    /// That it is invalid.
    Refused {
        /// Part of the message.
        message: String,
        /// The field that is named.
        field: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    places: Vec<Place>,
    #[serde(default)]
    object: Value,
    base: Value,
    cases: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Place {
    api_version: String,
    kind: String,
    at: String,
    #[serde(default)]
    object: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    at: OneOrMore,
    #[serde(default)]
    accept: Vec<Value>,
    #[serde(default)]
    reject: Vec<Value>,
    #[serde(default)]
    message: String,
    field: Option<String>,
    #[serde(default)]
    update: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::More(paths) => paths,
        }
    }
}

/// Every case of every file.
pub fn load() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (name, text) in FILES {
        let file: File = serde_saphyr::from_str(text).with_context(|| name.to_owned())?;
        for place in &file.places {
            let base = base(&file, place).with_context(|| name.to_owned())?;
            for rule in &file.cases {
                add(&mut cases, name, place, &base, rule).with_context(|| name.to_owned())?;
            }
        }
    }
    Ok(cases)
}

fn base(file: &File, place: &Place) -> Result<Value> {
    let mut manifest = json!({
        "apiVersion": place.api_version,
        "kind": place.kind,
        "metadata": { "name": "case" },
    });
    merge(&mut manifest, &file.object);
    merge(&mut manifest, &place.object);
    let mut wrapped = Value::Null;
    set(&mut wrapped, &place.at, Some(file.base.clone()))?;
    merge(&mut manifest, &wrapped);
    Ok(manifest)
}

fn add(cases: &mut Vec<Case>, file: &str, place: &Place, base: &Value, rule: &Rule) -> Result<()> {
    let accepted = rule.accept.iter().map(|value| (value, false));
    let refused = rule.reject.iter().map(|value| (value, true));
    for path in rule.at.as_slice() {
        for (value, is_refused) in accepted.clone().chain(refused.clone()) {
            let shown: String = value.to_string().chars().take(60).collect();
            let title = format!("{file}: {} {path} = {shown}", place.kind);
            let mut manifest = base.clone();
            let value = (value != "$absent").then(|| generate(value)).transpose()?;
            set(&mut manifest, &absolute(place, path), value).with_context(|| title.clone())?;
            let verdict = if is_refused {
                ensure!(!rule.message.is_empty(), "{title}: reject needs a message");
                let field = absolute(place, rule.field.as_deref().unwrap_or(path));
                Verdict::Refused {
                    message: rule.message.clone(),
                    field,
                }
            } else {
                Verdict::Accepted
            };
            let before = rule.update.then(|| base.clone());
            cases.push(Case {
                title,
                kind: place.kind.clone(),
                manifest,
                before,
                verdict,
            });
        }
    }
    Ok(())
}

/// A path from the root. An empty path is the place itself.
fn absolute(place: &Place, path: &str) -> String {
    if path.is_empty() || path.starts_with('.') {
        format!("{}{path}", place.at)
    } else {
        path.to_owned()
    }
}

/// Expands generated values.
fn generate(value: &Value) -> Result<Value> {
    let Some(map) = value.as_object() else {
        return Ok(value.clone());
    };
    let Some(times) = map.get("$times").and_then(Value::as_u64) else {
        return Ok(value.clone());
    };
    let items = |item: &Value| {
        (0..times)
            .map(|index| numbered(item, index))
            .collect::<Vec<_>>()
    };
    if let Some(text) = map.get("$text").and_then(Value::as_str) {
        Ok(Value::from(text.repeat(usize::try_from(times)?)))
    } else if let Some(item) = map.get("$list") {
        Ok(Value::from(items(item)))
    } else if let Some(item) = map.get("$map") {
        let keys = (0..times).map(|index| format!("key-{index}"));
        Ok(Value::Object(keys.zip(items(item)).collect::<Map<_, _>>()))
    } else {
        bail!("$times needs $text, $list or $map: {value}")
    }
}

fn numbered(item: &Value, index: u64) -> Value {
    match item {
        Value::String(text) => Value::from(text.replace('#', &index.to_string())),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), numbered(value, index)))
            .collect(),
        other => other.clone(),
    }
}

/// Puts a value at a path such as `spec.ports[0].name`, or removes what is there.
fn set(root: &mut Value, path: &str, value: Option<Value>) -> Result<()> {
    let mut current = root;
    let mut steps = path
        .split(['.', '['])
        .filter(|step| !step.is_empty())
        .peekable();
    while let Some(step) = steps.next() {
        let is_last = steps.peek().is_none();
        if let Some(index) = step.strip_suffix(']') {
            let index: usize = index.parse()?;
            let list = current
                .as_array_mut()
                .with_context(|| format!("no list before [{index}]"))?;
            current = list
                .get_mut(index)
                .with_context(|| format!("no item [{index}]"))?;
        } else {
            if current.is_null() {
                *current = Value::Object(Map::new());
            }
            let map = current
                .as_object_mut()
                .with_context(|| format!("no object before {step}"))?;
            if is_last && value.is_none() {
                map.remove(step)
                    .with_context(|| format!("{path} is absent already"))?;
                return Ok(());
            }
            current = map.entry(step).or_insert(Value::Null);
        }
    }
    *current = value.context("an item cannot be absent")?;
    Ok(())
}

/// Puts everything that is in `from` into `into`.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (_, Value::Null) => {}
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[cfg(test)]
mod tests;
