//! The rules of a schema (`x-kubernetes-validations`): which of them are evaluated for an object,
//! and what they say.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::cel::{self, Failure, Fault, Program, Scope, Subject, Val, Wanted};
use super::correlate;
use super::node::{Additional, Node, Type};
use super::path::Path;
use super::show;
use crate::status::Cause;

/// A rule of one node.
#[derive(Debug)]
pub(super) struct Rule {
    /// Must be true; none if the rule is empty.
    program: Option<Program>,
    /// How errors name the rule: its message, or else its text.
    name: String,
    /// What is told if the rule is broken.
    message: String,
    /// Computes what is told.
    message_program: Option<Program>,
    reason: Reason,
    /// The field to name, from the node on.
    field: Option<String>,
    /// Whether the rule is evaluated without an old value too.
    has_optional_old: bool,
}

#[derive(Clone, Copy, Debug)]
enum Reason {
    Invalid,
    Forbidden,
    Required,
    Duplicate,
}

impl Rule {
    /// Reads and compiles a rule of a schema; the error begins with the field that is wrong.
    pub(super) fn read(rule: &Value, schema: &Map<String, Value>) -> Result<Self, String> {
        let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
        let source = text("rule");
        let program = (!source.trim().is_empty())
            .then(|| Program::compile(source))
            .transpose()
            .map_err(|error| format!("rule: compilation failed: {error}"))?;
        let written = text("messageExpression");
        let message_program = (!written.trim().is_empty())
            .then(|| Program::compile(written))
            .transpose()
            .map_err(|error| {
                format!("messageExpression: messageExpression compilation failed: {error}")
            })?;
        let message = text("message").trim();
        let field = text("fieldPath");
        Ok(Self {
            program,
            name: if message.is_empty() {
                source.trim().to_owned()
            } else {
                message.to_owned()
            },
            message: if message.is_empty() {
                format!("failed rule: {}", source.trim())
            } else {
                message.to_owned()
            },
            message_program,
            reason: match text("reason") {
                "FieldValueForbidden" => Reason::Forbidden,
                "FieldValueRequired" => Reason::Required,
                "FieldValueDuplicate" => Reason::Duplicate,
                _ => Reason::Invalid,
            },
            field: (!field.is_empty())
                .then(|| field_path(field, schema))
                .transpose()
                .map_err(|error| format!("fieldPath: {error}"))?,
            has_optional_old: rule
                .get("optionalOldSelf")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
        })
    }

    /// Finds faults that show only with the schema around; the error begins with the field that is
    /// wrong.
    fn check(&self, schema: &Node, is_resource: bool) -> Result<(), String> {
        let subject = Subject {
            schema,
            is_resource,
            has_optional_old: self.has_optional_old,
        };
        let untyped = "failed to convert to declType for CEL validation rules";
        if let Some(program) = &self.program {
            program
                .check(subject, Wanted::Bool)
                .map_err(|fault| match fault {
                    Fault::Places(text) => format!("rule: compilation failed: {text}"),
                    Fault::Type => "rule: cel expression must evaluate to a bool".to_owned(),
                    Fault::Untyped => format!("rule: {untyped}"),
                })?;
        }
        if let Some(program) = &self.message_program {
            program
                .check(subject, Wanted::Text)
                .map_err(|fault| match fault {
                    Fault::Places(text) => {
                        format!("messageExpression: messageExpression compilation failed: {text}")
                    }
                    Fault::Type => {
                        "messageExpression: messageExpression must evaluate to a string".to_owned()
                    }
                    Fault::Untyped => format!("messageExpression: {untyped}"),
                })?;
        }
        Ok(())
    }

    fn uses_old(&self) -> bool {
        self.program.as_ref().is_some_and(Program::uses_old)
    }
}

