//! Field selectors: `metadata.name=a,status.phase!=Running`.

use serde_json::Value;

use crate::kinds::Kind;
use crate::status::Status;

/// A parsed field selector. All terms must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<Term>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    path: String,
    value: String,
    equal: bool,
}

impl Fields {
    /// Parses a selector and checks that the kind knows its fields; the empty one matches
    /// everything.
    pub(crate) fn parse(kind: &Kind, text: &str) -> Result<Self, Status> {
        let mut parts = split(text);
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let operator = part
                .char_indices()
                .find_map(|(index, _)| {
                    ["!=", "==", "="]
                        .into_iter()
                        .find(|operator| {
                            part.get(index..)
                                .is_some_and(|rest| rest.starts_with(operator))
                        })
                        .map(|operator| (index, operator))
                })
                .ok_or_else(|| {
                    Status::bad_request(format!(
                        "invalid selector: '{text}'; can't understand '{part}'"
                    ))
                })?;
            let (index, operator) = operator;
            let (path, rest) = part.split_at(index);
            terms.push(Term {
                path: path.to_owned(),
                value: unescape(rest.strip_prefix(operator).unwrap_or_default())?,
                equal: operator != "!=",
            });
        }
        for term in &terms {
            if !kind.is_selectable(&term.path) {
                return Err(unknown(kind, &term.path));
            }
        }
        Ok(Self(terms))
    }

    /// Whether everything matches.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object's fields match.
    pub(crate) fn matches(&self, kind: &Kind, object: &Value) -> bool {
        self.0
            .iter()
            .all(|term| (kind.selectable(object, &term.path) == term.value) == term.equal)
    }

    /// Requires a name.
    pub(crate) fn name(name: &str) -> Self {
        Self(vec![Term {
            path: "metadata.name".to_owned(),
            value: name.to_owned(),
            equal: true,
        }])
    }
}

/// Reads only what a selector requires of `metadata.name`; authorization wants to know.
pub(crate) fn required_name(text: &str) -> Option<String> {
    split(text).into_iter().find_map(|part| {
        let value = part.strip_prefix("metadata.name=")?;
        unescape(value.strip_prefix('=').unwrap_or(value)).ok()
    })
}

/// Cuts at commas that have no backslash before them.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (index, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.extend(text.get(start..index));
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts
}

fn unescape(text: &str) -> Result<String, Status> {
    let sequence = |character: &str| {
        Status::bad_request(format!(
            "invalid field selector: invalid escape sequence: \\{character}"
        ))
    };
    let mut value = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(next @ ('\\' | ',' | '=')) => value.push(next),
                Some(next) => return Err(sequence(&next.to_string())),
                None => return Err(sequence("")),
            },
            ',' | '=' => {
                return Err(Status::bad_request(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(character)
                )));
            }
            other => value.push(other),
        }
    }
    Ok(value)
}

fn unknown(kind: &Kind, path: &str) -> Status {
    // Kinds with fields of their own say it otherwise than those without.
    if kind.schema.is_some() || !kind.selectable_fields.is_empty() {
        Status::bad_request(format!("field label not supported: {path}"))
    } else {
        Status::bad_request(format!(
            "\"{path}\" is not a known field selector: only \"metadata.name\", \
             \"metadata.namespace\""
        ))
    }
}
