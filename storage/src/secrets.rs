//! Where key material and credentials come from, and how they change without a restart.
//!
//! A [`Source`] is a directory of files ([`files::Files`]) or Vault ([`vault::Vault`]); never the
//! environment, which is shown by `kubectl describe`, inherited by children and logged by crash
//! reporters. Each secret has a name, so that one Secret of Kubernetes, or one path of Vault, is all
//! that an operator handles.
//!
//! Most are credentials: texts that are replaced, and whoever uses one asks for it each time or
//! hears of its change ([`Secrets::on_change`]). What a service derives from the others, and what
//! may not change, it says itself by its [`Keys`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::Confidential;

pub mod files;
pub mod vault;

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

/// What a service makes of its secrets whenever they change, and may refuse.
pub trait Keys: fmt::Debug + Send + Sync + Sized {
    /// Reads the keys among the secrets; `place` says where a secret is kept.
    fn parse(entries: &Entries, place: &dyn Fn(&str) -> String) -> Result<Self, Error>;

    /// Whether these keys may take the place of `former` ones in a process that runs.
    fn may_follow(&self, former: &Self, place: &dyn Fn(&str) -> String) -> Result<(), Error>;
}

/// A service that has credentials alone.
impl Keys for () {
    fn parse(_: &Entries, _: &dyn Fn(&str) -> String) -> Result<Self, Error> {
        Ok(())
    }

    fn may_follow(&self, (): &Self, _: &dyn Fn(&str) -> String) -> Result<(), Error> {
        Ok(())
    }
}

/// Secrets as they were at one moment.
#[derive(Debug)]
pub struct Loaded<Own = ()> {
    /// The keys.
    pub keys: Own,
    entries: Entries,
}

impl<Own> Loaded<Own> {
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
pub struct Secrets<Own = ()> {
    source: Arc<dyn Source>,
    current: watch::Sender<Arc<Loaded<Own>>>,
}

impl<Own: Keys> Secrets<Own> {
    /// Reads the source once; what it holds must be usable.
    pub async fn load(source: Arc<dyn Source>) -> Result<Self, Error> {
        let entries = source.read().await?;
        let keys = Own::parse(&entries, &|name| source.place(name))?;
        Ok(Self {
            source,
            current: watch::Sender::new(Arc::new(Loaded { keys, entries })),
        })
    }

    /// The secrets as they are now. Ask again for each use instead of keeping them.
    pub fn current(&self) -> Arc<Loaded<Own>> {
        Arc::clone(&self.current.borrow())
    }

    /// Tells of changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Loaded<Own>>> {
        self.current.subscribe()
    }

    /// Follows the source until the token is cancelled. What cannot be read or used leaves the last
    /// good secrets in place.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut complained = None;
        let mut interval = tokio::time::interval(self.source.interval());
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            let Some(looked) = stop.run_until_cancelled(self.look()).await else {
                return;
            };
            match looked {
                Ok(true) => {
                    tracing::info!(keys = ?self.current().keys, "Reloaded secrets");
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

    /// Reads the source, and puts what it holds in place unless it is the same (false) or must not
    /// follow what there is.
    pub async fn look(&self) -> Result<bool, Error> {
        let entries = self.source.read().await?;
        let former = self.current();
        if entries == former.entries {
            return Ok(false);
        }
        let place = |name: &str| self.source.place(name);
        let keys = Own::parse(&entries, &place)?;
        keys.may_follow(&former.keys, &place)?;
        self.current
            .send_replace(Arc::new(Loaded { keys, entries }));
        Ok(true)
    }

    /// Renews `what` whenever one of these secrets has changed, until `stop`; what cannot be used
    /// changes nothing.
    pub async fn on_change<Problem: fmt::Display>(
        &self,
        names: &[&str],
        what: &'static str,
        renew: impl Fn() -> Result<(), Problem>,
        stop: &CancellationToken,
    ) {
        let mut changes = self.subscribe();
        let texts = || -> Vec<Option<Confidential>> {
            let current = self.current();
            let text = |name: &&str| current.text(name).map(Confidential::new);
            names.iter().map(text).collect()
        };
        let mut known = texts();
        while let Some(Ok(())) = stop.run_until_cancelled(changes.changed()).await {
            let now = texts();
            if now == known {
                continue;
            }
            known = now;
            match renew() {
                Ok(()) => tracing::info!("From now on {what} is used by its new secrets"),
                Err(error) => tracing::warn!(%error, "Kept the last secrets of {what}"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
