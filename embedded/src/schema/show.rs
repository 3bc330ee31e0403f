//! Values as Go prints them: the API server quotes them in its messages.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// A value in `Invalid value: …`: numbers and booleans bare, texts quoted, the rest as JSON.
pub fn bad_value(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Number(number) => match int64(number) {
            Some(whole) => whole.to_string(),
            None => float(number.as_f64().unwrap_or_default()),
        },
        other => json(other),
    }
}

/// A whole number that Go decodes into an `int64`; other numbers become a `float64`.
pub fn int64(number: &Number) -> Option<i64> {
    number.as_i64()
}

/// What Go calls the type of a JSON value.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A text as `%q` prints it.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            other if is_printable(other) => out.push(other),
            other => escape(&mut out, other),
        }
    }
    out.push('"');
    out
}

fn escape(out: &mut String, letter: char) {
    let code = u32::from(letter);
    // Writing to a text cannot fail.
    let _ = if code < 0x80 {
        write!(out, "\\x{code:02x}")
    } else if code < 0x1_0000 {
        write!(out, "\\u{code:04x}")
    } else {
        write!(out, "\\U{code:08x}")
    };
}

/// Close to Go's `unicode.IsPrint`: no controls, no spaces but the plain one, nothing invisible.
fn is_printable(letter: char) -> bool {
    if letter == ' ' {
        return true;
    }
    let is_invisible = matches!(
        u32::from(letter),
        0xad | 0x600..=0x605
            | 0x61c
            | 0x200b..=0x200f
            | 0x2028..=0x202e
            | 0x2060..=0x206f
            | 0xe000..=0xf8ff
            | 0xfeff
            | 0xfff9..=0xfffb
            | 0xfffe
            | 0xffff
            | 0xe_0000..
    );
    !letter.is_control() && !letter.is_whitespace() && !is_invisible
}

/// A value as `encoding/json` writes it: keys in order, `<`, `>` and `&` escaped.
pub fn json(value: &Value) -> String {
    let mut out = String::new();
    write_json(&mut out, value);
    out
}

fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Number(number) => match int64(number) {
            Some(whole) => {
                let _ = write!(out, "{whole}");
            }
            None => out.push_str(&shortest(number.as_f64().unwrap_or_default(), -6..21, 1)),
        },
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(out, key);
                out.push(':');
                write_json(out, item);
            }
            out.push('}');
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{0}'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// A float as `%v` prints it.
pub fn float(number: f64) -> String {
    shortest(number, -4..6, 2)
}

/// A float in the shortest form that reads back the same: plain if its exponent is in `plain`,
/// else with an exponent of at least `width` digits.
fn shortest(number: f64, plain: std::ops::Range<i32>, width: usize) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number == 0.0 || plain.contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:0width$}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{bad_value, json, quoted};

    #[test]
    fn texts_are_quoted_as_go_does() {
        assert_eq!(quoted("a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(quoted("\u{0}\t\u{7f}é\u{200b}"), r#""\x00\t\x7fé\u200b""#);
    }

    #[test]
    fn numbers_are_printed_as_go_does() {
        assert_eq!(bad_value(&json!(-3)), "-3");
        assert_eq!(bad_value(&json!(1.5)), "1.5");
        assert_eq!(bad_value(&json!(1.0)), "1");
        assert_eq!(bad_value(&json!(1e21)), "1e+21");
        assert_eq!(bad_value(&json!(123_456_789.5)), "1.234567895e+08");
        assert_eq!(bad_value(&json!(0.000_01)), "1e-05");
        assert_eq!(
            json(&json!([0.000_01, 1e-7, 1e20, 1e21])),
            "[0.00001,1e-7,100000000000000000000,1e+21]"
        );
    }

    #[test]
    fn objects_are_printed_in_order_and_escaped() {
        assert_eq!(
            json(&json!({ "b": "<&>", "a": [true, null] })),
            r#"{"a":[true,null],"b":"\u003c\u0026\u003e"}"#
        );
    }
}
