//! How many requests are worth looking at: per network prefix, and in all.
//!
//! Each bucket is one number: the time at which the requests let through so far would have
//! arrived had they kept to the rate. A request passes while that time is not a burst ahead of now. Prefixes share buckets by a seeded hash, so the table never grows, nobody can aim at
//! another's bucket, and a flood from invented addresses meets the common bucket behind it.

use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::hash::Seed;

/// A number of buckets that is large beside the players of one server.
const BUCKETS: u64 = 4096;

/// A steady rate, and how far it may be exceeded for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests in each second; 0 lets none through.
    pub per_second: u32,
    /// Requests that may come at once.
    pub burst: u32,
}

/// One bucket under one rate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// Nanoseconds of the monotonic clock.
    booked_until: u64,
}

impl Bucket {
    /// Whether one more may pass now; if so, it is counted.
    pub fn take(&mut self, rate: Rate, now: Duration) -> bool {
        let Some(interval) = 1_000_000_000_u64.checked_div(u64::from(rate.per_second)) else {
            return false;
        };
        let Some(ahead) = u64::from(rate.burst).checked_sub(1) else {
            return false;
        };
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let booked = self.booked_until.max(now);
        if booked - now > interval.saturating_mul(ahead) {
            return false;
        }
        self.booked_until = booked.saturating_add(interval);
        true
    }
}

/// The buckets of all prefixes.
pub(crate) struct Prefixes {
    buckets: Vec<Bucket>,
    seed: Seed,
}

impl Prefixes {
    pub(crate) fn new(seed: Seed) -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| Bucket::default()).collect(),
            seed,
        }
    }

    pub(crate) fn take(&mut self, from: SocketAddr, rate: Rate, now: Duration) -> bool {
        let place = self.seed.hash_one(prefix(from.ip())) % BUCKETS;
        usize::try_from(place)
            .ok()
            .and_then(|place| self.buckets.get_mut(place))
            .is_some_and(|bucket| bucket.take(rate, now))
    }
}

/// The network that one subscriber or one small site holds: /24 of IPv4, /48 of IPv6.
fn prefix(address: IpAddr) -> [u8; 7] {
    // A socket of both families shows IPv4 peers as IPv6 addresses that share one /48.
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, third, _] = address.octets();
            [4, first, second, third, 0, 0, 0]
        }
        IpAddr::V6(address) => {
            let mut bytes = [6; 7];
            bytes[1..].copy_from_slice(&address.octets()[..6]);
            bytes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 3,
    };

    #[test]
    fn a_burst_passes_then_the_rate() {
        let mut bucket = Bucket::default();
        let start = Duration::from_secs(7);
        let passed = (0..10).filter(|_| bucket.take(RATE, start)).count();
        assert_eq!(passed, 3);
        assert!(!bucket.take(RATE, start + Duration::from_millis(99)));
        assert!(bucket.take(RATE, start + Duration::from_millis(100)));
        assert!(!bucket.take(RATE, start + Duration::from_millis(100)));
    }

    #[test]
    fn a_rate_of_zero_lets_nothing_through() {
        let rate = Rate {
            per_second: 0,
            burst: 5,
        };
        assert!(!Bucket::default().take(rate, Duration::ZERO));
    }

    #[test]
    fn prefixes_are_networks_and_mapped_addresses_are_ipv4() {
        let prefix_of = |text: &str| prefix(text.parse().unwrap());
        assert_eq!(prefix_of("203.0.113.1"), prefix_of("203.0.113.250"));
        assert_ne!(prefix_of("203.0.113.1"), prefix_of("203.0.114.1"));
        assert_eq!(prefix_of("203.0.113.1"), prefix_of("::ffff:203.0.113.9"));
        assert_eq!(prefix_of("2001:db8:1::1"), prefix_of("2001:db8:1:2::3"));
        assert_ne!(prefix_of("2001:db8:1::1"), prefix_of("2001:db8:2::1"));
    }
}
