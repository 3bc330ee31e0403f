//! What this process knows of its game server, and what it still has to tell the hub. Pure.
//!
//! At most one change is on its way to the hub; everything asked for meanwhile is merged, key by
//! key, into the next one: the newest state wins, the newest value of each label and annotation
//! wins. What was asked for stays here until the hub has acknowledged it, so that nothing is lost
//! while the pod lives, and the keys and bytes that may wait are bounded.
//!
//! Some parts are patient: the number of players, and a boot id before Ready. They go with the next
//! change, whatever that is, and cost no write of their own; [`Core::hurry`] ends the patience.
//!
//! Three rules protect the game server:
//! - *Live guard*: once it is Unhealthy, shut down or being deleted, later states are dropped.
//! - *An allocation that we did not know of beats a waiting Ready*: if the hub shows a new
//!   allocation, the players who come now must not be met by a server that returns to Ready
//!   because of what it said before.
//! - *Together or alone*: a change that the hub refuses is split into its parts, so that a bad
//!   annotation never takes a state with it.

use std::collections::{BTreeMap, VecDeque};

use proto::agones::dev::sdk::GameServer;
use proto::muster::hub::v1::state_change::State;
use proto::muster::hub::v1::{
    Ack, Change, ConnectKey, ConnectKeys, KeyRequest, MatchResult, Snapshot, StateChange,
};
use proto::muster::sdk::v1::WatchMatchResponse;
use proto::muster::sdk::v1::end_match_request::Next;
use tonic::{Code, Status};

use crate::backend::Call;
use crate::matches;
use crate::state::life::Life;
use crate::state::parts::{Part, Parts, Slot, Value, state_in, state_of, to_change};
use crate::state::players::{Changed, Players};
use crate::validate;

mod life;
mod parts;
mod players;
#[cfg(test)]
mod tests;

/// How many labels and annotations may wait for the hub.
const MAX_WAITING_KEYS: usize = 128;

pub(crate) use life::BootId;

/// Who waits for an answer.
pub(crate) type Ticket = u64;

/// What became of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// The live guard dropped it: there is nothing to wait for.
    Dropped,
    /// The ticket is answered when the hub acknowledges.
    Waiting,
}

/// What an acknowledgment leads to.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    /// The calls to answer.
    pub(crate) answers: Vec<(Ticket, Result<(), Status>)>,
    /// The hub could not commit now: call [`Core::resume`] after a pause.
    pub(crate) pause: bool,
    /// Parts that were refused after their callers had been told that they are kept.
    pub(crate) lost: Vec<String>,
}

#[derive(Debug)]
struct InFlight {
    id: u64,
    parts: Parts,
    /// Whether it was sent on the connection that is open now.
    sent: bool,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Core {
    snapshot: Option<Snapshot>,
    /// Connected, and the hub's first snapshot has come.
    linked: bool,
    /// After an answer that asks for another try.
    paused: bool,
    last_id: u64,
    in_flight: Option<InFlight>,
    /// Parts of a refused change, to be sent alone.
    alone: VecDeque<(Slot, Part)>,
    pending: Parts,
    /// The final state that was asked for here: Shutdown or Unhealthy.
    ended: Option<State>,
    /// An Allocated of ours was sent whose snapshot has not come yet.
    allocating: bool,
    /// A reservation that a later state has ended, though the snapshot may still show it.
    cancelled_reservation: i64,
    /// The life of the game's process that waits for its keys.
    life: Option<Life>,
    players: Players,
    /// The match that the game has ended, while the object may still show it.
    ended_match: Option<Vec<u8>>,
}

impl Core {
    /// Takes a call of the game server.
    pub(crate) fn call(&mut self, ticket: Ticket, call: Call) -> Result<Called, Status> {
        match call {
            Call::Ready => {
                self.match_over();
                Ok(self.state(Some(ticket), sdk_change(State::Ready, 0)))
            }
            Call::Allocate => Ok(self.state(Some(ticket), sdk_change(State::Allocated, 0))),
            Call::Shutdown => Ok(self.state(Some(ticket), sdk_change(State::Shutdown, 0))),
            Call::Reserve { seconds } => {
                Ok(self.state(Some(ticket), sdk_change(State::Reserved, seconds)))
            }
            Call::SetLabel { key, value } => self.text(ticket, Slot::Label(key), value),
            Call::SetAnnotation { key, value } => {
                self.check_annotations(&key, &value)?;
                self.text(ticket, Slot::Annotation(key), value)
            }
            Call::PlayerJoined { player_id } => {
                let changed = self.players.joined(player_id).ok_or_else(|| {
                    Status::resource_exhausted("no more players fit into one game server")
                })?;
                Ok(self.count(Some(ticket), changed))
            }
            Call::PlayerLeft { player_id } => {
                let changed = self.players.left(player_id);
                Ok(self.count(Some(ticket), changed))
            }
            Call::EndMatch {
                match_id,
                result,
                next,
            } => self.end_match(ticket, match_id, result, next),
        }
    }

