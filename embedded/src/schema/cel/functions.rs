//! The functions and operators of CEL itself.

use std::cmp::Ordering;
use std::rc::Rc;

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

use super::compile::Binary;
use super::library;
use super::value::{Map, Val};
use super::{Failure, failure, no_overload};
use crate::schema::{format, pattern, show};

/// A function: for members, the first argument is what stands before the dot.
pub(super) type Function = for<'a> fn(&[Val<'a>]) -> Result<Val<'a>, Failure>;

/// The function of a name.
pub(super) fn named(name: &str) -> Option<Function> {
    Some(match name {
        "!_" => not,
        "-_" => negate,
        "size" => size,
        "contains" => contains,
        "startsWith" => starts_with,
        "endsWith" => ends_with,
        "matches" => matches,
        "type" => type_of,
        "dyn" => dynamic,
        "int" => int,
        "uint" => uint,
        "double" => double,
        "string" => string,
        "bytes" => bytes,
        "bool" => bool,
        "duration" => duration,
        "timestamp" => timestamp,
        "getFullYear" => |args| time_part(args, |time| time.year().into(), |_| None),
        "getMonth" => |args| time_part(args, |time| i64::from(time.month()) - 1, |_| None),
        "getDate" => |args| time_part(args, |time| time.day().into(), |_| None),
        "getDayOfMonth" => |args| time_part(args, |time| i64::from(time.day()) - 1, |_| None),
        "getDayOfYear" => {
            |args| time_part(args, |time| i64::from(time.day_of_year()) - 1, |_| None)
        }
        "getDayOfWeek" => |args| {
            let weekday = |time: &Zoned| time.weekday().to_sunday_zero_offset().into();
            time_part(args, weekday, |_| None)
        },
        "getHours" => |args| {
            let hours = |nanos: i64| Some(nanos / 3_600_000_000_000);
            time_part(args, |time| time.hour().into(), hours)
        },
        "getMinutes" => |args| {
            let minutes = |nanos: i64| Some(nanos / 60_000_000_000);
            time_part(args, |time| time.minute().into(), minutes)
        },
        "getSeconds" => |args| {
            let seconds = |nanos: i64| Some(nanos / 1_000_000_000);
            time_part(args, |time| time.second().into(), seconds)
        },
        "getMilliseconds" => |args| {
            let millis = |nanos: i64| Some(nanos / 1_000_000 % 1_000);
            time_part(args, |time| time.millisecond().into(), millis)
        },
        "optional.none" => |_| Ok(Val::Optional(None)),
        "optional.of" => |args| one(args).map(|value| Val::optional(Some(value.clone()))),
        "optional.ofNonZeroValue" => optional_of_non_zero,
        "hasValue" => |args| optional(args).map(|value| Val::Bool(value.is_some())),
        "value" => |args| match optional(args)? {
            Some(value) => value.held(),
            None => failure("optional.none() dereference"),
        },
        "or" => |args| match (optional(args)?, args.get(1)) {
            (None, Some(other)) => Ok(other.clone()),
            (value, _) => Ok(Val::Optional(value.clone())),
        },
        "orValue" => |args| match (optional(args)?, args.get(1)) {
            (None, Some(other)) => Ok(other.clone()),
            (Some(value), _) => value.held(),
            (None, None) => no_overload(),
        },
        _ => return None,
    })
}

fn one<'v, 'a>(args: &'v [Val<'a>]) -> Result<&'v Val<'a>, Failure> {
    match args {
        [value] => Ok(value),
        _ => no_overload(),
    }
}

fn optional<'v, 'a>(args: &'v [Val<'a>]) -> Result<&'v Option<Rc<Val<'a>>>, Failure> {
    match args.first() {
        Some(Val::Optional(value)) => Ok(value),
        _ => no_overload(),
    }
}

