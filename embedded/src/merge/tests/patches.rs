//! Tables of patches: what comes out, and what is said about those that cannot be applied.

use serde_json::{Value, json};

use super::custom;
use crate::merge::{Shape, json_patch, merge_patch, strategic_patch};
use crate::status::Status;

/// The object after a patch, or code and message of the error.
fn shown(result: Result<(), Status>, object: Value) -> Value {
    match result {
        Ok(()) => object,
        Err(status) => json!([status.code, status.message]),
    }
}

const REJECTED: &str = "the server rejected our request due to an error in our request";

#[test]
fn json_patches_do_what_the_api_server_does() {
    let check = |operations: Value, expected: Value| {
        let mut object = json!({ "list": [1, 2], "map": { "a": "b", "x/y~z": 0 } });
        let result = json_patch(&mut object, &operations);
        assert_eq!(shown(result, object), expected, "{operations}");
    };
    let rejected = || json!([422, REJECTED]);
    // Replacing what is not there adds it.
    check(
        json!([{ "op": "replace", "path": "/map", "value": 1 }, { "op": "replace", "path": "/new", "value": 2 }]),
        json!({ "list": [1, 2], "map": 1, "new": 2 }),
    );
    check(
        json!([{ "op": "add", "path": "/list/-", "value": 3 }, { "op": "add", "path": "/list/0", "value": 0 }, { "op": "remove", "path": "/map" }]),
        json!({ "list": [0, 1, 2, 3] }),
    );
    // Negative indices count from the end.
    check(
        json!([{ "op": "remove", "path": "/list/-1" }, { "op": "move", "from": "/map/x~1y~0z", "path": "/zero" }]),
        json!({ "list": [1], "map": { "a": "b" }, "zero": 0 }),
    );
    // What is missing equals null.
    check(
        json!([{ "op": "test", "path": "/nope", "value": null }, { "op": "remove", "path": "/list" }, { "op": "copy", "from": "/map/a", "path": "/a" }]),
        json!({ "a": "b", "map": { "a": "b", "x/y~z": 0 } }),
    );
    for refused in [
        json!([{ "op": "test", "path": "/map/a", "value": "c" }]),
        json!([{ "op": "remove", "path": "/map/c" }]),
        json!([{ "op": "add", "path": "/list/9", "value": 1 }]),
        json!([{ "op": "replace", "path": "/list/2", "value": 1 }]),
        json!([{ "op": "add", "path": "/list/one", "value": 1 }]),
        json!([{ "op": "add", "path": "/none/one", "value": 1 }]),
        json!([{ "op": "add", "path": "/map/a/b", "value": 1 }]),
        json!([{ "op": "add", "path": "", "value": 1 }]),
        json!([{ "op": "frobnicate", "path": "/map" }]),
        json!([{ "op": "add" }]),
        json!([{}]),
    ] {
        check(refused, rejected());
    }
    check(
        json!({ "op": "add" }),
        json!([
            400,
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        ]),
    );
    check(
        json!([{ "op": 1 }]),
        json!([
            400,
            "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string"
        ]),
    );
    check(
        json!(vec![json!({ "op": "test", "path": "/map/none" }); 10_001]),
        json!([
            413,
            "Request entity is too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
        ]),
    );
}

#[test]
fn merge_patches_remove_with_null_and_replace_lists() {
    let check = |patch: Value, expected: Value| {
        let mut object = json!({ "a": { "b": 1, "c": [1] }, "d": "e" });
        let result = merge_patch(&mut object, &patch);
        assert_eq!(shown(result, object), expected, "{patch}");
    };
    check(
        json!({ "a": { "b": null, "c": [null, { "x": null }] }, "n": { "m": null } }),
        json!({ "a": { "c": [null, {}] }, "d": "e", "n": {} }),
    );
    check(
        json!({ "a": "now a text" }),
        json!({ "a": "now a text", "d": "e" }),
    );
    check(
        json!([]),
        json!([
            400,
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        ]),
    );
    check(Value::Null, json!([400, "Invalid JSON Patch"]));
}

fn service(ports: &[u16]) -> Value {
    let ports: Vec<Value> = ports.iter().map(|port| json!({ "port": port })).collect();
    json!({
        "metadata": { "finalizers": ["a", "b"], "labels": { "l": "1" } },
        "spec": { "ports": ports, "selector": { "s": "1" } },
    })
}

/// Ports of a service after a patch of its spec, or the error.
fn ports(before: &[u16], patch: &Value) -> Value {
    let mut object = service(before);
    let result = strategic_patch(
        &mut object,
        &json!({ "spec": patch }),
        &Shape::builtin("", "Service"),
    );
    let ports = object["spec"]["ports"].as_array();
    let ports = ports.into_iter().flatten().map(|port| port["port"].clone());
    shown(result, ports.collect())
}

