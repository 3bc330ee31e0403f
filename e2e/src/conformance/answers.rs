//! The recorded answers: one file per topic, in a form that shows well in a diff.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::case::{Topic, folder};

/// Longest line; what fits on one is not broken.
const WIDTH: usize = 100;

/// The recorded answers of a topic, by name of the case.
#[derive(Clone, Debug, Default)]
pub struct Answers(BTreeMap<String, Vec<Value>>);

impl Answers {
    fn file(topic: &Topic) -> PathBuf {
        folder()
            .join("answers")
            .join(format!("{}.json", topic.name))
    }

    /// Reads those of a topic; none if nothing was recorded.
    pub fn load(topic: &Topic) -> Result<Self> {
        let path = Self::file(topic);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(&path)?;
        let answers = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        Ok(Self(answers))
    }

    /// Writes them, without those of cases that are no more.
    pub fn store(&mut self, topic: &Topic) -> Result<()> {
        self.0
            .retain(|name, _| topic.cases.iter().any(|case| case.name == *name));
        let path = Self::file(topic);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, self.text()).with_context(|| path.display().to_string())
    }

    /// What was recorded of a case.
    pub fn get(&self, case: &str) -> Option<&[Value]> {
        self.0.get(case).map(Vec::as_slice)
    }

    /// Names of the cases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Records a case.
    pub fn insert(&mut self, case: &str, answers: Vec<Value>) {
        self.0.insert(case.to_owned(), answers);
    }

    fn text(&self) -> String {
        let all = self
            .0
            .iter()
            .map(|(name, answers)| (name.clone(), Value::from(answers.clone())));
        let mut text = String::new();
        write(&Value::Object(all.collect()), 0, 0, &mut text);
        text.push('\n');
        text
    }
}

/// Writes a value whose line has `used` columns already.
fn write(value: &Value, indent: usize, used: usize, text: &mut String) {
    let short = flat(value);
    let (open, close) = match value {
        Value::Array(items) if !items.is_empty() => ('[', ']'),
        Value::Object(map) if !map.is_empty() => ('{', '}'),
        _ => return text.push_str(&short),
    };
    // One column for a comma.
    if indent > 1 && used + short.len() < WIDTH {
        return text.push_str(&short);
    }
    text.push(open);
    let inner = indent + 1;
    let entries: Vec<(String, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (format!("{}: ", Value::from(key.as_str())), value))
            .collect(),
        other => other
            .as_array()
            .into_iter()
            .flatten()
            .map(|value| (String::new(), value))
            .collect(),
    };
    for (index, (key, value)) in entries.iter().enumerate() {
        text.push_str(if index > 0 { ",\n" } else { "\n" });
        text.push_str(&"  ".repeat(inner));
        text.push_str(key);
        write(value, inner, inner * 2 + key.len(), text);
    }
    text.push('\n');
    text.push_str(&"  ".repeat(indent));
    text.push(close);
}

/// A value on one line, with spaces.
fn flat(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flat).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), flat(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_fits_on_a_line_is_on_one() {
        let mut answers = Answers::default();
        let long = "x".repeat(70);
        answers.insert(
            "A",
            vec![json!({ "code": 200, "body": { "a": [1, {}], "b": long } })],
        );
        let expected = format!(
            r#"{{
  "A": [
    {{
      "body": {{
        "a": [1, {{}}],
        "b": "{long}"
      }},
      "code": 200
    }}
  ]
}}
"#
        );
        assert_eq!(answers.text(), expected);
        assert_eq!(
            serde_json::from_str::<Value>(&expected).unwrap()["A"],
            json!(answers.get("A").unwrap())
        );
    }
}
