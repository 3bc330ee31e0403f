//! From a change that an SDK server asks for to a patch of the game server. Pure.
//!
//! The live guard is here: a server that is Unhealthy, has ended or is being deleted changes its
//! state no more.
#![deny(clippy::wildcard_enum_match_arm)]

use crds::gameserver::{GameServer, GameServerStatusAddress};
use crds::meta;
use crds::state::State;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use proto::muster::hub::v1::state_change::State as Wanted;
use proto::muster::hub::v1::{Change, StateChange};
use serde_json::{Map, Value, json};
use tonic::Code;

use crate::gameserver::plan::Place;
use crate::nodes::POD_IP;

/// Most labels and most annotations in one change.
const MOST_KEYS: usize = 256;

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
    if let Some(wanted) = &change.state
        && !server.is_being_deleted()
        && !is_outdated(server, wanted)
    {
        match state_patch(now, server, place, wanted) {
            Ok(StatePatch { fields, annotation }) => {
                status = fields;
                if let Some((key, value)) = annotation {
                    annotations.insert(key.to_owned(), value.into());
                }
                // A server that is free again belongs to no match any more.
                if status.get("state") == Some(&json!(State::Ready))
                    && server.labels().contains_key(meta::MATCH_ALLOCATION_LABEL)
                {
                    labels.insert(meta::MATCH_ALLOCATION_LABEL.to_owned(), Value::Null);
                }
            }
            Err(other) => return other,
        }
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
            meta::MATCH_ALLOCATION_LABEL.to_owned(),
            "uid".to_owned(),
        )]));
        check(
            &allocated,
            None,
            &wants(Wanted::Ready),
            &expect![[
                r#"{"metadata":{"labels":{"muster.dev/match-allocation":null}},"status":{"state":"Ready"}}"#
            ]],
        );
    }
}
