//! From parsed expressions to ones that can be evaluated: names are resolved, macros recognized,
//! patterns compiled.

use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr as Ast, IdedExpr, LiteralValue, operators,
};
use kube_cel::cel::parser::Parser;
use regex::Regex;

use super::check;
use super::functions::{self, Function};
use super::library::LibraryCall;
use super::{Compiled, Val};
use crate::schema::pattern;

/// An expression that can be evaluated.
#[derive(Debug)]
pub(super) enum Expr {
    Literal(Literal),
    This,
    Old,
    Local(usize),
    Select(Box<Self>, String),
    OptionalSelect(Box<Self>, String),
    Has(Box<Self>, String),
    Index(Box<Self>, Box<Self>),
    OptionalIndex(Box<Self>, Box<Self>),
    /// Items, and whether each is left out if it is an absent optional.
    List(Vec<(Self, bool)>),
    Map(Vec<(Self, Self, bool)>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    If(Box<Self>, Box<Self>, Box<Self>),
    Binary(Binary, Box<Self>, Box<Self>),
    /// Whether a text matches a pattern that is known before.
    Matches(Box<Self>, Regex),
    Loop(Box<Loop>),
    Call(Function, Vec<Self>),
    Library(Box<LibraryCall>, Vec<Self>),
}

/// A value that is written in the expression.
#[derive(Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Type(&'static str),
}

/// An operation on two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A macro that looks at every item of a list or every key of a map.
#[derive(Debug)]
pub(super) struct Loop {
    pub kind: LoopKind,
    pub range: Expr,
    /// Where the item stands; with a second variable, its index or key.
    pub variable: usize,
    /// Where the value stands.
    pub second: Option<usize>,
    pub filter: Option<Expr>,
    pub body: Expr,
}

/// What a macro makes of the items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    ToList,
    ToMap,
    ToMapEntries,
    SortBy,
    OptionalMap,
    OptionalFlatMap,
}

/// Types that can be named, as `int`.
pub(super) const TYPES: [(&str, &str); 13] = [
    ("bool", "bool"),
    ("bytes", "bytes"),
    ("double", "double"),
    ("int", "int"),
    ("list", "list"),
    ("map", "map"),
    ("null_type", "null_type"),
    ("optional_type", "optional_type"),
    ("string", "string"),
    ("type", "type"),
    ("uint", "uint"),
    ("google.protobuf.Duration", "google.protobuf.Duration"),
    ("google.protobuf.Timestamp", "google.protobuf.Timestamp"),
];

/// Deeper expressions are refused: each level costs stack.
const MAX_DEPTH: usize = 200;

/// What is said of a deeper expression.
pub(super) const TOO_DEEP: &str = "expression is nested too deeply";

/// Parses an expression.
pub(super) fn parse(source: &str) -> Result<IdedExpr, String> {
    Parser::new()
        .enable_optional_syntax(true)
        .parse(source)
        .map_err(|error| error.to_string().replace("\n|", "\n |"))
}

/// Compiles a parsed expression.
pub(super) fn compile(parsed: &IdedExpr) -> Result<Compiled, String> {
    let mut compiler = Compiler::default();
    let expr = compiler.expr(parsed)?;
    Ok(Compiled {
        expr,
        locals: compiler.most_locals,
        uses_old: compiler.uses_old,
    })
}

#[derive(Default)]
struct Compiler {
    /// Variables of the macros around.
    scope: Vec<String>,
    most_locals: usize,
    uses_old: bool,
    depth: usize,
}