    /// Whether a life that begins now costs a write of its own: before Ready, its boot id goes with
    /// that state.
    pub(crate) fn is_past_start(&self) -> bool {
        self.snapshot
            .as_ref()
            .is_some_and(|known| !is_starting(known))
    }

    /// Begins a life of the game's process; its keys are there when the ticket is answered. Returns
    /// the ticket of a life that this one replaces.
    pub(crate) fn begin_life(&mut self, ticket: Ticket, boot_id: BootId) -> Option<Ticket> {
        self.pending.remove(&Slot::Life);
        let replaced = self.life.replace(Life::new(boot_id, ticket));
        replaced.map(|life| life.ticket)
    }

    /// Returns what to ask the hub for the life that begins, once per connection.
    pub(crate) fn next_key_request(&mut self) -> Option<KeyRequest> {
        self.life.as_mut().filter(|_| self.linked)?.ask()
    }

    /// Takes the keys of a life; returns the ticket to answer at once. None: nobody waits for
    /// them, or the hub has to commit the boot id first.
    pub(crate) fn connect_keys(&mut self, keys: ConnectKeys) -> Option<Ticket> {
        let life = self.life.as_mut()?;
        let key_version = life.answer(keys)?;
        let (boot_id, ticket) = (life.boot_id, life.ticket);
        let value = Value::Life {
            boot_id,
            key_version,
        };
        // Before it is Ready nobody is sent here, so the boot id can wait for that write.
        let is_early = self.snapshot.as_ref().is_some_and(is_starting)
            && !self
                .in_flight
                .as_ref()
                .is_some_and(|change| change.parts.contains_key(&Slot::State));
        if is_early {
            self.merge(Slot::Life, value, None);
            self.set_patience(&Slot::Life, true);
            return Some(ticket);
        }
        self.merge(Slot::Life, value, Some(ticket));
        None
    }

    /// Hands out the keys of a life, and forgets them.
    pub(crate) fn take_keys(&mut self, boot_id: &BootId) -> Vec<ConnectKey> {
        let life = self.life.take_if(|life| life.boot_id == *boot_id);
        life.map(|life| life.keys).unwrap_or_default()
    }

    /// The match of the game server.
    pub(crate) fn current_match(&self) -> WatchMatchResponse {
        let snapshot = self.snapshot.as_ref();
        snapshot
            .and_then(|known| {
                Some(matches::current(
                    &known.r#match,
                    known.game_server.as_ref()?,
                ))
            })
            .unwrap_or_default()
    }

    /// Sends the number of players now, if it waits for another change.
    pub(crate) fn hurry(&mut self) {
        self.set_patience(&Slot::PlayerCount, false);
    }

    /// Reports that health checks have failed.
    pub(crate) fn unhealthy(&mut self) -> Called {
        let reason = "Health check failure".to_owned();
        let state = State::Unhealthy.into();
        self.state(
            None,
            StateChange {
                state,
                reserve_seconds: 0,
                reason,
                last_allocated: None,
            },
        )
    }

