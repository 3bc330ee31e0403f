//! From the wire to JSON, as Go's types would write it: fields that are not set, and zero values
//! that are no pointers, are left out.

use base64::Engine as _;
use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use super::super::body;
use super::table::{Field, Holds, Table};
use super::wire::{Error, Reader, Tag, kind, low_bits};

/// How deep messages may nest. Only schemas nest freely; JSON may not go deeper either.
const DEEPEST: usize = 120;

/// Reads a message of the table.
pub(super) fn message(index: usize, bytes: &[u8]) -> Result<Map<String, Value>, Error> {
    let mut object = Map::new();
    fill(index, bytes, 0, &mut object)?;
    Ok(object)
}

/// Adds the fields of a message to those that are known. A message that is there twice is one.
fn fill(
    index: usize,
    bytes: &[u8],
    depth: usize,
    object: &mut Map<String, Value>,
) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(Error::Depth);
    }
    let message = Table::get().at(index);
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag(message.name)? {
        match message.field(tag.number) {
            Some(field) => read(field, tag, &mut reader, depth, object)?,
            None => reader.skip(tag)?,
        }
    }
    Ok(())
}

fn read(
    field: &Field,
    tag: Tag,
    reader: &mut Reader<'_>,
    depth: usize,
    object: &mut Map<String, Value>,
) -> Result<(), Error> {
    match (&field.holds, field.name) {
        (Holds::Message(inner), None) => {
            tag.expect(kind::BYTES, &field.go_name)?;
            fill(*inner, reader.bytes()?, depth + 1, object)
        }
        (Holds::Message(inner), Some(name)) => {
            tag.expect(kind::BYTES, &field.go_name)?;
            let bytes = reader.bytes()?;
            match entry(object, name, || Value::Object(Map::new())) {
                Value::Object(known) => fill(*inner, bytes, depth + 1, known),
                _ => Ok(()),
            }
        }
        (Holds::List(inner), Some(name)) => {
            let list = entry(object, name, || Value::Array(Vec::new()));
            let Value::Array(items) = list else {
                return Ok(());
            };
            if tag.kind == kind::BYTES && matches!(**inner, Holds::Int32 | Holds::Int64) {
                // Numbers may be packed, though Kubernetes' own are not.
                let mut packed = Reader::new(reader.bytes()?);
                let tag = Tag {
                    kind: kind::VARINT,
                    ..tag
                };
                while !packed.is_done() {
                    items.push(value(inner, field, tag, &mut packed, depth)?);
                }
                return Ok(());
            }
            items.push(value(inner, field, tag, reader, depth)?);
            Ok(())
        }
        (Holds::Map(inner), Some(name)) => {
            tag.expect(kind::BYTES, &field.go_name)?;
            let (key, value) = pair(inner, field, reader.bytes()?, depth)?;
            if let Value::Object(entries) = entry(object, name, || Value::Object(Map::new())) {
                entries.insert(key, value);
            }
            Ok(())
        }
        (holds, Some(name)) => {
            let value = value(holds, field, tag, reader, depth)?;
            if value.is_null() || (!field.pointer && is_zero(holds, &value)) {
                object.remove(name);
            } else {
                object.insert(name.to_owned(), value);
            }
            Ok(())
        }
        (_, None) => reader.skip(tag),
    }
}

fn entry<'a>(
    object: &'a mut Map<String, Value>,
    name: &str,
    empty: impl FnOnce() -> Value,
) -> &'a mut Value {
    object.entry(name).or_insert_with(empty)
}

/// What Go's JSON leaves out of a field that is no pointer.
fn is_zero(holds: &Holds, value: &Value) -> bool {
    match (holds, value) {
        (Holds::Flag, Value::Bool(flag)) => !flag,
        (Holds::Int32 | Holds::Int64, Value::Number(number)) => number.as_i64() == Some(0),
        (Holds::Text, Value::String(text)) => text.is_empty(),
        _ => false,
    }
}

