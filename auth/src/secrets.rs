//! Where key material and credentials come from, and how they change without a restart.
//!
//! A [`Source`] is a directory of files ([`files::Files`]) or Vault ([`vault::Vault`]); never the
//! environment, which is shown by `kubectl describe`, inherited by children and logged by crash
//! reporters. Each secret has a name:
//!
//! | name | what | rotates |
//! |---|---|---|
//! | `master.v1`, `master.v2`, ... | 32 bytes, raw or in base64: keys of columns, tokens and nonces are derived from them ([`keyring::Purpose`]) | by adding the next version |
//! | `master.current` | the version that seals and signs; the highest when absent | yes |
//! | `index.v1` | 32 bytes, from which the blind index's key and the pepper of passwords are derived | never |
//! | anything else | a credential: the password of the mail server, a provider's client secret | by replacing it |
//!
//! So one Secret of Kubernetes, or one path of Vault, is all that an operator handles.
//!
//! **`index.v1` must never change.** The hash by which an account is found and the pepper of its
//! password hang on it, and neither can be computed anew without what the owner types: when the
//! master key rotates they stay. A process that runs refuses another `index.v1`, and another key
//! under a version that it knows.
//!
//! **To rotate the master key without one refused call**, add `master.v2` with `master.current`
//! still naming `1`, wait until every replica has it (a minute on Kubernetes), then write `2`. A
//! replica that has not got a version yet cannot open what was sealed by it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

pub mod files;
pub mod keyring;
pub mod vault;

use keyring::Keyring;

/// The most bytes of one secret.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most secrets of one source.
pub const MAX_ENTRIES: usize = 128;

/// Something that no log may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, as they are.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The text without blanks around it, which editors and `echo` leave; none unless UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok().map(str::trim)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// Secrets by name.
pub type Entries = BTreeMap<String, Secret>;

/// Why there are no secrets, or no new ones. Names the place and never the content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The source cannot be read; perhaps later.
    #[error("read {place}: {problem}")]
    Read {
        /// The file or path.
        place: String,
        /// What went wrong.
        problem: String,
    },
    /// The source holds what cannot be used.
    #[error("use {place}: {problem}")]
    Unusable {
        /// The file or path with the name of the secret.
        place: String,
        /// What to do.
        problem: String,
    },
}

/// A place where secrets are kept.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync {
    /// Every secret as it is now. Ends within a time limit of its own.
    async fn read(&self) -> Result<Entries, Error>;

    /// What a person calls the place of a secret: `/etc/auth/master.v1`.
    fn place(&self, name: &str) -> String;

    /// How often to look for changes.
    fn interval(&self) -> Duration;
}

/// Secrets as they were at one moment.
#[derive(Debug)]
pub struct Loaded {
    /// The keys.
    pub keyring: Keyring,
    entries: Entries,
}

impl Loaded {
    /// Credentials as text whose names begin so, each with its end trimmed.
    pub fn texts<'all>(&'all self, prefix: &'all str) -> impl Iterator<Item = &'all str> {
        self.entries
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix))
            .filter_map(|(_, secret)| secret.text())
    }

    /// A credential as text, when there is one of this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.entries.get(name).and_then(Secret::text)
    }
}

/// Secrets that follow their source.
#[derive(Debug)]
pub struct Secrets {
    source: Arc<dyn Source>,
    current: watch::Sender<Arc<Loaded>>,
}

impl Secrets {
    /// Reads the source once; what it holds must be usable.
    pub async fn load(source: Arc<dyn Source>) -> Result<Self, Error> {
        let entries = source.read().await?;
        let keyring = Keyring::parse(&entries, &|name| source.place(name))?;
        Ok(Self {
            source,
            current: watch::Sender::new(Arc::new(Loaded { keyring, entries })),
        })
    }

