//! What the owner of a queue decides: which matches are proposed, asked for, placed and given up.
//!
//! Pure: events go in, effects come out, and the shell ([`matchmaker`](super::matchmaker)) carries
//! them out and says what became of them. What is in the live state is the truth; an owner that is
//! unsure of it is thrown away, and a new one begins with what is there.
//!
//! A match is proposed, asked for where the queue wants that, placed and settled, and it has one
//! effect under way at most. Its tickets come back through the queue's news alone, so that the
//! pool has each as often as the live state.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use runtime::backoff::Backoff;
use uuid::Builder;

use super::estimate::Estimates;
use super::explain::Explanation;
use super::pass::Proposal;
use super::pool::Pool;
use super::queue::Queue;
use super::ticket::Ticket;
use crate::ids::{MatchId, PlayerId, TicketId};
use crate::live::{Loaded, Pending, QueueNews, TICKETS};
use crate::service::matches::{NewMatch, NewSeat, Unplaced};

/// Matches that are placed at once, at most.
pub const PLACING: usize = 64;

/// How long a match looks for a server before its tickets wait again.
pub const PATIENCE: SignedDuration = SignedDuration::from_secs(10);

/// When a region without servers is tried again, by one match.
const STARVED: Backoff = Backoff {
    base: Duration::from_millis(250),
    cap: Duration::from_secs(2),
};

/// When a match is placed again of which nobody knows whether it was.
const UNKNOWN: Backoff = Backoff {
    base: Duration::from_millis(100),
    cap: Duration::from_secs(5),
};

/// Randomness for the ids of the matches of one pass.
pub type Seed = [u8; 10];

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// In the queue.
    News(QueueNews),
    /// Time went by.
    Tick(Seed),
    /// A match was proposed, or these tickets do not wait any more.
    Proposed {
        /// Which match.
        id: MatchId,
        /// None when it was done.
        missing: Vec<TicketId>,
    },
    /// A match has a server, or not.
    Placed {
        /// Which match.
        id: MatchId,
        /// What became of it.
        outcome: Result<(), Unplaced>,
    },
    /// A match is pending no more.
    Settled(MatchId),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make the tickets part of the match. Answered by [`Event::Proposed`].
    Propose(Pending),
    /// Note who has accepted.
    Amend(Pending),
    /// Ask those who have not accepted.
    Ask(Pending),
    /// Find a server. Answered by [`Event::Placed`].
    Place(NewMatch),
    /// End the match; these tickets wait again. Answered by [`Event::Settled`].
    Settle {
        /// Which match.
        id: MatchId,
        /// Tickets that wait again.
        back: Vec<TicketId>,
    },
    /// Take a ticket that waits out of the queue.
    Withdraw {
        /// Which ticket.
        ticket: Ticket,
        /// Why.
        reason: Reason,
    },
    /// The ticket is gone: free its players, and tell them.
    Gone {
        /// Which ticket.
        ticket: Ticket,
        /// Why.
        reason: Reason,
    },
    /// The players of the ticket were asked, and it waits again: tell them.
    Returned(Ticket),
}

/// Why a ticket is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its players do not want to play any more.
    Left,
    /// A player did not accept the match, or not in time.
    Declined,
    /// It has a match.
    Matched,
    /// It cannot be served.
    Failed,
    /// The queue has too many.
    Full,
}

impl Reason {
    /// As players' clients know it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Declined => "declined",
            Self::Matched => "matched",
            Self::Failed => "failed",
            Self::Full => "full",
        }
    }
}

/// What a ticket waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// For others.
    Waits(Explanation),
    /// For the players or the server of a match.
    InMatch {
        /// Which match.
        id: MatchId,
        /// How far it is: "proposing", "asking", "ready", "placing", "settling".
        stage: &'static str,
        /// How often it was tried in vain to find out whether it has a server.
        attempts: u32,
    },
}

/// How far a match is.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Proposing,
    Asking,
    /// Waits for its turn to be placed.
    Ready,
    Placing,
    /// These tickets are gone then.
    Settling(Vec<(TicketId, Reason)>),
}

