//! What is bounded: queues of changes, history under watches and pages, and lists as streams.

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;

use super::{config_map, config_maps, start};
use crate::objects::CHANGES;

#[tokio::test(start_paused = true)]
async fn a_queue_of_changes_that_nobody_empties_ends() {
    let (embedded, _client) = start();
    let objects = embedded.objects();
    let kinds = objects.kinds();
    let kind = kinds.named("v1", "ConfigMap").unwrap();
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "one", "namespace": "default" },
    });
    objects.create(kind, "default", object).unwrap();
    let mut changes = objects.changes();
    let mut lively = objects.changes();
    for number in 0..=CHANGES {
        objects
            .change(kind, "default", "one", &mut |object| {
                object["data"]["key"] = number.to_string().into();
            })
            .unwrap();
        assert!(lively.try_recv().is_ok());
    }
    let mut seen = 0;
    while changes.recv().await.is_some() {
        seen += 1;
    }
    assert_eq!(seen, CHANGES);
    assert!(!lively.is_closed(), "who keeps up is told on");
}

#[tokio::test(start_paused = true)]
async fn a_list_as_a_stream_ends_with_a_marked_bookmark() {
    let (embedded, client) = start();
    let api = config_maps(&client);
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &config_map(name, "1"))
            .await
            .unwrap();
    }
    let params = WatchParams::default().initial_events().timeout(5);
    let mut events = api.watch(&params, "").await.unwrap().boxed();
    let mut names = Vec::new();
    let bookmark = loop {
        match events.try_next().await.unwrap().unwrap() {
            WatchEvent::Added(object) => names.extend(object.metadata.name),
            WatchEvent::Bookmark(bookmark) => break bookmark,
            other => panic!("not a part of a list: {other:?}"),
        }
    };
    assert_eq!(names, ["a", "b"]);
    assert_eq!(
        bookmark.metadata.annotations["k8s.io/initial-events-end"],
        "true"
    );
    assert_eq!(
        bookmark.metadata.resource_version,
        embedded.revision().to_string()
    );
    api.create(&PostParams::default(), &config_map("c", "1"))
        .await
        .unwrap();
    let next = events.try_next().await.unwrap().unwrap();
    assert!(matches!(next, WatchEvent::Added(_)), "{next:?}");
}

#[tokio::test(start_paused = true)]
async fn a_compaction_leaves_alone_who_is_up_to_date() {
    let (embedded, client) = start();
    let api = config_maps(&client);
    let created = api
        .create(&PostParams::default(), &config_map("a", "0"))
        .await
        .unwrap();
    let version = created.metadata.resource_version.unwrap();
    let mut events = api
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();
    let change = async |value: &str| {
        let patch = Patch::Merge(json!({ "data": { "key": value } }));
        api.patch("a", &PatchParams::default(), &patch)
            .await
            .unwrap()
    };
    change("1").await;
    let first: WatchEvent<ConfigMap> = events.try_next().await.unwrap().unwrap();
    assert!(matches!(first, WatchEvent::Modified(_)), "{first:?}");
    embedded.compact_now();
    change("2").await;
    let second = events.try_next().await.unwrap().unwrap();
    let WatchEvent::Modified(second) = second else {
        panic!("not the change: {second:?}");
    };
    assert_eq!(second.data.unwrap()["key"], "2");
    // Whoever is behind by more than what is kept learns it.
    change("3").await;
    embedded.compact_now();
    let last = events.try_next().await.unwrap().unwrap();
    let WatchEvent::Error(status) = last else {
        panic!("a gap was not told: {last:?}");
    };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
}

#[tokio::test(start_paused = true)]
async fn selectors_hold_for_old_versions_too() {
    let (_embedded, client) = start();
    let api = config_maps(&client);
    let mut object = config_map("a", "start");
    object.metadata.labels = Some([("color".to_owned(), "red".to_owned())].into());
    let created = api.create(&PostParams::default(), &object).await.unwrap();
    let version = created.metadata.resource_version.unwrap();
    for turn in 0..600 {
        let color = if turn == 300 { "blue" } else { "red" };
        let patch = Patch::Merge(json!({
            "metadata": { "labels": { "color": color } },
            "data": { "key": turn.to_string() },
        }));
        api.patch("a", &PatchParams::default(), &patch)
            .await
            .unwrap();
    }
    let params = WatchParams::default().labels("color=red").timeout(5);
    let events: Vec<WatchEvent<ConfigMap>> = api
        .watch(&params, &version)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let count = |wanted: fn(&WatchEvent<ConfigMap>) -> bool| {
        events.iter().filter(|event| wanted(event)).count()
    };
    assert_eq!(count(|event| matches!(event, WatchEvent::Deleted(_))), 1);
    assert_eq!(count(|event| matches!(event, WatchEvent::Added(_))), 1);
    let modified = count(|event| matches!(event, WatchEvent::Modified(_)));
    assert_eq!(modified, 598);
    let red = api.list(&ListParams::default().labels("color=red")).await;
    assert_eq!(red.unwrap().items.len(), 1);
}
