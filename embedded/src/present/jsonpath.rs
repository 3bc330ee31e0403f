//! The part of kubectl's JSONPath that printer columns use: fields, indexes, slices, wildcards,
//! descent and filters.

use std::cmp::Ordering;

use serde_json::Value;

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Every,
    Descend,
    /// First and last index (or neither), and the step; negative from the end.
    Items(Option<i64>, Option<i64>, i64),
    Filter(Path, Option<(Comparison, Operand)>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    Differs,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Literal(Value),
    Path(Path),
}

impl Path {
    /// Reads a path such as `.status.conditions[?(@.type=="Ready")].status`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text.trim() };
        reader.rest = reader.rest.trim_start_matches(['$', '@']);
        let mut steps = Vec::new();
        while !reader.rest.is_empty() {
            reader.step(&mut steps)?;
        }
        Ok(Self(steps))
    }

    /// Everything that the path leads to, in order. None if an index is out of bounds.
    pub(crate) fn find<'a>(&self, value: &'a Value) -> Option<Vec<&'a Value>> {
        let mut found = vec![value];
        for step in &self.0 {
            let mut next = Vec::new();
            for value in found {
                step.follow(value, &mut next)?;
            }
            found = next;
        }
        Some(found)
    }

    /// The first thing that the path leads to.
    pub(crate) fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.find(value)?.into_iter().next()
    }
}

impl Step {
    fn follow<'a>(&self, value: &'a Value, found: &mut Vec<&'a Value>) -> Option<()> {
        match (self, value) {
            (Self::Field(name), Value::Object(fields)) => found.extend(fields.get(name)),
            (Self::Every, Value::Object(fields)) => found.extend(fields.values()),
            (Self::Every, Value::Array(items)) => found.extend(items),
            (Self::Descend, value) => descend(value, found),
            (Self::Items(first, last, step), Value::Array(items)) => {
                slice(items, (*first, *last, *step), found)?;
            }
            (Self::Filter(left, test), Value::Array(items)) => {
                found.extend(
                    items
                        .iter()
                        .filter(|item| passes(item, left, test.as_ref())),
                );
            }
            _ => {}
        }
        Some(())
    }
}

fn descend<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    found.push(value);
    match value {
        Value::Object(fields) => fields.values().for_each(|value| descend(value, found)),
        Value::Array(items) => items.iter().for_each(|value| descend(value, found)),
        _ => {}
    }
}

fn slice<'a>(
    items: &'a [Value],
    (first, last, step): (Option<i64>, Option<i64>, i64),
    found: &mut Vec<&'a Value>,
) -> Option<()> {
    let length = i64::try_from(items.len()).ok()?;
    let absolute = |index: i64| if index < 0 { index + length } else { index };
    let first = absolute(first.unwrap_or(0));
    let last = absolute(last.unwrap_or(length));
    if first < 0 || last > length || (first >= length && first != last) {
        return None;
    }
    let mut index = first;
    while index < last {
        found.extend(items.get(usize::try_from(index).ok()?));
        index += step.max(1);
    }
    Some(())
}

