//! Parties and lobbies: the calls of their members.
//!
//! A room is a live document that any lobby may change ([`crate::rooms`] decides how), and the truth
//! about who is in it. Beside it stands a pointer from each player to his party and his lobby: who
//! joins claims the pointer first, and a pointer to a room without the player is void. So a player is
//! in one party and one lobby at most, wherever calls come in, and what a lobby leaves half done when
//! it dies is void or is put right by the [`sweep`].

pub mod sweep;

mod change;
mod claim;
mod start;
#[cfg(test)]
pub(super) mod tests;

use std::time::Duration;

use access::jws::sha256;
use futures::StreamExt as _;
use proto::muster::lobby::v1 as wire;
use uuid::Uuid;

pub use self::claim::Joined;
use super::{Caller, Service};
use crate::chat::moderation::Verdict;
use crate::documents;
use crate::error::{Code, Failure};
use crate::ids::{PlayerId, RoomId};
use crate::live::{Key, Written};
use crate::rooms::{Command, Entry, Kind, Member, Room, Settings, code};

/// How long a room and its code are kept from their last change, or from when the sweep touched
/// them. Pointers are kept for longer, so that a room's member has one.
const KEEP: Duration = Duration::from_mins(10);

/// Codes that are drawn at most until one is free: of 2^30 nearly all are.
const DRAWS: usize = 8;

/// Public rooms that a search looks at, at most, and how many at once.
const SEARCHED: usize = 256;
const AT_ONCE: usize = 16;

/// Rooms that a search finds at most.
const FOUND: usize = 50;

/// How often a player may do what could be used for guessing or to pester others: so many at once,
/// and one in each period.
const CODES: (u32, Duration) = (10, Duration::from_secs(6));
const INVITATIONS: (u32, Duration) = (20, Duration::from_secs(3));
const CREATIONS: (u32, Duration) = (5, Duration::from_secs(5));
const SEARCHES: (u32, Duration) = (10, Duration::from_secs(1));

/// The set of rooms that searches look at.
const LISTED: &str = "rooms:public";

impl Service {
    /// Makes a room whose host the caller is.
    pub async fn create_room(
        &self,
        caller: &Caller,
        call: wire::CreateRoom,
    ) -> Result<wire::Room, Failure> {
        let kind = Kind::said(call.kind)?;
        let settings = self.settings(kind, call.settings.unwrap_or_default())?;
        self.at_most(CREATIONS, "create_room", caller.player)
            .await?;
        let id = RoomId(Uuid::new_v4());
        self.claim(caller.player, kind, id).await?;
        match self.write_room(caller, id, kind, settings).await {
            Ok(room) => {
                self.confirm(caller.player, &room).await?;
                Ok(room.to_wire())
            }
            Err(failure) => {
                self.unclaim(caller.player, kind, id).await;
                Err(failure)
            }
        }
    }

    async fn write_room(
        &self,
        caller: &Caller,
        id: RoomId,
        kind: Kind,
        settings: Settings,
    ) -> Result<Room, Failure> {
        let code = self.draw_code(id).await?;
        let host = Member::new(caller.player, caller.session);
        let room = Room::new(id, kind, code, host, settings);
        // First what finds it: a mark without a room passes, a room without one is not swept.
        sweep::mark(self, id).await?;
        if room.is_listed() {
            self.list(&room).await?;
        }
        documents::put(&*self.parts.live, &Key::Room(id), &room, KEEP).await?;
        Ok(room)
    }

    /// A code that leads to the room, and to no other.
    async fn draw_code(&self, id: RoomId) -> Result<String, Failure> {
        let value = serde_json::to_vec(&id).map_err(|error| Failure::defect("A room", &error))?;
        for _ in 0..DRAWS {
            let mut random = [0; 6];
            aws_lc_rs::rand::fill(&mut random)
                .map_err(|error| Failure::defect("Randomness failed", &error))?;
            let code = code::draw(random);
            let key = Key::Code(code.clone());
            let written = self.parts.live.write(&key, 0, &value, KEEP).await?;
            if matches!(written, Written::Version(_)) {
                return Ok(code);
            }
        }
        Err(Failure::new(Code::Unavailable, "no code is free"))
    }

