//! How long a ticket will wait, by those that were placed before it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the newest ticket counts: the last ten or so decide.
const WEIGHT: f64 = 0.1;

/// Waiting times of one queue by the size of the party: large parties wait longer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Estimates {
    /// Seconds.
    by_size: BTreeMap<u16, f64>,
}

impl Estimates {
    /// A ticket of so many players was placed after it had waited so long.
    pub fn observe(&mut self, players: usize, waited: Duration) {
        let size = u16::try_from(players).unwrap_or(u16::MAX);
        let waited = waited.as_secs_f64();
        self.by_size
            .entry(size)
            .and_modify(|mean| *mean += WEIGHT * (waited - *mean))
            .or_insert(waited);
    }

    /// How long a ticket of so many players may expect to wait, by those nearest to it in size.
    /// None while nobody was placed.
    pub fn of(&self, players: usize) -> Option<Duration> {
        let size = u16::try_from(players).unwrap_or(u16::MAX);
        let nearest = self.by_size.iter().min_by_key(|(of, _)| of.abs_diff(size));
        nearest.and_then(|(_, seconds)| Duration::try_from_secs_f64(*seconds).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_decide_for_each_size() {
        let mut estimates = Estimates::default();
        assert_eq!(estimates.of(1), None);
        estimates.observe(1, Duration::from_secs(10));
        estimates.observe(5, Duration::from_secs(40));
        assert_eq!(estimates.of(1), Some(Duration::from_secs(10)));
        assert_eq!(estimates.of(2), Some(Duration::from_secs(10)));
        assert_eq!(estimates.of(4), Some(Duration::from_secs(40)));
        estimates.observe(1, Duration::from_secs(20));
        assert_eq!(estimates.of(1), Some(Duration::from_secs(11)));
        for _ in 0..100 {
            estimates.observe(1, Duration::from_secs(2));
        }
        assert!(estimates.of(1).unwrap() < Duration::from_millis(2100));
        assert_eq!(estimates.of(5), Some(Duration::from_secs(40)));
    }

    #[test]
    fn they_are_kept_as_a_document() {
        let mut estimates = Estimates::default();
        estimates.observe(2, Duration::from_secs(3));
        let text = serde_json::to_string(&estimates).unwrap();
        assert_eq!(text, r#"{"2":3.0}"#);
        assert_eq!(serde_json::from_str::<Estimates>(&text).unwrap(), estimates);
    }
}
