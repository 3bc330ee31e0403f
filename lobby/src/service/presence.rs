//! Who is there: written by the lobby that has a player's socket, heard by whoever follows.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use proto::muster::lobby::v1 as wire;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use wire::event::Event;
use wire::presence::Status;

use super::{Caller, Service};
use crate::documents::{self, Next};
use crate::error::Failure;
use crate::ids::PlayerId;
use crate::live::{self, Channel, Delivery, Key};
use crate::presence::{Tracker, presence};
use crate::sessions::notice::Notice;
use crate::sessions::online::{self, Online};

/// Players that a session follows at most.
const FOLLOWED: usize = 500;

/// How often a player may follow others.
const FOLLOW_RATE: (u32, Duration) = (5, Duration::from_secs(2));

/// How many documents are read or written at once.
const AT_ONCE: usize = 32;

/// The presence of players with sockets at this lobby.
#[derive(Clone, Debug, Default)]
pub(super) struct Presences(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tracker: Mutex<Tracker>,
    /// Something may be due.
    changed: Notify,
}

impl Presences {
    /// Nothing that is done under the lock leaves the tracker half changed.
    fn tracker(&self) -> MutexGuard<'_, Tracker> {
        self.0
            .tracker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Tracker)) {
        change(&mut self.tracker());
        self.0.changed.notify_one();
    }
}

impl Service {
    /// Follows these players and no others, and says how they are now.
    pub async fn follow_players(
        &self,
        caller: &Caller,
        call: wire::FollowPlayers,
    ) -> Result<wire::Presences, Failure> {
        if call.player_ids.len() > FOLLOWED {
            let problem = format!("must be {FOLLOWED} at most");
            return Err(Failure::field("player_ids", problem));
        }
        self.at_most(FOLLOW_RATE, "follow", caller.player).await?;
        let mut players = BTreeSet::new();
        for (index, id) in call.player_ids.iter().enumerate() {
            let player = id
                .parse()
                .map_err(|_| Failure::field(format!("player_ids[{index}]"), "must be a UUID"))?;
            players.insert(player);
        }
        // What changes while the present is read is heard too.
        self.follow(caller, &players).await?;
        let mut statuses = futures::stream::iter(players)
            .map(|player| async move { (player, self.status_of(player).await) })
            .buffered(AT_ONCE);
        let mut presences = Vec::new();
        while let Some((player, status)) = statuses.next().await {
            presences.push(presence(player, status?));
        }
        Ok(wire::Presences { presences })
    }

    /// Notes whether the caller is away.
    pub async fn set_presence(
        &self,
        caller: &Caller,
        call: wire::SetPresence,
    ) -> Result<(), Failure> {
        let status = Status::try_from(call.status).ok();
        match status.filter(|status| matches!(status, Status::Online | Status::Away)) {
            Some(status) => {
                self.note_presence(caller.player, status).await;
                Ok(())
            }
            None => Err(Failure::field("status", "must be ONLINE or AWAY")),
        }
    }

    /// Says what a player is doing. The lobby with the player's socket hears it as the player does,
    /// and decides what others see.
    pub async fn note_presence(&self, player: PlayerId, status: Status) {
        let presences = vec![presence(player, status)];
        let event = Event::Presences(wire::Presences { presences });
        self.tell([player], &event).await;
    }

    /// A player has a socket at this lobby, or has none any more.
    pub fn presence_connection(&self, player: PlayerId, is_connected: bool) {
        let now = runtime::clock::now();
        self.presences
            .change(|tracker| tracker.connection(now, player, is_connected));
    }

    /// Another lobby has the player's session now.
    pub fn presence_handed_over(&self, player: PlayerId) {
        self.presences.change(|tracker| tracker.hand_over(player));
    }

    /// Takes what a player with a socket here is told as it is: the state in a Welcome, or after
    /// news were missed.
    pub fn presence_state(&self, player: PlayerId, state: &wire::State) {
        let now = runtime::clock::now();
        let event = Event::State(state.clone());
        self.presences
            .change(|tracker| tracker.hear(now, player, &event));
    }

