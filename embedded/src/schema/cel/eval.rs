//! Evaluates expressions.

use std::rc::Rc;

use super::compile::{Binary, Expr, Loop, LoopKind};
use super::functions;
use super::value::{List, Map, Text, Val};
use super::{Failure, Scope, failure, no_overload};

type Outcome<'a> = Result<Val<'a>, Failure>;

/// The value of an expression that needs `locals` variables of macros.
pub(super) fn run<'a>(expr: &'a Expr, locals: usize, scope: &Scope<'a>) -> Outcome<'a> {
    let mut frame = Frame {
        scope,
        locals: vec![Val::Null; locals],
    };
    frame.eval(expr)
}

struct Frame<'s, 'a> {
    scope: &'s Scope<'a>,
    locals: Vec<Val<'a>>,
}

impl<'a> Frame<'_, 'a> {
    fn eval(&mut self, expr: &'a Expr) -> Outcome<'a> {
        match expr {
            Expr::Literal(literal) => Ok(literal.value()),
            Expr::This => self.scope.this.clone(),
            Expr::Old => match &self.scope.old {
                Some(old) => old.clone(),
                None => failure("no such attribute(s): oldSelf"),
            },
            Expr::Local(slot) => Ok(self.locals[*slot].clone()),
            Expr::Select(operand, field) => {
                let operand = self.eval(operand)?;
                select(&operand, field)
            }
            Expr::OptionalSelect(operand, field) => {
                let operand = self.eval(operand)?;
                optional_select(&operand, field)
            }
            Expr::Has(operand, field) => {
                let operand = self.eval(operand)?;
                has(&operand, field).map(Val::Bool)
            }
            Expr::Index(operand, index) => {
                let operand = self.eval(operand)?;
                let index = self.eval(index)?;
                match &operand {
                    Val::Optional(_) => optional_index(&operand, &index),
                    operand => self::index(operand, &index),
                }
            }
            Expr::OptionalIndex(operand, index) => {
                let operand = self.eval(operand)?;
                let index = self.eval(index)?;
                optional_index(&operand, &index)
            }
            Expr::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (item, is_optional) in items {
                    match (self.eval(item)?, is_optional) {
                        (Val::Optional(item), true) => {
                            list.extend(item.as_deref().cloned());
                        }
                        (item, _) => list.push(item),
                    }
                }
                Ok(Val::list(list))
            }
            Expr::Map(entries) => {
                let mut map: Vec<(Val<'a>, Val<'a>)> = Vec::with_capacity(entries.len());
                for (key, value, is_optional) in entries {
                    let key = self.eval(key)?;
                    match (self.eval(value)?, is_optional) {
                        (Val::Optional(None), true) => {}
                        (Val::Optional(Some(value)), true) => {
                            map.push((key, (*value).clone()));
                        }
                        (value, _) => map.push((key, value)),
                    }
                }
                Ok(Val::Map(Map::Made(Rc::new(map))))
            }
            Expr::And(left, right) => self.logic(left, right, false),
            Expr::Or(left, right) => self.logic(left, right, true),
            Expr::If(condition, then, otherwise) => match self.eval(condition)? {
                Val::Bool(true) => self.eval(then),
                Val::Bool(false) => self.eval(otherwise),
                _ => no_overload(),
            },
            Expr::Binary(Binary::In, left, right) => self.contained(left, right),
            Expr::Binary(operation, left, right) => {
                let left = self.eval(left)?;
                let right = self.eval(right)?;
                functions::binary(*operation, &left, &right)
            }
            Expr::Matches(text, regex) => match self.eval(text)?.as_text() {
                Some(text) => Ok(Val::Bool(regex.is_match(text))),
                None => no_overload(),
            },
            Expr::Loop(looped) => self.looped(looped),
            Expr::Call(function, args) => {
                let args = self.args(args)?;
                function(&args)
            }
            Expr::Library(call, args) => {
                let args = self.args(args)?;
                call.run(&args)
            }
        }
    }

    fn args(&mut self, args: &'a [Expr]) -> Result<Vec<Val<'a>>, Failure> {
        args.iter().map(|arg| self.eval(arg)).collect()
    }

    /// And, or: one side decides if it is `decisive`, even if the other one has no value.
    fn logic(&mut self, left: &'a Expr, right: &'a Expr, decisive: bool) -> Outcome<'a> {
        let left = self.eval(left);
        if matches!(left, Ok(Val::Bool(truth)) if truth == decisive) {
            return left;
        }
        match (left, self.eval(right)) {
            (_, Ok(Val::Bool(right))) if right == decisive => Ok(Val::Bool(right)),
            (Err(error), _) | (_, Err(error)) => Err(error),
            (Ok(Val::Bool(_)), Ok(Val::Bool(right))) => Ok(Val::Bool(right)),
            _ => no_overload(),
        }
    }

    /// Whether a value is in a list or map. A list that is written in the expression is not made.
    fn contained(&mut self, left: &'a Expr, right: &'a Expr) -> Outcome<'a> {
        let value = self.eval(left)?;
        if let Expr::List(items) = right {
            let mut is_found = false;
            for (item, _) in items {
                is_found = is_found || self.eval(item)?.equals(&value)?;
            }
            return Ok(Val::Bool(is_found));
        }
        match self.eval(right)? {
            Val::List(list) => list.contains(&value).map(Val::Bool),
            Val::Map(map) => map.get(&value).map(|found| Val::Bool(found.is_some())),
            _ => no_overload(),
        }
    }

    fn looped(&mut self, looped: &'a Loop) -> Outcome<'a> {
        let range = self.eval(&looped.range)?;
        match looped.kind {
            LoopKind::OptionalMap | LoopKind::OptionalFlatMap => {
                let Val::Optional(value) = range else {
                    return no_overload();
                };
                let Some(value) = value else {
                    return Ok(Val::Optional(None));
                };
                self.locals[looped.variable] = value.held()?;
                let value = self.eval(&looped.body)?;
                Ok(if looped.kind == LoopKind::OptionalMap {
                    Val::optional(Some(value))
                } else {
                    value
                })
            }
            LoopKind::All | LoopKind::Exists => self.search(looped, &range),
            LoopKind::ExistsOne
            | LoopKind::ToList
            | LoopKind::ToMap
            | LoopKind::ToMapEntries
            | LoopKind::SortBy => self.collect(looped, &range),
        }
    }

    /// All, exists: an item without a value matters only if no other item decides.
    fn search(&mut self, looped: &'a Loop, range: &Val<'a>) -> Outcome<'a> {
        let decisive = looped.kind == LoopKind::Exists;
        let mut error = None;
        for pair in pairs(range, looped.second.is_some())? {
            self.bind(looped, pair?);
            match self.eval(&looped.body) {
                Ok(Val::Bool(truth)) if truth == decisive => return Ok(Val::Bool(decisive)),
                Ok(Val::Bool(_)) => {}
                Ok(_) => error = error.or_else(|| no_overload::<Val<'a>>().err()),
                Err(failure) => error = error.or(Some(failure)),
            }
        }
        error.map_or(Ok(Val::Bool(!decisive)), Err)
    }

    fn collect(&mut self, looped: &'a Loop, range: &Val<'a>) -> Outcome<'a> {
        let mut found = Vec::new();
        let mut count = 0;
        for pair in pairs(range, looped.second.is_some())? {
            let pair = pair?;
            let (first, _) = pair.clone();
            self.bind(looped, pair);
            if let Some(filter) = &looped.filter {
                match self.eval(filter)? {
                    Val::Bool(true) => {}
                    Val::Bool(false) => continue,
                    _ => return no_overload(),
                }
            }
            let value = self.eval(&looped.body)?;
            match (looped.kind, value) {
                (LoopKind::ExistsOne, Val::Bool(truth)) => count += usize::from(truth),
                (LoopKind::ToMapEntries, Val::Map(map)) => {
                    for (key, value) in map.entries()? {
                        for (known, _) in &found {
                            if key.equals(known)? {
                                return failure(format!(
                                    "insert failed: key {} already exists",
                                    functions::shown(&key)
                                ));
                            }
                        }
                        found.push((key, value));
                    }
                }
                (LoopKind::ExistsOne | LoopKind::ToMapEntries, _) => return no_overload(),
                (_, value) => found.push((first, value)),
            }
        }
        match looped.kind {
            LoopKind::ExistsOne => Ok(Val::Bool(count == 1)),
            LoopKind::ToMap | LoopKind::ToMapEntries => Ok(Val::Map(Map::Made(Rc::new(found)))),
            LoopKind::SortBy => {
                let items = functions::sorted_by_second(found)?;
                Ok(Val::list(items))
            }
            _ => Ok(Val::list(
                found.into_iter().map(|(_, value)| value).collect(),
            )),
        }
    }

    fn bind(&mut self, looped: &Loop, (first, second): (Val<'a>, Val<'a>)) {
        self.locals[looped.variable] = first;
        if let Some(slot) = looped.second {
            self.locals[slot] = second;
        }
    }
}

