//! PHC strings: `$scrypt$ln=17,r=8,p=1$salt$hash`, `$argon2id$v=19$m=19456,t=2,p=1$salt$hash`.
//!
//! A string with the parameter `pepper=1` was finished with the pepper. The parser takes what we
//! write, in our order, and bounds the cost: a string may have come from elsewhere.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::kdf::{HASH_BYTES, Profile};
use crate::secrets::keyring::Key;

/// The longest string that is looked at, in bytes.
const MAX_BYTES: usize = 256;

/// A stored password.
#[derive(Clone, PartialEq, Eq)]
pub struct Phc {
    /// The function with its cost.
    pub profile: Profile,
    /// Finished with the pepper.
    pub peppered: bool,
    /// The salt.
    pub salt: Vec<u8>,
    /// The hash.
    pub hash: Vec<u8>,
}

impl fmt::Debug for Phc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Phc")
            .field("profile", &self.profile)
            .field("peppered", &self.peppered)
            .finish_non_exhaustive()
    }
}

/// A stored password cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no PHC string of ours.
    #[error("the stored password is malformed or of an unknown function")]
    Malformed,
    /// It would cost too much.
    #[error("the cost of the stored password is out of bounds")]
    Cost,
}

impl Phc {
    /// Computes one. Of a cost that is out of bounds, which [`super::Passwords::new`] refuses, it
    /// has no hash and matches nothing.
    pub fn compute(profile: Profile, pepper: Option<&Key>, salt: Vec<u8>, password: &str) -> Self {
        Self {
            profile,
            peppered: pepper.is_some(),
            hash: profile
                .compute(pepper, &salt, password.as_bytes())
                .map_or_else(|_| Vec::new(), |hash| hash.to_vec()),
            salt,
        }
    }

    /// Whether it is this password; false when its pepper is missing.
    pub fn matches(&self, password: &str, pepper: Option<&Key>) -> bool {
        let pepper = match (self.peppered, pepper) {
            (false, _) => None,
            (true, Some(key)) => Some(key),
            (true, None) => {
                tracing::error!("A stored password needs the pepper, which is switched off");
                return false;
            }
        };
        self.profile
            .compute(pepper, &self.salt, password.as_bytes())
            .is_ok_and(|hash| crate::crypto::equal(&hash, &self.hash))
    }

    /// Reads a string.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_BYTES {
            return Err(Error::Malformed);
        }
        let mut fields = text.split('$');
        let mut next = || fields.next().ok_or(Error::Malformed);
        if !next()?.is_empty() {
            return Err(Error::Malformed);
        }
        let (profile, peppered) = match next()? {
            "scrypt" => {
                let ([log_n, block, lanes], peppered) = parameters(next()?, ["ln", "r", "p"])?;
                let log_n = u8::try_from(log_n).map_err(|_| Error::Cost)?;
                let profile = Profile::Scrypt {
                    log_n,
                    block,
                    lanes,
                };
                (profile, peppered)
            }
            "argon2id" => {
                if next()? != "v=19" {
                    return Err(Error::Malformed);
                }
                let ([memory_kib, passes, lanes], peppered) = parameters(next()?, ["m", "t", "p"])?;
                let profile = Profile::Argon2id {
                    memory_kib,
                    passes,
                    lanes,
                };
                (profile, peppered)
            }
            _ => return Err(Error::Malformed),
        };
        let mut bytes = || {
            STANDARD_NO_PAD
                .decode(next()?)
                .map_err(|_| Error::Malformed)
        };
        let (salt, hash) = (bytes()?, bytes()?);
        if fields.next().is_some() || !(8..=64).contains(&salt.len()) || hash.len() != HASH_BYTES {
            return Err(Error::Malformed);
        }
        Ok(Self {
            profile: profile.bounded().map_err(|_| Error::Cost)?,
            peppered,
            salt,
            hash,
        })
    }
}

/// The numbers of `a=1,b=2,c=3`, and whether `,pepper=1` follows.
fn parameters(text: &str, names: [&str; 3]) -> Result<([u32; 3], bool), Error> {
    let mut fields = text.split(',');
    let mut numbers = [0; 3];
    for (number, name) in numbers.iter_mut().zip(names) {
        *number = fields
            .next()
            .and_then(|field| field.strip_prefix(name)?.strip_prefix('='))
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .ok_or(Error::Malformed)?;
    }
    match (fields.next(), fields.next()) {
        (None, _) => Ok((numbers, false)),
        (Some("pepper=1"), None) => Ok((numbers, true)),
        _ => Err(Error::Malformed),
    }
}