/// The field that a rule names, as paths name it: `.labels` is `labels`, `.a['b.c']` is `a.b.c`.
fn field_path(path: &str, schema: &Map<String, Value>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = path;
    let mut node = Some(schema);
    while !rest.is_empty() {
        let name = if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[', ']']).unwrap_or(after.len());
            rest = &after[end..];
            after[..end].to_owned()
        } else if let Some(after) = rest.strip_prefix("['") {
            let (name, after) = quoted_name(after)?;
            rest = after;
            name
        } else {
            let found: String = rest.chars().take(1).collect();
            return Err(format!("expected [ or . but got: {found}"));
        };
        if name.is_empty() {
            return Err("unexpected end of JSON path".to_owned());
        }
        let properties = node
            .and_then(|node| node.get("properties"))
            .and_then(Value::as_object);
        let additional = node
            .and_then(|node| node.get("additionalProperties"))
            .and_then(Value::as_object);
        if let Some(properties) = properties {
            node = properties.get(&name).and_then(Value::as_object);
            if node.is_none() {
                return Err("does not refer to a valid field".to_owned());
            }
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&name);
        } else if let Some(additional) = additional {
            node = Some(additional);
            // Writing to a text cannot fail.
            let _ = write!(out, "[{name}]");
        } else {
            return Err("does not refer to a valid field".to_owned());
        }
    }
    Ok(out)
}

/// Reads a name in single quotes up to its bracket.
fn quoted_name(text: &str) -> Result<(String, &str), String> {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\'' => {
                let rest = text[at + 1..]
                    .strip_prefix(']')
                    .ok_or_else(|| "expected ]".to_owned())?;
                return Ok((name, rest));
            }
            '\\' => match letters.next() {
                Some((_, escaped @ ('\'' | '\\'))) => name.push(escaped),
                _ => return Err("invalid string literal: invalid escape char".to_owned()),
            },
            other => name.push(other),
        }
    }
    Err("unexpected end of JSON path".to_owned())
}

/// Finds faults of rules that show only with the schema around; the error names the place.
pub(super) fn check(schema: &Node, path: &str) -> Result<(), String> {
    check_at(schema, schema, true, path)
}

fn check_at(rules: &Node, schema: &Node, is_resource: bool, path: &str) -> Result<(), String> {
    if !rules.has_rules {
        return Ok(());
    }
    for (index, rule) in rules.rules.iter().enumerate() {
        rule.check(schema, is_resource)
            .map_err(|error| format!("{path}.x-kubernetes-validations[{index}].{error}"))?;
    }
    if let (Some(rules), Some(schema)) = (&rules.items, &schema.items) {
        check_at(rules, schema, schema.is_resource, &format!("{path}.items"))?;
    }
    if let (Additional::Schema(rules), Additional::Schema(schema)) =
        (&rules.additional, &schema.additional)
    {
        let path = format!("{path}.additionalProperties");
        check_at(rules, schema, schema.is_resource, &path)?;
    }
    for (name, rules) in &rules.properties {
        if let Some(schema) = schema.properties.get(name) {
            let path = format!("{path}.properties[{name}]");
            check_at(rules, schema, schema.is_resource, &path)?;
        }
    }
    for (index, branch) in rules.all_of.iter().enumerate() {
        check_at(
            branch,
            schema,
            is_resource,
            &format!("{path}.allOf[{index}]"),
        )?;
    }
    Ok(())
}

/// Evaluates the rules of a schema for a whole object; `old` is the object before an update.
pub(super) fn validate(schema: &Node, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut run = Run { causes: Vec::new() };
    if schema.has_rules {
        let place = Place {
            // The structure is declared by the schema, the rules can also stand in an allOf.
            rules: schema,
            schema,
            is_root: true,
            old,
            before: Before::of_root(old),
        };
        run.walk(new, place, &Path::Root);
    }
    run.causes
}

/// Where the walk stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    rules: &'a Node,
    schema: &'a Node,
    is_root: bool,
    /// The old value, if rules can compare with it.
    old: Option<&'a Value>,
    before: Before<'a>,
}

