//! What the object of a game server says of its match: the contents of two annotations.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::meta;

/// The match that a server is allocated for: the annotation
/// [`MATCH_ANNOTATION`](crate::meta::MATCH_ANNOTATION), written with the allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// A UUID.
    pub match_id: String,
    /// As in the label [`REQUEST_LABEL`](crate::meta::REQUEST_LABEL).
    pub request_id: String,
    /// Whom to expect; others may come later.
    #[serde(default)]
    pub players: Vec<Player>,
    /// The trace in which the server was allocated, as `traceparent` of W3C Trace Context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_context: Option<String>,
    /// The same of players who have a trace of their own, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub player_traces: BTreeMap<String, String>,
}

/// A player of a match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Player {
    /// A UUID, in lower case.
    #[schemars(
        length(max = 36),
        pattern("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    )]
    pub player_id: String,
    /// The side it plays on.
    #[serde(default)]
    #[schemars(with = "i32", range(min = 0, max = 255))]
    pub team: u8,
}

/// How a match ended: the annotation
/// [`MATCH_RESULT_ANNOTATION`](crate::meta::MATCH_RESULT_ANNOTATION), written once per match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatchEnd {
    /// The match, as in [`Match::match_id`].
    pub match_id: String,
    /// JSON, as the game server reported it.
    pub result: String,
}

/// What a merge patch takes from a server that is free again; serialized, it is the patch's
/// `metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// The labels that go, each with `null`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub labels: Map<String, Value>,
    /// The annotations that go, each with `null`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub annotations: Map<String, Value>,
}

/// What a server that returns to Ready forgets of its match, whoever releases it. What remains is
/// how the match ended. Only what is there goes, so the write must be guarded by the version that
/// `metadata` is of.
pub fn forget(metadata: &ObjectMeta) -> Forgotten {
    let present = |written: &Option<BTreeMap<String, String>>, keys: &[&'static str]| {
        let is_there = |key: &&'static str| {
            let written = written.as_ref();
            written.is_some_and(|written| written.contains_key(*key))
        };
        keys.iter()
            .copied()
            .filter(is_there)
            .map(|key| (key.to_owned(), Value::Null))
            .collect()
    };
    let of_match = [
        meta::MATCH_ANNOTATION,
        meta::CLAIM_TIME_ANNOTATION,
        meta::PLAYER_COUNT_ANNOTATION,
    ];
    Forgotten {
        labels: present(&metadata.labels, &[meta::REQUEST_LABEL]),
        annotations: present(&metadata.annotations, &of_match),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(keys: &[&str]) -> BTreeMap<String, String> {
        let entry = |key: &&str| ((*key).to_owned(), "1".to_owned());
        keys.iter().map(entry).collect()
    }

    #[test]
    fn a_free_server_forgets_its_match_but_not_how_it_ended() {
        let metadata = ObjectMeta {
            labels: Some(written(&[meta::REQUEST_LABEL, meta::FLEET_LABEL])),
            annotations: Some(written(&[
                meta::MATCH_ANNOTATION,
                meta::MATCH_RESULT_ANNOTATION,
                meta::CLAIM_TIME_ANNOTATION,
                meta::PLAYER_COUNT_ANNOTATION,
                meta::LAST_ALLOCATED_ANNOTATION,
            ])),
            ..ObjectMeta::default()
        };
        assert_eq!(
            serde_json::to_value(forget(&metadata)).unwrap(),
            json!({
                "labels": { "muster.dev/request": null },
                "annotations": {
                    "muster.dev/claim-time": null,
                    "muster.dev/match": null,
                    "muster.dev/player-count": null,
                },
            })
        );
    }

    #[test]
    fn what_is_not_there_is_not_written() {
        let forgotten = forget(&ObjectMeta::default());
        assert_eq!(serde_json::to_value(forgotten).unwrap(), json!({}));
    }
}