    /// Takes the caller into a room: a public one, one with an invitation, or one by its code.
    pub async fn join_room(
        &self,
        caller: &Caller,
        call: wire::JoinRoom,
    ) -> Result<wire::Room, Failure> {
        use wire::join_room::By;
        let (id, entry) = match call.by {
            Some(By::RoomId(id)) => (room_id(&id)?, Entry::Id),
            Some(By::Code(typed)) => {
                let problem = "must be six letters and digits";
                let code = code::read(&typed).ok_or_else(|| Failure::field("code", problem))?;
                self.at_most(CODES, "join_room", caller.player).await?;
                let key = Key::Code(code.clone());
                let (id, _) = documents::read(&*self.parts.live, &key).await?;
                (id.ok_or_else(no_room)?, Entry::Code(code))
            }
            None => return Err(Failure::field("by", "must have a room or a code")),
        };
        let kind = self.room(id).await?.ok_or_else(no_room)?.kind;
        let join = Command::Join {
            player: caller.player,
            session: caller.session,
            by: entry,
        };
        self.claim(caller.player, kind, id).await?;
        match self.change(id, &join).await {
            Ok(room) => {
                self.confirm(caller.player, &room).await?;
                Ok(room.to_wire())
            }
            Err(failure) => {
                self.unclaim(caller.player, kind, id).await;
                Err(failure)
            }
        }
    }

    /// Takes the caller out of a room.
    pub async fn leave_room(&self, caller: &Caller, call: wire::LeaveRoom) -> Result<(), Failure> {
        let id = self.room_of(caller, &call.room_id).await?;
        let player = caller.player;
        self.change(id, &Command::Leave { player }).await?;
        Ok(())
    }

    /// Sends a member away.
    pub async fn kick_member(
        &self,
        caller: &Caller,
        call: wire::KickMember,
    ) -> Result<(), Failure> {
        let id = self.room_of(caller, &call.room_id).await?;
        let kick = Command::Kick {
            by: caller.player,
            player: super::player("player_id", &call.player_id)?,
        };
        self.change(id, &kick).await?;
        Ok(())
    }

    /// Makes a member the host.
    pub async fn promote_member(
        &self,
        caller: &Caller,
        call: wire::PromoteMember,
    ) -> Result<(), Failure> {
        let id = self.room_of(caller, &call.room_id).await?;
        let promote = Command::Promote {
            by: caller.player,
            player: super::player("player_id", &call.player_id)?,
        };
        self.change(id, &promote).await?;
        Ok(())
    }

    /// Notes whether the caller wants to begin.
    pub async fn set_ready(&self, caller: &Caller, call: wire::SetReady) -> Result<(), Failure> {
        let id = self.room_of(caller, &call.room_id).await?;
        let ready = Command::Ready {
            player: caller.player,
            session: caller.session,
            is_ready: call.is_ready,
        };
        self.change(id, &ready).await?;
        Ok(())
    }

    /// Puts the caller into a team.
    pub async fn set_team(&self, caller: &Caller, call: wire::SetTeam) -> Result<(), Failure> {
        let id = self.room_of(caller, &call.room_id).await?;
        let team = Command::Team {
            player: caller.player,
            // No room has so many teams: it is refused with the right number.
            team: u16::try_from(call.team).unwrap_or(u16::MAX),
        };
        self.change(id, &team).await?;
        Ok(())
    }

    /// Replaces a room's settings.
    pub async fn change_room(
        &self,
        caller: &Caller,
        call: wire::ChangeRoom,
    ) -> Result<wire::Room, Failure> {
        let id = self.room_of(caller, &call.room_id).await?;
        let kind = self.room(id).await?.ok_or_else(no_room)?.kind;
        let Some(said) = call.settings else {
            return Err(Failure::field("settings", "must be there"));
        };
        let change = Command::Change {
            by: caller.player,
            settings: self.settings(kind, said)?,
        };
        Ok(self.change(id, &change).await?.to_wire())
    }

