//! The keys that sign access tokens, and signing with them.
//!
//! What is to be done is decided in [`plan`]; this is the shell that reads the keys from the store,
//! makes what is missing, and holds the open private halves ([`signer`]). Replicas that race make
//! one key: the store adds it only to the keys that the plan was made from.

pub mod plan;
pub mod signer;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use access::jwk::PublicKey;
use access::{Claims, KeySet};
use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{broadcast, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use self::plan::{Policy, Times};
use self::signer::Signer;
use crate::error::Failure;
use crate::live::{Live, News, NewsReceiver};
use crate::store::{self, SigningKey, Store};

/// How often the keys are read, whether there is news of them or not: a stolen key must be refused
/// within a second, and the news of its revocation may be lost. They are a handful of rows.
const REFRESH: Duration = Duration::from_millis(500);

/// How long one reading may take.
const LIMIT: Duration = Duration::from_secs(10);

/// How many races against other replicas may be lost in a row.
const RACES: usize = 4;

/// Why there is no signature, or no key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error("the signing keys cannot be read or written")]
    Store(#[from] store::Error),
    /// A private half cannot be sealed or opened.
    #[error("the signing key cannot be sealed or opened")]
    Seal(#[from] SealError),
    /// A private half is of no use.
    #[error("the signing key cannot be used")]
    Signer(#[from] signer::Error),
    /// A row does not fit its own name.
    #[error("the signing key {0} is not what its name says")]
    Corrupt(String),
    /// Other replicas were quicker, again and again.
    #[error("the signing keys change too often")]
    Races,
    /// The keys were read too long ago to sign with: they may be revoked.
    #[error("the signing keys are not current")]
    Stale,
    /// No key signs now.
    #[error("there is no signing key")]
    NoKey,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error.into(),
            Error::Races | Error::Stale | Error::NoKey => {
                tracing::warn!(%error, "Cannot sign for now");
                Self::unavailable(crate::error::AGAIN)
            }
            Error::Seal(_) | Error::Signer(_) | Error::Corrupt(_) => {
                let error = runtime::service::chain(&error);
                tracing::error!(error, "Cannot sign");
                Self::internal()
            }
        }
    }
}

/// What is sealed cannot be opened: another key, another context, or other bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SealError(pub String);

/// Encrypts what is stored.
pub trait Seal: fmt::Debug + Send + Sync {
    /// Seals; opens only in the same context.
    fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError>;

    /// Opens what was sealed in this context.
    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError>;
}

/// Where the keys are, for every replica.
#[async_trait]
pub trait Backing: fmt::Debug + Send + Sync {
    /// Every key.
    async fn keys(&self) -> Result<Vec<SigningKey>, store::Error>;

    /// Adds a key, unless the keys are no longer `expected` (sorted ids); false then.
    async fn add(&self, key: &SigningKey, expected: &[String]) -> Result<bool, store::Error>;

    /// Revokes a key; false when there is none.
    async fn revoke(&self, id: &str, at: Timestamp) -> Result<bool, store::Error>;

    /// Tells the other replicas that keys changed. They find out by themselves in time.
    async fn announce(&self);
}

/// The keys in the store, with news through Valkey.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Has the keys.
    pub store: Arc<dyn Store>,
    /// Carries the news.
    pub live: Arc<dyn Live>,
}

#[async_trait]
impl Backing for Shared {
    async fn keys(&self) -> Result<Vec<SigningKey>, store::Error> {
        self.store.signing_keys().await
    }

    async fn add(&self, key: &SigningKey, expected: &[String]) -> Result<bool, store::Error> {
        self.store.add_signing_key(key, expected).await
    }

    async fn revoke(&self, id: &str, at: Timestamp) -> Result<bool, store::Error> {
        self.store.revoke_signing_key(id, at).await
    }

    async fn announce(&self) {
        if let Err(error) = self.live.publish(&News::KeysChanged).await {
            tracing::warn!(%error, "Replicas learn late that signing keys changed");
        }
    }
}

/// Signs, and keeps the keys as they must be.
#[derive(Debug)]
pub struct Signing {
    backing: Box<dyn Backing>,
    seal: Box<dyn Seal>,
    policy: Policy,
    view: RwLock<Arc<View>>,
    published: watch::Sender<KeySet>,
    /// One reading at a time: an older one must not replace a newer.
    reading: tokio::sync::Mutex<()>,
}

/// The keys as they were read.
#[derive(Debug, Default)]
struct View {
    /// When; none before the first time.
    at: Option<Timestamp>,
    /// Without private halves.
    keys: Vec<SigningKey>,
    /// Those that sign now or later, by name.
    signers: BTreeMap<String, Arc<Signer>>,
}

impl Signing {
    /// Reads the keys, and makes the first one.
    pub async fn load(
        now: Timestamp,
        backing: Box<dyn Backing>,
        seal: Box<dyn Seal>,
        policy: Policy,
    ) -> Result<Self, Error> {
        let signing = Self {
            backing,
            seal,
            policy,
            view: RwLock::default(),
            published: watch::Sender::default(),
            reading: tokio::sync::Mutex::default(),
        };
        signing.refresh(now).await?;
        Ok(signing)
    }

    /// Signs an access token with the key of now.
    pub fn sign(&self, now: Timestamp, claims: &Claims) -> Result<String, Error> {
        if !self.is_current(now) {
            return Err(Error::Stale);
        }
        let view = self.view();
        let current = plan::current(now, &view.keys).ok_or(Error::NoKey)?;
        let signer = view.signers.get(&current.id).ok_or(Error::NoKey)?;
        Ok(signer.sign(claims)?)
    }

