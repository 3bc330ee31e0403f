//! The API server through a client in the process.

mod bounds;
mod deletion;
mod grants;
mod pods;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::{Client, Error};
use serde_json::json;

use crate::Embedded;
use crate::access::{MASTERS, User};

/// A server whose time stands and whose uids count.
pub(super) fn start() -> (Embedded, Client) {
    let counter = Arc::new(AtomicU64::new(1));
    let embedded = Embedded::builder(
        Arc::new(|| "2026-01-01T00:00:00Z".parse().unwrap()),
        Arc::new(move || {
            let number = counter.fetch_add(1, Ordering::Relaxed);
            format!("00000000-0000-4000-8000-{number:012}")
        }),
    )
    .start()
    .unwrap();
    let client = embedded.client(User::authenticated("tester", &[MASTERS]));
    (embedded, client)
}

pub(super) fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "data": { "key": value },
    }))
    .unwrap()
}

pub(super) fn config_maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), "default")
}

/// Code and message of a refusal.
pub(super) fn refusal(error: &Error) -> (u16, String) {
    match error {
        Error::Api(status) => (status.code, status.message.clone()),
        other => panic!("not an answer of the API: {other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn objects_live_through_all_verbs() {
    let (_embedded, client) = start();
    let api = config_maps(&client);
    let created = api
        .create(&PostParams::default(), &config_map("first", "1"))
        .await
        .unwrap();
    let version = created.metadata.resource_version.clone();
    assert!(version.is_some());
    assert_eq!(created.metadata.namespace.as_deref(), Some("default"));
    let read = api.get("first").await.unwrap();
    assert_eq!(read, created);
    // Nothing changes: no new version.
    let same = api
        .replace("first", &PostParams::default(), &read)
        .await
        .unwrap();
    assert_eq!(same.metadata.resource_version, version);
    let mut changed = read.clone();
    changed
        .data
        .as_mut()
        .unwrap()
        .insert("key".into(), "2".into());
    let changed = api
        .replace("first", &PostParams::default(), &changed)
        .await
        .unwrap();
    assert_ne!(changed.metadata.resource_version, version);
    let stale = api
        .replace("first", &PostParams::default(), &read)
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&stale),
        (
            409,
            "Operation cannot be fulfilled on configmaps \"first\": the object has been modified; \
             please apply your changes to the latest version and try again"
                .to_owned()
        )
    );
    let patch = Patch::Merge(json!({ "data": { "other": "3" } }));
    let patched = api
        .patch("first", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(patched.data.unwrap().len(), 2);
    api.delete("first", &DeleteParams::default()).await.unwrap();
    let gone = api.get("first").await.unwrap_err();
    assert_eq!(
        refusal(&gone),
        (404, "configmaps \"first\" not found".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn pages_agree_and_outlive_changes_but_not_a_compaction() {
    let (embedded, client) = start();
    let api = config_maps(&client);
    for name in ["a", "b", "c", "d", "e"] {
        api.create(&PostParams::default(), &config_map(name, "1"))
            .await
            .unwrap();
    }
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.items.len(), 2);
    assert_eq!(first.metadata.remaining_item_count, Some(3));
    let token = first.metadata.continue_.clone().unwrap();
    api.delete("c", &DeleteParams::default()).await.unwrap();
    let page = ListParams::default().limit(2).continue_token(&token);
    let second = api.list(&page).await.unwrap();
    let names: Vec<_> = second
        .items
        .iter()
        .filter_map(|item| item.metadata.name.clone())
        .collect();
    assert_eq!(names, ["c", "d"]);
    assert_eq!(
        second.metadata.resource_version,
        first.metadata.resource_version
    );
    embedded.compact_now();
    let Err(Error::Api(status)) = api.list(&page).await else {
        panic!("a forgotten page is shown");
    };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    let token = status.metadata.unwrap().continue_.unwrap();
    let rest = api
        .list(&ListParams::default().continue_token(&token))
        .await
        .unwrap();
    let names: Vec<_> = rest
        .items
        .iter()
        .filter_map(|item| item.metadata.name.clone())
        .collect();
    assert_eq!(names, ["d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn watches_resume_where_they_ended() {
    let (embedded, client) = start();
    let api = config_maps(&client);
    let created = api
        .create(&PostParams::default(), &config_map("first", "1"))
        .await
        .unwrap();
    let version = created.metadata.resource_version.unwrap();
    api.patch(
        "first",
        &PatchParams::default(),
        &Patch::Merge(json!({ "data": { "key": "2" } })),
    )
    .await
    .unwrap();
    api.delete("first", &DeleteParams::default()).await.unwrap();
    let events: Vec<WatchEvent<ConfigMap>> = api
        .watch(&WatchParams::default().timeout(5), &version)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert!(
        matches!(
            events.as_slice(),
            [
                WatchEvent::Modified(_),
                WatchEvent::Deleted(_),
                WatchEvent::Bookmark(_)
            ]
        ),
        "{events:?}"
    );
    embedded.compact_now();
    let mut stream = api
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();
    let Some(Ok(WatchEvent::Error(status))) = stream.next().await else {
        panic!("a forgotten version is watched");
    };
    assert_eq!(status.code, 410);
}

#[tokio::test(start_paused = true)]
async fn our_kinds_are_served() {
    let (_embedded, client) = start();
    let fleets: Api<crds::Fleet> = Api::namespaced(client, "default");
    let fleet: crds::Fleet = serde_json::from_value(json!({
        "apiVersion": "muster.dev/v1",
        "kind": "Fleet",
        "metadata": { "name": "simple" },
        "spec": { "replicas": 2, "template": { "spec": { "template": { "spec": {
            "containers": [{ "name": "server", "image": "simple" }],
        } } } } },
    }))
    .unwrap();
    let created = fleets.create(&PostParams::default(), &fleet).await.unwrap();
    assert_eq!(created.metadata.generation, Some(1));
}
