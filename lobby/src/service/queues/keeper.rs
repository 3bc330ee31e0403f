//! The tickets of the players who are at this lobby: kept in memory, so that they survive the live
//! state, and kept alive in it, so that those of a lobby that died do not.
//!
//! A round looks at each ticket's seats. Where they are taken it touches them. Where they are free
//! the ticket is gone. Where there are none the live state lost them, and the ticket is put in again
//! with its age. A player without a session for a while loses the ticket.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Taken, Waits, is_over, proposed, seats};
use crate::error::{Code, Failure};
use crate::ids::{PlayerId, TicketId};
use crate::live::{Key, TICKETS, Withdrawn};
use crate::matchmaking::Ticket;
use crate::matchmaking::matchmaker::Question;
use crate::service::Service;

/// How long a player may be without a session before the ticket is gone.
pub const ABSENCE: SignedDuration = SignedDuration::from_secs(30);

/// A session outlives its socket: whoever still has one this long after the socket broke has
/// another one.
const BACK: SignedDuration = SignedDuration::from_secs(45);

/// How often absent players are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Looks from one round to the next: seats pass when four are missed.
const LOOKS: u32 = 15;

/// How old tickets are that a queue is asked to have, in case that it lost them alone. Those that
/// are younger are on their way.
const OLD: SignedDuration = SignedDuration::from_mins(1);

/// Tickets that are looked at together, and how many at once.
const CHUNK: usize = 256;
const AT_ONCE: usize = 16;

/// What this lobby knows about queues.
#[derive(Debug, Default)]
pub struct Desk {
    tickets: Mutex<BTreeMap<TicketId, Kept>>,
    /// Since when players are without a session.
    absent: Mutex<BTreeMap<PlayerId, Timestamp>>,
    waits: Mutex<BTreeMap<String, (Timestamp, Waits)>>,
    /// Where the owners of queues that are at this lobby are asked.
    owners: Mutex<BTreeMap<String, mpsc::Sender<Question>>>,
}

#[derive(Clone, Debug)]
struct Kept {
    queue: String,
    ticket: Ticket,
}

/// How a ticket's seats are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seats {
    Taken,
    Lost,
    Free,
}

impl Desk {
    /// Keeps a ticket. When there are too many it lives as long as its seats.
    pub(super) fn keep(&self, queue: &str, ticket: &Ticket) {
        let mut tickets = lock(&self.tickets);
        if tickets.len() >= TICKETS {
            tracing::warn!(ticket = %ticket.id, "Too many tickets to keep them all");
            return;
        }
        tickets.insert(
            ticket.id,
            Kept {
                queue: queue.to_owned(),
                ticket: ticket.clone(),
            },
        );
    }

    /// The ticket is gone.
    pub(super) fn forget(&self, ticket: TicketId) {
        lock(&self.tickets).remove(&ticket);
    }

    /// How many tickets are kept.
    pub fn kept(&self) -> usize {
        lock(&self.tickets).len()
    }

    fn chunk(&self, after: Option<TicketId>) -> Vec<Kept> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tickets = lock(&self.tickets);
        let next = tickets.range((from, Bound::Unbounded)).take(CHUNK);
        next.map(|(_, kept)| kept.clone()).collect()
    }

    pub(super) fn waits(&self, queue: &str, now: Timestamp, age: SignedDuration) -> Option<Waits> {
        let waits = lock(&self.waits);
        let (at, waits) = waits.get(queue)?;
        (now.duration_since(*at) <= age).then(|| waits.clone())
    }

    pub(super) fn note_waits(&self, queue: &str, now: Timestamp, waits: &Waits) {
        lock(&self.waits).insert(queue.to_owned(), (now, waits.clone()));
    }

    /// Lets the owner of a queue be asked, or nobody.
    pub(crate) fn set_owner(&self, queue: &str, owner: Option<mpsc::Sender<Question>>) {
        let mut owners = lock(&self.owners);
        match owner {
            Some(owner) => owners.insert(queue.to_owned(), owner),
            None => owners.remove(queue),
        };
    }

    pub(crate) fn owner(&self, queue: &str) -> Option<mpsc::Sender<Question>> {
        lock(&self.owners).get(queue).cloned()
    }

    fn note_absent(&self, player: PlayerId, now: Timestamp) {
        let mut absent = lock(&self.absent);
        if absent.len() < TICKETS {
            absent.entry(player).or_insert(now);
        }
    }

    fn note_back(&self, player: PlayerId) {
        lock(&self.absent).remove(&player);
    }

    /// Those who are away for too long.
    fn lost(&self, now: Timestamp) -> Vec<(PlayerId, SignedDuration)> {
        let absent = lock(&self.absent);
        let away = absent
            .iter()
            .map(|(id, since)| (*id, now.duration_since(*since)));
        away.filter(|(_, away)| *away >= ABSENCE)
            .take(CHUNK)
            .collect()
    }
}

impl Service {
    /// A player has a socket here from now on, or none any more.
    pub async fn queue_connection(&self, player: PlayerId, is_connected: bool) {
        if is_connected {
            self.desk.note_back(player);
        }
        let taken = match seats::taken(&*self.parts.live, player).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(%error, "A player's seat could not be read");
                return;
            }
        };
        let Some(Taken {
            queue,
            ticket,
            asked,
        }) = taken
        else {
            return;
        };
        if !is_connected {
            self.desk.note_absent(player, runtime::clock::now());
            return;
        }
        // Whichever lobby put it in: this one has a player of it.
        self.desk.keep(&queue, &ticket);
        if let Some(asked) = asked.filter(|asked| !is_over(*asked, runtime::clock::now())) {
            self.tell([player], &proposed(&queue, asked)).await;
        }
    }
}