/// An entry of a map: a message of a key and a value.
fn pair(
    holds: &Holds,
    field: &Field,
    bytes: &[u8],
    depth: usize,
) -> Result<(String, Value), Error> {
    let mut reader = Reader::new(bytes);
    let mut key = String::new();
    let mut found = None;
    while let Some(tag) = reader.tag("Entry")? {
        match tag.number {
            1 => {
                tag.expect(kind::BYTES, &field.go_name)?;
                key = text(reader.bytes()?);
            }
            2 => found = Some(value(holds, field, tag, &mut reader, depth)?),
            _ => reader.skip(tag)?,
        }
    }
    let value = match found {
        Some(value) => value,
        None => absent(holds, field, depth)?,
    };
    Ok((key, value))
}

/// The value of an entry that has none.
fn absent(holds: &Holds, field: &Field, depth: usize) -> Result<Value, Error> {
    match holds {
        Holds::Flag => Ok(false.into()),
        Holds::Int32 | Holds::Int64 | Holds::Float => Ok(0.into()),
        _ => {
            let tag = Tag {
                number: 2,
                kind: kind::BYTES,
            };
            // A length of zero.
            value(holds, field, tag, &mut Reader::new(&[0]), depth)
        }
    }
}

/// One value; null where Go's JSON has null.
fn value(
    holds: &Holds,
    field: &Field,
    tag: Tag,
    reader: &mut Reader<'_>,
    depth: usize,
) -> Result<Value, Error> {
    let wanted = match holds {
        Holds::Flag | Holds::Int32 | Holds::Int64 => kind::VARINT,
        Holds::Float => kind::FIXED64,
        _ => kind::BYTES,
    };
    tag.expect(wanted, &field.go_name)?;
    Ok(match holds {
        Holds::Flag => (reader.varint()? != 0).into(),
        Holds::Int32 => low_bits(reader.varint()?).into(),
        Holds::Int64 => reader.varint()?.cast_signed().into(),
        Holds::Float => Number::from_f64(reader.float()?).map_or(Value::Null, Value::Number),
        Holds::Text => text(reader.bytes()?).into(),
        Holds::Bytes => base64::engine::general_purpose::STANDARD
            .encode(reader.bytes()?)
            .into(),
        Holds::Time => time(reader.bytes()?, false)?,
        Holds::MicroTime => time(reader.bytes()?, true)?,
        Holds::Quantity => quantity(reader.bytes()?)?,
        Holds::IntOrString => int_or_string(reader.bytes()?)?,
        Holds::Raw => raw(reader.bytes()?)?,
        Holds::Texts => texts(reader.bytes()?)?,
        Holds::SchemaOrBool | Holds::SchemaOrArray | Holds::SchemaOrTexts => {
            schema_or(holds, reader.bytes()?, depth + 1)?
        }
        Holds::Message(inner) => {
            let mut object = Map::new();
            fill(*inner, reader.bytes()?, depth + 1, &mut object)?;
            Value::Object(object)
        }
        // No field holds lists of lists.
        Holds::List(_) | Holds::Map(_) => {
            reader.skip(tag)?;
            Value::Null
        }
    })
}

/// Text. Go's JSON replaces what is no Unicode, too.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Seconds and nanoseconds since 1970; nothing is the zero time, which JSON has as null.
fn time(bytes: &[u8], micro: bool) -> Result<Value, Error> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanoseconds) = (0_i64, 0_i32);
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag("Timestamp")? {
        match tag.number {
            1 => {
                tag.expect(kind::VARINT, "Seconds")?;
                seconds = reader.varint()?.cast_signed();
            }
            2 => {
                tag.expect(kind::VARINT, "Nanos")?;
                nanoseconds = low_bits(reader.varint()?);
            }
            _ => reader.skip(tag)?,
        }
    }
    let time = if micro {
        seconds
            .checked_mul(1_000_000)
            .and_then(|micros| micros.checked_add((nanoseconds / 1000).into()))
            .and_then(|micros| Timestamp::from_microsecond(micros).ok())
    } else {
        Timestamp::from_second(seconds).ok()
    };
    let time = time.ok_or(Error::Year)?;
    let format = if micro {
        "%Y-%m-%dT%H:%M:%S.%6fZ"
    } else {
        "%Y-%m-%dT%H:%M:%SZ"
    };
    let text = time.strftime(format).to_string();
    if text.starts_with('-') {
        return Err(Error::Year);
    }
    // Go's zero time, written out.
    if text.starts_with("0001-01-01T00:00:00") && time.subsec_nanosecond() == 0 {
        return Ok(Value::Null);
    }
    Ok(text.into())
}