/// A match that is pending.
#[derive(Debug)]
struct Held {
    pending: Pending,
    stage: Stage,
    /// Since when it may be placed.
    ready: Timestamp,
    /// Attempts of which nobody knows what they did.
    attempts: u32,
    /// Whether it may have a server: it is not given up before that is known.
    is_unknown: bool,
    /// Tickets whose players do not want to play any more: gone, unless it is too late.
    leaving: BTreeSet<TicketId>,
}

/// A region without servers.
#[derive(Debug)]
struct Starved {
    attempts: u32,
    until: Timestamp,
    /// The match that tries, so that not all do.
    probe: Option<MatchId>,
}

/// The owner of a queue.
#[derive(Debug)]
pub struct Owner {
    pool: Pool,
    held: BTreeMap<MatchId, Held>,
    /// When something is to be done about a match. Those that have gone on are left in here, and
    /// skipped by their stage.
    due: BTreeSet<(Timestamp, MatchId)>,
    /// Matches to place, as soon as there are few enough under way.
    line: VecDeque<MatchId>,
    placing: usize,
    starved: BTreeMap<String, Starved>,
    estimates: Estimates,
    /// Whether tickets came since the last pass.
    has_new: bool,
    /// How far [`sweep`](Self::sweep) is.
    swept: usize,
    effects: Vec<Effect>,
}

impl Owner {
    /// Goes on with what the former owner left. Nobody knows how far he came with matches to place;
    /// answers that he did not note are lost, so that players are asked once more.
    pub fn new(
        queue: Queue,
        loaded: Loaded,
        estimates: Estimates,
        now: Timestamp,
    ) -> (Self, Vec<Effect>) {
        let mut owner = Self {
            pool: Pool::new(queue),
            held: BTreeMap::new(),
            due: BTreeSet::new(),
            line: VecDeque::new(),
            placing: 0,
            starved: BTreeMap::new(),
            estimates,
            has_new: false,
            swept: 0,
            effects: Vec::new(),
        };
        for pending in loaded.pending {
            owner.resume(now, pending);
        }
        for ticket in loaded.tickets {
            owner.enter(now, ticket);
        }
        owner.start(now);
        let effects = std::mem::take(&mut owner.effects);
        (owner, effects)
    }