impl Compiler {
    fn expr(&mut self, ast: &IdedExpr) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(TOO_DEEP.to_owned());
        }
        let expr = self.inner(ast);
        self.depth -= 1;
        expr
    }

    fn boxed(&mut self, ast: &IdedExpr) -> Result<Box<Expr>, String> {
        self.expr(ast).map(Box::new)
    }

    fn inner(&mut self, ast: &IdedExpr) -> Result<Expr, String> {
        match &ast.expr {
            Ast::Literal(literal) => Ok(Expr::Literal(self::literal(literal))),
            Ast::Ident(name) => self.name(name),
            Ast::Select(select) => {
                if let Some(name) = qualified(ast)
                    && let Some((_, name)) = TYPES.iter().find(|(known, _)| *known == name)
                {
                    return Ok(Expr::Literal(Literal::Type(name)));
                }
                let operand = self.boxed(&select.operand)?;
                Ok(if select.test {
                    Expr::Has(operand, select.field.clone())
                } else {
                    Expr::Select(operand, select.field.clone())
                })
            }
            Ast::List(list) => {
                let mut items = Vec::with_capacity(list.elements.len());
                for (index, item) in list.elements.iter().enumerate() {
                    items.push((self.expr(item)?, list.optional_indices.contains(&index)));
                }
                Ok(Expr::List(items))
            }
            Ast::Map(map) => {
                let mut entries = Vec::with_capacity(map.entries.len());
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return Err("objects cannot be made in expressions".to_owned());
                    };
                    let key = self.expr(&entry.key)?;
                    entries.push((key, self.expr(&entry.value)?, entry.optional));
                }
                Ok(Expr::Map(entries))
            }
            Ast::Comprehension(comprehension) => self.comprehension(comprehension),
            Ast::Call(call) => self.call(call),
            Ast::Struct(message) => Err(format!(
                "undeclared reference to '{}' (in container '')",
                message.type_name
            )),
            Ast::Unspecified => Err("expression is empty".to_owned()),
        }
    }

    fn name(&mut self, name: &str) -> Result<Expr, String> {
        if let Some(slot) = self.scope.iter().rposition(|known| known == name) {
            return Ok(Expr::Local(slot));
        }
        match name {
            "self" => Ok(Expr::This),
            "oldSelf" => {
                self.uses_old = true;
                Ok(Expr::Old)
            }
            _ => match TYPES.iter().find(|(known, _)| *known == name) {
                Some((_, name)) => Ok(Expr::Literal(Literal::Type(name))),
                None => Err(format!(
                    "undeclared reference to '{name}' (in container '')"
                )),
            },
        }
    }

    fn comprehension(&mut self, ast: &ComprehensionExpr) -> Result<Expr, String> {
        let (kind, filter, body) = macro_of(ast).ok_or_else(|| "unknown macro".to_owned())?;
        let range = self.expr(&ast.iter_range)?;
        self.looped(kind, range, &[&ast.iter_var], filter, body)
    }

    fn looped(
        &mut self,
        kind: LoopKind,
        range: Expr,
        variables: &[&str],
        filter: Option<&IdedExpr>,
        body: &IdedExpr,
    ) -> Result<Expr, String> {
        let variable = self.scope.len();
        for name in variables {
            self.scope.push((*name).to_owned());
        }
        self.most_locals = self.most_locals.max(self.scope.len());
        let filter = filter.map(|filter| self.expr(filter)).transpose();
        let body = self.expr(body);
        self.scope.truncate(variable);
        Ok(Expr::Loop(Box::new(Loop {
            kind,
            range,
            variable,
            second: (variables.len() > 1).then_some(variable + 1),
            filter: filter?,
            body: body?,
        })))
    }

    fn call(&mut self, call: &CallExpr) -> Result<Expr, String> {
        if let Some(expr) = self.operator(call) {
            return expr;
        }
        if let Some((kind, names, filter, body)) = macro_call(call)
            && let Some(target) = &call.target
        {
            let range = self.expr(target)?;
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return self.looped(kind, range, &names, filter, body);
        }
        let mut args = Vec::with_capacity(call.args.len() + 1);
        let mut name = call.func_name.clone();
        let mut is_member = false;
        if let Some(target) = &call.target {
            let qualified = qualified(target)
                .filter(|prefix| !self.scope.contains(prefix))
                .map(|prefix| format!("{prefix}.{name}"))
                .filter(|name| functions::named(name).is_some() || check::has_function(name));
            if let Some(qualified) = qualified {
                name = qualified;
            } else {
                args.push(self.expr(target)?);
                is_member = true;
            }
        }
        for arg in &call.args {
            args.push(self.expr(arg)?);
        }
        if name == "matches"
            && let [_, Expr::Literal(Literal::Text(written))] = args.as_slice()
        {
            let regex = pattern::compile(written)?;
            return Ok(Expr::Matches(Box::new(args.swap_remove(0)), regex));
        }
        if let Some(function) = functions::named(&name) {
            return Ok(Expr::Call(function, args));
        }
        if check::has_function(&name) {
            let call = LibraryCall::new(&name, args.len(), is_member);
            return Ok(Expr::Library(Box::new(call), args));
        }
        Err(format!(
            "undeclared reference to '{name}' (in container '')"
        ))
    }

    fn operator(&mut self, call: &CallExpr) -> Option<Result<Expr, String>> {
        let two = |make: fn(Box<Expr>, Box<Expr>) -> Expr, compiler: &mut Self| {
            let [left, right] = call.args.as_slice() else {
                return Err("operator needs two operands".to_owned());
            };
            let left = compiler.boxed(left)?;
            Ok(make(left, compiler.boxed(right)?))
        };
        let binary = match call.func_name.as_str() {
            operators::LOGICAL_AND => return Some(two(Expr::And, self)),
            operators::LOGICAL_OR => return Some(two(Expr::Or, self)),
            operators::INDEX => return Some(two(Expr::Index, self)),
            operators::OPT_INDEX => return Some(two(Expr::OptionalIndex, self)),
            operators::OPT_SELECT => return Some(self.optional_select(call)),
            operators::CONDITIONAL => return Some(self.conditional(call)),
            operators::EQUALS => Binary::Equal,
            operators::NOT_EQUALS => Binary::Unequal,
            operators::LESS => Binary::Less,
            operators::LESS_EQUALS => Binary::LessOrEqual,
            operators::GREATER => Binary::Greater,
            operators::GREATER_EQUALS => Binary::GreaterOrEqual,
            operators::IN => Binary::In,
            operators::ADD => Binary::Add,
            operators::SUBSTRACT => Binary::Subtract,
            operators::MULTIPLY => Binary::Multiply,
            operators::DIVIDE => Binary::Divide,
            operators::MODULO => Binary::Remainder,
            _ => return None,
        };
        let [left, right] = call.args.as_slice() else {
            return Some(Err("operator needs two operands".to_owned()));
        };
        let left = match self.boxed(left) {
            Ok(left) => left,
            Err(error) => return Some(Err(error)),
        };
        Some(
            self.boxed(right)
                .map(|right| Expr::Binary(binary, left, right)),
        )
    }

    fn conditional(&mut self, call: &CallExpr) -> Result<Expr, String> {
        let [condition, then, otherwise] = call.args.as_slice() else {
            return Err("conditional needs three operands".to_owned());
        };
        let condition = self.boxed(condition)?;
        let then = self.boxed(then)?;
        Ok(Expr::If(condition, then, self.boxed(otherwise)?))
    }

    fn optional_select(&mut self, call: &CallExpr) -> Result<Expr, String> {
        match call.args.as_slice() {
            [operand, field] => match &field.expr {
                Ast::Literal(LiteralValue::String(name)) => Ok(Expr::OptionalSelect(
                    self.boxed(operand)?,
                    name.inner().to_owned(),
                )),
                _ => Err("field must be a name".to_owned()),
            },
            _ => Err("selection needs a field".to_owned()),
        }
    }
}

