//! Changes of rooms, and what follows from them.

use std::time::Duration;

use proto::muster::lobby::v1 as wire;
use proto::muster::lobby::v1::room_changed::Reason;

use super::{KEEP, LISTED, Service, no_room, sweep};
use crate::documents::{self, Next};
use crate::error::Failure;
use crate::ids::{PlayerId, RoomId};
use crate::live::{self, Key};
use crate::rooms::{Command, Happening, Kind, Room};

impl Service {
    /// Does something to a room, and tells everybody whom it concerns.
    pub(super) async fn change(&self, id: RoomId, command: &Command) -> Result<Room, Failure> {
        self.change_by(id, |_| Ok(command.clone())).await
    }

    /// Does to a room what depends on how it is.
    pub(super) async fn change_by(
        &self,
        id: RoomId,
        command: impl Fn(&Room) -> Result<Command, Failure>,
    ) -> Result<Room, Failure> {
        let state = &*self.parts.live;
        let key = Key::Room(id);
        let changed = documents::change(state, &key, KEEP, |room: Option<Room>| {
            let room = room.ok_or_else(no_room)?;
            let now = runtime::clock::now();
            let (next, happenings) = room.apply(&command(&room)?, now)?;
            let what = if next.is_over() {
                Next::Remove
            } else if next == room {
                Next::Same
            } else {
                Next::Write(next.clone())
            };
            Ok::<_, Failure>((what, (next, happenings)))
        });
        let (room, happenings) = changed.await?;
        self.follow_up(&room, &happenings).await;
        Ok(room)
    }

    /// What follows from a change that is a fact already: nothing here may undo it, and what fails
    /// is put right by the sweep, or passes.
    async fn follow_up(&self, room: &Room, happenings: &[Happening]) {
        let departed: Vec<PlayerId> = happenings
            .iter()
            .filter(|happening| happening.is_departure())
            .map(|happening| happening.player)
            .filter(|player| room.member(*player).is_none())
            .collect();
        for player in &departed {
            self.unclaim(*player, room.kind, room.id).await;
        }
        if room.kind == Kind::Party && happenings.iter().any(Happening::is_membership) {
            let mut players = room.players();
            players.extend(&departed);
            self.party_changed(&players).await;
        }
        if room.is_over() {
            self.forget(room).await;
        }
        let is_settings = |happening: &Happening| happening.reason == Reason::Settings;
        if happenings.iter().any(is_settings)
            && let Err(error) = self.list(room).await
        {
            tracing::warn!(%error, "The list for searches is wrong until the room is swept");
        }
        self.tell_members(room, happenings).await;
    }

    /// Puts a room into the list that searches look at, or takes it out.
    pub(super) async fn list(&self, room: &Room) -> Result<(), live::Error> {
        if room.kind == Kind::Party {
            return Ok(());
        }
        let keep = if room.is_listed() {
            KEEP
        } else {
            Duration::ZERO
        };
        let id = room.id.to_string();
        self.parts.live.mark(LISTED, &id, keep).await
    }

    /// Removes what led to a room that is over.
    async fn forget(&self, room: &Room) {
        let listed = self.list(room).await;
        let marked = sweep::unmark(self, room.id).await;
        let key = Key::Code(room.code.clone());
        let state = &*self.parts.live;
        let code = documents::change(state, &key, KEEP, |id: Option<RoomId>| {
            let next = if id == Some(room.id) {
                Next::Remove
            } else {
                Next::Same
            };
            Ok::<_, live::Error>((next, ()))
        });
        for done in [listed, marked, code.await] {
            if let Err(error) = done {
                tracing::warn!(%error, "What led to a room that is over stays until it passes");
            }
        }
    }

    /// Tells members what happened, and those who are out that they are.
    async fn tell_members(&self, room: &Room, happenings: &[Happening]) {
        for happening in happenings {
            let changed = wire::RoomChanged {
                room_id: room.id.to_string(),
                room: Some(room.to_wire()),
                reason: happening.reason.into(),
                player_id: happening.player.to_string(),
            };
            if happening.is_departure() && room.member(happening.player).is_none() {
                let out = wire::RoomChanged {
                    room: None,
                    ..changed.clone()
                };
                let event = wire::event::Event::RoomChanged(out);
                self.tell([happening.player], &event).await;
            }
            let event = wire::event::Event::RoomChanged(changed);
            self.tell(room.players(), &event).await;
        }
    }

    /// A party that changes does not wait for a match any more: its ticket is of other players.
    async fn party_changed(&self, players: &[PlayerId]) {
        if let Err(failure) = self.leave_queue_of(players, "player_left").await {
            tracing::warn!(%failure, "A party that changed may wait for a match still");
        }
    }
}
