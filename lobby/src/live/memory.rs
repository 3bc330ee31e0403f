//! The live state of one process: the embedded mode.
//!
//! Bounded. Documents are never displaced: a full memory refuses more of them. Rates make room by
//! dropping what would end first, which is what limits least; news make room by dropping the oldest,
//! and who has not read those is told to load anew.
//!
//! It ends with its process, which is what it serves: nobody is left to whom something was promised.

mod lease;
mod queue;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use self::lease::Lease;
use self::queue::Queue;
use self::table::Table;
use super::gcra::gcra;
use super::{
    CHANNELS, Channel, Cursor, Delivery, Document, Error, Fence, KEEP_LIMIT, Key, LAG, Live,
    Loaded, MEMBERS, Owned, Pending, QueueNews, REMEMBERED, VALUE_LIMIT, Withdrawn, Written,
};
use crate::ids::{MatchId, PlayerId, TicketId};
use crate::matchmaking::Ticket;

/// How many documents there are when nothing else is said.
const DOCUMENTS: usize = 1_000_000;

/// How many rates are counted.
const RATES: usize = 100_000;

/// How many sets, leases and queues there are.
const NAMES: usize = 10_000;

/// Live state in memory.
pub struct Memory {
    state: Mutex<State>,
    deliveries: broadcast::Sender<Delivery>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(DOCUMENTS)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl Memory {
    /// Holds up to so many documents.
    pub fn new(documents: usize) -> Self {
        Self {
            state: Mutex::new(State {
                origin: Instant::now(),
                documents: Table::new(documents),
                rates: Table::new(RATES),
                sets: BTreeMap::new(),
                leases: BTreeMap::new(),
                queues: BTreeMap::new(),
                channels: BTreeSet::new(),
            }),
            deliveries: broadcast::Sender::new(LAG),
        }
    }

    /// Nothing that is done under the lock leaves the state half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with a queue.
    fn with<T>(&self, queue: &str, work: impl FnOnce(&mut Queue) -> T) -> Result<T, Error> {
        let mut state = self.state();
        if !state.queues.contains_key(queue) {
            if state.queues.len() >= NAMES {
                return Err(Error::full("the memory"));
            }
            state.queues.insert(queue.to_owned(), Queue::default());
        }
        let found = state.queues.get_mut(queue).map(work);
        found.ok_or_else(|| Error("there is no such queue".to_owned()))
    }
}

struct State {
    /// Moments of rates count from here.
    origin: Instant,
    documents: Table<Key, Kept>,
    rates: Table<Key, i64>,
    sets: BTreeMap<String, Set>,
    leases: BTreeMap<String, Lease>,
    queues: BTreeMap<String, Queue>,
    channels: BTreeSet<Channel>,
}

/// A document, or what is remembered of one that was removed.
struct Kept {
    value: Option<Vec<u8>>,
    version: u64,
}

/// Members by name, and by when they were marked.
struct Set {
    members: Table<String, u64>,
    marked: BTreeMap<u64, String>,
}

impl Set {
    fn new() -> Self {
        Self {
            members: Table::new(MEMBERS),
            marked: BTreeMap::new(),
        }
    }

    fn expire(&mut self, now: Instant) {
        for turn in self.members.expire(now) {
            self.marked.remove(&turn);
        }
    }

    fn unmark(&mut self, member: &str) {
        if let Some(turn) = self.members.remove(&member.to_owned()) {
            self.marked.remove(&turn);
        }
    }

    fn mark(&mut self, member: &str, end: Instant) -> Result<(), Error> {
        self.unmark(member);
        if self.members.is_full() {
            return Err(Error::full("the set"));
        }
        let turn = self.marked.last_key_value().map_or(0, |(turn, _)| turn + 1);
        self.members.put(member.to_owned(), turn, end);
        self.marked.insert(turn, member.to_owned());
        Ok(())
    }
}

impl State {
    fn document(&self, key: &Key) -> Option<Document> {
        let kept = self.documents.get(key)?;
        Some(Document {
            value: kept.value.clone()?,
            version: kept.version,
        })
    }

