//! Kubernetes' libraries for CEL, from the crate `kube-cel`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kube_cel::KubeCelExt as _;
use kube_cel::cel::common::ast::{CallExpr, Expr, IdedExpr};
use kube_cel::cel::objects::{Key, Map as ForeignMap};
use kube_cel::cel::{Context, Value as Foreign};

use super::functions::{made_map, shown, whole};
use super::value::Val;
use super::{Failure, failure, no_overload};
use crate::schema::show;

/// A call of a library function, ready to be evaluated with arguments.
#[derive(Debug)]
pub(super) struct LibraryCall {
    name: String,
    call: IdedExpr,
}

static LIBRARY: LazyLock<Context<'static>> = LazyLock::new(|| Context::default().with_all());

impl LibraryCall {
    /// A call with so many arguments; the first one stands before the dot if it is a member.
    pub(super) fn new(name: &str, args: usize, is_member: bool) -> Self {
        let ident = |index: usize| IdedExpr {
            id: 0,
            expr: Expr::Ident(argument(index)),
        };
        let (prefix, plain) = match name.rsplit_once('.') {
            Some((prefix, plain)) => (Some(prefix), plain),
            None => (None, name),
        };
        let target = match prefix {
            Some(prefix) => Some(IdedExpr {
                id: 0,
                expr: Expr::Ident(prefix.to_owned()),
            }),
            None => is_member.then(|| ident(0)),
        };
        Self {
            name: name.to_owned(),
            call: IdedExpr {
                id: 0,
                expr: Expr::Call(CallExpr {
                    func_name: plain.to_owned(),
                    target: target.map(Box::new),
                    args: (usize::from(is_member)..args).map(ident).collect(),
                }),
            },
        }
    }

    /// The result for some arguments.
    pub(super) fn run<'a>(&self, args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
        let mut context = LIBRARY.new_inner_scope();
        for (index, arg) in args.iter().enumerate() {
            context.add_variable_from_value(argument(index), foreign(arg)?);
        }
        match Foreign::resolve(&self.call, &context) {
            Ok(value) => native(&value),
            Err(error) => failure(words(&self.name, args, &error.to_string())),
        }
    }
}

/// What Kubernetes' own libraries say when a function fails.
fn words(name: &str, args: &[Val], error: &str) -> String {
    let text = args.first().and_then(Val::as_text).unwrap_or_default();
    let shown = show::quoted(text);
    match name {
        "quantity" => "quantities must match the regular expression \
                       '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            .to_owned(),
        "min" | "max" => format!("{name} called on empty list"),
        "url" => format!(
            "URL parse error during conversion from string: parse {shown}: invalid URI for request"
        ),
        "ip" => format!(
            "IP Address {shown} parse error during conversion from string: ParseAddr({shown}): \
             unable to parse IP"
        ),
        "cidr" => {
            let prefix = "network address parse error during conversion from string: ";
            format!("{prefix}{prefix}netip.ParsePrefix({shown}): no '/'")
        }
        "semver" => "No Major.Minor.Patch elements found".to_owned(),
        "charAt" | "substring" => {
            let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
            let indices: Vec<i64> = args.iter().skip(1).filter_map(whole).collect();
            match indices.iter().find(|index| **index < 0 || **index > length) {
                Some(index) => format!("index out of range: {index}"),
                None => match indices.as_slice() {
                    [start, end] => {
                        format!("invalid substring range. start: {start}, end: {end}")
                    }
                    _ => error.to_owned(),
                },
            }
        }
        _ => error
            .split_once("': ")
            .map_or(error, |(_, detail)| detail)
            .to_owned(),
    }
}

/// Name of an argument: no expression can use it, and no function begins with it.
fn argument(index: usize) -> String {
    format!("@{index}")
}

