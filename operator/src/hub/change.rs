//! From a change that an SDK server asks for to a patch of the game server. Pure.
//!
//! The live guard is here: a server that is Unhealthy, has ended or is being deleted changes its
//! state no more, and begins no life. What it says of its match is written all the same.
//!
//! An SDK server that has been restarted takes the end of any match before it knows its game
//! server. So the end of a match that is not the server's, or no more, is dropped here together
//! with the state that was to follow: that server may have its next match already.
#![deny(clippy::wildcard_enum_match_arm)]

use crds::gameserver::{ConnectStatus, GameServer, GameServerStatusAddress};
use crds::matches::{Match, MatchEnd};
use crds::meta;
use crds::state::State;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use proto::Uuid;
use proto::muster::hub::v1::state_change::State as Wanted;
use proto::muster::hub::v1::{Change, MatchResult, StateChange};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tonic::Code;

use super::boot_id::BootId;
use crate::gameserver::plan::Place;
use crate::nodes::POD_IP;

/// Most labels and most annotations in one change.
const MOST_KEYS: usize = 256;

/// Most bytes of the result of a match.
const MOST_RESULT: usize = 8 * 1024;

/// What becomes of a change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decision {
    /// Written as this merge patch.
    Write(Value),
    /// Nothing is left to write; answered as done.
    Nothing,
    /// The server's address must be known first.
    NeedsPlace,
    /// Wrong in itself.
    Refuse(Code, String),
}

/// Decides about one change.
pub(crate) fn decide(
    now: Timestamp,
    server: &GameServer,
    place: Option<&Place>,
    change: &Change,
) -> Decision {
    if change.labels.len() > MOST_KEYS || change.annotations.len() > MOST_KEYS {
        let message = format!("a change holds at most {MOST_KEYS} labels and annotations each");
        return Decision::Refuse(Code::InvalidArgument, message);
    }
    let mut annotations = prefixed(&change.annotations);
    let mut labels = prefixed(&change.labels);
    let mut status = Map::new();
    let is_foreign = ends_another_match(server, change);
    if let Some(wanted) = &change.state
        && !server.is_being_deleted()
        && !is_outdated(server, wanted)
        && !(is_foreign && follows_a_match(wanted))
    {
        match state_patch(now, server, place, wanted) {
            Ok(StatePatch { fields, annotation }) => {
                status = fields;
                if let Some((key, value)) = annotation {
                    annotations.insert(key.to_owned(), value.into());
                }
                // A server that is free again belongs to no match any more.
                if status.get("state") == Some(&json!(State::Ready)) {
                    let forgotten = crds::matches::forget(&server.metadata);
                    labels.extend(forgotten.labels);
                    annotations.extend(forgotten.annotations);
                }
            }
            Err(other) => return other,
        }
    }
    let of_game = connect(server, change).and_then(|connect| {
        status.extend(connect.map(|connect| ("connect".to_owned(), json!(connect))));
        let result = change.match_result.as_ref();
        Ok(match_result(server, result)?.filter(|_| !is_foreign))
    });
    match of_game {
        Ok(end) => annotations
            .extend(end.map(|end| (meta::MATCH_RESULT_ANNOTATION.to_owned(), end.into()))),
        Err(message) => return Decision::Refuse(Code::InvalidArgument, message),
    }
    if let Some(count) = change.player_count {
        count_players(now, server, count, &mut annotations);
    }
    let mut patch = Map::new();
    let mut metadata = Map::new();
    for (field, values) in [("labels", labels), ("annotations", annotations)] {
        if !values.is_empty() {
            metadata.insert(field.to_owned(), values.into());
        }
    }
    if !metadata.is_empty() {
        patch.insert("metadata".to_owned(), metadata.into());
    }
    if !status.is_empty() {
        patch.insert("status".to_owned(), status.into());
    }
    if patch.is_empty() {
        Decision::Nothing
    } else {
        Decision::Write(patch.into())
    }
}

/// Decides about a change to Ready while nobody knows the server's address: the controller writes
/// Ready when the address is known, and everything else is written now.
pub(crate) fn without_place(now: Timestamp, server: &GameServer, change: &Change) -> Decision {
    let rest = Change {
        state: None,
        ..change.clone()
    };
    let mut patch = match decide(now, server, None, &rest) {
        Decision::Write(patch) => patch,
        Decision::Nothing | Decision::NeedsPlace => json!({}),
        refused @ Decision::Refuse(..) => return refused,
    };
    patch["status"]["state"] = json!(State::RequestReady);
    Decision::Write(patch)
}

