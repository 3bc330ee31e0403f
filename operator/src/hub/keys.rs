//! Keeps the master keys of connect tokens: the leader makes and rotates them, every replica
//! watches them and derives the keys of game servers.
//!
//! If the Secret is deleted, its keys are lost: the leader makes new ones at once, under versions
//! that none of the lost ones bore. Game servers that run keep the keys that they have, and whoever
//! plays there plays on. But no token can be made for them any more: the allocator does not know
//! the version that they name, and passes them over for matches with players. A game that asks
//! for its keys again begins a life with a new one; the others are of use again only when their
//! fleet replaces them.
//!
//! Nothing here is ever logged but versions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crds::meta::CONNECT_KEYS_SECRET;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::runtime::watcher::{self, Event};
use netcode::Key;
use proto::muster::hub::v1::{ConnectKey, ConnectKeys};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use zeroize::Zeroizing;

use super::boot_id::BootId;
use super::master_keys::{self, Stored};
use crate::error::Error as ApiError;
use crate::world::World;

/// How often the leader looks whether a rotation is due.
const INTERVAL: Duration = Duration::from_hours(1);
/// The same after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// Why the keys are not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The Secret could not be read or written.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The Secret cannot be used.
    #[error("use Secret {CONNECT_KEYS_SECRET}")]
    Stored(#[from] master_keys::Error),
    /// Without randomness there is no key.
    #[error("the random source failed")]
    Random,
}

/// The master keys as the watch has them.
#[derive(Debug)]
pub(crate) struct Keys {
    stored: watch::Sender<Option<Arc<Stored>>>,
    /// The highest version that was ever seen: that of a lost key must not be given again.
    highest: AtomicU32,
    /// The Secret is gone: the leader makes it anew.
    gone: Notify,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            stored: watch::Sender::new(None),
            highest: AtomicU32::new(0),
            gone: Notify::new(),
        }
    }
}

impl Keys {
    /// Learns of every change.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Arc<Stored>>> {
        self.stored.subscribe()
    }

    pub(super) fn take(&self, secret: Secret) {
        match Stored::from_data(secret.data.unwrap_or_default()) {
            Ok(stored) => {
                self.highest.fetch_max(stored.highest(), Ordering::Relaxed);
                self.stored.send_replace(Some(Arc::new(stored)));
            }
            Err(error) => {
                tracing::error!(%error, "Secret {CONNECT_KEYS_SECRET} cannot be used");
            }
        }
    }

    /// Forgets the keys: they are deleted, and lives that begin wait for new ones.
    pub(super) fn lose(&self) {
        self.stored.send_replace(None);
        self.gone.notify_one();
    }
}

/// Derives the keys for a life of a game server's process.
pub(super) fn derive(stored: &Stored, uid: &str, boot_id: &BootId) -> Result<ConnectKeys, Status> {
    let text = boot_id.to_string();
    let keys = stored.given().into_iter().map(|master| {
        let key = master.server_key(uid, &text).map_err(|error| {
            tracing::error!(%error, "Key of a game server could not be derived");
            Status::internal("the key could not be derived")
        })?;
        Ok(ConnectKey {
            version: master.version,
            key: key.expose().to_vec(),
        })
    });
    Ok(ConnectKeys {
        boot_id: boot_id.as_bytes().to_vec(),
        keys: keys.collect::<Result<_, Status>>()?,
    })
}

/// Watches the Secret until the token is cancelled; run by every replica.
pub(crate) async fn follow(world: Arc<World>, stop: CancellationToken) {
    let api: Api<Secret> = Api::namespaced(world.api.client.clone(), &world.config.namespace);
    let name = format!("metadata.name={CONNECT_KEYS_SECRET}");
    let config = watcher::Config::default().fields(&name);
    let mut events = crate::cache::backed_off(api, config).boxed();
    let mut is_listed = false;
    while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
        match event {
            Ok(Event::Init) => is_listed = false,
            Ok(Event::InitApply(secret)) => {
                is_listed = true;
                world.keys.take(secret);
            }
            Ok(Event::InitDone) if is_listed => {}
            Ok(Event::InitDone | Event::Delete(_)) => world.keys.lose(),
            Ok(Event::Apply(secret)) => world.keys.take(secret),
            Err(error) => {
                let error = runtime::service::chain(&error);
                tracing::warn!(error, "Watch of the master keys failed");
            }
        }
    }
}

/// Makes the keys and rotates them; run by the leader alone.
pub(crate) async fn manage(world: Arc<World>, stop: CancellationToken) {
    loop {
        let delay = match rotate(&world).await {
            Ok(()) => INTERVAL,
            Err(error) => {
                let error = runtime::service::chain(&error);
                tracing::warn!(error, "Master keys could not be looked after");
                RETRY
            }
        };
        let pause = async {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = world.keys.gone.notified() => {}
            }
        };
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}

/// Makes the keys if there are none, and rotates them if it is time.
pub(super) async fn rotate(world: &World) -> Result<(), Error> {
    let namespace = &world.config.namespace;
    let mut secret = match world
        .api
        .get::<Secret>(namespace, CONNECT_KEYS_SECRET)
        .await
    {
        Err(error) if error.is_not_found() => return make(world).await,
        other => other?,
    };
    let stored = Stored::from_data(secret.data.take().unwrap_or_default())?;
    let in_use = versions_in_use(world);
    let Some(rotated) = stored.rotate(runtime::clock::now(), &in_use, &random_key()?) else {
        return Ok(());
    };
    secret.data = Some(rotated.to_data());
    // Guarded by the resource version that was read.
    let api: Api<Secret> = Api::namespaced(world.api.client.clone(), namespace);
    let params = PostParams::default();
    let replace = api.replace(CONNECT_KEYS_SECRET, &params, &secret);
    world
        .api
        .call("replace", format!("Secret {CONNECT_KEYS_SECRET}"), replace)
        .await?;
    tracing::info!("Rotated the master keys of connect tokens");
    Ok(())
}

/// The versions that game servers name.
fn versions_in_use(world: &World) -> BTreeSet<u32> {
    let servers = world.servers.all();
    let named = servers
        .iter()
        .filter_map(|server| server.status.as_ref()?.connect.as_ref());
    named
        .filter_map(|connect| u32::try_from(connect.key_version).ok())
        .collect()
}

async fn make(world: &World) -> Result<(), Error> {
    let mut used = versions_in_use(world);
    used.insert(world.keys.highest.load(Ordering::Relaxed));
    let first = Stored::first(runtime::clock::now(), random_key()?, &used);
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(CONNECT_KEYS_SECRET.to_owned()),
            namespace: Some(world.config.namespace.clone()),
            ..ObjectMeta::default()
        },
        data: Some(first.to_data()),
        ..Secret::default()
    };
    // A former leader may have been faster; its keys are as good as ours.
    world.api.create(&secret, |_| true).await?;
    tracing::info!("Made the master keys of connect tokens");
    Ok(())
}

fn random_key() -> Result<Key, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(bytes.as_mut_slice())
        .map_err(|_| Error::Random)?;
    Key::new(*bytes).map_err(|_| Error::Random)
}
