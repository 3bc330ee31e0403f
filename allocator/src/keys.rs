//! The master keys of connect tokens, as the Secret has them.
//!
//! The leading operator makes and rotates them; here they are watched, and nothing is written.
//! They are erased from our memory when they are replaced, and never printed. A replica without
//! them is ready all the same: only who needs a token waits for them.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use crds::gameserver::ConnectStatus;
use crds::meta::CONNECT_KEYS_SECRET;
use futures::TryStreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use netcode::{Key, MasterKey, MasterKeys};
use tokio::sync::watch;
use tokio::time::Instant;
use zeroize::Zeroize as _;

use crate::cache::Pause;
use crate::metrics::Metrics;
use crate::servers::Servers;

/// What the name of a key in the Secret begins with; its version follows.
const PREFIX: &str = "key-";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Secret is not there, not readable, or older than the server.
    #[error("the master key of version {0} for connect tokens is not known yet, retry")]
    Unknown(i64),
    /// The derivation failed.
    #[error("derive the key of a game server")]
    Derive(#[from] netcode::keys::Error),
}

/// The master keys that are known now.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    known: watch::Sender<Option<Arc<MasterKeys>>>,
    servers: Servers,
}

impl Keys {
    /// None yet. The index of `servers` learns which there are: a server whose key is not known is
    /// not given to players.
    pub fn new(servers: Servers) -> Self {
        let known = watch::Sender::default();
        Self { known, servers }
    }

    /// The key of a server process. Waits until `deadline` for the version that it names.
    pub async fn server_key(
        &self,
        uid: &str,
        connect: &ConnectStatus,
        deadline: Instant,
    ) -> Result<Key, Error> {
        let unknown = || Error::Unknown(connect.key_version);
        let version = u32::try_from(connect.key_version).map_err(|_| unknown())?;
        let find = |keys: &Option<Arc<MasterKeys>>| Some(keys.as_ref()?.version(version)?.clone());
        let mut keys = self.known.subscribe();
        let found = keys.wait_for(|keys| find(keys).is_some());
        let master: MasterKey = match tokio::time::timeout_at(deadline, found).await {
            Ok(Ok(keys)) => find(&keys).ok_or_else(unknown)?,
            Ok(Err(_)) | Err(_) => return Err(unknown()),
        };
        Ok(master.server_key(uid, &connect.boot_id)?)
    }

    /// Takes in the data of the Secret, and erases it there.
    pub(crate) fn replace(&self, data: BTreeMap<String, ByteString>) {
        let mut keys = Vec::new();
        for (name, mut bytes) in data {
            let version = name.strip_prefix(PREFIX).map(str::parse);
            let key = Key::from_slice(&bytes.0);
            bytes.0.zeroize();
            match (version, key) {
                (Some(Ok(version)), Ok(key)) => keys.push(MasterKey { version, key }),
                // `current` says which one mints, which the server's status says too.
                (None, _) => {}
                (Some(Ok(_)), Err(error)) => {
                    tracing::error!(name, %error, "Master key of connect tokens cannot be used");
                }
                (Some(Err(_)), _) => {
                    tracing::error!(name, "Master key of connect tokens has no version");
                }
            }
        }
        let versions = keys.iter().map(|key| key.version.into()).collect();
        match MasterKeys::new(keys) {
            Ok(keys) => {
                tracing::info!(newest = keys.newest().version, "Read the master keys");
                self.known.send_replace(Some(Arc::new(keys)));
                self.servers.change(|index| index.set_keys(versions));
            }
            Err(error) => {
                tracing::error!(%error, "Secret {CONNECT_KEYS_SECRET} cannot be used");
            }
        }
    }
}

/// Follows the Secret in `namespace` for as long as it is polled.
pub async fn follow(client: Client, namespace: String, keys: Keys, metrics: Metrics) {
    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    let name = format!("metadata.name={CONNECT_KEYS_SECRET}");
    let stream = watcher(secrets, watcher::Config::default().fields(&name));
    let mut stream = pin!(stream.backoff(Pause::default()));
    loop {
        match stream.try_next().await {
            Ok(Some(Event::InitApply(secret) | Event::Apply(secret))) => {
                keys.replace(secret.data.unwrap_or_default());
            }
            // Keys that were deleted by mistake may still be in use.
            Ok(Some(Event::Delete(_))) => {
                tracing::error!(
                    "Secret {CONNECT_KEYS_SECRET} was deleted; this process uses its keys until there is another one"
                );
            }
            Ok(Some(Event::Init | Event::InitDone)) => {}
            Ok(None) => return,
            Err(error) => {
                metrics.watch_failed("Secret");
                let error = runtime::service::chain(&error);
                tracing::warn!(
                    error,
                    "Watch of the master keys failed, and is started again"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn data(keys: &[(&str, u8, usize)]) -> BTreeMap<String, ByteString> {
        let entry = |(name, byte, length): &(&str, u8, usize)| {
            ((*name).to_owned(), ByteString(vec![*byte; *length]))
        };
        keys.iter().map(entry).collect()
    }

    fn connect(key_version: i64) -> ConnectStatus {
        ConnectStatus {
            boot_id: "00112233445566778899aabbccddeeff".to_owned(),
            key_version,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_versions_serve_and_a_missing_one_is_awaited() {
        let keys = Keys::default();
        let soon = || Instant::now() + Duration::from_secs(5);
        let first = async { keys.server_key("uid", &connect(1), soon()).await };
        let (first, ()) = tokio::join!(first, async {
            keys.replace(data(&[("key-1", 1, 32), ("current", b'1', 1)]));
        });
        keys.replace(data(&[
            ("key-1", 1, 32),
            ("key-2", 2, 32),
            ("key-3", 3, 31),
        ]));
        let second = keys.server_key("uid", &connect(2), soon()).await.unwrap();
        let again = keys.server_key("uid", &connect(1), soon()).await.unwrap();
        assert!(first.unwrap() == again && again != second);
        for missing in [3, 0, -1, i64::MAX] {
            let error = keys.server_key("uid", &connect(missing), soon()).await;
            assert!(matches!(error, Err(Error::Unknown(version)) if version == missing));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_kept_when_the_secret_is_spoiled_and_never_printed() {
        let keys = Keys::default();
        keys.replace(data(&[("key-1", 77, 32)]));
        keys.replace(data(&[("key-one", 7, 32), ("key-2", 0, 32)]));
        let soon = Instant::now() + Duration::from_secs(1);
        assert!(keys.server_key("uid", &connect(1), soon).await.is_ok());
        let text = format!("{keys:?}");
        assert!(text.contains("redacted") && !text.contains("77"), "{text}");
    }
}
