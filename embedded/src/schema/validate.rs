//! Checks values against the limits of a schema, in the order and with the words of the API
//! server.

use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use super::correlate;
use super::format::Format;
use super::node::{Additional, Limits, ListType, Node, Type};
use super::path::Path;
use super::show;
use crate::status::Cause;

/// Checks a value. `old` is its value before an update: parts that did not change may stay
/// invalid. `prefix` is where the value stands in its object, empty for the whole object; the
/// API server names it in fields, but not in messages.
pub(super) fn validate(
    schema: &Node,
    value: &Value,
    old: Option<&Value>,
    prefix: &str,
) -> Vec<Cause> {
    let check = Check { is_quiet: false };
    let outcome = check.ratcheted(schema, value, old, &Path::Root);
    outcome
        .faults
        .into_iter()
        .map(|fault| fault.into_cause(prefix))
        .collect()
}

/// What a check found.
#[derive(Default)]
struct Outcome {
    faults: Vec<Fault>,
    /// How many checks were made: of several failed alternatives, the one with the most is told.
    count: usize,
}

/// One thing that is wrong.
#[derive(Default)]
struct Fault {
    /// Where; none if it is about several schemas at once, which names no field.
    place: Option<String>,
    /// The whole sentence: faults with the same one are the same.
    text: String,
    reason: &'static str,
    /// What is told to the user, except the field.
    message: String,
}

impl Fault {
    fn into_cause(self, prefix: &str) -> Cause {
        let place = self.place.unwrap_or_default();
        let name = place.strip_prefix('.').unwrap_or(&place);
        let field = match (prefix, name) {
            ("", "") => "<nil>".to_owned(),
            ("", name) => name.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, name) => format!("{prefix}.{name}"),
        };
        Cause {
            reason: self.reason,
            message: self.message,
            field,
        }
    }
}

impl Outcome {
    fn merge(&mut self, other: Self) {
        self.count += other.count;
        for fault in other.faults {
            self.push(fault);
        }
    }

    fn push(&mut self, fault: Fault) {
        if !self.faults.iter().any(|known| known.text == fault.text) {
            self.faults.push(fault);
        }
    }

    fn is_valid(&self) -> bool {
        self.faults.is_empty()
    }
}

#[derive(Clone, Copy)]
struct Check {
    /// Whether only the verdict is wanted: then no text is written.
    is_quiet: bool,
}

impl Check {
    /// Checks a value; if it is as before, nothing about it is wrong.
    fn ratcheted(self, schema: &Node, value: &Value, old: Option<&Value>, path: &Path) -> Outcome {
        let mut outcome = self.value(schema, value, old, path);
        if !outcome.is_valid() && old.is_some_and(|old| correlate::is_same(schema, old, value)) {
            outcome.faults.clear();
        }
        outcome
    }

    fn value(self, schema: &Node, value: &Value, old: Option<&Value>, path: &Path) -> Outcome {
        let mut outcome = Outcome::default();
        let limits = &schema.limits;
        if value.is_null() {
            self.null(&mut outcome, schema, path);
            return outcome;
        }
        if schema.has_type() || limits.format.is_some() {
            self.kind(&mut outcome, schema, value, path);
            outcome.count += 1;
        }
        self.combinations(&mut outcome, schema, value, path);
        outcome.count += 1;
        match value {
            Value::String(text) => {
                self.text(&mut outcome, limits, text, path);
                outcome.count += 1;
                if let Some(format) = &limits.format {
                    if !format.accepts(text) {
                        self.type_fault(&mut outcome, path, &format.name, text);
                    }
                    outcome.count += 1;
                }
            }
            Value::Number(number) => {
                self.number(&mut outcome, limits, number, path);
                outcome.count += 2;
            }
            Value::Array(items) => {
                self.list(&mut outcome, schema, items, old, path);
                outcome.count += 2;
            }
            Value::Null | Value::Bool(_) | Value::Object(_) => {}
        }
        self.one_of_values(&mut outcome, limits, value, path);
        outcome.count += 1;
        if let Value::Object(map) = value {
            self.object(&mut outcome, schema, map, old, path);
            outcome.count += 1;
        }
        outcome.count += 1;
        outcome
    }

