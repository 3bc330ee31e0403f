//! Tables of who owns what: shapes, sets of fields, and the words of conflicts.

use serde_json::{Value, json};

use super::{API_VERSION, custom, entries, plain, writer};
use crate::merge::Shape;
use crate::merge::fields::{self, Fields};
use crate::merge::managed::{apply, is_owned, keep_times, record_update};
use crate::merge::typed;

fn set(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}

/// Fields that the creator of a built-in object owns.
fn owned(group: &str, kind: &str, mut object: Value) -> Value {
    object["kind"] = kind.into();
    let shape = Shape::builtin(group, kind);
    record_update(None, &mut object, &writer("creator", "v1", 0), &shape);
    object["metadata"]["managedFields"][0]["fieldsV1"].take()
}

#[test]
fn built_in_kinds_own_by_their_keys() {
    let metadata = json!({
        "name": "n",
        "labels": { "l": "1" },
        "finalizers": ["f"],
        "ownerReferences": [{ "uid": "u", "kind": "K", "name": "k", "apiVersion": "v1" }],
    });
    assert_eq!(
        owned(
            "",
            "ConfigMap",
            json!({ "metadata": metadata, "data": { "a": "1" } })
        ),
        json!({
            "f:metadata": {
                "f:labels": { ".": {}, "f:l": {} },
                "f:finalizers": { ".": {}, "v:\"f\"": {} },
                "f:ownerReferences": { ".": {}, "k:{\"uid\":\"u\"}": {} },
            },
            "f:data": { ".": {}, "f:a": {} },
        })
    );
    assert_eq!(
        owned(
            "",
            "Service",
            json!({ "metadata": {}, "spec": {
            "selector": { "a": "b" },
            "ports": [{ "port": 80, "protocol": "UDP" }, { "port": 443 }],
        } })
        ),
        json!({ "f:spec": {
            "f:selector": {},
            "f:ports": {
                ".": {},
                "k:{\"port\":80,\"protocol\":\"UDP\"}": { ".": {}, "f:port": {}, "f:protocol": {} },
                "k:{\"port\":443,\"protocol\":\"TCP\"}": { ".": {}, "f:port": {} },
            },
        } })
    );
    assert_eq!(
        owned(
            "rbac.authorization.k8s.io",
            "Role",
            json!({ "metadata": {}, "rules": [{ "verbs": ["get"] }] })
        ),
        json!({ "f:rules": {} })
    );
    assert_eq!(
        owned(
            "events.k8s.io",
            "Event",
            json!({ "metadata": {}, "regarding": { "name": "x" }, "series": { "count": 2 } })
        ),
        json!({ "f:regarding": {}, "f:series": { ".": {}, "f:count": {} } })
    );
}

