//! What is to be done, and when. Each key is in the queue at most once, so its length is bounded
//! by the number of objects.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Pause after the first failure; doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Keys in the order in which they are due; those due at the same time in the order of arrival.
#[derive(Debug)]
pub(super) struct Queue<K> {
    keys: BTreeMap<(Instant, u64), K>,
    places: BTreeMap<K, (Instant, u64)>,
    failures: BTreeMap<K, u32>,
    arrivals: u64,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            places: BTreeMap::new(),
            failures: BTreeMap::new(),
            arrivals: 0,
        }
    }
}

impl<K: Clone + Ord> Queue<K> {
    /// Makes a key due at a time, unless it is due earlier.
    pub(super) fn add(&mut self, key: K, due: Instant) {
        if let Some(place) = self.places.get(&key) {
            if place.0 <= due {
                return;
            }
            self.keys.remove(place);
        }
        let place = (due, self.arrivals);
        self.arrivals += 1;
        self.keys.insert(place, key.clone());
        self.places.insert(key, place);
    }

    /// Makes a key due after a pause that grows with each failure since the last success.
    pub(super) fn retry(&mut self, key: K, now: Instant) {
        let failures = self.failures.entry(key.clone()).or_default();
        let pause = FIRST_PAUSE.saturating_mul(1 << (*failures).min(20));
        *failures = failures.saturating_add(1);
        self.add(key, now + pause.min(LONGEST_PAUSE));
    }

    /// Forgets the failures of a key.
    pub(super) fn succeed(&mut self, key: &K) {
        self.failures.remove(key);
    }

    /// Takes a key out, whenever it is due.
    pub(super) fn cancel(&mut self, key: &K) {
        if let Some(place) = self.places.remove(key) {
            self.keys.remove(&place);
        }
    }

    /// Takes the next key that is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<K> {
        let (&place, _) = self.keys.first_key_value()?;
        if place.0 > now {
            return None;
        }
        let key = self.keys.remove(&place)?;
        self.places.remove(&key);
        Some(key)
    }

    /// When the next key is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.keys.first_key_value().map(|((due, _), _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_when_due_in_the_order_of_arrival() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.add("late", start + Duration::from_secs(1));
        queue.add("first", start);
        queue.add("second", start);
        queue.add("first", start + Duration::from_secs(5));
        assert_eq!(queue.take(start), Some("first"));
        assert_eq!(queue.take(start), Some("second"));
        assert_eq!(queue.take(start), None);
        assert_eq!(queue.next(), Some(start + Duration::from_secs(1)));
        queue.add("late", start);
        assert_eq!(queue.take(start), Some("late"));
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn pauses_grow_to_a_bound_and_end_with_success() {
        let start = Instant::now();
        let mut queue = Queue::default();
        let pause = |queue: &mut Queue<&'static str>| {
            queue.retry("key", start);
            let due = queue.next().unwrap();
            assert_eq!(queue.take(due), Some("key"));
            due - start
        };
        assert_eq!(pause(&mut queue), FIRST_PAUSE);
        assert_eq!(pause(&mut queue), FIRST_PAUSE * 2);
        for _ in 0..40 {
            pause(&mut queue);
        }
        assert_eq!(pause(&mut queue), LONGEST_PAUSE);
        queue.succeed(&"key");
        assert_eq!(pause(&mut queue), FIRST_PAUSE);
    }
}