    /// The version of a document, 0 if there is none.
    fn version(&self, key: &Key) -> u64 {
        let kept = self.documents.get(key);
        let kept = kept.filter(|kept| kept.value.is_some());
        kept.map_or(0, |kept| kept.version)
    }

    /// Makes room for one more set.
    fn sweep_sets(&mut self, now: Instant) -> Result<(), Error> {
        if self.sets.len() >= NAMES {
            self.sets.retain(|_, set| {
                set.expire(now);
                !set.members.is_empty()
            });
        }
        if self.sets.len() >= NAMES {
            return Err(Error::full("the memory"));
        }
        Ok(())
    }

    /// Makes room for one more lease. Fences are times, so that one that is forgotten is not given
    /// again.
    fn sweep_leases(&mut self, now: Instant) -> Result<(), Error> {
        if self.leases.len() >= NAMES {
            self.leases.retain(|_, lease| !lease.is_over(now));
        }
        if self.leases.len() >= NAMES {
            return Err(Error::full("the memory"));
        }
        Ok(())
    }
}

/// When what is kept so long from now on ends.
fn end(now: Instant, keep: Duration) -> Instant {
    now.checked_add(keep.min(KEEP_LIMIT)).unwrap_or(now)
}

#[async_trait]
impl Live for Memory {
    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn read(&self, key: &Key) -> Result<Option<Document>, Error> {
        let mut state = self.state();
        state.documents.expire(Instant::now());
        Ok(state.document(key))
    }

    async fn write(
        &self,
        key: &Key,
        expected: u64,
        value: &[u8],
        keep: Duration,
    ) -> Result<Written, Error> {
        Error::check(value, VALUE_LIMIT)?;
        let now = Instant::now();
        let mut state = self.state();
        state.documents.expire(now);
        let version = state.version(key);
        if version != expected {
            return Ok(Written::Conflict(version));
        }
        let last = state.documents.get(key).map(|kept| kept.version);
        if last.is_none() && state.documents.is_full() {
            return Err(Error::full("the memory"));
        }
        let version = last.unwrap_or_default() + 1;
        let kept = Kept {
            value: Some(value.to_vec()),
            version,
        };
        state.documents.put(key.clone(), kept, end(now, keep));
        Ok(Written::Version(version))
    }

    async fn remove(&self, key: &Key, expected: u64) -> Result<bool, Error> {
        let now = Instant::now();
        let mut state = self.state();
        state.documents.expire(now);
        let version = state.version(key);
        if version != expected || version == 0 {
            return Ok(false);
        }
        let kept = Kept {
            value: None,
            version,
        };
        state.documents.put(key.clone(), kept, end(now, REMEMBERED));
        Ok(true)
    }

    async fn touch(&self, keys: &[Key], keep: Duration) -> Result<(), Error> {
        let now = Instant::now();
        let mut state = self.state();
        state.documents.expire(now);
        for key in keys {
            state.documents.touch(key, end(now, keep));
        }
        Ok(())
    }

    async fn throttle(
        &self,
        key: &Key,
        burst: u32,
        period: Duration,
    ) -> Result<Option<Duration>, Error> {
        let now = Instant::now();
        let mut state = self.state();
        state.rates.expire(now);
        let passed = now.saturating_duration_since(state.origin).as_micros();
        let micros = i64::try_from(passed).unwrap_or_default();
        match gcra(micros, state.rates.get(key).copied(), burst, period) {
            Ok(next) => {
                if state.rates.get(key).is_none() && state.rates.is_full() {
                    state.rates.drop_first();
                }
                let reset = Duration::from_micros(u64::try_from(next - micros).unwrap_or_default());
                state.rates.put(key.clone(), next, end(now, reset));
                Ok(None)
            }
            Err(wait) => Ok(Some(wait)),
        }
    }

    async fn mark(&self, set: &str, member: &str, keep: Duration) -> Result<(), Error> {
        Error::check(member.as_bytes(), VALUE_LIMIT)?;
        let now = Instant::now();
        let mut state = self.state();
        if keep.is_zero() {
            if let Some(found) = state.sets.get_mut(set) {
                found.unmark(member);
            }
            return Ok(());
        }
        if !state.sets.contains_key(set) {
            state.sweep_sets(now)?;
            state.sets.insert(set.to_owned(), Set::new());
        }
        match state.sets.get_mut(set) {
            Some(found) => {
                found.expire(now);
                found.mark(member, end(now, keep))
            }
            None => Ok(()),
        }
    }

