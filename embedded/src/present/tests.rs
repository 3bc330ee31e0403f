//! What clients find: documents and tables.

use serde_json::{Value, json};

use super::table::{Include, is_wanted, single, table};
use super::{discovery, openapi};
use crate::kinds::{Kinds, builtin, definition};

fn kinds() -> Kinds {
    let mut kinds = Kinds::default();
    for kind in builtin::all() {
        kinds.insert(kind);
    }
    let widgets = json!({
        "spec": {
            "group": "example.dev",
            "scope": "Namespaced",
            "names": {
                "plural": "widgets",
                "singular": "widget",
                "kind": "Widget",
                "listKind": "WidgetList",
                "shortNames": ["wg"],
                "categories": ["toys"],
            },
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas",
                    },
                },
                "additionalPrinterColumns": [
                    { "name": "Color", "type": "string", "jsonPath": ".spec.color" },
                    { "name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1 },
                    { "name": "Parts", "type": "string", "jsonPath": ".spec.parts" },
                    { "name": "Changed", "type": "date", "jsonPath": ".status.changed" },
                ],
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "description": "A toy.",
                    "properties": { "spec": {
                        "type": "object",
                        "properties": {
                            "color": { "type": "string" },
                            "port": { "x-kubernetes-int-or-string": true },
                        },
                    } },
                } },
            }],
        },
    });
    for kind in definition::to_kind(&widgets).expect("a definition") {
        kinds.insert(kind);
    }
    kinds
}

#[test]
fn discovery_lists_resources_with_their_subresources() {
    let kinds = kinds();
    let list = discovery::resources(&kinds, "example.dev", "v1").expect("a version");
    let verbs = ["get", "patch", "update"];
    assert_eq!(
        list,
        json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": "example.dev/v1",
            "resources": [
                {
                    "name": "widgets",
                    "singularName": "widget",
                    "namespaced": true,
                    "kind": "Widget",
                    "verbs": [
                        "delete", "deletecollection", "get", "list", "patch", "create", "update",
                        "watch",
                    ],
                    "shortNames": ["wg"],
                    "categories": ["toys"],
                },
                {
                    "name": "widgets/status",
                    "singularName": "",
                    "namespaced": true,
                    "kind": "Widget",
                    "verbs": verbs,
                },
                {
                    "name": "widgets/scale",
                    "singularName": "",
                    "namespaced": true,
                    "group": "autoscaling",
                    "version": "v1",
                    "kind": "Scale",
                    "verbs": verbs,
                },
            ],
        })
    );
    let core = discovery::resources(&kinds, "", "v1").expect("the core group");
    let pods: Vec<&str> = core["resources"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|resource| resource["name"].as_str())
        .filter(|name| name.starts_with("pods"))
        .collect();
    assert_eq!(
        pods,
        [
            "pods",
            "pods/binding",
            "pods/eviction",
            "pods/log",
            "pods/status"
        ]
    );
    assert_eq!(discovery::resources(&kinds, "example.dev", "v2"), None);
    assert_eq!(discovery::group(&kinds, "other.dev"), None);
}

#[test]
fn groups_are_in_the_order_of_the_api_server() {
    let groups = discovery::groups(&kinds());
    let names: Vec<&str> = groups["groups"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|group| group["name"].as_str())
        .collect();
    assert_eq!(names.first(), Some(&"events.k8s.io"));
    assert_eq!(names[names.len() - 2..], ["example.dev", "metrics.k8s.io"]);
}

#[test]
fn aggregated_discovery_is_for_those_who_ask() {
    let aggregated =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    assert!(discovery::wants_aggregated(aggregated));
    assert!(!discovery::wants_aggregated("application/json"));
    let core = discovery::aggregated_core(&kinds());
    let version = &core["items"][0]["versions"][0];
    assert_eq!(version["version"], "v1");
    assert_eq!(version["freshness"], "Current");
    assert_eq!(core["items"].as_array().map(Vec::len), Some(1));
}

