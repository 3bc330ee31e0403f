//! Reading a built-in kind as Go's decoder does: unknown fields are dropped and reported, wrong
//! types are refused, and every value takes the form in which it will be written.

use base64::Engine as _;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::quantity::{self, Quantity};
use super::types::{Field, Struct, Type, Types};
use crate::schema::show;

/// Where the decoder is, twice: for unknown fields with indexes, for wrong types without.
#[derive(Default)]
struct Place {
    indexed: String,
    plain: String,
}

/// How long the texts of a place were before a step.
struct Mark(usize, usize);

impl Place {
    /// Steps to a field of the current value.
    fn enter_field(&mut self, via: &str, key: &str) -> Mark {
        let mark = Mark(self.indexed.len(), self.plain.len());
        for text in [&mut self.indexed, &mut self.plain] {
            if !text.is_empty() {
                text.push('.');
            }
        }
        self.indexed.push_str(key);
        self.plain.push_str(via);
        self.plain.push_str(key);
        mark
    }

    /// Steps to an item of the current list, or an entry of the current map.
    fn enter_item(&mut self, index: &str) -> Mark {
        let mark = Mark(self.indexed.len(), self.plain.len());
        for part in ["[", index, "]"] {
            self.indexed.push_str(part);
        }
        mark
    }

    /// Steps back.
    fn leave(&mut self, mark: &Mark) {
        self.indexed.truncate(mark.0);
        self.plain.truncate(mark.1);
    }
}

/// The field that is being read, for errors.
#[derive(Clone, Copy)]
struct Owner<'a> {
    of: &'a Struct,
    field: &'a Field,
}

struct Decoder<'a> {
    types: &'a Types,
    place: Place,
    unknown: Vec<String>,
}

/// Reads an object of the type in place. Gives the unknown fields that were dropped, or what the
/// API server says about a value of a wrong type.
pub(super) fn decode(index: usize, object: &mut Value) -> Result<Vec<String>, String> {
    let mut decoder = Decoder {
        types: Types::get(),
        place: Place::default(),
        unknown: Vec::new(),
    };
    decoder.fields(decoder.types.at(index), object, None)?;
    Ok(decoder.unknown)
}