/// What a node was before the update, to forgive faults of what did not change.
#[derive(Clone, Copy)]
enum Before<'a> {
    /// Nothing: all faults count.
    Nothing,
    /// This value of this node.
    Here(&'a Value, Depth),
    /// Unknown; but the nearest known ancestor was the same, or not.
    Above { is_same: bool },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Root,
    Below,
}

impl<'a> Before<'a> {
    fn of_root(old: Option<&'a Value>) -> Self {
        old.map_or(Self::Nothing, |old| Self::Here(old, Depth::Root))
    }

    /// Whether a fault of this node is forgiven.
    fn forgives(self, schema: &Node, new: &Value) -> bool {
        match self {
            Self::Nothing => false,
            Self::Here(old, _) => correlate::is_same(schema, old, new),
            Self::Above { is_same } => is_same,
        }
    }

    fn field(self, schema: &Node, new: &Value, name: &str) -> Self {
        match self {
            Self::Here(_, Depth::Root) if matches!(name, "apiVersion" | "kind") => Self::Nothing,
            Self::Here(old, _) => {
                let known = old.get(name).filter(|_| schema.field(name).is_some());
                Self::below(known, schema, old, new)
            }
            other => other,
        }
    }

    fn item(self, schema: &Node, new: &Value, item: &Value) -> Self {
        match self {
            Self::Here(old, _) => {
                let known = old
                    .as_array()
                    .and_then(|old| correlate::old_item(schema, old, item));
                Self::below(known, schema, old, new)
            }
            other => other,
        }
    }

    fn below(known: Option<&'a Value>, schema: &Node, old: &Value, new: &Value) -> Self {
        match known {
            Some(known) => Self::Here(known, Depth::Below),
            None => Self::Above {
                is_same: correlate::is_same(schema, old, new),
            },
        }
    }
}

struct Run {
    causes: Vec<Cause>,
}

impl Run {
    fn walk<'a>(&mut self, new: &'a Value, place: Place<'a>, path: &Path) {
        if new.is_null() || !place.rules.has_rules {
            return;
        }
        if !place.rules.rules.is_empty() {
            self.rules(new, place, path);
        }
        for branch in &place.rules.all_of {
            // What stands in an allOf is forgiven only with the whole node around.
            let before = match place.before {
                Before::Here(_, Depth::Root) | Before::Nothing => Before::Nothing,
                Before::Here(..) => Before::Above { is_same: false },
                above @ Before::Above { .. } => above,
            };
            let place = Place {
                rules: branch,
                before,
                ..place
            };
            self.walk(new, place, path);
        }
        match new {
            Value::Array(items) => self.items(new, items, place, path),
            Value::Object(map) => self.fields(new, map, place, path),
            _ => {}
        }
    }

    fn items<'a>(&mut self, new: &'a Value, items: &'a [Value], place: Place<'a>, path: &Path) {
        let (Some(rules), Some(schema)) = (&place.rules.items, &place.schema.items) else {
            return;
        };
        if !rules.has_rules {
            return;
        }
        let old_items = place.old.and_then(Value::as_array);
        for (index, item) in items.iter().enumerate() {
            let below = Place {
                rules,
                schema,
                is_root: schema.is_resource,
                old: old_items.and_then(|old| correlate::old_item(place.schema, old, item)),
                before: place.before.item(place.schema, new, item),
            };
            self.walk(item, below, &Path::Item(path, index));
        }
    }

    fn fields<'a>(
        &mut self,
        new: &'a Value,
        map: &'a Map<String, Value>,
        place: Place<'a>,
        path: &Path,
    ) {
        let old_field = |key: &str| place.old.and_then(|old| old.get(key));
        if let (Additional::Schema(rules), Additional::Schema(schema)) =
            (&place.rules.additional, &place.schema.additional)
            && rules.has_rules
        {
            for (key, value) in map {
                let below = Place {
                    rules,
                    schema,
                    is_root: schema.is_resource,
                    old: old_field(key),
                    before: place.before.field(place.schema, new, key),
                };
                self.walk(value, below, &Path::Key(path, key));
            }
        }
        for (name, rules) in &place.rules.properties {
            if !rules.has_rules {
                continue;
            }
            let (Some(value), Some(schema)) = (map.get(name), place.schema.properties.get(name))
            else {
                continue;
            };
            let below = Place {
                rules,
                schema,
                is_root: schema.is_resource,
                old: old_field(name),
                before: place.before.field(place.schema, new, name),
            };
            self.walk(value, below, &Path::Field(path, name));
        }
    }

    /// Evaluates the rules of one node.
    fn rules(&mut self, new: &Value, place: Place, path: &Path) {
        let value = |value| {
            if place.is_root {
                cel::resource(value, place.schema)
            } else {
                cel::part(value, place.schema)
            }
        };
        let old = place.old.filter(|old| !old.is_null());
        let plain = Scope {
            this: value(new),
            old: old.map(value),
        };
        for rule in &place.rules.rules {
            let Some(program) = &rule.program else {
                continue;
            };
            if rule.uses_old() && old.is_none() && !rule.has_optional_old {
                continue;
            }
            let result = if rule.has_optional_old {
                let before = plain.old.clone();
                let before = before.map(|old| old.unwrap_or_else(Val::Broken));
                program.run(&Scope {
                    this: plain.this.clone(),
                    old: Some(Ok(Val::optional(before))),
                })
            } else {
                program.run(&plain)
            };
            match result {
                Ok(Val::Bool(true)) => {}
                Ok(_) => {
                    let is_forgiven = !rule.uses_old() && place.before.forgives(place.schema, new);
                    if !is_forgiven {
                        self.causes
                            .push(broken(rule, new, place.schema, &plain, path));
                    }
                }
                Err(failure) => self.causes.push(failed(rule, &failure, place.schema, path)),
            }
        }
    }
}