    fn null(self, outcome: &mut Outcome, schema: &Node, path: &Path) {
        if schema.has_type() && !schema.is_nullable {
            self.type_fault(outcome, path, schema.type_names(), "null");
        } else {
            outcome.count += 1;
        }
        self.one_of_values(outcome, &schema.limits, &Value::Null, path);
    }

    /// The type; a declared format counts too, as in the API server.
    fn kind(self, outcome: &mut Outcome, schema: &Node, value: &Value, path: &Path) {
        let kind = type_of(value);
        let is_number = schema.allows(Type::Number) || schema.allows(Type::Integer);
        let fits = schema.allows(kind)
            || match value {
                Value::Number(number) => match show::int64(number) {
                    Some(_) => schema.allows(Type::Number),
                    None => schema.allows(Type::Integer) && is_whole(number),
                },
                _ => false,
            };
        if let Some(Format { name, .. }) = &schema.limits.format {
            let is_text_or_list = matches!(kind, Type::String | Type::Array);
            if !is_text_or_list && !fits {
                let format = match value {
                    Value::Number(number) if show::int64(number).is_some() => "int64",
                    Value::Number(_) => "float64",
                    _ => "",
                };
                self.type_fault(outcome, path, name, format);
                return;
            }
            if is_text_or_list && !is_number {
                outcome.count += 1;
                return;
            }
        }
        if fits {
            outcome.count += 1;
        } else {
            self.type_fault(outcome, path, schema.type_names(), kind.name());
        }
    }

    /// anyOf, oneOf, allOf and not.
    fn combinations(self, outcome: &mut Outcome, schema: &Node, value: &Value, path: &Path) {
        if !schema.any_of.is_empty() {
            self.any_of(outcome, &schema.any_of, value, path);
        }
        if !schema.one_of.is_empty() {
            self.one_of(outcome, &schema.one_of, value, path);
        }
        if !schema.all_of.is_empty() {
            let mut valid = 0;
            for branch in &schema.all_of {
                let result = self.value(branch, value, None, path);
                valid += usize::from(result.is_valid());
                outcome.merge(result);
            }
            if valid != schema.all_of.len() {
                let detail = if valid == 0 { ". None validated" } else { "" };
                let text = format!("must validate all the schemas (allOf){detail}");
                self.schemas_fault(outcome, path, &text);
            }
        }
        if let Some(not) = &schema.not
            && (Self { is_quiet: true })
                .value(not, value, None, path)
                .is_valid()
        {
            self.schemas_fault(outcome, path, "must not validate the schema (not)");
        }
        outcome.count += 1;
    }

    fn any_of(self, outcome: &mut Outcome, branches: &[Node], value: &Value, path: &Path) {
        let quiet = Self { is_quiet: true };
        for branch in branches {
            let result = quiet.value(branch, value, None, path);
            if result.is_valid() {
                outcome.merge(result);
                return;
            }
        }
        self.schemas_fault(outcome, path, "must validate at least one schema (anyOf)");
        if let Some(best) = self.best_failure(branches, value, path) {
            outcome.merge(best);
        }
    }

    fn one_of(self, outcome: &mut Outcome, branches: &[Node], value: &Value, path: &Path) {
        let quiet = Self { is_quiet: true };
        let mut first = None;
        let mut valid = 0;
        for branch in branches {
            let result = quiet.value(branch, value, None, path);
            if result.is_valid() {
                valid += 1;
                first.get_or_insert(result);
            }
        }
        match (valid, first) {
            (1, Some(first)) => outcome.merge(first),
            (0, _) => {
                let text = "must validate one and only one schema (oneOf). Found none valid";
                self.schemas_fault(outcome, path, text);
                if let Some(best) = self.best_failure(branches, value, path) {
                    outcome.merge(best);
                }
            }
            (several, _) => {
                let text = format!(
                    "must validate one and only one schema (oneOf). \
                     Found {several} valid alternatives"
                );
                self.schemas_fault(outcome, path, &text);
            }
        }
    }