/// The life that begins, unless it is written already or the server has ended.
fn connect(server: &GameServer, change: &Change) -> Result<Option<ConnectStatus>, String> {
    let Some(boot_id) = &change.boot_id else {
        return Ok(None);
    };
    let boot_id = BootId::from_slice(boot_id).ok_or("boot_id must have 16 bytes")?;
    if change.key_version == 0 {
        return Err("key_version is missing".to_owned());
    }
    let begins = ConnectStatus {
        boot_id: boot_id.to_string(),
        key_version: change.key_version.into(),
    };
    let written = server
        .status
        .as_ref()
        .and_then(|status| status.connect.as_ref());
    let is_over = server.is_being_deleted() || server.state().is_ending();
    Ok((!is_over && written != Some(&begins)).then_some(begins))
}

/// The end of a match as it is written, unless it is already.
fn match_result(
    server: &GameServer,
    result: Option<&MatchResult>,
) -> Result<Option<String>, String> {
    let Some(result) = result else {
        return Ok(None);
    };
    let match_id: [u8; 16] = result
        .match_id
        .as_slice()
        .try_into()
        .map_err(|_| "match_result.match_id must have 16 bytes")?;
    if result.result.len() > MOST_RESULT {
        return Err(format!(
            "match_result.result has {} bytes, at most {MOST_RESULT} are allowed",
            result.result.len()
        ));
    }
    let end = MatchEnd {
        match_id: Uuid(match_id).to_string(),
        result: result.result.clone(),
    };
    if match_in(server, meta::MATCH_RESULT_ANNOTATION) == Some(Uuid(match_id)) {
        return Ok(None);
    }
    serde_json::to_string(&end)
        .map(Some)
        .map_err(|error| error.to_string())
}

/// Whether the change is the end of a match that the server does not have, or has no more.
pub(super) fn ends_another_match(server: &GameServer, change: &Change) -> bool {
    change.match_result.as_ref().is_some_and(|result| {
        let current = match_in(server, meta::MATCH_ANNOTATION);
        current.is_none_or(|current| current.0 != result.match_id.as_slice())
    })
}

/// Whether this state is one that the end of a match may lead to. Failed health checks count
/// whatever they come with.
fn follows_a_match(wanted: &StateChange) -> bool {
    matches!(wanted.state(), Wanted::Ready | Wanted::Shutdown)
}

/// The match that an annotation is about.
fn match_in(server: &GameServer, annotation: &str) -> Option<Uuid> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Written {
        match_id: String,
    }
    let text = server.annotations().get(annotation)?;
    let written: Written = serde_json::from_str(text).ok()?;
    Uuid::parse(&written.match_id)
}

/// The trace of the match that a server is allocated for.
pub(super) fn trace_of_match(server: &GameServer) -> Option<String> {
    let text = server.annotations().get(meta::MATCH_ANNOTATION)?;
    let of_match: Match = serde_json::from_str(text).ok()?;
    of_match.trace_context
}

/// Writes how many players are there, if that is news, and once when the match was claimed.
fn count_players(
    now: Timestamp,
    server: &GameServer,
    count: u32,
    annotations: &mut Map<String, Value>,
) {
    let written = server.annotations();
    let text = (count > 0).then(|| count.to_string());
    if written.get(meta::PLAYER_COUNT_ANNOTATION) != text.as_ref() {
        annotations.insert(meta::PLAYER_COUNT_ANNOTATION.to_owned(), json!(text));
    }
    if count > 0
        && server.state() == State::Allocated
        && !written.contains_key(meta::CLAIM_TIME_ANNOTATION)
    {
        annotations.insert(
            meta::CLAIM_TIME_ANNOTATION.to_owned(),
            now.to_string().into(),
        );
    }
}

/// Whether the server was allocated after the game said what it wants: that stands.
fn is_outdated(server: &GameServer, wanted: &StateChange) -> bool {
    let last = server.annotations().get(meta::LAST_ALLOCATED_ANNOTATION);
    let gives_up = matches!(wanted.state(), Wanted::Ready | Wanted::Reserved);
    gives_up
        && server.state() == State::Allocated
        && wanted
            .last_allocated
            .as_ref()
            .is_some_and(|seen| last.is_some_and(|last| last != seen))
}

