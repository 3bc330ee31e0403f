//! What is wrong with a field, in the words of the API server.

use serde_json::Value;

use crate::schema::show;
use crate::status::Cause;

/// The value is not acceptable.
pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Cause {
    Cause::invalid(field, &show::bad_value(value), detail)
}

/// The text is not acceptable.
pub(crate) fn invalid_text(field: impl Into<String>, text: &str, detail: &str) -> Cause {
    Cause::invalid(field, &show::quoted(text), detail)
}

/// Each of the problems of one text.
pub(crate) fn each(
    field: &str,
    text: &str,
    problems: impl IntoIterator<Item = String>,
) -> Vec<Cause> {
    problems
        .into_iter()
        .map(|problem| invalid_text(field, text, &problem))
        .collect()
}

/// The value is none of those that there are.
pub(crate) fn unsupported(field: impl Into<String>, value: &Value, known: &[&str]) -> Cause {
    let known: Vec<String> = known.iter().map(|text| show::quoted(text)).collect();
    Cause {
        reason: "FieldValueNotSupported",
        message: format!(
            "Unsupported value: {}: supported values: {}",
            show::bad_value(value),
            known.join(", ")
        ),
        field: field.into(),
    }
}

/// The value is there twice.
pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Cause {
    duplicate_of(field, &show::bad_value(value))
}

/// The value, as it is shown, is there twice.
pub(crate) fn duplicate_of(field: impl Into<String>, shown: &str) -> Cause {
    Cause {
        reason: "FieldValueDuplicate",
        message: format!("Duplicate value: {shown}"),
        field: field.into(),
    }
}

/// The value refers to something that is not there.
pub(crate) fn not_found(field: impl Into<String>, text: &str) -> Cause {
    Cause {
        reason: "FieldValueNotFound",
        message: format!("Not found: {}", show::quoted(text)),
        field: field.into(),
    }
}

/// The value is too long.
pub(crate) fn too_long(field: impl Into<String>, most: usize) -> Cause {
    Cause {
        reason: "FieldValueTooLong",
        message: format!("Too long: may not be more than {most} bytes"),
        field: field.into(),
    }
}

/// The list is too long.
pub(crate) fn too_many(field: impl Into<String>, count: usize, most: usize) -> Cause {
    let noun = if most == 1 { "item" } else { "items" };
    Cause {
        reason: "FieldValueTooMany",
        message: format!("Too many: {count}: must have at most {most} {noun}"),
        field: field.into(),
    }
}

/// A Go struct as the API server shows it: with the names of its fields in Go, in their order.
pub(crate) fn record(fields: &[(&str, &Value)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// The value must stay as it was created.
pub(crate) fn immutable(field: impl Into<String>, value: &Value) -> Cause {
    invalid(field, value, "field is immutable")
}

/// The number is below zero.
pub(crate) fn not_negative(field: impl Into<String>, value: &Value) -> Option<Cause> {
    let below = value.as_i64().is_some_and(|number| number < 0);
    below.then(|| invalid(field, value, "must be greater than or equal to 0"))
}
