//! The keys: read from secrets, derived for one purpose each.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use storage::secrets::{Entries, Error, Keys, Secret};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of every key.
pub const KEY_BYTES: usize = 32;

/// Distinguishes our keys from those that anybody else derives from the same bytes.
const SALT: &[u8] = b"muster auth v1";

/// The names of the keys that the embedded mode draws by itself.
pub const DRAWN: [&str; 2] = ["master.v1", INDEX];

/// The one key that the blind index and the pepper come from.
const INDEX: &str = "index.v1";

/// Names the version of the master key that seals and signs.
const CURRENT: &str = "master.current";

/// Base64 as people write it: padded or not.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// A key for one purpose.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; KEY_BYTES]);

impl Key {
    /// Takes the bytes.
    pub const fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(..)")
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What a key that is derived from a master key is for. No two purposes share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Sealed columns.
    Columns,
    /// The MAC of refresh tokens.
    RefreshTokens,
    /// The MAC of reconnection tokens.
    ReconnectionTokens,
    /// The nonces that DPoP proofs must carry.
    DpopNonces,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 4] = [
        Self::Columns,
        Self::RefreshTokens,
        Self::ReconnectionTokens,
        Self::DpopNonces,
    ];

    /// The info of HKDF. Never changes: what a key sealed must open.
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Columns => b"columns",
            Self::RefreshTokens => b"refresh tokens",
            Self::ReconnectionTokens => b"reconnection tokens",
            Self::DpopNonces => b"dpop nonces",
        }
    }
}

/// Every key of one moment.
#[derive(Clone)]
pub struct Keyring {
    /// By version; each holds the keys of [`Purpose::ALL`], in that order.
    masters: BTreeMap<u32, [Key; Purpose::ALL.len()]>,
    current: u32,
    index: Key,
    pepper: Key,
    /// By the names of the secrets.
    fingerprints: BTreeMap<String, Fingerprint>,
}

/// By what a key is known again without it: derived as a key is, and used for nothing else.
pub type Fingerprint = [u8; KEY_BYTES];

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Keyring")
            .field("versions", &self.masters.keys().collect::<Vec<_>>())
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}

impl Keys for Keyring {
    fn parse(entries: &Entries, place: &dyn Fn(&str) -> String) -> Result<Self, Error> {
        let unusable = |name: &str, problem: &str| Error::Unusable {
            place: place(name),
            problem: problem.to_owned(),
        };
        let mut masters = BTreeMap::new();
        let mut fingerprints = BTreeMap::new();
        let mut seen: Vec<(&str, Zeroizing<[u8; KEY_BYTES]>)> = Vec::new();
        for (name, secret) in entries {
            let version = match name.split_once('.') {
                _ if name == CURRENT => continue,
                Some(("master", version)) => Some(
                    parse_version(version)
                        .ok_or_else(|| unusable(name, "name it master.v1, master.v2, ..."))?,
                ),
                Some(("index", "v1")) => None,
                Some(("index", _)) => {
                    return Err(unusable(name, "index.v1 never rotates: remove this"));
                }
                _ => continue,
            };
            let bytes = parse_key(secret)
                .ok_or_else(|| unusable(name, "want 32 bytes, raw or in base64"))?;
            if bytes.iter().all(|byte| Some(byte) == bytes.first()) {
                return Err(unusable(
                    name,
                    "the bytes are all the same: draw random ones",
                ));
            }
            if let Some((other, _)) = seen.iter().find(|(_, known)| *known == bytes) {
                return Err(unusable(name, &format!("is the same as {other}")));
            }
            if let Some(version) = version {
                let keys = Purpose::ALL.map(|purpose| derive(&bytes, purpose.label()));
                masters.insert(version, keys);
            }
            let fingerprint = derive(&bytes, b"fingerprint");
            fingerprints.insert(name.clone(), *fingerprint.expose());
            seen.push((name, bytes));
        }
        let missing = "is missing: write 32 random bytes there";
        let highest = *masters
            .last_key_value()
            .ok_or_else(|| unusable("master.v1", missing))?
            .0;
        let (_, index) = seen
            .iter()
            .find(|(name, _)| *name == INDEX)
            .ok_or_else(|| unusable(INDEX, missing))?;
        let current = match entries.get(CURRENT) {
            None => highest,
            Some(secret) => secret
                .text()
                .and_then(|text| parse_version(text.strip_prefix("master.").unwrap_or(text)))
                .filter(|version| masters.contains_key(version))
                .ok_or_else(|| unusable(CURRENT, "want a version that there is: v1"))?,
        };
        Ok(Self {
            current,
            index: derive(index, b"blind index"),
            pepper: derive(index, b"pepper"),
            masters,
            fingerprints,
        })
    }

