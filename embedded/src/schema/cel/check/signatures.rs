//! Which functions there are, and what they take and give.
//!
//! Names with a leading dot are members: their first argument stands before the dot. Arguments are
//! separated by `;`, alternatives with the same result by `|`. Capitals stand for any type, the
//! same one everywhere in a signature.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::types::Ty;

const SIGNATURES: &[(&str, &str, &str)] = &[
    ("!_", "bool", "bool"),
    ("-_", "int", "int"),
    ("-_", "double", "double"),
    ("_&&_", "bool;bool", "bool"),
    ("_||_", "bool;bool", "bool"),
    ("_?_:_", "bool;A;A", "A"),
    ("_==_", "A;A", "bool"),
    ("_!=_", "A;A", "bool"),
    ("_<_", ORDERED, "bool"),
    ("_<=_", ORDERED, "bool"),
    ("_>_", ORDERED, "bool"),
    ("_>=_", ORDERED, "bool"),
    ("@in", "A;list(A)|A;map(A,B)", "bool"),
    ("_[_]", "list(A);int", "A"),
    ("_[_]", "map(A,B);A", "B"),
    ("_[_]", "optional(list(A));int", "optional(A)"),
    ("_[_]", "optional(map(A,B));A", "optional(B)"),
    ("_[?_]", "list(A);int|optional(list(A));int", "optional(A)"),
    ("_[?_]", "map(A,B);A|optional(map(A,B));A", "optional(B)"),
    ("_+_", "int;int", "int"),
    ("_+_", "uint;uint", "uint"),
    ("_+_", "double;double", "double"),
    ("_+_", "string;string", "string"),
    ("_+_", "bytes;bytes", "bytes"),
    ("_+_", "list(A);list(A)", "list(A)"),
    ("_+_", "duration;duration", "duration"),
    ("_+_", "timestamp;duration|duration;timestamp", "timestamp"),
    ("_-_", "int;int", "int"),
    ("_-_", "uint;uint", "uint"),
    ("_-_", "double;double", "double"),
    ("_-_", "duration;duration|timestamp;timestamp", "duration"),
    ("_-_", "timestamp;duration", "timestamp"),
    ("_*_", "int;int", "int"),
    ("_*_", "uint;uint", "uint"),
    ("_*_", "double;double", "double"),
    ("_/_", "int;int", "int"),
    ("_/_", "uint;uint", "uint"),
    ("_/_", "double;double", "double"),
    ("_%_", "int;int", "int"),
    ("_%_", "uint;uint", "uint"),
    ("size", "string|bytes|list(A)|map(A,B)", "int"),
    (".size", "string|bytes|list(A)|map(A,B)", "int"),
    ("type", "A", "type(A)"),
    ("dyn", "A", "dyn"),
    ("bool", "bool|string", "bool"),
    ("bytes", "bytes|string", "bytes"),
    ("double", "double|int|string|uint", "double"),
    ("int", "double|duration|timestamp|int|string|uint", "int"),
    ("uint", "double|int|string|uint", "uint"),
    (
        "string",
        "bool|bytes|double|duration|timestamp|int|string|uint|ip|cidr",
        "string",
    ),
    ("duration", "duration|int|string", "duration"),
    ("timestamp", "timestamp|int|string", "timestamp"),
    ("matches", "string;string", "bool"),
    (".matches", "string;string", "bool"),
    (".contains", "string;string", "bool"),
    (".startsWith", "string;string", "bool"),
    (".endsWith", "string;string", "bool"),
    (".charAt", "string;int", "string"),
    (".find", "string;string", "string"),
    (
        ".findAll",
        "string;string|string;string;int",
        "list(string)",
    ),
    (".format", "string;list(dyn)", "string"),
    (
        ".indexOf",
        "string;string|string;string;int|list(A);A",
        "int",
    ),
    (
        ".lastIndexOf",
        "string;string|string;string;int|list(A);A",
        "int",
    ),
    (".join", "list(string)|list(string);string", "string"),
    (".lowerAscii", "string", "string"),
    (".upperAscii", "string", "string"),
    (
        ".replace",
        "string;string;string|string;string;string;int",
        "string",
    ),
    (".split", "string;string|string;string;int", "list(string)"),
    (".substring", "string;int|string;int;int", "string"),
    (".trim", "string", "string"),
    ("strings.quote", "string", "string"),
    (".distinct", "list(A)", "list(A)"),
    (".first", "list(A)", "optional(A)"),
    (".last", "list(A)", "optional(A)"),
    (".flatten", "list(list(A))", "list(A)"),
    (".flatten", "list(dyn);int", "list(dyn)"),
    (".isSorted", "list(A)", "bool"),
    (".max", "list(A)", "A"),
    (".min", "list(A)", "A"),
    (".sum", "list(A)", "A"),
    (".reverse", "list(A)", "list(A)"),
    (".slice", "list(A);int;int", "list(A)"),
    (".sort", "list(A)", "list(A)"),
    ("lists.range", "int", "list(int)"),
    ("sets.contains", "list(A);list(A)", "bool"),
    ("sets.equivalent", "list(A);list(A)", "bool"),
    ("sets.intersects", "list(A);list(A)", "bool"),
    (".getDate", TIME, "int"),
    (".getDayOfMonth", TIME, "int"),
    (".getDayOfWeek", TIME, "int"),
    (".getDayOfYear", TIME, "int"),
    (".getFullYear", TIME, "int"),
    (".getMonth", TIME, "int"),
    (".getHours", TIME_OR_DURATION, "int"),
    (".getMilliseconds", TIME_OR_DURATION, "int"),
    (".getMinutes", TIME_OR_DURATION, "int"),
    (".getSeconds", TIME_OR_DURATION, "int"),
    ("optional.none", "", "optional(A)"),
    ("optional.of", "A", "optional(A)"),
    ("optional.ofNonZeroValue", "A", "optional(A)"),
    (".hasValue", "optional(A)", "bool"),
    (".or", "optional(A);optional(A)", "optional(A)"),
    (".orValue", "optional(A);A", "A"),
    (".value", "optional(A)", "A"),
    ("quantity", "string", "quantity"),
    ("isQuantity", "string", "bool"),
    ("sign", "quantity", "int"),
    (".add", "quantity;int|quantity;quantity", "quantity"),
    (".sub", "quantity;int|quantity;quantity", "quantity"),
    (".asApproximateFloat", "quantity", "double"),
    (".asInteger", "quantity", "int"),
    (".isInteger", "quantity", "bool"),
    (".compareTo", "quantity;quantity|semver;semver", "int"),
    (".isGreaterThan", "quantity;quantity|semver;semver", "bool"),
    (".isLessThan", "quantity;quantity|semver;semver", "bool"),
    ("semver", "string|string;bool", "semver"),
    ("isSemver", "string|string;bool", "bool"),
    (".major", "semver", "int"),
    (".minor", "semver", "int"),
    (".patch", "semver", "int"),
    ("ip", "string", "ip"),
    (".ip", "cidr", "ip"),
    ("isIP", "string", "bool"),
    ("ip.isCanonical", "string", "bool"),
    (".family", "ip", "int"),
    (".isGlobalUnicast", "ip", "bool"),
    (".isLinkLocalMulticast", "ip", "bool"),
    (".isLinkLocalUnicast", "ip", "bool"),
    (".isLoopback", "ip", "bool"),
    (".isUnspecified", "ip", "bool"),
    ("cidr", "string", "cidr"),
    ("isCIDR", "string", "bool"),
    (".containsCIDR", "cidr;cidr|cidr;string", "bool"),
    (".containsIP", "cidr;ip|cidr;string", "bool"),
    (".masked", "cidr", "cidr"),
    (".prefixLength", "cidr", "int"),
    ("url", "string", "url"),
    ("isURL", "string", "bool"),
    (".getEscapedPath", "url", "string"),
    (".getHost", "url", "string"),
    (".getHostname", "url", "string"),
    (".getPort", "url", "string"),
    (".getQuery", "url", "map(string,list(string))"),
    (".getScheme", "url", "string"),
    ("format.byte", "", "format"),
    ("format.date", "", "format"),
    ("format.datetime", "", "format"),
    ("format.dns1035Label", "", "format"),
    ("format.dns1035LabelPrefix", "", "format"),
    ("format.dns1123Label", "", "format"),
    ("format.dns1123LabelPrefix", "", "format"),
    ("format.dns1123Subdomain", "", "format"),
    ("format.dns1123SubdomainPrefix", "", "format"),
    ("format.labelValue", "", "format"),
    ("format.named", "string", "optional(format)"),
    ("format.qualifiedName", "", "format"),
    ("format.uri", "", "format"),
    ("format.uuid", "", "format"),
    (".validate", "format;string", "optional(list(string))"),
];

