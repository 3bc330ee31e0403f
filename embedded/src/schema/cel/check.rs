//! Finds the faults of an expression before it is used: names that are not there, and operations on
//! values that do not have them. The sentences are those of CEL's compiler.

mod signatures;
mod tokens;
mod types;

use std::rc::Rc;

use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr as Ast, IdedExpr, LiteralValue, SelectExpr,
    operators,
};

use self::tokens::{Tokens, located};
use self::types::Ty;
use super::compile::{LoopKind, TYPES, macro_of, qualified};
use super::value::unescaped;
use crate::schema::node::Node;
use crate::schema::pattern;

pub(super) use self::signatures::has as has_function;

/// What an expression must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// True or false.
    Bool,
    /// A text.
    Text,
}

/// What an expression is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    /// The schema of `self`.
    pub schema: &'a Node,
    /// Whether `self` is a whole object.
    pub is_resource: bool,
    /// Whether `oldSelf` is an optional.
    pub has_optional_old: bool,
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Faults at places in the text.
    Places(String),
    /// It gives a value of another type than wanted.
    Type,
    /// The schema tells no type of `self`.
    Untyped,
}

/// Checks a parsed expression.
pub(super) fn check(
    source: &str,
    ast: &IdedExpr,
    subject: Subject,
    wanted: Wanted,
) -> Result<(), Fault> {
    let this = Ty::of(subject.schema, subject.is_resource).ok_or(Fault::Untyped)?;
    let mut checker = Checker {
        source,
        tokens: Tokens::of(source),
        old: if subject.has_optional_old {
            Ty::Optional(Rc::new(this.clone()))
        } else {
            this.clone()
        },
        this,
        scope: Vec::new(),
        faults: Vec::new(),
        may_mix: false,
    };
    let found = checker.expr(ast);
    if !checker.faults.is_empty() {
        return Err(Fault::Places(checker.faults.join("\n")));
    }
    let is_wanted = match wanted {
        Wanted::Bool => matches!(found, Ty::Plain("bool")),
        Wanted::Text => matches!(found, Ty::Plain("string")),
    };
    if is_wanted { Ok(()) } else { Err(Fault::Type) }
}