fn passes(item: &Value, left: &Path, test: Option<&(Comparison, Operand)>) -> bool {
    let Some(left) = left.first(item) else {
        return false;
    };
    let Some((comparison, right)) = test else {
        return true;
    };
    let right = match right {
        Operand::Literal(value) => value,
        Operand::Path(path) => match path.first(item) {
            Some(value) => value,
            None => return false,
        },
    };
    match comparison {
        Comparison::Equal => left == right,
        Comparison::Differs => left != right,
        ordered => {
            let order = match (left, right) {
                (Value::Number(left), Value::Number(right)) => {
                    left.as_f64().partial_cmp(&right.as_f64())
                }
                (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
                _ => None,
            };
            order.is_some_and(|order| match ordered {
                Comparison::Less => order == Ordering::Less,
                Comparison::LessOrEqual => order != Ordering::Greater,
                Comparison::More => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn step(&mut self, steps: &mut Vec<Step>) -> Result<(), String> {
        if let Some(rest) = self.rest.strip_prefix("..") {
            self.rest = rest;
            steps.push(Step::Descend);
            if !rest.starts_with('[') {
                steps.push(self.field()?);
            }
        } else if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            // A lone dot is the object itself.
            if !rest.is_empty() && !rest.starts_with('[') {
                steps.push(self.field()?);
            }
        } else if let Some(rest) = self.rest.strip_prefix('[') {
            self.rest = rest;
            steps.push(self.bracket()?);
        } else if steps.is_empty() {
            steps.push(self.field()?);
        } else {
            return Err(format!("unexpected {:?}", self.rest));
        }
        Ok(())
    }

    fn field(&mut self) -> Result<Step, String> {
        let mut name = String::new();
        let mut letters = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => name.extend(letters.next().map(|(_, escaped)| escaped)),
                '.' | '[' | ' ' | '=' | '!' | '<' | '>' | ')' => {
                    end = at;
                    break;
                }
                letter => name.push(letter),
            }
        }
        self.rest = &self.rest[end..];
        match name.as_str() {
            "" => Err("a field name is missing".to_owned()),
            "*" => Ok(Step::Every),
            _ => Ok(Step::Field(name)),
        }
    }

    fn bracket(&mut self) -> Result<Step, String> {
        if let Some(rest) = self.rest.strip_prefix("?(") {
            self.rest = rest;
            return self.filter();
        }
        let body = self.until(']')?;
        if body == "*" {
            return Ok(Step::Every);
        }
        for quote in ['\'', '"'] {
            if let Some(name) = body
                .strip_prefix(quote)
                .and_then(|body| body.strip_suffix(quote))
            {
                return Ok(Step::Field(name.to_owned()));
            }
        }
        let number = |text: &str| -> Result<Option<i64>, String> {
            if text.is_empty() {
                return Ok(None);
            }
            text.trim()
                .parse()
                .map(Some)
                .map_err(|_| format!("invalid array index {text}"))
        };
        let mut parts = body.split(':');
        let first = number(parts.next().unwrap_or_default())?;
        let Some(last) = parts.next() else {
            let Some(index) = first else {
                return Err("an index is missing".to_owned());
            };
            // The item before the first from the end is the last.
            let end = (index != -1).then_some(index + 1);
            return Ok(Step::Items(Some(index), end, 1));
        };
        let step = number(parts.next().unwrap_or_default())?.unwrap_or(1);
        Ok(Step::Items(first, number(last)?, step))
    }

    fn filter(&mut self) -> Result<Step, String> {
        let left = self.operand_path()?;
        self.rest = self.rest.trim_start();
        let comparisons = [
            ("==", Comparison::Equal),
            ("!=", Comparison::Differs),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::MoreOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::More),
        ];
        let mut test = None;
        for (sign, comparison) in comparisons {
            if let Some(rest) = self.rest.strip_prefix(sign) {
                self.rest = rest.trim_start();
                test = Some((comparison, self.operand()?));
                break;
            }
        }
        self.rest = self
            .rest
            .trim_start()
            .strip_prefix(")]")
            .ok_or_else(|| "unterminated filter".to_owned())?;
        Ok(Step::Filter(left, test))
    }

    fn operand_path(&mut self) -> Result<Path, String> {
        self.rest = self
            .rest
            .trim_start()
            .strip_prefix('@')
            .ok_or_else(|| "a filter begins with @".to_owned())?;
        let mut steps = Vec::new();
        while self.rest.starts_with(['.', '[']) {
            self.step(&mut steps)?;
        }
        Ok(Path(steps))
    }

    fn operand(&mut self) -> Result<Operand, String> {
        if self.rest.starts_with('@') {
            return self.operand_path().map(Operand::Path);
        }
        for quote in ['\'', '"'] {
            if let Some(rest) = self.rest.strip_prefix(quote) {
                self.rest = rest;
                let text = self.until(quote)?;
                return Ok(Operand::Literal(text.into()));
            }
        }
        let end = self.rest.find(')').unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        serde_json::from_str(text.trim())
            .map(Operand::Literal)
            .map_err(|_| format!("unrecognized value {text}"))
    }

    /// The text up to a mark, which is skipped.
    fn until(&mut self, mark: char) -> Result<&'a str, String> {
        let (body, rest) = self
            .rest
            .split_once(mark)
            .ok_or_else(|| format!("{mark} is missing"))?;
        self.rest = rest;
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_to_values() {
        let object = json!({
            "metadata": { "labels": { "muster.dev/fleet": "arena" } },
            "spec": { "ports": [{ "name": "a", "port": 7 }, { "name": "b", "port": 9 }] },
            "status": { "conditions": [
                { "type": "Ready", "status": "True" },
                { "type": "Idle", "status": "False" },
            ] },
        });
        for (path, found) in [
            (".spec.ports[0].port", json!([7])),
            ("$.spec.ports[-1].port", json!([9])),
            (".spec.ports[*].name", json!(["a", "b"])),
            (".spec.ports[0:1].name", json!(["a"])),
            (".spec.ports[?(@.port>7)].name", json!(["b"])),
            (
                ".status.conditions[?(@.type==\"Idle\")].status",
                json!(["False"]),
            ),
            (
                ".status.conditions[?(@.type == 'Ready')].status",
                json!(["True"]),
            ),
            (
                ".status.conditions[?(@.type!='Ready')].status",
                json!(["False"]),
            ),
            (".metadata.labels.muster\\.dev/fleet", json!(["arena"])),
            (".metadata.labels['muster.dev/fleet']", json!(["arena"])),
            (".spec..name", json!(["a", "b"])),
            (".spec.none", json!([])),
        ] {
            let path = Path::parse(path).expect(path);
            assert_eq!(json!(path.find(&object)), found, "{path:?}");
        }
        let outside = Path::parse(".spec.ports[5].port").expect("a path");
        assert_eq!(outside.find(&object), None);
    }

    #[test]
    fn broken_paths_are_refused() {
        for path in [".a[", ".a[x]", ".a[?(b)]", ".a..", ".a[?(@.b=='c']"] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
    }
}
