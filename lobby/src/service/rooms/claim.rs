//! In which rooms a player is: one party and one lobby at most.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::{KEEP, Service};
use crate::documents::{self, Next};
use crate::error::{Code, Failure};
use crate::ids::{PlayerId, RoomId};
use crate::live::{self, Key};
use crate::rooms::{Command, Kind, Room};

/// How long pointers are kept: longer than the rooms that they lead to.
pub(super) const POINTERS_KEEP: Duration = KEEP.saturating_mul(2);

/// How often a claim is tried against others of the same player.
const TRIES: usize = 8;

/// The document of [`Key::Rooms`]: where a player may be. The rooms confirm it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pointers {
    party: Option<RoomId>,
    lobby: Option<RoomId>,
}

impl Pointers {
    pub(super) fn get(self, kind: Kind) -> Option<RoomId> {
        match kind {
            Kind::Party => self.party,
            Kind::Lobby => self.lobby,
        }
    }

    fn with(self, kind: Kind, room: Option<RoomId>) -> Self {
        match kind {
            Kind::Party => Self {
                party: room,
                ..self
            },
            Kind::Lobby => Self {
                lobby: room,
                ..self
            },
        }
    }
}

/// The rooms that a player is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// The player's party.
    pub party: Option<Room>,
    /// The player's lobby.
    pub lobby: Option<Room>,
}

impl Service {
    /// The rooms that a player is in.
    pub async fn rooms_of(&self, player: PlayerId) -> Result<Joined, Failure> {
        let pointers = self.pointers(player).await?;
        Ok(Joined {
            party: self.joined(player, pointers.party).await?,
            lobby: self.joined(player, pointers.lobby).await?,
        })
    }

    /// The room of a pointer, unless the pointer is void.
    async fn joined(
        &self,
        player: PlayerId,
        pointer: Option<RoomId>,
    ) -> Result<Option<Room>, Failure> {
        let Some(id) = pointer else {
            return Ok(None);
        };
        let room = self.room(id).await?;
        Ok(room.filter(|room| room.member(player).is_some()))
    }

    pub(super) async fn pointers(&self, player: PlayerId) -> Result<Pointers, live::Error> {
        let key = Key::Rooms(player);
        let (pointers, _) = documents::read(&*self.parts.live, &key).await?;
        Ok(pointers.unwrap_or_default())
    }

    /// Points the player to a room that he is about to join, unless he is in another one. Of claims
    /// that meet, the last one stands: [`confirm`](Self::confirm) tells the others.
    pub(super) async fn claim(
        &self,
        player: PlayerId,
        kind: Kind,
        room: RoomId,
    ) -> Result<(), Failure> {
        for _ in 0..TRIES {
            let standing = self.pointers(player).await?.get(kind);
            let other = standing.filter(|standing| *standing != room);
            if self.joined(player, other).await?.is_some() {
                let problem = match kind {
                    Kind::Party => "you are in another party: leave it first",
                    Kind::Lobby => "you are in another lobby: leave it first",
                };
                return Err(Failure::new(Code::Conflict, problem));
            }
            if self.point(player, kind, standing, Some(room)).await? {
                // Whoever claimed the other room and has joined it meanwhile is taken out of it.
                if let Some(other) = other {
                    self.take_out(player, other).await;
                }
                return Ok(());
            }
        }
        Err(taken_over())
    }

    /// Whether the player's claim still stands now that he has joined; takes him out if not.
    pub(super) async fn confirm(&self, player: PlayerId, room: &Room) -> Result<(), Failure> {
        if self.pointers(player).await?.get(room.kind) == Some(room.id) {
            return Ok(());
        }
        self.take_out(player, room.id).await;
        Err(taken_over())
    }

    /// Takes a player out of a room that he is not to be in. When it fails the sweep does it.
    pub(super) async fn take_out(&self, player: PlayerId, room: RoomId) {
        match self.change(room, &Command::Leave { player }).await {
            Ok(_) => {}
            Err(failure) if failure.code == Code::NotFound => {}
            Err(failure) => tracing::warn!(%failure, "A player could not be taken out of a room"),
        }
    }

    /// Ends a claim, if it stands. When it fails it is void all the same.
    pub(super) async fn unclaim(&self, player: PlayerId, kind: Kind, room: RoomId) {
        if let Err(error) = self.point(player, kind, Some(room), None).await {
            tracing::warn!(%error, "A void pointer to a room stays until it passes");
        }
    }

    /// Changes where a player is pointed to, if that is still `from`.
    async fn point(
        &self,
        player: PlayerId,
        kind: Kind,
        from: Option<RoomId>,
        to: Option<RoomId>,
    ) -> Result<bool, live::Error> {
        let key = Key::Rooms(player);
        let live = &*self.parts.live;
        documents::change(live, &key, POINTERS_KEEP, |pointers: Option<Pointers>| {
            let pointers = pointers.unwrap_or_default();
            if pointers.get(kind) != from {
                return Ok((Next::Same, false));
            }
            let pointers = pointers.with(kind, to);
            let next = if pointers == Pointers::default() {
                Next::Remove
            } else {
                Next::Write(pointers)
            };
            Ok((next, true))
        })
        .await
    }
}

fn taken_over() -> Failure {
    let problem = "you are joining another one at the same time";
    Failure::new(Code::Conflict, problem)
}