    /// What others see of a player.
    pub async fn presence(&self, player: PlayerId) -> Result<wire::Presence, Failure> {
        Ok(presence(player, self.status_of(player).await?))
    }

    /// Whether the player has a socket anywhere.
    pub(super) async fn is_connected(&self, player: PlayerId) -> Result<bool, Failure> {
        Ok(self.status_of(player).await? != Status::Offline)
    }

    /// Lets the caller's session hear of these players, and of no others.
    async fn follow(
        &self,
        caller: &Caller,
        players: &BTreeSet<PlayerId>,
    ) -> Result<(), live::Error> {
        let sessions = &self.parts.sessions;
        for channel in sessions.hears(caller.player) {
            if let Channel::Presence(player) = channel
                && !players.contains(&player)
            {
                sessions.unhear(caller.player, channel).await;
            }
        }
        let channels: Vec<Channel> = players.iter().copied().map(Channel::Presence).collect();
        futures::stream::iter(channels)
            .map(|channel| sessions.hear(caller.player, channel))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// What the document of the player's session says; offline without one.
    async fn status_of(&self, player: PlayerId) -> Result<Status, live::Error> {
        let live = &*self.parts.live;
        let (online, _) = documents::read::<Online>(live, &Key::Player(player)).await?;
        let status = online.and_then(|online| Status::try_from(online.status).ok());
        Ok(status.unwrap_or(Status::Offline))
    }

    /// Writes what others see of a player, and tells those who follow.
    async fn publish_presence(&self, player: PlayerId, status: Status) {
        if let Err(error) = self.write_status(player, status).await {
            tracing::warn!(%error, "What others see of a player is old until it changes again");
        }
        let presences = vec![presence(player, status)];
        let event = Event::Presences(wire::Presences { presences });
        self.announce(&Channel::Presence(player), &event).await;
    }

    /// Writes the status into the document of the player's session, if the session is here still.
    async fn write_status(&self, player: PlayerId, status: Status) -> Result<(), live::Error> {
        let live = &*self.parts.live;
        let replica = self.parts.replica;
        let key = Key::Player(player);
        documents::change(live, &key, online::KEEP, |online: Option<Online>| {
            let status = i32::from(status);
            let ours = online.filter(|online| online.replica == replica && online.status != status);
            let next = ours.map_or(Next::Same, |online| {
                Next::Write(Online { status, ..online })
            });
            Ok((next, ()))
        })
        .await
    }
}

/// Writes and tells the presence of this lobby's players until `stop`.
pub async fn run(service: Service, stop: CancellationToken) {
    let both = async { tokio::join!(hear(&service), publish(&service)) };
    stop.run_until_cancelled(both).await;
}

/// Learns from what players are told.
async fn hear(service: &Service) {
    let mut deliveries = service.parts.live.deliveries();
    loop {
        match deliveries.recv().await {
            Ok(Delivery::Message { channel, bytes }) => {
                let Channel::Player(player) = channel else {
                    continue;
                };
                let Ok(Notice::Event(wire::Event { event: Some(event) })) = Notice::decode(&bytes)
                else {
                    continue;
                };
                let now = runtime::clock::now();
                service
                    .presences
                    .change(|tracker| tracker.hear(now, player, &event));
            }
            // Whoever has the sockets reads the state of each player again.
            Ok(Delivery::Missed) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Publishes what is due, when it is.
async fn publish(service: &Service) {
    loop {
        let now = runtime::clock::now();
        let due = service.presences.tracker().due(now);
        futures::stream::iter(due)
            .for_each_concurrent(AT_ONCE, |(player, status)| {
                service.publish_presence(player, status)
            })
            .await;
        let next = service.presences.tracker().next();
        let changed = service.presences.0.changed.notified();
        match next {
            None => changed.await,
            Some(next) => {
                let left = runtime::clock::now().duration_until(next);
                let left = Duration::try_from(left).unwrap_or_default();
                // Whichever comes first: what is due is looked at again.
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep(left) => {}
                }
            }
        }
    }
}
