//! The sentences in these tests are those of a real API server.

use serde_json::json;

use super::super::{Program, Subject, Wanted};
use super::Fault;
use crate::schema::node::Node;

fn schema() -> Node {
    let schema = json!({
        "type": "object",
        "properties": {
            "a": { "type": "integer" },
            "s": { "type": "string" },
            "when": { "type": "string", "format": "date-time" },
            "m": { "type": "object", "additionalProperties": { "type": "string" } },
            "l": { "type": "array", "items": { "type": "object", "properties": {
                "a": { "type": "integer" },
            } } },
            "either": { "x-kubernetes-int-or-string": true },
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        },
    });
    Node::read(&schema, "schema").unwrap()
}

/// The first fault: where it is, and what.
fn fault(source: &str) -> Option<String> {
    let schema = schema();
    let subject = Subject {
        schema: &schema,
        is_resource: false,
        has_optional_old: false,
    };
    let checked = Program::compile(source)
        .unwrap()
        .check(subject, Wanted::Bool);
    match checked {
        Ok(()) => None,
        Err(Fault::Places(text)) => {
            let line = text.lines().next().unwrap_or_default();
            Some(line.trim_start_matches("ERROR: <input>:").to_owned())
        }
        Err(other) => Some(format!("{other:?}")),
    }
}

#[test]
fn good_expressions_pass() {
    for source in [
        "self.a >= 1 && self.s in ['a'] && self.m['a'] == 'x' && self.m.k == 'x'",
        "self.l.all(x, x.a > 0) && self.l.map(x, x.a).sum() < 5 && self.l[0].a == 1",
        "self.either == 'x' || self.either == 1 || type(self.either) == int",
        "self.when > timestamp('2024-01-01T00:00:00Z') && self.when.getHours() > 1",
        "quantity(self.s).compareTo(quantity('1')) <= 0 && sign(quantity(self.s)) >= 0",
        "self.?s.orValue('x') == 'x' && self.m[?'a'].hasValue() && self.when != null",
        "self.l.all(i, x, x.a == i) && self.m.transformList(k, v, k + v).size() > 0",
        "1 < 1.5 && 2u > 1 && dyn(1) == dyn('a') && [] == self.l.map(x, x.a)",
        "format.dns1123Label().validate(self.s).hasValue() && ip(self.s).family() == 4",
        "self == oldSelf && self.l == oldSelf.l",
        "'%s %d'.format(['a', 1]) == 'a 1'",
    ] {
        assert_eq!(fault(source), None, "{source}");
    }
}

#[test]
fn faults_are_told_with_their_place() {
    for (source, words) in [
        ("self.foo == 1", "1:5: undefined field 'foo'"),
        ("oldSelf.zzz == 1", "1:8: undefined field 'zzz'"),
        ("self.free.foo == 1", "1:10: undefined field 'foo'"),
        ("self.l[0].zzz == 1", "1:10: undefined field 'zzz'"),
        ("self.l.all(x, x.foo == 1)", "1:16: undefined field 'foo'"),
        (
            "self.a.b == 1",
            "1:7: type 'int' does not support field selection",
        ),
        (
            "self.s.zzz()",
            "1:11: undeclared reference to 'zzz' (in container '')",
        ),
        (
            "Foo{a: 1} == 1",
            "1:4: undeclared reference to 'Foo' (in container '')",
        ),
        (
            "self.l.exists(x, y == 1)",
            "1:18: undeclared reference to 'y' (in container '')",
        ),
        (
            "self.m.foo == 1",
            "1:12: found no matching overload for '_==_' applied to '(string, int)'",
        ),
        (
            "!self.a",
            "1:1: found no matching overload for '!_' applied to '(int)'",
        ),
        (
            "self.a ? true : false",
            "1:8: found no matching overload for '_?_:_' applied to '(int, bool, bool)'",
        ),
        (
            "self.a in ['a']",
            "1:8: found no matching overload for '@in' applied to '(int, list(string))'",
        ),
        (
            "size(self.a) == 1",
            "1:5: found no matching overload for 'size' applied to '(int)'",
        ),
        (
            "self.s.startsWith(1)",
            "1:18: found no matching overload for 'startsWith' applied to 'string.(int)'",
        ),
        (
            "[1, 'a'].size() == 2",
            "1:5: expected type 'int' but found 'string'",
        ),
        ("self.s.matches('(')", "1:16: invalid matches argument"),
        ("1", "Type"),
    ] {
        assert_eq!(fault(source).as_deref(), Some(words), "{source}");
    }
}
