//! Bounded waits. Nothing else in this crate waits for the cluster.
//!
//! A wait follows a watch where there is one, so that it ends as soon as its condition holds, and
//! says at its deadline what it waited for and what it saw last.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use futures::{Stream, StreamExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, MissedTickBehavior};

/// Enough for anything that a small cluster does: pods that start, end and are replaced.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// An object that can be watched and shown.
pub trait Watched:
    Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static
{
}

impl<K> Watched for K where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static
{
}

/// Waits until the object `name` exists and fulfills `condition`, and returns it.
pub async fn until<K: Watched>(
    api: &Api<K>,
    name: &str,
    what: &str,
    mut condition: impl FnMut(&K) -> bool,
) -> Result<K> {
    let met = |object: Option<&K>| object.is_some_and(&mut condition);
    let found = until_object(api, name, what, PATIENCE, met).await?;
    found.with_context(|| format!("{name} is gone"))
}

/// Waits until the object `name` does not exist.
pub async fn until_gone<K: Watched>(api: &Api<K>, name: &str, within: Duration) -> Result<()> {
    until_object(api, name, "to be gone", within, |object| object.is_none())
        .await
        .map(drop)
}

/// Waits until `condition` holds for the object `name`, or for its absence.
pub async fn until_object<K: Watched>(
    api: &Api<K>,
    name: &str,
    what: &str,
    within: Duration,
    mut condition: impl FnMut(Option<&K>) -> bool,
) -> Result<Option<K>> {
    let mut changes = pin!(watcher::watch_object(api.clone(), name).default_backoff());
    let mut last = None;
    let mut failure = None;
    let waited = tokio::time::timeout(within, async {
        loop {
            match changes.next().await {
                Some(Ok(object)) => {
                    last = object;
                    if condition(last.as_ref()) {
                        return;
                    }
                }
                Some(Err(error)) => failure = Some(error),
                None => std::future::pending().await,
            }
        }
    });
    if waited.await.is_ok() {
        return Ok(last);
    }
    Err(anyhow!(
        "waited {within:?} for {} {name} {what}; it is {}{}",
        short_type_name::<K>(),
        last.as_ref().map_or_else(|| "absent".to_owned(), summary),
        failure
            .map(|error| format!("; the watch failed: {error}"))
            .unwrap_or_default(),
    ))
}

/// Waits until `condition` holds for all objects with these labels, by name, and returns them.
pub async fn until_all<K: Watched>(
    api: &Api<K>,
    labels: &str,
    what: &str,
    condition: impl FnMut(&BTreeMap<String, K>) -> bool,
) -> Result<BTreeMap<String, K>> {
    until_all_within(api, labels, what, PATIENCE, condition).await
}

/// [`until_all`] with a deadline of its own.
pub async fn until_all_within<K: Watched>(
    api: &Api<K>,
    labels: &str,
    what: &str,
    within: Duration,
    mut condition: impl FnMut(&BTreeMap<String, K>) -> bool,
) -> Result<BTreeMap<String, K>> {
    let mut states = pin!(states(api, labels));
    let mut last = BTreeMap::new();
    let waited = tokio::time::timeout(within, async {
        while let Some(state) = states.next().await {
            last = state;
            if condition(&last) {
                return true;
            }
        }
        false
    });
    if waited.await.unwrap_or(false) {
        return Ok(last);
    }
    let objects: Vec<_> = last
        .iter()
        .map(|(name, it)| format!("{name}: {}", summary(it)))
        .collect();
    Err(anyhow!(
        "waited {within:?} for {} objects {what}; there are {}:\n  {}",
        short_type_name::<K>(),
        objects.len(),
        objects.join("\n  "),
    ))
}

/// Every state that the objects with these labels go through, starting with the current one.
pub fn states<K: Watched>(
    api: &Api<K>,
    labels: &str,
) -> impl Stream<Item = BTreeMap<String, K>> + Send + use<K> {
    let config = watcher::Config::default().labels(labels);
    let events = watcher::watcher(api.clone(), config).default_backoff();
    let mut current = BTreeMap::new();
    let mut next = BTreeMap::new();
    events.filter_map(move |event| {
        let complete = match event {
            Ok(Event::Init) => {
                next = BTreeMap::new();
                false
            }
            Ok(Event::InitApply(object)) => {
                next.insert(object.name_any(), object);
                false
            }
            Ok(Event::InitDone) => {
                current = std::mem::take(&mut next);
                true
            }
            Ok(Event::Apply(object)) => {
                current.insert(object.name_any(), object);
                true
            }
            Ok(Event::Delete(object)) => {
                current.remove(&object.name_any());
                true
            }
            // The watch starts again by itself.
            Err(_) => false,
        };
        let state = complete.then(|| current.clone());
        async move { state }
    })
}

/// Waits for something that nothing announces: asks at once and then every `period`.
///
/// `attempt` returns None while it does not hold, and an error when it never will.
pub async fn poll<T>(
    what: &str,
    within: Duration,
    period: Duration,
    mut attempt: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let deadline = Instant::now() + within;
    let polled = tokio::time::timeout_at(deadline, async {
        loop {
            ticks.tick().await;
            if let Some(value) = attempt().await? {
                return Ok(value);
            }
        }
    });
    polled
        .await
        .map_err(|_| anyhow!("waited {within:?} for {what}"))?
}

/// What matters about an object, in one line.
fn summary<K: Watched>(object: &K) -> String {
    let mut text = serde_json::to_value(object)
        .ok()
        .and_then(|value| value.get("status").map(ToString::to_string))
        .unwrap_or_else(|| "without status".to_owned());
    if object.meta().deletion_timestamp.is_some() {
        text.push_str(" (being deleted)");
    }
    text
}

fn short_type_name<K>() -> &'static str {
    let name = std::any::type_name::<K>();
    name.rsplit("::").next().unwrap_or(name)
}
