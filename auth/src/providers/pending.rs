//! A sign-in between its redirect and its return.
//!
//! The handle is the OAuth `state`: the one thing that travels through the provider. What belongs
//! to it is remembered as bytes under `Key::Step(hash of the handle)` for [`LIFETIME`] and taken
//! once. A second secret stays with the browser or client that began (a cookie, or its memory), so
//! that a handle that was stolen or slipped to a victim finishes nothing: login CSRF needs both.
//!
//! Pure: the random bytes and the time are arguments.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use storage::Confidential;

use super::{Begin, Credential};
use crate::crypto::{equal, hash};
use crate::live::Key;

/// How long a player may take at the provider.
pub const LIFETIME: Duration = Duration::from_mins(10);

/// How many random bytes a sign-in needs.
pub const RANDOM: usize = 128;

/// Why a return finishes nothing. Callers are told nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not a handle of ours.
    #[error("the handle is malformed")]
    Handle,
    /// What was remembered cannot be read.
    #[error("the pending sign-in is malformed")]
    Malformed,
    /// It took too long.
    #[error("the pending sign-in is expired")]
    Expired,
    /// The return is of another provider.
    #[error("the sign-in was begun at another provider")]
    Provider,
    /// Another browser or client began it.
    #[error("the sign-in was begun by another client")]
    Client,
    /// The client proves another key than when it began.
    #[error("the sign-in was begun with another key")]
    ClientKey,
}

/// What is remembered of a sign-in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    provider: String,
    nonce: String,
    verifier: String,
    /// The hash of the second secret.
    client: [u8; 32],
    /// The thumbprint of the key that the client proved, and that its tokens will be bound to.
    key: Option<String>,
    return_to: Option<String>,
    expires: Timestamp,
}

impl fmt::Debug for Pending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pending")
            .field("provider", &self.provider)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A sign-in that was begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The OAuth `state`.
    pub handle: Confidential,
    /// What the browser or client keeps.
    pub client: Confidential,
    /// Under which it is remembered.
    pub slot: Key,
    /// What is remembered.
    pub pending: Pending,
    challenge: String,
}

/// What somebody comes back with, beside the code.
#[derive(Clone, Copy, Debug)]
pub struct Returned<'a> {
    /// The provider whose redirect address was called.
    pub provider: &'a str,
    /// The second secret.
    pub client: &'a str,
    /// The thumbprint of the key that the client proves now.
    pub key: Option<&'a str>,
}

/// A sign-in whose return was right; the code is still to be shown to the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    nonce: Confidential,
    verifier: Confidential,
    /// The key that tokens will be bound to.
    pub key: Option<String>,
    /// Where the browser goes then.
    pub return_to: Option<String>,
}

/// The PKCE challenge of a verifier (RFC 7636, S256).
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(hash(verifier.as_bytes()))
}

/// Where the sign-in of a handle is remembered; refused when it does not look like one of ours.
pub fn slot(handle: &str) -> Result<Key, Refusal> {
    let bytes = URL_SAFE_NO_PAD
        .decode(handle)
        .map_err(|_error| Refusal::Handle)?;
    if bytes.len() != RANDOM / 4 {
        return Err(Refusal::Handle);
    }
    Ok(Key::Step(hash(&bytes)))
}

impl Pending {
    /// Begins a sign-in.
    pub fn begin(
        now: Timestamp,
        provider: &str,
        key: Option<String>,
        return_to: Option<String>,
        random: &[u8; RANDOM],
    ) -> Begun {
        let (handle, rest) = random.split_at(RANDOM / 4);
        let (client, rest) = rest.split_at(RANDOM / 4);
        let (nonce, verifier) = rest.split_at(RANDOM / 4);
        let verifier = URL_SAFE_NO_PAD.encode(verifier);
        Begun {
            handle: Confidential::new(URL_SAFE_NO_PAD.encode(handle)),
            client: Confidential::new(URL_SAFE_NO_PAD.encode(client)),
            slot: Key::Step(hash(handle)),
            challenge: challenge(&verifier),
            pending: Self {
                provider: provider.to_owned(),
                nonce: URL_SAFE_NO_PAD.encode(nonce),
                verifier,
                client: hash(client),
                key,
                return_to,
                expires: now.checked_add(LIFETIME).unwrap_or(Timestamp::MAX),
            },
        }
    }

    /// Where the browser goes in the end.
    pub fn return_to(&self) -> Option<&str> {
        self.return_to.as_deref()
    }

    /// As it is remembered.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Refusal> {
        serde_json::to_vec(self).map_err(|_error| Refusal::Malformed)
    }

    /// From what was remembered.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(bytes).map_err(|_error| Refusal::Malformed)
    }

    /// Goes on, if who comes back is who began.
    pub fn resume(self, now: Timestamp, returned: &Returned<'_>) -> Result<Resumed, Refusal> {
        if now >= self.expires {
            return Err(Refusal::Expired);
        }
        if returned.provider != self.provider {
            return Err(Refusal::Provider);
        }
        let client = URL_SAFE_NO_PAD
            .decode(returned.client)
            .map_err(|_error| Refusal::Client)?;
        if !equal(&hash(&client), &self.client) {
            return Err(Refusal::Client);
        }
        if returned.key != self.key.as_deref() {
            return Err(Refusal::ClientKey);
        }
        Ok(Resumed {
            nonce: Confidential::new(self.nonce),
            verifier: Confidential::new(self.verifier),
            key: self.key,
            return_to: self.return_to,
        })
    }
}