fn unresolved(value: &Value, components: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                let name = reference.trim_start_matches("#/components/schemas/");
                if components["schemas"].get(name).is_none() {
                    found.push(name.to_owned());
                }
            }
            for field in fields.values() {
                unresolved(field, components, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                unresolved(item, components, found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_document_of_the_index_is_whole() {
    let kinds = kinds();
    let index = openapi::index(&kinds);
    let paths = index["paths"].as_object().expect("paths");
    assert!(paths.contains_key("api/v1") && paths.contains_key("apis/example.dev/v1"));
    for path in paths.keys() {
        let document = openapi::document(&kinds, path).expect("a document");
        let mut missing = Vec::new();
        unresolved(&document, &document["components"], &mut missing);
        assert!(missing.is_empty(), "{path}: {missing:?}");
    }
    assert_eq!(openapi::document(&kinds, "apis/other.dev/v1"), None);
}

#[test]
fn documents_have_what_kubectl_looks_for() {
    let kinds = kinds();
    let document = openapi::document(&kinds, "apis/example.dev/v1").expect("a document");
    let item = &document["paths"]["/apis/example.dev/v1/namespaces/{namespace}/widgets/{name}"];
    let patch = &item["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({ "group": "example.dev", "version": "v1", "kind": "Widget" })
    );
    let parameters = patch["parameters"].as_array().expect("parameters");
    assert!(
        parameters
            .iter()
            .any(|parameter| parameter["name"] == "fieldValidation")
    );
    assert!(
        patch["requestBody"]["content"]
            .get("application/strategic-merge-patch+json")
            .is_none()
    );
    let schema = &document["components"]["schemas"]["dev.example.v1.Widget"];
    assert_eq!(
        schema["x-kubernetes-group-version-kind"][0]["kind"],
        "Widget"
    );
    assert_eq!(
        schema["properties"]["spec"]["properties"]["port"]["anyOf"],
        json!([{ "type": "integer" }, { "type": "string" }])
    );
    assert_eq!(
        schema["properties"]["metadata"]["allOf"][0]["$ref"],
        "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    );
    let core = openapi::document(&kinds, "api/v1").expect("a document");
    let spec = &core["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"];
    assert_eq!(spec["containers"]["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(
        spec["volumes"]["x-kubernetes-patch-strategy"],
        "merge,retainKeys"
    );
}

#[test]
fn the_address_of_a_document_changes_with_its_kinds() {
    let mut kinds = kinds();
    let address = |kinds: &Kinds, path: &str| {
        openapi::index(kinds)["paths"][path]["serverRelativeURL"].clone()
    };
    let before = (
        address(&kinds, "apis/example.dev/v1"),
        address(&kinds, "api/v1"),
    );
    let mut changed = kinds
        .resource("example.dev", "widgets")
        .expect("a kind")
        .as_ref()
        .clone();
    changed.categories.clear();
    kinds.insert(changed);
    assert_ne!(address(&kinds, "apis/example.dev/v1"), before.0);
    assert_eq!(address(&kinds, "api/v1"), before.1);
}

#[test]
fn custom_resources_have_the_columns_of_their_definition() {
    let kinds = kinds();
    let kind = kinds.resource("example.dev", "widgets").expect("a kind");
    let now = "2026-01-01T00:10:00Z".parse().expect("a time");
    let widget = json!({
        "metadata": { "name": "a", "resourceVersion": "7" },
        "spec": { "color": "red", "size": 2.7, "parts": { "b": 1, "a": [true] } },
        "status": { "changed": "2026-01-01T00:00:00Z" },
    });
    let bare = json!({ "metadata": { "name": "b" }, "spec": { "color": 5 } });
    let shown = single(kind, &widget, Include::Metadata, true, now);
    assert_eq!(shown["metadata"], json!({ "resourceVersion": "7" }));
    assert_eq!(
        shown["rows"][0]["cells"],
        json!(["a", "red", 2, "{\"a\":[true],\"b\":1}", "10m"])
    );
    assert_eq!(shown["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let names: Vec<&Value> = shown["columnDefinitions"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|column| &column["name"])
        .collect();
    assert_eq!(
        json!(names),
        json!(["Name", "Color", "Size", "Parts", "Changed"])
    );
    let later = table(kind, [&bare], json!({}), Include::Nothing, false, now);
    assert_eq!(later["columnDefinitions"], Value::Null);
    assert_eq!(
        later["rows"][0]["cells"],
        json!(["b", "5", null, null, null])
    );
    assert_eq!(later["rows"][0]["object"], Value::Null);
}

#[test]
fn built_in_kinds_have_one_cell_for_each_column() {
    let kinds = kinds();
    let now = "2026-01-01T00:10:00Z".parse().expect("a time");
    let object = json!({ "metadata": { "name": "a" } });
    for kind in kinds.iter() {
        let shown = table(kind, [&object], json!({}), Include::Nothing, true, now);
        assert_eq!(
            shown["columnDefinitions"].as_array().map(Vec::len),
            shown["rows"][0]["cells"].as_array().map(Vec::len),
            "{}",
            kind.kind
        );
        let definitions = shown["columnDefinitions"].as_array().expect("columns");
        for column in definitions {
            assert_ne!(
                column["description"], "",
                "{} {}",
                kind.kind, column["name"]
            );
        }
    }
}

#[test]
fn services_and_nodes_read_as_in_kubectl() {
    let kinds = kinds();
    let now = "2026-01-01T00:10:00Z".parse().expect("a time");
    let cells = |group: &str, plural: &str, object: Value| {
        let kind = kinds.resource(group, plural).expect("a kind");
        single(kind, &object, Include::Nothing, false, now)["rows"][0]["cells"].clone()
    };
    let meta = json!({ "name": "a", "creationTimestamp": "2026-01-01T00:00:00Z" });
    assert_eq!(
        cells(
            "",
            "services",
            json!({
                "metadata": meta,
                "spec": {
                    "type": "NodePort",
                    "clusterIPs": ["10.96.0.7"],
                    "selector": { "b": "c" },
                    "ports": [{ "port": 80, "nodePort": 30080, "protocol": "TCP" }],
                },
            })
        ),
        json!([
            "a",
            "NodePort",
            "10.96.0.7",
            "<none>",
            "80:30080/TCP",
            "10m",
            "b=c"
        ])
    );
    assert_eq!(
        cells(
            "",
            "nodes",
            json!({
                "metadata": {
                    "name": "a",
                    "creationTimestamp": "2026-01-01T00:00:00Z",
                    "labels": { "node-role.kubernetes.io/game": "" },
                },
                "spec": { "unschedulable": true },
                "status": {
                    "conditions": [{ "type": "Ready", "status": "True" }],
                    "nodeInfo": { "kubeletVersion": "v1" },
                },
            })
        ),
        json!([
            "a",
            "Ready,SchedulingDisabled",
            "game",
            "10m",
            "v1",
            "<none>",
            "<none>",
            "<unknown>",
            "<unknown>",
            "<unknown>",
        ])
    );
    assert_eq!(
        cells(
            "coordination.k8s.io",
            "leases",
            json!({ "metadata": meta, "spec": {} })
        ),
        json!(["a", "", "10m"])
    );
}

#[test]
fn tables_are_for_those_who_prefer_them() {
    let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
    assert!(is_wanted(kubectl));
    assert!(!is_wanted("application/json"));
    assert!(!is_wanted(
        "application/json,application/json;as=Table;v=v1;g=meta.k8s.io"
    ));
    assert_eq!(Include::parse("Object"), Some(Include::Object));
    assert_eq!(Include::parse("All"), None);
}