fn quantity(bytes: &[u8]) -> Result<Value, Error> {
    let mut amount = "0".to_owned();
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag("Quantity")? {
        if tag.number == 1 {
            tag.expect(kind::BYTES, "String_")?;
            amount = text(reader.bytes()?);
        } else {
            reader.skip(tag)?;
        }
    }
    Ok(amount.into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Error> {
    let (mut chosen, mut integer, mut written) = (0, 0, String::new());
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag("IntOrString")? {
        match tag.number {
            1 => {
                tag.expect(kind::VARINT, "Type")?;
                chosen = reader.varint()?;
            }
            2 => {
                tag.expect(kind::VARINT, "IntVal")?;
                integer = low_bits(reader.varint()?);
            }
            3 => {
                tag.expect(kind::BYTES, "StrVal")?;
                written = text(reader.bytes()?);
            }
            _ => reader.skip(tag)?,
        }
    }
    match chosen {
        0 => Ok(integer.into()),
        1 => Ok(written.into()),
        _ => Err(Error::IntOrString),
    }
}

/// JSON in a message of its own.
fn raw(bytes: &[u8]) -> Result<Value, Error> {
    let mut json: &[u8] = &[];
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag("RawExtension")? {
        if tag.number == 1 {
            tag.expect(kind::BYTES, "Raw")?;
            json = reader.bytes()?;
        } else {
            reader.skip(tag)?;
        }
    }
    if json.is_empty() {
        return Ok(Value::Null);
    }
    body::json(json).map_err(Error::Json)
}

fn texts(bytes: &[u8]) -> Result<Value, Error> {
    let mut items = Vec::new();
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag("ExtraValue")? {
        if tag.number == 1 {
            tag.expect(kind::BYTES, "Items")?;
            items.push(text(reader.bytes()?));
        } else {
            reader.skip(tag)?;
        }
    }
    Ok(items.into())
}

/// A schema, or what may stand in its place.
fn schema_or(holds: &Holds, bytes: &[u8], depth: usize) -> Result<Value, Error> {
    let (message, schema_number) = match holds {
        Holds::SchemaOrBool => ("JSONSchemaPropsOrBool", 2),
        Holds::SchemaOrArray => ("JSONSchemaPropsOrArray", 1),
        _ => ("JSONSchemaPropsOrStringArray", 1),
    };
    let mut schema = None;
    let mut others: Vec<Value> = Vec::new();
    let mut allowed = false;
    let mut reader = Reader::new(bytes);
    while let Some(tag) = reader.tag(message)? {
        match (holds, tag.number) {
            (_, number) if number == schema_number => {
                tag.expect(kind::BYTES, "Schema")?;
                let known = schema.get_or_insert_with(Map::new);
                fill(Table::get().schema, reader.bytes()?, depth, known)?;
            }
            (Holds::SchemaOrBool, 1) => {
                tag.expect(kind::VARINT, "Allows")?;
                allowed = reader.varint()? != 0;
            }
            (Holds::SchemaOrArray, 2) => {
                tag.expect(kind::BYTES, "JSONSchemas")?;
                let mut item = Map::new();
                fill(Table::get().schema, reader.bytes()?, depth, &mut item)?;
                others.push(Value::Object(item));
            }
            (Holds::SchemaOrTexts, 2) => {
                tag.expect(kind::BYTES, "Property")?;
                others.push(text(reader.bytes()?).into());
            }
            _ => reader.skip(tag)?,
        }
    }
    let several = !others.is_empty();
    Ok(match (holds, schema) {
        (Holds::SchemaOrArray | Holds::SchemaOrTexts, _) if several => Value::Array(others),
        (_, Some(schema)) => Value::Object(schema),
        (Holds::SchemaOrBool, None) => allowed.into(),
        (_, None) => Value::Null,
    })
}
