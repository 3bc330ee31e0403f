//! The values and errors in these tests are those of a real API server.

use serde_json::{Value, json};

use super::{Program, Scope, part};
use crate::schema::node::Node;

fn schema() -> Node {
    let schema = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string" },
            "gone": { "type": "string" },
            "when": { "type": "string", "format": "date-time" },
            "took": { "type": "string", "format": "duration" },
            "raw": { "type": "string", "format": "byte" },
            "map": { "type": "object", "additionalProperties": { "type": "string" } },
            "set": {
                "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" },
            },
            "either": { "x-kubernetes-int-or-string": true },
            "number": { "type": "number" },
            "nothing": { "type": "string", "nullable": true },
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "namespace": { "type": "string" },
            "foo-bar": { "type": "string" },
            "a_b": { "type": "string" },
        },
    });
    Node::read(&schema, "schema").unwrap()
}

fn object() -> Value {
    json!({
        "name": "n", "when": "2024-05-06T07:08:09Z", "took": "90s", "raw": "aGk=",
        "map": { "a.b/c": "v", "za": "w" }, "set": ["a", "b"], "either": 5, "number": 2,
        "nothing": null, "free": { "x": [1] }, "namespace": "ns", "foo-bar": "fb", "a_b": "ab",
    })
}

fn run(source: &str) -> Result<String, String> {
    let (schema, object) = (schema(), object());
    let program = Program::compile(source)?;
    let scope = Scope {
        this: part(&object, &schema),
        old: None,
    };
    let value = program.run(&scope).map_err(|error| error.to_string())?;
    Ok(super::functions::shown(&value))
}

/// All of these are true.
#[test]
fn expressions_have_the_values_of_kubernetes() {
    for source in [
        "1 + 2 * 3 == 7 && -7 / 2 == -3 && -7 % 3 == -1",
        "1 < 1.5 && 2u > 1 && 'a' < 'b' && dyn(1) == dyn(1.0)",
        "dyn(1) != dyn('a')",
        "1 / 0 == 1 || true",
        "!(false && 1 / 0 == 1)",
        "[0, 1].exists(x, 1 / x == 1)",
        "![0, 1].all(x, 1 / x == 2)",
        "(true ? 1 : 2) == 1",
        "size('héllo') == 5 && 'héllo'.size() == 5",
        "'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c')",
        r"'abc'.matches('^a.c$') && matches('a1', '^\\w\\d$')",
        "type(1) == int && type('') == string && type([]) == list && type({}) == map",
        "type(timestamp(0)) == google.protobuf.Timestamp",
        "int('12') == 12 && int(3.9) == 3 && double('1.5') == 1.5 && bool('true')",
        "string(1.5) == '1.5' && string(100000000.0) == '1e+08' && string(b'a') == 'a'",
        "string(duration('1h1m1.5s')) == '3661.5s'",
        "string(timestamp('2024-01-02T03:04:05.678+02:00')) == '2024-01-02T03:04:05.678+02:00'",
        "timestamp('2024-01-02T03:04:05Z').getDayOfYear('-08:00') == 0",
        "timestamp('2024-01-02T03:04:05Z') + duration('1s') > timestamp('2024-01-02T03:04:05Z')",
        "[1, 2, 3].map(x, x * 2) == [2, 4, 6] && [1, 2, 3].map(x, x > 1, x) == [2, 3]",
        "[1, 2, 3].filter(x, x > 1) == [2, 3] && [1, 2].exists_one(x, x == 2)",
        "[1, 2, 3].all(i, v, v == i + 1) && [1, 2].transformList(i, v, v + i) == [1, 3]",
        "{'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
        "{'a': 'b'}.transformMapEntry(k, v, {v: k}) == {'b': 'a'}",
        "{'a': 1}.all(k, k == 'a') && 'a' in {'a': 1} && has({'a': 1}.a)",
        "[3, 1, 2].sortBy(x, -x) == [3, 2, 1] && [3, 1, 2].sort() == [1, 2, 3]",
        "optional.of(2).optMap(x, x * 3).value() == 6 && optional.none().orValue(3) == 3",
        "self.?gone.orValue('none') == 'none' && !self.?gone.hasValue()",
        "[1, 2][?5].hasValue() == false && {'a': 1}[?'a'].value() == 1",
        "[?optional.of(1), ?optional.none(), 2].size() == 2",
        "quantity('1Gi').isGreaterThan(quantity('500Mi')) && !isQuantity('1x')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && ip('::1').family() == 6",
        "url('https://a.b:80/c').getPort() == '80' && semver('1.2.3').major() == 1",
        "'%s has %d'.format(['a', 3]) == 'a has 3' && 'a-b'.split('-') == ['a', 'b']",
        "sets.equivalent([1, 2], [2, 1]) && lists.range(3) == [0, 1, 2]",
        "self.when.getFullYear() == 2024 && self.took > duration('1m') && self.raw == b'hi'",
        "self.map['a.b/c'] == 'v' && 'za' in self.map && self.map.all(k, k.contains('a'))",
        "self.set == ['b', 'a'] && self.set + ['a', 'c'] == ['a', 'b', 'c']",
        "type(self.either) == int && self.either == 5 && self.number + 0.5 == 2.5",
        "!has(self.nothing) && !has(self.gone) && has(self.name)",
        "self.__namespace__ == 'ns' && self.foo__dash__bar == 'fb' && self.a_b == 'ab'",
        "self.free == self.free && self == self",
    ] {
        assert_eq!(run(source).as_deref(), Ok("true"), "{source}");
    }
}

