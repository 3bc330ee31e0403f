//! The rules of a room, as its host sets them.

use std::collections::BTreeMap;

use proto::muster::lobby::v1 as wire;
use serde::{Deserialize, Serialize};

use super::Kind;
use crate::error::Failure;
use crate::matchmaking::queue::Teams;

/// Bytes of a room's name at most.
const MAX_NAME: usize = 64;

/// Properties at most, and bytes of their names and values.
const MAX_PROPERTIES: usize = 16;
const MAX_PROPERTY_NAME: usize = 64;
const MAX_PROPERTY: usize = 256;

/// Members of a party, unless its host says otherwise.
const PARTY_CAPACITY: u16 = 4;

/// Members of a lobby at most, and unless its host or its queue says otherwise.
const LOBBY_CAPACITY: u16 = 64;
const USUAL_CAPACITY: u16 = 16;

/// The rules of a room.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// For people.
    pub name: String,
    /// Found by search, and joined without a code.
    pub is_public: bool,
    /// Members at most.
    pub capacity: u16,
    /// Nobody joins.
    pub is_locked: bool,
    /// What the game keeps there.
    pub properties: BTreeMap<String, String>,
    /// The queue whose shape and servers the room's own match has.
    pub queue: Option<String>,
    /// The shape of that queue's matches when it was chosen.
    pub teams: Option<Teams>,
}

impl Settings {
    /// What a client says, if it is well formed. `shape` knows the queues.
    pub fn said(
        kind: Kind,
        said: wire::RoomSettings,
        shape: impl Fn(&str) -> Option<Teams>,
    ) -> Result<Self, Failure> {
        if said.name.len() > MAX_NAME || said.name.contains(char::is_control) {
            let problem = format!("must be {MAX_NAME} bytes at most, without control characters");
            return Err(Failure::field("settings.name", problem));
        }
        if kind == Kind::Party && (said.is_public || !said.queue.is_empty()) {
            let field = if said.is_public { "is_public" } else { "queue" };
            let problem = "must be left out: it is for lobbies";
            return Err(Failure::field(format!("settings.{field}"), problem));
        }
        let queue = Some(said.queue).filter(|queue| !queue.is_empty());
        let teams = match &queue {
            None => None,
            Some(name) => {
                let no_queue = || Failure::field("settings.queue", "must be the name of a queue");
                Some(shape(name).ok_or_else(no_queue)?)
            }
        };
        check_properties(&said.properties)?;
        Ok(Self {
            name: said.name,
            is_public: said.is_public,
            capacity: capacity(kind, said.capacity, teams)?,
            is_locked: said.is_locked,
            properties: said.properties,
            queue,
            teams,
        })
    }

    /// Whether what is played stays the same, so that who was ready is ready still.
    pub(super) fn is_same_game(&self, other: &Self) -> bool {
        self.queue == other.queue
            && self.teams == other.teams
            && self.properties == other.properties
    }
}

fn capacity(kind: Kind, said: u32, teams: Option<Teams>) -> Result<u16, Failure> {
    let (least, most) = match kind {
        Kind::Party => (2, 16),
        Kind::Lobby => (1, LOBBY_CAPACITY),
    };
    if said == 0 {
        return Ok(match (kind, teams) {
            (Kind::Party, _) => PARTY_CAPACITY,
            (Kind::Lobby, None) => USUAL_CAPACITY,
            (Kind::Lobby, Some(teams)) => {
                let players = u16::try_from(teams.players()).unwrap_or(u16::MAX);
                players.min(LOBBY_CAPACITY)
            }
        });
    }
    let said = u16::try_from(said).unwrap_or(u16::MAX);
    if (least..=most).contains(&said) {
        Ok(said)
    } else {
        let problem = format!("must be {least} to {most}");
        Err(Failure::field("settings.capacity", problem))
    }
}

fn check_properties(properties: &BTreeMap<String, String>) -> Result<(), Failure> {
    let path = "settings.properties";
    if properties.len() > MAX_PROPERTIES {
        let problem = format!("must be {MAX_PROPERTIES} at most");
        return Err(Failure::field(path, problem));
    }
    for (name, value) in properties {
        if !(1..=MAX_PROPERTY_NAME).contains(&name.len()) || name.contains(char::is_control) {
            let problem = format!(
                "must have names of 1 to {MAX_PROPERTY_NAME} bytes without control characters"
            );
            return Err(Failure::field(path, problem));
        }
        if value.len() > MAX_PROPERTY {
            let problem = format!("must be {MAX_PROPERTY} bytes at most");
            return Err(Failure::field(format!("{path}.{name}"), problem));
        }
    }
    Ok(())
}