    /// Returns the end of the running reservation, in seconds since the Unix epoch, unless another
    /// state has been asked for since.
    pub(crate) fn reservation(&self) -> Option<i64> {
        let snapshot = self.snapshot.as_ref()?;
        let until = snapshot.reserved_until;
        let runs = until > 0
            && until != self.cancelled_reservation
            && object_state(snapshot) == "Reserved"
            && !self.is_over()
            && !self.has_state();
        runs.then_some(until)
    }

    /// Returns to Ready, when the time of [`Self::reservation`] has come.
    pub(crate) fn reservation_over(&mut self) {
        if self.reservation().is_some() {
            let reason = "Reservation is over".to_owned();
            let state = State::Ready.into();
            self.state(
                None,
                StateChange {
                    state,
                    reserve_seconds: 0,
                    reason,
                    last_allocated: None,
                },
            );
        }
    }

    /// Forgets a caller that no longer waits; what it asked for is kept.
    ///
    /// But for a life whose keys it has not taken: that one never begins.
    pub(crate) fn forget(&mut self, ticket: Ticket) {
        if self.life.take_if(|life| life.ticket == ticket).is_some() {
            self.pending.remove(&Slot::Life);
        }
        let in_flight = self
            .in_flight
            .iter_mut()
            .flat_map(|change| change.parts.values_mut());
        let alone = self.alone.iter_mut().map(|(_, part)| part);
        for part in in_flight.chain(alone).chain(self.pending.values_mut()) {
            part.waiting.retain(|waiting| *waiting != ticket);
        }
    }

    /// The connection is gone: what was sent on it and not acknowledged is sent again.
    pub(crate) fn disconnected(&mut self) {
        self.linked = false;
        self.paused = false;
        if let Some(change) = &mut self.in_flight {
            change.sent = false;
        }
        if let Some(life) = &mut self.life {
            life.disconnected();
        }
    }

    /// Takes the object as the hub sees it; returns the calls that it answers.
    pub(crate) fn snapshot(&mut self, snapshot: Snapshot) -> Vec<Ticket> {
        let mut answers = Vec::new();
        if !self
            .snapshot
            .as_ref()
            .is_some_and(|known| is_older(&snapshot, known))
        {
            if self.is_new_allocation(&snapshot) {
                answers = self.drop_ready();
            }
            if object_state(&snapshot) == "Allocated" {
                self.allocating = false;
            }
            if !is_starting(&snapshot) {
                self.set_patience(&Slot::Life, false);
            }
            self.snapshot = Some(snapshot);
        }
        self.linked = true;
        answers
    }

    pub(crate) fn game_server(&self) -> Option<&GameServer> {
        self.snapshot.as_ref()?.game_server.as_ref()
    }

    /// Takes the outcome of a change.
    pub(crate) fn ack(&mut self, ack: &Ack) -> Acknowledged {
        let mut outcome = Acknowledged::default();
        let Some(change) = self.in_flight.take_if(|change| change.id == ack.id) else {
            return outcome;
        };
        match Code::from(ack.code) {
            Code::Ok => {
                if state_of(&change.parts) == Some(State::Reserved) {
                    self.cancelled_reservation = 0;
                }
                // The hub drops the end of a match that is not the server's, with the state that
                // was to follow. Whether the server has ended, the snapshot says that came before.
                if change.parts.contains_key(&Slot::MatchResult)
                    && state_of(&change.parts) == self.ended
                {
                    self.ended = None;
                }
                let tickets = change.parts.into_values().flat_map(|part| part.waiting);
                outcome.answers = tickets.map(|ticket| (ticket, Ok(()))).collect();
            }
            code if is_transient(code) => {
                self.put_back(change.parts);
                self.paused = true;
                outcome.pause = true;
            }
            _ if change.parts.len() > 1 => self.alone.extend(change.parts),
            code => self.refuse(change.parts, code, &ack.message, &mut outcome),
        }
        outcome
    }