    /// What the first of the alternatives that got furthest says.
    fn best_failure(self, branches: &[Node], value: &Value, path: &Path) -> Option<Outcome> {
        let mut best: Option<Outcome> = None;
        for branch in branches {
            let result = self.value(branch, value, None, path);
            if best.as_ref().is_none_or(|best| result.count > best.count) {
                best = Some(result);
            }
        }
        best
    }

    /// Only the first thing that is wrong with a text is told.
    fn text(self, outcome: &mut Outcome, limits: &Limits, text: &str, path: &Path) {
        let length = || i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        if let Some(most) = limits.max_length
            && length() > most
        {
            let unit = if most == 1 { "byte" } else { "bytes" };
            self.fault(
                outcome,
                path,
                "FieldValueTooLong",
                || format!("should be at most {most} chars long"),
                |_| format!("Too long: may not be more than {most} {unit}"),
            );
        } else if let Some(fewest) = limits.min_length
            && length() < fewest
        {
            self.invalid(outcome, path, &text.into(), || {
                format!("should be at least {fewest} chars long")
            });
        } else if let Some((written, compiled)) = &limits.pattern {
            let is_match = compiled.as_ref().is_ok_and(|regex| regex.is_match(text));
            if !is_match {
                self.invalid(outcome, path, &text.into(), || match compiled {
                    Ok(_) => format!("should match '{written}'"),
                    Err(error) => {
                        format!("should match '{written}, but pattern is invalid: {error}'")
                    }
                });
            }
        }
    }

    fn number(self, outcome: &mut Outcome, limits: &Limits, number: &Number, path: &Path) {
        let value = Value::Number(number.clone());
        if let Some(factor) = limits.multiple_of {
            self.multiple_of(outcome, factor, number, path);
        }
        if let Some((least, is_excluded)) = limits.minimum {
            let words = if is_excluded {
                "greater than"
            } else {
                "greater than or equal to"
            };
            if is_beyond(number, least, is_excluded, std::cmp::Ordering::Less) {
                self.invalid(outcome, path, &value, || {
                    format!("should be {words} {}", bound(number, least))
                });
            }
        }
        if let Some((most, is_excluded)) = limits.maximum {
            let words = if is_excluded {
                "less than"
            } else {
                "less than or equal to"
            };
            if is_beyond(number, most, is_excluded, std::cmp::Ordering::Greater) {
                self.invalid(outcome, path, &value, || {
                    format!("should be {words} {}", bound(number, most))
                });
            }
        }
    }

    fn multiple_of(self, outcome: &mut Outcome, factor: f64, number: &Number, path: &Path) {
        let shown = bound(number, factor);
        let (is_positive, is_multiple) = if let Some(whole) = show::int64(number) {
            let factor = truncate(factor);
            (factor > 0, factor > 0 && whole % factor == 0)
        } else {
            let float = number.as_f64().unwrap_or_default();
            let times = if factor < 1.0 {
                1.0 / factor * float
            } else {
                float / factor
            };
            (factor > 0.0, is_nearly_whole(times))
        };
        if !is_positive {
            let text = |place: &str| {
                format!("factor MultipleOf declared for {place} must be positive: {shown}")
            };
            self.fault(
                outcome,
                path,
                "FieldValueInvalid",
                || "must be positive".to_owned(),
                |place| format!("Invalid value: {shown}: {}", text(place)),
            );
        } else if !is_multiple {
            self.invalid(outcome, path, &Value::Number(number.clone()), || {
                format!("should be a multiple of {shown}")
            });
        }
    }

    fn list(
        self,
        outcome: &mut Outcome,
        schema: &Node,
        list: &[Value],
        old: Option<&Value>,
        path: &Path,
    ) {
        let limits = &schema.limits;
        if let Some(items) = &schema.items {
            let old = match &schema.list {
                ListType::Map(_) => old.and_then(Value::as_array),
                ListType::Atomic | ListType::Set => None,
            };
            for (index, item) in list.iter().enumerate() {
                let old = old.and_then(|old| correlate::old_item(schema, old, item));
                outcome.merge(self.ratcheted(items, item, old, &Path::Item(path, index)));
            }
        }
        let size = i64::try_from(list.len()).unwrap_or(i64::MAX);
        if let Some(fewest) = limits.min_items
            && size < fewest
        {
            self.invalid(outcome, path, &size.into(), || {
                format!("should have at least {fewest} items")
            });
        }
        if let Some(most) = limits.max_items
            && size > most
        {
            self.too_many(outcome, path, size, most, "items");
        }
        let has_twins = || {
            let mut seen = HashSet::with_capacity(list.len());
            !list.iter().all(|item| seen.insert(item))
        };
        if limits.has_unique_items && has_twins() {
            self.invalid(outcome, path, &"".into(), || {
                "shouldn't contain duplicates".to_owned()
            });
        }
    }

