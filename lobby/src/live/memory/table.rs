//! Values that pass: by key, and by the end of their lives. Bounded.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

/// Values by key and by the end of their lives.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    capacity: usize,
    entries: BTreeMap<K, (V, Instant)>,
    ends: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Clone, V> Table<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            entries: BTreeMap::new(),
            ends: BTreeSet::new(),
        }
    }

    /// Drops what is over by now, and returns it.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<V> {
        let mut over = Vec::new();
        while self.ends.first().is_some_and(|(end, _)| *end <= now) {
            over.extend(self.drop_first());
        }
        over
    }

    /// What is there, and not over since the last [`expire`](Self::expire).
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(value, _)| value)
    }

    /// Whether there is no room for one more.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= self.capacity
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts a value in the place of what there was. Whoever calls sees to the room.
    pub(super) fn put(&mut self, key: K, value: V, end: Instant) {
        self.remove(&key);
        self.ends.insert((end, key.clone()));
        self.entries.insert(key, (value, end));
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (value, end) = self.entries.remove(key)?;
        self.ends.remove(&(end, key.clone()));
        Some(value)
    }

    /// Gives what is there another end.
    pub(super) fn touch(&mut self, key: &K, end: Instant) {
        if let Some(value) = self.remove(key) {
            self.put(key.clone(), value, end);
        }
    }

    /// Drops what would end first.
    pub(super) fn drop_first(&mut self) -> Option<V> {
        let (_, key) = self.ends.pop_first()?;
        self.entries.remove(&key).map(|(value, _)| value)
    }
}
