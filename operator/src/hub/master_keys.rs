//! The master keys of connect tokens: what is stored, and how they are rotated. Pure.
//!
//! A game server keeps the version that its process began with: `status.connect` names it, and
//! tokens for that process are minted with it to its end. So a rotation reaches processes as they
//! start, and breaks none that runs: the next key is first published beside the current one, then
//! given to processes that begin, and a former one goes when no game server names it any more.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use netcode::{Key, MasterKey};
use zeroize::Zeroize as _;

/// A key is given to new processes for this long.
const ROTATE_AFTER: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Published this long before it is given to anybody: every replica of operator and allocator
/// watches the Secret, and hears of it in seconds.
const PUBLISH_FIRST: SignedDuration = SignedDuration::from_hours(24);
/// A former key stays for at least this long: a process that was given it may name it late.
const KEEP_FORMER: SignedDuration = SignedDuration::from_hours(24);
/// Most keys. Where game servers live for longer than so many rotations, the next one waits.
const MOST: usize = 12;

/// Versions that game servers name count as used only up to this far beyond those that the clock
/// gives: a year of minutes. Higher ones were never made here, and must not use the numbers up.
const BELIEVED_AHEAD: u32 = 60 * 24 * 366;

const CURRENT: &str = "current";
const KEY_PREFIX: &str = "key-";
const SINCE_PREFIX: &str = "since-";

/// What the Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// By version.
    keys: BTreeMap<u32, Version>,
    /// The version that new processes are given. A higher one is published only.
    current: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    key: Key,
    /// When it was published or, of the current one, when it took over.
    since: Timestamp,
}

/// Why the Secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An entry is missing, or holds something else.
    #[error("entry {0:?} is missing or unreadable; delete the Secret to have new keys made")]
    Malformed(String),
}

impl Stored {
    /// Begins with this key. `used` are versions that other keys have had, as far as they are
    /// known.
    ///
    /// The version is the minute, or higher: it must be none that a lost key bore. A game server
    /// that runs with a key of the same version would be sent tokens that it cannot open, while
    /// one whose version is unknown is left alone.
    pub(crate) fn first(now: Timestamp, key: Key, used: &BTreeSet<u32>) -> Self {
        let minute = u32::try_from(now.as_second() / 60).unwrap_or(1).max(1);
        let current = unused(minute, used);
        Self {
            keys: BTreeMap::from([(current, Version { key, since: now })]),
            current,
        }
    }

    /// The highest version that there is.
    pub(super) fn highest(&self) -> u32 {
        let last = self.keys.last_key_value();
        last.map_or(self.current, |(version, _)| *version)
    }

    /// Returns what shall be stored instead, or none while nothing is due. `in_use` are the
    /// versions that game servers name; `fresh` becomes the next key if it is time for one.
    pub(crate) fn rotate(
        &self,
        now: Timestamp,
        in_use: &BTreeSet<u32>,
        fresh: &Key,
    ) -> Option<Self> {
        let current = self.keys.get(&self.current)?;
        let age = |version: &Version| now.duration_since(version.since);
        let mut rotated = self.clone();
        if age(current) >= KEEP_FORMER {
            rotated
                .keys
                .retain(|version, _| *version >= self.current || in_use.contains(version));
        }
        match self.next() {
            Some((version, next)) if age(next) >= PUBLISH_FIRST => {
                rotated.current = version;
                if let Some(next) = rotated.keys.get_mut(&version) {
                    next.since = now;
                }
            }
            None if age(current) >= ROTATE_AFTER && rotated.keys.len() < MOST => {
                let key = fresh.clone();
                // Beyond what a game server names, which may be more than this Secret has had: it
                // may have been put back as it was before a rotation.
                let version = unused(self.current.checked_add(1)?, in_use);
                rotated.keys.insert(version, Version { key, since: now });
            }
            Some(_) | None => {}
        }
        (rotated != *self).then_some(rotated)
    }

