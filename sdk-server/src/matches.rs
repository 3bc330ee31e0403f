//! What the object says of its match, as the game sees it. Pure.
//!
//! The allocator writes the match into an annotation, as JSON; the names of its fields are those
//! of `crds::matches`, which this crate leaves out to stay small.

use std::collections::BTreeMap;

use proto::Uuid;
use proto::agones::dev::sdk::GameServer;
use proto::muster::sdk::v1::{Match, Player, WatchMatchResponse};
use serde::Deserialize;

/// How the last match ended.
pub(crate) const RESULT_ANNOTATION: &str = "muster.dev/match-result";
/// The match of the server.
pub(crate) const MATCH_ANNOTATION: &str = "muster.dev/match";
/// When the server was allocated, RFC 3339.
pub(crate) const LAST_ALLOCATED_ANNOTATION: &str = "muster.dev/last-allocated";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    match_id: String,
    #[serde(default)]
    players: Vec<WrittenPlayer>,
    #[serde(default)]
    trace_context: String,
    #[serde(default)]
    player_traces: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenPlayer {
    player_id: String,
    #[serde(default)]
    team: u32,
}

/// The match of an object, from what the allocation has written (empty: nothing).
pub(crate) fn current(text: &str, object: &GameServer) -> WatchMatchResponse {
    let state = object.status.as_ref().map(|status| status.state.as_str());
    let is_allocated = state == Some("Allocated");
    let found = Some(text)
        .filter(|text| is_allocated && !text.is_empty())
        .and_then(|text| parse(text, annotation(object, LAST_ALLOCATED_ANNOTATION)));
    WatchMatchResponse { r#match: found }
}

/// The id of the match that ended last.
pub(crate) fn last_ended(object: &GameServer) -> Option<Uuid> {
    let written: Written = serde_json::from_str(annotation(object, RESULT_ANNOTATION)?).ok()?;
    Uuid::parse(&written.match_id)
}

/// Reads an annotation of an object.
pub(crate) fn annotation<'a>(object: &'a GameServer, key: &str) -> Option<&'a str> {
    let annotations = &object.object_meta.as_ref()?.annotations;
    annotations.get(key).map(String::as_str)
}

fn parse(text: &str, allocated_at: Option<&str>) -> Option<Match> {
    let parsed = serde_json::from_str::<Written>(text)
        .ok()
        .and_then(|written| Some((Uuid::parse(&written.match_id)?, written)));
    let Some((match_id, mut written)) = parsed else {
        tracing::warn!("Ignored annotation {MATCH_ANNOTATION}: it holds no match");
        return None;
    };
    let traces = &mut written.player_traces;
    let players = written.players.into_iter().map(|player| Player {
        trace_context: traces.remove(&player.player_id).unwrap_or_default(),
        player_id: player.player_id,
        team: player.team,
    });
    let mut found = Match {
        match_id: match_id.0.to_vec(),
        players: players.collect(),
        allocation_time: None,
        trace_context: written.trace_context,
    };
    if let Some(time) = allocated_at.and_then(|text| text.parse::<jiff::Timestamp>().ok()) {
        let allocation_time = found.allocation_time.get_or_insert_default();
        allocation_time.seconds = time.as_second();
        allocation_time.nanos = time.subsec_nanosecond();
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::game_server;

    const ID: &str = "0a0b0c0d-0e0f-4011-8213-141516171819";

    fn object(state: &str, annotations: &[(&str, &str)]) -> GameServer {
        let mut object = game_server(state);
        let meta = object.object_meta.get_or_insert_default();
        for (key, value) in annotations {
            meta.annotations
                .insert((*key).to_owned(), (*value).to_owned());
        }
        object
    }

    #[test]
    fn an_allocated_server_shows_its_match() {
        let text = format!(
            r#"{{"matchId":"{ID}","requestId":"r","players":[{{"playerId":"p","team":2}}]}}"#
        );
        let at = [(LAST_ALLOCATED_ANNOTATION, "2026-01-02T03:04:05.5Z")];
        let found = current(&text, &object("Allocated", &at)).r#match.unwrap();
        assert_eq!(found.match_id, Uuid::parse(ID).unwrap().0);
        assert_eq!(
            (found.players[0].player_id.as_str(), found.players[0].team),
            ("p", 2)
        );
        let time = found.allocation_time.unwrap();
        assert_eq!((time.seconds, time.nanos), (1_767_323_045, 500_000_000));
        assert_eq!(current(&text, &object("Shutdown", &at)).r#match, None);
    }

    #[test]
    fn traces_are_those_of_the_match_and_of_its_players() {
        let text = format!(
            r#"{{"matchId":"{ID}","players":[{{"playerId":"p"}},{{"playerId":"q"}}],
            "traceContext":"of-match","playerTraces":{{"q":"of-q","r":"of-nobody"}}}}"#
        );
        let found = current(&text, &object("Allocated", &[])).r#match.unwrap();
        assert_eq!(found.trace_context, "of-match");
        let of_players = found.players.iter().map(|player| &*player.trace_context);
        assert_eq!(of_players.collect::<Vec<_>>(), ["", "of-q"]);
    }

    #[test]
    fn no_match_and_nonsense_show_none() {
        let object = object("Allocated", &[]);
        for text in ["", "{}", "[", r#"{"matchId":"short"}"#] {
            assert_eq!(current(text, &object).r#match, None, "{text}");
        }
    }

    #[test]
    fn the_last_match_is_read_from_its_result() {
        let result = format!(r#"{{"matchId":"{ID}","result":"{{}}"}}"#);
        let ended = object("Ready", &[(RESULT_ANNOTATION, &result)]);
        assert_eq!(last_ended(&ended), Uuid::parse(ID));
        assert_eq!(last_ended(&object("Ready", &[])), None);
    }
}
