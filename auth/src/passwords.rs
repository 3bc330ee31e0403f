//! Passwords: what may be one, how it is stored, and how it is checked without telling anything.
//!
//! A stored password is a PHC string ([`phc`]) of a slow function ([`kdf`]), computed in a pool
//! that bounds memory and cores ([`pool`]). What may be chosen is decided by [`policy`] and by
//! [`breached`]. [`Passwords`] joins them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

pub mod breached;
pub mod kdf;
pub mod phc;
pub mod policy;
pub mod pool;

use breached::Breached;
use kdf::Profile;
use phc::Phc;
use pool::Pool;

use crate::Failure;
use crate::error::Code;
use crate::secrets::keyring::Key;

/// The most bytes of a password as it arrives: 128 characters take at most 512, and may shrink
/// when they are normalized.
pub const MAX_BYTES: usize = 1024;

/// Bytes of a salt.
const SALT_BYTES: usize = 16;

/// A password in its normal form (NFKC), so that it is the same from every keyboard.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes what somebody typed. Says nothing of whether it may be chosen: see [`policy`].
    pub fn new(text: &str) -> Result<Self, Failure> {
        if text.len() > MAX_BYTES {
            return Err(Failure::field("password", "at most 1,024 bytes"));
        }
        Ok(Self(Zeroizing::new(text.nfkc().collect())))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(..)")
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not the password, or there is none.
    Wrong,
    /// It is the password.
    Right {
        /// What to store instead: the stored one is of another profile, or without the pepper.
        rehashed: Option<String>,
    },
}

/// How passwords are stored.
#[derive(Clone, Debug)]
pub struct Config {
    /// The function and its cost for new passwords.
    pub profile: Profile,
    /// Those that stored passwords may have from earlier. Each login then computes all of them, so
    /// that no account is told by its age; without them it costs one hash.
    pub former: Vec<Profile>,
    /// A key that no database dump has; see [`crate::secrets`]. It must stay once it was used.
    pub pepper: Option<Key>,
}

/// What happened to passwords.
#[derive(Debug, Default)]
pub struct Counters {
    /// Refused because an attacker would guess them early.
    pub weak: AtomicU64,
    /// Refused because they are known from a breach.
    pub breached: AtomicU64,
    /// Accepted although nobody could say whether they are known from a breach.
    pub breach_unknown: AtomicU64,
    /// Stored anew at a login.
    pub rehashed: AtomicU64,
}

/// Passwords of players.
#[derive(Debug)]
pub struct Passwords {
    config: Config,
    pool: Arc<Pool>,
    breached: Arc<dyn Breached>,
    /// What is checked when there is no account: costs what a real one costs.
    dummy: Phc,
    dummy_text: String,
    counters: Counters,
}

impl Passwords {
    /// Passwords of this profile, hashed in this pool.
    pub fn new(
        config: Config,
        pool: Arc<Pool>,
        breached: Arc<dyn Breached>,
    ) -> Result<Self, kdf::OutOfBounds> {
        for profile in [&config.profile].into_iter().chain(&config.former) {
            profile.bounded()?;
        }
        let dummy = Phc {
            profile: config.profile,
            peppered: config.pepper.is_some(),
            salt: vec![0; SALT_BYTES],
            // Nothing known has this hash.
            hash: crate::crypto::random::<{ kdf::HASH_BYTES }>().to_vec(),
        };
        Ok(Self {
            config,
            pool,
            breached,
            dummy_text: dummy.to_string(),
            dummy,
            counters: Counters::default(),
        })
    }

