//! A ticket: a player or a party who want to play. Lobbies of two versions read each other's, so that
//! fields that one does not know are let be.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{PlayerId, SessionId, TicketId};

/// Those who want to play together, and with whom.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// Given once, and kept through every attempt to place it.
    pub id: TicketId,
    /// When it was put in. Its age counts from here, also when an attempt failed.
    pub entered: Timestamp,
    /// One for a player alone.
    pub players: Vec<Player>,
    /// What its players ask of everybody else, beside the rules of the queue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub demands: Vec<Demand>,
    /// Players whom it does not play with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub avoided: Vec<PlayerId>,
}

/// A player of a ticket, as the matchmaker sees him.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Player {
    /// The player.
    pub id: PlayerId,
    /// How good he is at this queue's game: the mean of his rating.
    pub rating: f64,
    /// What rules are about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Attribute>,
    /// Milliseconds to each region, as his client measured them. Regions that are missing are out
    /// of reach.
    pub latencies: BTreeMap<String, u32>,
    /// The session in which he entered: game servers know him by it.
    pub session: SessionId,
    /// His trace, as `traceparent`; empty without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace_context: String,
}

/// A fact about a player.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Attribute {
    /// Such as a level.
    Number(f64),
    /// Such as a mode.
    Text(String),
}

/// What a ticket asks of every player of other tickets.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Demand {
    /// Of which attribute. A player who has it not does not meet the demand.
    pub attribute: String,
    /// What must hold.
    pub must: Must,
    /// Seconds of waiting after which it is dropped; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_seconds: Option<u32>,
}

/// What must hold of an attribute.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Must {
    /// One of these texts.
    BeOneOf(Vec<String>),
    /// A number of at least this.
    BeAtLeast(f64),
    /// A number of at most this.
    BeAtMost(f64),
}

impl Ticket {
    /// Who they are.
    pub fn player_ids(&self) -> impl Iterator<Item = PlayerId> {
        self.players.iter().map(|player| player.id)
    }
}

impl Demand {
    /// Whether it still stands after so many milliseconds of waiting.
    pub(super) fn stands(&self, waited: u64) -> bool {
        self.until_seconds
            .is_none_or(|seconds| waited < u64::from(seconds) * 1000)
    }

    /// Whether a player meets it.
    pub(super) fn is_met_by(&self, player: &Player) -> bool {
        match (player.attributes.get(&self.attribute), &self.must) {
            (Some(Attribute::Text(text)), Must::BeOneOf(texts)) => texts.contains(text),
            (Some(Attribute::Number(number)), Must::BeAtLeast(least)) => number >= least,
            (Some(Attribute::Number(number)), Must::BeAtMost(most)) => number <= most,
            _ => false,
        }
    }
}
