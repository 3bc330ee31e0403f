//! CEL expressions over JSON values: what the API server computes for the rules of a schema.
//!
//! The expressions are parsed by the crate `cel`, and Kubernetes' libraries (quantities, addresses,
//! versions and the like) come from the crate `kube-cel`. They are evaluated here: on borrowed
//! JSON, so that looking at one field does not copy an object; with the types of the schema, as
//! the API server reads values; and with its words for errors.

mod check;
mod compile;
mod eval;
mod functions;
mod library;
mod value;

use std::fmt::Debug;

use kube_cel::cel::common::ast::IdedExpr;
use serde_json::Value;

pub(super) use self::check::{Fault, Subject, Wanted};
use self::compile::Expr;
pub(super) use self::value::Val;
use super::node::Node;

/// An expression of a schema.
pub(super) struct Program {
    source: String,
    parsed: IdedExpr,
    compiled: Result<Compiled, String>,
}

/// An expression that can be evaluated.
struct Compiled {
    expr: Expr,
    locals: usize,
    uses_old: bool,
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Failure(String);

/// The values of `self` and `oldSelf`. One that does not fit its schema is a fault only for
/// expressions that look at it.
#[derive(Clone, Debug)]
pub(super) struct Scope<'a> {
    /// The value that a rule is about.
    pub this: Result<Val<'a>, Failure>,
    /// Its old value; none if the expression must not look at it.
    pub old: Option<Result<Val<'a>, Failure>>,
}

impl Program {
    /// Parses and compiles an expression; the error says what is wrong with its syntax.
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        let parsed = compile::parse(source)?;
        let compiled = compile::compile(&parsed);
        if let Err(error) = &compiled
            && error == compile::TOO_DEEP
        {
            // The check would go as deep.
            return Err(error.clone());
        }
        Ok(Self {
            source: source.to_owned(),
            parsed,
            compiled,
        })
    }

    /// Finds what else is wrong with an expression, once it is known what it is about.
    pub(super) fn check(&self, subject: Subject, wanted: Wanted) -> Result<(), Fault> {
        check::check(&self.source, &self.parsed, subject, wanted)?;
        match &self.compiled {
            Ok(_) => Ok(()),
            Err(error) => Err(Fault::Places(error.clone())),
        }
    }

    /// Whether the expression looks at `oldSelf`.
    pub(super) fn uses_old(&self) -> bool {
        self.compiled
            .as_ref()
            .is_ok_and(|compiled| compiled.uses_old)
    }

    /// The value of the expression.
    pub(super) fn run<'a>(&'a self, scope: &Scope<'a>) -> Result<Val<'a>, Failure> {
        match &self.compiled {
            Ok(compiled) => eval::run(&compiled.expr, compiled.locals, scope),
            Err(error) => failure(error.as_str()),
        }
    }
}

impl Debug for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("Program")
            .field(&self.source)
            .finish()
    }
}

/// The value of a whole object or an embedded one, whose type and name rules can always read.
pub(super) fn resource<'a>(value: &'a Value, schema: &'a Node) -> Result<Val<'a>, Failure> {
    value::resource(value, schema)
}

/// The value of a part of an object.
pub(super) fn part<'a>(value: &'a Value, schema: &'a Node) -> Result<Val<'a>, Failure> {
    value::of(value, schema)
}

fn failure<T>(words: impl Into<String>) -> Result<T, Failure> {
    Err(Failure(words.into()))
}

fn no_overload<T>() -> Result<T, Failure> {
    failure("no such overload")
}

#[cfg(test)]
mod tests;