    /// What happened.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The pool, for its counters.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Stores a password that its owner chose: the string for the table, or why it may not be
    /// chosen. `email` is the account's, where it has one.
    pub async fn choose(
        &self,
        password: &Password,
        email: Option<&str>,
    ) -> Result<String, Failure> {
        let checked = password.clone();
        let email = email.map(ToOwned::to_owned);
        // Guessing takes milliseconds: not for an async thread.
        let verdict = self
            .pool
            .run(1, move || policy::check(checked.expose(), email.as_deref()))
            .await?;
        if let Err(reason) = verdict {
            self.counters.weak.fetch_add(1, Ordering::Relaxed);
            return Err(reason.into());
        }
        match self.breached.times_seen(password).await {
            Ok(0) => {}
            Ok(_) => {
                self.counters.breached.fetch_add(1, Ordering::Relaxed);
                return Err(Failure {
                    field: Some("password".into()),
                    ..Failure::new(
                        Code::WeakPassword,
                        "this password is known from a breach elsewhere; choose another one",
                    )
                });
            }
            Err(error) => {
                // Nobody is locked out because a service of others is away.
                self.counters.breach_unknown.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "Accepted a password without asking whether it is breached");
            }
        }
        self.hash(password).await
    }

    /// Checks a password against what is stored; takes as long when nothing is, and as long for
    /// every profile that is configured.
    pub async fn verify(
        &self,
        password: &Password,
        stored: Option<&str>,
    ) -> Result<Verdict, Failure> {
        // Read as a stored one is: that takes time, too.
        let (exists, text) = stored.map_or((false, self.dummy_text.as_str()), |text| (true, text));
        let (exists, stored) = match Phc::parse(text) {
            Ok(parsed) => (exists, parsed),
            Err(error) => {
                tracing::error!(%error, "A stored password cannot be read");
                (false, self.dummy.clone())
            }
        };
        let others = self.others(&stored);
        let profiles = others.iter().chain([&stored.profile]);
        let memory = profiles.map(|profile| profile.memory_mib()).max();
        let (config, password) = (self.config.clone(), password.clone());
        let (right, fresh) = self
            .pool
            .run(memory.unwrap_or_default(), move || {
                let pepper = config.pepper.as_ref();
                let right = stored.matches(password.expose(), pepper);
                let mut fresh = None;
                for profile in others {
                    let salt = crate::crypto::random::<SALT_BYTES>().to_vec();
                    let computed = Phc::compute(profile, pepper, salt, password.expose());
                    if profile == config.profile {
                        fresh = Some(computed);
                    }
                }
                (right, fresh)
            })
            .await?;
        if !(exists && right) {
            return Ok(Verdict::Wrong);
        }
        if fresh.is_some() {
            self.counters.rehashed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Verdict::Right {
            rehashed: fresh.map(|phc| phc.to_string()),
        })
    }

    /// What is computed beside a stored password: the current profile to store it anew, if it is of
    /// another one, and the former ones that it is not of.
    fn others(&self, stored: &Phc) -> Vec<Profile> {
        let current = self.config.profile;
        let is_current = stored.profile == current && stored.peppered == self.dummy.peppered;
        let mut others: Vec<Profile> = (!is_current).then_some(current).into_iter().collect();
        for &former in &self.config.former {
            if former != current && former != stored.profile && !others.contains(&former) {
                others.push(former);
            }
        }
        others
    }

    async fn hash(&self, password: &Password) -> Result<String, Failure> {
        let (config, password) = (self.config.clone(), password.clone());
        self.pool
            .run(config.profile.memory_mib(), move || {
                let salt = crate::crypto::random::<SALT_BYTES>().to_vec();
                Phc::compute(
                    config.profile,
                    config.pepper.as_ref(),
                    salt,
                    password.expose(),
                )
                .to_string()
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    /// A list that knows one password, or is away.
    #[derive(Debug)]
    enum List {
        Knows(&'static str),
        Away,
    }

    #[async_trait]
    impl Breached for List {
        async fn times_seen(&self, password: &Password) -> Result<u64, breached::Error> {
            match self {
                Self::Knows(known) => Ok(u64::from(password.expose() == *known)),
                Self::Away => Err(breached::Error("away".to_owned())),
            }
        }
    }

    fn passwords(profile: Profile, pepper: Option<Key>, list: List) -> Passwords {
        let pool = Arc::new(Pool::new(pool::Limits::default()));
        let config = Config {
            profile,
            former: Vec::new(),
            pepper,
        };
        Passwords::new(config, pool, Arc::new(list)).unwrap()
    }

    const NOBODY: List = List::Knows("");

    fn password(text: &str) -> Password {
        Password::new(text).unwrap()
    }

    #[tokio::test]
    async fn what_was_chosen_is_right_and_nothing_else() {
        let all = passwords(Profile::REQUIRED, None, NOBODY);
        let chosen = password("glimmer-otter-47");
        let stored = all.choose(&chosen, Some("ann@example.com")).await.unwrap();
        assert!(stored.starts_with("$scrypt$ln=14,r=8,p=1$"), "{stored}");
        assert_ne!(
            stored,
            all.choose(&chosen, None).await.unwrap(),
            "salts are random"
        );
        let right = Verdict::Right { rehashed: None };
        assert_eq!(all.verify(&chosen, Some(&stored)).await, Ok(right));
        for (text, stored) in [
            ("glimmer-otter-48", Some(stored.as_str())),
            ("glimmer-otter-47", None),
            ("glimmer-otter-47", Some("$1$unreadable")),
            ("", Some(&stored)),
        ] {
            let verdict = all.verify(&password(text), stored).await;
            assert_eq!(verdict, Ok(Verdict::Wrong), "{text}");
        }
    }

    #[tokio::test]
    async fn another_profile_or_a_new_pepper_is_stored_anew_when_the_password_is_right() {
        let chosen = password("glimmer-otter-47");
        let old = passwords(Profile::REQUIRED, None, NOBODY);
        let stored = old.choose(&chosen, None).await.unwrap();
        let pepper = Some(Key::new([7; 32]));
        for (new, starts) in [
            (
                passwords(Profile::ARGON2ID, None, NOBODY),
                "$argon2id$v=19$m=19456,t=2,p=1$",
            ),
            (
                passwords(Profile::REQUIRED, pepper, NOBODY),
                "$scrypt$ln=14,r=8,p=1,pepper=1$",
            ),
        ] {
            assert_eq!(
                new.verify(&password("wrong"), Some(&stored)).await,
                Ok(Verdict::Wrong)
            );
            let verdict = new.verify(&chosen, Some(&stored)).await.unwrap();
            let Verdict::Right {
                rehashed: Some(rehashed),
            } = verdict
            else {
                panic!("{verdict:?}");
            };
            assert!(rehashed.starts_with(starts), "{rehashed}");
            assert_eq!(
                new.verify(&chosen, Some(&rehashed)).await,
                Ok(Verdict::Right { rehashed: None })
            );
            assert_eq!(new.counters().rehashed.load(Ordering::Relaxed), 1);
        }
    }

    #[tokio::test]
    async fn an_unknown_account_costs_a_real_hash() {
        let all = passwords(Profile::REQUIRED, None, NOBODY);
        let before = all.pool().counters().done.load(Ordering::Relaxed);
        assert_eq!(
            all.verify(&password("whatever"), None).await,
            Ok(Verdict::Wrong)
        );
        assert_eq!(
            all.pool().counters().done.load(Ordering::Relaxed),
            before + 1
        );
        assert_eq!(all.dummy.profile, Profile::REQUIRED);
        assert_eq!(all.dummy.hash.len(), kdf::HASH_BYTES);
    }

    #[tokio::test]
    async fn no_account_is_told_by_the_age_of_its_hash() {
        let small = |passes| Profile::Argon2id {
            memory_kib: 1024,
            passes,
            lanes: 1,
        };
        let (current, former) = (small(1), [small(2), Profile::REQUIRED]);
        let mut all = passwords(current, None, NOBODY);
        all.config.former = [former.as_slice(), &[current, small(2)]].concat();
        // An unknown account costs what the dummy costs.
        let mut stored = vec![all.dummy.clone()];
        for profile in [current, former[0], former[1]] {
            let salt = vec![1; SALT_BYTES];
            stored.push(Phc::compute(profile, None, salt, "glimmer-otter-47"));
        }
        for stored in &stored {
            let mut computed = all.others(stored);
            computed.push(stored.profile);
            assert_eq!(computed.len(), 3, "{computed:?}");
            for profile in [current, former[0], former[1]] {
                assert!(computed.contains(&profile), "{computed:?}");
            }
        }
        // And a right password of each is stored as the current one.
        for stored in &stored[1..] {
            let (right, text) = (password("glimmer-otter-47"), stored.to_string());
            let verdict = all.verify(&right, Some(&text)).await.unwrap();
            let Verdict::Right { rehashed } = verdict else {
                panic!("{verdict:?}");
            };
            let profile = rehashed.map(|text| Phc::parse(&text).unwrap().profile);
            let expected = (stored.profile != current).then_some(current);
            assert_eq!(profile, expected);
        }
        let unbounded = Config {
            profile: current,
            former: vec![small(99)],
            pepper: None,
        };
        let pool = Arc::new(Pool::new(pool::Limits::default()));
        assert!(Passwords::new(unbounded, pool, Arc::new(NOBODY)).is_err());
    }

    #[tokio::test]
    async fn weak_and_breached_passwords_are_refused_and_a_silent_list_refuses_none() {
        let all = passwords(Profile::REQUIRED, None, List::Knows("glimmer-otter-47"));
        let code = |result: Result<String, Failure>| result.unwrap_err().code;
        assert_eq!(
            code(all.choose(&password("password1"), None).await),
            Code::WeakPassword
        );
        assert_eq!(
            code(all.choose(&password("glimmer-otter-47"), None).await),
            Code::WeakPassword
        );
        all.choose(&password("glimmer-otter-48"), None)
            .await
            .unwrap();
        assert_eq!(all.counters().weak.load(Ordering::Relaxed), 1);
        assert_eq!(all.counters().breached.load(Ordering::Relaxed), 1);

        let alone = passwords(Profile::REQUIRED, None, List::Away);
        alone
            .choose(&password("glimmer-otter-47"), None)
            .await
            .unwrap();
        assert_eq!(alone.counters().breach_unknown.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_password_is_the_same_from_every_keyboard_and_never_shown() {
        assert_eq!(password("caf\u{e9}-№1"), password("cafe\u{301}-No1"));
        assert_eq!(format!("{:?}", password("hunter2hunter2")), "Password(..)");
        assert!(Password::new(&"a".repeat(MAX_BYTES)).is_ok());
        let long = Password::new(&"a".repeat(MAX_BYTES + 1)).unwrap_err();
        assert_eq!(long.field.as_deref(), Some("password"));
    }
}