type Pairs<'a> = Vec<Result<(Val<'a>, Val<'a>), Failure>>;

/// What a macro looks at: items or keys; with two variables, indices and items, or keys and values.
fn pairs<'a>(range: &Val<'a>, has_two: bool) -> Result<Pairs<'a>, Failure> {
    match range {
        Val::List(list) => Ok(list
            .items()
            .enumerate()
            .map(|(index, item)| {
                let item = item?;
                Ok(if has_two {
                    (Val::Int(i64::try_from(index).unwrap_or(i64::MAX)), item)
                } else {
                    (item, Val::Null)
                })
            })
            .collect()),
        Val::Map(map) if has_two => Ok(map.entries()?.into_iter().map(Ok).collect()),
        Val::Map(map) => Ok(map
            .keys()
            .into_iter()
            .map(|key| Ok((key, Val::Null)))
            .collect()),
        _ => no_overload(),
    }
}

fn found<'a>(operand: &Val<'a>, field: &str) -> Result<Option<Val<'a>>, Failure> {
    match operand {
        Val::Map(Map::Json(map)) => map.get(field).transpose(),
        Val::Map(map) => map.get(&Val::text(field)),
        Val::Broken(failure) => Err(failure.clone()),
        _ => no_overload(),
    }
}

fn select<'a>(operand: &Val<'a>, field: &str) -> Outcome<'a> {
    if matches!(operand, Val::Optional(_)) {
        return optional_select(operand, field);
    }
    found(operand, field)?.map_or_else(|| failure(format!("no such key: {field}")), Ok)
}

