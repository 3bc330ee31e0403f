//! Tickets: how players get into queues and out of them.
//!
//! A ticket is in the queue, in the seats of its players ([`seats`]), and with the lobbies that
//! have them ([`keeper`]). What becomes of it is decided by the queue's owner
//! ([`matchmaker`](crate::matchmaking::matchmaker)).

pub mod keeper;
pub mod seats;

mod entry;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proto::muster::lobby::v1 as wire;
use serde::{Deserialize, Serialize};
use wire::event::Event;
use wire::queue_state::Status;

pub use self::keeper::Desk;
use self::seats::{Asked, Taken};
use super::{Caller, Service, duration, timestamp};
use crate::documents;
use crate::error::{Code, Failure};
use crate::ids::{MatchId, PlayerId};
use crate::live::{Error, Key, Pending, TICKETS, Withdrawn};
use crate::matchmaking::Ticket;
use crate::matchmaking::estimate::Estimates;
use crate::matchmaking::owner::Reason;

/// How long [`Waits`] are kept, and how often they are written.
pub const WAITS_KEEP: Duration = Duration::from_hours(1);

/// How old [`Waits`] may be that a call decides by.
const WAITS_AGE: SignedDuration = SignedDuration::from_secs(2);

/// How tickets of a queue wait, as its owner says: the document of [`Key::Queue`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waits {
    /// How many wait.
    pub tickets: usize,
    /// How many players they have.
    pub players: usize,
    /// When the oldest of them came.
    pub oldest: Option<Timestamp>,
    /// How many matches are proposed and not made yet.
    pub pending: usize,
    /// When the owner said so.
    pub at: Option<Timestamp>,
    /// How long.
    pub estimates: Estimates,
}

