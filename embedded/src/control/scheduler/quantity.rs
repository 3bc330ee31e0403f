//! Amounts of resources: `100m`, `1.5`, `128Mi`, `1e3`.

use serde_json::Value;

/// Decimal digits after the point that count; the smallest unit is a billionth.
const NANO_DIGITS: u32 = 9;

/// An amount in thousandths, rounded up; none if it is no quantity.
pub(super) fn thousandths(quantity: &Value) -> Option<i64> {
    scaled(quantity, 1_000_000)
}

/// An amount in whole units, rounded up; none if it is no quantity.
pub(super) fn units(quantity: &Value) -> Option<i64> {
    scaled(quantity, 1_000_000_000)
}

fn scaled(quantity: &Value, nanos_per_unit: i128) -> Option<i64> {
    let nanos = match quantity {
        Value::String(text) => nanos(text)?,
        Value::Number(number) => nanos(&number.to_string())?,
        _ => return None,
    };
    let rest = i128::from(nanos.rem_euclid(nanos_per_unit) != 0);
    // What is too much to be told is more than anything has.
    let amount = nanos.div_euclid(nanos_per_unit) + rest;
    Some(i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX }))
}

/// A quantity in billionths.
fn nanos(text: &str) -> Option<i128> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut digits = fraction.bytes();
    for _ in 0..NANO_DIGITS {
        let digit = digits.next().unwrap_or(b'0');
        let digit = char::from(digit).to_digit(10)?;
        value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
    }
    if digits.any(|digit| digit.is_ascii_digit() && digit != b'0') {
        value = value.checked_add(1)?;
    }
    let (factor, divisor) = factor(suffix)?;
    let value = value.checked_mul(factor)?;
    let value = value.div_euclid(divisor) + i128::from(value.rem_euclid(divisor) != 0);
    Some(if negative { -value } else { value })
}

/// What a suffix multiplies with, and what it divides by.
fn factor(suffix: &str) -> Option<(i128, i128)> {
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    const DECIMAL: [(&str, u32); 7] = [
        ("", 0),
        ("k", 3),
        ("M", 6),
        ("G", 9),
        ("T", 12),
        ("P", 15),
        ("E", 18),
    ];
    const SMALL: [(&str, u32); 3] = [("m", 3), ("u", 6), ("n", 9)];
    if let Some(step) = BINARY.iter().position(|known| *known == suffix) {
        return Some((1_i128 << (10 * (step + 1)), 1));
    }
    if let Some((_, zeros)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Some((10_i128.pow(*zeros), 1));
    }
    if let Some((_, zeros)) = SMALL.iter().find(|(known, _)| *known == suffix) {
        return Some((1, 10_i128.pow(*zeros)));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    Some(if exponent < 0 { (1, power) } else { (power, 1) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (quantity, milli) in [
            (json!("100m"), Some(100)),
            (json!("1"), Some(1000)),
            (json!(2), Some(2000)),
            (json!("1.5"), Some(1500)),
            (json!("0.0001"), Some(1)),
            (json!(".5"), Some(500)),
            (json!("1e3"), Some(1_000_000)),
            (json!("1E"), Some(i64::MAX)),
            (json!("12e-1"), Some(1200)),
            (json!("5n"), Some(1)),
            (json!("-1"), Some(-1000)),
            (json!(""), None),
            (json!("x"), None),
            (json!("1.2.3"), None),
            (json!(null), None),
        ] {
            assert_eq!(thousandths(&quantity), milli, "{quantity}");
        }
        for (quantity, whole) in [
            (json!("128Mi"), Some(134_217_728)),
            (json!("1Gi"), Some(1_073_741_824)),
            (json!("1k"), Some(1000)),
            (json!("1500m"), Some(2)),
            (json!("110"), Some(110)),
        ] {
            assert_eq!(units(&quantity), whole, "{quantity}");
        }
    }
}