#[test]
fn every_built_in_kind_of_the_table_is_found() {
    for (group, kind, field) in [
        ("", "Namespace", "spec"),
        ("", "Pod", "spec"),
        ("", "Node", "spec"),
        ("", "Endpoints", "subsets"),
        ("", "ServiceAccount", "secrets"),
        ("", "Secret", "data"),
        ("", "Event", "reason"),
        ("coordination.k8s.io", "Lease", "spec"),
        ("discovery.k8s.io", "EndpointSlice", "endpoints"),
        ("policy", "PodDisruptionBudget", "spec"),
        ("autoscaling", "HorizontalPodAutoscaler", "spec"),
        ("autoscaling", "Scale", "spec"),
        ("scheduling.k8s.io", "PriorityClass", "value"),
        ("apiextensions.k8s.io", "CustomResourceDefinition", "spec"),
        (
            "rbac.authorization.k8s.io",
            "ClusterRole",
            "aggregationRule",
        ),
        ("rbac.authorization.k8s.io", "RoleBinding", "subjects"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding", "roleRef"),
    ] {
        let shape = Shape::builtin(group, kind);
        let view = shape.view();
        let map = view.atom().map.as_ref().unwrap();
        assert!(shape.built_in, "{kind}");
        assert!(map.fields.contains_key("metadata"), "{kind}");
        assert!(map.fields.contains_key(field), "{kind}.{field}");
        assert!(map.rest.is_none(), "{kind}");
    }
    assert!(!Shape::builtin("", "Nothing").built_in);
}

#[test]
fn every_type_that_the_table_names_is_in_it() {
    // A type without fields comes from a name that is not there; these have none.
    let empty = ["CustomResourceSubresourceStatus", ""];
    let pod = Shape::builtin("", "Pod");
    for atom in &pod.arena.atoms {
        if let Some(map) = atom.map.as_ref().filter(|map| map.rest.is_none()) {
            assert!(
                !map.fields.is_empty() || empty.contains(&map.name.as_str()),
                "{} has no fields",
                map.name
            );
        }
    }
}

#[test]
fn sets_of_fields_add_and_subtract() {
    let a_and_below = set(json!({ "f:a": { ".": {}, "f:b": {} } }));
    let mut fields = a_and_below.clone();
    fields::subtract(&mut fields, &set(json!({ "f:a": {} })));
    assert_eq!(fields, set(json!({ "f:a": { "f:b": {} } })));
    fields::union(&mut fields, set(json!({ "f:a": {}, "f:c": {} })));
    assert_eq!(
        fields,
        set(json!({ "f:a": { ".": {}, "f:b": {} }, "f:c": {} }))
    );
    fields::subtract(&mut fields, &set(json!({ "f:a": { "f:b": {} } })));
    assert_eq!(fields, set(json!({ "f:a": {}, "f:c": {} })));
    fields::subtract(
        &mut fields,
        &set(json!({ "f:a": {}, "f:c": { "f:d": {} } })),
    );
    assert_eq!(fields, set(json!({ "f:c": {} })));
    assert_eq!(
        fields::intersection(
            &a_and_below,
            &set(json!({ "f:a": { "f:b": {}, "f:x": {} } }))
        ),
        set(json!({ "f:a": { "f:b": {} } }))
    );
    let mut fields = set(json!({ "f:s": { "f:x": {} }, "f:m": { ".": {}, "f:x": { "f:y": {} } } }));
    fields::remove_below(&mut fields, &["m", "x"]);
    fields::remove_below(&mut fields, &["s", "x"]);
    assert_eq!(fields, set(json!({ "f:m": {} })));
}

#[test]
fn sets_that_clients_send_take_one_form() {
    let sent = json!({
        "f:a": { ".": {} },
        "k:{ \"b\" : 2, \"a\":\"<\" }": { "f:x": {} },
        "q:future": {},
    });
    assert_eq!(
        fields::normalize(&set(sent)),
        Some(set(
            json!({ "f:a": {}, "k:{\"a\":\"\\u003c\",\"b\":2}": { "f:x": {} } })
        ))
    );
    for broken in [
        json!({ "a": {} }),
        json!({ "v:{": {} }),
        json!({ "f:a": 1 }),
        json!({ "i:x": {} }),
    ] {
        assert_eq!(fields::normalize(&set(broken.clone())), None, "{broken}");
    }
}

#[test]
fn paths_are_shown_as_the_api_server_shows_them() {
    let fields = set(json!({
        "f:spec": {
            "f:ports": {
                "k:{\"port\":443}": { "f:name": {} },
                "k:{\"port\":80}": {},
                "k:{\"port\":9}": { ".": {}, "f:note": {} },
            },
            "f:set": { "v:\"a\\\"b\"": {}, "v:10": {}, "v:9": {}, "v:true": {} },
            "f:list": { "i:3": {} },
            "f:z": {},
        },
    }));
    let shown: Vec<String> = fields::paths(&fields)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        shown,
        [
            ".spec.z",
            ".spec.list[3]",
            ".spec.ports[port=9]",
            ".spec.ports[port=80]",
            ".spec.ports[port=9].note",
            ".spec.ports[port=443].name",
            ".spec.set[=9]",
            ".spec.set[=10]",
            ".spec.set[=\"a\\\"b\"]",
            ".spec.set[=true]",
        ]
    );
}

#[test]
fn a_configuration_that_does_not_fit_is_explained() {
    let shape = custom();
    let check = |spec: Value, expected: &str| {
        let problem = typed::validate(shape.view(), &json!({ "spec": spec })).unwrap_err();
        assert_eq!(problem.to_string(), expected);
    };
    check(
        json!({ "replicas": "x" }),
        ".spec.replicas: expected numeric (int or float), got string",
    );
    check(
        json!({ "flag": { "a": 1 } }),
        ".spec.flag: expected boolean, got &{map[a:1]}",
    );
    check(
        json!({ "name": [1, "x", null] }),
        ".spec.name: expected string, got &value.valueUnstructured{Value:[]interface {}{1, \"x\", interface {}(nil)}}",
    );
    check(json!({ "set": "x" }), ".spec.set: expected list, got &{x}");
    check(
        json!({ "struct": ["x", "y"] }),
        ".spec.struct: expected map, got &{[x y]}",
    );
    check(
        json!({ "unknown": 1 }),
        ".spec.unknown: field not declared in schema",
    );
    check(
        json!({ "atoms": ["x", 1] }),
        ".spec.atoms[1]: expected string, got &value.valueUnstructured{Value:1}",
    );
    check(
        json!({ "set": ["a", "a"], "replicas": "x" }),
        "errors:\n  .spec.replicas: expected numeric (int or float), got string\n  .spec.set: duplicate entries for key [=\"a\"]",
    );
    check(
        json!({ "ports": [{ "port": 1 }, {}] }),
        ".spec.ports: element 1: associative list with keys has an element that omits all key fields [\"port\"] (and doesn't have default values for any key fields)",
    );
    check(
        json!({ "maps": [{ "name": "a" }, { "name": "a", "protocol": "TCP" }] }),
        ".spec.maps: duplicate entries for key [name=\"a\",protocol=\"TCP\"]",
    );
}

