//! From JSON to the wire, byte for byte as Go's types write it: fields in the order of their
//! numbers, maps in the order of their keys, and zero values of what is no pointer.

use base64::Engine as _;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::table::{Field, Holds, Table};
use super::wire::{kind, put_bytes, put_integer, put_tag};

/// Writes a message of the table. What the message does not know is left out.
pub(super) fn message(index: usize, object: &Map<String, Value>, out: &mut Vec<u8>) {
    for field in &Table::get().at(index).fields {
        let Some(name) = field.name else {
            if let Holds::Message(inner) = field.holds {
                nested(field.number, out, |out| message(inner, object, out));
            }
            continue;
        };
        match (
            object.get(name).filter(|value| !value.is_null()),
            &field.holds,
        ) {
            (Some(Value::Array(items)), Holds::List(inner)) => {
                for item in items {
                    value(inner, field.number, item, out);
                }
            }
            (Some(Value::Object(entries)), Holds::Map(inner)) => pairs(field, inner, entries, out),
            (_, Holds::List(_) | Holds::Map(_)) => {}
            (Some(found), holds) => value(holds, field.number, found, out),
            (None, _) if field.pointer => {}
            (None, Holds::Bytes) => {}
            (None, holds) => value(holds, field.number, &Value::Null, out),
        }
    }
}

fn pairs(field: &Field, holds: &Holds, entries: &Map<String, Value>, out: &mut Vec<u8>) {
    let mut keys: Vec<&String> = entries.keys().collect();
    keys.sort_unstable();
    for key in keys {
        nested(field.number, out, |out| {
            put_bytes(out, 1, key.as_bytes());
            value(holds, 2, entries.get(key).unwrap_or(&Value::Null), out);
        });
    }
}

/// Writes a field that is a message.
fn nested(number: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    put_bytes(out, number, &inner);
}

/// Writes one value; zero if it is null.
fn value(holds: &Holds, number: u32, found: &Value, out: &mut Vec<u8>) {
    let text = found.as_str().unwrap_or_default();
    match holds {
        Holds::Text => put_bytes(out, number, text.as_bytes()),
        Holds::Bytes => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text);
            put_bytes(out, number, &bytes.unwrap_or_default());
        }
        Holds::Flag => {
            let flag = found.as_bool().unwrap_or_default();
            put_integer(out, number, flag.into());
        }
        Holds::Int32 | Holds::Int64 => {
            put_integer(out, number, found.as_i64().unwrap_or_default());
        }
        Holds::Float => {
            put_tag(out, number, kind::FIXED64);
            out.extend_from_slice(&found.as_f64().unwrap_or_default().to_le_bytes());
        }
        Holds::Time | Holds::MicroTime => nested(number, out, |out| {
            if let Ok(time) = text.parse::<Timestamp>() {
                put_integer(out, 1, time.as_second());
                let fraction = if *holds == Holds::MicroTime {
                    time.subsec_nanosecond()
                } else {
                    0
                };
                put_integer(out, 2, fraction.into());
            }
        }),
        Holds::Quantity => nested(number, out, |out| {
            let amount = if text.is_empty() { "0" } else { text };
            put_bytes(out, 1, amount.as_bytes());
        }),
        Holds::IntOrString => nested(number, out, |out| {
            put_integer(out, 1, found.is_string().into());
            put_integer(out, 2, found.as_i64().unwrap_or_default());
            put_bytes(out, 3, text.as_bytes());
        }),
        Holds::Raw => nested(number, out, |out| {
            if !found.is_null() {
                put_bytes(out, 1, &serde_json::to_vec(found).unwrap_or_default());
            }
        }),
        Holds::Texts => nested(number, out, |out| {
            for item in found.as_array().into_iter().flatten() {
                put_bytes(out, 1, item.as_str().unwrap_or_default().as_bytes());
            }
        }),
        Holds::SchemaOrBool | Holds::SchemaOrArray | Holds::SchemaOrTexts => {
            nested(number, out, |out| schema_or(holds, found, out));
        }
        Holds::Message(inner) => nested(number, out, |out| {
            let nothing = Map::new();
            message(*inner, found.as_object().unwrap_or(&nothing), out);
        }),
        // No field holds lists of lists.
        Holds::List(_) | Holds::Map(_) => {}
    }
}

/// A schema, or what may stand in its place.
fn schema_or(holds: &Holds, found: &Value, out: &mut Vec<u8>) {
    let schema = Holds::Message(Table::get().schema);
    match (holds, found) {
        (Holds::SchemaOrBool, Value::Object(_)) => {
            put_integer(out, 1, 1);
            value(&schema, 2, found, out);
        }
        (Holds::SchemaOrBool, _) => {
            put_integer(out, 1, found.as_bool().unwrap_or_default().into());
        }
        (Holds::SchemaOrArray, Value::Array(items)) => {
            for item in items {
                value(&schema, 2, item, out);
            }
        }
        (_, Value::Array(items)) => {
            for item in items {
                put_bytes(out, 2, item.as_str().unwrap_or_default().as_bytes());
            }
        }
        (_, Value::Object(_)) => value(&schema, 1, found, out),
        _ => {}
    }
}

/// Writes the length of a frame of a watch, and the frame.
pub(super) fn frame(event: &str, object: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(object.len() + 32);
    put_bytes(&mut body, 1, event.as_bytes());
    nested(2, &mut body, |out| put_bytes(out, 1, object));
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    frame
}
