//! Watch streams become the index.
//!
//! First the CRD must exist; its absence closes a readiness gate, and is no reason to end. Then one
//! task follows the GameServers of each namespace (or of all at once), and one the Nodes. A stream
//! that fails starts again after a pause; meanwhile the index keeps what it has, because a guarded
//! write cannot harm what has changed unseen.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use crds::GameServer;
use futures::TryStreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, DefaultBackoff, Event, watcher};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use runtime::admin::Admin;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::matches::Matches;
use crate::metrics::Metrics;
use crate::object::{Sighting, Watched, WatchedNode};
use crate::servers::Servers;

/// Readiness gate: the CRD exists.
pub const CRDS: &str = "crds";

/// Readiness gate: every watch has delivered its first list.
pub const CACHES: &str = "caches";

/// Time for one look at the CRD, and between two.
const LOOK: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Objects per page of the first list: a page is in memory at once.
const PAGE: u32 = 250;

/// The longest pause after failures. Shorter than kube's 30 s: after an outage of the API server
/// the index should not lag behind for as long as the outage took.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is followed, and where it goes.
#[derive(Clone)]
pub struct Follow {
    /// The API server.
    pub client: Client,
    /// Namespaces of game servers; empty for all.
    pub namespaces: Vec<String>,
    /// The index.
    pub servers: Servers,
    /// Allocations by request id.
    pub matches: Matches,
    /// The gates.
    pub admin: Admin,
    /// Where failures are counted.
    pub metrics: Metrics,
}

impl std::fmt::Debug for Follow {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Follow")
            .field("namespaces", &self.namespaces)
            .finish_non_exhaustive()
    }
}

/// Follows for as long as it is polled.
pub async fn follow(follow: Follow) {
    follow.admin.close(CACHES, "waiting for the CRDs");
    wait_for_crd(&follow).await;
    let mut streams = JoinSet::new();
    let scopes = if follow.namespaces.is_empty() {
        vec![None]
    } else {
        follow.namespaces.iter().cloned().map(Some).collect()
    };
    follow.admin.close(CACHES, "listing GameServers and Nodes");
    let mut first_lists = Vec::new();
    for scope in scopes {
        let (synced, first_list) = oneshot::channel();
        streams.spawn(follow_servers(follow.clone(), scope, synced));
        first_lists.push(first_list);
    }
    let (synced, first_list) = oneshot::channel();
    streams.spawn(follow_nodes(follow.clone(), synced));
    first_lists.push(first_list);
    if futures::future::try_join_all(first_lists).await.is_err() {
        tracing::error!("Watch ended before its first list");
        return;
    }
    follow.servers.set_synced();
    follow.metrics.synced();
    follow.admin.open(CACHES);
    tracing::info!(namespaces = ?follow.namespaces, "Synced GameServers and Nodes");
    // The streams never end by themselves; a panic in one must not leave an index that stands still.
    while let Some(ended) = streams.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "Watch ended");
            return;
        }
    }
}

async fn wait_for_crd(follow: &Follow) {
    let group = GameServer::api_version(&());
    let name = format!("{}.{}", GameServer::plural(&()), GameServer::group(&()));
    loop {
        let look = tokio::time::timeout(LOOK, follow.client.list_api_group_resources(&group));
        let reason = match look.await {
            Ok(Ok(list)) if serves(&list) => break,
            Ok(Ok(_)) => format!("CustomResourceDefinition {name} is missing"),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                format!("CustomResourceDefinition {name} is missing")
            }
            Ok(Err(error)) => format!("ask for {name}: {}", runtime::service::chain(&error)),
            Err(_) => format!("ask for {name}: no answer within {LOOK:?}"),
        };
        tracing::warn!(reason, "Waiting for the CRDs");
        follow.admin.close(CRDS, reason);
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    follow.admin.open(CRDS);
}

fn serves(list: &APIResourceList) -> bool {
    list.resources
        .iter()
        .any(|resource| resource.name == GameServer::plural(&()))
}

