//! What the watch tells of allocations.

use serde_json::{Value, json};

use super::*;

fn server(name: &str, patch: &Value) -> Watched {
    let mut object = json!({
        "metadata": {
            "name": name, "namespace": "games", "uid": format!("uid-{name}"), "resourceVersion": "1",
            "labels": {"muster.dev/request": "r"},
            "annotations": {
                "muster.dev/last-allocated": "2026-01-01T00:00:00Z",
                "muster.dev/match": r#"{"matchId":"m","requestId":"r","players":[{"playerId":"p","team":2}]}"#,
            },
        },
        "spec": {"ports": [{"name": "query", "protocol": "TCP"}, {"name": "play"}]},
        "status": {
            "state": "Allocated", "nodeName": "n", "address": "203.0.113.7",
            "ports": [{"name": "query", "port": 1}, {"name": "play", "port": 2}],
        },
    });
    for (pointer, value) in patch.as_object().unwrap() {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.insert(key.replace("~1", "/"), value.clone());
    }
    serde_json::from_value(object).unwrap()
}

fn plain(name: &str) -> Watched {
    server(name, &json!({}))
}

/// What a watcher is told: request, whether it goes on, result.
fn told(changes: &mut broadcast::Receiver<Arc<Allocation>>) -> Vec<String> {
    let mut told = Vec::new();
    while let Ok(change) = changes.try_recv() {
        let state = if change.is_live { "live" } else { "ended" };
        let Allocation {
            of_match, result, ..
        } = &*change;
        told.push(format!("{} {state} {result}", of_match.request_id));
    }
    told
}

#[test]
fn an_allocation_is_what_its_server_says() {
    let allocation = Allocation::watched(&plain("a")).unwrap();
    assert_eq!(allocation.of_match.match_id, "m");
    assert_eq!(allocation.of_match.players[0].team, 2);
    assert_eq!(allocation.game_address, "203.0.113.7:2".parse().ok());
    assert!(allocation.is_live && allocation.since.is_some());
    // Of the ports for UDP, the name counts more than the place.
    let ports = json!([{"name": "play", "port": 2}, {"name": "game", "port": 3}]);
    for (protocol, address) in [("UDP", "203.0.113.7:3"), ("TCP", "203.0.113.7:2")] {
        let spec = json!([{"name": "play"}, {"name": "game", "protocol": protocol}]);
        let named = server("a", &json!({"/status/ports": ports, "/spec/ports": spec}));
        let named = Allocation::watched(&named).unwrap();
        assert_eq!(named.game_address, address.parse().ok());
    }
    // Another match's words are not this one's.
    let other = json!({"/metadata/labels": {"muster.dev/request": "s"}});
    let allocation = Allocation::watched(&server("a", &other)).unwrap();
    assert_eq!(allocation.of_match.request_id, "s");
    assert_eq!(allocation.of_match.match_id, "");
    let without = server("a", &json!({"/metadata/labels": {}}));
    assert_eq!(Allocation::watched(&without), None);
}

#[test]
fn a_watcher_sees_what_is_and_every_change_once() {
    let matches = Matches::default();
    matches.watched(&plain("a"));
    let (known, mut changes) = matches.subscribe("games");
    assert_eq!(known.len(), 1);
    assert!(matches.subscribe("elsewhere").0.is_empty());
    matches.watched(&plain("a"));
    assert_eq!(
        told(&mut changes),
        Vec::<String>::new(),
        "nothing has changed"
    );
    matches.watched(&server("a", &json!({"/status/state": "Shutdown"})));
    matches.removed(&plain("a"));
    assert_eq!(told(&mut changes), ["r ended "]);
    assert_eq!(matches.find("games", "r"), None);
}

#[test]
fn the_end_comes_with_its_result_wherever_the_server_goes() {
    let end = |match_id: &str| json!(format!(r#"{{"matchId":"{match_id}","result":"won"}}"#));
    let result = "/metadata/annotations/muster.dev~1match-result";
    let free = |match_id: &str| {
        let labels = json!({});
        server(
            "a",
            &json!({"/metadata/labels": labels, "/status/state": "Ready", result: end(match_id)}),
        )
    };
    for (next, expected) in [
        (
            server("a", &json!({"/status/state": "Shutdown", result: end("m")})),
            "r ended won",
        ),
        (free("m"), "r ended won"),
        (free("former"), "r ended "),
    ] {
        let matches = Matches::default();
        matches.watched(&plain("a"));
        let (_, mut changes) = matches.subscribe("games");
        matches.watched(&next);
        assert_eq!(told(&mut changes), [expected]);
    }
}

#[test]
fn a_server_in_another_match_has_ended_the_one_before() {
    let matches = Matches::default();
    matches.watched(&plain("a"));
    let (_, mut changes) = matches.subscribe("games");
    let labels = json!({"muster.dev/request": "s"});
    matches.watched(&server("a", &json!({"/metadata/labels": labels})));
    assert_eq!(told(&mut changes), ["r ended ", "s live "]);
    assert_eq!(matches.find("games", "r"), None);
    assert!(matches.find("games", "s").is_some());
}

#[test]
fn servers_that_vanished_while_nobody_watched_have_ended() {
    let matches = Matches::default();
    matches.watched(&plain("a"));
    let (_, mut changes) = matches.subscribe("games");
    matches.retain(Some("elsewhere"), &BTreeSet::new());
    assert_eq!(told(&mut changes), Vec::<String>::new());
    matches.retain(None, &BTreeSet::from([plain("a").key()]));
    assert_eq!(told(&mut changes), Vec::<String>::new());
    matches.retain(Some("games"), &BTreeSet::new());
    assert_eq!(told(&mut changes), ["r ended "]);
}

#[test]
fn the_end_of_one_server_does_not_hide_another_of_the_same_request() {
    let matches = Matches::default();
    matches.watched(&plain("a"));
    matches.watched(&plain("b"));
    matches.removed(&plain("a"));
    let known = matches.find("games", "r").unwrap();
    assert_eq!(&*known.server.name, "b");
    matches.removed(&plain("b"));
    assert_eq!(matches.find("games", "r"), None);
}
