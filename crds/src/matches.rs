//! What the object of a game server says of its match: the contents of two annotations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
