//! Messages that are refused, and what becomes of the others.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;

fn compile(message: Value) -> Result<Request, Error> {
    Compiler::default().compile(serde_json::from_value(message).unwrap())
}

fn refused(message: Value, expected: &Expect) {
    expected.assert_eq(&compile(message).unwrap_err().to_string());
}

#[test]
fn bad_fields_are_refused_with_their_path() {
    refused(
        json!({"metadata": {"labels": {"bad key!": "x"}}}),
        &expect![
            "metadata.labels[bad key!]: the name part of a key must be 1 to 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"
        ],
    );
    refused(
        json!({"metaPatch": {"annotations": {"a//b": "x"}}}),
        &expect![
            "metaPatch.annotations[a//b]: a key must be a name, or a prefix and a name with one '/' between them"
        ],
    );
    refused(
        json!({"gameServerSelectors": [{}, {"matchLabels": {"a": "b c"}}]}),
        &expect![
            "gameServerSelectors[1].matchLabels[a]: a label value must be empty, or at most 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"
        ],
    );
    refused(
        json!({"requiredGameServerSelector": {"matchLabels": {"": "b"}}}),
        &expect![
            "requiredGameServerSelector.matchLabels[]: the name part of a key must be 1 to 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"
        ],
    );
    refused(
        json!({"preferredGameServerSelectors": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]}),
        &expect![
            "preferredGameServerSelectors[0].matchExpressions[0].values: must have at least one value with operator In or NotIn"
        ],
    );
    refused(
        json!({"gameServerSelectors": [{"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}]}),
        &expect![
            "gameServerSelectors[0].matchExpressions[0].values: must be empty with operator Exists or DoesNotExist"
        ],
    );
    refused(
        json!({"gameServerSelectors": [{"matchExpressions": [{"key": "a b", "operator": "Exists"}]}]}),
        &expect![
            "gameServerSelectors[0].matchExpressions[0].key: the name part of a key must be 1 to 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"
        ],
    );
    refused(
        json!({"gameServerSelectors": vec![json!({}); 65]}),
        &expect!["gameServerSelectors: must have at most 64 entries in total"],
    );
}

#[test]
fn unknown_numbers_of_enumerations_are_refused() {
    let of = |message: wire::AllocationRequest| {
        Compiler::default()
            .compile(message)
            .unwrap_err()
            .to_string()
    };
    let scheduling = wire::AllocationRequest {
        scheduling: 2,
        ..Default::default()
    };
    expect!["scheduling: must be one of Packed (0), Distributed (1)"].assert_eq(&of(scheduling));
    let selector = wire::GameServerSelector {
        game_server_state: 9,
        ..Default::default()
    };
    let state = wire::AllocationRequest {
        game_server_selectors: vec![selector],
        ..Default::default()
    };
    expect!["gameServerSelectors[0].gameServerState: must be one of READY (0), ALLOCATED (1)"]
        .assert_eq(&of(state));
    let expression = wire::LabelMatchExpressions {
        key: "a".to_owned(),
        operator: 4,
        values: Vec::new(),
    };
    let selector = wire::GameServerSelector {
        match_expressions: vec![expression],
        ..Default::default()
    };
    let operator = wire::AllocationRequest {
        game_server_selectors: vec![selector],
        ..Default::default()
    };
    expect!["gameServerSelectors[0].matchExpressions[0].operator: must be one of In (0), NotIn (1), Exists (2), DoesNotExist (3)"]
        .assert_eq(&of(operator));
}

#[test]
fn fields_without_effect_yet_are_refused_not_ignored() {
    let table = [
        (
            json!({"multiClusterSetting": {"enabled": true}}),
            "multiClusterSetting.enabled",
        ),
        (
            json!({"priorities": [{"type": "Counter", "key": "rooms"}]}),
            "priorities",
        ),
        (
            json!({"counters": {"rooms": {"action": "Increment"}}}),
            "counters",
        ),
        (json!({"lists": {"players": {"addValues": ["x"]}}}), "lists"),
        (
            json!({"gameServerSelectors": [{"counters": {"rooms": {"minAvailable": "1"}}}]}),
            "gameServerSelectors[0].counters",
        ),
        (
            json!({"requiredGameServerSelector": {"lists": {"players": {}}}}),
            "requiredGameServerSelector.lists",
        ),
    ];
    for (message, field) in table {
        assert_eq!(
            compile(message).unwrap_err(),
            Error::Unsupported {
                field: field.to_owned()
            },
        );
    }
    assert!(compile(json!({"multiClusterSetting": {"enabled": false}})).is_ok());
}

fn fleets(message: Value) -> Vec<String> {
    let selectors = compile(message).unwrap().wanted.selectors;
    selectors
        .iter()
        .map(|selector| selector.fleet().unwrap_or("any").to_owned())
        .collect()
}

#[test]
fn deprecated_selectors_count_only_without_the_new_ones() {
    let fleet = |name: &str| json!({"matchLabels": {"muster.dev/fleet": name}});
    assert_eq!(fleets(json!({})), ["any"]);
    assert_eq!(
        fleets(json!({
            "requiredGameServerSelector": fleet("r"),
            "preferredGameServerSelectors": [fleet("p1"), fleet("p2")],
        })),
        ["p1", "p2", "r"]
    );
    assert_eq!(
        fleets(json!({"preferredGameServerSelectors": [fleet("p")]})),
        ["p", "any"]
    );
    assert_eq!(
        fleets(json!({
            "requiredGameServerSelector": fleet("r"),
            "gameServerSelectors": [fleet("a"), fleet("b")],
        })),
        ["a", "b"]
    );
}

#[test]
fn metadata_wins_over_its_deprecated_name() {
    let patch = |value: &str| json!({"labels": {"mode": value}, "annotations": {"map": value}});
    let request = compile(json!({"metadata": patch("new"), "metaPatch": patch("old")})).unwrap();
    assert_eq!(request.labels["mode"], "new");
    assert_eq!(request.annotations["map"], "new");
    assert_eq!(
        compile(json!({"metaPatch": patch("old")})).unwrap().labels["mode"],
        "old"
    );
}

#[test]
fn a_selector_that_comes_again_is_compiled_once() {
    let compiler = Compiler::default();
    let of = |number: usize| {
        let labels = BTreeMap::from([("n".to_owned(), number.to_string())]);
        let selector = wire::GameServerSelector {
            match_labels: labels,
            ..Default::default()
        };
        let message = wire::AllocationRequest {
            game_server_selectors: vec![selector],
            ..Default::default()
        };
        compiler.compile(message).unwrap().wanted.selectors[0].clone()
    };
    let first = of(0);
    for number in 0..3 * CACHED {
        of(number);
        assert!(Arc::ptr_eq(&first, &of(0)), "what is used stays");
    }
    let kept = compiler.lock();
    assert!(kept.young.len() <= CACHED && kept.old.len() <= CACHED);
}