#[test]
fn expressions_without_a_value_say_why() {
    for (source, words) in [
        ("self.gone == 'x'", "no such key: gone"),
        ("self.map['zzz'] == 'x'", "no such key: zzz"),
        ("[1, 2][5] == 1", "index out of bounds: 5"),
        ("1 / 0 == 1", "division by zero"),
        ("1 % 0 == 1", "modulus by zero"),
        ("9223372036854775807 + 1 == 0", "integer overflow"),
        ("self.either + 'x' == 'x'", "no such overload"),
        ("uint(-1) == 1u", "unsigned integer overflow"),
        (
            "int(self.name) == 1",
            "type conversion error from 'string' to 'int'",
        ),
        (
            "duration(self.name) == duration('1s')",
            "type conversion error from 'string' to 'google.protobuf.Duration'",
        ),
        ("'abc'.substring(5) == ''", "index out of range: 5"),
        ("[].max() == 1", "max called on empty list"),
        (
            "optional.none().value() == 1",
            "optional.none() dereference",
        ),
        (
            "'x'.matches(self.name + '(')",
            "error parsing regexp: missing closing ): `n(`",
        ),
        (
            "quantity('x') == quantity('1')",
            "quantities must match the regular expression \
             '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
    ] {
        assert_eq!(run(source), Err(words.to_owned()), "{source}");
    }
}

#[test]
fn a_value_that_does_not_fit_matters_only_to_those_who_look() {
    let schema = schema();
    let object = json!({ "name": 5 });
    let run = |source: &str| {
        let program = Program::compile(source).unwrap();
        let scope = Scope {
            this: part(&object, &schema),
            old: None,
        };
        program
            .run(&scope)
            .map(|value| super::functions::shown(&value))
    };
    assert_eq!(run("has(self.gone) || true").as_deref(), Ok("true"));
    assert_eq!(
        run("self.name == 'x'").unwrap_err().to_string(),
        "invalid data, expected string, got int64"
    );
}

#[test]
fn old_values_are_noticed_wherever_they_stand() {
    let uses_old = |source: &str| Program::compile(source).unwrap().uses_old();
    assert!(uses_old("[1].all(x, x == oldSelf)"));
    assert!(!uses_old("[1].all(oldSelf, oldSelf == 1)"));
}

#[test]
fn deep_expressions_are_refused() {
    let sum = |terms: usize| format!("{} > 0", vec!["1"; terms].join(" + "));
    assert!(Program::compile(&sum(100)).is_ok());
    assert_eq!(
        Program::compile(&sum(400)).unwrap_err(),
        "expression is nested too deeply"
    );
}
