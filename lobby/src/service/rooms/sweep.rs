//! What nobody's call does: members whose lobby died count as gone, those who are gone leave, what
//! was left half done is put right, and rooms that are lived in are kept.
//!
//! One lobby sweeps at a time. A lobby that dies meanwhile is followed by another, and a room that is
//! swept twice at once comes to no harm: all is done by the changes that calls make too.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::claim::POINTERS_KEEP;
use super::{KEEP, Service};
use crate::error::{Code, Failure};
use crate::ids::{PlayerId, RoomId};
use crate::live::{self, Key};
use crate::rooms::Command;

/// Between two rounds.
const PERIOD: Duration = Duration::from_secs(10);

/// How long the right to sweep is kept: longer than a round takes.
const LEASE: Duration = Duration::from_secs(30);

/// The name of that right.
const NAME: &str = "rooms";

/// Rooms are in as many sets, and so many of each are swept. More of them pass after [`KEEP`].
const SETS: u8 = 16;
const SWEPT: usize = 8192;

/// How many rooms are looked at at once.
const AT_ONCE: usize = 16;

/// Sweeps until `stop`.
pub async fn run(service: Service, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let parts = service.parts();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match stop.run_until_cancelled(round(&service)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::warn!(%error, "Rooms could not be swept"),
            None => break,
        }
    }
    if let Err(error) = parts.live.release(NAME, parts.replica).await {
        tracing::debug!(%error, "The right to sweep rooms passes by itself");
    }
}

/// Sweeps every room once, if no other lobby does.
pub(super) async fn round(service: &Service) -> Result<(), live::Error> {
    let parts = service.parts();
    for set in 0..SETS {
        // Renewed with each set, so that it does not pass during a long round.
        let lease = parts.live.lease(NAME, parts.replica, LEASE).await?;
        if lease.is_none() {
            return Ok(());
        }
        let ids = parts.live.marked(&set_name(set), SWEPT).await?;
        let ids = ids.into_iter().filter_map(|id| id.parse::<RoomId>().ok());
        futures::stream::iter(ids)
            .for_each_concurrent(AT_ONCE, |id| async move {
                match service.sweep_room(id).await {
                    Ok(()) => {}
                    // It was over before we came to it.
                    Err(failure) if failure.code == Code::NotFound => {}
                    Err(failure) => tracing::warn!(%failure, "A room could not be swept"),
                }
            })
            .await;
    }
    Ok(())
}

/// Makes the sweep look at a room.
pub(super) async fn mark(service: &Service, id: RoomId) -> Result<(), live::Error> {
    let set = set_of(id);
    service.parts.live.mark(&set, &id.to_string(), KEEP).await
}

/// Ends that.
pub(super) async fn unmark(service: &Service, id: RoomId) -> Result<(), live::Error> {
    let set = set_of(id);
    let live = &service.parts.live;
    live.mark(&set, &id.to_string(), Duration::ZERO).await
}

fn set_of(id: RoomId) -> String {
    let [first, ..] = id.0.into_bytes();
    set_name(first % SETS)
}

fn set_name(set: u8) -> String {
    format!("rooms:{set}")
}

impl Service {
    async fn sweep_room(&self, id: RoomId) -> Result<(), Failure> {
        let Some(room) = self.room(id).await? else {
            unmark(self, id).await?;
            return Ok(());
        };
        for member in &room.members {
            let player = member.player;
            // A member without a pointer is not one: the lobby that let him in died, or he joined
            // another room in the same moment.
            if self.pointers(player).await?.get(room.kind) != Some(id) {
                self.change(id, &Command::Leave { player }).await?;
                continue;
            }
            let is_connected = self.is_connected(player).await?;
            if is_connected != member.is_connected() {
                let connection = Command::Connection {
                    player,
                    is_connected,
                };
                self.change(id, &connection).await?;
            }
        }
        let room = self.change(id, &Command::Pass).await?;
        if room.is_over() {
            return Ok(());
        }
        mark(self, id).await?;
        self.list(&room).await?;
        let live = &self.parts.live;
        live.touch(&[Key::Room(id), Key::Code(room.code.clone())], KEEP)
            .await?;
        let pointers: Vec<Key> = room.players().into_iter().map(Key::Rooms).collect();
        live.touch(&pointers, POINTERS_KEEP).await?;
        Ok(())
    }

    /// Tells the player's rooms that his last socket is gone, or that there is one again. When that
    /// fails the sweep does it.
    pub async fn room_connection(&self, player: PlayerId, is_connected: bool) {
        let connection = Command::Connection {
            player,
            is_connected,
        };
        let joined = match self.rooms_of(player).await {
            Ok(joined) => joined,
            Err(failure) => {
                tracing::warn!(%failure, "A player's rooms learn later of his connection");
                return;
            }
        };
        for room in joined.party.iter().chain(&joined.lobby) {
            match self.change(room.id, &connection).await {
                Ok(_) => {}
                Err(failure) if failure.code == Code::NotFound => {}
                Err(failure) => {
                    tracing::warn!(%failure, "A room learns later of a member's connection");
                }
            }
        }
    }
}