    /// What is stored hangs on the index key, and a version has one key for ever.
    fn may_follow(&self, former: &Self, place: &dyn Fn(&str) -> String) -> Result<(), Error> {
        let changed = |name: &str| Error::Unusable {
            place: place(name),
            problem: "the key changed under its name; put the former one back".to_owned(),
        };
        if self.index != former.index {
            return Err(changed(INDEX));
        }
        for (version, keys) in &self.masters {
            if former
                .masters
                .get(version)
                .is_some_and(|known| known != keys)
            {
                return Err(changed(&format!("master.v{version}")));
            }
        }
        Ok(())
    }
}

impl Keyring {
    /// The version that seals and signs.
    pub const fn current(&self) -> u32 {
        self.current
    }

    /// Every version, ascending.
    pub fn versions(&self) -> impl Iterator<Item = u32> {
        self.masters.keys().copied()
    }

    /// The key of a version for a purpose; none when there is no such version.
    pub fn key(&self, purpose: Purpose, version: u32) -> Option<&Key> {
        self.masters
            .get(&version)
            .map(|keys| &keys[purpose as usize])
    }

    /// The current version and its key for a purpose.
    pub fn current_key(&self, purpose: Purpose) -> (u32, &Key) {
        (self.current, &self.masters[&self.current][purpose as usize])
    }

    /// The key of the blind index. Never rotates.
    pub const fn index(&self) -> &Key {
        &self.index
    }

    /// The keys by their names, and by what each is known again.
    pub const fn fingerprints(&self) -> &BTreeMap<String, Fingerprint> {
        &self.fingerprints
    }

    /// The pepper of passwords. Never rotates.
    pub const fn pepper(&self) -> &Key {
        &self.pepper
    }
}

/// `v1`, `v2`, ...: without sign or leading zeros, so that a version has one name.
fn parse_version(text: &str) -> Option<u32> {
    let version: u32 = text.strip_prefix('v')?.parse().ok()?;
    (version > 0 && text == format!("v{version}")).then_some(version)
}

fn parse_key(secret: &Secret) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    if let Ok(raw) = secret.expose().try_into() {
        return Some(Zeroizing::new(raw));
    }
    let text = secret.text()?;
    [&base64::alphabet::STANDARD, &base64::alphabet::URL_SAFE]
        .into_iter()
        .find_map(|alphabet| {
            let decoded = GeneralPurpose::new(alphabet, LENIENT).decode(text).ok()?;
            let decoded = Zeroizing::new(decoded);
            decoded.as_slice().try_into().ok().map(Zeroizing::new)
        })
}

