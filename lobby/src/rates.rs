//! How often somebody may do something at this lobby alone: a bounded table of who did how much
//! lately. Pure.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use jiff::Timestamp;

use crate::live::gcra::gcra;

/// So many at once, and then one in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// Until there may be one more.
    pub period: Duration,
}

impl Rate {
    /// So many at once, and so many in each second.
    pub fn per_second(burst: u32, each_second: u32) -> Self {
        Self {
            burst,
            period: Duration::from_secs(1) / each_second.max(1),
        }
    }
}

/// What is left of a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When it is as if nothing had come, in microseconds since 1970; it is already when none.
    whole: Option<i64>,
}

impl Bucket {
    /// Takes one, or says how long to wait for it.
    pub fn take(&mut self, now: Timestamp, rate: Rate) -> Result<(), Duration> {
        let whole = gcra(now.as_microsecond(), self.whole, rate.burst, rate.period)?;
        self.whole = Some(whole);
        Ok(())
    }

    /// Whether it may be forgotten.
    fn is_whole(&self, now: Timestamp) -> bool {
        self.whole.is_none_or(|whole| whole <= now.as_microsecond())
    }
}

/// A bucket for each of many.
#[derive(Debug)]
pub struct Buckets<Who> {
    rate: Rate,
    most: usize,
    table: HashMap<Who, Bucket>,
}

impl<Who: Eq + Hash> Buckets<Who> {
    /// Knows at most so many at once.
    pub fn at_most(most: usize, rate: Rate) -> Self {
        Self {
            rate,
            most,
            table: HashMap::new(),
        }
    }

    /// Takes one of somebody's, or says how long to wait for it.
    pub fn take(&mut self, now: Timestamp, who: Who) -> Result<(), Duration> {
        if self.table.len() >= self.most && !self.table.contains_key(&who) {
            self.table.retain(|_, bucket| !bucket.is_whole(now));
            if self.table.len() >= self.most {
                // Somebody has very many addresses. To refuse strangers would help him, so everybody
                // begins anew, which the bound of sockets survives.
                self.table.clear();
            }
        }
        self.table.entry(who).or_default().take(now, self.rate)
    }
}

/// By what callers are counted: the address, or of IPv6 the network that one customer has.
pub fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    #[test]
    fn a_burst_passes_and_then_one_in_a_period() {
        let rate = Rate::per_second(3, 10);
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            assert_eq!(bucket.take(at(0), rate), Ok(()));
        }
        assert_eq!(bucket.take(at(40), rate), Err(Duration::from_millis(60)));
        assert_eq!(bucket.take(at(100), rate), Ok(()));
        assert_eq!(bucket.take(at(100), rate), Err(Duration::from_millis(100)));
        // The clock goes back: nobody waits for longer than the whole rate.
        assert_eq!(
            bucket.take(at(-90_000), rate),
            Err(Duration::from_millis(100))
        );
    }

    #[test]
    fn a_table_is_bounded_and_counts_each_by_itself() {
        let mut buckets = Buckets::at_most(2, Rate::per_second(1, 1));
        assert!(buckets.take(at(0), 1).is_ok());
        assert!(buckets.take(at(0), 1).is_err());
        assert!(buckets.take(at(0), 2).is_ok());
        // Those that are whole again go first.
        assert!(buckets.take(at(1_000), 1).is_ok());
        assert!(buckets.take(at(1_000), 3).is_ok());
        assert_eq!(buckets.table.len(), 2);
        assert!(buckets.take(at(1_000), 1).is_err());
        assert!(buckets.take(at(1_000), 4).is_ok());
        assert_eq!(buckets.table.len(), 1);
    }

    #[test]
    fn a_network_of_one_customer_counts_as_one() {
        let counted = |text: &str| counted(text.parse().unwrap()).to_string();
        assert_eq!(counted("203.0.113.7"), "203.0.113.7");
        assert_eq!(counted("::ffff:203.0.113.7"), "203.0.113.7");
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }

    proptest! {
        /// Never more than the burst and what the time gives.
        #[test]
        fn no_more_passes_than_may(
            burst in 1_u32..20,
            each_second in 1_u32..50,
            mut steps in prop::collection::vec(0_i64..10_000, 1..200),
        ) {
            steps.sort_unstable();
            let rate = Rate::per_second(burst, each_second);
            let mut bucket = Bucket::default();
            let passed = steps.iter().filter(|at_| bucket.take(at(**at_), rate).is_ok()).count();
            let span = u128::try_from(steps[steps.len() - 1] - steps[0]).unwrap();
            let most = u128::from(burst) + span * 1_000_000 / rate.period.as_nanos() + 1;
            prop_assert!(u128::try_from(passed).unwrap() <= most);
        }
    }
}