    async fn marked(&self, set: &str, limit: usize) -> Result<Vec<String>, Error> {
        let mut state = self.state();
        let Some(found) = state.sets.get_mut(set) else {
            return Ok(Vec::new());
        };
        found.expire(Instant::now());
        Ok(found.marked.values().rev().take(limit).cloned().collect())
    }

    async fn lease(
        &self,
        name: &str,
        holder: Uuid,
        keep: Duration,
    ) -> Result<Option<Fence>, Error> {
        let now = Instant::now();
        let mut state = self.state();
        if !state.leases.contains_key(name) {
            state.sweep_leases(now)?;
        }
        let lease = state.leases.entry(name.to_owned()).or_default();
        Ok(lease.take(now, holder, end(now, keep)))
    }

    async fn release(&self, name: &str, holder: Uuid) -> Result<(), Error> {
        if let Some(lease) = self.state().leases.get_mut(name) {
            lease.release(holder);
        }
        Ok(())
    }

    async fn own(&self, queue: &str, holder: Uuid, keep: Duration) -> Result<Option<Fence>, Error> {
        let now = Instant::now();
        self.with(queue, |queue| queue.owner.take(now, holder, end(now, keep)))
    }

    async fn disown(&self, queue: &str, holder: Uuid) -> Result<(), Error> {
        self.with(queue, |queue| queue.owner.release(holder))
    }

    async fn enter(&self, queue: &str, ticket: &Ticket) -> Result<(), Error> {
        super::encode(ticket, VALUE_LIMIT)?;
        self.with(queue, |queue| queue.enter(ticket))?
    }

    async fn withdraw(&self, queue: &str, ticket: TicketId) -> Result<Withdrawn, Error> {
        self.with(queue, |queue| queue.withdraw(ticket))
    }

    async fn answer(
        &self,
        queue: &str,
        id: MatchId,
        player: PlayerId,
        accepts: bool,
    ) -> Result<(), Error> {
        self.with(queue, |queue| queue.answer(id, player, accepts))
    }

    async fn load(&self, queue: &str) -> Result<Loaded, Error> {
        self.with(queue, |queue| queue.load())
    }

    async fn news(
        &self,
        queue: &str,
        cursor: &mut Cursor,
        limit: usize,
        patience: Duration,
    ) -> Result<Option<Vec<QueueNews>>, Error> {
        let seen = match cursor.0.as_str() {
            "" => Ok(0),
            text => text.parse(),
        };
        let Ok(seen) = seen else {
            return Ok(None);
        };
        let mut last = self.with(queue, |queue| queue.last())?;
        let more = last.wait_for(|last| *last != seen);
        // Whether they came or the patience is over, what there is is the answer.
        timeout_at(end(Instant::now(), patience), more).await.ok();
        let after = self.with(queue, |queue| queue.after(seen, limit))?;
        Ok(after.map(|(news, seen)| {
            cursor.0 = seen.to_string();
            news
        }))
    }

    async fn propose(&self, queue: &str, fence: Fence, pending: &Pending) -> Result<Owned, Error> {
        super::encode(pending, super::PENDING_LIMIT)?;
        self.with(queue, |queue| queue.propose(fence, pending))
    }

    async fn amend(&self, queue: &str, fence: Fence, pending: &Pending) -> Result<Owned, Error> {
        super::encode(pending, super::PENDING_LIMIT)?;
        self.with(queue, |queue| queue.amend(fence, pending))
    }

    async fn settle(
        &self,
        queue: &str,
        fence: Fence,
        id: MatchId,
        back: &[TicketId],
    ) -> Result<Owned, Error> {
        self.with(queue, |queue| queue.settle(fence, id, back))
    }