impl Decoder<'_> {
    fn fields(
        &mut self,
        of: &Struct,
        value: &mut Value,
        owner: Option<Owner<'_>>,
    ) -> Result<(), String> {
        let Value::Object(object) = value else {
            return Err(self.mismatch(value, owner, of.go_name()));
        };
        let entries = std::mem::take(object);
        for (key, mut value) in entries {
            let Some(field) = of.fields.get(&key) else {
                let mark = self.place.enter_field("", &key);
                self.unknown.push(self.place.indexed.clone());
                self.place.leave(&mark);
                continue;
            };
            if value.is_null() {
                continue;
            }
            let mark = self.place.enter_field(&field.via, &key);
            self.read(&field.holds, &mut value, Owner { of, field })?;
            self.place.leave(&mark);
            if field.kept || !is_zero(&field.holds, &value) {
                object.insert(key, value);
            }
        }
        Ok(())
    }

    fn read(&mut self, holds: &Type, value: &mut Value, owner: Owner<'_>) -> Result<(), String> {
        let own = Some(owner);
        match holds {
            Type::Struct(index) => return self.fields(self.types.at(*index), value, own),
            Type::SchemaOr(index) => match value {
                Value::Object(_) => return self.fields(self.types.at(*index), value, own),
                Value::Array(items) => {
                    for item in items {
                        if item.is_object() {
                            self.fields(self.types.at(*index), item, own)?;
                        }
                    }
                }
                _ => {}
            },
            Type::List(inner) => {
                let Value::Array(items) = value else {
                    return Err(self.mismatch(value, own, &self.go_type(holds, owner)));
                };
                for (index, item) in items.iter_mut().enumerate() {
                    if item.is_null() {
                        *item = zero(inner);
                    }
                    self.item(&index.to_string(), inner, item, owner)?;
                }
            }
            Type::Map(inner) => {
                let Value::Object(entries) = value else {
                    return Err(self.mismatch(value, own, &self.go_type(holds, owner)));
                };
                for (key, entry) in entries {
                    if entry.is_null() {
                        *entry = zero(inner);
                    }
                    self.item(key, inner, entry, owner)?;
                }
            }
            Type::Text if !value.is_string() => {
                return Err(self.mismatch(value, own, &self.go_type(holds, owner)));
            }
            Type::Flag if !value.is_boolean() => {
                return Err(self.mismatch(value, own, "bool"));
            }
            Type::Float if !value.is_number() => {
                return Err(self.mismatch(value, own, "float64"));
            }
            Type::Integer(bits) => self.integer(*bits, value, owner)?,
            Type::Bytes => self.bytes(value, owner)?,
            Type::Time | Type::MicroTime => self.time(holds, value, owner)?,
            Type::Quantity => *value = quantity(value)?.into(),
            Type::IntOrText if !value.is_string() => self.integer(32, value, owner)?,
            Type::Text | Type::Flag | Type::Float | Type::IntOrText | Type::Any => {}
        }
        Ok(())
    }

    fn item(
        &mut self,
        index: &str,
        inner: &Type,
        value: &mut Value,
        owner: Owner<'_>,
    ) -> Result<(), String> {
        let mark = self.place.enter_item(index);
        self.read(inner, value, owner)?;
        self.place.leave(&mark);
        Ok(())
    }

    fn integer(&self, bits: u8, value: &Value, owner: Owner<'_>) -> Result<(), String> {
        let Value::Number(number) = value else {
            return Err(self.mismatch(value, Some(owner), &format!("int{bits}")));
        };
        // Go reads integers from their digits: it refuses `3.0` too.
        match number.as_i64() {
            Some(whole) if bits == 64 || i32::try_from(whole).is_ok() => Ok(()),
            _ => {
                let text = format!("number {number}");
                Err(self.mismatch_of(&text, Some(owner), &format!("int{bits}")))
            }
        }
    }

    fn bytes(&self, value: &mut Value, owner: Owner<'_>) -> Result<(), String> {
        let Value::String(text) = &*value else {
            return Err(self.mismatch(value, Some(owner), "[]uint8"));
        };
        let compact: String = text
            .chars()
            .filter(|letter| !matches!(letter, '\r' | '\n'))
            .collect();
        base64::engine::general_purpose::STANDARD
            .decode(&compact)
            .map_err(|error| {
                let at = match error {
                    base64::DecodeError::InvalidByte(at, _)
                    | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                    // The last four letters are not whole.
                    base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => {
                        compact.len() / 4 * 4
                    }
                };
                format!("illegal base64 data at input byte {at}")
            })?;
        *value = compact.into();
        Ok(())
    }

    fn time(&self, holds: &Type, value: &mut Value, owner: Owner<'_>) -> Result<(), String> {
        let Value::String(text) = &*value else {
            return Err(self.mismatch(value, Some(owner), "string"));
        };
        let micro = matches!(holds, Type::MicroTime);
        let time = parse_time(text, micro)?;
        *value = if micro {
            time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
        } else {
            time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        }
        .into();
        Ok(())
    }

    /// Name of the Go type of a list, map or text.
    fn go_type(&self, holds: &Type, owner: Owner<'_>) -> String {
        let whole = std::ptr::eq(holds, &raw const owner.field.holds);
        let named = owner.field.go_type.as_str();
        let item = named
            .strip_prefix("[]")
            .or_else(|| named.strip_prefix("map[string]"));
        match (whole, item) {
            (true, _) if !named.is_empty() => named.to_owned(),
            (false, Some(item)) => item.to_owned(),
            _ => self.go_name(holds),
        }
    }

    fn go_name(&self, holds: &Type) -> String {
        match holds {
            Type::Struct(index) | Type::SchemaOr(index) => {
                self.types.at(*index).go_name().to_owned()
            }
            Type::List(inner) => format!("[]{}", self.go_name(inner)),
            Type::Map(inner) => format!("map[string]{}", self.go_name(inner)),
            Type::Text | Type::Time | Type::MicroTime => "string".to_owned(),
            Type::Integer(bits) => format!("int{bits}"),
            Type::Float => "float64".to_owned(),
            Type::Flag => "bool".to_owned(),
            Type::Bytes => "[]uint8".to_owned(),
            Type::Quantity => "resource.Quantity".to_owned(),
            Type::IntOrText => "intstr.IntOrString".to_owned(),
            Type::Any => "map[string]interface {}".to_owned(),
        }
    }

    fn mismatch(&self, value: &Value, owner: Option<Owner<'_>>, go_type: &str) -> String {
        self.mismatch_of(show::type_name(value), owner, go_type)
    }

    fn mismatch_of(&self, found: &str, owner: Option<Owner<'_>>, go_type: &str) -> String {
        match owner {
            Some(owner) => format!(
                "json: cannot unmarshal {found} into Go struct field {}.{} of type {go_type}",
                owner.of.short_name(),
                self.place.plain,
            ),
            None => format!("json: cannot unmarshal {found} into Go value of type {go_type}"),
        }
    }
}

fn quantity(value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => String::from("?"),
    };
    Quantity::parse(&text)
        .map(Quantity::canonical)
        .ok_or_else(|| quantity::SYNTAX.to_owned())
}

