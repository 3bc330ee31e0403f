//! Label selectors of objects: `matchLabels` and `matchExpressions`.

use serde_json::{Map, Value};

/// The labels of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels<'a>(Option<&'a Map<String, Value>>);

impl<'a> Labels<'a> {
    pub(crate) fn of(object: &'a Value) -> Self {
        Self(object["metadata"]["labels"].as_object())
    }

    pub(crate) fn get(self, key: &str) -> Option<&'a str> {
        self.0?.get(key)?.as_str()
    }

    /// Whether a LabelSelector matches; an empty one does, none does not.
    pub(crate) fn match_selector(self, selector: &Value) -> bool {
        let Some(selector) = selector.as_object() else {
            return false;
        };
        let labels = selector.get("matchLabels").and_then(Value::as_object);
        let mut labels = labels.into_iter().flatten();
        let expressions = selector.get("matchExpressions").and_then(Value::as_array);
        let mut expressions = expressions.into_iter().flatten();
        labels.all(|(key, value)| self.get(key) == value.as_str())
            && expressions.all(|expression| self.match_expression(expression))
    }

    /// Whether one requirement holds, of a LabelSelector or of a node selector.
    pub(crate) fn match_expression(self, expression: &Value) -> bool {
        let key = expression["key"].as_str().unwrap_or_default();
        let found = self.get(key);
        let values = expression["values"].as_array();
        let mut values = values.into_iter().flatten().filter_map(Value::as_str);
        match expression["operator"].as_str().unwrap_or_default() {
            "In" => found.is_some_and(|found| values.any(|value| value == found)),
            "NotIn" => found.is_none_or(|found| values.all(|value| value != found)),
            "Exists" => found.is_some(),
            "DoesNotExist" => found.is_none(),
            "Gt" => compare(found, values.next()).is_some_and(|(found, bound)| found > bound),
            "Lt" => compare(found, values.next()).is_some_and(|(found, bound)| found < bound),
            _ => false,
        }
    }
}

fn compare(found: Option<&str>, bound: Option<&str>) -> Option<(i64, i64)> {
    Some((found?.parse().ok()?, bound?.parse().ok()?))
}
