//! ConfigMaps and Secrets as the API server has them, for environments and volumes.
//!
//! A pod that refers to something that does not exist yet goes on in the moment it does. The
//! watches cover all namespaces: this node is for one person's cluster.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

type Objects<K> = BTreeMap<(String, String), Arc<K>>;

/// All ConfigMaps and Secrets.
#[derive(Debug)]
pub(super) struct Cache {
    config_maps: Mutex<Objects<ConfigMap>>,
    secrets: Mutex<Objects<Secret>>,
    changes: watch::Sender<u64>,
}

impl Cache {
    /// An empty cache.
    pub(super) fn new() -> Self {
        Self {
            config_maps: Mutex::default(),
            secrets: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Changes whenever something in the cache does.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A ConfigMap.
    pub(super) fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>> {
        find(&self.config_maps, namespace, name)
    }

    /// A Secret.
    pub(super) fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>> {
        find(&self.secrets, namespace, name)
    }

    /// Keeps the cache up to date; never ends.
    pub(super) async fn run(&self, client: Client) {
        tokio::join!(
            self.follow(Api::all(client.clone()), &self.config_maps),
            self.follow(Api::all(client), &self.secrets),
        );
    }

    async fn follow<K>(&self, api: Api<K>, objects: &Mutex<Objects<K>>)
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let events = watch_objects(api, watcher::Config::default()).default_backoff();
        let mut events = std::pin::pin!(events.modify(|object| {
            object.managed_fields_mut().clear();
        }));
        let mut listed = BTreeMap::new();
        while let Some(event) = events.next().await {
            let key = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
            let lock = || objects.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    listed.insert(key(&object), Arc::new(object));
                    continue;
                }
                Ok(Event::InitDone) => *lock() = std::mem::take(&mut listed),
                Ok(Event::Apply(object)) => {
                    lock().insert(key(&object), Arc::new(object));
                }
                Ok(Event::Delete(object)) => {
                    lock().remove(&key(&object));
                }
                Err(error) => {
                    tracing::debug!(%error, "Watch of ConfigMaps or Secrets was interrupted");
                    continue;
                }
            }
            self.changes.send_modify(|version| *version += 1);
        }
    }
}

fn find<K>(objects: &Mutex<Objects<K>>, namespace: &str, name: &str) -> Option<Arc<K>> {
    let objects = objects.lock().unwrap_or_else(PoisonError::into_inner);
    objects
        .get(&(namespace.to_owned(), name.to_owned()))
        .cloned()
}
