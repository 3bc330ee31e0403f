//! Rooms as clients see them.

use proto::muster::lobby::v1 as wire;

use super::{Kind, Member, Room, Settings};
use crate::error::Failure;

impl Kind {
    /// As a client says it.
    pub fn said(kind: i32) -> Result<Self, Failure> {
        match wire::RoomKind::try_from(kind) {
            Ok(wire::RoomKind::Party) => Ok(Self::Party),
            Ok(wire::RoomKind::Lobby) => Ok(Self::Lobby),
            Err(_) => Err(Failure::field("kind", "must be PARTY or LOBBY")),
        }
    }

    const fn wire(self) -> wire::RoomKind {
        match self {
            Self::Party => wire::RoomKind::Party,
            Self::Lobby => wire::RoomKind::Lobby,
        }
    }
}

impl Room {
    /// As its members see it.
    pub fn to_wire(&self) -> wire::Room {
        wire::Room {
            code: self.code.clone(),
            ..self.to_guest()
        }
    }

    /// As others see it: without the code, which lets in.
    pub fn to_guest(&self) -> wire::Room {
        wire::Room {
            id: self.id.to_string(),
            kind: self.kind.wire().into(),
            code: String::new(),
            host: self.host.to_string(),
            members: self.members.iter().map(Member::to_wire).collect(),
            settings: Some(self.settings.to_wire()),
            version: self.version,
        }
    }
}

impl Member {
    fn to_wire(&self) -> wire::Member {
        wire::Member {
            player_id: self.player.to_string(),
            is_ready: self.is_ready,
            team: self.team.into(),
            is_connected: self.is_connected(),
        }
    }
}

impl Settings {
    fn to_wire(&self) -> wire::RoomSettings {
        wire::RoomSettings {
            name: self.name.clone(),
            is_public: self.is_public,
            capacity: self.capacity.into(),
            is_locked: self.is_locked,
            properties: self.properties.clone(),
            queue: self.queue.clone().unwrap_or_default(),
        }
    }
}
