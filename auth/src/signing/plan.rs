//! Which key signs, which keys verifiers must know, and when there must be another one.
//!
//! Pure, and the same on every replica: from the same keys at the same time they decide alike. No
//! valid token may be refused: a key is known to verifiers before it signs, and for as long after
//! as a token of it may live. Rows are never changed but by a revocation.

use access::claims::{LIFETIME, SKEW};
use jiff::{SignedDuration, Timestamp};

use crate::store::SigningKey;

/// How keys follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a key signs.
    pub rotate_every: SignedDuration,
    /// How old a verifier's keys may be: `max-age` of the key set.
    pub cache_max_age: SignedDuration,
    /// How old a replica's knowledge of the keys may be; it does not sign with an older one.
    pub lag: SignedDuration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            rotate_every: SignedDuration::from_hours(90 * 24),
            cache_max_age: SignedDuration::from_mins(5),
            lag: SignedDuration::from_mins(2),
        }
    }
}

impl Policy {
    /// How long before it signs a key is published: the last verifier asks the last replica that
    /// does not know of it, keeps that answer, and another replica's clock is ahead.
    pub fn ahead(&self) -> SignedDuration {
        sum([self.lag, self.cache_max_age, skew()])
    }

    /// How long a key is published after the next one signs: the last replica to know signs with
    /// it once more, and the token lives. Clocks may be apart both when the next one is stamped
    /// and when the time is compared.
    pub fn keep(&self) -> SignedDuration {
        let lifetime = SignedDuration::try_from(LIFETIME).unwrap_or(SignedDuration::MAX);
        sum([self.lag, lifetime, skew(), skew()])
    }
}

/// The times of a key that must be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Known to verifiers since then.
    pub published: Timestamp,
    /// Signs from then on.
    pub activates: Timestamp,
}

/// The times of a key that signs at once: verifiers learn of it by push, or because they do not
/// know it.
pub fn at_once(now: Timestamp, keys: &[SigningKey]) -> Times {
    // After every key that signs by now, even by a clock that is ahead of ours.
    let last = keys
        .iter()
        .map(|key| key.activates)
        .filter(|activates| *activates <= later(now, skew()))
        .max();
    let after = last.map(|last| later(last, SignedDuration::from_micros(1)));
    Times {
        published: now,
        activates: after.unwrap_or(now).max(now),
    }
}

/// What to do, and what is so until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The key that signs.
    pub current: Option<String>,
    /// The keys that verifiers must know, sorted. Any other may be removed.
    pub published: Vec<String>,
    /// The key to make, unless the keys have changed meanwhile.
    pub add: Option<Times>,
}

/// Decides.
pub fn plan(now: Timestamp, policy: &Policy, keys: &[SigningKey]) -> Plan {
    let current = current(now, keys);
    let mut published: Vec<String> = keys
        .iter()
        .filter(|key| key.revoked.is_none())
        .filter(|key| {
            superseded(now, key, keys).is_none_or(|since| now < later(since, policy.keep()))
        })
        .map(|key| key.id.clone())
        .collect();
    published.sort();
    Plan {
        current: current.map(|key| key.id.clone()),
        published,
        add: next(now, policy, keys, current.is_some()),
    }
}

/// The key that signs: the last that has activated, unless it is revoked. An older one never signs
/// again, for verifiers may have forgotten it.
pub fn current(now: Timestamp, keys: &[SigningKey]) -> Option<&SigningKey> {
    let last = keys
        .iter()
        .filter(|key| key.activates <= now && has_counted(key))
        .max_by_key(|key| order(key));
    if let Some(last) = last
        && last.revoked.is_none()
    {
        return Some(last);
    }
    // A replica whose clock is ahead has made one already.
    keys.iter()
        .filter(|key| key.revoked.is_none())
        .filter(|key| key.activates > now && key.activates <= later(now, skew()))
        .min_by_key(|key| order(key))
}

/// The times of the next key, when it is time to make it.
fn next(now: Timestamp, policy: &Policy, keys: &[SigningKey], has_current: bool) -> Option<Times> {
    if !has_current {
        return Some(at_once(now, keys));
    }
    let newest = keys
        .iter()
        .filter(|key| key.revoked.is_none())
        .max_by_key(|key| order(key))?;
    let due = later(newest.activates, policy.rotate_every);
    let earliest = later(now, policy.ahead());
    (due <= earliest).then_some(Times {
        published: now,
        activates: earliest,
    })
}

/// Since when a later key signs.
fn superseded(now: Timestamp, key: &SigningKey, keys: &[SigningKey]) -> Option<Timestamp> {
    keys.iter()
        .filter(|other| order(other) > order(key) && has_counted(other))
        .map(|other| other.activates)
        .filter(|activates| *activates <= now)
        .min()
}

/// Whether the key is in the line of those that signed or will: one that was revoked before it
/// signed never was.
fn has_counted(key: &SigningKey) -> bool {
    key.revoked.is_none_or(|revoked| revoked >= key.activates)
}

/// Keys in the order in which they sign.
fn order(key: &SigningKey) -> (Timestamp, &str) {
    (key.activates, &key.id)
}

fn skew() -> SignedDuration {
    SignedDuration::try_from(SKEW).unwrap_or(SignedDuration::MAX)
}

fn sum<const COUNT: usize>(durations: [SignedDuration; COUNT]) -> SignedDuration {
    durations
        .into_iter()
        .fold(SignedDuration::ZERO, SignedDuration::saturating_add)
}

fn later(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