    /// The keys for a process that begins, the one that mints first. The second one is there while
    /// it is only published.
    pub(crate) fn given(&self) -> Vec<MasterKey> {
        let current = self.keys.get_key_value(&self.current);
        let next = self.keys.range(self.current..).nth(1);
        let given = current.into_iter().chain(next);
        given
            .map(|(version, of)| MasterKey {
                version: *version,
                key: of.key.clone(),
            })
            .collect()
    }

    /// Writes the data of the Secret.
    pub(crate) fn to_data(&self) -> BTreeMap<String, ByteString> {
        let text = |text: String| ByteString(text.into_bytes());
        let mut data = BTreeMap::from([(CURRENT.to_owned(), text(self.current.to_string()))]);
        for (version, of) in &self.keys {
            let key = ByteString(of.key.expose().to_vec());
            data.insert(format!("{KEY_PREFIX}{version}"), key);
            data.insert(
                format!("{SINCE_PREFIX}{version}"),
                text(of.since.to_string()),
            );
        }
        data
    }

    /// Reads the data of the Secret, and erases the keys in it.
    pub(crate) fn from_data(mut data: BTreeMap<String, ByteString>) -> Result<Self, Error> {
        let stored = Self::read(&data);
        for bytes in data.values_mut() {
            bytes.0.zeroize();
        }
        stored
    }

    fn read(data: &BTreeMap<String, ByteString>) -> Result<Self, Error> {
        let malformed = |name: &str| Error::Malformed(name.to_owned());
        let text = |name: &str| {
            let bytes = data.get(name).ok_or_else(|| malformed(name))?;
            std::str::from_utf8(&bytes.0).map_err(|_| malformed(name))
        };
        let mut keys = BTreeMap::new();
        for (name, bytes) in data {
            let Some(version) = name.strip_prefix(KEY_PREFIX) else {
                continue;
            };
            let number: u32 = version.parse().map_err(|_| malformed(name))?;
            let key = Key::from_slice(&bytes.0).map_err(|_| malformed(name))?;
            let since_name = format!("{SINCE_PREFIX}{version}");
            let since = text(&since_name)?;
            let since = since.parse().map_err(|_| malformed(&since_name))?;
            keys.insert(number, Version { key, since });
        }
        let current = text(CURRENT)?.parse().map_err(|_| malformed(CURRENT))?;
        if !keys.contains_key(&current) {
            return Err(malformed(&format!("{KEY_PREFIX}{current}")));
        }
        Ok(Self { keys, current })
    }

    fn next(&self) -> Option<(u32, &Version)> {
        let (version, next) = self.keys.range(self.current..).nth(1)?;
        Some((*version, next))
    }
}

