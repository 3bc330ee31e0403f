//! A process that is killed at any instant loses nothing that it acknowledged, and damage is told.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use embedded::access::{MASTERS, User};
use embedded::{Embedded, Error, store};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

/// Names the data directory to the child.
const DIRECTORY: &str = "MUSTER_KILL_DIRECTORY";
/// Writes that are acknowledged before the child is killed.
const WRITES: usize = 40;

/// A data directory that goes with the test.
struct Data(PathBuf);

impl Data {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("muster-kill-{}-{name}", std::process::id()));
        Self(path)
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn open(directory: PathBuf) -> Result<Embedded, Error> {
    let next = AtomicU64::new(1);
    let uids = move || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}-0000-4000-8000-{number:012x}", std::process::id())
    };
    Embedded::builder(Arc::new(jiff::Timestamp::now), Arc::new(uids))
        .definitions(Vec::new())
        .data(directory)
        .start()
}

fn config_maps(embedded: &Embedded) -> Api<ConfigMap> {
    let client = embedded.client(User::authenticated("tester", &[MASTERS]));
    Api::namespaced(client, "default")
}

/// An error with all its reasons.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(reason) = source {
        text = format!("{text}: {reason}");
        source = reason.source();
    }
    text
}

/// Not a test of its own: what the killed process does.
#[tokio::test]
async fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let embedded = open(directory.into()).unwrap();
    let api = config_maps(&embedded);
    let mut out = std::io::stdout();
    for number in 0_u64.. {
        let name = format!("object-{number}");
        let object = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
        let patch = Patch::Merge(json!({ "data": { "key": number.to_string() } }));
        let params = PatchParams::default();
        let written = api.patch(&name, &params, &patch).await.unwrap();
        let version = written.metadata.resource_version.unwrap();
        // The line is whole or absent, however early the end comes.
        out.write_all(format!("\nacknowledged {number} {version}\n").as_bytes())
            .unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    let data = Data::new("loss");
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(DIRECTORY, &data.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = Vec::new();
        for line in lines.map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            let ["acknowledged", number, version] = words.as_slice() else {
                continue;
            };
            acknowledged.push(((*number).to_owned(), version.parse::<u64>().unwrap()));
            if acknowledged.len() == WRITES {
                // What it wrote meanwhile is still read.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged.len() >= WRITES, "round {round}");
        // With the runtime goes everything that has the file open.
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(check(data.0.clone(), &acknowledged));
    }
}

/// Every acknowledged write is there. Empties the store.
async fn check(directory: PathBuf, acknowledged: &[(String, u64)]) {
    let embedded = open(directory).unwrap();
    let api = config_maps(&embedded);
    for (number, version) in acknowledged {
        let object = api.get(&format!("object-{number}")).await.unwrap();
        assert_eq!(object.data.unwrap()["key"], *number);
        assert_eq!(object.metadata.resource_version, Some(version.to_string()));
    }
    let newest = acknowledged.last().unwrap().1;
    assert!(embedded.revision() >= newest, "versions go on");
    api.delete_collection(&DeleteParams::default(), &ListParams::default())
        .await
        .unwrap();
    embedded.stop().await;
}

#[tokio::test]
async fn a_directory_in_use_and_a_damaged_file_are_told() {
    let data = Data::new("told");
    let first = open(data.0.clone()).unwrap();
    let second = open(data.0.clone()).unwrap_err();
    let directory = data.0.display();
    assert_eq!(
        told(&second),
        format!(
            "the objects cannot be kept: the data directory {directory} is in use by another \
             process: stop that one, or choose another directory"
        )
    );
    first.stop().await;
    drop(first);
    std::fs::write(data.0.join("objects.redb"), "no store of objects at all").unwrap();
    let damaged = open(data.0.clone()).unwrap_err();
    assert!(
        matches!(&damaged, Error::Store(store::Error::Corrupt { .. })),
        "{damaged:?}"
    );
    let message = told(&damaged);
    let expected = "objects.redb is damaged or not a store of Muster: move it away to start empty";
    assert!(message.contains(expected), "{message}");
}