    /// Ends the pause after an acknowledgment that asked for one.
    pub(crate) fn resume(&mut self) {
        self.paused = false;
    }

    /// Returns the change to send now, if there is one; it counts as sent.
    pub(crate) fn next_change(&mut self) -> Option<Change> {
        if !self.linked || self.paused {
            return None;
        }
        if self.in_flight.is_none() {
            let parts = self.next_parts()?;
            self.last_id += 1;
            self.in_flight = Some(InFlight {
                id: self.last_id,
                parts,
                sent: false,
            });
        }
        let change = self.in_flight.as_mut().filter(|change| !change.sent)?;
        change.sent = true;
        self.allocating |= state_of(&change.parts) == Some(State::Allocated);
        Some(to_change(change.id, &change.parts))
    }

    /// Whether the hub has acknowledged everything but what waits for company.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.alone.is_empty() && !self.has_urgent()
    }

    fn has_urgent(&self) -> bool {
        self.pending.values().any(|part| !part.is_patient)
    }

    fn set_patience(&mut self, slot: &Slot, is_patient: bool) {
        if let Some(part) = self.pending.get_mut(slot) {
            part.is_patient = is_patient;
        }
    }

    /// Writes down the number of players: a claim at once, the rest with the next change.
    fn count(&mut self, ticket: Option<Ticket>, changed: Changed) -> Called {
        match changed {
            Changed::Nothing => Called::Dropped,
            Changed::Claim(count) => {
                self.merge(Slot::PlayerCount, Value::Count(count), ticket);
                Called::Waiting
            }
            Changed::Count(count) => {
                let waited = self.pending.get(&Slot::PlayerCount);
                let is_patient = waited.is_none_or(|part| part.is_patient);
                self.merge(Slot::PlayerCount, Value::Count(count), None);
                self.set_patience(&Slot::PlayerCount, is_patient);
                Called::Dropped
            }
        }
    }

    fn match_over(&mut self) {
        let changed = self.players.match_over();
        self.count(None, changed);
    }

    fn end_match(
        &mut self,
        ticket: Ticket,
        match_id: Vec<u8>,
        result: String,
        next: Next,
    ) -> Result<Called, Status> {
        if self.ended_match.as_ref() == Some(&match_id) {
            // Said again: whoever waits for the first call's outcome waits with it.
            let in_flight = self.in_flight.as_mut().map(|change| &mut change.parts);
            let parts = in_flight.into_iter().chain([&mut self.pending]);
            let alone = self.alone.iter_mut().map(|(slot, part)| (&*slot, part));
            let mut waiting = parts.flatten().chain(alone);
            return Ok(
                match waiting.find(|(slot, _)| **slot == Slot::MatchResult) {
                    Some((_, part)) => {
                        part.waiting.push(ticket);
                        Called::Waiting
                    }
                    None => Called::Dropped,
                },
            );
        }
        if let Some(object) = self.game_server() {
            if matches::last_ended(object).is_some_and(|ended| ended.0.as_slice() == match_id) {
                return Ok(Called::Dropped);
            }
            let current = self.current_match().r#match;
            if current.is_none_or(|current| current.match_id != match_id) {
                return Err(Status::failed_precondition(
                    "match_id is not that of the match that this game server is allocated for",
                ));
            }
        }
        let state = match next {
            Next::Ready => State::Ready,
            Next::Shutdown | Next::Unspecified => State::Shutdown,
        };
        self.ended_match = Some(match_id.clone());
        self.match_over();
        let result = MatchResult { match_id, result };
        self.merge(Slot::MatchResult, Value::Result(result), Some(ticket));
        let change = StateChange {
            reason: "Match is over".to_owned(),
            ..sdk_change(state, 0)
        };
        // Answered with the result: they are one change.
        self.state(None, change);
        Ok(Called::Waiting)
    }