#[expect(
    clippy::expect_used,
    reason = "HKDF-SHA256 gives any output of at most 8,160 bytes; this one has 32"
)]
fn derive(secret: &[u8; KEY_BYTES], label: &[u8]) -> Key {
    let mut key = Key([0; KEY_BYTES]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
        .extract(secret)
        .expand(&[label], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(&mut key.0))
        .expect("32 bytes can be derived");
    key
}

#[cfg(test)]
pub(crate) mod fixtures {
    use super::*;

    /// A key of its own for each byte: the bytes that follow it.
    pub(crate) fn bytes(first: u8) -> Secret {
        let bytes: [u8; KEY_BYTES] =
            std::array::from_fn(|at| first.wrapping_add(u8::try_from(at).unwrap()));
        Secret::new(bytes.to_vec())
    }

    /// Secrets with these versions of the master key.
    pub(crate) fn keyring_of(versions: &[u32]) -> Entries {
        let mut entries: Entries = versions
            .iter()
            .map(|version| {
                let name = format!("master.v{version}");
                (name, bytes(u8::try_from(*version).unwrap()))
            })
            .collect();
        entries.insert(INDEX.to_owned(), bytes(200));
        entries
    }

    /// The keys of [`keyring_of`].
    pub(crate) fn keyring(versions: &[u32]) -> Keyring {
        Keyring::parse(&keyring_of(versions), &|name| name.to_owned()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::fixtures::{bytes, keyring, keyring_of};
    use super::*;

    fn parse(entries: &Entries) -> Result<Keyring, String> {
        Keyring::parse(entries, &|name| format!("/secrets/{name}"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_highest_version_is_current_unless_another_is_named() {
        assert_eq!(keyring(&[2, 10, 1]).current(), 10);
        assert_eq!(
            keyring(&[2, 10, 1]).versions().collect::<Vec<_>>(),
            [1, 2, 10]
        );
        for text in ["v2\n", "master.v2"] {
            let mut entries = keyring_of(&[1, 2, 10]);
            entries.insert(CURRENT.to_owned(), Secret::new(text.into()));
            assert_eq!(parse(&entries).unwrap().current(), 2);
        }
    }

    #[test]
    fn every_purpose_and_version_has_a_key_of_its_own() {
        let keys = keyring(&[1, 2]);
        let mut all = BTreeSet::from([*keys.index().expose(), *keys.pepper().expose()]);
        for version in [1, 2] {
            for purpose in Purpose::ALL {
                all.insert(*keys.key(purpose, version).unwrap().expose());
            }
        }
        assert_eq!(all.len(), 2 + 2 * Purpose::ALL.len());
        assert_eq!(
            keys.current_key(Purpose::Columns),
            (2, keys.key(Purpose::Columns, 2).unwrap())
        );
        assert_eq!(keys.key(Purpose::Columns, 3), None);
    }

    #[test]
    fn keys_are_known_again_by_their_fingerprints() {
        let (one, two) = (keyring(&[1]), keyring(&[1, 2]));
        let names: Vec<&str> = two.fingerprints().keys().map(String::as_str).collect();
        assert_eq!(names, ["index.v1", "master.v1", "master.v2"]);
        for name in ["index.v1", "master.v1"] {
            assert_eq!(one.fingerprints()[name], two.fingerprints()[name]);
        }
        let all: BTreeSet<_> = two.fingerprints().values().collect();
        assert_eq!(all.len(), 3);
        // It is none of the keys.
        assert!(!all.contains(two.index().expose()) && !all.contains(two.pepper().expose()));
        for purpose in Purpose::ALL {
            assert!(!all.contains(two.key(purpose, 1).unwrap().expose()));
        }
    }

    #[test]
    fn derived_keys_are_stable() {
        // HKDF-SHA256 computed by another implementation: salt and labels as above, the master key
        // the bytes 1 to 32, the index key the bytes 200 to 231.
        let keys = keyring(&[1]);
        let mut lines = String::new();
        for purpose in Purpose::ALL {
            lines += &crate::crypto::tests::hex(keys.key(purpose, 1).unwrap().expose());
            lines += "\n";
        }
        lines += &crate::crypto::tests::hex(keys.index().expose());
        lines += "\n";
        lines += &crate::crypto::tests::hex(keys.pepper().expose());
        assert_eq!(lines, include_str!("keyring/derived.txt").trim_end());
    }

    #[test]
    fn a_key_is_read_raw_or_in_any_base64() {
        let raw: [u8; KEY_BYTES] = std::array::from_fn(|at| 0xff - u8::try_from(at).unwrap());
        let standard = base64::engine::general_purpose::STANDARD.encode(raw);
        let url_safe = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(raw);
        assert!(standard.contains('/') && url_safe.contains('_'));
        for text in [
            raw.to_vec(),
            format!("{standard}\n").into(),
            url_safe.into(),
        ] {
            assert_eq!(*parse_key(&Secret::new(text)).unwrap(), raw);
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_place() {
        for (name, value, expected) in [
            (
                "master.v2",
                Secret::new(b"short".to_vec()),
                "use /secrets/master.v2: want 32 bytes, raw or in base64",
            ),
            (
                "master.v02",
                bytes(2),
                "use /secrets/master.v02: name it master.v1, master.v2, ...",
            ),
            (
                "master.v0",
                bytes(2),
                "use /secrets/master.v0: name it master.v1, master.v2, ...",
            ),
            (
                "master.key",
                bytes(2),
                "use /secrets/master.key: name it master.v1, master.v2, ...",
            ),
            (
                "master.v2",
                Secret::new(vec![7; 32]),
                "use /secrets/master.v2: the bytes are all the same: draw random ones",
            ),
            (
                "master.v2",
                bytes(1),
                "use /secrets/master.v2: is the same as master.v1",
            ),
            (
                "index.v2",
                bytes(2),
                "use /secrets/index.v2: index.v1 never rotates: remove this",
            ),
            (
                "master.current",
                Secret::new(b"v2".to_vec()),
                "use /secrets/master.current: want a version that there is: v1",
            ),
        ] {
            let mut entries = keyring_of(&[1]);
            entries.insert(name.to_owned(), value);
            assert_eq!(parse(&entries).unwrap_err(), expected);
        }
        let mut entries = keyring_of(&[1]);
        entries.remove(INDEX);
        assert_eq!(
            parse(&entries).unwrap_err(),
            "use /secrets/index.v1: is missing: write 32 random bytes there"
        );
    }

    #[test]
    fn a_key_is_not_shown() {
        let keys = keyring(&[1]);
        assert_eq!(format!("{:?}", keys.index()), "Key(..)");
        assert_eq!(
            format!("{keys:?}"),
            "Keyring { versions: [1], current: 1, .. }"
        );
    }
}