/// A macro, the filter of its items, and what it makes of one.
type Macro<'a> = (LoopKind, Option<&'a IdedExpr>, &'a IdedExpr);

/// The macro that the parser expanded, recognized by what it made of it.
pub(super) fn macro_of(ast: &ComprehensionExpr) -> Option<Macro<'_>> {
    let Ast::Call(step) = &ast.loop_step.expr else {
        return None;
    };
    Some(match (&ast.accu_init.expr, step.args.as_slice()) {
        (Ast::Literal(LiteralValue::Boolean(truth)), [_, body]) => {
            let kind = if **truth {
                LoopKind::All
            } else {
                LoopKind::Exists
            };
            (kind, None, body)
        }
        (Ast::Literal(LiteralValue::Int(_)), [body, _, _]) => (LoopKind::ExistsOne, None, body),
        (Ast::List(_), [_, added]) => (LoopKind::ToList, None, first_item(added)?),
        (Ast::List(_), [filter, added, _]) => {
            let Ast::Call(added) = &added.expr else {
                return None;
            };
            (
                LoopKind::ToList,
                Some(filter),
                first_item(added.args.get(1)?)?,
            )
        }
        _ => return None,
    })
}

fn first_item(list: &IdedExpr) -> Option<&IdedExpr> {
    match &list.expr {
        Ast::List(list) => list.elements.first(),
        _ => None,
    }
}

