//! Definitions become kinds, and know which names are theirs.

use serde_json::{Value, json};

use super::{is_established, settle, to_kind};
use crate::kinds::{Kinds, by_priority};

fn definition(plural: &str, kind: &str) -> Value {
    let version = |name: &str, storage: bool| {
        json!({
            "name": name,
            "served": true,
            "storage": storage,
            "schema": { "openAPIV3Schema": { "type": "object" } },
            "subresources": {
                "status": {},
                "scale": {
                    "specReplicasPath": ".spec.replicas",
                    "statusReplicasPath": ".status.replicas",
                },
            },
            "selectableFields": [{ "jsonPath": ".spec.color" }],
        })
    };
    let mut definition = json!({
        "metadata": { "name": format!("{plural}.example.dev") },
        "spec": {
            "group": "example.dev",
            "scope": "Namespaced",
            "names": { "plural": plural, "kind": kind, "shortNames": ["w"] },
            "versions": [version("v1beta1", false), version("v1", true), version("v0", false)],
        },
    });
    definition["spec"]["versions"][2]["served"] = false.into();
    super::default(&mut definition);
    definition
}

#[test]
fn every_served_version_is_a_kind() {
    let kinds = to_kind(&definition("widgets", "Widget")).expect("kinds");
    let versions: Vec<&str> = kinds.iter().map(|kind| kind.version.as_str()).collect();
    assert_eq!(versions, ["v1", "v1beta1"]);
    let kind = &kinds[0];
    assert_eq!(kind.singular, "widget");
    assert_eq!(kind.list_kind, "WidgetList");
    assert!(kind.has_status && kind.namespaced);
    assert_eq!(kind.selectable_fields, ["spec.color"]);
    assert!(kind.is_selectable("metadata.namespace"));
    assert!(!kind.is_selectable("spec.size"));
    let object = json!({ "spec": { "color": "red" } });
    assert_eq!(kind.selectable(&object, "spec.color"), "red");
    let scale = kind.scale.as_ref().expect("a scale subresource");
    assert_eq!(scale.spec_replicas_path, ".spec.replicas");
}

#[test]
fn a_definition_without_names_is_no_kind() {
    let causes = to_kind(&json!({ "spec": {} })).expect_err("no names");
    let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
    assert_eq!(
        fields,
        ["spec.group", "spec.names.plural", "spec.names.kind"]
    );
}

#[test]
fn the_first_owner_of_a_name_keeps_it() {
    let mut first = definition("widgets", "Widget");
    let mut kinds = Kinds::default();
    settle(&mut first, &kinds, "2026-01-01T00:00:00Z");
    assert!(is_established(&first));
    assert_eq!(first["status"]["acceptedNames"], first["spec"]["names"]);
    assert_eq!(first["status"]["storedVersions"], json!(["v1"]));
    let settled = first.clone();
    settle(&mut first, &kinds, "2026-01-02T00:00:00Z");
    assert_eq!(first, settled);
    for kind in to_kind(&first).expect("kinds") {
        kinds.insert(kind);
    }
    let mut second = definition("gadgets", "Widget");
    second["spec"]["names"]["shortNames"] = json!([]);
    settle(&mut second, &kinds, "2026-01-01T00:00:00Z");
    assert!(!is_established(&second));
    assert_eq!(second["status"]["acceptedNames"]["plural"], "gadgets");
    assert_eq!(second["status"]["acceptedNames"]["kind"], "");
    assert_eq!(
        second["status"]["conditions"][0],
        json!({
            "type": "NamesAccepted",
            "status": "False",
            "reason": "ListKindConflict",
            "message": "\"WidgetList\" is already in use",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    );
}

#[test]
fn stable_versions_come_first_and_later_ones_before_earlier_ones() {
    let mut versions = [
        "foo", "v1", "v1beta1", "v2", "v10", "v1alpha1", "v11beta2", "v1beta2",
    ];
    versions.sort_by(|left, right| by_priority(left, right));
    assert_eq!(
        versions,
        [
            "v10", "v2", "v1", "v11beta2", "v1beta2", "v1beta1", "v1alpha1", "foo"
        ]
    );
}