    /// Asks a player into a room, and tells him.
    pub async fn invite_player(
        &self,
        caller: &Caller,
        call: wire::InvitePlayer,
    ) -> Result<(), Failure> {
        let id = self.room_of(caller, &call.room_id).await?;
        let player = super::player("player_id", &call.player_id)?;
        self.at_most(INVITATIONS, "invite_player", caller.player)
            .await?;
        let invite = Command::Invite {
            by: caller.player,
            player,
        };
        let room = self.change(id, &invite).await?;
        let mut invitations = room.invitations.iter();
        if let Some(invitation) = invitations.find(|invitation| invitation.player == player) {
            let invited = wire::Invited {
                room: Some(room.to_guest()),
                player_id: caller.player.to_string(),
                expires_at: Some(super::timestamp(invitation.expires_at)),
            };
            let event = wire::event::Event::Invited(invited);
            self.tell([player], &event).await;
        }
        Ok(())
    }

    /// Public lobbies with room for one more.
    pub async fn search_rooms(
        &self,
        caller: &Caller,
        call: wire::SearchRooms,
    ) -> Result<wire::Rooms, Failure> {
        let limit = match usize::try_from(call.limit) {
            Ok(0) => FOUND,
            Ok(limit) if limit <= FOUND => limit,
            Ok(_) | Err(_) => {
                return Err(Failure::field("limit", format!("must be {FOUND} at most")));
            }
        };
        self.at_most(SEARCHES, "search_rooms", caller.player)
            .await?;
        let ids = self.parts.live.marked(LISTED, SEARCHED).await?;
        let ids = ids.into_iter().filter_map(|id| id.parse::<RoomId>().ok());
        let name = call.name.to_lowercase();
        let is_wanted = |room: &Room| {
            let settings = &room.settings;
            let mut properties = call.properties.iter();
            room.is_listed()
                && room.is_open()
                && settings.name.to_lowercase().contains(&name)
                && (call.queue.is_empty() || settings.queue.as_ref() == Some(&call.queue))
                && properties.all(|(name, value)| settings.properties.get(name) == Some(value))
        };
        let mut rooms = futures::stream::iter(ids)
            .map(|id| self.room(id))
            .buffered(AT_ONCE);
        let mut found = Vec::new();
        while let Some(room) = rooms.next().await {
            if let Some(room) = room?.filter(is_wanted) {
                found.push(room.to_guest());
            }
            if found.len() == limit {
                break;
            }
        }
        Ok(wire::Rooms { rooms: found })
    }

    /// A room as it is.
    pub(super) async fn room(&self, id: RoomId) -> Result<Option<Room>, Failure> {
        let (room, _) = documents::read(&*self.parts.live, &Key::Room(id)).await?;
        Ok(room)
    }

    /// The id of a room that the caller is in. Others learn nothing of it.
    async fn room_of(&self, caller: &Caller, text: &str) -> Result<RoomId, Failure> {
        let id = room_id(text)?;
        let room = self.room(id).await?;
        match room.filter(|room| room.member(caller.player).is_some()) {
            Some(_) => Ok(id),
            None => Err(no_room()),
        }
    }

    /// Settings as a client says them; the name is one that others may see.
    fn settings(&self, kind: Kind, said: wire::RoomSettings) -> Result<Settings, Failure> {
        let shape = |name: &str| self.parts.queues.get(name).map(|queue| queue.teams);
        let mut settings = Settings::said(kind, said, shape)?;
        if settings.name.is_empty() {
            return Ok(settings);
        }
        match self.parts.moderator.judge(&settings.name) {
            Verdict::Said(name) => {
                settings.name = name;
                Ok(settings)
            }
            Verdict::Refused(_) => Err(Failure {
                field: Some("settings.name".into()),
                ..Failure::new(Code::Refused, "must be a name that everybody may read")
            }),
        }
    }

    /// Refuses what a player does more often than so many at once, and one in each period.
    pub(super) async fn at_most(
        &self,
        (burst, period): (u32, Duration),
        what: &str,
        player: PlayerId,
    ) -> Result<(), Failure> {
        let key = Key::Rate(sha256(format!("{what}:{player}").as_bytes()));
        match self.parts.live.throttle(&key, burst, period).await? {
            Some(wait) => Err(Failure::throttled(wait)),
            None => Ok(()),
        }
    }
}

fn room_id(text: &str) -> Result<RoomId, Failure> {
    text.parse()
        .map_err(|_| Failure::field("room_id", "must be a UUID"))
}

fn no_room() -> Failure {
    Failure::new(Code::NotFound, "there is no such room")
}