    /// The next state, and what is to be done.
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        match event {
            Event::News(QueueNews::Entered(ticket)) => self.enter(now, ticket),
            Event::News(QueueNews::Left(id)) => self.leave(id),
            Event::News(QueueNews::Answered {
                id,
                player,
                accepts,
            }) => self.answer(now, id, player, accepts),
            Event::Tick(seed) => self.tick(now, seed),
            Event::Proposed { id, missing } => self.proposed(now, id, &missing),
            Event::Placed { id, outcome } => self.placed(now, id, outcome),
            Event::Settled(id) => self.settled(id),
        }
        self.start(now);
        std::mem::take(&mut self.effects)
    }

    /// When the next [`Event::Tick`] is wanted; in the past when at once.
    pub fn wakes(&mut self) -> Option<Timestamp> {
        let due = self.due.first().map(|(at, _)| *at);
        if self.line.len() >= PLACING {
            return due;
        }
        let pass = if self.has_new {
            Some(Timestamp::UNIX_EPOCH)
        } else {
            self.pool.next_change()
        };
        due.into_iter().chain(pass).min()
    }

    /// How many tickets wait.
    pub fn waiting(&self) -> usize {
        self.pool.len()
    }

    /// How many players wait.
    pub fn players(&self) -> usize {
        let entries = self.pool.entries.iter().flatten();
        entries.map(|entry| usize::from(entry.players)).sum()
    }

    /// When the ticket came that has waited longest.
    pub fn oldest(&self) -> Option<Timestamp> {
        let entries = self.pool.entries.iter().flatten();
        entries.map(|entry| entry.ticket.entered).min()
    }

    /// How many matches are pending.
    pub fn pending(&self) -> usize {
        self.held.len()
    }

    /// How long tickets wait.
    pub const fn estimates(&self) -> &Estimates {
        &self.estimates
    }

    /// Why a ticket waits. None when it does not.
    pub fn explain(&self, id: TicketId, now: Timestamp) -> Option<Why> {
        if let Some(explanation) = self.pool.explain(id, now) {
            return Some(Why::Waits(explanation));
        }
        let held = self.held.get(&self.holder(id)?)?;
        Some(Why::InMatch {
            id: held.pending.id,
            stage: held.stage.name(),
            attempts: held.attempts,
        })
    }

    /// The next of the tickets that came before `before`, going round, of at most `limit` that are
    /// looked at: the shell sees whether somebody still keeps them.
    pub fn sweep(&mut self, before: Timestamp, limit: usize) -> Vec<(TicketId, Vec<PlayerId>)> {
        let entries = &self.pool.entries;
        if self.swept >= entries.len() {
            self.swept = 0;
        }
        let end = entries.len().min(self.swept + limit);
        let looked_at = entries[self.swept..end].iter().flatten();
        self.swept = end;
        looked_at
            .filter(|entry| entry.ticket.entered < before)
            .map(|entry| (entry.ticket.id, entry.ticket.player_ids().collect()))
            .collect()
    }

    // ---- Tickets ----

    fn enter(&mut self, now: Timestamp, ticket: Ticket) {
        if self.pool.get(ticket.id).is_some() {
            return;
        }
        let refused = if self.pool.len() >= TICKETS {
            Some(Reason::Full)
        } else {
            // Its queue was another one when it came.
            let is_admitted = self.pool.queue().admit(&ticket).is_ok();
            (!is_admitted).then_some(Reason::Failed)
        };
        if let Some(reason) = refused {
            self.effects.push(Effect::Withdraw { ticket, reason });
            return;
        }
        self.wait(now, ticket);
    }

    fn wait(&mut self, now: Timestamp, ticket: Ticket) {
        let id = ticket.id;
        match self.pool.insert(ticket, now) {
            Ok(()) => self.has_new = true,
            Err(error) => tracing::error!(%error, ticket = %id, "A ticket was not taken in"),
        }
    }

    /// The live state lets nobody leave who is in a match: either the match was proposed in vain, or
    /// it is settled by now.
    fn leave(&mut self, id: TicketId) {
        if self.pool.remove(id).is_some() {
            return;
        }
        let holder = self.holder(id).and_then(|held| self.held.get_mut(&held));
        if let Some(held) = holder {
            held.leaving.insert(id);
        }
    }

    /// The match that has a ticket. Asked seldom.
    fn holder(&self, id: TicketId) -> Option<MatchId> {
        let mut held = self.held.values();
        let holder = held.find(|held| held.pending.parties().any(|ticket| ticket.id == id));
        holder.map(|held| held.pending.id)
    }

    // ---- Proposals ----

    fn tick(&mut self, now: Timestamp, seed: Seed) {
        while let Some((at, id)) = self.due.first().copied()
            && at <= now
        {
            self.due.pop_first();
            self.come_due(at, id);
        }
        let next = self.pool.next_change();
        let may_find = self.has_new || next.is_some_and(|next| next <= now);
        if may_find && self.line.len() < PLACING {
            self.has_new = false;
            let proposals = self.pool.pass(now);
            for (index, proposal) in (0..).zip(proposals) {
                self.propose(now, match_id(now, seed, index), proposal);
            }
        }
    }

    fn come_due(&mut self, at: Timestamp, id: MatchId) {
        let Some(held) = self.held.get(&id) else {
            return;
        };
        match held.stage {
            Stage::Asking if held.pending.accept_until == Some(at) => {
                let accepted = &held.pending.accepted;
                let tickets = held.pending.parties();
                let late = tickets
                    .filter(|ticket| !ticket.player_ids().all(|player| accepted.contains(&player)))
                    .map(|ticket| (ticket.id, Reason::Declined))
                    .collect();
                self.settle(id, late);
            }
            Stage::Ready => self.line.push_back(id),
            Stage::Asking | Stage::Proposing | Stage::Placing | Stage::Settling(_) => {}
        }
    }

    fn propose(&mut self, now: Timestamp, id: MatchId, proposal: Proposal) {
        let pending = Pending {
            id,
            region: proposal.region,
            teams: proposal.teams,
            accept_until: self.accept_until(now),
            accepted: Vec::new(),
            proposed_at: now,
        };
        self.effects.push(Effect::Propose(pending.clone()));
        self.hold(now, pending, Stage::Proposing);
    }

    fn hold(&mut self, now: Timestamp, pending: Pending, stage: Stage) {
        let held = Held {
            stage,
            ready: now,
            attempts: 0,
            is_unknown: false,
            leaving: BTreeSet::new(),
            pending,
        };
        self.held.insert(held.pending.id, held);
    }

    fn accept_until(&self, now: Timestamp) -> Option<Timestamp> {
        let seconds = self.pool.queue().accept_seconds?;
        let until = now.checked_add(SignedDuration::from_secs(seconds.into()));
        Some(until.unwrap_or(Timestamp::MAX))
    }

    fn proposed(&mut self, now: Timestamp, id: MatchId, missing: &[TicketId]) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        if missing.is_empty() {
            if !held.leaving.is_empty() {
                self.settle(id, Vec::new());
            } else if held.pending.accept_until.is_some() {
                self.ask(id);
            } else {
                self.ready(now, id);
            }
            return;
        }
        // Nothing was done: those that were there still wait.
        let Some(held) = self.held.remove(&id) else {
            return;
        };
        for ticket in held.pending.teams.into_iter().flatten() {
            if !missing.contains(&ticket.id) && !held.leaving.contains(&ticket.id) {
                self.wait(now, ticket);
            }
        }
    }

    // ---- Acceptance ----

    /// Asks players until the match's time is over.
    fn ask(&mut self, id: MatchId) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        held.stage = Stage::Asking;
        self.due
            .extend(held.pending.accept_until.map(|at| (at, id)));
        self.effects.push(Effect::Ask(held.pending.clone()));
    }

    fn answer(&mut self, now: Timestamp, id: MatchId, player: PlayerId, accepts: bool) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        let Some(ticket) = held.pending.ticket_of(player) else {
            return;
        };
        match (&held.stage, accepts) {
            (Stage::Asking, true) => {
                if held.pending.accepted.contains(&player) {
                    return;
                }
                held.pending.accepted.push(player);
                let has_all = held.pending.has_all_accepted();
                self.effects.push(Effect::Amend(held.pending.clone()));
                if has_all {
                    self.ready(now, id);
                }
            }
            (Stage::Asking, false) => self.settle(id, vec![(ticket, Reason::Declined)]),
            (Stage::Ready, false) if !held.is_unknown => {
                self.settle(id, vec![(ticket, Reason::Left)]);
            }
            // It is decided when what is under way is done.
            (Stage::Proposing | Stage::Ready | Stage::Placing, false) => {
                held.leaving.insert(ticket);
            }
            (Stage::Proposing | Stage::Ready | Stage::Placing, true) | (Stage::Settling(_), _) => {}
        }
    }

    // ---- Servers ----

    fn resume(&mut self, now: Timestamp, mut pending: Pending) {
        let id = pending.id;
        let until = self.accept_until(now);
        if pending.accept_until.is_some() && until.is_some() && !pending.has_all_accepted() {
            pending.accept_until = until;
            self.effects.push(Effect::Amend(pending.clone()));
            self.hold(now, pending, Stage::Asking);
            self.ask(id);
            return;
        }
        self.hold(now, pending, Stage::Ready);
        self.ready(now, id);
        if let Some(held) = self.held.get_mut(&id) {
            held.is_unknown = true;
        }
    }

    fn ready(&mut self, now: Timestamp, id: MatchId) {
        if let Some(held) = self.held.get_mut(&id) {
            held.stage = Stage::Ready;
            held.ready = now;
            self.line.push_back(id);
        }
    }

    /// Places as many as may be at once.
    fn start(&mut self, now: Timestamp) {
        while self.placing < PLACING {
            let Some(id) = self.line.pop_front() else {
                return;
            };
            let Some(held) = self.held.get_mut(&id) else {
                continue;
            };
            if held.stage != Stage::Ready {
                continue;
            }
            // Who may have a server is not told by a region without any.
            let starved = self.starved.get_mut(&held.pending.region);
            if let Some(starved) = starved.filter(|_| !held.is_unknown) {
                if now >= deadline(held.ready) {
                    self.settle(id, Vec::new());
                    continue;
                }
                if starved.probe.is_some() || starved.until > now {
                    let later = after(now, STARVED.base);
                    self.due.insert((starved.until.max(later), id));
                    continue;
                }
                starved.probe = Some(id);
            }
            held.stage = Stage::Placing;
            self.placing += 1;
            let wanted = new_match(&self.pool.queue().name, &held.pending);
            self.effects.push(Effect::Place(wanted));
        }
    }

    fn placed(&mut self, now: Timestamp, id: MatchId, outcome: Result<(), Unplaced>) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        if held.stage != Stage::Placing {
            return;
        }
        held.stage = Stage::Ready;
        held.is_unknown = false;
        self.placing -= 1;
        let region = held.pending.region.clone();
        if let Some(starved) = self.starved.get_mut(&region) {
            starved.probe.take_if(|probe| *probe == id);
        }
        match outcome {
            Ok(()) => {
                self.starved.remove(&region);
                for ticket in held.pending.parties() {
                    let waited = now.duration_since(ticket.entered);
                    let waited = Duration::try_from(waited).unwrap_or_default();
                    self.estimates.observe(ticket.players.len(), waited);
                }
                // It is a fact: they are free before it is forgotten here, so that a new owner, who
                // finds it pending, sees to it once more.
                let matched: Vec<Ticket> = held.pending.parties().cloned().collect();
                let gone = matched.iter().map(|ticket| (ticket.id, Reason::Matched));
                let gone = gone.collect();
                let reason = Reason::Matched;
                let tell = |ticket| Effect::Gone { ticket, reason };
                self.effects.extend(matched.into_iter().map(tell));
                self.settle(id, gone);
            }
            Err(Unplaced::NoServer) => {
                let gives_up = now >= deadline(held.ready) || !held.leaving.is_empty();
                let until = self.starve(now, &region);
                if gives_up {
                    self.settle(id, Vec::new());
                } else {
                    self.due.insert((until, id));
                }
            }
            Err(Unplaced::Refused(_)) => {
                self.starve(now, &region);
                self.settle(id, Vec::new());
            }
            Err(Unplaced::Busy(players)) => {
                let failed = failed(&held.pending, &players);
                self.settle(id, failed);
            }
            Err(Unplaced::Unavailable(_)) => {
                held.is_unknown = true;
                let until = after(now, UNKNOWN.bound(held.attempts));
                held.attempts = held.attempts.saturating_add(1);
                self.due.insert((until, id));
            }
        }
    }

    /// Notes that a region has no servers; when it is tried next.
    fn starve(&mut self, now: Timestamp, region: &str) -> Timestamp {
        let starved = self
            .starved
            .entry(region.to_owned())
            .or_insert_with(|| Starved {
                attempts: 0,
                until: now,
                probe: None,
            });
        // Those that were under way together count once.
        if starved.until <= now {
            starved.until = after(now, STARVED.bound(starved.attempts));
            starved.attempts = starved.attempts.saturating_add(1);
        }
        starved.until
    }

    // ---- Ends ----

    /// Ends a match: these tickets and those that want to leave are gone, the others wait again.
    fn settle(&mut self, id: MatchId, mut gone: Vec<(TicketId, Reason)>) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        for ticket in &held.leaving {
            if !gone.iter().any(|(other, _)| other == ticket) {
                gone.push((*ticket, Reason::Left));
            }
        }
        let tickets = held.pending.parties().map(|ticket| ticket.id);
        let back = tickets
            .filter(|ticket| !gone.iter().any(|(other, _)| other == ticket))
            .collect();
        held.stage = Stage::Settling(gone);
        self.effects.push(Effect::Settle { id, back });
    }

    fn settled(&mut self, id: MatchId) {
        let Some(held) = self.held.remove(&id) else {
            return;
        };
        let Stage::Settling(gone) = held.stage else {
            tracing::error!(%id, "A match was settled that nobody wanted to settle");
            return;
        };
        let was_asked = held.pending.accept_until.is_some();
        for ticket in held.pending.teams.into_iter().flatten() {
            match gone.iter().find(|(id, _)| *id == ticket.id) {
                // They know already.
                Some((_, Reason::Matched)) => {}
                Some((_, reason)) => self.effects.push(Effect::Gone {
                    ticket,
                    reason: *reason,
                }),
                None if was_asked => self.effects.push(Effect::Returned(ticket)),
                None => {}
            }
        }
    }
}