fn optional_of_non_zero<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    let value = one(args)?;
    let is_zero = match value {
        Val::Null | Val::Bool(false) | Val::Int(0) | Val::Uint(0) | Val::Duration(0) => true,
        Val::Double(number) => *number == 0.0,
        Val::Text(text) => text.as_str().is_empty(),
        Val::Bytes(bytes) => bytes.is_empty(),
        Val::List(list) => list.len() == 0,
        Val::Map(map) => map.len() == 0,
        _ => false,
    };
    Ok(Val::optional((!is_zero).then(|| value.clone())))
}

fn not<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    match one(args)? {
        Val::Bool(truth) => Ok(Val::Bool(!truth)),
        _ => no_overload(),
    }
}

fn negate<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    match one(args)? {
        Val::Int(number) => whole_or(number.checked_neg(), INT_OVERFLOW),
        Val::Double(number) => Ok(Val::Double(-number)),
        Val::Duration(nanos) => Ok(Val::Duration(-nanos)),
        _ => no_overload(),
    }
}

fn size<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    let size = match one(args)? {
        Val::Text(text) => text.as_str().chars().count(),
        Val::Bytes(bytes) => bytes.len(),
        Val::List(list) => list.len(),
        Val::Map(map) => map.len(),
        _ => return no_overload(),
    };
    Ok(Val::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

fn two_texts<'v>(args: &'v [Val]) -> Result<(&'v str, &'v str), Failure> {
    match args {
        [left, right] => match (left.as_text(), right.as_text()) {
            (Some(left), Some(right)) => Ok((left, right)),
            _ => no_overload(),
        },
        _ => no_overload(),
    }
}

fn contains<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    let (text, part) = two_texts(args)?;
    Ok(Val::Bool(text.contains(part)))
}

fn starts_with<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    let (text, part) = two_texts(args)?;
    Ok(Val::Bool(text.starts_with(part)))
}

fn ends_with<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    let (text, part) = two_texts(args)?;
    Ok(Val::Bool(text.ends_with(part)))
}

/// With a pattern that is made by the expression; others are compiled before.
fn matches<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    let (text, written) = two_texts(args)?;
    match pattern::compile(written) {
        Ok(regex) => Ok(Val::Bool(regex.is_match(text))),
        Err(error) => failure(error),
    }
}

fn type_of<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    Ok(Val::Type(one(args)?.type_name()))
}

fn dynamic<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    one(args).cloned()
}

const INT_OVERFLOW: &str = "integer overflow";
const UINT_OVERFLOW: &str = "unsigned integer overflow";

fn whole_or<'a>(number: Option<i64>, error: &str) -> Result<Val<'a>, Failure> {
    number.map_or_else(|| failure(error), |number| Ok(Val::Int(number)))
}

fn unsigned_or<'a>(number: Option<u64>, error: &str) -> Result<Val<'a>, Failure> {
    number.map_or_else(|| failure(error), |number| Ok(Val::Uint(number)))
}

/// A number as an index: also a float without a fraction.
pub(super) fn whole(value: &Val) -> Option<i64> {
    match value {
        Val::Int(number) => Some(*number),
        Val::Uint(number) => i64::try_from(*number).ok(),
        Val::Double(number) if number.fract() == 0.0 => truncated(*number),
        _ => None,
    }
}

/// A float without its fraction, if that fits.
#[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
fn truncated(number: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (number > -LIMIT && number < LIMIT).then_some(number as i64)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range was checked"
)]
fn truncated_unsigned(number: f64) -> Option<u64> {
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    (number > -1.0 && number < LIMIT).then_some(number as u64)
}

fn int<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    match one(args)? {
        Val::Int(number) => Ok(Val::Int(*number)),
        Val::Uint(number) => whole_or(i64::try_from(*number).ok(), INT_OVERFLOW),
        Val::Double(number) => whole_or(truncated(*number), INT_OVERFLOW),
        Val::Text(text) => read(text.as_str().parse().ok().map(Val::Int), "int"),
        Val::Duration(nanos) => Ok(Val::Int(*nanos)),
        Val::Time(time) => Ok(Val::Int(time.timestamp().as_second())),
        _ => no_overload(),
    }
}

