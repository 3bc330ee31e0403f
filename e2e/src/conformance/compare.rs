//! Where two JSON values differ.

use std::collections::BTreeSet;

use serde_json::Value;

/// Every difference, as `path: wanted X, got Y`.
pub(super) fn differences(wanted: &Value, got: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk("", wanted, got, &mut found);
    found
}

fn walk(path: &str, wanted: &Value, got: &Value, found: &mut Vec<String>) {
    match (wanted, got) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let path = format!("{path}.{key}");
                match (one.get(key), other.get(key)) {
                    (Some(one), Some(other)) => walk(&path, one, other, found),
                    (Some(one), None) => found.push(format!("{path}: wanted {one}, got nothing")),
                    (None, Some(other)) => {
                        found.push(format!("{path}: wanted nothing, got {other}"));
                    }
                    (None, None) => {}
                }
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                walk(&format!("{path}[{index}]"), one, other, found);
            }
        }
        (one, other) if one == other => {}
        (one, other) => found.push(format!("{path}: wanted {one}, got {other}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_values_have_no_difference_whatever_the_order_of_keys() {
        let wanted = json!({ "a": 1, "b": [null, "x"] });
        let got = json!({ "b": [null, "x"], "a": 1 });
        assert!(differences(&wanted, &got).is_empty());
    }

    #[test]
    fn a_difference_tells_where_it_is() {
        let wanted = json!({ "a": [{ "b": 1 }], "c": 2, "d": [1] });
        let got = json!({ "a": [{ "b": 3 }], "e": 4, "d": [1, 2] });
        assert_eq!(
            differences(&wanted, &got),
            [
                ".a[0].b: wanted 1, got 3",
                ".c: wanted 2, got nothing",
                ".d: wanted [1], got [1,2]",
                ".e: wanted nothing, got 4",
            ]
        );
    }
}