    fn one_of_values(self, outcome: &mut Outcome, limits: &Limits, value: &Value, path: &Path) {
        if limits.values.is_empty() || limits.values.iter().any(|known| is_equal(value, known)) {
            return;
        }
        let plain = |known: &Value| match known {
            Value::String(text) => text.clone(),
            other => show::json(other),
        };
        self.fault(
            outcome,
            path,
            "FieldValueNotSupported",
            || "should be one of".to_owned(),
            |_| {
                let supported: Vec<String> = limits
                    .values
                    .iter()
                    .map(|known| show::quoted(&plain(known)))
                    .collect();
                let shown = show::bad_value(value);
                format!(
                    "Unsupported value: {shown}: supported values: {}",
                    supported.join(", ")
                )
            },
        );
    }

    fn object(
        self,
        outcome: &mut Outcome,
        schema: &Node,
        map: &Map<String, Value>,
        old: Option<&Value>,
        path: &Path,
    ) {
        let limits = &schema.limits;
        let size = i64::try_from(map.len()).unwrap_or(i64::MAX);
        if let Some(fewest) = limits.min_properties
            && size < fewest
        {
            self.invalid(outcome, path, &size.into(), || {
                format!("should have at least {fewest} properties")
            });
        }
        if let Some(most) = limits.max_properties
            && size > most
        {
            self.too_many(outcome, path, size, most, "properties");
        }
        let old = old.and_then(Value::as_object);
        // The type of an object is converted, never changed: it is always checked.
        let old_field = |key: &str| {
            let is_type = matches!(path, Path::Root) && matches!(key, "kind" | "apiVersion");
            old.filter(|_| !is_type).and_then(|old| old.get(key))
        };
        match &schema.additional {
            Additional::Schema(additional) => {
                for (key, value) in map {
                    if !schema.properties.contains_key(key) {
                        let place = Path::Key(path, key);
                        let old = old_field(key);
                        outcome.merge(self.ratcheted(additional, value, old, &place));
                    }
                }
            }
            Additional::Forbidden => {
                for key in map.keys() {
                    if !schema.properties.contains_key(key) {
                        self.fault(
                            outcome,
                            path,
                            "FieldValueInvalid",
                            || format!("{key} is a forbidden property"),
                            |place| {
                                format!(
                                    "Invalid value: {}: {place}.{key} in body is a forbidden \
                                     property",
                                    show::quoted(key)
                                )
                            },
                        );
                    }
                }
            }
            Additional::Absent | Additional::Any => {}
        }
        for (name, property) in &schema.properties {
            if let Some(value) = map.get(name) {
                let place = Path::Field(path, name);
                outcome.merge(self.ratcheted(property, value, old_field(name), &place));
            }
        }
        for name in &limits.required {
            if !map.contains_key(name) {
                self.fault(
                    outcome,
                    &Path::Key(path, name),
                    "FieldValueRequired",
                    || "is required".to_owned(),
                    |_| "Required value".to_owned(),
                );
            }
        }
    }

    /// The value has another type or format than `wanted`.
    fn type_fault(self, outcome: &mut Outcome, path: &Path, wanted: &str, found: &str) {
        self.fault(
            outcome,
            path,
            "FieldValueTypeInvalid",
            || format!("must be of type {wanted}: {found}"),
            |place| {
                let found = show::quoted(found);
                format!("Invalid value: {found}: {place} in body must be of type {wanted}: {found}")
            },
        );
    }

