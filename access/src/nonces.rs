//! Nonces that a server hands out for DPoP proofs (RFC 9449, section 8), without remembering any.
//!
//! A nonce is a time window with a MAC over it: every replica with the key accepts what another
//! one made, and a proof that was made ahead of its time is of no use.

use std::fmt;

use aws_lc_rs::hmac;
use jiff::Timestamp;

use crate::jws::{base64url, decode};

/// How long one nonce is handed out, in seconds. It is accepted for one window longer.
pub const WINDOW_SECONDS: i64 = 120;

/// What is signed beside the window, so that the key may serve for other ends too.
const CONTEXT: &[u8] = b"muster dpop nonce v1\0";

/// Makes and knows nonces.
pub struct Nonces {
    /// Makes nonces.
    current: hmac::Key,
    /// Knows those that were made before the key was replaced.
    previous: Option<hmac::Key>,
}

impl fmt::Debug for Nonces {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Nonces").finish_non_exhaustive()
    }
}

impl Nonces {
    /// With a random key, and the one before it while replicas are being restarted.
    pub fn new(current: &[u8; 32], previous: Option<&[u8; 32]>) -> Self {
        let key = |bytes: &[u8; 32]| hmac::Key::new(hmac::HMAC_SHA256, bytes);
        Self {
            current: key(current),
            previous: previous.map(key),
        }
    }

    /// The nonce of now.
    pub fn issue(&self, now: Timestamp) -> String {
        let window = window(now).to_be_bytes();
        let mut nonce = window.to_vec();
        nonce.extend_from_slice(hmac::sign(&self.current, &message(window)).as_ref());
        base64url(nonce)
    }

    /// Whether a nonce was made lately, by us or by a replica whose clock is a little ahead.
    pub fn accepts(&self, now: Timestamp, nonce: &str) -> bool {
        // The length first: what is decoded is bounded.
        if nonce.len() != 54 {
            return false;
        }
        let Some(bytes) = decode(nonce) else {
            return false;
        };
        let Some((window_bytes, tag)) = bytes.split_first_chunk::<8>() else {
            return false;
        };
        let age = window(now).saturating_sub(i64::from_be_bytes(*window_bytes));
        let message = message(*window_bytes);
        (-1..=1).contains(&age)
            && std::iter::once(&self.current)
                .chain(&self.previous)
                .any(|key| hmac::verify(key, &message, tag).is_ok())
    }
}

/// Which window a time is in.
fn window(now: Timestamp) -> i64 {
    now.as_second().div_euclid(WINDOW_SECONDS)
}

fn message(window: [u8; 8]) -> Vec<u8> {
    [CONTEXT, &window].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_nonce_is_good_in_its_window_and_the_next() {
        let nonces = Nonces::new(&[1; 32], None);
        let start = 1200;
        let nonce = nonces.issue(second(start));
        assert_eq!(nonce, nonces.issue(second(start + 119)));
        assert_ne!(nonce, nonces.issue(second(start + 120)));
        for (time, is_good) in [
            (start - 121, false),
            (start - 1, true),
            (start, true),
            (start + 239, true),
            (start + 240, false),
        ] {
            assert_eq!(nonces.accepts(second(time), &nonce), is_good, "{time}");
        }
    }

    #[test]
    fn replicas_share_a_key_and_its_predecessor() {
        let old = Nonces::new(&[1; 32], None).issue(second(0));
        let now = second(0);
        assert!(Nonces::new(&[1; 32], None).accepts(now, &old));
        assert!(Nonces::new(&[2; 32], Some(&[1; 32])).accepts(now, &old));
        assert!(!Nonces::new(&[2; 32], None).accepts(now, &old));
        assert_ne!(Nonces::new(&[2; 32], Some(&[1; 32])).issue(now), old);
    }

    #[test]
    fn a_nonce_with_any_other_letter_is_refused() {
        let nonces = Nonces::new(&[1; 32], None);
        let nonce = nonces.issue(second(0));
        assert_eq!(nonce.len(), 54);
        for place in 0..nonce.len() {
            for letter in ["A", "b", "9", "=", "."] {
                let mut other = nonce.clone();
                other.replace_range(place..=place, letter);
                assert_eq!(nonces.accepts(second(0), &other), other == nonce, "{other}");
            }
        }
        assert!(!nonces.accepts(second(0), ""));
        assert!(!nonces.accepts(second(0), &nonce[..53]));
        assert!(!nonces.accepts(second(0), &format!("{nonce}A")));
    }

    #[test]
    fn keys_are_not_shown() {
        let shown = format!("{:?}", Nonces::new(&[7; 32], Some(&[8; 32])));
        assert_eq!(shown, "Nonces { .. }");
    }
}
