//! The store in memory and on disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Error, Query, Retention, Store};
use crate::object::Object;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn pods() -> Arc<str> {
    Arc::from("pods")
}

fn put(store: &Store, key: &str, value: i64) -> u64 {
    let mut writing = store.begin(at(0));
    let object = json!({ "metadata": { "name": key }, "value": value });
    writing.put(&pods(), key, object).revision
}

fn value(store: &Store, key: &str) -> Option<Value> {
    store
        .get("pods", key)
        .map(|object| object.value()["value"].clone())
}

fn keys(store: &Store, query: &Query<'_>) -> Vec<String> {
    let listed = store.list(query).unwrap();
    listed
        .objects
        .iter()
        .map(|(key, _)| key.to_string())
        .collect()
}

fn all<'a>() -> Query<'a> {
    Query {
        resource: "pods",
        ..Query::default()
    }
}

/// A directory of its own that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("muster-store-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn every_write_has_the_next_version() {
    let store = Store::in_memory(Retention::default());
    let first = put(&store, "ns/a", 1);
    assert_eq!(put(&store, "ns/b", 2), first + 1);
    assert_eq!(put(&store, "ns/a", 3), first + 2);
    assert_eq!(store.revision(), first + 2);
    let object = store.get("pods", "ns/a").unwrap();
    assert_eq!(object.meta("resourceVersion"), (first + 2).to_string());
}

#[test]
fn old_versions_are_listed_until_they_are_forgotten() {
    let store = Store::in_memory(Retention::default());
    put(&store, "ns/a", 1);
    let before = put(&store, "ns/b", 1);
    store.begin(at(0)).remove(&pods(), "ns/a").unwrap();
    put(&store, "ns/c", 1);
    assert_eq!(keys(&store, &all()), ["ns/b", "ns/c"]);
    let then = Query {
        at: Some(before),
        ..all()
    };
    assert_eq!(keys(&store, &then), ["ns/a", "ns/b"]);
    store.compact(before);
    assert_eq!(keys(&store, &then), ["ns/a", "ns/b"]);
    store.compact(store.revision());
    let expired = store.list(&then).unwrap_err();
    assert_eq!(
        (expired.requested, expired.oldest),
        (before, store.revision())
    );
    assert_eq!(keys(&store, &all()), ["ns/b", "ns/c"]);
}

#[test]
fn a_namespace_does_not_contain_those_that_begin_like_it() {
    let store = Store::in_memory(Retention::default());
    for key in ["a/one", "a-b/two", "ab/three", "a/four"] {
        put(&store, key, 1);
    }
    let query = Query {
        namespace: Some("a"),
        ..all()
    };
    assert_eq!(keys(&store, &query), ["a/four", "a/one"]);
    let rest = Query {
        after: Some("a/four"),
        ..query
    };
    assert_eq!(keys(&store, &rest), ["a/one"]);
}

#[test]
fn events_are_told_in_batches_from_any_version_that_is_kept() {
    let store = Store::in_memory(Retention::default());
    let start = store.revision();
    for number in 0..5 {
        put(&store, "ns/a", number);
    }
    let (events, complete) = store.events("pods", start, 3).unwrap();
    assert_eq!((events.len(), complete), (3, start + 3));
    let (events, complete) = store.events("pods", complete, 3).unwrap();
    assert_eq!((events.len(), complete), (2, start + 5));
    assert!(events.iter().all(|event| event.before.is_some()));
    // Other resources move on too, so that bookmarks do.
    assert_eq!(store.events("nodes", start, 3).unwrap().1, start + 5);
    store.compact(start + 2);
    assert!(store.events("pods", start, 3).is_err());
    assert_eq!(store.events("pods", start + 2, 9).unwrap().0.len(), 3);
}

#[test]
fn history_is_forgotten_by_age_and_by_number() {
    let retention = Retention {
        seconds: 300,
        events: 10,
        ..Retention::default()
    };
    let store = Store::in_memory(retention);
    let start = store.revision();
    put(&store, "ns/a", 1);
    drop(store.begin(at(300)));
    assert_eq!(store.compacted(), start);
    drop(store.begin(at(301)));
    assert_eq!(store.compacted(), start + 1);
    for number in 0..100 {
        put(&store, "ns/a", number);
        assert!(store.revision() - store.compacted() <= 12);
    }
    assert_eq!(value(&store, "ns/a"), Some(99.into()));
}

#[test]
fn history_is_forgotten_by_size() {
    let retention = Retention {
        bytes: 100_000,
        ..Retention::default()
    };
    let store = Store::in_memory(retention);
    for number in 0..2000 {
        put(&store, "ns/a", number);
    }
    let object = store.get("pods", "ns/a").unwrap();
    let kept = usize::try_from(store.revision() - store.compacted()).unwrap();
    // The newest changes are not counted until they are packed.
    let fresh = 600;
    assert!(kept > 1000, "{kept} changes are kept");
    assert!(
        (kept - fresh) * object.json().len() <= 110_000,
        "{kept} changes are kept"
    );
    assert_eq!(value(&store, "ns/a"), Some(1999.into()));
}