    /// The secrets as they are now. Ask again for each use instead of keeping them.
    pub fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.current.borrow())
    }

    /// Tells of changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Loaded>> {
        self.current.subscribe()
    }

    /// Follows the source until the token is cancelled. What cannot be read or used leaves the last
    /// good secrets in place.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut complained = None;
        let mut interval = tokio::time::interval(self.source.interval());
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            let Some(read) = stop.run_until_cancelled(self.source.read()).await else {
                return;
            };
            match read.and_then(|entries| self.replace(entries)) {
                Ok(true) => {
                    tracing::info!(
                        master = self.current().keyring.current(),
                        "Reloaded secrets"
                    );
                    complained = None;
                }
                Ok(false) => complained = None,
                // Once for each problem, not once for each look.
                Err(error) if complained.as_ref() == Some(&error) => {}
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "Kept the last secrets: the new ones cannot be used"
                    );
                    complained = Some(error);
                }
            }
        }
    }

    /// Puts other secrets in place, unless they are the same (false) or must not follow these.
    pub(crate) fn replace(&self, entries: Entries) -> Result<bool, Error> {
        let former = self.current();
        if entries == former.entries {
            return Ok(false);
        }
        let place = |name: &str| self.source.place(name);
        let keyring = Keyring::parse(&entries, &place)?;
        keyring.may_follow(&former.keyring, &place)?;
        self.current
            .send_replace(Arc::new(Loaded { keyring, entries }));
        Ok(true)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::secrets::keyring::fixtures::{bytes, keyring_of};

    /// A source that tests change at will.
    #[derive(Debug)]
    pub(crate) struct Scripted(pub(crate) Mutex<Result<Entries, Error>>);

    #[async_trait]
    impl Source for Scripted {
        async fn read(&self) -> Result<Entries, Error> {
            self.0.lock().unwrap().clone()
        }

        fn place(&self, name: &str) -> String {
            format!("script/{name}")
        }

        fn interval(&self) -> Duration {
            Duration::from_secs(1)
        }
    }

    impl Secrets {
        /// Secrets that nothing changes but [`Self::replace`].
        pub(crate) fn fixed(entries: Entries) -> Self {
            let source = Arc::new(Scripted(Mutex::new(Ok(entries.clone()))));
            let keyring = Keyring::parse(&entries, &|name| name.to_owned()).unwrap();
            Self {
                source,
                current: watch::Sender::new(Arc::new(Loaded { keyring, entries })),
            }
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new(b"hunter2\n".to_vec());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(secret.text(), Some("hunter2"));
        let loaded = Secrets::fixed(keyring_of(&[1]));
        let shown = format!("{loaded:?}");
        assert!(!shown.contains("2, 3"), "{shown}");
    }

    #[tokio::test(start_paused = true)]
    async fn changes_arrive_and_bad_ones_leave_the_last_good_secrets() {
        let source = Arc::new(Scripted(Mutex::new(Ok(keyring_of(&[1])))));
        let secrets = Arc::new(Secrets::load(Arc::clone(&source) as _).await.unwrap());
        let mut changes = secrets.subscribe();
        let stop = CancellationToken::new();
        let following = tokio::spawn({
            let (secrets, stop) = (Arc::clone(&secrets), stop.clone());
            async move { secrets.follow(stop).await }
        });

        *source.0.lock().unwrap() = Ok(keyring_of(&[1, 2]));
        changes.changed().await.unwrap();
        assert_eq!(secrets.current().keyring.current(), 2);

        let mut other_index = keyring_of(&[1, 2, 3]);
        other_index.insert("index.v1".to_owned(), bytes(9));
        let mut other_master = keyring_of(&[1, 2, 3]);
        other_master.insert("master.v2".to_owned(), bytes(9));
        let gone = Err(Error::Read {
            place: "script".to_owned(),
            problem: "gone".to_owned(),
        });
        for bad in [Ok(other_index), Ok(other_master), Ok(Entries::new()), gone] {
            *source.0.lock().unwrap() = bad;
            let waited = tokio::time::timeout(Duration::from_mins(1), changes.changed()).await;
            assert!(waited.is_err(), "nothing was put in place");
            assert_eq!(secrets.current().keyring.current(), 2);
        }

        let mut next = keyring_of(&[2, 3]);
        next.insert(
            "smtp.password".to_owned(),
            Secret::new(b" s3cret\n".to_vec()),
        );
        *source.0.lock().unwrap() = Ok(next);
        changes.changed().await.unwrap();
        assert_eq!(secrets.current().keyring.current(), 3);
        assert_eq!(secrets.current().text("smtp.password"), Some("s3cret"));
        assert_eq!(secrets.current().text("other"), None);
        stop.cancel();
        following.await.unwrap();
    }

    #[tokio::test]
    async fn a_first_load_must_be_good() {
        let source = Arc::new(Scripted(Mutex::new(Ok(Entries::new()))));
        let error = Secrets::load(source).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "use script/master.v1: is missing: write 32 random bytes there"
        );
    }
}
