//! Request bodies: JSON or YAML to a value, with what is written twice.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{protobuf, syntax};
use crate::status::Status;

/// A decoded body.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// What it says.
    pub(crate) value: Value,
    /// Paths of fields that are there more than once.
    pub(crate) duplicates: Vec<String>,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON.
    Json,
    /// YAML, of which JSON is a part.
    Yaml,
}

impl Format {
    /// Reads a `Content-Type`; none means JSON.
    pub(crate) fn of(content_type: &str) -> Result<Self, Status> {
        match media_type(content_type) {
            "" | "application/json" => Ok(Self::Json),
            "application/yaml" => Ok(Self::Yaml),
            _ => Err(unsupported(&[
                "application/json",
                "application/yaml",
                protobuf::MEDIA_TYPE,
            ])),
        }
    }
}

/// The media type without parameters.
pub(crate) fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// 415 with what would have been understood.
pub(crate) fn unsupported(accepted: &[&str]) -> Status {
    Status::new(
        415,
        "UnsupportedMediaType",
        format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        ),
    )
}

/// Decodes a body; the error is what the parser says.
pub(crate) fn decode(format: Format, body: &[u8]) -> Result<Decoded, String> {
    // Most YAML that clients send is JSON, which is read faster and tells duplicates apart.
    let json = format == Format::Json
        || body
            .iter()
            .find(|byte| !byte.is_ascii_whitespace())
            .is_some_and(|byte| *byte == b'{');
    if json {
        let mut duplicates = Vec::new();
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let seed = Seed {
            path: String::new(),
            duplicates: &mut duplicates,
        };
        let value = seed
            .deserialize(&mut deserializer)
            .and_then(|value| deserializer.end().map(|()| value))
            .map_err(|error| syntax::error(body).unwrap_or_else(|| error.to_string()))?;
        return Ok(Decoded { value, duplicates });
    }
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    Ok(Decoded {
        value,
        duplicates: Vec::new(),
    })
}

/// Decodes JSON, without a look at duplicates; the error is what Go's parser says.
pub(crate) fn json(text: &[u8]) -> Result<Value, String> {
    decode(Format::Json, text).map(|decoded| decoded.value)
}

/// The first bytes of a body, as error messages quote them.
pub(crate) fn summary(body: &[u8]) -> String {
    const LONGEST: usize = 30;
    let shown = body.get(..LONGEST).unwrap_or(body);
    let more = if body.len() > LONGEST { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(shown)),
        Some(_) => {
            let mut hex = String::new();
            for byte in shown {
                for digit in [byte >> 4, byte & 15] {
                    hex.extend(char::from_digit(digit.into(), 16));
                }
            }
            format!("{hex}{more}")
        }
    }
}

/// Below this, floating point numbers hold every integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Builds a value, and notes the paths of duplicate fields; the last one counts.
struct Seed<'a> {
    path: String,
    duplicates: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // A whole number is an integer, however it is written.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "only whole numbers that an i64 holds exactly are cast"
        )]
        if value.fract() == 0.0 && value.abs() < EXACT {
            return Ok(Value::from(value as i64));
        }
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Seed {
            path: format!("{}[{}]", self.path, list.len()),
            duplicates: self.duplicates,
        })? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let path = if self.path.is_empty() {
                name.clone()
            } else {
                format!("{}.{name}", self.path)
            };
            if object.contains_key(&name) && !self.duplicates.contains(&path) {
                self.duplicates.push(path.clone());
            }
            let value = fields.next_value_seed(Seed {
                path,
                duplicates: self.duplicates,
            })?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
