//! One queue in memory: its owner, its tickets, the matches that are proposed, and its news.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::watch;

use super::lease::Lease;
use crate::ids::{MatchId, PlayerId, TicketId};
use crate::live::{
    Cursor, Error, Fence, Loaded, NEWS_KEPT, Owned, Pending, QueueNews, TICKETS, Withdrawn,
};
use crate::matchmaking::Ticket;

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) owner: Lease,
    /// Those that wait.
    tickets: BTreeMap<TicketId, Ticket>,
    /// Those that are in a match, as they were.
    taken: BTreeMap<TicketId, (MatchId, Ticket)>,
    pending: BTreeMap<MatchId, Match>,
    /// The latest, the oldest first.
    news: VecDeque<QueueNews>,
    /// The number of the last news; the first ever is number 1.
    last: watch::Sender<u64>,
}

/// A match that is proposed.
#[derive(Debug)]
struct Match {
    pending: Pending,
    /// Its tickets when it was proposed.
    roster: Vec<TicketId>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            owner: Lease::default(),
            tickets: BTreeMap::new(),
            taken: BTreeMap::new(),
            pending: BTreeMap::new(),
            news: VecDeque::new(),
            last: watch::Sender::new(0),
        }
    }
}

impl Queue {
    pub(super) fn enter(&mut self, ticket: &Ticket) -> Result<(), Error> {
        if self.tickets.contains_key(&ticket.id) || self.taken.contains_key(&ticket.id) {
            return Ok(());
        }
        if self.tickets.len() >= TICKETS {
            return Err(Error::full("the queue"));
        }
        self.tickets.insert(ticket.id, ticket.clone());
        self.tell(QueueNews::Entered(ticket.clone()));
        Ok(())
    }

    pub(super) fn withdraw(&mut self, ticket: TicketId) -> Withdrawn {
        if self.tickets.remove(&ticket).is_some() {
            self.tell(QueueNews::Left(ticket));
            return Withdrawn::Gone;
        }
        match self.taken.get(&ticket) {
            Some((id, _)) => Withdrawn::Proposed(*id),
            None => Withdrawn::Unknown,
        }
    }

    pub(super) fn answer(&mut self, id: MatchId, player: PlayerId, accepts: bool) {
        if self.pending.contains_key(&id) {
            self.tell(QueueNews::Answered {
                id,
                player,
                accepts,
            });
        }
    }

    pub(super) fn load(&self) -> Loaded {
        Loaded {
            tickets: self.tickets.values().cloned().collect(),
            pending: self
                .pending
                .values()
                .map(|found| found.pending.clone())
                .collect(),
            cursor: Cursor(self.last.borrow().to_string()),
        }
    }

    pub(super) fn propose(&mut self, fence: Fence, pending: &Pending) -> Owned {
        if !self.owner.has(fence) {
            return Owned::Fenced;
        }
        if self.pending.contains_key(&pending.id) {
            return Owned::Done;
        }
        let roster: Vec<TicketId> = pending.tickets().collect();
        let waits = |id: &TicketId| self.tickets.contains_key(id);
        let missing: Vec<TicketId> = roster.iter().copied().filter(|id| !waits(id)).collect();
        if !missing.is_empty() {
            return Owned::Missing(missing);
        }
        for id in &roster {
            if let Some(ticket) = self.tickets.remove(id) {
                self.taken.insert(*id, (pending.id, ticket));
            }
        }
        let pending = pending.clone();
        self.pending.insert(pending.id, Match { pending, roster });
        Owned::Done
    }

    pub(super) fn amend(&mut self, fence: Fence, pending: &Pending) -> Owned {
        if !self.owner.has(fence) {
            return Owned::Fenced;
        }
        match self.pending.get_mut(&pending.id) {
            Some(noted) => {
                noted.pending.clone_from(pending);
                Owned::Done
            }
            None => Owned::Missing(Vec::new()),
        }
    }

    pub(super) fn settle(&mut self, fence: Fence, id: MatchId, back: &[TicketId]) -> Owned {
        if !self.owner.has(fence) {
            return Owned::Fenced;
        }
        let Some(over) = self.pending.remove(&id) else {
            return Owned::Done;
        };
        for ticket in over.roster {
            let was = self.taken.remove(&ticket);
            if let Some((_, was)) = was.filter(|_| back.contains(&ticket)) {
                self.tickets.insert(ticket, was.clone());
                self.tell(QueueNews::Entered(was));
            }
        }
        Owned::Done
    }

    fn tell(&mut self, news: QueueNews) {
        if self.news.len() >= NEWS_KEPT {
            self.news.pop_front();
        }
        self.news.push_back(news);
        self.last.send_modify(|last| *last += 1);
    }

    /// The number of the last news, to wait for the next.
    pub(super) fn last(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// News after the one of this number, and the number of the last of them.
    pub(super) fn after(&self, seen: u64, limit: usize) -> Option<(Vec<QueueNews>, u64)> {
        let behind = usize::try_from(self.last.borrow().checked_sub(seen)?).ok()?;
        let skipped = self.news.len().checked_sub(behind)?;
        let news: Vec<QueueNews> = self
            .news
            .iter()
            .skip(skipped)
            .take(limit)
            .cloned()
            .collect();
        let seen = seen + u64::try_from(news.len()).ok()?;
        Some((news, seen))
    }
}