/// The lowest version from `least` on that is above every used one.
fn unused(least: u32, used: &BTreeSet<u32>) -> u32 {
    let mut believed = used.range(..=least.saturating_add(BELIEVED_AHEAD));
    let above = believed
        .next_back()
        .map(|highest| highest.saturating_add(1));
    above.unwrap_or(least).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(now: Timestamp, key: Key) -> Stored {
        Stored::first(now, key, &BTreeSet::new())
    }

    fn key(byte: u8) -> Key {
        Key::new([byte; 32]).unwrap()
    }

    fn day(days: i64) -> Timestamp {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        start + SignedDuration::from_hours(24 * days)
    }

    fn given(stored: &Stored) -> Vec<u32> {
        stored.given().iter().map(|key| key.version).collect()
    }

    fn rotate(stored: &Stored, days: i64, in_use: &[u32]) -> Option<Stored> {
        stored.rotate(day(days), &in_use.iter().copied().collect(), &key(2))
    }

    #[test]
    fn a_key_is_published_before_it_mints_and_kept_while_a_server_names_it() {
        let first = first(day(0), key(1));
        let [old] = given(&first)[..] else {
            panic!("{first:?}")
        };
        assert_eq!(rotate(&first, 29, &[]), None);

        let published = rotate(&first, 30, &[old]).unwrap();
        assert_eq!(given(&published), [old, old + 1]);
        assert_eq!(rotate(&published, 30, &[old]), None);

        let promoted = rotate(&published, 31, &[old]).unwrap();
        assert_eq!(given(&promoted), [old + 1]);
        assert_eq!(promoted.given()[0].key, key(2));
        assert_eq!(promoted.keys.len(), 2);
        // A process that was given the former key may not have named it yet.
        assert_eq!(rotate(&promoted, 31, &[]), None);
        assert_eq!(rotate(&promoted, 60, &[old]), None);

        let cleaned = rotate(&promoted, 32, &[old + 1]).unwrap();
        assert_eq!(cleaned.keys.keys().copied().collect::<Vec<_>>(), [old + 1]);
        let with_old = rotate(&promoted, 61, &[old]).unwrap();
        assert_eq!(given(&with_old), [old + 1, old + 2]);
        assert!(with_old.keys.contains_key(&old));
    }

    #[test]
    fn the_keys_are_bounded_whatever_is_in_use() {
        let mut stored = first(day(0), key(1));
        let mut days = 0;
        while days < 3000 {
            days += 1;
            let in_use: Vec<u32> = stored.keys.keys().copied().collect();
            stored = rotate(&stored, days, &in_use).unwrap_or(stored);
            assert!(stored.keys.len() <= MOST);
        }
        assert_eq!(stored.keys.len(), MOST);
        // It goes on when the servers are gone.
        let cleaned = rotate(&stored, days + 40, &[]).unwrap();
        assert!(cleaned.keys.len() <= 2);
    }

    #[test]
    fn the_secret_round_trips_and_says_what_is_wrong() {
        let published = rotate(&first(day(0), key(1)), 30, &[]).unwrap();
        let data = published.to_data();
        assert_eq!(Stored::from_data(data.clone()).unwrap(), published);
        let version = published.current;
        for name in [
            CURRENT.to_owned(),
            format!("key-{version}"),
            format!("since-{version}"),
        ] {
            for spoiled in [None, Some(ByteString(vec![0; 32]))] {
                let mut data = data.clone();
                data.remove(&name);
                data.extend(spoiled.map(|bytes| (name.clone(), bytes)));
                let error = Stored::from_data(data).unwrap_err().to_string();
                assert!(error.contains(&name), "{error}");
            }
        }
        let mut data = published.to_data();
        data.insert("key-next".to_owned(), ByteString(vec![1; 32]));
        assert!(Stored::from_data(data).is_err());
    }

    #[test]
    fn keys_that_replace_lost_ones_have_other_versions() {
        let lost = first(day(0), key(1));
        let rotated = rotate(&lost, 30, &[]).unwrap();
        let made_anew = first(day(30), key(3));
        assert!(!rotated.keys.contains_key(&made_anew.current));
        // Within the same minute, and where the clock went back by a day: as far as versions are
        // known, from us or from game servers.
        for now in [day(30), day(29)] {
            let known = BTreeSet::from([lost.current, made_anew.highest()]);
            let again = Stored::first(now, key(4), &known);
            assert_eq!(again.current, made_anew.current + 1);
        }
    }

    #[test]
    fn a_secret_that_was_put_back_gives_no_version_twice() {
        let backup = first(day(0), key(1));
        let [old] = given(&backup)[..] else {
            panic!("{backup:?}")
        };
        let next = rotate(&backup, 30, &[old, old + 1]).unwrap();
        assert_eq!(given(&next), [old, old + 2]);
    }

    #[test]
    fn nonsense_does_not_use_the_versions_up() {
        let used = BTreeSet::from([7, u32::MAX]);
        let made = Stored::first(day(0), key(1), &used);
        assert_eq!(made, first(day(0), key(1)));
        let next = rotate(&made, 30, &[u32::MAX]).unwrap();
        assert_eq!(given(&next), [made.current, made.current + 1]);
    }

    #[test]
    fn no_key_is_shown() {
        let shown = format!("{:?}", first(day(0), key(171)));
        assert!(!shown.contains("171"), "{shown}");
    }
}