fn foreign(value: &Val) -> Result<Foreign, Failure> {
    Ok(match value {
        Val::Null => Foreign::Null,
        Val::Bool(truth) => Foreign::Bool(*truth),
        Val::Int(number) => Foreign::Int(*number),
        Val::Uint(number) => Foreign::UInt(*number),
        Val::Double(number) => Foreign::Float(*number),
        Val::Text(text) => Foreign::String(Arc::new(text.as_str().to_owned())),
        Val::Bytes(bytes) => Foreign::Bytes(Arc::new(bytes.to_vec())),
        Val::List(list) => {
            let items = list
                .items()
                .map(|item| foreign(&item?))
                .collect::<Result<Vec<_>, _>>()?;
            Foreign::List(Arc::new(items))
        }
        Val::Map(map) => {
            let mut entries = HashMap::new();
            for (key, value) in map.entries()? {
                entries.insert(map_key(&key)?, foreign(&value)?);
            }
            Foreign::Map(ForeignMap {
                map: Arc::new(entries),
            })
        }
        Val::Duration(nanos) => made("duration", format!("{nanos}ns"))?,
        Val::Time(time) => made("timestamp", time.timestamp().to_string())?,
        Val::Foreign(value) => value.clone(),
        Val::Type(_) | Val::Optional(_) | Val::Unknown(_) | Val::Broken(_) => {
            return no_overload();
        }
    })
}

fn map_key(key: &Val) -> Result<Key, Failure> {
    Ok(match key {
        Val::Text(text) => Key::from(text.as_str()),
        Val::Int(number) => Key::Int(*number),
        Val::Uint(number) => Key::Uint(*number),
        Val::Bool(truth) => Key::Bool(*truth),
        other => return failure(format!("unsupported key type: {}", shown(other))),
    })
}

/// A time or duration of the other interpreter, made by its own function.
fn made(function: &str, text: String) -> Result<Foreign, Failure> {
    let call = LibraryCall::new(function, 1, false).call;
    let mut context = LIBRARY.new_inner_scope();
    context.add_variable_from_value(argument(0), Foreign::String(Arc::new(text)));
    Foreign::resolve(&call, &context).or_else(|error| failure(error.to_string()))
}

fn native<'a>(value: &Foreign) -> Result<Val<'a>, Failure> {
    Ok(match value {
        Foreign::Null => Val::Null,
        Foreign::Bool(truth) => Val::Bool(*truth),
        Foreign::Int(number) => Val::Int(*number),
        Foreign::UInt(number) => Val::Uint(*number),
        Foreign::Float(number) => Val::Double(*number),
        Foreign::String(text) => Val::text(text),
        Foreign::Bytes(bytes) => Val::Bytes(bytes.as_slice().into()),
        Foreign::List(items) => Val::list(items.iter().map(native).collect::<Result<_, _>>()?),
        Foreign::Map(map) => {
            let mut entries = Vec::with_capacity(map.map.len());
            for (key, value) in map.map.iter() {
                entries.push((native(&Foreign::from(key))?, native(value)?));
            }
            entries.sort_by_key(|(key, _)| shown(key));
            made_map(entries)
        }
        Foreign::Duration(duration) => match duration.num_nanoseconds() {
            Some(nanos) => Val::Duration(nanos),
            None => return failure("duration overflow"),
        },
        Foreign::Timestamp(time) => match time.to_rfc3339().parse::<Timestamp>() {
            Ok(time) => Val::Time(time.to_zoned(TimeZone::UTC)),
            Err(_) => return failure("timestamp overflow"),
        },
        Foreign::Opaque(opaque) if opaque.runtime_type_name() == "optional_type" => {
            let optional: &kube_cel::cel::objects::OptionalValue = match value.try_into() {
                Ok(optional) => optional,
                Err(_) => return no_overload(),
            };
            Val::optional(optional.value().map(native).transpose()?)
        }
        Foreign::Opaque(_) | Foreign::Function(..) => Val::Foreign(value.clone()),
    })
}