impl Stage {
    const fn name(&self) -> &'static str {
        match self {
            Self::Proposing => "proposing",
            Self::Asking => "asking",
            Self::Ready => "ready",
            Self::Placing => "placing",
            Self::Settling(_) => "settling",
        }
    }
}

impl Pending {
    /// Its tickets, team by team.
    pub fn parties(&self) -> impl Iterator<Item = &Ticket> {
        self.teams.iter().flatten()
    }

    fn ticket_of(&self, player: PlayerId) -> Option<TicketId> {
        let mut tickets = self.parties();
        let of = |ticket: &&Ticket| ticket.player_ids().any(|one| one == player);
        tickets.find(of).map(|ticket| ticket.id)
    }

    fn has_all_accepted(&self) -> bool {
        let mut players = self.parties().flat_map(Ticket::player_ids);
        players.all(|player| self.accepted.contains(&player))
    }
}

/// The tickets of players who are in another match. All, when it is none of them: the match cannot
/// be, and trying it again would not end.
fn failed(pending: &Pending, players: &[PlayerId]) -> Vec<(TicketId, Reason)> {
    let all = |ticket: &Ticket| (ticket.id, Reason::Failed);
    let is_busy = |ticket: &&Ticket| ticket.player_ids().any(|player| players.contains(&player));
    let busy: Vec<_> = pending.parties().filter(is_busy).map(all).collect();
    if busy.is_empty() {
        pending.parties().map(all).collect()
    } else {
        busy
    }
}

fn new_match(queue: &str, pending: &Pending) -> NewMatch {
    let seats = |team: &Vec<Ticket>| {
        let players = team.iter().flat_map(|ticket| &ticket.players);
        let seat = |player: &super::ticket::Player| NewSeat {
            player: player.id,
            session: player.session,
            trace_context: player.trace_context.clone(),
        };
        players.map(seat).collect()
    };
    NewMatch {
        id: pending.id,
        queue: queue.to_owned(),
        region: pending.region.clone(),
        is_rated: true,
        teams: pending.teams.iter().map(seats).collect(),
    }
}

/// A UUIDv7 of its own for each match of a pass.
fn match_id(now: Timestamp, mut seed: Seed, index: u32) -> MatchId {
    // The last four bytes are random alone: neither version nor variant are among them.
    for (byte, change) in seed.iter_mut().skip(6).zip(index.to_be_bytes()) {
        *byte ^= change;
    }
    let moment = u64::try_from(now.as_millisecond()).unwrap_or_default();
    MatchId(Builder::from_unix_timestamp_millis(moment, &seed).into_uuid())
}

fn deadline(ready: Timestamp) -> Timestamp {
    ready.checked_add(PATIENCE).unwrap_or(Timestamp::MAX)
}

fn after(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
