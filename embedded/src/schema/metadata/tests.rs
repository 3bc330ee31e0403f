//! The sentences in these tests are those of a real API server.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::{read, validate_create, validate_update, warnings};
use crate::kinds::Kind;
use crate::status::Cause;

fn kind(group: &str, name: &str) -> Kind {
    Kind {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: name.to_owned(),
        list_kind: format!("{name}List"),
        plural: String::new(),
        singular: String::new(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: name != "Namespace",
        verbs: Vec::new(),
        has_status: false,
        scale: None,
        selectable_fields: Vec::new(),
        printer_columns: Vec::new(),
        schema: (group == "muster.dev").then(|| json!({}).into()),
    }
}

fn fleet() -> Kind {
    kind("muster.dev", "Fleet")
}

fn lines(causes: &[Cause]) -> String {
    let lines: Vec<String> = causes
        .iter()
        .map(|cause| format!("{}: {}\n", cause.field, cause.message))
        .collect();
    lines.concat()
}

fn object(meta: Value) -> Value {
    let mut object = json!({ "metadata": { "name": "a", "namespace": "default" } });
    let Value::Object(fields) = meta else {
        panic!("not an object: {meta}");
    };
    for (key, value) in fields {
        object["metadata"][key] = value;
    }
    object
}

fn check(kind: &Kind, meta: Value, expected: &Expect) {
    expected.assert_eq(&lines(&validate_create(kind, &object(meta))));
}

#[test]
fn names() {
    check(&fleet(), json!({}), &expect![""]);
    check(
        &fleet(),
        json!({ "name": "A_b", "generateName": "x-" }),
        &expect![[r#"
            metadata.name: Invalid value: "A_b": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
        "#]],
    );
    check(
        &fleet(),
        json!({ "name": "", "namespace": "" }),
        &expect![[r#"
            metadata.name: Required value: name or generateName is required
            metadata.namespace: Required value
        "#]],
    );
    check(
        &kind("", "Namespace"),
        json!({ "name": "a.b" }),
        &expect![[r#"
            metadata.name: Invalid value: "a.b": must not contain dots
            metadata.namespace: Forbidden: not allowed on this type
        "#]],
    );
    check(
        &kind("", "Service"),
        json!({ "name": "1a" }),
        &expect![[r#"
            metadata.name: Invalid value: "1a": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')
        "#]],
    );
    check(
        &kind("rbac.authorization.k8s.io", "Role"),
        json!({ "name": "a:B" }),
        &expect![""],
    );
}

#[test]
fn labels_annotations_and_finalizers() {
    check(
        &fleet(),
        json!({
            "labels": { "a": "-" },
            "annotations": { "A/b": "", "big": "x".repeat(256 * 1024) },
            "finalizers": ["orphan", "foregroundDeletion", "plain"],
        }),
        &expect![[r#"
            metadata.labels: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
            metadata.annotations: Too long: may not be more than 262144 bytes
            metadata.finalizers: Invalid value: ["orphan","foregroundDeletion","plain"]: finalizer orphan and foregroundDeletion cannot be both set
        "#]],
    );
    check(
        &kind("", "Pod"),
        json!({ "finalizers": ["plain", "a.example/b"] }),
        &expect![[r#"
            metadata.finalizers[0]: Invalid value: "plain": name is neither a standard finalizer name nor is it fully qualified
        "#]],
    );
    let new = object(json!({ "finalizers": ["plain", "a.b", "a.example/b", "old"] }));
    let old = object(json!({ "finalizers": ["old"] }));
    assert_eq!(
        warnings(&fleet(), &new, Some(&old)),
        [
            "metadata.finalizers: \"a.b\": prefer a domain-qualified finalizer name including a \
             path (/) to avoid accidental conflicts with other finalizer writers",
            "metadata.finalizers: \"plain\": prefer a domain-qualified finalizer name to avoid \
             accidental conflicts with other finalizer writers",
        ]
    );
}

#[test]
fn owners() {
    check(
        &fleet(),
        json!({ "ownerReferences": [
            { "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true },
            {
                "apiVersion": "a/v1", "kind": "K", "name": "n", "uid": "u", "controller": true,
                "blockOwnerDeletion": false,
            },
            { "apiVersion": "a/b/c", "kind": "", "name": "", "uid": "" },
            { "apiVersion": "v1", "kind": "Event", "name": "e", "uid": "u" },
        ] }),
        &expect![[r#"
            metadata.ownerReferences: Invalid value: [{"apiVersion":"v1","kind":"Pod","name":"p","uid":"u","controller":true},{"apiVersion":"a/v1","kind":"K","name":"n","uid":"u","controller":true,"blockOwnerDeletion":false},{"apiVersion":"a/b/c","kind":"","name":"","uid":""},{"apiVersion":"v1","kind":"Event","name":"e","uid":"u"}]: Only one reference can have Controller set to true. Found "true" in references for Pod/p and K/n
            metadata.ownerReferences.apiVersion: Invalid value: "a/b/c": version must not be empty
            metadata.ownerReferences.kind: Invalid value: "": must not be empty
            metadata.ownerReferences.name: Invalid value: "": must not be empty
            metadata.ownerReferences.uid: Invalid value: "": must not be empty
            metadata.ownerReferences: Invalid value: {"apiVersion":"v1","kind":"Event","name":"e","uid":"u"}: /v1, Kind=Event is disallowed from being an owner
        "#]],
    );
}

#[test]
fn updates_keep_identity() {
    let old =
        object(json!({ "uid": "u", "generation": 2, "deletionTimestamp": "2026-01-01T00:00:00Z" }));
    let new = object(json!({
        "uid": "v", "generation": 1, "deletionTimestamp": "2026-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": 5, "finalizers": ["b.example/x", "a.example/x"],
    }));
    let causes = validate_update(&fleet(), &new, &old);
    let (first, second) = causes.split_at(causes.len() / 2);
    // The API server checks twice.
    assert_eq!(first, second);
    expect![[r#"
        metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"a.example/x", "b.example/x"}
        metadata.generation: Invalid value: 1: must not be decremented
        metadata.uid: Invalid value: "v": field is immutable
        metadata.deletionGracePeriodSeconds: Invalid value: 5: field is immutable
    "#]]
    .assert_eq(&lines(first));
    assert!(validate_update(&fleet(), &old, &old).is_empty());
}

#[test]
fn metadata_is_read_by_its_fields() {
    let mut object = object(json!({
        "unknown": 1, "labels": { "a": null }, "annotations": {}, "finalizers": [],
        "generation": 0, "creationTimestamp": null,
        "deletionTimestamp": "2026-01-01T01:00:00.5+01:00",
        "ownerReferences": [{ "kind": "K", "other": 1, "controller": null }],
    }));
    let unknown = read(&mut object).unwrap();
    assert_eq!(
        unknown,
        ["metadata.ownerReferences[0].other", "metadata.unknown"]
    );
    assert_eq!(
        object["metadata"],
        json!({
            "name": "a", "namespace": "default", "labels": { "a": "" },
            "deletionTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{ "apiVersion": "", "kind": "K", "name": "", "uid": "" }],
        })
    );
}

#[test]
fn metadata_of_the_wrong_type_cannot_be_read() {
    for (meta, place) in [
        (
            json!({ "labels": { "a": 1 } }),
            "number into Go struct field ObjectMeta.labels of type string",
        ),
        (
            json!({ "labels": [1] }),
            "array into Go struct field ObjectMeta.labels of type map[string]string",
        ),
        (
            json!({ "finalizers": "x" }),
            "string into Go struct field ObjectMeta.finalizers of type []string",
        ),
        (
            json!({ "generation": "x" }),
            "string into Go struct field ObjectMeta.generation of type int64",
        ),
        (
            json!({ "deletionGracePeriodSeconds": 0.5 }),
            "number 0.5 into Go struct field ObjectMeta.deletionGracePeriodSeconds of type int64",
        ),
        (
            json!({ "ownerReferences": [{ "uid": 5 }] }),
            "number into Go struct field OwnerReference.ownerReferences.uid of type types.UID",
        ),
    ] {
        let error = read(&mut object(meta)).unwrap_err();
        assert_eq!(error, format!("json: cannot unmarshal {place}"));
    }
    let error = read(&mut object(json!({ "creationTimestamp": "x" }))).unwrap_err();
    assert!(error.starts_with("parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\""));
}