struct Checker<'a, 's> {
    source: &'s str,
    tokens: Tokens<'s>,
    this: Ty<'a>,
    old: Ty<'a>,
    scope: Vec<(String, Ty<'a>)>,
    faults: Vec<String>,
    /// Whether a list may have items of several types, as the arguments of `format`.
    may_mix: bool,
}

impl<'a> Checker<'a, '_> {
    /// Remembers a fault; what it is about can be anything from there on.
    fn fault(&mut self, at: usize, words: &str) -> Ty<'a> {
        self.faults.push(located(self.source, at, words));
        Ty::Dyn
    }

    fn expr(&mut self, ast: &IdedExpr) -> Ty<'a> {
        match &ast.expr {
            Ast::Literal(literal) => {
                self.tokens.seek_literal();
                literal_type(literal)
            }
            Ast::Ident(name) => self.name(name),
            Ast::Select(select) => self.select(ast, select),
            Ast::List(list) => {
                self.tokens.seek("[");
                let mut items: Option<Ty<'a>> = None;
                for (index, item) in list.elements.iter().enumerate() {
                    let before = self.faults.len();
                    let mut found = self.expr(item);
                    if list.optional_indices.contains(&index)
                        && let Ty::Optional(value) = &found
                    {
                        found = (**value).clone();
                    }
                    items = Some(self.same(items, found, item, before));
                }
                Ty::List(Rc::new(items.unwrap_or(Ty::Dyn)))
            }
            Ast::Map(map) => {
                self.tokens.seek("{");
                let (mut keys, mut values): (Option<Ty<'a>>, Option<Ty<'a>>) = (None, None);
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        continue;
                    };
                    let before = self.faults.len();
                    let key = self.expr(&entry.key);
                    keys = Some(self.same(keys, key, &entry.key, before));
                    self.tokens.seek(":");
                    let before = self.faults.len();
                    let mut value = self.expr(&entry.value);
                    if entry.optional
                        && let Ty::Optional(inner) = &value
                    {
                        value = (**inner).clone();
                    }
                    values = Some(self.same(values, value, &entry.value, before));
                }
                Ty::Map(
                    Rc::new(keys.unwrap_or(Ty::Dyn)),
                    Rc::new(values.unwrap_or(Ty::Dyn)),
                )
            }
            Ast::Comprehension(comprehension) => self.comprehension(comprehension),
            Ast::Call(call) => self.call(call),
            Ast::Struct(message) => {
                self.tokens.seek(&message.type_name);
                let at = self.tokens.seek("{");
                let name = &message.type_name;
                self.fault(at, &undeclared(name))
            }
            Ast::Unspecified => Ty::Dyn,
        }
    }

    /// The type of all items of a list that is written in the expression.
    fn same(
        &mut self,
        known: Option<Ty<'a>>,
        found: Ty<'a>,
        item: &IdedExpr,
        faults_before: usize,
    ) -> Ty<'a> {
        match known {
            Some(known) if !known.accepts(&found) => {
                let is_literal = matches!(item.expr, Ast::Literal(_));
                if is_literal && !self.may_mix && self.faults.len() == faults_before {
                    let at = self.tokens.last();
                    self.fault(at, &format!("expected type '{known}' but found '{found}'"));
                }
                Ty::Dyn
            }
            Some(known) => known,
            None => found,
        }
    }

    fn name(&mut self, name: &str) -> Ty<'a> {
        let at = self.tokens.seek(name);
        if let Some((_, found)) = self.scope.iter().rev().find(|(known, _)| known == name) {
            return found.clone();
        }
        match name {
            "self" => self.this.clone(),
            "oldSelf" => self.old.clone(),
            _ if TYPES.iter().any(|(known, _)| *known == name) => Ty::TypeOf(Rc::new(Ty::Dyn)),
            _ => self.fault(at, &undeclared(name)),
        }
    }

    fn select(&mut self, ast: &IdedExpr, select: &SelectExpr) -> Ty<'a> {
        if let Some(name) = qualified(ast)
            && TYPES.iter().any(|(known, _)| *known == name)
        {
            self.tokens.seek(&select.field);
            return Ty::TypeOf(Rc::new(Ty::Dyn));
        }
        let before = select.test.then(|| {
            self.tokens.seek("has");
            self.tokens.seek("(")
        });
        let operand = self.expr(&select.operand);
        let dot = self.tokens.seek(".");
        self.tokens.seek(&select.field);
        let found = self.field(&operand, &select.field, before.unwrap_or(dot));
        if select.test {
            return Ty::Plain("bool");
        }
        found
    }

    fn field(&mut self, operand: &Ty<'a>, field: &str, at: usize) -> Ty<'a> {
        match operand {
            Ty::Dyn => Ty::Dyn,
            Ty::Map(_, value) => (**value).clone(),
            Ty::Object(..) => {
                let found = unescaped(field).and_then(|name| operand.field(&name));
                match found {
                    Some(found) => found,
                    None => self.fault(at, &format!("undefined field '{field}'")),
                }
            }
            Ty::Optional(inner) => match self.field(inner, field, at) {
                Ty::Dyn => Ty::Dyn,
                found => Ty::Optional(Rc::new(found)),
            },
            other => self.fault(
                at,
                &format!("type '{other}' does not support field selection"),
            ),
        }
    }

    /// The macros that the parser expands.
    fn comprehension(&mut self, ast: &ComprehensionExpr) -> Ty<'a> {
        let range = self.expr(&ast.iter_range);
        self.tokens.seek(".");
        let at = self.tokens.seek("(");
        let Some((kind, filter, body)) = macro_of(ast) else {
            return Ty::Dyn;
        };
        self.looped(kind, &range, &[&ast.iter_var], filter, body, at)
    }

    fn looped(
        &mut self,
        kind: LoopKind,
        range: &Ty<'a>,
        variables: &[&str],
        filter: Option<&IdedExpr>,
        body: &IdedExpr,
        at: usize,
    ) -> Ty<'a> {
        let (first, second) = match (kind, range) {
            (LoopKind::OptionalMap | LoopKind::OptionalFlatMap, Ty::Optional(value)) => {
                ((**value).clone(), Ty::Dyn)
            }
            (_, Ty::List(item)) if variables.len() > 1 => (Ty::Plain("int"), (**item).clone()),
            (_, Ty::List(item)) => ((**item).clone(), Ty::Dyn),
            (_, Ty::Map(key, value)) => ((**key).clone(), (**value).clone()),
            (_, Ty::Dyn) => (Ty::Dyn, Ty::Dyn),
            (_, other) => {
                let words = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be \
                     list, map, or dynamic)"
                );
                (self.fault(at, &words), Ty::Dyn)
            }
        };
        let outside = self.scope.len();
        for (name, found) in variables.iter().zip([first.clone(), second]) {
            self.tokens.seek(name);
            self.scope.push(((*name).to_owned(), found));
        }
        let before = self.faults.len();
        let filter = filter.map(|filter| self.expr(filter));
        let found = self.expr(body);
        self.scope.truncate(outside);
        let is_clean = self.faults.len() == before;
        let is_bool = |found: &Ty| matches!(found, Ty::Dyn | Ty::Plain("bool"));
        let refused = match (kind, &filter) {
            (LoopKind::All, _) if !is_bool(&found) => Some(("_&&_", format!("(bool, {found})"))),
            (LoopKind::Exists, _) if !is_bool(&found) => Some(("_||_", format!("(bool, {found})"))),
            (LoopKind::ExistsOne, _) if !is_bool(&found) => {
                Some(("_?_:_", format!("({found}, int, int)")))
            }
            (_, Some(filter)) if !is_bool(filter) => {
                let list = format!("list({found})");
                Some(("_?_:_", format!("({filter}, {list}, {list})")))
            }
            _ => None,
        };
        if is_clean && let Some((name, args)) = refused {
            return self.fault(
                at,
                &format!("found no matching overload for '{name}' applied to '{args}'"),
            );
        }
        match kind {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Ty::Plain("bool"),
            LoopKind::ToList => Ty::List(Rc::new(found)),
            LoopKind::ToMap => match range {
                Ty::Map(key, _) => Ty::Map(key.clone(), Rc::new(found)),
                Ty::List(_) => Ty::Map(Rc::new(Ty::Plain("int")), Rc::new(found)),
                _ => Ty::Dyn,
            },
            LoopKind::ToMapEntries | LoopKind::OptionalFlatMap => found,
            LoopKind::SortBy => Ty::List(Rc::new(first)),
            LoopKind::OptionalMap => Ty::Optional(Rc::new(found)),
        }
    }

    /// The macros that the parser leaves as calls.
    fn macro_call(&mut self, call: &CallExpr) -> Option<Ty<'a>> {
        let (kind, names, filter, body) = super::compile::macro_call(call)?;
        let target = call.target.as_deref()?;
        let range = self.expr(target);
        self.tokens.seek(".");
        let at = self.tokens.seek("(");
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Some(self.looped(kind, &range, &names, filter, body, at))
    }

    fn call(&mut self, call: &CallExpr) -> Ty<'a> {
        if let Some(word) = operator_word(&call.func_name) {
            return self.operator(call, word);
        }
        if let Some(found) = self.macro_call(call) {
            return found;
        }
        let mut name = call.func_name.clone();
        let mut args = Vec::new();
        let mut is_member = false;
        if let Some(target) = &call.target {
            let whole = qualified(target)
                .filter(|prefix| self.scope.iter().all(|(known, _)| known != prefix))
                .map(|prefix| format!("{prefix}.{name}"))
                .filter(|name| has_function(name));
            if let Some(whole) = whole {
                name = whole;
            } else {
                args.push(self.expr(target));
                is_member = true;
            }
        }
        self.tokens.seek(&call.func_name);
        let at = self.tokens.seek("(");
        let before = self.faults.len();
        let could_mix = std::mem::replace(&mut self.may_mix, name == "format");
        for arg in &call.args {
            args.push(self.expr(arg));
        }
        self.may_mix = could_mix;
        if !has_function(&name) {
            return self.fault(at, &undeclared(&name));
        }
        let is_clean = self.faults.len() == before;
        if is_clean
            && name == "matches"
            && let Some(Ast::Literal(LiteralValue::String(written))) =
                call.args.last().map(|arg| &arg.expr)
            && pattern::compile(written.inner()).is_err()
        {
            let at = self.tokens.last();
            return self.fault(at, "invalid matches argument");
        }
        self.result(&name, is_member, &args, at)
    }

    fn result(&mut self, name: &str, is_member: bool, args: &[Ty<'a>], at: usize) -> Ty<'a> {
        if let Some(found) = signatures::result(name, is_member, args) {
            return found;
        }
        let listed = |args: &[Ty]| {
            let names: Vec<String> = args.iter().map(ToString::to_string).collect();
            names.join(", ")
        };
        let applied = match args {
            [target, rest @ ..] if is_member => format!("{target}.({})", listed(rest)),
            args => format!("({})", listed(args)),
        };
        self.fault(
            at,
            &format!("found no matching overload for '{name}' applied to '{applied}'"),
        )
    }

    fn operator(&mut self, call: &CallExpr, word: &str) -> Ty<'a> {
        let name = call.func_name.as_str();
        let (args, at) = match (name, call.args.as_slice()) {
            (operators::OPT_SELECT, [operand, field]) => {
                let operand = self.expr(operand);
                let at = self.tokens.seek("?");
                let Ast::Literal(LiteralValue::String(field)) = &field.expr else {
                    return Ty::Dyn;
                };
                self.tokens.seek(field.inner());
                return match self.field(&operand, field.inner(), at) {
                    found @ (Ty::Dyn | Ty::Optional(_)) => found,
                    found => Ty::Optional(Rc::new(found)),
                };
            }
            (operators::CONDITIONAL, [condition, then, otherwise]) => {
                let condition = self.expr(condition);
                let at = self.tokens.seek("?");
                let then = self.expr(then);
                self.tokens.seek(":");
                (vec![condition, then, self.expr(otherwise)], at)
            }
            (_, [operand]) => {
                let at = self.tokens.seek(word);
                (vec![self.expr(operand)], at)
            }
            (_, [left, right]) => {
                let left = self.expr(left);
                let at = self.tokens.seek(word);
                (vec![left, self.expr(right)], at)
            }
            _ => return Ty::Dyn,
        };
        self.result(name, false, &args, at)
    }
}