/// What a text means as another type.
fn read<'a>(value: Option<Val<'a>>, kind: &str) -> Result<Val<'a>, Failure> {
    value.map_or_else(
        || failure(format!("type conversion error from 'string' to '{kind}'")),
        Ok,
    )
}

fn uint<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    match one(args)? {
        Val::Uint(number) => Ok(Val::Uint(*number)),
        Val::Int(number) => unsigned_or(u64::try_from(*number).ok(), UINT_OVERFLOW),
        Val::Double(number) => unsigned_or(truncated_unsigned(*number), UINT_OVERFLOW),
        Val::Text(text) => read(text.as_str().parse().ok().map(Val::Uint), "uint"),
        _ => no_overload(),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "CEL converts whole numbers to the nearest float"
)]
fn double<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    match one(args)? {
        Val::Double(number) => Ok(Val::Double(*number)),
        Val::Int(number) => Ok(Val::Double(*number as f64)),
        Val::Uint(number) => Ok(Val::Double(*number as f64)),
        Val::Text(text) => read(text.as_str().parse().ok().map(Val::Double), "double"),
        _ => no_overload(),
    }
}

fn string<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    let value = one(args)?;
    match value {
        Val::Text(_) => Ok(value.clone()),
        Val::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Val::text(text)),
            Err(_) => failure("invalid UTF-8 in bytes, cannot convert to string"),
        },
        Val::Bool(_)
        | Val::Int(_)
        | Val::Uint(_)
        | Val::Double(_)
        | Val::Duration(_)
        | Val::Time(_) => Ok(Val::text(&shown(value))),
        Val::Foreign(_) => library::LibraryCall::new("string", 1, false).run(args),
        _ => no_overload(),
    }
}

/// A value as a text.
pub(super) fn shown(value: &Val) -> String {
    match value {
        Val::Bool(truth) => truth.to_string(),
        Val::Int(number) => number.to_string(),
        Val::Uint(number) => number.to_string(),
        Val::Double(number) => show::float(*number),
        Val::Text(text) => text.as_str().to_owned(),
        Val::Duration(nanos) => {
            let duration = SignedDuration::from_nanos(*nanos);
            let fraction = duration.subsec_nanos().unsigned_abs();
            let sign = if *nanos < 0 { "-" } else { "" };
            let whole = duration.as_secs().unsigned_abs();
            if fraction == 0 {
                format!("{sign}{whole}s")
            } else {
                let digits = format!("{fraction:09}");
                format!("{sign}{whole}.{}s", digits.trim_end_matches('0'))
            }
        }
        Val::Time(time) if time.offset().is_zero() => time.timestamp().to_string(),
        Val::Time(time) => time.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string(),
        other => other.type_name().to_owned(),
    }
}

fn bytes<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    match one(args)? {
        Val::Text(text) => Ok(Val::Bytes(text.as_str().as_bytes().into())),
        Val::Bytes(bytes) => Ok(Val::Bytes(bytes.clone())),
        _ => no_overload(),
    }
}

fn bool<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    match one(args)? {
        Val::Bool(truth) => Ok(Val::Bool(*truth)),
        Val::Text(text) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Val::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Val::Bool(false)),
            _ => read(None, "bool"),
        },
        _ => no_overload(),
    }
}

fn duration<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    match one(args)? {
        Val::Duration(nanos) | Val::Int(nanos) => Ok(Val::Duration(*nanos)),
        Val::Text(text) => read(
            format::go_duration(text.as_str()).map(Val::Duration),
            "google.protobuf.Duration",
        ),
        _ => no_overload(),
    }
}

fn timestamp<'a>(args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    match one(args)? {
        Val::Time(time) => Ok(Val::Time(time.clone())),
        Val::Int(seconds) => Timestamp::from_second(*seconds).map_or_else(
            |_| failure("timestamp overflow"),
            |time| Ok(Val::Time(time.to_zoned(TimeZone::UTC))),
        ),
        Val::Text(text) => {
            let text = text.as_str();
            let has_zone = text.ends_with('Z') || text.len() > 20;
            let time = has_zone.then(|| format::date_time(text)).flatten();
            read(time.map(Val::Time), "google.protobuf.Timestamp")
        }
        _ => no_overload(),
    }
}

