//! The sentences in these tests are those of a real API server.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::Schema;
use crate::status::Cause;

/// A schema with one field in its spec.
fn with_field(schema: &Value) -> Value {
    json!({
        "type": "object",
        "properties": { "spec": { "type": "object", "properties": { "f": schema } } },
    })
}

fn lines(causes: &[Cause]) -> String {
    let lines: Vec<String> = causes
        .iter()
        .map(|cause| {
            let reason = cause.reason.trim_start_matches("FieldValue");
            format!("{reason} {}: {}\n", cause.field, cause.message)
        })
        .collect();
    lines.concat()
}

/// Checks what is told about values of one field.
fn check(schema: &Value, values: &[Value], expected: &Expect) {
    let schema = Schema::compile(&with_field(schema)).unwrap();
    let told: String = values
        .iter()
        .map(|value| lines(&schema.validate(&json!({ "spec": { "f": value } }), None)))
        .collect();
    expected.assert_eq(&told);
}

/// Checks what is told about an update of one field.
fn check_update(schema: &Value, old: &Value, new: &Value, expected: &Expect) {
    let schema = Schema::compile(&with_field(schema)).unwrap();
    let object = |value: &Value| json!({ "spec": { "f": value } });
    let causes = schema.validate(&object(new), Some(&object(old)));
    expected.assert_eq(&lines(&causes));
}