fn undeclared(name: &str) -> String {
    format!("undeclared reference to '{name}' (in container '')")
}

fn literal_type<'a>(literal: &LiteralValue) -> Ty<'a> {
    Ty::Plain(match literal {
        LiteralValue::Boolean(_) => "bool",
        LiteralValue::Bytes(_) => "bytes",
        LiteralValue::Double(_) => "double",
        LiteralValue::Int(_) => "int",
        LiteralValue::Null => "null",
        LiteralValue::String(_) => "string",
        LiteralValue::UInt(_) => "uint",
    })
}

/// How an operator is written.
fn operator_word(name: &str) -> Option<&'static str> {
    Some(match name {
        operators::LOGICAL_AND => "&&",
        operators::LOGICAL_OR => "||",
        operators::LOGICAL_NOT => "!",
        operators::NEGATE | operators::SUBSTRACT => "-",
        operators::CONDITIONAL | operators::OPT_SELECT => "?",
        operators::EQUALS => "==",
        operators::NOT_EQUALS => "!=",
        operators::LESS => "<",
        operators::LESS_EQUALS => "<=",
        operators::GREATER => ">",
        operators::GREATER_EQUALS => ">=",
        operators::IN => "in",
        operators::ADD => "+",
        operators::MULTIPLY => "*",
        operators::DIVIDE => "/",
        operators::MODULO => "%",
        operators::INDEX | operators::OPT_INDEX => "[",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