impl Service {
    /// Puts the caller, or the party whose host he is, into a queue.
    pub async fn join_queue(
        &self,
        caller: &Caller,
        call: wire::JoinQueue,
    ) -> Result<wire::QueueState, Failure> {
        let queue = self.queue_named(&call.queue)?;
        let ticket = self.ticket(caller, queue, call).await?;
        let players: Vec<PlayerId> = ticket.player_ids().collect();
        let waits = self.waits(&queue.name).await?;
        if waits.tickets >= TICKETS {
            return Err(Failure::new(Code::Full, "the queue has no more room"));
        }
        let live = &*self.parts.live;
        match seats::take(live, &queue.name, &ticket).await {
            Ok(()) => {}
            Err(seats::Refused::Waits(player)) => {
                let who = waits_already(player == caller.player);
                return Err(Failure::new(Code::Conflict, who));
            }
            Err(seats::Refused::Live(error)) => return Err(error.into()),
        }
        let entered = match self.refuse_busy(&players).await {
            Ok(()) => live
                .enter(&queue.name, &ticket)
                .await
                .map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = entered {
            // What it did is unknown: only a ticket that is out for sure has its seats free. The
            // others pass by themselves, and the queue's owner finds out.
            if live.withdraw(&queue.name, ticket.id).await.is_ok() {
                seats::free(live, &ticket).await.ok();
            }
            return Err(failure);
        }
        // Who left meanwhile, or whose party changed, found no ticket to take out.
        for player in &players {
            let taken = seats::taken(live, *player).await?;
            if taken.is_none_or(|taken| taken.ticket.id != ticket.id) {
                live.withdraw(&queue.name, ticket.id).await?;
                seats::free(live, &ticket).await?;
                let problem = "somebody left the queue in this moment";
                return Err(Failure::new(Code::Conflict, problem));
            }
        }
        self.desk.keep(&queue.name, &ticket);
        let state = state(&queue.name, &ticket, None, &waits);
        let others = players.into_iter().filter(|other| *other != caller.player);
        self.tell(others, &Event::Queue(state.clone())).await;
        Ok(state)
    }

    /// Takes the caller's ticket out of its queue, and with it the whole party's.
    pub async fn leave_queue(&self, caller: &Caller, _: wire::LeaveQueue) -> Result<(), Failure> {
        let taken = seats::taken(&*self.parts.live, caller.player).await?;
        let Some(taken) = taken else {
            return Err(not_waiting());
        };
        self.withdraw(&taken, caller.player, "left").await
    }

    /// Takes the tickets of these players out of their queues: they are told this reason, and
    /// the others of their parties that a player left.
    pub async fn leave_queue_of(
        &self,
        players: &[PlayerId],
        reason: &'static str,
    ) -> Result<(), Failure> {
        for player in players {
            if let Some(taken) = seats::taken(&*self.parts.live, *player).await? {
                self.withdraw(&taken, *player, reason).await?;
            }
        }
        Ok(())
    }

    /// Answers the proposal of a match. One that names none answers the one that there is.
    pub async fn answer_proposal(
        &self,
        caller: &Caller,
        call: wire::AnswerProposal,
    ) -> Result<(), Failure> {
        let id: Option<MatchId> = match &call.match_id[..] {
            "" => None,
            id => {
                let id = id.parse();
                Some(id.map_err(|_| Failure::field("match_id", "must be a UUID"))?)
            }
        };
        let live = &*self.parts.live;
        let Some(taken) = seats::taken(live, caller.player).await? else {
            return Err(not_waiting());
        };
        let asked = taken
            .asked
            .filter(|asked| id.is_none_or(|id| id == asked.id));
        let Some(asked) = asked else {
            return Err(Failure::new(Code::NotFound, "there is no such proposal"));
        };
        let player = caller.player;
        live.answer(&taken.queue, asked.id, player, call.accept)
            .await?;
        Ok(())
    }

    /// What a player waits for.
    pub async fn queue_state(&self, player: PlayerId) -> Result<Option<wire::QueueState>, Failure> {
        let taken = seats::taken(&*self.parts.live, player).await?;
        let Some(Taken {
            queue,
            ticket,
            asked,
        }) = taken
        else {
            return Ok(None);
        };
        let waits = self.waits(&queue).await?;
        Ok(Some(state(&queue, &ticket, asked, &waits)))
    }

    /// How tickets of a queue wait, as of a moment ago.
    pub(crate) async fn waits(&self, queue: &str) -> Result<Waits, Failure> {
        let now = runtime::clock::now();
        if let Some(waits) = self.desk.waits(queue, now, WAITS_AGE) {
            return Ok(waits);
        }
        let key = Key::Queue(queue.to_owned());
        let (waits, _) = documents::read::<Waits>(&*self.parts.live, &key).await?;
        let waits = waits.unwrap_or_default();
        self.desk.note_waits(queue, now, &waits);
        Ok(waits)
    }

    /// Refuses players who are in a match.
    async fn refuse_busy(&self, players: &[PlayerId]) -> Result<(), Failure> {
        let busy = self.parts.store.busy(players).await?;
        if busy.is_empty() {
            return Ok(());
        }
        let who = if players.len() == 1 {
            "you are in a match"
        } else {
            "a member of the party is in a match"
        };
        Err(Failure::new(Code::Conflict, who))
    }

    /// Takes a ticket out of its queue because of one of its players.
    async fn withdraw(
        &self,
        taken: &Taken,
        leaver: PlayerId,
        reason: &'static str,
    ) -> Result<(), Failure> {
        let live = &*self.parts.live;
        match live.withdraw(&taken.queue, taken.ticket.id).await? {
            Withdrawn::Gone | Withdrawn::Unknown => {
                self.desk.forget(taken.ticket.id);
                let mut freed = seats::free(live, &taken.ticket).await?;
                let of_leaver = gone(&taken.queue, &taken.ticket, reason);
                if freed.contains(&leaver) {
                    self.tell([leaver], &Event::Queue(of_leaver)).await;
                }
                freed.retain(|player| *player != leaver);
                let of_others = gone(&taken.queue, &taken.ticket, "player_left");
                self.tell(freed, &Event::Queue(of_others)).await;
            }
            // The owner takes it out, unless the match is made already.
            Withdrawn::Proposed(id) => live.answer(&taken.queue, id, leaver, false).await?,
        }
        Ok(())
    }

    // ---- What the queue's owner wants done ----

    /// Frees the players of a ticket that is gone, and tells them.
    pub(crate) async fn ticket_gone(
        &self,
        queue: &str,
        ticket: &Ticket,
        reason: Reason,
    ) -> Result<(), Error> {
        self.desk.forget(ticket.id);
        let freed = seats::free(&*self.parts.live, ticket).await?;
        let mut state = gone(queue, ticket, reason.name());
        if reason == Reason::Matched {
            state.status = Status::Matched.into();
        }
        self.tell(freed, &Event::Queue(state)).await;
        Ok(())
    }

    /// Asks the players of a match who have not accepted it.
    pub(crate) async fn ask(&self, queue: &str, pending: &Pending) -> Result<(), Error> {
        let Some(until) = pending.accept_until else {
            return Ok(());
        };
        let players = pending.parties().map(|ticket| ticket.players.len()).sum();
        let asked = Asked {
            id: pending.id,
            until,
            players,
        };
        for ticket in pending.parties() {
            let mut waiting = seats::ask(&*self.parts.live, ticket, Some(asked)).await?;
            waiting.retain(|player| !pending.accepted.contains(player));
            let state = state(queue, ticket, Some(asked), &Waits::default());
            self.tell(waiting.iter().copied(), &Event::Queue(state))
                .await;
            self.tell(waiting, &proposed(queue, asked)).await;
        }
        Ok(())
    }

    /// Tells the players of a ticket that it waits again.
    pub(crate) async fn ticket_returned(&self, queue: &str, ticket: &Ticket) -> Result<(), Error> {
        let waiting = seats::ask(&*self.parts.live, ticket, None).await?;
        let waits = self.waits(queue).await.unwrap_or_default();
        let state = state(queue, ticket, None, &waits);
        self.tell(waiting, &Event::Queue(state)).await;
        Ok(())
    }
}

fn not_waiting() -> Failure {
    Failure::new(Code::NotFound, "you wait in no queue")
}

const fn waits_already(is_caller: bool) -> &'static str {
    if is_caller {
        "you wait in a queue already: leave it first"
    } else {
        "a member of the party waits in a queue already"
    }
}

fn state(queue: &str, ticket: &Ticket, asked: Option<Asked>, waits: &Waits) -> wire::QueueState {
    let status = if asked.is_some() {
        Status::Proposed
    } else {
        Status::Waiting
    };
    let estimate = waits.estimates.of(ticket.players.len());
    wire::QueueState {
        ticket_id: ticket.id.to_string(),
        queue: queue.to_owned(),
        status: status.into(),
        entered_at: Some(timestamp(ticket.entered)),
        estimate: estimate.map(duration),
        reason: String::new(),
    }
}

fn gone(queue: &str, ticket: &Ticket, reason: &str) -> wire::QueueState {
    wire::QueueState {
        status: Status::None.into(),
        reason: reason.to_owned(),
        ..state(queue, ticket, None, &Waits::default())
    }
}

fn proposed(queue: &str, asked: Asked) -> Event {
    Event::Proposed(wire::Proposed {
        match_id: asked.id.to_string(),
        queue: queue.to_owned(),
        accept_until: Some(timestamp(asked.until)),
        players: u32::try_from(asked.players).unwrap_or(u32::MAX),
    })
}

/// Whether the time that players had is over.
fn is_over(asked: Asked, now: Timestamp) -> bool {
    asked.until <= now
}