#[test]
fn what_is_packed_is_shown_as_it_was() {
    let store = Store::in_memory(Retention::default());
    let start = store.revision();
    let written: Vec<u64> = (0..1500)
        .map(|number| put(&store, "ns/a", number))
        .collect();
    let (events, _) = store.events("pods", start, 2000).unwrap();
    assert_eq!(events.len(), written.len());
    let packed = |object: &Option<Arc<Object>>| object.as_ref().unwrap().is_packed();
    assert!(packed(&events[10].before) && packed(&events[10].after));
    assert!(!packed(&events[1499].after), "the newest is at hand");
    for (number, event) in (0..).zip(&events) {
        let after = event.after.as_ref().unwrap();
        assert_eq!(after.revision(), written[number]);
        let opened = Object::opened(after);
        assert_eq!(opened.value()["value"], number);
        assert_eq!(opened.meta("resourceVersion"), written[number].to_string());
        assert_eq!(opened.json(), after.json());
        if number > 0 {
            let before = event.before.as_ref().unwrap();
            assert_eq!(before.revision(), written[number - 1]);
        }
    }
    let then = store
        .list(&Query {
            at: Some(written[700]),
            ..all()
        })
        .unwrap();
    assert_eq!(then.objects[0].1.value()["value"], 700);
    // What was opened was a copy: the history is as small as before.
    let (events, _) = store.events("pods", start, 2000).unwrap();
    assert!(packed(&events[10].after));
}

#[test]
fn of_many_objects_only_those_in_use_are_at_hand() {
    let store = Store::in_memory(Retention::default());
    for number in 0..2000 {
        put(&store, &format!("ns/{number:04}"), number);
    }
    let old = store.get("pods", "ns/0000").unwrap();
    assert!(!old.is_packed(), "written while there were few");
    let cold = store.get("pods", "ns/1200").unwrap();
    assert!(cold.is_packed());
    assert_eq!(value(&store, "ns/1200"), Some(1200.into()));
    let fresh = store.get("pods", "ns/1999").unwrap();
    assert!(!fresh.is_packed());
}

#[tokio::test]
async fn what_was_settled_is_there_after_a_restart() {
    let directory = Directory::new();
    let store = Store::open(&directory.0, Retention::default()).unwrap();
    put(&store, "ns/a", 1);
    put(&store, "ns/b", 2);
    put(&store, "ns/a", 3);
    store.begin(at(0)).remove(&pods(), "ns/b").unwrap();
    let revision = store.revision();
    store.settled(revision).await.unwrap();
    drop(store);
    let store = Store::open(&directory.0, Retention::default()).unwrap();
    assert_eq!(store.revision(), revision);
    assert_eq!(value(&store, "ns/a"), Some(3.into()));
    assert_eq!(keys(&store, &all()), ["ns/a"]);
    // History begins anew, and versions go on.
    assert!(store.events("pods", revision - 1, 9).is_err());
    assert_eq!(put(&store, "ns/c", 1), revision + 1);
}

#[tokio::test]
async fn a_copy_of_the_file_at_any_instant_holds_all_that_was_settled() {
    let directory = Directory::new();
    let store = Store::open(&directory.0, Retention::default()).unwrap();
    for number in 0..20 {
        let revision = put(&store, "ns/a", number);
        store.settled(revision).await.unwrap();
        // What a process leaves that is killed now: more writes are on their way.
        put(&store, "ns/b", number);
        let copy = Directory::new();
        std::fs::copy(
            directory.0.join("objects.redb"),
            copy.0.join("objects.redb"),
        )
        .unwrap();
        let found = Store::open(&copy.0, Retention::default());
        // A copy is no snapshot: redb may find it torn, but never silently older.
        if let Ok(found) = found {
            assert_eq!(value(&found, "ns/a"), Some(number.into()));
            assert!(found.revision() >= revision);
        }
    }
}

#[tokio::test]
async fn a_watch_hears_only_of_what_is_settled() {
    let directory = Directory::new();
    let store = Store::open(&directory.0, Retention::default()).unwrap();
    let start = store.revision();
    let mut signal = store.signal("pods");
    let revision = put(&store, "ns/a", 1);
    signal
        .wait_for(|settled| *settled >= revision)
        .await
        .unwrap();
    assert_eq!(store.events("pods", start, 9).unwrap().0.len(), 1);
}

#[test]
fn a_second_process_is_refused() {
    let directory = Directory::new();
    let store = Store::open(&directory.0, Retention::default()).unwrap();
    let error = Store::open(&directory.0, Retention::default()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error:?}");
    drop(store);
    Store::open(&directory.0, Retention::default()).unwrap();
}

#[test]
fn a_foreign_file_is_refused_and_left_as_it_is() {
    let directory = Directory::new();
    let file = directory.0.join("objects.redb");
    std::fs::write(&file, b"something else that is long enough to look at").unwrap();
    let error = Store::open(&directory.0, Retention::default()).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert!(std::fs::read(&file).unwrap().starts_with(b"something else"));
}

#[test]
fn a_damaged_file_is_refused() {
    let directory = Directory::new();
    drop(Store::open(&directory.0, Retention::default()).unwrap());
    let file = directory.0.join("objects.redb");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[..64].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let error = Store::open(&directory.0, Retention::default()).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

#[test]
fn a_directory_that_cannot_be_made_is_refused() {
    let directory = Directory::new();
    let file = directory.0.join("file");
    std::fs::write(&file, b"").unwrap();
    let error = Store::open(&file.join("below"), Retention::default()).unwrap_err();
    assert!(matches!(error, Error::Directory { .. }), "{error:?}");
}
