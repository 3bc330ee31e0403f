//! The live state of one process: the embedded mode, and what is left when Valkey is away.
//!
//! Bounded. What must be good once, or was promised to be there, is never displaced: a full memory
//! refuses more of it. Counts and rates make room by dropping what would end first, which is what
//! limits least; so a flood of names cannot fill the memory, nor push out a session.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::gcra::gcra;
use super::hub::Hub;
use super::{Cached, Error, Key, Live, MARK, News, NewsReceiver, Rate, Throttle, VALUE_LIMIT};
use crate::ids::{PlayerId, SessionId};

/// Live state in memory.
#[derive(Debug)]
pub struct Memory {
    tables: Mutex<Tables>,
    hub: Hub,
}

impl Memory {
    /// Holds up to `capacity` values, and as many counts and rates.
    pub fn new(capacity: usize) -> Self {
        Self {
            tables: Mutex::new(Tables {
                kept: Table::new(capacity),
                counted: Table::new(capacity),
            }),
            hub: Hub::new(),
        }
    }

    /// Nothing that is done under the lock leaves the tables half changed.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Live for Memory {
    async fn put(&self, key: &Key, value: &[u8], lifetime: Duration) -> Result<(), Error> {
        if value.len() > VALUE_LIMIT {
            return Err(super::too_large());
        }
        let now = runtime::clock::now();
        self.tables().set(now, key, value.to_vec(), lifetime)
    }

    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        let now = runtime::clock::now();
        Ok(self.tables().table(key).get(now, key).map(<[u8]>::to_vec))
    }

    async fn take(&self, key: &Key) -> Result<Option<Vec<u8>>, Error> {
        let now = runtime::clock::now();
        Ok(self.tables().table(key).remove(now, key))
    }

    async fn forget(&self, key: &Key) -> Result<(), Error> {
        let now = runtime::clock::now();
        self.tables().table(key).remove(now, key);
        Ok(())
    }

    async fn once(&self, key: &Key, lifetime: Duration) -> Result<bool, Error> {
        let now = runtime::clock::now();
        let mut tables = self.tables();
        if tables.table(key).get(now, key).is_some() {
            return Ok(false);
        }
        tables.set(now, key, b"1".to_vec(), lifetime)?;
        Ok(true)
    }

    async fn count(&self, key: &Key, window: Duration) -> Result<u32, Error> {
        let now = runtime::clock::now();
        let mut tables = self.tables();
        let before: u32 = number(tables.table(key).get(now, key))?.unwrap_or(0);
        let count = before.saturating_add(1);
        tables.set(now, key, count.to_string().into_bytes(), window)?;
        Ok(count)
    }

    async fn uncount(&self, key: &Key) -> Result<(), Error> {
        let now = runtime::clock::now();
        let mut tables = self.tables();
        let table = tables.table(key);
        if let Some(count) = number::<u32>(table.get(now, key))? {
            table.replace(key, count.saturating_sub(1).to_string().into_bytes());
        }
        Ok(())
    }

    async fn throttle(&self, key: &Key, rate: Rate) -> Result<Throttle, Error> {
        let now = runtime::clock::now();
        let mut tables = self.tables();
        let state = number(tables.table(key).get(now, key))?;
        let (state, throttle) = gcra(now.as_microsecond(), state, rate);
        if let (Some(state), false) = (state, throttle.limited) {
            let value = state.to_string().into_bytes();
            tables.set(now, key, value, throttle.reset_after)?;
        }
        Ok(throttle)
    }

    async fn session(&self, player: PlayerId, session: SessionId) -> Result<Cached, Error> {
        let now = runtime::clock::now();
        let mut tables = self.tables();
        let mark = tables.mark(now, player)?;
        let value = tables.kept.get(now, &Key::Session(player, session));
        Ok(Cached {
            value: value.map(<[u8]>::to_vec),
            mark,
        })
    }

    async fn put_session(
        &self,
        player: PlayerId,
        session: SessionId,
        mark: u64,
        value: &[u8],
        lifetime: Duration,
    ) -> Result<(), Error> {
        if value.len() > VALUE_LIMIT {
            return Err(super::too_large());
        }
        let now = runtime::clock::now();
        let mut tables = self.tables();
        if tables.mark(now, player)? != mark {
            return Ok(());
        }
        // Keys are in order: a player's sessions are side by side, which notes them well enough.
        let key = Key::Session(player, session);
        tables.set(now, &key, value.to_vec(), lifetime)
    }

    async fn forget_sessions(
        &self,
        player: PlayerId,
        sessions: Option<&[SessionId]>,
    ) -> Result<(), Error> {
        let now = runtime::clock::now();
        let mut tables = self.tables();
        let mark = tables.mark(now, player)?.wrapping_add(1);
        tables.set(now, &Key::Mark(player), mark.to_string().into_bytes(), MARK)?;
        let kept = &mut tables.kept;
        let keys: Vec<Key> = if let Some(sessions) = sessions {
            let named = sessions.iter();
            named.map(|id| Key::Session(player, *id)).collect()
        } else {
            let all = Key::Session(player, SessionId(Uuid::nil()))
                ..=Key::Session(player, SessionId(Uuid::max()));
            let noted = kept.entries.range(all);
            noted.map(|(key, _)| key.clone()).collect()
        };
        for key in &keys {
            kept.remove(now, key);
        }
        Ok(())
    }

    async fn publish(&self, news: &News) -> Result<(), Error> {
        self.hub.tell(news.clone());
        Ok(())
    }

    fn subscribe(&self) -> NewsReceiver {
        self.hub.subscribe()
    }

    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// A count or a moment, as Valkey keeps it: decimal.