    fn state(&mut self, ticket: Option<Ticket>, mut change: StateChange) -> Called {
        if self.is_over() {
            return Called::Dropped;
        }
        // Said again after a reconnect, this must not undo an allocation that came in between. An
        // allocation of our own that is on its way is one that the game knows of.
        if matches!(change.state(), State::Ready | State::Reserved) && !self.allocating {
            let seen = self
                .snapshot
                .as_ref()
                .map(|known| last_allocated(known).unwrap_or_default().to_owned());
            change.last_allocated = seen;
        }
        match change.state() {
            end @ (State::Shutdown | State::Unhealthy) => self.ended = Some(end),
            State::Unspecified | State::Ready | State::Allocated | State::Reserved => {}
        }
        self.cancelled_reservation = self
            .snapshot
            .as_ref()
            .map_or(0, |snapshot| snapshot.reserved_until);
        self.merge(Slot::State, Value::State(change), ticket);
        Called::Waiting
    }

    fn text(&mut self, ticket: Ticket, slot: Slot, value: String) -> Result<Called, Status> {
        if !self.pending.contains_key(&slot) && self.pending.len() >= MAX_WAITING_KEYS {
            return Err(Status::resource_exhausted(format!(
                "{slot}: {MAX_WAITING_KEYS} labels and annotations wait for the hub already"
            )));
        }
        self.merge(slot, Value::Text(value), Some(ticket));
        Ok(Called::Waiting)
    }

    fn merge(&mut self, slot: Slot, value: Value, ticket: Option<Ticket>) {
        let entry = self.pending.entry(slot);
        let part = entry.or_insert_with(|| Part {
            value: value.clone(),
            waiting: Vec::new(),
            is_patient: false,
        });
        part.value = value;
        part.is_patient = false;
        part.waiting.extend(ticket);
    }

    fn check_annotations(&self, key: &str, value: &str) -> Result<(), Status> {
        let none = BTreeMap::new();
        let meta = self
            .game_server()
            .and_then(|object| object.object_meta.as_ref());
        let current = meta.map_or(&none, |meta| &meta.annotations);
        let in_flight = self.in_flight.iter().flat_map(|change| change.parts.iter());
        let alone = self.alone.iter().map(|(slot, part)| (slot, part));
        let unsent = in_flight.chain(alone).chain(self.pending.iter());
        let unsent = unsent.filter_map(|(slot, part)| match (slot, &part.value) {
            (Slot::Annotation(key), Value::Text(value)) => Some((key.as_str(), value.as_str())),
            _ => None,
        });
        validate::annotations(current, unsent, key, value).map_err(Status::invalid_argument)
    }

    /// Whether the live guard is closed.
    fn is_over(&self) -> bool {
        let is_over = |snapshot: &Snapshot| {
            let meta = snapshot
                .game_server
                .as_ref()
                .and_then(|object| object.object_meta.as_ref());
            meta.is_some_and(|meta| meta.deletion_timestamp != 0)
                || matches!(object_state(snapshot), "Unhealthy" | "Shutdown")
        };
        self.ended.is_some() || self.snapshot.as_ref().is_some_and(is_over)
    }

    /// Whether a state waits for its acknowledgment.
    fn has_state(&self) -> bool {
        self.pending.contains_key(&Slot::State)
            || self
                .in_flight
                .as_ref()
                .is_some_and(|change| change.parts.contains_key(&Slot::State))
            || self.alone.iter().any(|(slot, _)| *slot == Slot::State)
    }

    fn is_new_allocation(&self, snapshot: &Snapshot) -> bool {
        let Some(known) = &self.snapshot else {
            return false;
        };
        object_state(snapshot) == "Allocated"
            && !self.allocating
            && (object_state(known) != "Allocated"
                || last_allocated(known) != last_allocated(snapshot))
    }