#[test]
fn objects_that_do_not_fit_lose_their_owners() {
    let mut object = json!({
        "apiVersion": API_VERSION,
        "kind": "Shape",
        "metadata": { "name": "x", "managedFields": [] },
        "spec": { "set": [{ "not": "plain" }] },
    });
    record_update(None, &mut object, &writer("m", API_VERSION, 0), &custom());
    assert_eq!(object["metadata"], json!({ "name": "x" }));
}

#[test]
fn without_a_status_subresource_status_is_owned_like_the_rest() {
    let mut object = json!({
        "apiVersion": API_VERSION, "kind": "Plain", "metadata": { "name": "x" }, "status": { "a": 1 },
    });
    let mut other = object.clone();
    record_update(None, &mut object, &writer("m", API_VERSION, 0), &plain());
    assert_eq!(
        entries(&object)[0]["fieldsV1"],
        json!({ "f:status": { ".": {}, "f:a": {} } })
    );
    // With one, nobody owns what the write cannot change.
    record_update(None, &mut other, &writer("m", API_VERSION, 0), &custom());
    assert_eq!(entries(&other), &[] as &[Value]);
}

#[test]
fn an_apply_that_defaults_undo_keeps_its_time() {
    let shape = custom();
    let applied = |default: &str| {
        json!({
            "apiVersion": API_VERSION, "kind": "Shape", "metadata": { "name": "x" },
            "spec": { "name": default },
        })
    };
    let live = apply(
        None,
        &applied("a"),
        &writer("m", API_VERSION, 1),
        false,
        &shape,
    )
    .unwrap();
    let mut next = apply(
        Some(&live),
        &applied("b"),
        &writer("m", API_VERSION, 2),
        false,
        &shape,
    )
    .unwrap();
    assert_eq!(entries(&next)[0]["time"], "2026-01-01T00:00:02Z");
    let mut undone = next.clone();
    undone["spec"]["name"] = "a".into();
    keep_times(&live, &mut undone);
    assert_eq!(undone, live);
    keep_times(&live, &mut next);
    assert_eq!(entries(&next)[0]["time"], "2026-01-01T00:00:02Z");
}

#[test]
fn owners_of_parts_own_the_whole_once_it_is_one_unit() {
    let mut fields = set(json!({ "f:spec": {
        "f:whole": { "f:a": {} },
        "f:atoms": { ".": {}, "v:\"x\"": {} },
        "f:open": { "f:p": { "f:q": {} } },
        "f:maps": { "k:{\"name\":\"a\",\"protocol\":\"TCP\"}": { "f:nested": { "f:a": {} } } },
    } }));
    typed::settle(custom().view(), &mut fields);
    assert_eq!(
        fields,
        set(json!({ "f:spec": {
            "f:whole": {},
            "f:atoms": {},
            "f:open": { "f:p": { "f:q": {} } },
            "f:maps": { "k:{\"name\":\"a\",\"protocol\":\"TCP\"}": { "f:nested": { "f:a": {} } } },
        } }))
    );
}

#[test]
fn a_field_is_owned_by_whoever_set_it_and_else_by_nobody() {
    let mut new = json!({
        "apiVersion": API_VERSION, "kind": "Shape", "metadata": { "name": "x", "uid": "u" }, "spec": { "replicas": 1 },
    });
    assert!(!is_owned(&new, &["spec", "replicas"]));
    record_update(
        None,
        &mut new,
        &writer("creator", API_VERSION, 0),
        &custom(),
    );
    assert!(is_owned(&new, &["spec", "replicas"]));
    assert!(!is_owned(&new, &["spec", "whole"]));
}

#[test]
fn scales_have_no_time() {
    let shape = custom();
    let mut live = json!({
        "apiVersion": API_VERSION, "kind": "Shape", "metadata": { "name": "x", "uid": "u" }, "spec": { "replicas": 1 },
    });
    record_update(None, &mut live, &writer("creator", API_VERSION, 0), &shape);
    let mut new = live.clone();
    new["spec"]["replicas"] = 2.into();
    let mut scaler = writer("scaler", API_VERSION, 1);
    scaler.subresource = Some("scale".to_owned());
    record_update(Some(&live), &mut new, &scaler, &shape);
    assert_eq!(
        entries(&new)[0],
        json!({
            "manager": "scaler", "operation": "Update", "subresource": "scale",
            "apiVersion": API_VERSION, "fieldsType": "FieldsV1",
            "fieldsV1": { "f:spec": { "f:replicas": {} } },
        })
    );
}