fn number<T: std::str::FromStr>(value: Option<&[u8]>) -> Result<Option<T>, Error> {
    value
        .map(|value| {
            std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| Error("the value is not a number".to_owned()))
        })
        .transpose()
}

#[derive(Debug)]
struct Tables {
    /// What is never displaced.
    kept: Table,
    /// Counts, rates and marks.
    counted: Table,
}

impl Tables {
    fn table(&mut self, key: &Key) -> &mut Table {
        match key {
            Key::Session(..) | Key::Reconnection(..) | Key::Step(_) | Key::Once(_) => {
                &mut self.kept
            }
            Key::Mark(_) | Key::Failures(_) | Key::Rate(_) => &mut self.counted,
        }
    }

    /// How often sessions of a player were forgotten.
    fn mark(&mut self, now: Timestamp, player: PlayerId) -> Result<u64, Error> {
        let mark = number(self.counted.get(now, &Key::Mark(player)))?;
        Ok(mark.unwrap_or_default())
    }

    fn set(
        &mut self,
        now: Timestamp,
        key: &Key,
        value: Vec<u8>,
        lifetime: Duration,
    ) -> Result<(), Error> {
        let displaces = matches!(key, Key::Mark(_) | Key::Failures(_) | Key::Rate(_));
        let table = self.table(key);
        table.remove(now, key);
        if table.entries.len() >= table.capacity {
            if !displaces {
                return Err(Error("the memory is full".to_owned()));
            }
            table.drop_first();
        }
        table.insert(key, value, end(now, lifetime));
        Ok(())
    }
}

/// When what lives so long from now on ends.
fn end(now: Timestamp, lifetime: Duration) -> Timestamp {
    now.checked_add(lifetime).unwrap_or(Timestamp::MAX)
}

/// Values by key and by the end of their lives.
#[derive(Debug)]
struct Table {
    capacity: usize,
    entries: BTreeMap<Key, Entry>,
    ends: BTreeSet<(Timestamp, Key)>,
}

struct Entry {
    value: Vec<u8>,
    end: Timestamp,
}

impl std::fmt::Debug for Entry {
    /// The value may be secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Entry")
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Table {
    fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            entries: BTreeMap::new(),
            ends: BTreeSet::new(),
        }
    }

    fn get(&mut self, now: Timestamp, key: &Key) -> Option<&[u8]> {
        self.expire(now);
        self.entries.get(key).map(|entry| entry.value.as_slice())
    }

    fn remove(&mut self, now: Timestamp, key: &Key) -> Option<Vec<u8>> {
        self.expire(now);
        let entry = self.entries.remove(key)?;
        self.ends.remove(&(entry.end, key.clone()));
        Some(entry.value)
    }

    /// Puts what is not there yet.
    fn insert(&mut self, key: &Key, value: Vec<u8>, end: Timestamp) {
        self.ends.insert((end, key.clone()));
        self.entries.insert(key.clone(), Entry { value, end });
    }

    /// Changes what is there, and not its end.
    fn replace(&mut self, key: &Key, value: Vec<u8>) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.value = value;
        }
    }

    fn expire(&mut self, now: Timestamp) {
        while self.ends.first().is_some_and(|(end, _)| *end <= now) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, key)) = self.ends.pop_first() {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn hash(number: u64) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    #[tokio::test]
    async fn a_full_memory_refuses_values_and_keeps_those_it_has() {
        let memory = Memory::new(2);
        for number in 0..2 {
            memory
                .put(&Key::Step(hash(number)), b"step", MINUTE)
                .await
                .unwrap();
        }
        let more = Key::Step(hash(2));
        assert!(memory.put(&more, b"step", MINUTE).await.is_err());
        assert!(memory.once(&Key::Once(hash(3)), MINUTE).await.is_err());
        let first = Key::Step(hash(0));
        memory.put(&first, b"changed", MINUTE).await.unwrap();
        assert_eq!(memory.get(&first).await.unwrap().unwrap(), b"changed");
        memory.forget(&first).await.unwrap();
        memory.put(&more, b"step", MINUTE).await.unwrap();
    }

    #[tokio::test]
    async fn rates_make_room_by_dropping_what_limits_least() {
        let memory = Memory::new(2);
        let session = Key::Step(hash(9));
        memory.put(&session, b"step", MINUTE).await.unwrap();
        let slow = Rate {
            burst: 1,
            period: 60 * MINUTE,
        };
        let quick = Rate {
            burst: 1,
            period: MINUTE,
        };
        assert!(
            !memory
                .throttle(&Key::Rate(hash(0)), slow)
                .await
                .unwrap()
                .limited
        );
        for number in 1..1000 {
            assert!(
                !memory
                    .throttle(&Key::Rate(hash(number)), quick)
                    .await
                    .unwrap()
                    .limited
            );
        }
        assert!(
            memory
                .throttle(&Key::Rate(hash(0)), slow)
                .await
                .unwrap()
                .limited
        );
        assert!(memory.get(&session).await.unwrap().is_some());
        let tables = memory.tables();
        assert_eq!(tables.counted.entries.len(), 2);
        assert_eq!(tables.counted.ends.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_takes_no_room() {
        let _time = runtime::clock::virtual_time("2026-01-01T00:00:00Z".parse().unwrap());
        let memory = Memory::new(1);
        memory
            .put(&Key::Step(hash(0)), b"step", MINUTE)
            .await
            .unwrap();
        tokio::time::advance(Duration::from_millis(59_999)).await;
        assert!(
            memory
                .put(&Key::Step(hash(1)), b"step", MINUTE)
                .await
                .is_err()
        );
        tokio::time::advance(Duration::from_millis(1)).await;
        memory
            .put(&Key::Step(hash(1)), b"step", MINUTE)
            .await
            .unwrap();
    }
}
