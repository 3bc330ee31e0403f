//! Reads metadata as the API server does: by the fields of ObjectMeta, whatever the schema says.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::schema::show;

/// What a field of metadata holds.
enum Shape {
    Text,
    TypedText(&'static str),
    Integer,
    Truth,
    Time,
    Texts,
    TextMap,
    Raw,
    Objects(&'static str, &'static [(&'static str, Self)]),
}

const OWNER: &[(&str, Shape)] = &[
    ("apiVersion", Shape::Text),
    ("kind", Shape::Text),
    ("name", Shape::Text),
    ("uid", Shape::TypedText("types.UID")),
    ("controller", Shape::Truth),
    ("blockOwnerDeletion", Shape::Truth),
];

const MANAGED: &[(&str, Shape)] = &[
    ("manager", Shape::Text),
    (
        "operation",
        Shape::TypedText("v1.ManagedFieldsOperationType"),
    ),
    ("apiVersion", Shape::Text),
    ("time", Shape::Time),
    ("fieldsType", Shape::Text),
    ("fieldsV1", Shape::Raw),
    ("subresource", Shape::Text),
];

const META: &[(&str, Shape)] = &[
    ("name", Shape::Text),
    ("generateName", Shape::Text),
    ("namespace", Shape::Text),
    ("selfLink", Shape::Text),
    ("uid", Shape::TypedText("types.UID")),
    ("resourceVersion", Shape::Text),
    ("generation", Shape::Integer),
    ("creationTimestamp", Shape::Time),
    ("deletionTimestamp", Shape::Time),
    ("deletionGracePeriodSeconds", Shape::Integer),
    ("labels", Shape::TextMap),
    ("annotations", Shape::TextMap),
    ("ownerReferences", Shape::Objects("OwnerReference", OWNER)),
    ("finalizers", Shape::Texts),
    (
        "managedFields",
        Shape::Objects("ManagedFieldsEntry", MANAGED),
    ),
];

/// Brings `metadata` into the form in which it is stored: without unknown and empty fields.
/// Returns the paths of the unknown fields, or why it cannot be read.
pub fn read(object: &mut Value) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    let Some(meta) = object.get_mut("metadata") else {
        return Ok(unknown);
    };
    match meta {
        Value::Object(map) => fields(map, "ObjectMeta", META, "", "metadata", &mut unknown)?,
        Value::Null => *meta = Value::Object(Map::new()),
        other => {
            return Err(format!(
                "json: cannot unmarshal {} into Go value of type v1.ObjectMeta",
                show::type_name(other)
            ));
        }
    }
    Ok(unknown)
}

/// Reads the fields of one object. `within` is the path in ObjectMeta as Go's decoder names it,
/// `path` the one in the whole object.
fn fields(
    map: &mut Map<String, Value>,
    owner: &str,
    shapes: &[(&str, Shape)],
    within: &str,
    path: &str,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let mut failure = None;
    map.retain(|key, value| {
        let Some((_, shape)) = shapes.iter().find(|(name, _)| name == key) else {
            unknown.push(format!("{path}.{key}"));
            return false;
        };
        let place = if within.is_empty() {
            key.clone()
        } else {
            format!("{within}.{key}")
        };
        match read_field(value, shape, &format!("{path}.{key}"), &place, unknown) {
            Ok(is_kept) => is_kept,
            Err(misfit) => {
                failure.get_or_insert_with(|| misfit.into_text(owner));
                false
            }
        }
    });
    failure.map_or(Ok(()), Err)
}

/// A value of the wrong type.
enum Misfit {
    /// Which value at which place, and what was expected there.
    Type {
        found: String,
        place: String,
        wanted: String,
    },
    /// The whole sentence.
    Other(String),
}

impl Misfit {
    fn into_text(self, owner: &str) -> String {
        match self {
            Self::Type {
                found,
                place,
                wanted,
            } => format!(
                "json: cannot unmarshal {found} into Go struct field {owner}.{place} of type \
                 {wanted}"
            ),
            Self::Other(text) => text,
        }
    }
}

/// Reads one field; returns whether it is kept, since empty ones are not.
fn read_field(
    value: &mut Value,
    shape: &Shape,
    path: &str,
    place: &str,
    unknown: &mut Vec<String>,
) -> Result<bool, Misfit> {
    if value.is_null() {
        return Ok(false);
    }
    let misfit = |value: &Value, wanted: &str| Misfit::Type {
        found: found(value),
        place: place.to_owned(),
        wanted: wanted.to_owned(),
    };
    match shape {
        Shape::Text | Shape::TypedText(_) => {
            let wanted = match shape {
                Shape::TypedText(name) => name,
                _ => "string",
            };
            let text = value.as_str().ok_or_else(|| misfit(value, wanted))?;
            // The references of owners keep their empty texts.
            Ok(!text.is_empty() || place.starts_with("ownerReferences."))
        }
        Shape::Integer => {
            let number = value.as_i64().ok_or_else(|| misfit(value, "int64"))?;
            Ok(number != 0 || place == "deletionGracePeriodSeconds")
        }
        Shape::Truth => value
            .as_bool()
            .map(|_| true)
            .ok_or_else(|| misfit(value, "bool")),
        Shape::Time => {
            let text = value.as_str().ok_or_else(|| misfit(value, "string"))?;
            if text.is_empty() {
                return Ok(false);
            }
            let time: Timestamp = text.parse().map_err(|_| {
                let shown = show::quoted(text);
                let layout = "\"2006-01-02T15:04:05Z07:00\"";
                Misfit::Other(format!(
                    "parsing time {shown} as {layout}: cannot parse {shown} as \"2006\""
                ))
            })?;
            *value = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
            Ok(true)
        }
        Shape::Texts => {
            let items = value.as_array().ok_or_else(|| misfit(value, "[]string"))?;
            match items.iter().find(|item| !item.is_string()) {
                Some(item) => Err(misfit(item, "string")),
                None => Ok(!items.is_empty()),
            }
        }
        Shape::TextMap => {
            let map = match value {
                Value::Object(map) => map,
                other => return Err(misfit(other, "map[string]string")),
            };
            for item in map.values_mut() {
                if item.is_null() {
                    *item = "".into();
                } else if !item.is_string() {
                    return Err(misfit(item, "string"));
                }
            }
            Ok(!map.is_empty())
        }
        Shape::Raw => Ok(true),
        Shape::Objects(name, shapes) => {
            let items = match value {
                Value::Array(items) => items,
                other => return Err(misfit(other, &format!("[]v1.{name}"))),
            };
            for (index, item) in items.iter_mut().enumerate() {
                let Value::Object(map) = item else {
                    return Err(misfit(item, &format!("v1.{name}")));
                };
                fields(
                    map,
                    name,
                    shapes,
                    place,
                    &format!("{path}[{index}]"),
                    unknown,
                )
                .map_err(Misfit::Other)?;
                if *name == "OwnerReference" {
                    for field in ["apiVersion", "kind", "name", "uid"] {
                        map.entry(field).or_insert_with(|| "".into());
                    }
                }
            }
            Ok(!items.is_empty())
        }
    }
}

/// The type of a value; a number that is not whole is shown.
fn found(value: &Value) -> String {
    match value {
        Value::Number(number) if number.as_i64().is_none() => format!("number {number}"),
        other => show::type_name(other).to_owned(),
    }
}