/// The macro that the parser left as a call, with the names of its variables.
pub(super) fn macro_call(
    call: &CallExpr,
) -> Option<(LoopKind, Vec<String>, Option<&IdedExpr>, &IdedExpr)> {
    call.target.as_ref()?;
    let kind = match call.func_name.as_str() {
        "all" => LoopKind::All,
        "exists" => LoopKind::Exists,
        "exists_one" | "existsOne" => LoopKind::ExistsOne,
        "transformList" => LoopKind::ToList,
        "transformMap" => LoopKind::ToMap,
        "transformMapEntry" => LoopKind::ToMapEntries,
        "sortBy" => LoopKind::SortBy,
        "optMap" => LoopKind::OptionalMap,
        "optFlatMap" => LoopKind::OptionalFlatMap,
        _ => return None,
    };
    let has_one_name = matches!(
        kind,
        LoopKind::SortBy | LoopKind::OptionalMap | LoopKind::OptionalFlatMap
    );
    let may_filter = matches!(
        kind,
        LoopKind::ToList | LoopKind::ToMap | LoopKind::ToMapEntries
    );
    let (names, filter, body) = match call.args.as_slice() {
        [variable, body] if has_one_name => (vec![variable], None, body),
        [first, second, body] if !has_one_name => (vec![first, second], None, body),
        [first, second, filter, body] if may_filter => (vec![first, second], Some(filter), body),
        _ => return None,
    };
    let names = names
        .into_iter()
        .map(|name| match &name.expr {
            Ast::Ident(name) => Some(name.clone()),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    Some((kind, names, filter, body))
}

/// A name with dots.
pub(super) fn qualified(ast: &IdedExpr) -> Option<String> {
    match &ast.expr {
        Ast::Ident(name) => Some(name.clone()),
        Ast::Select(select) if !select.test => {
            Some(format!("{}.{}", qualified(&select.operand)?, select.field))
        }
        _ => None,
    }
}

fn literal(literal: &LiteralValue) -> Literal {
    match literal {
        LiteralValue::Null => Literal::Null,
        LiteralValue::Boolean(truth) => Literal::Bool(**truth),
        LiteralValue::Int(number) => Literal::Int(**number),
        LiteralValue::UInt(number) => Literal::Uint(**number),
        LiteralValue::Double(number) => Literal::Double(**number),
        LiteralValue::String(text) => Literal::Text(text.inner().to_owned()),
        LiteralValue::Bytes(bytes) => Literal::Bytes(bytes.to_vec()),
    }
}

impl Literal {
    /// The value.
    pub(super) fn value(&self) -> Val<'_> {
        match self {
            Self::Null => Val::Null,
            Self::Bool(truth) => Val::Bool(*truth),
            Self::Int(number) => Val::Int(*number),
            Self::Uint(number) => Val::Uint(*number),
            Self::Double(number) => Val::Double(*number),
            Self::Text(text) => Val::Text(super::value::Text::Borrowed(text)),
            Self::Bytes(bytes) => Val::Bytes(bytes.as_slice().into()),
            Self::Type(name) => Val::Type(name),
        }
    }
}
