//! The objects of one kind, kept up to date by a watch and by the answers to our own writes.
//!
//! A write that was answered is seen at once, so that the next plan does not repeat it. Newer
//! resource versions win (Kubernetes defines their order within one kind).
//!
//! The list with which a watch begins anew may be older than what was seen before. What it lacks is
//! kept until the watch has had time to tell of it again: a plan that missed objects would make
//! them a second time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, reflector::store::Writer};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::{Kind, Namespaced};
use crate::error::Error;

/// Objects per page of a list.
const PAGE: u32 = 500;

/// Time limit of one page.
const PAGE_LIMIT: Duration = Duration::from_secs(30);

/// An object that a list lacks is taken for gone when the watch that follows has not told of it
/// within this time. What has happened since the list, the API server sends at once.
const UNLISTED: Duration = Duration::from_secs(2);

/// Told of every change: the object before and after, none where it did not or does not exist.
pub(crate) type Listener<K> = Box<dyn Fn(Option<&Arc<K>>, Option<&Arc<K>>) + Send + Sync>;

/// All objects of one kind.
pub(crate) struct Cache<K: Kind> {
    store: Store<K>,
    inner: Mutex<Inner<K>>,
    /// Held over a change and its telling, so that listeners hear changes in their order.
    order: Mutex<()>,
    listener: OnceLock<Listener<K>>,
    scopes: Vec<Scope<K>>,
    selector: Option<String>,
    synced: watch::Sender<BTreeSet<usize>>,
    prune: fn(&mut K),
}

/// One watch: of a namespace, or of everything.
struct Scope<K: Kind> {
    namespace: Option<String>,
    api: Api<DeserializeGuard<K>>,
}

struct Inner<K: Kind> {
    writer: Writer<K>,
    by_owner: BTreeMap<String, BTreeSet<(String, String)>>,
    /// Written by ourselves since a list began that may have been read before the write.
    written: BTreeSet<(String, String)>,
    /// Objects that are gone: a late answer about one must not bring it back.
    gone: VecDeque<Grave>,
}

/// An object that is gone.
struct Grave {
    uid: String,
    loss: Loss,
}

/// How it is known that an object is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// The API server said so.
    Told,
    /// A list lacked it, and the watch did not tell of it.
    Unlisted,
}

/// Where an object comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A watch or a list.
    Read,
    /// The answer to a write of ours, which may come late.
    Written,
}

/// What the last list of a scope said.
#[derive(Default)]
struct Listing {
    listed: BTreeSet<(String, String)>,
    /// Objects that it lacked and that the watch has not told of since, with their uids.
    lacked: BTreeMap<(String, String), Option<String>>,
    /// When these are gone.
    due: Option<Instant>,
}

impl<K: Kind> std::fmt::Debug for Cache<K> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Cache")
            .field("kind", &K::kind(&()))
            .finish_non_exhaustive()
    }
}

impl<K: Kind> Cache<K> {
    /// A cache of every object of the kind that has the given labels.
    ///
    /// `prune` drops parts of an object that nobody reads, before it is stored.
    pub(crate) fn everywhere(client: &Client, selector: Option<&str>, prune: fn(&mut K)) -> Self {
        let scope = Scope {
            namespace: None,
            api: Api::all(client.clone()),
        };
        Self::new(vec![scope], selector, prune)
    }

    /// A cache of the given namespaces; none: all.
    pub(crate) fn within(
        client: &Client,
        namespaces: &[String],
        selector: Option<&str>,
        prune: fn(&mut K),
    ) -> Self
    where
        K: Namespaced,
    {
        if namespaces.is_empty() {
            return Self::everywhere(client, selector, prune);
        }
        let scopes = namespaces
            .iter()
            .map(|namespace| Scope {
                namespace: Some(namespace.clone()),
                api: Api::namespaced(client.clone(), namespace),
            })
            .collect();
        Self::new(scopes, selector, prune)
    }

    fn new(scopes: Vec<Scope<K>>, selector: Option<&str>, prune: fn(&mut K)) -> Self {
        let (store, mut writer) = store();
        // `applier` waits for this mark. Callers wait for `wait_until_synced` instead, because
        // several watches may fill one store.
        writer.apply_watcher_event(&Event::InitDone);
        Self {
            store,
            inner: Mutex::new(Inner {
                writer,
                by_owner: BTreeMap::new(),
                written: BTreeSet::new(),
                gone: VecDeque::new(),
            }),
            order: Mutex::new(()),
            listener: OnceLock::new(),
            scopes,
            selector: selector.map(ToOwned::to_owned),
            synced: watch::Sender::new(BTreeSet::new()),
            prune,
        }
    }

    /// Sets who is told of changes; called once, before the watch starts.
    pub(crate) fn listen(&self, listener: Listener<K>) {
        // A second listener would be a bug of the wiring; the first one stays.
        drop(self.listener.set(listener));
    }