/// Reads RFC 3339 as Go does; with exactly six decimals for microseconds.
fn parse_time(text: &str, micro: bool) -> Result<Timestamp, String> {
    const SECONDS: &str = "2006-01-02T15:04:05Z07:00";
    const MICROS: &str = "2006-01-02T15:04:05.000000Z07:00";
    let layout = if micro { MICROS } else { SECONDS };
    let refuse = |at: usize, wanted: &str| {
        let rest = text.get(at..).unwrap_or_default();
        Err(format!(
            "parsing time \"{text}\" as \"{layout}\": cannot parse \"{rest}\" as \"{wanted}\""
        ))
    };
    let bytes = text.as_bytes();
    let digits = |from: usize, count: usize| {
        bytes
            .get(from..from + count)
            .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    for (from, count, wanted, after) in [
        (0, 4, "2006", "-"),
        (5, 2, "01", "-"),
        (8, 2, "02", "T"),
        (11, 2, "15", ":"),
        (14, 2, "04", ":"),
        (17, 2, "05", ""),
    ] {
        if !digits(from, count) {
            return refuse(from, wanted);
        }
        let end = from + count;
        if !after.is_empty() && text.get(end..=end) != Some(after) {
            return refuse(end, after);
        }
    }
    let number = |from: usize| text[from..from + 2].parse::<u8>().unwrap_or(u8::MAX);
    for (from, least, most, name) in [
        (5, 1, 12, "month"),
        (8, 1, 31, "day"),
        (11, 0, 23, "hour"),
        (14, 0, 59, "minute"),
        (17, 0, 59, "second"),
    ] {
        if !(least..=most).contains(&number(from)) {
            return Err(format!("parsing time \"{text}\": {name} out of range"));
        }
    }
    if micro {
        let decimals = bytes[19..]
            .iter()
            .skip(1)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if bytes.get(19) != Some(&b'.') || decimals < 6 {
            return refuse(19, ".000000");
        }
        if decimals > 6 {
            return refuse(26, "Z07:00");
        }
    }
    text.parse().or_else(|_| refuse(19, "Z07:00"))
}

/// What Go puts in the place of null.
fn zero(holds: &Type) -> Value {
    match holds {
        Type::Struct(_) => Value::Object(Map::new()),
        Type::List(_)
        | Type::Map(_)
        | Type::SchemaOr(_)
        | Type::Any
        | Type::Time
        | Type::MicroTime => Value::Null,
        Type::Text | Type::Bytes => "".into(),
        Type::Integer(_) | Type::IntOrText | Type::Float => 0.into(),
        Type::Flag => false.into(),
        Type::Quantity => "0".into(),
    }
}

/// Whether Go's encoder leaves the value out where it may.
fn is_zero(holds: &Type, value: &Value) -> bool {
    match (holds, value) {
        (Type::Any | Type::SchemaOr(_) | Type::Struct(_) | Type::IntOrText, value) => {
            value.is_null()
        }
        (_, Value::Null | Value::Bool(false)) => true,
        (_, Value::Number(number)) => number.as_f64() == Some(0.0),
        (_, Value::String(text)) => text.is_empty(),
        (_, Value::Array(items)) => items.is_empty(),
        (_, Value::Object(entries)) => entries.is_empty(),
        (_, Value::Bool(true)) => false,
    }
}

/// Adds the fields that Go's encoder always writes.
pub(super) fn complete(index: usize, object: &mut Value) {
    let types = Types::get();
    complete_struct(types, types.at(index), object);
}

fn complete_struct(types: &Types, of: &Struct, value: &mut Value) {
    let Value::Object(object) = value else {
        return;
    };
    for (key, always) in &of.always {
        let value = object.entry(key.as_str()).or_insert_with(|| always.clone());
        // Lists are kept in a form that knows no empty ones, except in definitions.
        if always.is_null() && value == &Value::Array(Vec::new()) && !of.is_definition() {
            *value = Value::Null;
        }
    }
    for (key, value) in object {
        if matches!(value, Value::Object(_) | Value::Array(_))
            && let Some(field) = of.fields.get(key)
        {
            complete_type(types, &field.holds, value);
        }
    }
}

fn complete_type(types: &Types, holds: &Type, value: &mut Value) {
    match (holds, value) {
        (Type::Struct(index), value) => complete_struct(types, types.at(*index), value),
        (Type::SchemaOr(index), value @ Value::Object(_)) => {
            complete_struct(types, types.at(*index), value);
        }
        (Type::List(inner), Value::Array(items)) => {
            for item in items {
                complete_type(types, inner, item);
            }
        }
        (Type::Map(inner), Value::Object(entries)) => {
            for entry in entries.values_mut() {
                complete_type(types, inner, entry);
            }
        }
        _ => {}
    }
}