    /// Drops a Ready or Reserve that waits; one that is on its way cannot be called back.
    fn drop_ready(&mut self) -> Vec<Ticket> {
        if self.in_flight.as_ref().is_some_and(|change| !change.sent)
            && let Some(change) = self.in_flight.take()
        {
            self.put_back(change.parts);
        }
        let mut dropped = Vec::new();
        let gives_up = |state| matches!(state, Some(State::Ready | State::Reserved));
        if gives_up(state_of(&self.pending)) {
            dropped.extend(self.pending.remove(&Slot::State));
        }
        let (ready, alone) = std::mem::take(&mut self.alone)
            .into_iter()
            .partition(|(_, part)| gives_up(state_in(part)));
        self.alone = alone;
        let ready: VecDeque<(Slot, Part)> = ready;
        dropped.extend(ready.into_iter().map(|(_, part)| part));
        dropped.into_iter().flat_map(|part| part.waiting).collect()
    }

    fn next_parts(&mut self) -> Option<Parts> {
        while let Some((slot, part)) = self.alone.pop_front() {
            match self.pending.get_mut(&slot) {
                // Something newer has been asked for: it answers both.
                Some(newer) => newer.stand_in_for(part),
                None => return Some(Parts::from([(slot, part)])),
            }
        }
        self.has_urgent().then(|| std::mem::take(&mut self.pending))
    }

    /// Puts parts back that were not committed; what has been asked for since wins.
    fn put_back(&mut self, parts: Parts) {
        for (slot, part) in parts {
            match self.pending.get_mut(&slot) {
                Some(newer) => newer.stand_in_for(part),
                None => {
                    self.pending.insert(slot, part);
                }
            }
        }
    }

    fn refuse(&mut self, parts: Parts, code: Code, message: &str, outcome: &mut Acknowledged) {
        for (slot, part) in parts {
            if self.ended.is_some() && state_in(&part) == self.ended {
                self.ended = None;
            }
            if slot == Slot::MatchResult {
                // The game may send another one.
                self.ended_match = None;
            }
            if slot == Slot::State {
                // The reservation that this state was to end goes on.
                self.cancelled_reservation = 0;
            }
            if part.waiting.is_empty() {
                outcome.lost.push(format!("{slot}: {message}"));
            }
            let refused = part
                .waiting
                .into_iter()
                .map(|ticket| (ticket, Err(Status::new(code, message))));
            outcome.answers.extend(refused);
        }
    }
}

fn sdk_change(state: State, reserve_seconds: i64) -> StateChange {
    StateChange {
        state: state.into(),
        reserve_seconds,
        reason: "SDK state change".to_owned(),
        last_allocated: None,
    }
}

fn object_state(snapshot: &Snapshot) -> &str {
    let status = snapshot
        .game_server
        .as_ref()
        .and_then(|object| object.status.as_ref());
    status.map_or("", |status| status.state.as_str())
}

/// Whether nobody can be sent to the server yet, and a call of the game's brings it to Ready.
fn is_starting(snapshot: &Snapshot) -> bool {
    matches!(
        object_state(snapshot),
        "" | "PortAllocation" | "Creating" | "Starting" | "Scheduled"
    )
}

fn last_allocated(snapshot: &Snapshot) -> Option<&str> {
    matches::annotation(
        snapshot.game_server.as_ref()?,
        matches::LAST_ALLOCATED_ANNOTATION,
    )
}

/// Whether `snapshot` is an older version of the object than `known`: after a reconnect, another
/// hub's cache may lag.
fn is_older(snapshot: &Snapshot, known: &Snapshot) -> bool {
    let version = |snapshot: &Snapshot| {
        let meta = snapshot.game_server.as_ref()?.object_meta.as_ref()?;
        Some((meta.uid.clone(), meta.resource_version.parse::<u64>().ok()?))
    };
    match (version(snapshot), version(known)) {
        (Some((uid, version)), Some((known_uid, known_version))) => {
            uid == known_uid && version < known_version
        }
        _ => false,
    }
}

/// Whether the hub may succeed with the same change later.
fn is_transient(code: Code) -> bool {
    match code {
        Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable => true,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => false,
    }
}
