//! Parties and lobbies: players who are together before a match, under the rules of a host.
//!
//! A room is a value. [`Room::apply`] says what a command makes of it and what its members must hear;
//! who calls it writes the value down by compare-and-swap, so that any lobby may change any room.
//! Nothing here reads a clock or waits.
//!
//! What holds of every room, whatever is done to it:
//!
//! - it has a member, and its host is one; a room without members is over;
//! - nobody is in it twice, and it never has more members than its capacity;
//! - who was kicked comes back by a new invitation of the host alone;
//! - who has no socket for [`ABSENCE`] is not in it any more;
//! - while a match of it is starting, nobody joins and no team changes.

pub mod code;
pub mod regions;
pub mod settings;

mod change;
mod said;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::change::{Command, Entry, Happening};
pub use self::settings::Settings;
use crate::error::{Code, Failure};
use crate::ids::{MatchId, PlayerId, RoomId, SessionId};
use crate::matchmaking::queue::Teams;

/// How long a member may be without a socket.
pub const ABSENCE: Duration = Duration::from_secs(30);

/// How long an invitation is good for.
pub const INVITATION: Duration = Duration::from_mins(5);

/// How long a start may take before another one may begin.
pub const START: Duration = Duration::from_secs(30);

/// Open invitations of a room at most.
pub const MAX_INVITATIONS: usize = 64;

/// Kicked players that a room remembers at most: the oldest is forgotten first.
pub const MAX_KICKED: usize = 64;

/// Teams of a room that names no queue, at most.
pub const MAX_TEAMS: u16 = 64;

/// What a room is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Players who queue together.
    Party,
    /// Players who make a match of their own.
    Lobby,
}

/// A party or a lobby.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// What it is for; never changes.
    pub kind: Kind,
    /// By which others join; never changes.
    pub code: String,
    /// Who decides.
    pub host: PlayerId,
    /// Who is in it, the longest member first.
    pub members: Vec<Member>,
    /// Its rules.
    pub settings: Settings,
    /// Who may join though the room is private.
    pub invitations: Vec<Invitation>,
    /// Who may not come back, the last one last.
    pub kicked: Vec<PlayerId>,
    /// A match of the room that has no server yet.
    pub starting: Option<Starting>,
    /// Counts what members can see change.
    pub version: u64,
}

/// Somebody in a room.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Who.
    pub player: PlayerId,
    /// The session of the member's last call that counts for a match: joining and being ready.
    pub session: SessionId,
    /// Whether the member wants to begin.
    pub is_ready: bool,
    /// Which team, from 0.
    pub team: u16,
    /// Since when there is no socket; none while there is one.
    pub lost_at: Option<Timestamp>,
}

/// Somebody may join.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// Who.
    pub player: PlayerId,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A match is looking for a server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Starting {
    /// The match. The same players who try again get the same one, whose server may be there.
    pub id: MatchId,
    /// Who plays.
    pub players: Vec<PlayerId>,
    /// Until when nobody else may try.
    pub until: Timestamp,
}

impl Room {
    /// A new room with its host alone.
    pub fn new(id: RoomId, kind: Kind, code: String, host: Member, settings: Settings) -> Self {
        Self {
            id,
            kind,
            code,
            host: host.player,
            members: vec![host],
            settings,
            invitations: Vec::new(),
            kicked: Vec::new(),
            starting: None,
            version: 1,
        }
    }

    /// A member.
    pub fn member(&self, player: PlayerId) -> Option<&Member> {
        self.members.iter().find(|member| member.player == player)
    }

    /// Who is in it.
    pub fn players(&self) -> Vec<PlayerId> {
        self.members.iter().map(|member| member.player).collect()
    }

    /// Whether nobody is left.
    pub fn is_over(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether a search may find it.
    pub fn is_listed(&self) -> bool {
        self.kind == Kind::Lobby && self.settings.is_public && !self.is_over()
    }

    /// Whether there is room for one more, and the door is open.
    pub fn is_open(&self) -> bool {
        !self.settings.is_locked && self.members.len() < usize::from(self.settings.capacity)
    }

    /// The members by team, if they fit a shape: every team has somebody, and none too many.
    pub fn teams(&self, shape: Teams) -> Result<Vec<Vec<&Member>>, Failure> {
        let mut teams = vec![Vec::new(); usize::from(shape.count)];
        for member in &self.members {
            let Some(team) = teams.get_mut(usize::from(member.team)) else {
                let problem = format!("team {} is not in a match of this queue", member.team);
                return Err(Failure::new(Code::Conflict, problem));
            };
            team.push(member);
        }
        for (number, team) in teams.iter().enumerate() {
            if team.is_empty() || team.len() > usize::from(shape.size) {
                let count = team.len();
                let problem = format!("team {number} has {count} players, of 1 to {}", shape.size);
                return Err(Failure::new(Code::Conflict, problem));
            }
        }
        Ok(teams)
    }

    /// The team that somebody new belongs to: the one with the fewest, the first of such.
    fn weakest_team(&self) -> u16 {
        let teams = self.settings.teams.map_or(1, |shape| shape.count);
        let count = |team: &u16| {
            let members = self.members.iter();
            members.filter(|member| member.team == *team).count()
        };
        (0..teams).min_by_key(count).unwrap_or_default()
    }
}

impl Member {
    /// Somebody who has just come.
    pub fn new(player: PlayerId, session: SessionId) -> Self {
        Self {
            player,
            session,
            is_ready: false,
            team: 0,
            lost_at: None,
        }
    }

    /// Whether there is a socket.
    pub fn is_connected(&self) -> bool {
        self.lost_at.is_none()
    }
}