struct StatePatch {
    fields: Map<String, Value>,
    annotation: Option<(&'static str, String)>,
}

fn state_patch(
    now: Timestamp,
    server: &GameServer,
    place: Option<&Place>,
    wanted: &StateChange,
) -> Result<StatePatch, Decision> {
    let status = server.status.clone().unwrap_or_default();
    let (state, annotation) = match wanted.state() {
        Wanted::Unspecified => {
            let message = "state.state is missing or unknown".to_owned();
            return Err(Decision::Refuse(Code::InvalidArgument, message));
        }
        Wanted::Ready => (State::Ready, None),
        Wanted::Allocated => (
            State::Allocated,
            Some((meta::LAST_ALLOCATED_ANNOTATION, now.to_string())),
        ),
        Wanted::Reserved => (State::Reserved, None),
        Wanted::Shutdown => (State::Shutdown, None),
        Wanted::Unhealthy => (
            State::Unhealthy,
            Some((meta::UNHEALTHY_AT_ANNOTATION, now.to_string())),
        ),
    };
    // The live guard: an ended server changes its state no more.
    if !status.state.can_become(state) {
        return Ok(StatePatch {
            fields: Map::new(),
            annotation: None,
        });
    }
    let mut fields = Map::new();
    fields.insert("state".to_owned(), json!(state));
    let needs_address = status.address.is_empty() && !state.is_ending();
    if needs_address {
        match place {
            Some(place) => {
                fields.insert("address".to_owned(), json!(place.address));
                fields.insert("addresses".to_owned(), json!(place.addresses));
                fields.insert("nodeName".to_owned(), json!(place.node_name));
            }
            None => return Err(Decision::NeedsPlace),
        }
    }
    // A server that was located early has no address of its pod yet.
    let is_of_pod = |address: &GameServerStatusAddress| address.type_ == POD_IP;
    if let Some(place) = place
        && !needs_address
        && !status.addresses.iter().any(is_of_pod)
        && place.addresses.iter().any(is_of_pod)
    {
        fields.insert("addresses".to_owned(), json!(place.addresses));
    }
    if state == State::Reserved {
        if wanted.reserve_seconds < 0 {
            let message = "state.reserve_seconds must not be negative".to_owned();
            return Err(Decision::Refuse(Code::InvalidArgument, message));
        }
        let until = (wanted.reserve_seconds > 0)
            .then(|| now.checked_add(SignedDuration::from_secs(wanted.reserve_seconds)))
            .transpose()
            .map_err(|_| {
                let message = "state.reserve_seconds is too large".to_owned();
                Decision::Refuse(Code::InvalidArgument, message)
            })?;
        fields.insert("reservedUntil".to_owned(), json!(until));
    } else if status.reserved_until.is_some() {
        fields.insert("reservedUntil".to_owned(), Value::Null);
    }
    // Saying what is already so costs no write.
    let same = state == status.state && fields.len() == 1;
    if same && state != State::Allocated {
        fields.clear();
        return Ok(StatePatch {
            fields,
            annotation: None,
        });
    }
    Ok(StatePatch { fields, annotation })
}

fn prefixed(values: &std::collections::BTreeMap<String, String>) -> Map<String, Value> {
    values
        .iter()
        .map(|(key, value)| (format!("{}{key}", meta::SDK_PREFIX), value.clone().into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use crds::gameserver::GameServerStatus;
    use expect_test::{Expect, expect};

    use super::*;

    fn server(state: State, address: &str) -> GameServer {
        GameServer {
            status: Some(GameServerStatus {
                state,
                address: address.to_owned(),
                ..GameServerStatus::default()
            }),
            ..GameServer::default()
        }
    }

    fn place() -> Place {
        Place {
            node_name: "node-1".to_owned(),
            address: "203.0.113.7".to_owned(),
            addresses: Vec::new(),
        }
    }

    fn wants(state: Wanted) -> Change {
        let state = StateChange {
            state: state.into(),
            ..StateChange::default()
        };
        Change {
            state: Some(state),
            ..Change::default()
        }
    }

    fn check(server: &GameServer, place: Option<&Place>, change: &Change, expected: &Expect) {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let text = match decide(now, server, place, change) {
            Decision::Write(patch) => patch.to_string(),
            other @ (Decision::Nothing | Decision::NeedsPlace | Decision::Refuse(..)) => {
                format!("{other:?}")
            }
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn ready_writes_the_address_with_the_state() {
        check(
            &server(State::Creating, ""),
            Some(&place()),
            &wants(Wanted::Ready),
            &expect![[
                r#"{"status":{"address":"203.0.113.7","addresses":[],"nodeName":"node-1","state":"Ready"}}"#
            ]],
        );
        check(
            &server(State::Creating, ""),
            None,
            &wants(Wanted::Ready),
            &expect!["NeedsPlace"],
        );
    }

    #[test]
    fn saying_it_twice_writes_once() {
        check(
            &server(State::Ready, "a"),
            None,
            &wants(Wanted::Ready),
            &expect!["Nothing"],
        );
    }

    #[test]
    fn an_ended_server_changes_its_state_no_more_but_takes_labels() {
        for state in [State::Unhealthy, State::Error, State::Shutdown] {
            let mut change = wants(Wanted::Ready);
            check(&server(state, "a"), None, &change, &expect!["Nothing"]);
            change.labels.insert("map".to_owned(), "de_dust".to_owned());
            check(
                &server(state, "a"),
                None,
                &change,
                &expect![[r#"{"metadata":{"labels":{"muster.dev/sdk-map":"de_dust"}}}"#]],
            );
        }
    }

    #[test]
    fn a_reservation_ends_in_time_and_with_the_next_state() {
        let mut change = wants(Wanted::Reserved);
        change.state.as_mut().unwrap().reserve_seconds = 30;
        check(
            &server(State::Ready, "a"),
            None,
            &change,
            &expect![[r#"{"status":{"reservedUntil":"2026-01-02T03:04:35Z","state":"Reserved"}}"#]],
        );
        let mut reserved = server(State::Reserved, "a");
        reserved.status.as_mut().unwrap().reserved_until =
            Some("2026-01-02T03:04:35Z".parse().unwrap());
        check(
            &reserved,
            None,
            &wants(Wanted::Ready),
            &expect![[r#"{"status":{"reservedUntil":null,"state":"Ready"}}"#]],
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let mut change = wants(Wanted::Reserved);
        change.state.as_mut().unwrap().reserve_seconds = -1;
        check(
            &server(State::Ready, "a"),
            None,
            &change,
            &expect![[r#"Refuse(InvalidArgument, "state.reserve_seconds must not be negative")"#]],
        );
        check(
            &server(State::Ready, "a"),
            None,
            &wants(Wanted::Unspecified),
            &expect![[r#"Refuse(InvalidArgument, "state.state is missing or unknown")"#]],
        );
    }

    #[test]
    fn giving_up_and_ending_need_no_address() {
        check(
            &server(State::Creating, ""),
            None,
            &wants(Wanted::Unhealthy),
            &expect![[
                r#"{"metadata":{"annotations":{"muster.dev/unhealthy-at":"2026-01-02T03:04:05Z"}},"status":{"state":"Unhealthy"}}"#
            ]],
        );
        check(
            &server(State::Creating, ""),
            None,
            &wants(Wanted::Shutdown),
            &expect![[r#"{"status":{"state":"Shutdown"}}"#]],
        );
    }

    #[test]
    fn a_ready_that_was_said_before_the_allocation_does_not_undo_it() {
        let mut allocated = server(State::Allocated, "a");
        allocated.metadata.annotations = Some(std::collections::BTreeMap::from([(
            meta::LAST_ALLOCATED_ANNOTATION.to_owned(),
            "2026-01-02T03:04:00Z".to_owned(),
        )]));
        let mut change = wants(Wanted::Ready);
        change.state.as_mut().unwrap().last_allocated = Some(String::new());
        check(&allocated, None, &change, &expect!["Nothing"]);
        change.state.as_mut().unwrap().last_allocated = Some("2026-01-02T03:04:00Z".to_owned());
        check(
            &allocated,
            None,
            &change,
            &expect![[r#"{"status":{"state":"Ready"}}"#]],
        );
    }

    #[test]
    fn a_server_that_is_free_again_belongs_to_no_match() {
        let mut allocated = server(State::Allocated, "a");
        allocated.metadata.labels = Some(std::collections::BTreeMap::from([(
            meta::REQUEST_LABEL.to_owned(),
            "uid".to_owned(),
        )]));
        check(
            &allocated,
            None,
            &wants(Wanted::Ready),
            &expect![[
                r#"{"metadata":{"labels":{"muster.dev/request":null}},"status":{"state":"Ready"}}"#
            ]],
        );
    }

    #[test]
    fn a_life_begins_in_the_same_write_as_ready_and_once() {
        let mut change = wants(Wanted::Ready);
        change.boot_id = Some(vec![171; 16]);
        change.key_version = 7;
        check(
            &server(State::Creating, ""),
            Some(&place()),
            &change,
            &expect![[
                r#"{"status":{"address":"203.0.113.7","addresses":[],"connect":{"bootId":"abababababababababababababababab","keyVersion":7},"nodeName":"node-1","state":"Ready"}}"#
            ]],
        );
        let mut begun = server(State::Ready, "a");
        begun.status.as_mut().unwrap().connect = Some(ConnectStatus {
            boot_id: "ab".repeat(16),
            key_version: 7,
        });
        check(&begun, None, &change, &expect!["Nothing"]);
        change.boot_id = Some(vec![1; 16]);
        check(
            &begun,
            None,
            &change,
            &expect![[
                r#"{"status":{"connect":{"bootId":"01010101010101010101010101010101","keyVersion":7}}}"#
            ]],
        );
        check(
            &server(State::Shutdown, "a"),
            None,
            &change,
            &expect!["Nothing"],
        );
    }

    #[test]
    fn a_ready_without_an_address_loses_nothing_of_its_change() {
        let mut change = wants(Wanted::Ready);
        change.boot_id = Some(vec![1; 16]);
        change.key_version = 7;
        change.labels.insert("map".to_owned(), "a".to_owned());
        let now = Timestamp::UNIX_EPOCH;
        let Decision::Write(patch) = without_place(now, &server(State::Creating, ""), &change)
        else {
            panic!("no write")
        };
        expect![[
            r#"{"metadata":{"labels":{"muster.dev/sdk-map":"a"}},"status":{"connect":{"bootId":"01010101010101010101010101010101","keyVersion":7},"state":"RequestReady"}}"#
        ]]
        .assert_eq(&patch.to_string());
    }

    #[test]
    fn players_are_counted_and_the_first_one_claims() {
        let players = |count| Change {
            player_count: Some(count),
            ..Change::default()
        };
        let mut allocated = server(State::Allocated, "a");
        check(
            &allocated,
            None,
            &players(1),
            &expect![[
                r#"{"metadata":{"annotations":{"muster.dev/claim-time":"2026-01-02T03:04:05Z","muster.dev/player-count":"1"}}}"#
            ]],
        );
        check(&allocated, None, &players(0), &expect!["Nothing"]);
        let text = str::to_owned;
        allocated.metadata.annotations = Some(std::collections::BTreeMap::from([
            (text(meta::CLAIM_TIME_ANNOTATION), text("earlier")),
            (text(meta::PLAYER_COUNT_ANNOTATION), text("1")),
        ]));
        check(&allocated, None, &players(1), &expect!["Nothing"]);
        check(
            &allocated,
            None,
            &players(2),
            &expect![[r#"{"metadata":{"annotations":{"muster.dev/player-count":"2"}}}"#]],
        );
        check(
            &allocated,
            None,
            &players(0),
            &expect![[r#"{"metadata":{"annotations":{"muster.dev/player-count":null}}}"#]],
        );
        // Whoever joins a server that no match has claims nothing.
        check(
            &server(State::Ready, "a"),
            None,
            &players(1),
            &expect![[r#"{"metadata":{"annotations":{"muster.dev/player-count":"1"}}}"#]],
        );
    }

    #[test]
    fn the_end_of_a_match_is_written_with_the_state_and_once() {
        let mut allocated = server(State::Allocated, "a");
        let text = str::to_owned;
        allocated.metadata.annotations = Some(std::collections::BTreeMap::from([
            (text(meta::MATCH_ANNOTATION), of_match(171)),
            (text(meta::CLAIM_TIME_ANNOTATION), text("earlier")),
            (text(meta::PLAYER_COUNT_ANNOTATION), text("2")),
        ]));
        let mut change = wants(Wanted::Ready);
        change.player_count = Some(0);
        change.match_result = Some(MatchResult {
            match_id: vec![171; 16],
            result: text(r#"{"winner":2}"#),
        });
        check(
            &allocated,
            None,
            &change,
            &expect![[
                r#"{"metadata":{"annotations":{"muster.dev/claim-time":null,"muster.dev/match":null,"muster.dev/match-result":"{\"matchId\":\"abababab-abab-abab-abab-abababababab\",\"result\":\"{\\\"winner\\\":2}\"}","muster.dev/player-count":null}},"status":{"state":"Ready"}}"#
            ]],
        );
        let mut ended = server(State::Ready, "a");
        ended.metadata.annotations = Some(std::collections::BTreeMap::from([(
            text(meta::MATCH_RESULT_ANNOTATION),
            text(r#"{"matchId":"abababab-abab-abab-abab-abababababab","result":"1"}"#),
        )]));
        check(&ended, None, &change, &expect!["Nothing"]);
    }

    fn of_match(id: u8) -> String {
        let match_id = Uuid([id; 16]);
        format!(r#"{{"matchId":"{match_id}","requestId":"r"}}"#)
    }

    #[test]
    fn the_end_of_another_match_is_dropped_with_the_state_that_was_to_follow() {
        let mut allocated = server(State::Allocated, "a");
        let mut matchless = allocated.clone();
        let annotations = allocated.metadata.annotations.get_or_insert_default();
        annotations.insert(meta::MATCH_ANNOTATION.to_owned(), of_match(2));
        let annotations = matchless.metadata.annotations.get_or_insert_default();
        annotations.insert(meta::MATCH_ANNOTATION.to_owned(), "{}".to_owned());
        for wanted in [Wanted::Shutdown, Wanted::Ready] {
            let mut change = wants(wanted);
            change.match_result = Some(MatchResult {
                match_id: vec![1; 16],
                result: "1".to_owned(),
            });
            assert!(ends_another_match(&allocated, &change));
            check(&allocated, None, &change, &expect!["Nothing"]);
            check(&matchless, None, &change, &expect!["Nothing"]);
            // The rest of the change is as good as ever.
            change.labels.insert("map".to_owned(), "a".to_owned());
            check(
                &allocated,
                None,
                &change,
                &expect![[r#"{"metadata":{"labels":{"muster.dev/sdk-map":"a"}}}"#]],
            );
        }
        let mut failed = wants(Wanted::Unhealthy);
        failed.match_result = Some(MatchResult {
            match_id: vec![1; 16],
            result: "1".to_owned(),
        });
        check(
            &allocated,
            None,
            &failed,
            &expect![[
                r#"{"metadata":{"annotations":{"muster.dev/unhealthy-at":"2026-01-02T03:04:05Z"}},"status":{"state":"Unhealthy"}}"#
            ]],
        );
        assert!(!ends_another_match(&allocated, &wants(Wanted::Shutdown)));
    }

    #[test]
    fn what_a_game_must_not_send_is_refused() {
        let refused = |change: &Change, expected: &Expect| {
            check(&server(State::Allocated, "a"), None, change, expected);
        };
        refused(
            &Change {
                boot_id: Some(vec![1; 15]),
                key_version: 1,
                ..Change::default()
            },
            &expect![[r#"Refuse(InvalidArgument, "boot_id must have 16 bytes")"#]],
        );
        refused(
            &Change {
                boot_id: Some(vec![1; 16]),
                ..Change::default()
            },
            &expect![[r#"Refuse(InvalidArgument, "key_version is missing")"#]],
        );
        let result = |bytes: usize, length: usize| Change {
            match_result: Some(MatchResult {
                match_id: vec![1; bytes],
                result: "x".repeat(length),
            }),
            ..Change::default()
        };
        refused(
            &result(4, 1),
            &expect![[r#"Refuse(InvalidArgument, "match_result.match_id must have 16 bytes")"#]],
        );
        refused(
            &result(16, 8193),
            &expect![[
                r#"Refuse(InvalidArgument, "match_result.result has 8193 bytes, at most 8192 are allowed")"#
            ]],
        );
    }
}
