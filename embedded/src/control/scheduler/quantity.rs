//! Amounts of resources: `100m`, `1.5`, `128Mi`, `1e3`.

use serde_json::Value;

use crate::kinds::builtin::quantity::Quantity;

/// An amount in thousandths, rounded up; none if it is no quantity.
pub(super) fn thousandths(quantity: &Value) -> Option<i64> {
    read(quantity).map(Quantity::thousandths)
}

/// An amount in whole units, rounded up; none if it is no quantity.
pub(super) fn units(quantity: &Value) -> Option<i64> {
    read(quantity).map(Quantity::units)
}

fn read(quantity: &Value) -> Option<Quantity> {
    match quantity {
        Value::String(text) => Quantity::parse(text),
        Value::Number(number) => Quantity::parse(&number.to_string()),
        _ => None,
    }
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
