//! Every rule of the schemas has a manifest that breaks it, so that no rule goes untested when it
//! is added. The e2e suite shows that the API server agrees with each.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Case, Verdict, load, numbered, set};

/// What the API server says about each keyword of a schema.
const KEYWORDS: [(&str, &str); 9] = [
    ("minimum", "greater than or equal to"),
    ("maximum", "less than or equal to"),
    ("enum", "Unsupported value"),
    ("pattern", "should match"),
    ("minLength", "should be at least"),
    ("maxLength", "Too long"),
    ("minItems", "should have at least"),
    ("maxItems", "Too many"),
    ("maxProperties", "Too many"),
];

/// A kind and the schema of its only version.
struct Definition {
    kind: String,
    schema: Value,
}

fn definitions() -> Vec<Definition> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/muster/crds");
    let mut definitions: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let crd: Value = serde_saphyr::from_str(&text).unwrap();
            let schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
            Definition {
                kind: crd["spec"]["names"]["kind"].as_str().unwrap().to_owned(),
                schema,
            }
        })
        .collect();
    definitions.sort_by(|a, b| a.kind.cmp(&b.kind));
    assert_eq!(definitions.len(), 5, "the definitions were not found");
    definitions
}

/// Calls `visit` for every node that users write: all but a status that is a subresource.
fn walk(node: &Value, path: &str, kind: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, node);
    for (name, child) in node["properties"].as_object().into_iter().flatten() {
        if path.is_empty() && name == "status" && kind != "GameServer" {
            continue;
        }
        let separator = if path.is_empty() { "" } else { "." };
        walk(child, &format!("{path}{separator}{name}"), kind, visit);
    }
    if node["items"].is_object() {
        walk(&node["items"], &format!("{path}[]"), kind, visit);
    }
    if node["additionalProperties"].is_object() {
        walk(
            &node["additionalProperties"],
            &format!("{path}{{}}"),
            kind,
            visit,
        );
    }
}

/// Whether the field of a refusal is the node at a path of the schema.
fn is_at(field: &str, path: &str) -> bool {
    let steps = |text: &str| -> Vec<String> {
        let text = text
            .replace("[]", ".*")
            .replace("{}", ".*")
            .replace('[', ".")
            .replace(']', "");
        text.split('.').map(ToOwned::to_owned).collect()
    };
    let (field, path) = (steps(field), steps(path));
    field.len() == path.len() && field.iter().zip(&path).all(|(a, b)| b == "*" || a == b)
}

fn has_refusal(cases: &[Case], kind: &str, check: impl Fn(&str, &str) -> bool) -> bool {
    cases
        .iter()
        .filter(|case| case.kind == kind)
        .any(|case| match &case.verdict {
            Verdict::Refused { message, field } => check(message, field),
            Verdict::Accepted => false,
        })
}

#[test]
fn every_validation_message_has_a_case_that_is_refused_with_it() {
    let cases = load().unwrap();
    let mut missing = BTreeSet::new();
    for Definition { kind, schema } in definitions() {
        walk(&schema, "", &kind, &mut |path, node| {
            for rule in node["x-kubernetes-validations"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let text = rule["message"].as_str().unwrap();
                if !has_refusal(&cases, &kind, |message, _| message == text) {
                    missing.insert(format!("{kind} {path}: {text}"));
                }
            }
        });
    }
    assert!(
        missing.is_empty(),
        "no case in e2e/crd-cases for:\n{missing:#?}"
    );
}

#[test]
fn every_bound_has_a_case_that_is_refused_at_its_field() {
    let cases = load().unwrap();
    let mut missing = BTreeSet::new();
    for Definition { kind, schema } in definitions() {
        walk(&schema, "", &kind, &mut |path, node| {
            for (keyword, says) in KEYWORDS {
                let covered = || {
                    has_refusal(&cases, &kind, |message, field| {
                        message.contains(says) && is_at(field, path)
                    })
                };
                if node.get(keyword).is_some() && !covered() {
                    missing.insert(format!("{kind} {path}: {keyword}"));
                }
            }
            for name in node["required"].as_array().into_iter().flatten() {
                let separator = if path.is_empty() { "" } else { "." };
                let field = format!("{path}{separator}{}", name.as_str().unwrap());
                let covered = has_refusal(&cases, &kind, |message, at| {
                    message == "Required value" && is_at(at, &field)
                });
                if !covered {
                    missing.insert(format!("{kind} {field}: required"));
                }
            }
        });
    }
    assert!(
        missing.is_empty(),
        "no case in e2e/crd-cases for:\n{missing:#?}"
    );
}

#[test]
fn every_rule_has_something_that_is_accepted() {
    let cases = load().unwrap();
    for kind in [
        "GameServer",
        "GameServerSet",
        "Fleet",
        "MatchAllocation",
        "FleetAutoscaler",
    ] {
        let mut of_kind = cases.iter().filter(|case| case.kind == kind);
        assert!(
            of_kind.any(|case| case.verdict == Verdict::Accepted),
            "{kind}"
        );
    }
}

#[test]
fn paths_reach_into_lists_and_make_objects() {
    let mut value = json!({ "spec": { "ports": [{ "name": "a" }] } });
    set(&mut value, "spec.ports[0].name", Some(json!("b"))).unwrap();
    set(&mut value, "spec.health.periodSeconds", Some(json!(1))).unwrap();
    assert_eq!(
        value,
        json!({ "spec": { "ports": [{ "name": "b" }], "health": { "periodSeconds": 1 } } })
    );
    set(&mut value, "spec.ports", None).unwrap();
    assert!(
        set(&mut value, "spec.ports", None).is_err(),
        "it is absent already"
    );
    assert_eq!(
        numbered(&json!({ "name": "c#" }), 7),
        json!({ "name": "c7" })
    );
}