#[test]
fn strategic_patches_merge_lists_by_key() {
    let check = |before: &[u16], patch: Value, expected: Value| {
        assert_eq!(ports(before, &patch), expected, "{patch}");
    };
    check(
        &[1, 2],
        json!({ "ports": [{ "port": 3 }, { "port": 1 }] }),
        json!([3, 1, 2]),
    );
    check(
        &[1, 2],
        json!({ "ports": [{ "port": 1, "$patch": "delete" }] }),
        json!([2]),
    );
    check(
        &[1, 2],
        json!({ "ports": [{ "port": 9 }, { "$patch": "replace" }] }),
        json!([9]),
    );
    check(&[1, 2], json!({ "ports": null }), json!([]));
    check(
        &[1, 2],
        json!({ "ports": [{ "name": "x" }] }),
        json!([
            500,
            "map: map[name:x] does not contain declared merge key: port"
        ]),
    );
    check(
        &[1],
        json!({ "ports": [{ "port": 1, "$patch": "frob" }] }),
        json!([
            500,
            "unknown patch type: frob in map: map[$patch:frob port:1]"
        ]),
    );
    check(
        &[1],
        json!({ "ports": ["x"] }),
        json!([
            500,
            "list element types are not identical: [[map[port:1]] [x]]"
        ]),
    );
}

#[test]
fn strategic_patches_bring_lists_into_the_order_given() {
    let ordered = |order: &[u16], ports: Value| {
        let order: Vec<Value> = order.iter().map(|port| json!({ "port": port })).collect();
        json!({ "$setElementOrder/ports": order, "ports": ports })
    };
    let check = |before: &[u16], patch: Value, expected: Value| {
        assert_eq!(ports(before, &patch), expected, "{patch}");
    };
    check(&[1, 2, 3], ordered(&[3, 1], json!([])), json!([2, 3, 1]));
    check(
        &[1, 2],
        ordered(&[3, 2, 1], json!([{ "port": 3 }])),
        json!([3, 2, 1]),
    );
    // Recorded: entries that come take the places of those that go in the order of the stored list.
    let delete = |port: u16| json!({ "port": port, "$patch": "delete" });
    check(
        &[2, 4],
        ordered(&[2, 5], json!([delete(2), { "port": 5 }])),
        json!([4, 5]),
    );
    check(
        &[1, 3],
        ordered(
            &[2, 4, 5, 3],
            json!([{ "port": 2 }, { "port": 4 }, delete(3)]),
        ),
        json!([1, 2, 4]),
    );
    check(
        &[1],
        ordered(&[1], json!([{ "port": 2 }])),
        json!([
            500,
            "The order in patch list:\n[map[port:2]]\n doesn't match $setElementOrder list:\n[map[port:1]]\n"
        ]),
    );
}

#[test]
fn strategic_patches_follow_their_directives() {
    let check = |patch: Value, expected: Value| {
        let mut object = service(&[]);
        let shape = Shape::builtin("", "Service");
        let result = strategic_patch(&mut object, &patch, &shape);
        assert_eq!(shown(result, object), expected, "{patch}");
    };
    let spec = json!({ "ports": [], "selector": { "s": "1" } });
    let with_metadata = |metadata: Value| json!({ "metadata": metadata, "spec": spec });
    check(
        json!({ "metadata": { "finalizers": ["c", "a"], "labels": { "$patch": "replace", "x": "y" } } }),
        with_metadata(json!({ "finalizers": ["c", "a", "b"], "labels": { "x": "y" } })),
    );
    check(
        json!({ "metadata": { "$deleteFromPrimitiveList/finalizers": ["a"], "labels": { "$patch": "delete" } } }),
        with_metadata(json!({ "finalizers": ["b"], "labels": {} })),
    );
    check(
        json!({ "metadata": { "$retainKeys": ["labels"], "labels": { "x": "y" } } }),
        with_metadata(json!({ "labels": { "l": "1", "x": "y" } })),
    );
    check(
        json!({ "metadata": { "$retainKeys": ["finalizers"], "labels": { "x": "y" } } }),
        json!([400, "invalid patch format of retainKeys"]),
    );
    check(
        json!({ "metadata": { "$setElementOrder/finalizers": "a" } }),
        json!([500, "expected a []interface {}, but received a string"]),
    );
    check(
        json!({ "metadata": { "$setElementOrder/nothing": ["a"], "nothing": ["a"] } }),
        json!([
            500,
            "unable to find api field in struct ObjectMeta for the json field \"nothing\""
        ]),
    );
    check(
        json!({ "$deleteFromPrimitiveList": ["a"] }),
        json!([400, "invalid patch format of primitive list"]),
    );
    check(
        json!({ "metadata": { "finalizers": [["x"]] } }),
        json!([500, "list element types are not identical: [[a b] [[x]]]"]),
    );
    // A new object has no directives any more.
    check(
        json!({ "status": { "loadBalancer": { "$patch": "replace" }, "gone": null, "ingress": [{ "x": null }] } }),
        json!({
            "metadata": service(&[])["metadata"],
            "spec": spec,
            "status": { "ingress": [{}] },
        }),
    );
}

#[test]
fn custom_resources_do_not_take_strategic_patches() {
    let mut object = json!({ "spec": {} });
    let status = strategic_patch(&mut object, &json!({}), &custom()).unwrap_err();
    assert_eq!((status.code, status.reason), (415, "UnsupportedMediaType"));
}