    fn too_many(self, outcome: &mut Outcome, path: &Path, size: i64, most: i64, what: &str) {
        let unit = if most == 1 { "item" } else { "items" };
        self.fault(
            outcome,
            path,
            "FieldValueTooMany",
            || format!("should have at most {most} {what}"),
            |_| format!("Too many: {size}: must have at most {most} {unit}"),
        );
    }

    /// The value is not acceptable; `words` follow the place.
    fn invalid(
        self,
        outcome: &mut Outcome,
        path: &Path,
        value: &Value,
        words: impl Fn() -> String,
    ) {
        self.fault(outcome, path, "FieldValueInvalid", &words, |place| {
            let shown = show::bad_value(value);
            format!("Invalid value: {shown}: {place} in body {}", words())
        });
    }

    /// Several schemas together refuse the value: that names no field.
    fn schemas_fault(self, outcome: &mut Outcome, path: &Path, words: &str) {
        if self.is_quiet {
            outcome.faults.push(Fault::default());
            return;
        }
        let text = format!("{} {words}", show::quoted(&path.dotted()));
        outcome.push(Fault {
            place: None,
            message: format!("Invalid value: \"\": {text}"),
            text,
            reason: "FieldValueInvalid",
        });
    }

    fn fault(
        self,
        outcome: &mut Outcome,
        path: &Path,
        reason: &'static str,
        words: impl FnOnce() -> String,
        message: impl FnOnce(&str) -> String,
    ) {
        if self.is_quiet {
            outcome.faults.push(Fault::default());
            return;
        }
        let place = path.dotted();
        outcome.push(Fault {
            text: format!("{place} in body {}", words()),
            reason,
            message: message(&place),
            place: Some(place),
        });
    }
}

/// The type of a value as Go decodes it.
fn type_of(value: &Value) -> Type {
    match value {
        Value::Bool(_) => Type::Boolean,
        Value::Number(number) if show::int64(number).is_some() => Type::Integer,
        Value::Number(_) => Type::Number,
        Value::String(_) | Value::Null => Type::String,
        Value::Array(_) => Type::Array,
        Value::Object(_) => Type::Object,
    }
}

fn is_whole(number: &Number) -> bool {
    number.as_f64().is_some_and(is_nearly_whole)
}

/// Whether a float is a whole number that JSON can carry, up to rounding.
fn is_nearly_whole(float: f64) -> bool {
    const MOST: f64 = 9_007_199_254_740_991.0;
    float.is_finite()
        && float.abs() <= MOST
        && (float - float.round()).abs() / (2.0 * float.abs()).max(f64::MIN_POSITIVE) < 1e-9
}

/// A float without its fraction.
#[expect(
    clippy::cast_possible_truncation,
    reason = "Go converts the limits of whole numbers the same way"
)]
fn truncate(float: f64) -> i64 {
    float as i64
}

/// Whether a number lies on the wrong side of a limit. Whole numbers are compared as such.
fn is_beyond(number: &Number, limit: f64, is_excluded: bool, wrong: std::cmp::Ordering) -> bool {
    let ordering = match show::int64(number) {
        Some(whole) => Some(whole.cmp(&truncate(limit))),
        None => number.as_f64().and_then(|float| float.partial_cmp(&limit)),
    };
    ordering.is_some_and(|ordering| {
        ordering == wrong || (is_excluded && ordering == std::cmp::Ordering::Equal)
    })
}

/// A limit as it is printed next to a number.
fn bound(number: &Number, limit: f64) -> String {
    match show::int64(number) {
        Some(_) => truncate(limit).to_string(),
        None => show::float(limit),
    }
}

/// Whether a value equals one of an enum; numbers are converted to the type of that one.
fn is_equal(value: &Value, known: &Value) -> bool {
    match (value, known) {
        (Value::Number(number), Value::Number(wanted)) => {
            match (show::int64(number), show::int64(wanted)) {
                (Some(number), Some(wanted)) => number == wanted,
                (None, Some(wanted)) => number.as_f64().map(truncate) == Some(wanted),
                (_, None) => number.as_f64() == wanted.as_f64(),
            }
        }
        (value, known) => value == known,
    }
}
