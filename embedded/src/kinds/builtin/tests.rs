//! Built-in kinds against answers that were recorded from the API server of Kubernetes 1.35.

use serde_json::{Value, json};

use super::addresses::{self, Taken};
use super::admission::Surroundings;
use super::{admit, all, decode, default, prepare_create, prepare_update, validate};
use crate::kinds::Kind;
use crate::status::{Cause, Status};

/// A namespace with nothing but the default service account.
struct Empty;

impl Surroundings for Empty {
    fn service_account(&self, name: &str) -> Option<Value> {
        (name == "default").then(|| json!({ "metadata": { "name": name } }))
    }

    fn priority_class(&self, _: &str) -> Option<Value> {
        None
    }

    fn default_priority_class(&self) -> Option<Value> {
        None
    }

    fn suffix(&self) -> String {
        "aaaaa".to_owned()
    }
}

fn kind_of(object: &Value) -> Kind {
    all()
        .into_iter()
        .find(|kind| kind.kind == object["kind"] && object["apiVersion"] == *kind.api_version())
        .expect("a built-in kind")
}

fn invalid(kind: &Kind, object: &Value, causes: Vec<Cause>) -> Result<(), Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if causes.is_empty() {
        Ok(())
    } else {
        Err(Status::invalid(&kind.group, &kind.kind, name, causes))
    }
}

fn create(object: &mut Value) -> Result<(), Status> {
    let kind = kind_of(object);
    decode(&kind, object)?;
    if kind.namespaced {
        object["metadata"]["namespace"] = "kinds-probe".into();
    }
    default(&kind, object);
    prepare_create(&kind, object);
    admit(&kind, "kinds-probe", object, None, &Empty)?;
    if kind.plural == "services" {
        let causes = addresses::allocate(object, None, &Taken::default());
        invalid(&kind, object, causes.err().unwrap_or_default())?;
    }
    invalid(&kind, object, validate(&kind, object, None))
}

fn change(new: &mut Value, old: &Value, subresource: Option<&str>) -> Result<(), Status> {
    let kind = kind_of(old);
    decode(&kind, new)?;
    default(&kind, new);
    prepare_update(&kind, new, old, subresource);
    if subresource.is_none() {
        admit(&kind, "kinds-probe", new, Some(old), &Empty)?;
    }
    if kind.plural == "services" {
        let causes = addresses::allocate(new, Some(old), &Taken::default());
        invalid(&kind, new, causes.err().unwrap_or_default())?;
    }
    invalid(&kind, new, validate(&kind, new, Some(old)))
}

fn recorded(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("recorded cases")
}

#[test]
fn new_objects_are_stored_as_the_api_server_stores_them() {
    for case in recorded(include_str!("recorded/created.json")) {
        let mut object = case["given"].clone();
        create(&mut object).unwrap_or_else(|status| panic!("{status}: {}", case["given"]));
        if let Some(meta) = object["metadata"].as_object_mut() {
            meta.remove("namespace");
            meta.remove("creationTimestamp");
        }
        assert_eq!(object, case["stored"], "{}", case["given"]);
    }
}

#[test]
fn bad_objects_are_refused_with_the_words_of_the_api_server() {
    for case in recorded(include_str!("recorded/refused.json")) {
        let mut object = case["given"].clone();
        let status = create(&mut object).expect_err(&case["given"].to_string());
        let Some(causes) = case["causes"].as_array() else {
            assert_eq!(status.message, case["message"], "{}", case["given"]);
            continue;
        };
        // Go's maps have no order, and so neither has what is wrong with their entries.
        let mut found: Vec<Value> = status
            .details
            .iter()
            .flat_map(|details| &details.causes)
            .map(|cause| json!([cause.field, cause.reason, cause.message]))
            .collect();
        found.sort_by_key(Value::to_string);
        let mut wanted = causes.clone();
        wanted.sort_by_key(Value::to_string);
        assert_eq!(found, wanted, "{}", case["given"]);
    }
}

#[test]
fn changes_are_stored_or_refused_as_the_api_server_does() {
    for case in recorded(include_str!("recorded/changed.json")) {
        let mut new = case["new"].clone();
        match change(&mut new, &case["old"], case["subresource"].as_str()) {
            Ok(()) => assert_eq!(new, case["stored"], "{}", case["new"]),
            Err(status) => {
                // What follows is a picture of the difference, which everyone draws otherwise.
                let message = status.message.lines().next().unwrap_or_default();
                assert_eq!(message, case["message"], "{}", case["new"]);
            }
        }
    }
}

#[test]
fn unknown_fields_are_dropped_and_named() {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "a", "foo": 1 },
        "spec": { "containers": [{ "name": "a" }, { "name": "b", "bar": {} }], "baz": [] },
        "x": 1,
    });
    let unknown = decode(&kind_of(&pod), &mut pod).expect("a pod");
    assert_eq!(
        unknown,
        ["metadata.foo", "spec.baz", "spec.containers[1].bar", "x"]
    );
    assert_eq!(
        pod,
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": "a" },
            "spec": { "containers": [{ "name": "a" }, { "name": "b" }] },
        })
    );
}

#[test]
fn services_share_no_address_and_no_node_port() {
    let service = |spec: Value| json!({ "spec": spec });
    let mut taken = Taken::default();
    taken.add(&service(json!({
        "clusterIPs": ["10.96.0.1"],
        "ports": [{ "nodePort": 30000, "protocol": "TCP" }],
    })));
    let mut next = service(json!({
        "type": "NodePort",
        "ports": [{ "port": 1, "protocol": "TCP" }, { "port": 2, "protocol": "UDP" }],
    }));
    addresses::allocate(&mut next, None, &taken).expect("room");
    assert_eq!(next["spec"]["clusterIP"], "10.96.0.2");
    assert_eq!(next["spec"]["ports"][0]["nodePort"], 30001);
    assert_eq!(next["spec"]["ports"][1]["nodePort"], 30000);
    let mut same = service(json!({
        "type": "ClusterIP",
        "clusterIP": "10.96.0.1",
        "clusterIPs": ["10.96.0.1"],
    }));
    let causes = addresses::allocate(&mut same.clone(), None, &taken).expect_err("taken");
    assert_eq!(
        causes[0].message,
        "Invalid value: [\"10.96.0.1\"]: failed to allocate IP 10.96.0.1: provided IP is already allocated"
    );
    let old = same.clone();
    addresses::allocate(&mut same, Some(&old), &taken).expect("its own address");
}

#[test]
fn only_known_pods_of_known_accounts_are_admitted() {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "a" },
        "spec": { "serviceAccountName": "other", "containers": [{ "name": "a", "image": "b" }] },
    });
    let kind = kind_of(&pod);
    let refused = admit(&kind, "game", &mut pod, None, &Empty).expect_err("no account");
    assert_eq!(
        refused.message,
        "pods \"a\" is forbidden: error looking up service account game/other: serviceaccount \"other\" not found"
    );
}