    async fn subscribe(&self, channel: &Channel) -> Result<(), Error> {
        let mut state = self.state();
        if state.channels.len() >= CHANNELS && !state.channels.contains(channel) {
            return Err(Error::full("the list of channels"));
        }
        state.channels.insert(channel.clone());
        Ok(())
    }

    async fn unsubscribe(&self, channel: &Channel) -> Result<(), Error> {
        self.state().channels.remove(channel);
        Ok(())
    }

    async fn publish(&self, channel: &Channel, bytes: &[u8]) -> Result<(), Error> {
        Error::check(bytes, VALUE_LIMIT)?;
        let state = self.state();
        if state.channels.contains(channel) {
            let message = Delivery::Message {
                channel: channel.clone(),
                bytes: bytes.into(),
            };
            // Nobody listens: that is no failure. Told under the lock, so that whoever published
            // after somebody else is heard after him.
            self.deliveries.send(message).ok();
        }
        Ok(())
    }

    fn deliveries(&self) -> broadcast::Receiver<Delivery> {
        self.deliveries.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::NEWS_KEPT;

    const MINUTE: Duration = Duration::from_mins(1);

    fn hash(number: u64) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    fn code(number: u64) -> Key {
        Key::Code(number.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_memory_refuses_documents_and_keeps_those_it_has() {
        let memory = Memory::new(2);
        for number in 0..2 {
            memory
                .write(&code(number), 0, b"room", MINUTE)
                .await
                .unwrap();
        }
        memory
            .write(&code(2), 0, b"room", MINUTE)
            .await
            .unwrap_err();
        let changed = memory.write(&code(0), 1, b"other", 2 * MINUTE).await;
        assert_eq!(changed, Ok(Written::Version(2)));
        // What is over takes no room.
        tokio::time::advance(MINUTE).await;
        memory.write(&code(2), 0, b"room", MINUTE).await.unwrap();
        assert_eq!(
            memory.read(&code(0)).await.unwrap().unwrap().value,
            b"other"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn rates_make_room_by_dropping_what_limits_least() {
        let memory = Memory::new(1);
        memory.state().rates = Table::new(2);
        let slow = Key::Rate(hash(0));
        assert_eq!(memory.throttle(&slow, 1, 60 * MINUTE).await, Ok(None));
        for number in 1..1000 {
            let quick = Key::Rate(hash(number));
            assert_eq!(memory.throttle(&quick, 1, MINUTE).await, Ok(None));
        }
        let wait = memory.throttle(&slow, 1, 60 * MINUTE).await;
        assert_eq!(wait, Ok(Some(60 * MINUTE)));
    }

    #[tokio::test]
    async fn who_has_not_read_news_that_are_dropped_is_told() {
        let memory = Memory::default();
        let ticket = Ticket {
            id: TicketId(Uuid::from_u128(1)),
            entered: jiff::Timestamp::UNIX_EPOCH,
            players: Vec::new(),
            demands: Vec::new(),
            avoided: Vec::new(),
        };
        // Two news each.
        for _ in 0..=NEWS_KEPT / 2 {
            memory.enter("queue", &ticket).await.unwrap();
            memory.withdraw("queue", ticket.id).await.unwrap();
        }
        for (seen, known) in [("", false), ("1", false), ("2", true), ("3", true)] {
            let mut cursor = Cursor(seen.to_owned());
            let news = memory.news("queue", &mut cursor, 7, MINUTE).await.unwrap();
            assert_eq!(news.is_some(), known, "{seen}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn names_that_are_over_make_room() {
        let memory = Memory::default();
        let holder = Uuid::from_u128(1);
        for number in 0..NAMES {
            let name = number.to_string();
            memory.mark(&name, "member", MINUTE).await.unwrap();
            memory.lease(&name, holder, MINUTE).await.unwrap();
            memory.load(&name).await.unwrap();
        }
        memory.mark("more", "member", MINUTE).await.unwrap_err();
        memory.lease("more", holder, MINUTE).await.unwrap_err();
        memory.load("more").await.unwrap_err();
        tokio::time::advance(MINUTE).await;
        memory.mark("more", "member", MINUTE).await.unwrap();
        memory.lease("more", holder, MINUTE).await.unwrap();
    }
}
