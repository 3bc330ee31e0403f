//! Who leads: the decision alone. The caller reads and writes the lease.
//!
//! As in client-go, expiry is judged by the time at which *this* process saw the record change,
//! never by the clock that wrote it, so clocks of different nodes need not agree. The write is
//! guarded by the resource version, so that two candidates cannot both win.

use std::time::Duration;

use tokio::time::Instant;

/// Times of a lease; the defaults are those of Kubernetes' own components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A lease that has not been renewed for this long may be taken.
    pub duration: Duration,
    /// The holder gives up when it could not renew for this long; shorter than `duration`.
    pub renew_deadline: Duration,
    /// Time between two looks.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// What the lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Identity of the holder; empty when released.
    pub holder: String,
    /// Changes with every write.
    pub version: String,
}

/// What this process knows of the lease.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    last: Option<(Record, Instant)>,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write the lease with this process as a new holder.
    Acquire,
    /// Write the lease again; this process holds it.
    Renew,
    /// Another process holds it: look again after [`Timing::retry`].
    Wait,
}

impl Observation {
    /// Takes note of what was read (none: the lease does not exist) and says what to do.
    pub fn decide(
        &mut self,
        now: Instant,
        timing: &Timing,
        identity: &str,
        read: Option<Record>,
    ) -> Action {
        let Some(record) = read else {
            self.last = None;
            return Action::Acquire;
        };
        let seen = match &self.last {
            Some((last, seen)) if *last == record => *seen,
            _ => now,
        };
        let holder = record.holder.clone();
        self.last = Some((record, seen));
        if holder == identity {
            Action::Renew
        } else if holder.is_empty() || now.duration_since(seen) >= timing.duration {
            Action::Acquire
        } else {
            Action::Wait
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(holder: &str, version: &str) -> Record {
        Record {
            holder: holder.to_owned(),
            version: version.to_owned(),
        }
    }

    #[test]
    fn a_missing_or_released_lease_is_taken() {
        let (now, timing) = (Instant::now(), Timing::default());
        assert_eq!(
            Observation::default().decide(now, &timing, "me", None),
            Action::Acquire
        );
        assert_eq!(
            Observation::default().decide(now, &timing, "me", Some(record("", "1"))),
            Action::Acquire
        );
    }

    #[test]
    fn a_lease_is_taken_only_after_it_stood_still_for_its_duration() {
        let (start, timing) = (Instant::now(), Timing::default());
        let mut seen = Observation::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(
            seen.decide(at(0), &timing, "me", Some(record("other", "1"))),
            Action::Wait
        );
        assert_eq!(
            seen.decide(at(14), &timing, "me", Some(record("other", "1"))),
            Action::Wait
        );
        // A renewal, seen late, starts the time anew.
        assert_eq!(
            seen.decide(at(15), &timing, "me", Some(record("other", "2"))),
            Action::Wait
        );
        assert_eq!(
            seen.decide(at(29), &timing, "me", Some(record("other", "2"))),
            Action::Wait
        );
        assert_eq!(
            seen.decide(at(30), &timing, "me", Some(record("other", "2"))),
            Action::Acquire
        );
    }

    proptest! {
        /// Two candidates with guarded writes, arbitrary delays, and a holder that stops when it
        /// could not renew within the deadline: never two leaders at once.
        #[test]
        fn never_two_leaders(steps in prop::collection::vec((0..2_usize, 0..9_u64), 1..200)) {
            let timing = Timing::default();
            let start = Instant::now();
            let mut now = start;
            let names = ["a", "b"];
            let mut lease: Option<Record> = None;
            let mut version = 0;
            let mut seen = [Observation::default(), Observation::default()];
            let mut led_until = [start, start];
            for (who, seconds) in steps {
                now += Duration::from_secs(seconds);
                let action = seen[who].decide(now, &timing, names[who], lease.clone());
                if action != Action::Wait {
                    version += 1;
                    lease = Some(Record {
                        holder: names[who].to_owned(),
                        version: version.to_string(),
                    });
                    led_until[who] = now + timing.renew_deadline;
                    let other = 1 - who;
                    prop_assert!(led_until[other] <= now, "{} took the lease from a leader", names[who]);
                }
            }
        }
    }
}