    /// Whether the keys were read lately enough to sign with.
    pub fn is_current(&self, now: Timestamp) -> bool {
        let at = self.view().at;
        at.is_some_and(|at| now.duration_since(at) <= self.policy.lag)
    }

    /// The keys that verifiers must know, now and from now on.
    pub fn published(&self) -> watch::Receiver<KeySet> {
        self.published.subscribe()
    }

    /// How old the answer with the keys may become: `max-age`.
    pub fn cache_max_age(&self) -> jiff::SignedDuration {
        self.policy.cache_max_age
    }

    /// Reads the keys, and makes the one that is due.
    pub async fn refresh(&self, now: Timestamp) -> Result<(), Error> {
        let _reading = self.reading.lock().await;
        for _ in 0..RACES {
            let keys = self.backing.keys().await?;
            match plan::plan(now, &self.policy, &keys).add {
                None => return self.take(now, keys),
                Some(times) => self.add(times, &keys).await?,
            };
        }
        Err(Error::Races)
    }

    /// Makes a key that signs at once; those before it stay good for the tokens that they signed.
    pub async fn rotate(&self, now: Timestamp) -> Result<(), Error> {
        for _ in 0..RACES {
            let keys = self.backing.keys().await?;
            if self.add(plan::at_once(now, &keys), &keys).await? {
                return self.refresh(now).await;
            }
        }
        Err(Error::Races)
    }

    /// Voids a key and every token that it signed, and makes another one if it was the one that
    /// signs; false when there is no such key.
    pub async fn revoke(&self, now: Timestamp, id: &str) -> Result<bool, Error> {
        let is_known = self.backing.revoke(id, now).await?;
        if is_known {
            tracing::warn!(id, "Signing key revoked");
            self.refresh(now).await?;
            self.backing.announce().await;
        }
        Ok(is_known)
    }

    /// Refreshes on news and from time to time, until it is told to stop.
    pub async fn run(&self, mut news: NewsReceiver, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(REFRESH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
                () = keys_changed(&mut news) => {}
            }
            let refresh = self.refresh(runtime::clock::now());
            match tokio::time::timeout(LIMIT, refresh).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let error = runtime::service::chain(&error);
                    tracing::warn!(error, "Signing keys are not refreshed");
                }
                Err(_) => tracing::warn!("Signing keys are not refreshed in time"),
            }
        }
    }

    /// Makes a key, unless there are others by now; false then.
    async fn add(&self, times: Times, keys: &[SigningKey]) -> Result<bool, Error> {
        let private = Signer::generate()?;
        let signer = Signer::from_pkcs8(&private)?;
        let key = SigningKey {
            id: signer.id().to_owned(),
            public: signer.public().to_vec(),
            private: self.seal.seal(&context(signer.id()), &private)?,
            published: times.published,
            activates: times.activates,
            revoked: None,
        };
        let mut expected: Vec<String> = keys.iter().map(|key| key.id.clone()).collect();
        expected.sort();
        let is_added = self.backing.add(&key, &expected).await?;
        if is_added {
            tracing::info!(id = key.id, activates = %key.activates, "Signing key made");
            self.backing.announce().await;
        }
        Ok(is_added)
    }

    /// Takes in the keys as they were read.
    fn take(&self, now: Timestamp, keys: Vec<SigningKey>) -> Result<(), Error> {
        let plan = plan::plan(now, &self.policy, &keys);
        let before = self.view();
        let mut signers = BTreeMap::new();
        let mut public = BTreeMap::new();
        for key in &keys {
            let read = PublicKey::ed25519(&key.public).ok();
            let read = read.filter(|read| read.thumbprint() == key.id);
            let read = read.ok_or_else(|| Error::Corrupt(key.id.clone()))?;
            public.insert(key.id.as_str(), read);
            let may_sign = plan.current.as_ref() == Some(&key.id) || key.activates > now;
            if key.revoked.is_none() && may_sign {
                let signer = match before.signers.get(&key.id) {
                    Some(signer) => Arc::clone(signer),
                    None => Arc::new(self.open(key)?),
                };
                signers.insert(key.id.clone(), signer);
            }
        }
        let published: KeySet = plan
            .published
            .iter()
            .filter_map(|id| public.remove(id.as_str()))
            .collect();
        let keys = keys
            .into_iter()
            .map(|key| SigningKey {
                private: Vec::new(),
                ..key
            })
            .collect();
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(View {
            at: Some(now),
            keys,
            signers,
        });
        self.published.send_if_modified(|known| {
            let is_new = *known != published;
            *known = published;
            is_new
        });
        Ok(())
    }

    /// Opens a private half.
    fn open(&self, key: &SigningKey) -> Result<Signer, Error> {
        let private = self.seal.open(&context(&key.id), &key.private)?;
        let signer = Signer::from_pkcs8(&private)?;
        if signer.id() != key.id {
            return Err(Error::Corrupt(key.id.clone()));
        }
        Ok(signer)
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A sealed private half opens only as that of its own key.
fn context(id: &str) -> Vec<u8> {
    format!("signing_keys\0private\0{id}").into_bytes()
}

/// Waits for news of keys, or for a gap in the news.
async fn keys_changed(news: &mut NewsReceiver) {
    loop {
        match news.recv().await {
            Ok(News::KeysChanged | News::Missed) | Err(broadcast::error::RecvError::Lagged(_)) => {
                return;
            }
            Ok(News::Revoked(_) | News::PlayerChanged { .. }) => {}
            // No more news: the clock remains.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests;