/// A rule that has no value.
fn failed(rule: &Rule, failure: &Failure, schema: &Node, path: &Path) -> Cause {
    let name = &rule.name;
    let text = failure.to_string();
    let detail = if text.starts_with("no such overload") {
        format!(
            "'{text}': call arguments did not match a supported operator, function or macro \
             signature for rule: {name}"
        )
    } else {
        format!("{text} evaluating rule: {name}")
    };
    let kind = schema.kind.map_or("", Type::name);
    Cause::invalid(path.bracketed(), &show::quoted(kind), &detail)
}

/// A rule that is not true.
fn broken(rule: &Rule, value: &Value, schema: &Node, scope: &Scope, path: &Path) -> Cause {
    let field = match (&rule.field, path) {
        (Some(field), Path::Root) => field.clone(),
        (Some(field), path) => format!("{}.{field}", path.bracketed()),
        (None, path) => path.bracketed(),
    };
    let detail = computed_message(rule, scope).unwrap_or_else(|| rule.message.clone());
    // Objects and lists are too long to be shown.
    let is_omitted = matches!(schema.kind, Some(Type::Object | Type::Array));
    let shown = |words: &str| {
        if is_omitted {
            words.to_owned()
        } else {
            format!("{words}: {}", show::bad_value(value))
        }
    };
    match rule.reason {
        Reason::Forbidden => Cause::forbidden(field, &detail),
        Reason::Required => Cause::required(field, &detail),
        Reason::Duplicate => Cause {
            reason: "FieldValueDuplicate",
            message: shown("Duplicate value"),
            field,
        },
        Reason::Invalid => Cause {
            reason: "FieldValueInvalid",
            message: format!("{}: {detail}", shown("Invalid value")),
            field,
        },
    }
}

/// The message that a rule computes; none if that is no single line of text.
fn computed_message(rule: &Rule, scope: &Scope) -> Option<String> {
    const MOST: usize = 5 * 1024;
    let value = rule.message_program.as_ref()?.run(scope).ok()?;
    let text = value.as_text()?.trim();
    let is_line = !text.is_empty() && !text.contains('\n') && text.len() <= MOST;
    is_line.then(|| text.to_owned())
}