/// Keeps tickets until `stop` is cancelled.
pub async fn run(service: Service, stop: CancellationToken) {
    let mut looks = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        looks += 1;
        if let Err(failure) = dismiss_absent(&service).await {
            tracing::warn!(%failure, "Tickets of players who are gone stay for now");
        }
        if looks % LOOKS == 0
            && let Err(failure) = round(&service, looks % (4 * LOOKS) == 0).await
        {
            tracing::warn!(%failure, "Tickets were not looked at");
        }
    }
}

/// Takes tickets out whose players are away for too long.
async fn dismiss_absent(service: &Service) -> Result<(), Failure> {
    for (player, away) in service.desk.lost(runtime::clock::now()) {
        let has_session = service.parts.live.read(&Key::Player(player)).await?;
        if has_session.is_none() {
            service.leave_queue_of(&[player], "player_left").await?;
            service.desk.note_back(player);
        } else if away >= BACK {
            service.desk.note_back(player);
        }
    }
    Ok(())
}

/// Looks at all tickets. `is_thorough` asks queues to have the old ones.
async fn round(service: &Service, is_thorough: bool) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let chunk = service.desk.chunk(after);
        let Some(last) = chunk.last() else {
            return Ok(());
        };
        after = Some(last.ticket.id);
        look_at(service, &chunk, is_thorough).await?;
    }
}

async fn look_at(service: &Service, chunk: &[Kept], is_thorough: bool) -> Result<(), Failure> {
    let looks = futures::stream::iter(chunk.to_vec())
        .map(|kept| look(service, kept))
        .buffered(AT_ONCE);
    let seats: Vec<Seats> = looks.try_collect().await?;
    let now = runtime::clock::now();
    let mut touched = Vec::new();
    let mut doubtful = Vec::new();
    for (kept, seats) in chunk.iter().zip(seats) {
        let is_old = now.duration_since(kept.ticket.entered) >= OLD;
        match seats {
            Seats::Free => leave_no_trace(service, kept).await?,
            Seats::Taken => {
                touched.extend(kept.ticket.player_ids().map(Key::Seat));
                if is_thorough && is_old {
                    doubtful.push(kept);
                }
            }
            Seats::Lost => doubtful.push(kept),
        }
    }
    service.parts.live.touch(&touched, seats::KEEP).await?;
    put_in_again(service, &doubtful).await
}

/// How a ticket's seats are; notes which of its players have no session.
async fn look(service: &Service, kept: Kept) -> Result<Seats, Failure> {
    let live = &*service.parts.live;
    let mut seats = Seats::Taken;
    for player in kept.ticket.player_ids() {
        let is_its = |id: TicketId| id == kept.ticket.id;
        match seats::read(live, player).await? {
            Some(seats::Seat::Taken(taken)) if is_its(taken.ticket.id) => {}
            // Another one's: this ticket is gone, or its player would not have got it.
            Some(_) => return Ok(Seats::Free),
            None => seats = Seats::Lost,
        }
        if live.read(&Key::Player(player)).await?.is_none() {
            service.desk.note_absent(player, runtime::clock::now());
        }
    }
    Ok(seats)
}

/// Its seats are free: a ticket that was put in again at the same moment goes, too.
async fn leave_no_trace(service: &Service, kept: &Kept) -> Result<(), Failure> {
    let live = &*service.parts.live;
    let withdrawn = live.withdraw(&kept.queue, kept.ticket.id).await?;
    if matches!(withdrawn, Withdrawn::Gone | Withdrawn::Unknown) {
        service.desk.forget(kept.ticket.id);
        seats::free(live, &kept.ticket).await?;
    }
    Ok(())
}

/// Puts tickets in again that may be lost, but for those that have a match.
async fn put_in_again(service: &Service, doubtful: &[&Kept]) -> Result<(), Failure> {
    if doubtful.is_empty() {
        return Ok(());
    }
    let parts = service.parts();
    let live = &*parts.live;
    let tickets = doubtful.iter().map(|kept| &kept.ticket);
    let players: Vec<PlayerId> = tickets.flat_map(Ticket::player_ids).collect();
    let busy = parts.store.busy(&players).await?;
    for kept in doubtful {
        if kept
            .ticket
            .player_ids()
            .any(|player| busy.contains(&player))
        {
            leave_no_trace(service, kept).await?;
            continue;
        }
        match seats::take(live, &kept.queue, &kept.ticket).await {
            Ok(()) => live.enter(&kept.queue, &kept.ticket).await?,
            // A player has another one by now.
            Err(seats::Refused::Waits(_)) => leave_no_trace(service, kept).await?,
            Err(seats::Refused::Live(error)) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Nobody panics while he holds one of these, and nothing is half done.
fn lock<Value>(mutex: &Mutex<Value>) -> MutexGuard<'_, Value> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The queue's owner is elsewhere, or does not answer.
pub(crate) fn not_here() -> Failure {
    Failure::new(Code::Unavailable, "another lobby owns the queue")
}