impl fmt::Display for Phc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.profile {
            Profile::Scrypt {
                log_n,
                block,
                lanes,
            } => write!(formatter, "$scrypt$ln={log_n},r={block},p={lanes}")?,
            Profile::Argon2id {
                memory_kib,
                passes,
                lanes,
            } => write!(
                formatter,
                "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}"
            )?,
        }
        if self.peppered {
            formatter.write_str(",pepper=1")?;
        }
        write!(
            formatter,
            "${}${}",
            STANDARD_NO_PAD.encode(&self.salt),
            STANDARD_NO_PAD.encode(&self.hash)
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_string_of_another_implementation_is_read() {
        // Made by Python's hashlib.scrypt: the password "glimmer-otter-47", n=16384, r=8, p=1.
        let stored = "$scrypt$ln=14,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$mhiSL02IxSU8VGculsaRrzkgH8s9bJMQpeBvH3WZm3g";
        let stored = Phc::parse(stored).unwrap();
        assert_eq!(stored.profile, Profile::REQUIRED);
        assert!(stored.matches("glimmer-otter-47", None));
        assert!(!stored.matches("glimmer-otter-48", None));
        assert!(stored.matches("glimmer-otter-47", Some(&Key::new([7; 32]))));
    }

    #[test]
    fn without_its_pepper_nothing_matches() {
        let profile = Profile::Scrypt {
            log_n: 4,
            block: 1,
            lanes: 1,
        };
        let key = Key::new([7; 32]);
        let stored = Phc::compute(profile, Some(&key), vec![0; 16], "secret");
        assert!(stored.matches("secret", Some(&key)));
        assert!(!stored.matches("secret", Some(&Key::new([8; 32]))));
        assert!(!stored.matches("secret", None));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let tail = "MDEyMzQ1Njc4OWFiY2RlZg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert!(Phc::parse(&format!("$scrypt$ln=14,r=8,p=1${tail}")).is_ok());
        for (start, expected) in [
            ("$scrypt$ln=30,r=8,p=1$", Error::Cost),
            ("$scrypt$ln=300,r=8,p=1$", Error::Cost),
            ("$scrypt$ln=14,r=4294967295,p=1$", Error::Cost),
            ("$argon2id$v=19$m=4294967295,t=1,p=1$", Error::Cost),
            ("$argon2id$v=19$m=19456,t=1000,p=1$", Error::Cost),
            ("$scrypt$ln=14,r=4294967296,p=1$", Error::Malformed),
            ("$scrypt$ln=+14,r=8,p=1$", Error::Malformed),
            ("$scrypt$ln=,r=8,p=1$", Error::Malformed),
            ("$scrypt$r=8,ln=14,p=1$", Error::Malformed),
            ("$scrypt$ln=14,r=8$", Error::Malformed),
            ("$scrypt$ln=14,r=8,p=1,pepper=2$", Error::Malformed),
            ("$scrypt$ln=14,r=8,p=1,pepper=1,x=1$", Error::Malformed),
            ("$argon2id$m=19456,t=2,p=1$", Error::Malformed),
            ("$argon2id$v=16$m=19456,t=2,p=1$", Error::Malformed),
            ("$argon2d$v=19$m=19456,t=2,p=1$", Error::Malformed),
            ("$2b$12$", Error::Malformed),
            ("scrypt$ln=14,r=8,p=1$", Error::Malformed),
            ("", Error::Malformed),
        ] {
            assert_eq!(
                Phc::parse(&format!("{start}{tail}")),
                Err(expected),
                "{start}"
            );
        }
        for tail in ["", "AAAA", "MDEyMzQ1Njc4OWFiY2RlZg$AAAA", "?$?"] {
            let text = format!("$scrypt$ln=14,r=8,p=1${tail}");
            assert_eq!(Phc::parse(&text), Err(Error::Malformed), "{text}");
        }
        assert_eq!(
            Phc::parse(&format!("$scrypt$ln=14,r=8,p=1${tail}$")),
            Err(Error::Malformed)
        );
        assert_eq!(
            Phc::parse(&"$".repeat(MAX_BYTES + 1)),
            Err(Error::Malformed)
        );
    }

    #[test]
    fn a_stored_password_is_not_shown() {
        let shown = Phc {
            profile: Profile::REQUIRED,
            peppered: false,
            salt: vec![171; 16],
            hash: vec![205; 32],
        };
        let shown = format!("{shown:?}");
        assert!(!shown.contains("171") && !shown.contains("205"), "{shown}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            scrypt: bool,
            cost in 1_u32..4,
            peppered: bool,
            salt in proptest::collection::vec(any::<u8>(), 8..=64),
            hash: [u8; HASH_BYTES],
        ) {
            let profile = if scrypt {
                Profile::Scrypt { log_n: 14, block: 8, lanes: cost }
            } else {
                Profile::Argon2id { memory_kib: 19_456, passes: cost, lanes: 1 }
            };
            let phc = Phc { profile, peppered, salt, hash: hash.to_vec() };
            prop_assert_eq!(Phc::parse(&phc.to_string()), Ok(phc));
        }

        #[test]
        fn nothing_that_arrives_makes_the_parser_fail(text in "\\PC{0,80}|\\$scrypt\\$[ -~]{0,80}") {
            if let Ok(phc) = Phc::parse(&text) {
                prop_assert!(phc.profile.bounded().is_ok());
            }
        }
    }
}