const ORDERED: &str = "bool;bool|bytes;bytes|string;string|duration;duration|timestamp;timestamp\
                       |int;int|int;uint|int;double|uint;int|uint;uint|uint;double\
                       |double;int|double;uint|double;double";
const TIME: &str = "timestamp|timestamp;string";
const TIME_OR_DURATION: &str = "duration|timestamp|timestamp;string";

/// Whether there is a function of that name, of either form.
pub(crate) fn has(name: &str) -> bool {
    SIGNATURES
        .iter()
        .any(|(known, ..)| known.trim_start_matches('.') == name)
}

/// The result of a function for arguments of some types; none if it does not take them.
pub(super) fn result<'a>(name: &str, is_member: bool, args: &[Ty<'a>]) -> Option<Ty<'a>> {
    let mut found: Option<Ty<'a>> = None;
    for (known, alternatives, result) in SIGNATURES {
        let plain = known.strip_prefix('.');
        if plain.is_some() != is_member || plain.unwrap_or(known) != name {
            continue;
        }
        for params in alternatives.split('|') {
            let mut bound = BTreeMap::new();
            if !takes(params, args, &mut bound) {
                continue;
            }
            let result = made(result, &bound);
            found = Some(match found {
                // Several could be meant: which one shows when the rule runs.
                Some(before) if before.to_string() != result.to_string() => Ty::Dyn,
                _ => result,
            });
        }
    }
    found
}