fn optional_select<'a>(operand: &Val<'a>, field: &str) -> Outcome<'a> {
    match operand {
        Val::Optional(None) => Ok(Val::Optional(None)),
        Val::Optional(Some(inner)) => found(inner, field).map(Val::optional),
        operand => found(operand, field).map(Val::optional),
    }
}

fn has(operand: &Val, field: &str) -> Result<bool, Failure> {
    match operand {
        Val::Optional(None) => Ok(false),
        Val::Optional(Some(inner)) => has(inner, field),
        operand => found(operand, field).map(|value| value.is_some()),
    }
}

fn index<'a>(operand: &Val<'a>, index: &Val<'a>) -> Outcome<'a> {
    match operand {
        Val::List(list) => {
            let place = functions::whole(index);
            let Some(place) = place else {
                return failure(format!("unsupported index: {}", functions::shown(index)));
            };
            usize::try_from(place)
                .ok()
                .and_then(|place| List::get(list, place))
                .unwrap_or_else(|| failure(format!("index out of bounds: {place}")))
        }
        Val::Map(map) => map.get(index)?.map_or_else(
            || failure(format!("no such key: {}", functions::shown(index))),
            Ok,
        ),
        _ => no_overload(),
    }
}

fn optional_index<'a>(operand: &Val<'a>, index: &Val<'a>) -> Outcome<'a> {
    match operand {
        Val::Optional(None) => Ok(Val::Optional(None)),
        Val::Optional(Some(inner)) => optional_index(inner, index),
        Val::List(list) => functions::whole(index)
            .and_then(|place| usize::try_from(place).ok())
            .and_then(|place| list.get(place))
            .transpose()
            .map(Val::optional),
        Val::Map(map) => map.get(index).map(Val::optional),
        _ => no_overload(),
    }
}

impl<'a> From<&'a str> for Val<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Text::Borrowed(text))
    }
}