async fn follow_servers(follow: Follow, namespace: Option<String>, synced: oneshot::Sender<()>) {
    let api: Api<Watched> = match &namespace {
        Some(namespace) => Api::namespaced(follow.client.clone(), namespace),
        None => Api::all(follow.client.clone()),
    };
    let stream = watcher(api, config()).backoff(Pause::default());
    let mut stream = pin!(stream);
    let mut listed = BTreeSet::new();
    let mut synced = Some(synced);
    loop {
        match stream.try_next().await {
            Ok(Some(Event::Init)) => listed.clear(),
            Ok(Some(Event::InitApply(server))) => {
                listed.insert(server.key());
                seen(&follow, &server);
            }
            Ok(Some(Event::InitDone)) => {
                let keep = std::mem::take(&mut listed);
                follow
                    .servers
                    .change(|index| index.retain(namespace.as_deref(), &keep));
                follow.matches.retain(namespace.as_deref(), &keep);
                first_list(&mut synced);
            }
            Ok(Some(Event::Apply(server))) => seen(&follow, &server),
            Ok(Some(Event::Delete(server))) => deleted(&follow, &server),
            Ok(None) => return,
            Err(error) => failed(&follow, "GameServer", &error),
        }
    }
}

fn seen(follow: &Follow, server: &Watched) {
    follow.servers.watched(server.sighting());
    follow.matches.watched(server);
}

fn deleted(follow: &Follow, server: &Watched) {
    let (key, version) = match server.sighting() {
        Sighting::Allocatable(key, observed) => (key, observed.version),
        Sighting::Other(key, version) => (key, version),
        Sighting::Unreadable(key) => (key, u64::MAX),
    };
    follow.servers.change(|index| index.remove(&key, version));
    follow.matches.removed(server);
}

async fn follow_nodes(follow: Follow, synced: oneshot::Sender<()>) {
    let api: Api<WatchedNode> = Api::all(follow.client.clone());
    let stream = watcher(api, config()).backoff(Pause::default());
    let mut stream = pin!(stream);
    let mut listed = BTreeSet::new();
    let mut synced = Some(synced);
    loop {
        match stream.try_next().await {
            Ok(Some(Event::Init)) => listed.clear(),
            Ok(Some(Event::InitApply(node))) => {
                listed.insert(node.name_any());
                set_node(&follow.servers, &node, node.is_usable());
            }
            Ok(Some(Event::InitDone)) => {
                let keep = std::mem::take(&mut listed);
                follow.servers.change(|index| index.retain_nodes(&keep));
                first_list(&mut synced);
            }
            Ok(Some(Event::Apply(node))) => set_node(&follow.servers, &node, node.is_usable()),
            Ok(Some(Event::Delete(node))) => set_node(&follow.servers, &node, false),
            Ok(None) => return,
            Err(error) => failed(&follow, "Node", &error),
        }
    }
}

fn set_node(servers: &Servers, node: &WatchedNode, usable: bool) {
    servers.change(|index| index.set_node(&node.name_any(), usable));
}

/// Tells of the first list; later ones bring the index up to date silently.
fn first_list(synced: &mut Option<oneshot::Sender<()>>) {
    if let Some(synced) = synced.take() {
        // Nobody listens any more when the process ends.
        synced.send(()).ok();
    }
}

fn failed(follow: &Follow, kind: &'static str, error: &watcher::Error) {
    let error = runtime::service::chain(error);
    follow.metrics.watch_failed(kind);
    if !follow.servers.is_synced() {
        follow.admin.close(CACHES, format!("list {kind}s: {error}"));
    }
    tracing::warn!(kind, error, "Watch failed, and is started again");
}

fn config() -> watcher::Config {
    watcher::Config::default().page_size(PAGE)
}

/// kube's backoff with a shorter longest pause.
#[derive(Default)]
pub(crate) struct Pause(DefaultBackoff);

impl Iterator for Pause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(LONGEST_PAUSE))
    }
}

impl Backoff for Pause {
    fn reset(&mut self) {
        self.0.reset();
    }
}