type Bound<'a> = BTreeMap<&'static str, Ty<'a>>;

fn takes<'a>(params: &'static str, args: &[Ty<'a>], bound: &mut Bound<'a>) -> bool {
    let params: Vec<&str> = if params.is_empty() {
        Vec::new()
    } else {
        params.split(';').collect()
    };
    params.len() == args.len()
        && params
            .iter()
            .zip(args)
            .all(|(param, arg)| fits(param, arg, bound))
}

/// Whether an argument fits a parameter; remembers what capitals stand for.
fn fits<'a>(param: &'static str, arg: &Ty<'a>, bound: &mut Bound<'a>) -> bool {
    if param == "dyn" || matches!(arg, Ty::Dyn) {
        return true;
    }
    if param.len() == 1 {
        return match bound.get(param) {
            Some(known) if matches!(known, Ty::Plain("null")) && known.accepts(arg) => {
                bound.insert(param, arg.clone());
                true
            }
            Some(known) => known.accepts(arg),
            None => {
                bound.insert(param, arg.clone());
                true
            }
        };
    }
    match (parts(param), arg) {
        (("list", inside), Ty::List(items)) => fits(inside, items, bound),
        (("optional", inside), Ty::Optional(value)) => fits(inside, value, bound),
        (("map", inside), Ty::Map(key, value)) => match inside.split_once(',') {
            Some((first, second)) => fits(first, key, bound) && fits(second, value, bound),
            None => false,
        },
        ((name, ""), Ty::Plain(arg)) => displayed(name) == *arg,
        _ => false,
    }
}

/// `list(int)` as its name and what is inside.
fn parts(text: &'static str) -> (&'static str, &'static str) {
    match text.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')').unwrap_or(rest)),
        None => (text, ""),
    }
}

/// The name of a type in messages.
fn displayed(name: &'static str) -> &'static str {
    match name {
        "quantity" => "kubernetes.Quantity",
        "semver" => "kubernetes.Semver",
        "url" => "kubernetes.URL",
        "format" => "kubernetes.NamedFormat",
        "ip" => "net.IP",
        "cidr" => "net.CIDR",
        other => other,
    }
}

fn made<'a>(text: &'static str, bound: &Bound<'a>) -> Ty<'a> {
    if text.len() == 1 {
        return bound.get(text).cloned().unwrap_or(Ty::Dyn);
    }
    match parts(text) {
        ("dyn", _) => Ty::Dyn,
        ("list", inside) => Ty::List(Rc::new(made(inside, bound))),
        ("optional", inside) => Ty::Optional(Rc::new(made(inside, bound))),
        ("type", inside) => Ty::TypeOf(Rc::new(made(inside, bound))),
        ("map", inside) => {
            let (key, value) = inside.split_once(',').unwrap_or((inside, "dyn"));
            Ty::Map(Rc::new(made(key, bound)), Rc::new(made(value, bound)))
        }
        (name, _) => Ty::Plain(displayed(name)),
    }
}