#[test]
fn types() {
    check(
        &json!({ "type": "integer" }),
        &[
            json!(1),
            json!(1.0),
            json!("x"),
            json!(true),
            json!(1.5),
            json!(null),
            json!({}),
        ],
        &expect![[r#"
            TypeInvalid spec.f: Invalid value: "string": spec.f in body must be of type integer: "string"
            TypeInvalid spec.f: Invalid value: "boolean": spec.f in body must be of type integer: "boolean"
            TypeInvalid spec.f: Invalid value: "number": spec.f in body must be of type integer: "number"
            TypeInvalid spec.f: Invalid value: "null": spec.f in body must be of type integer: "null"
            TypeInvalid spec.f: Invalid value: "object": spec.f in body must be of type integer: "object"
        "#]],
    );
    check(
        &json!({ "type": "number", "nullable": true }),
        &[json!(1), json!(1.5), json!(null), json!([])],
        &expect![[r#"
            TypeInvalid spec.f: Invalid value: "array": spec.f in body must be of type number: "array"
        "#]],
    );
    check(
        &json!({ "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] }),
        &[json!(1), json!("1"), json!(true)],
        &expect![[r#"
            TypeInvalid spec.f: Invalid value: "boolean": spec.f in body must be of type integer,string: "boolean"
            Invalid <nil>: Invalid value: "": "spec.f" must validate at least one schema (anyOf)
            TypeInvalid spec.f: Invalid value: "boolean": spec.f in body must be of type integer: "boolean"
        "#]],
    );
}

#[test]
fn texts() {
    check(
        &json!({ "type": "string", "minLength": 2, "maxLength": 3, "pattern": r"^\w+$" }),
        &[
            json!("é1"),
            json!("ab"),
            json!("a"),
            json!("abcd"),
            json!("a-"),
        ],
        &expect![[r#"
            Invalid spec.f: Invalid value: "é1": spec.f in body should match '^\w+$'
            Invalid spec.f: Invalid value: "a": spec.f in body should be at least 2 chars long
            TooLong spec.f: Too long: may not be more than 3 bytes
            Invalid spec.f: Invalid value: "a-": spec.f in body should match '^\w+$'
        "#]],
    );
    check(
        &json!({ "type": "string", "enum": ["a", "b\"c"] }),
        &[json!("a"), json!("x")],
        &expect![[r#"
            NotSupported spec.f: Unsupported value: "x": supported values: "a", "b\"c"
        "#]],
    );
    check(
        &json!({ "type": "string", "format": "date-time" }),
        &[
            json!("2026-01-31T10:00:00Z"),
            json!("x"),
            json!(1),
            json!(true),
        ],
        &expect![[r#"
            TypeInvalid spec.f: Invalid value: "x": spec.f in body must be of type date-time: "x"
            TypeInvalid spec.f: Invalid value: "int64": spec.f in body must be of type date-time: "int64"
            TypeInvalid spec.f: Invalid value: "": spec.f in body must be of type date-time: ""
        "#]],
    );
}

#[test]
fn numbers() {
    check(
        &json!({ "type": "integer", "format": "int32", "minimum": 3, "maximum": 7, "multipleOf": 2 }),
        &[json!(4), json!(2), json!(8), json!(5)],
        &expect![[r#"
            Invalid spec.f: Invalid value: 2: spec.f in body should be greater than or equal to 3
            Invalid spec.f: Invalid value: 8: spec.f in body should be less than or equal to 7
            Invalid spec.f: Invalid value: 5: spec.f in body should be a multiple of 2
        "#]],
    );
    check(
        &json!({
            "type": "number", "minimum": 0.5, "exclusiveMinimum": true,
            "maximum": 1e7, "exclusiveMaximum": true,
        }),
        &[json!(0.6), json!(0.5), json!(1e7), json!(20_000_000)],
        &expect![[r#"
            Invalid spec.f: Invalid value: 0.5: spec.f in body should be greater than 0.5
            Invalid spec.f: Invalid value: 1e+07: spec.f in body should be less than 1e+07
            Invalid spec.f: Invalid value: 20000000: spec.f in body should be less than 10000000
        "#]],
    );
    check(
        &json!({ "type": "integer", "enum": [1, 2] }),
        &[json!(1), json!(3)],
        &expect![[r#"
            NotSupported spec.f: Unsupported value: 3: supported values: "1", "2"
        "#]],
    );
}

#[test]
fn lists() {
    check(
        &json!({
            "type": "array", "items": { "type": "string", "maxLength": 1 },
            "minItems": 1, "maxItems": 2, "uniqueItems": true,
        }),
        &[json!(["a"]), json!([]), json!(["a", "bb", "a"])],
        &expect![[r#"
            Invalid spec.f: Invalid value: 0: spec.f in body should have at least 1 items
            TooLong spec.f[1]: Too long: may not be more than 1 byte
            TooMany spec.f: Too many: 3: must have at most 2 items
            Invalid spec.f: Invalid value: "": spec.f in body shouldn't contain duplicates
        "#]],
    );
}

#[test]
fn objects() {
    check(
        &json!({
            "type": "object", "required": ["a"],
            "properties": { "a": { "type": "string" }, "b": { "type": "integer", "minimum": 1 } },
        }),
        &[json!({ "a": "x" }), json!({ "b": 0 })],
        &expect![[r#"
            Invalid spec.f.b: Invalid value: 0: spec.f.b in body should be greater than or equal to 1
            Required spec.f.a: Required value
        "#]],
    );
    check(
        &json!({
            "type": "object", "minProperties": 1, "maxProperties": 1,
            "additionalProperties": { "type": "integer", "minimum": 1 },
        }),
        &[json!({ "a": 1 }), json!({}), json!({ "a": 1, "b": 0 })],
        &expect![[r#"
            Invalid spec.f: Invalid value: 0: spec.f in body should have at least 1 properties
            TooMany spec.f: Too many: 2: must have at most 1 item
            Invalid spec.f.b: Invalid value: 0: spec.f.b in body should be greater than or equal to 1
        "#]],
    );
}

#[test]
fn combinations() {
    let properties = json!({ "a": { "type": "string" }, "b": { "type": "integer" } });
    check(
        &json!({ "type": "object", "properties": properties, "anyOf": [
            { "required": ["a"] }, { "required": ["b"], "properties": { "b": { "minimum": 5 } } },
        ] }),
        &[json!({ "a": "x" }), json!({ "b": 5 }), json!({ "b": 4 })],
        &expect![[r#"
            Invalid <nil>: Invalid value: "": "spec.f" must validate at least one schema (anyOf)
            Invalid spec.f.b: Invalid value: 4: spec.f.b in body should be greater than or equal to 5
        "#]],
    );
    check(
        &json!({ "type": "object", "properties": properties, "oneOf": [
            { "required": ["a"] }, { "required": ["b"] },
        ] }),
        &[json!({ "a": "x" }), json!({}), json!({ "a": "x", "b": 1 })],
        &expect![[r#"
            Invalid <nil>: Invalid value: "": "spec.f" must validate one and only one schema (oneOf). Found none valid
            Required spec.f.a: Required value
            Invalid <nil>: Invalid value: "": "spec.f" must validate one and only one schema (oneOf). Found 2 valid alternatives
        "#]],
    );
    check(
        &json!({ "type": "object", "properties": properties, "allOf": [
            { "required": ["a"] }, { "required": ["b"] },
        ], "not": { "properties": { "b": { "minimum": 5 } }, "required": ["b"] } }),
        &[
            json!({ "a": "x", "b": 1 }),
            json!({ "a": "x", "b": 5 }),
            json!({ "b": 1 }),
            json!({}),
        ],
        &expect![[r#"
            Invalid <nil>: Invalid value: "": "spec.f" must not validate the schema (not)
            Required spec.f.a: Required value
            Invalid <nil>: Invalid value: "": "spec.f" must validate all the schemas (allOf)
            Required spec.f.a: Required value
            Required spec.f.b: Required value
            Invalid <nil>: Invalid value: "": "spec.f" must validate all the schemas (allOf). None validated
        "#]],
    );
}

#[test]
fn embedded_objects() {
    check(
        &json!({
            "type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true,
        }),
        &[
            json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" } }),
            json!({ "kind": "" }),
            json!({ "apiVersion": "a/b/c", "kind": "Pod", "metadata": { "name": "a/b" } }),
        ],
        &expect![[r#"
            Required spec.f.apiVersion: Required value
            Invalid spec.f.kind: Invalid value: "": must not be empty
            Invalid spec.f.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c
            Invalid spec.f.metadata.name: Invalid value: "a/b": may not contain '/'
        "#]],
    );
}

#[test]
fn rules_tell_their_message_reason_and_field() {
    let rule = |text: &str, more: Value| {
        let mut rule = json!({ "rule": format!("self != '{text}'") });
        for (key, value) in more.as_object().unwrap() {
            rule[key] = value.clone();
        }
        rule
    };
    check(
        &json!({ "type": "string", "x-kubernetes-validations": [
            rule("plain", json!({})),
            rule("message", json!({ "message": " a message " })),
            rule("forbidden", json!({ "message": "no", "reason": "FieldValueForbidden" })),
            rule("required", json!({ "message": "no", "reason": "FieldValueRequired" })),
            rule("duplicate", json!({ "message": "no", "reason": "FieldValueDuplicate" })),
            rule("computed", json!({ "messageExpression": "'not ' + self + ' '" })),
            rule("lines", json!({ "messageExpression": "'a\\nb'" })),
        ] }),
        &[
            "plain",
            "message",
            "forbidden",
            "required",
            "duplicate",
            "computed",
            "lines",
            "fine",
        ]
        .map(Value::from),
        &expect![[r#"
            Invalid spec.f: Invalid value: "plain": failed rule: self != 'plain'
            Invalid spec.f: Invalid value: "message": a message
            Forbidden spec.f: Forbidden: no
            Required spec.f: Required value: no
            Duplicate spec.f: Duplicate value: "duplicate"
            Invalid spec.f: Invalid value: "computed": not computed
            Invalid spec.f: Invalid value: "lines": failed rule: self != 'lines'
        "#]],
    );
    check(
        &json!({
            "type": "object",
            "properties": {
                "g": { "type": "object", "properties": { "h.i": { "type": "string" } } },
                "m": { "type": "object", "additionalProperties": {
                    "type": "integer", "x-kubernetes-validations": [{ "rule": "self < 10" }],
                } },
            },
            "x-kubernetes-validations": [
                { "rule": "!has(self.g)", "fieldPath": ".g['h.i']", "message": "named" },
                { "rule": "self.m.k < 0", "fieldPath": ".m.k", "message": "of a map" },
            ],
        }),
        &[
            json!({ "g": {}, "m": { "x": 10, "k": 0 } }),
            json!({ "m": {} }),
        ],
        &expect![[r#"
            Invalid spec.f.g.h.i: Invalid value: named
            Invalid spec.f.m[k]: Invalid value: of a map
            Invalid spec.f.m[x]: Invalid value: 10: failed rule: self < 10
            Invalid spec.f: Invalid value: "object": no such key: k evaluating rule: of a map
        "#]],
    );
}

#[test]
fn rules_wait_for_the_shape() {
    check(
        &json!({
            "type": "object", "required": ["a"],
            "x-kubernetes-validations": [{ "rule": "self.a == 'x'" }],
            "properties": { "a": { "type": "string" }, "b": { "type": "integer", "minimum": 1 } },
        }),
        &[json!({ "b": 1 }), json!({ "a": "y", "b": 0 })],
        &expect![[r#"
            Required spec.f.a: Required value
            Invalid <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation
            Invalid spec.f.b: Invalid value: 0: spec.f.b in body should be greater than or equal to 1
            Invalid spec.f: Invalid value: failed rule: self.a == 'x'
        "#]],
    );
}

#[test]
fn rules_of_the_whole_object_see_its_type_and_name() {
    let schema = Schema::compile(&json!({
        "type": "object",
        "x-kubernetes-validations": [
            { "rule": "self.metadata.name != 'x' && self.kind == 'K' && self.apiVersion == 'g/v1'" },
        ],
    }))
    .unwrap();
    let object = |name: &str| {
        json!({
            "apiVersion": "g/v1", "kind": "K",
            "metadata": { "name": name, "labels": { "a": "b" } },
        })
    };
    assert!(schema.validate(&object("a"), None).is_empty());
    let causes = schema.validate(&object("x"), None);
    assert_eq!(causes.len(), 1);
    assert_eq!(causes[0].field, "<nil>");
}

#[test]
fn rules_compare_with_the_old_value_where_there_is_one() {
    let growing = json!({
        "type": "integer",
        "x-kubernetes-validations": [{ "rule": "self >= oldSelf", "message": "only up" }],
    });
    let only_up = expect![[r#"
        Invalid spec.f: Invalid value: 1: only up
    "#]];
    check(&growing, &[json!(1)], &expect![""]);
    check_update(&growing, &json!(2), &json!(1), &only_up);
    check_update(&growing, &json!(2), &json!(3), &expect![""]);
    let map = json!({ "type": "object", "additionalProperties": growing });
    check_update(
        &map,
        &json!({ "a": 2, "b": 2 }),
        &json!({ "a": 1, "c": 1 }),
        &expect![[r#"
            Invalid spec.f[a]: Invalid value: 1: only up
        "#]],
    );
    let list = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
        "items": { "type": "object", "properties": { "k": { "type": "string" }, "v": growing } },
    });
    check_update(
        &list,
        &json!([{ "k": "a", "v": 2 }, { "k": "b", "v": 2 }]),
        &json!([{ "k": "b", "v": 3 }, { "k": "c", "v": 0 }, { "k": "a", "v": 1 }]),
        &expect![[r#"
            Invalid spec.f[2].v: Invalid value: 1: only up
        "#]],
    );
    let optional = json!({ "type": "integer", "x-kubernetes-validations": [{
        "rule": "oldSelf.hasValue() ? self > oldSelf.value() : self == 1",
        "optionalOldSelf": true, "message": "count up from 1",
    }] });
    check(
        &optional,
        &[json!(1), json!(2)],
        &expect![[r#"
            Invalid spec.f: Invalid value: 2: count up from 1
        "#]],
    );
    check_update(&optional, &json!(1), &json!(2), &expect![""]);
}

#[test]
fn what_did_not_change_may_stay_invalid() {
    let schema = json!({
        "type": "object",
        "properties": {
            "a": { "type": "integer", "maximum": 5 },
            "b": { "type": "string", "x-kubernetes-validations": [{ "rule": "self != 'no'" }] },
            "l": {
                "type": "array", "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
                "items": { "type": "object", "properties": {
                    "k": { "type": "string" }, "v": { "type": "integer", "maximum": 5 },
                } },
            },
            "atomic": { "type": "array", "items": { "type": "integer", "maximum": 5 } },
        },
    });
    let old = json!({
        "a": 9, "b": "no", "l": [{ "k": "x", "v": 9 }, { "k": "y", "v": 9 }], "atomic": [9, 1],
    });
    check_update(&schema, &old, &old, &expect![""]);
    let mut new = old.clone();
    new["l"] = json!([{ "k": "y", "v": 9 }, { "k": "x", "v": 8 }]);
    check_update(
        &schema,
        &old,
        &new,
        &expect![[r#"
            Invalid spec.f.l[1].v: Invalid value: 8: spec.f.l[1].v in body should be less than or equal to 5
        "#]],
    );
    let mut new = old.clone();
    new["atomic"] = json!([9, 2]);
    check_update(
        &schema,
        &old,
        &new,
        &expect![[r#"
            Invalid spec.f.atomic[0]: Invalid value: 9: spec.f.atomic[0] in body should be less than or equal to 5
        "#]],
    );
}

#[test]
fn the_status_is_checked_alone() {
    let schema = Schema::compile(&json!({
        "type": "object",
        "properties": {
            "spec": { "type": "object", "required": ["missing"] },
            "status": { "type": "object", "required": ["b"], "properties": {
                "a": { "type": "integer", "maximum": 5 }, "b": { "type": "integer" },
            } },
        },
    }))
    .unwrap();
    let object = |status: Value| json!({ "spec": {}, "status": status });
    let causes = schema.validate_status(&object(json!({ "a": 9 })), &object(json!({ "a": 1 })));
    expect![[r#"
        Invalid status.a: Invalid value: 9: a in body should be less than or equal to 5
        Required status.b: Required value
    "#]]
    .assert_eq(&lines(&causes));
}

#[test]
fn unknown_fields_and_idle_nulls_are_pruned() {
    let schema = Schema::compile(&with_field(&json!({
        "type": "object",
        "properties": {
            "known": { "type": "string" },
            "nullable": { "type": "string", "nullable": true },
            "filled": { "type": "string", "default": "x" },
            "keep": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                "properties": { "k": { "type": "object", "properties": {
                    "x": { "type": "string" },
                } } },
            },
            "list": { "type": "array", "items": { "type": "object", "properties": {
                "a": { "type": "string" },
            } } },
        },
    })))
    .unwrap();
    let mut object = json!({
        "apiVersion": "g/v1", "kind": "K", "metadata": { "anything": 1 }, "other": 1,
        "spec": { "f": {
            "known": null, "nullable": null, "filled": null, "unknown": { "x": 1 },
            "keep": { "u": { "v": 1 }, "k": { "x": "a", "y": 1 } },
            "list": [{ "a": "a" }, { "b": 1 }],
        } },
    });
    let unknown = schema.prune(&mut object);
    assert_eq!(
        unknown,
        [
            "other",
            "spec.f.keep.k.y",
            "spec.f.list[1].b",
            "spec.f.unknown"
        ]
    );
    schema.default(&mut object);
    assert_eq!(
        object,
        json!({
            "apiVersion": "g/v1", "kind": "K", "metadata": { "anything": 1 },
            "spec": { "f": {
                "nullable": null, "filled": "x",
                "keep": { "u": { "v": 1 }, "k": { "x": "a" } },
                "list": [{ "a": "a" }, {}],
            } },
        })
    );
}

#[test]
fn defaults_reach_into_defaults() {
    let schema = Schema::compile(&json!({
        "type": "object",
        "properties": {
            "o": {
                "type": "object", "default": { "p": 2, "unknown": 3 },
                "properties": {
                    "p": { "type": "integer", "default": 1 },
                    "q": { "type": "object", "default": {}, "properties": {
                        "r": { "type": "string", "default": "deep" },
                    } },
                },
            },
            "m": { "type": "object", "additionalProperties": { "type": "object", "properties": {
                "n": { "type": "integer", "default": 9 },
            } } },
            "l": { "type": "array", "items": { "type": "string", "default": "filled" } },
        },
    }))
    .unwrap();
    let filled = |mut object: Value| {
        schema.default(&mut object);
        object
    };
    assert_eq!(
        filled(json!({})),
        json!({ "o": { "p": 2, "q": { "r": "deep" } } })
    );
    assert_eq!(
        filled(json!({ "o": { "q": { "r": "set" } }, "m": { "a": {} }, "l": [null, "x"] })),
        json!({
            "o": { "p": 1, "q": { "r": "set" } }, "m": { "a": { "n": 9 } },
            "l": ["filled", "x"],
        })
    );
}

#[test]
fn defaults_that_their_schema_refuses_are_named() {
    let faults = |field: Value| -> Vec<String> {
        Schema::check_defaults(&with_field(&field), "schema")
            .unwrap()
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    };
    let place = "schema.properties[spec].properties[f]";
    assert_eq!(
        faults(json!({ "type": "integer", "default": "big" })),
        [format!(
            "{place}.default: Invalid value: \"string\":  in body must be of type integer: \"string\""
        )]
    );
    assert_eq!(
        faults(json!({
            "type": "array",
            "items": {
                "type": "object", "properties": { "a": { "type": "integer" } },
                "default": { "a": 1, "b": 2 },
            },
        })),
        [format!(
            "{place}.items.default: Invalid value: {{\"a\":1,\"b\":2}}: must not have unknown fields"
        )]
    );
    let ruled = |count: i64| {
        json!({
            "type": "object", "properties": { "a": { "type": "integer" } },
            "default": { "a": count },
            "x-kubernetes-validations": [
                { "rule": "self.a > 1", "message": "is small", "fieldPath": ".a" },
            ],
        })
    };
    assert_eq!(faults(ruled(2)), [""; 0]);
    assert_eq!(
        faults(ruled(1)),
        [format!("{place}.default.a: Invalid value: is small")]
    );
}

#[test]
fn a_schema_that_cannot_be_compiled_names_the_place() {
    let error = |field: Value| Schema::compile(&with_field(&field)).unwrap_err();
    assert_eq!(
        error(json!({ "type": "text" })),
        "openAPIV3Schema.properties[spec].properties[f].type: unknown type text"
    );
    let rule = |rule: &str| {
        json!({
            "type": "object", "properties": { "a": { "type": "integer" } },
            "x-kubernetes-validations": [{ "rule": rule }],
        })
    };
    let place = "openAPIV3Schema.properties[spec].properties[f].x-kubernetes-validations[0]";
    for (text, words) in [
        (
            "this.a == 1",
            "compilation failed: ERROR: <input>:1:1: undeclared reference to 'this' (in container \
             '')\n | this.a == 1\n | ^",
        ),
        (
            "self.a == 1 && isGood(self)",
            "compilation failed: ERROR: <input>:1:22: undeclared reference to 'isGood' (in \
             container '')\n | self.a == 1 && isGood(self)\n | .....................^",
        ),
        (
            "has(self.b)",
            "compilation failed: ERROR: <input>:1:4: undefined field 'b'\n | has(self.b)\n | ...^",
        ),
        (
            "self.a == 'x' && self.a.b",
            "compilation failed: ERROR: <input>:1:8: found no matching overload for '_==_' applied \
             to '(int, string)'\n | self.a == 'x' && self.a.b\n | .......^\nERROR: \
             <input>:1:24: type 'int' does not support field selection\n | self.a == 'x' && \
             self.a.b\n | .......................^",
        ),
        ("self.a", "cel expression must evaluate to a bool"),
    ] {
        assert_eq!(error(rule(text)), format!("{place}.rule: {words}"));
    }
    assert!(error(rule("self ==")).starts_with(&format!(
        "{place}.rule: compilation failed: ERROR: <input>:1:8: Syntax error: mismatched input"
    )));
    assert_eq!(
        error(json!({
            "type": "object", "properties": {},
            "x-kubernetes-validations": [{ "rule": "true", "fieldPath": ".gone" }],
        })),
        format!("{place}.fieldPath: does not refer to a valid field")
    );
}
