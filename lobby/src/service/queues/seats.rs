//! Which ticket a player waits with: the document of [`Key::Seat`], of which each player has one.
//!
//! A seat is taken before its ticket enters a queue, and free when the ticket is gone. A free seat
//! stays for a while: who finds none where one was taken knows that the live state lost it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::documents::{self, Next};
use crate::ids::{MatchId, PlayerId, TicketId};
use crate::live::{Error, Key, Live};
use crate::matchmaking::Ticket;

/// How long a seat is kept from when it was taken or touched: a lobby that dies is noticed then.
pub const KEEP: Duration = Duration::from_mins(1);

/// What a player waits for.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// In which queue.
    pub queue: String,
    /// With which ticket.
    pub ticket: Ticket,
    /// The match that its players must accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

/// A match that players must accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// Which one.
    pub id: MatchId,
    /// Until when.
    pub until: Timestamp,
    /// How many players it has.
    pub players: usize,
}

/// A player's seat.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Seat {
    /// The player waits.
    Taken(Box<Taken>),
    /// This ticket is gone.
    Free(TicketId),
}

/// A seat was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// This player waits already.
    #[error("{0} waits already")]
    Waits(PlayerId),
    /// The live state failed.
    #[error(transparent)]
    Live(#[from] Error),
}

/// A player's seat, if there is one.
pub async fn read(live: &dyn Live, player: PlayerId) -> Result<Option<Seat>, Error> {
    let (seat, _) = documents::read(live, &Key::Seat(player)).await?;
    Ok(seat)
}

/// What a player waits for.
pub async fn taken(live: &dyn Live, player: PlayerId) -> Result<Option<Taken>, Error> {
    Ok(match read(live, player).await? {
        Some(Seat::Taken(taken)) => Some(*taken),
        Some(Seat::Free(_)) | None => None,
    })
}

/// Takes the seats of all players of a ticket, or none.
pub async fn take(live: &dyn Live, queue: &str, ticket: &Ticket) -> Result<(), Refused> {
    for player in ticket.player_ids() {
        let seat = Taken {
            queue: queue.to_owned(),
            ticket: ticket.clone(),
            asked: None,
        };
        let key = Key::Seat(player);
        let taken = documents::change(live, &key, KEEP, |there| match there {
            Some(Seat::Taken(other)) if other.ticket.id != ticket.id => Err(Refused::Waits(player)),
            Some(Seat::Taken(_)) => Ok((Next::Same, ())),
            Some(Seat::Free(_)) | None => {
                Ok((Next::Write(Seat::Taken(Box::new(seat.clone()))), ()))
            }
        });
        if let Err(refused) = taken.await {
            // Where this fails too, the seats pass by themselves: nobody touches them.
            free(live, ticket).await.ok();
            return Err(refused);
        }
    }
    Ok(())
}

/// Frees the seats of a ticket that is gone. Those whose seats were its own until now.
pub async fn free(live: &dyn Live, ticket: &Ticket) -> Result<Vec<PlayerId>, Error> {
    let mut freed = Vec::new();
    for player in ticket.player_ids() {
        let was_taken = change(live, player, ticket.id, |_| Seat::Free(ticket.id)).await?;
        freed.extend(was_taken.then_some(player));
    }
    Ok(freed)
}

/// Notes which match the players of a ticket must accept, if any. Those who still wait with it.
pub async fn ask(
    live: &dyn Live,
    ticket: &Ticket,
    asked: Option<Asked>,
) -> Result<Vec<PlayerId>, Error> {
    let mut waiting = Vec::new();
    for player in ticket.player_ids() {
        let noted = |taken: Taken| Seat::Taken(Box::new(Taken { asked, ..taken }));
        let is_there = change(live, player, ticket.id, noted).await?;
        waiting.extend(is_there.then_some(player));
    }
    Ok(waiting)
}

/// Changes a seat if it is this ticket's. Whether it was.
async fn change(
    live: &dyn Live,
    player: PlayerId,
    ticket: TicketId,
    next: impl Fn(Taken) -> Seat,
) -> Result<bool, Error> {
    let key = Key::Seat(player);
    documents::change(live, &key, KEEP, |seat| match seat {
        Some(Seat::Taken(taken)) if taken.ticket.id == ticket => {
            Ok((Next::Write(next(*taken)), true))
        }
        Some(_) | None => Ok((Next::Same, false)),
    })
    .await
}