/// A part of a time, in UTC or a zone, or of a duration.
fn time_part<'a>(
    args: &[Val<'a>],
    part: impl Fn(&Zoned) -> i64,
    of_duration: impl Fn(i64) -> Option<i64>,
) -> Result<Val<'a>, Failure> {
    let (time, zone) = match args {
        [Val::Duration(nanos)] => {
            return of_duration(*nanos).map_or_else(no_overload, |part| Ok(Val::Int(part)));
        }
        [Val::Time(time)] => (time, TimeZone::UTC),
        [Val::Time(time), Val::Text(zone)] => (time, time_zone(zone.as_str())?),
        _ => return no_overload(),
    };
    Ok(Val::Int(part(&time.with_time_zone(zone))))
}

/// A zone by name, or an offset such as `-08:00`.
fn time_zone(name: &str) -> Result<TimeZone, Failure> {
    if name == "UTC" || name.is_empty() {
        return Ok(TimeZone::UTC);
    }
    let (is_negative, rest) = match name.as_bytes()[0] {
        b'-' => (true, &name[1..]),
        b'+' => (false, &name[1..]),
        _ => (false, name),
    };
    if let Some((hours, minutes)) = rest.split_once(':')
        && let (Ok(hours), Ok(minutes)) = (hours.parse::<i16>(), minutes.parse::<i16>())
    {
        let seconds = (i32::from(hours) * 60 + i32::from(minutes)) * 60;
        let offset = Offset::from_seconds(if is_negative { -seconds } else { seconds });
        return offset.map_or_else(
            |error| failure(error.to_string()),
            |offset| Ok(offset.to_time_zone()),
        );
    }
    TimeZone::get(name).map_or_else(|_| failure(format!("unknown time zone {name}")), Ok)
}

/// Applies an operator; `in` is evaluated elsewhere.
pub(super) fn binary<'a>(
    operation: Binary,
    left: &Val<'a>,
    right: &Val<'a>,
) -> Result<Val<'a>, Failure> {
    let ordered = |accepts: fn(Ordering) -> bool| {
        let ordering = left.order(right)?;
        Ok(Val::Bool(ordering.is_some_and(accepts)))
    };
    match operation {
        Binary::Equal => left.equals(right).map(Val::Bool),
        Binary::Unequal => left.equals(right).map(|is_equal| Val::Bool(!is_equal)),
        Binary::Less => ordered(Ordering::is_lt),
        Binary::LessOrEqual => ordered(Ordering::is_le),
        Binary::Greater => ordered(Ordering::is_gt),
        Binary::GreaterOrEqual => ordered(Ordering::is_ge),
        Binary::In => no_overload(),
        Binary::Add => add(left, right),
        Binary::Subtract => subtract(left, right),
        Binary::Multiply => match (left, right) {
            (Val::Int(left), Val::Int(right)) => whole_or(left.checked_mul(*right), INT_OVERFLOW),
            (Val::Uint(left), Val::Uint(right)) => {
                unsigned_or(left.checked_mul(*right), UINT_OVERFLOW)
            }
            (Val::Double(left), Val::Double(right)) => Ok(Val::Double(left * right)),
            _ => no_overload(),
        },
        Binary::Divide => match (left, right) {
            (Val::Int(_), Val::Int(0)) | (Val::Uint(_), Val::Uint(0)) => {
                failure("division by zero")
            }
            (Val::Int(left), Val::Int(right)) => whole_or(left.checked_div(*right), INT_OVERFLOW),
            (Val::Uint(left), Val::Uint(right)) => {
                unsigned_or(left.checked_div(*right), UINT_OVERFLOW)
            }
            (Val::Double(left), Val::Double(right)) => Ok(Val::Double(left / right)),
            _ => no_overload(),
        },
        Binary::Remainder => match (left, right) {
            (Val::Int(_), Val::Int(0)) | (Val::Uint(_), Val::Uint(0)) => failure("modulus by zero"),
            (Val::Int(left), Val::Int(right)) => whole_or(left.checked_rem(*right), INT_OVERFLOW),
            (Val::Uint(left), Val::Uint(right)) => {
                unsigned_or(left.checked_rem(*right), UINT_OVERFLOW)
            }
            _ => no_overload(),
        },
    }
}