    /// The store, for `applier`.
    pub(crate) fn store(&self) -> Store<K> {
        self.store.clone()
    }

    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new(name).within(namespace))
    }

    /// Every object, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.store.state()
    }

    /// The objects whose controller has this uid, ordered by name.
    pub(crate) fn owned_by(&self, uid: &str) -> Vec<Arc<K>> {
        let names = {
            let inner = self.lock();
            inner.by_owner.get(uid).cloned().unwrap_or_default()
        };
        names
            .iter()
            .filter_map(|(namespace, name)| self.get(namespace, name))
            .collect()
    }

    /// Takes note of an object that a write of ours returned.
    pub(crate) fn wrote(&self, object: &K) {
        let mut object = object.clone();
        (self.prune)(&mut object);
        self.lock().written.insert(key(&object));
        self.apply(object, Origin::Written);
    }

    /// Takes note that an object is gone, as a write of ours was told before the watch said so.
    pub(crate) fn lost(&self, object: &K) {
        let (namespace, name) = key(object);
        self.remove(&namespace, &name, object.uid().as_deref(), Loss::Told);
    }

    /// Waits until every scope was listed once.
    pub(crate) async fn wait_until_synced(&self) {
        let scopes = self.scopes.len();
        let mut synced = self.synced.subscribe();
        // The sender lives as long as the cache.
        drop(synced.wait_for(|done| done.len() == scopes).await);
    }

    /// Keeps the cache up to date until the token is cancelled.
    pub(crate) async fn run(
        self: Arc<Self>,
        metrics: crate::metrics::Metrics,
        stop: CancellationToken,
    ) {
        let streams = self.scopes.iter().enumerate().map(|(index, scope)| {
            let mut config = watcher::Config::default().page_size(PAGE);
            if let Some(selector) = &self.selector {
                config = config.labels(selector);
            }
            backed_off(scope.api.clone(), config)
                .map(move |event| (index, event))
                .boxed()
        });
        let mut events = futures::stream::select_all(streams);
        let mut listings: Vec<Listing> = Vec::new();
        listings.resize_with(self.scopes.len(), Listing::default);
        let kind = K::kind(&());
        loop {
            let due = listings.iter().filter_map(|listing| listing.due).min();
            let next = async {
                tokio::select! {
                    biased;
                    event = events.next() => event.map(Some),
                    () = sleep_until(due) => Some(None),
                }
            };
            let (scope, event) = match stop.run_until_cancelled(next).await {
                Some(Some(Some(next))) => next,
                Some(Some(None)) => {
                    self.bury_unlisted(&mut listings);
                    continue;
                }
                // Told to stop, or without a scope to watch.
                Some(None) | None => return,
            };
            let Some(listing) = listings.get_mut(scope) else {
                continue;
            };
            match event {
                Ok(Event::Init) => {
                    metrics.watch_restarts.with_label_values(&[&kind]).inc();
                    *listing = Listing::default();
                    self.lock().written.clear();
                }
                Ok(Event::InitApply(guard)) => {
                    if let Some(object) = self.decode(guard, &metrics) {
                        listing.listed.insert(key(&object));
                        self.apply(object, Origin::Read);
                    }
                }
                Ok(Event::InitDone) => {
                    listing.lacked = self.lacked(scope, &listing.listed);
                    listing.due = (!listing.lacked.is_empty()).then(|| Instant::now() + UNLISTED);
                    self.synced.send_modify(|done| {
                        done.insert(scope);
                    });
                }
                Ok(Event::Apply(guard)) => {
                    if let Some(object) = self.decode(guard, &metrics) {
                        listing.lacked.remove(&key(&object));
                        self.apply(object, Origin::Read);
                    }
                }
                Ok(Event::Delete(guard)) => {
                    let namespace = guard.namespace().unwrap_or_default();
                    let uid = guard.uid();
                    self.remove(&namespace, &guard.name_any(), uid.as_deref(), Loss::Told);
                }
                Err(error) => {
                    tracing::warn!(%kind, error = runtime::service::chain(&error), "Watch failed");
                }
            }
        }
    }

    /// Reads every object from the API server as it is now: what a new leader needs, because its
    /// watch may be behind the last writes of the former one.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        for scope in &self.scopes {
            let mut params = ListParams::default().limit(PAGE);
            params.label_selector.clone_from(&self.selector);
            loop {
                let action = format!("list {}", K::kind(&()));
                let page = match tokio::time::timeout(PAGE_LIMIT, scope.api.list(&params)).await {
                    Ok(page) => page.map_err(|error| Error::new(action, error))?,
                    Err(_) => {
                        return Err(Error::TimedOut {
                            action,
                            limit: PAGE_LIMIT,
                        });
                    }
                };
                for DeserializeGuard(object) in page.items {
                    if let Ok(mut object) = object {
                        (self.prune)(&mut object);
                        self.apply(object, Origin::Read);
                    }
                }
                match page.metadata.continue_.filter(|token| !token.is_empty()) {
                    Some(token) => params.continue_token = Some(token),
                    None => break,
                }
            }
        }
        Ok(())
    }

    fn decode(
        &self,
        DeserializeGuard(object): DeserializeGuard<K>,
        metrics: &crate::metrics::Metrics,
    ) -> Option<K> {
        match object {
            Ok(mut object) => {
                (self.prune)(&mut object);
                Some(object)
            }
            Err(error) => {
                let kind = K::kind(&());
                metrics.undecodable.with_label_values(&[&kind]).inc();
                tracing::warn!(
                    %kind,
                    namespace = error.metadata.namespace,
                    name = error.metadata.name,
                    error = error.error,
                    "Left out an object that does not fit its kind"
                );
                None
            }
        }
    }

    fn apply(&self, object: K, origin: Origin) {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let (namespace, name) = key(&object);
        let before;
        let after = Arc::new(object);
        {
            let mut inner = self.lock();
            if !inner.admits(after.as_ref(), origin) {
                return;
            }
            before = self.get(&namespace, &name);
            if let Some(before) = &before {
                if version(before.as_ref()) >= version(after.as_ref()) {
                    return;
                }
                inner.forget_owner(before.as_ref());
            }
            if let Some(owner) = controller_uid(after.as_ref()) {
                inner
                    .by_owner
                    .entry(owner)
                    .or_default()
                    .insert((namespace, name));
            }
            inner
                .writer
                .apply_watcher_event(&Event::Apply(after.as_ref().clone()));
        }
        self.tell(before.as_ref(), Some(&after));
    }

    /// Removes an object; with a uid, only if it is still that one.
    fn remove(&self, namespace: &str, name: &str, uid: Option<&str>, loss: Loss) {
        let _order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let before;
        {
            let mut inner = self.lock();
            if let Some(uid) = uid {
                inner.bury(uid, loss);
            }
            before = self.get(namespace, name);
            let Some(before) = &before else { return };
            if uid.is_some() && before.uid().as_deref() != uid {
                return;
            }
            inner.forget_owner(before.as_ref());
            inner
                .writer
                .apply_watcher_event(&Event::Delete(before.as_ref().clone()));
        }
        self.tell(before.as_ref(), None);
    }

    /// The objects of a scope that a list does not contain.
    fn lacked(
        &self,
        scope: usize,
        listed: &BTreeSet<(String, String)>,
    ) -> BTreeMap<(String, String), Option<String>> {
        let Some(scope) = self.scopes.get(scope) else {
            return BTreeMap::new();
        };
        let written = std::mem::take(&mut self.lock().written);
        let is_inside = |key: &(String, String)| match &scope.namespace {
            Some(namespace) => *namespace == key.0,
            None => true,
        };
        self.all()
            .iter()
            .map(|object| (key(object.as_ref()), object.uid()))
            .filter(|(key, _)| is_inside(key) && !listed.contains(key) && !written.contains(key))
            .collect()
    }

    /// Removes what lists lacked and watches have not told of in time.
    fn bury_unlisted(&self, listings: &mut [Listing]) {
        let now = Instant::now();
        let due = |listing: &&mut Listing| listing.due.is_some_and(|due| due <= now);
        for listing in listings.iter_mut().filter(due) {
            listing.due = None;
            for (key, uid) in std::mem::take(&mut listing.lacked) {
                self.remove(&key.0, &key.1, uid.as_deref(), Loss::Unlisted);
            }
        }
    }

    fn tell(&self, before: Option<&Arc<K>>, after: Option<&Arc<K>>) {
        if let Some(listener) = self.listener.get() {
            listener(before, after);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Most uids of objects that are gone. An answer is late by seconds, not by this many deletions.
const GRAVES: usize = 1024;

impl<K: Kind> Inner<K> {
    fn bury(&mut self, uid: &str, loss: Loss) {
        if self.gone.len() >= GRAVES {
            self.gone.pop_front();
        }
        self.gone.push_back(Grave {
            uid: uid.to_owned(),
            loss,
        });
    }

    /// Whether an object is not known to be gone. One that was only not listed is there after all
    /// when it is read again.
    fn admits(&mut self, object: &K, origin: Origin) -> bool {
        let uid = object.uid().unwrap_or_default();
        let Some(index) = self.gone.iter().rposition(|grave| grave.uid == uid) else {
            return true;
        };
        let was_told = self
            .gone
            .get(index)
            .is_some_and(|grave| grave.loss == Loss::Told);
        let is_there = origin == Origin::Read && !was_told;
        if is_there {
            self.gone.remove(index);
        }
        is_there
    }

    fn forget_owner(&mut self, object: &K) {
        let Some(owner) = controller_uid(object) else {
            return;
        };
        if let Some(names) = self.by_owner.get_mut(&owner) {
            names.remove(&key(object));
            if names.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
    }
}

/// The one way in which a watch is started: with backoff, so that a failing API server is not
/// flooded.
pub(crate) fn backed_off<K>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    watcher::watcher(api, config).default_backoff()
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn key<K: Kind>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn version<K: Kind>(object: &K) -> u64 {
    object
        .resource_version()
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

fn controller_uid<K: Kind>(object: &K) -> Option<String> {
    let owners = object.owner_references();
    owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.clone())
}