impl Begun {
    /// What goes to the provider.
    pub fn redirect(&self) -> Begin<'_> {
        Begin {
            state: self.handle.expose(),
            nonce: &self.pending.nonce,
            challenge: &self.challenge,
        }
    }
}

impl Resumed {
    /// What the provider is asked about.
    pub fn credential(&self, code: Confidential, issuer: Option<String>) -> Credential {
        Credential::Code {
            code,
            nonce: self.nonce.clone(),
            verifier: self.verifier.clone(),
            issuer,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    fn start() -> Timestamp {
        Timestamp::from_second(1_000_000).unwrap()
    }

    fn begun() -> Begun {
        let random = std::array::from_fn(|index| u8::try_from(index).unwrap());
        let key = Some("thumbprint".to_owned());
        let return_to = Some("https://game.example/".to_owned());
        Pending::begin(start(), "google", key, return_to, &random)
    }

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        assert_eq!(
            challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn only_who_began_goes_on_and_only_in_time() {
        let begun = begun();
        let client = begun.client.expose().to_owned();
        let other = Confidential::new(URL_SAFE_NO_PAD.encode([7; 32]));
        let late = SignedDuration::from_mins(10);
        let good = Returned {
            provider: "google",
            client: &client,
            key: Some("thumbprint"),
        };
        let early = start() + SignedDuration::from_secs(599);
        for (name, now, returned, expected) in [
            ("right", early, good, None),
            ("late", start() + late, good, Some(Refusal::Expired)),
            (
                "elsewhere",
                early,
                Returned {
                    provider: "apple",
                    ..good
                },
                Some(Refusal::Provider),
            ),
            (
                "stolen",
                early,
                Returned {
                    client: other.expose(),
                    ..good
                },
                Some(Refusal::Client),
            ),
            (
                "no secret",
                early,
                Returned { client: "", ..good },
                Some(Refusal::Client),
            ),
            (
                "garbage",
                early,
                Returned {
                    client: "!",
                    ..good
                },
                Some(Refusal::Client),
            ),
            (
                "other key",
                early,
                Returned {
                    key: Some("x"),
                    ..good
                },
                Some(Refusal::ClientKey),
            ),
            (
                "no key",
                early,
                Returned { key: None, ..good },
                Some(Refusal::ClientKey),
            ),
        ] {
            let resumed = begun.pending.clone().resume(now, &returned);
            assert_eq!(resumed.as_ref().err(), expected.as_ref(), "{name}");
        }
        let resumed = begun.pending.clone().resume(early, &good).unwrap();
        assert_eq!(resumed.key.as_deref(), Some("thumbprint"));
        assert_eq!(resumed.return_to.as_deref(), Some("https://game.example/"));
        let Credential::Code {
            verifier, nonce, ..
        } = resumed.credential(Confidential::new("c"), None)
        else {
            panic!("a code");
        };
        assert_eq!(challenge(verifier.expose()), begun.redirect().challenge);
        assert_eq!(nonce.expose(), begun.redirect().nonce);
    }

    #[test]
    fn a_handle_leads_to_its_slot_and_nothing_else_does() {
        let begun = begun();
        assert_eq!(slot(begun.handle.expose()), Ok(begun.slot.clone()));
        assert_ne!(slot(begun.client.expose()), Ok(begun.slot));
        for handle in ["", "AAAA", "!", &"A".repeat(10_000)] {
            assert_eq!(slot(handle), Err(Refusal::Handle), "{handle:.10}");
        }
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let begun = begun();
        let shown = format!("{begun:?}");
        for secret in [
            begun.handle.expose(),
            begun.client.expose(),
            &begun.pending.verifier,
            &begun.pending.nonce,
        ] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_read_again(
            random in proptest::collection::vec(any::<u8>(), RANDOM),
            provider in "[a-z]{1,32}",
            key in proptest::option::of("[A-Za-z0-9_-]{43}"),
            return_to in proptest::option::of(".{0,200}"),
        ) {
            let random = random.try_into().unwrap();
            let pending = Pending::begin(start(), &provider, key, return_to, &random).pending;
            let bytes = pending.to_bytes().unwrap();
            prop_assert_eq!(Pending::from_bytes(&bytes), Ok(pending));
            prop_assert_eq!(
                Pending::from_bytes(&bytes[..bytes.len() - 1]),
                Err(Refusal::Malformed)
            );
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(Pending::from_bytes(&bytes), Err(Refusal::Malformed));
        }
    }
}