fn add<'a>(left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>, Failure> {
    match (left, right) {
        (Val::Int(left), Val::Int(right)) => whole_or(left.checked_add(*right), INT_OVERFLOW),
        (Val::Uint(left), Val::Uint(right)) => unsigned_or(left.checked_add(*right), UINT_OVERFLOW),
        (Val::Double(left), Val::Double(right)) => Ok(Val::Double(left + right)),
        (Val::Text(left), Val::Text(right)) => {
            Ok(Val::text(&format!("{}{}", left.as_str(), right.as_str())))
        }
        (Val::Bytes(left), Val::Bytes(right)) => {
            Ok(Val::Bytes([left.as_ref(), right.as_ref()].concat().into()))
        }
        (Val::List(left), Val::List(right)) => left.with(right),
        (Val::Duration(left), Val::Duration(right)) => nanos_or_overflow(left.checked_add(*right)),
        (Val::Time(time), Val::Duration(nanos)) | (Val::Duration(nanos), Val::Time(time)) => {
            moved(time, *nanos)
        }
        _ => no_overload(),
    }
}

fn subtract<'a>(left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>, Failure> {
    match (left, right) {
        (Val::Int(left), Val::Int(right)) => whole_or(left.checked_sub(*right), INT_OVERFLOW),
        (Val::Uint(left), Val::Uint(right)) => unsigned_or(left.checked_sub(*right), UINT_OVERFLOW),
        (Val::Double(left), Val::Double(right)) => Ok(Val::Double(left - right)),
        (Val::Duration(left), Val::Duration(right)) => nanos_or_overflow(left.checked_sub(*right)),
        (Val::Time(time), Val::Duration(nanos)) => match nanos.checked_neg() {
            Some(nanos) => moved(time, nanos),
            None => failure("timestamp overflow"),
        },
        (Val::Time(left), Val::Time(right)) => {
            let nanos = |time: &Zoned| time.timestamp().as_nanosecond();
            nanos_or_overflow(i64::try_from(nanos(left) - nanos(right)).ok())
        }
        _ => no_overload(),
    }
}

fn nanos_or_overflow<'a>(nanos: Option<i64>) -> Result<Val<'a>, Failure> {
    nanos.map_or_else(
        || failure("duration overflow"),
        |nanos| Ok(Val::Duration(nanos)),
    )
}

fn moved<'a>(time: &Zoned, nanos: i64) -> Result<Val<'a>, Failure> {
    time.checked_add(SignedDuration::from_nanos(nanos))
        .map_or_else(
            |_| failure("timestamp overflow"),
            |time| Ok(Val::Time(time)),
        )
}

/// The first of each pair, in the order of the second.
pub(super) fn sorted_by_second<'a>(
    mut pairs: Vec<(Val<'a>, Val<'a>)>,
) -> Result<Vec<Val<'a>>, Failure> {
    let mut error = None;
    pairs.sort_by(|(_, left), (_, right)| match left.order(right) {
        Ok(ordering) => ordering.unwrap_or(Ordering::Equal),
        Err(failure) => {
            error.get_or_insert(failure);
            Ordering::Equal
        }
    });
    match error {
        Some(error) => Err(error),
        None => Ok(pairs.into_iter().map(|(value, _)| value).collect()),
    }
}

/// The entries of a map that an expression made.
pub(super) fn made_map<'a>(entries: Vec<(Val<'a>, Val<'a>)>) -> Val<'a> {
    Val::Map(Map::Made(Rc::new(entries)))
}
