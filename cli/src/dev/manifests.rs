//! Manifests that are applied at the start, and again when they change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client};
use runtime::backoff::Backoff;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::args::Manifests;

/// Who owns the applied fields.
const MANAGER: &str = "muster-dev";

/// Time between two looks at a directory.
const LOOK: Duration = Duration::from_millis(500);

/// Largest manifest.
const LARGEST: u64 = 3 * 1024 * 1024;

/// What changes when a file does: time and length.
type Stamp = (Option<SystemTime>, u64);

/// Waits before what was refused is tried again. Nobody else retries here, so no chance is needed.
const RETRIES: Backoff = Backoff {
    base: LOOK,
    cap: Duration::from_secs(10),
};

/// A file as it was when it was last tried.
#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    left: Left,
    /// What was wrong with what is left.
    problems: Vec<String>,
    /// How often it was tried.
    attempts: u32,
    /// When what is left is tried again.
    due: Instant,
}

/// What of a file is not applied. What is applied is left alone until the file changes, so that
/// whoever edits an object by kubectl keeps the edit.
#[derive(Clone, Debug)]
enum Left {
    /// Nothing of it could be read.
    File,
    /// Objects that were refused.
    Objects(Vec<Document>),
}

/// An object, with its place in the file.
#[derive(Clone, Debug)]
struct Document {
    number: usize,
    object: Value,
}

/// The examples, in the order in which they make sense.
pub(super) const EXAMPLES: [(&str, &str); 6] = [
    (
        "examples/fleet.yaml",
        include_str!("../../../examples/fleet.yaml"),
    ),
    (
        "examples/gameserver.yaml",
        include_str!("../../../examples/gameserver.yaml"),
    ),
    (
        "examples/fleetautoscaler.yaml",
        include_str!("../../../examples/fleetautoscaler.yaml"),
    ),
    (
        "examples/matchallocation.yaml",
        include_str!("../../../examples/matchallocation.yaml"),
    ),
    (
        "examples/arena.yaml",
        include_str!("../../../examples/arena.yaml"),
    ),
    (
        "examples/skirmish.yaml",
        include_str!("../../../examples/skirmish.yaml"),
    ),
];

/// Applies the manifests; follows a directory until the token is cancelled.
pub(crate) async fn run(client: Client, manifests: Manifests, stop: CancellationToken) {
    match manifests {
        Manifests::None => {}
        Manifests::Examples => {
            for (name, text) in EXAMPLES {
                tell(name, &apply_text(&client, name, text).await.1);
            }
        }
        Manifests::Directory(directory) => {
            stop.run_until_cancelled(follow(&client, &directory)).await;
        }
    }
    // There is nothing more to apply, and an end by itself would end everything.
    stop.cancelled().await;
}

async fn follow(client: &Client, directory: &Path) {
    let mut known: BTreeMap<PathBuf, Seen> = BTreeMap::new();
    let mut unlisted = String::new();
    let mut interval = tokio::time::interval(LOOK);
    loop {
        let now = interval.tick().await;
        match list(directory).await {
            Ok(found) => {
                unlisted.clear();
                look(client, &found, &mut known, now).await;
            }
            Err(error) => {
                let error = format!("{error:#}");
                if error != unlisted {
                    tracing::warn!(error, "Manifests could not be listed");
                    unlisted = error;
                }
            }
        }
    }
}

/// Applies the files that changed, and what of the others is left and due.
async fn look(
    client: &Client,
    found: &BTreeMap<PathBuf, Stamp>,
    known: &mut BTreeMap<PathBuf, Seen>,
    now: Instant,
) {
    for (path, stamp) in found {
        let before = known.get(path).filter(|seen| seen.stamp == *stamp);
        if before.is_some_and(|seen| seen.problems.is_empty() || now < seen.due) {
            continue;
        }
        let file = path.display().to_string();
        let left = before.map_or(Left::File, |seen| seen.left.clone());
        let (left, problems) = match left {
            Left::File => match read(path).await {
                Ok(text) => apply_text(client, &file, &text).await,
                Err(error) => (Left::File, vec![format!("{error:#}")]),
            },
            // What they need may be in a later file.
            Left::Objects(objects) => apply_objects(client, &file, objects).await,
        };
        if before.is_none_or(|seen| seen.problems != problems) {
            tell(&file, &problems);
        }
        let attempts = before.map_or(0, |seen| seen.attempts);
        let seen = Seen {
            stamp: *stamp,
            left,
            problems,
            attempts: attempts.saturating_add(1),
            due: now + RETRIES.bound(attempts),
        };
        known.insert(path.clone(), seen);
    }
    known.retain(|path, _| {
        let stays = found.contains_key(path);
        if !stays {
            tracing::info!(
                file = %path.display(),
                "Manifest is gone; its objects stay until they are deleted with kubectl"
            );
        }
        stays
    });
}

fn tell(file: &str, problems: &[String]) {
    for problem in problems {
        // As a field it stays on one line, whatever it quotes.
        tracing::error!(file, problem, "Manifest has an error");
    }
}

/// The manifests of a directory, with what changes when they do.
async fn list(directory: &Path) -> Result<BTreeMap<PathBuf, Stamp>> {
    let mut found = BTreeMap::new();
    let mut entries = tokio::fs::read_dir(directory)
        .await
        .with_context(|| directory.display().to_string())?;
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if !matches!(extension, Some("yaml" | "yml" | "json")) {
            continue;
        }
        // A file that vanished meanwhile is as good as gone.
        if let Ok(metadata) = tokio::fs::metadata(&path).await {
            found.insert(path, (metadata.modified().ok(), metadata.len()));
        }
    }
    Ok(found)
}

async fn read(path: &Path) -> Result<String> {
    let size = tokio::fs::metadata(path).await?.len();
    anyhow::ensure!(
        size <= LARGEST,
        "{}: has {size} bytes, more than {LARGEST}",
        path.display()
    );
    tokio::fs::read_to_string(path)
        .await
        .with_context(|| path.display().to_string())
}

/// Applies every object of a file. Returns what is left, and what is wrong with it.
async fn apply_text(client: &Client, file: &str, text: &str) -> (Left, Vec<String>) {
    match parse(text) {
        Ok(objects) => {
            let numbered = (1..).zip(objects);
            let documents = numbered.map(|(number, object)| Document { number, object });
            apply_objects(client, file, documents.collect()).await
        }
        Err(error) => (Left::File, vec![format!("not valid: {error:#}")]),
    }
}

/// Applies objects of a file. Returns those that are refused, and why; the others are applied.
async fn apply_objects(
    client: &Client,
    file: &str,
    documents: Vec<Document>,
) -> (Left, Vec<String>) {
    let mut left = Vec::new();
    let mut problems = Vec::new();
    for document in documents {
        let named = describe(&document.object);
        match apply(client, &document.object).await {
            Ok(()) => tracing::info!(file, object = named, "Applied"),
            Err(error) => {
                problems.push(format!("{named} (document {}): {error:#}", document.number));
                left.push(document);
            }
        }
    }
    (Left::Objects(left), problems)
}

/// The objects of a YAML file, lists taken apart.
fn parse(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
    let mut objects = Vec::new();
    for document in documents {
        match document {
            Value::Null => {}
            Value::Object(mut list)
                if list.get("kind").and_then(Value::as_str) == Some("List")
                    && list.get("items").is_some_and(Value::is_array) =>
            {
                if let Some(Value::Array(items)) = list.remove("items") {
                    objects.extend(items);
                }
            }
            other => objects.push(other),
        }
    }
    Ok(objects)
}

async fn apply(client: &Client, object: &Value) -> Result<()> {
    let text = |pointer: &str, path: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .with_context(|| format!("{path}: Required value"))
    };
    let api_version = text("/apiVersion", "apiVersion")?;
    let kind = text("/kind", "kind")?;
    let name = text("/metadata/name", "metadata.name")?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let (resource, capabilities) =
        pinned_kind(client, &GroupVersionKind::gvk(group, version, kind))
            .await
            .with_context(|| format!("there is no kind {kind} in {api_version}"))?;
    let namespace = object
        .pointer("/metadata/namespace")
        .and_then(Value::as_str)
        .unwrap_or("default");
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
        Scope::Cluster => Api::all_with(client.clone(), &resource),
    };
    let params = PatchParams::apply(MANAGER).force();
    match api.patch(name, &params, &Patch::Apply(object)).await {
        Ok(_) => Ok(()),
        // The message of the API server alone: it names object and field.
        Err(kube::Error::Api(status)) => Err(anyhow::anyhow!("{}", status.message)),
        Err(error) => Err(error.into()),
    }
}

fn describe(object: &Value) -> String {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or("?")
    };
    format!("{} {}", text("/kind"), text("/metadata/name"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use embedded::Embedded;
    use embedded::access::{MASTERS, User};
    use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_and_lists_are_taken_apart() {
        let text = "# nothing\n---\nkind: A\n---\nkind: List\nitems:\n- kind: B\n- kind: C\n---\n";
        let kinds: Vec<_> = parse(text)
            .unwrap()
            .iter()
            .map(|object| object["kind"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(kinds, ["A", "B", "C"]);
    }

    #[test]
    fn every_example_is_a_manifest() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
            .map(|path| format!("examples/{}", path.file_name().unwrap().display()))
            .collect();
        files.sort();
        let mut names = EXAMPLES.map(|(name, _)| name);
        names.sort_unstable();
        assert_eq!(names.as_slice(), files);
        for (name, text) in EXAMPLES {
            for object in parse(text).unwrap() {
                assert!(!describe(&object).contains('?'), "{name}");
            }
        }
    }

    #[tokio::test]
    async fn what_was_refused_is_tried_again_alone_and_ever_more_rarely() {
        let clock = Arc::new(runtime::clock::now);
        let ids = Arc::new(|| uuid::Uuid::new_v4().to_string());
        let embedded = Embedded::builder(clock, ids).start().unwrap();
        let client = embedded.client(User::authenticated("tester", &[MASTERS]));
        let here: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
        let there: Api<ConfigMap> = Api::namespaced(client.clone(), "later");
        let path = std::env::temp_dir().join(format!("muster-{}.yaml", uuid::Uuid::new_v4()));
        let text = "{ apiVersion: v1, kind: ConfigMap, metadata: { name: it }, data: { by: file } }\n\
                    ---\n\
                    { apiVersion: v1, kind: ConfigMap, metadata: { name: it, namespace: later } }\n";
        std::fs::write(&path, text).unwrap();
        let began = Instant::now();
        let after = |milliseconds| began + Duration::from_millis(milliseconds);
        let mut found = BTreeMap::from([(path.clone(), (None, 1))]);
        let mut known = BTreeMap::new();
        look(&client, &found, &mut known, after(0)).await;
        let seen = &known[&path];
        assert!(
            seen.problems.len() == 1 && seen.problems[0].contains("(document 2)"),
            "{seen:?}"
        );

        let edit = Patch::Merge(json!({ "data": { "by": "hand" } }));
        let params = PatchParams::default();
        here.patch("it", &params, &edit).await.unwrap();
        look(&client, &found, &mut known, after(500)).await;
        assert_eq!(known[&path].attempts, 2);
        let namespace = json!({ "metadata": { "name": "later" } });
        let namespace: Namespace = serde_json::from_value(namespace).unwrap();
        Api::all(client.clone())
            .create(&kube::api::PostParams::default(), &namespace)
            .await
            .unwrap();
        // The second wait is twice as long as the first.
        look(&client, &found, &mut known, after(1_499)).await;
        assert!(there.get_opt("it").await.unwrap().is_none());
        look(&client, &found, &mut known, after(1_500)).await;
        assert!(there.get_opt("it").await.unwrap().is_some());
        look(&client, &found, &mut known, after(60_000)).await;
        let by = async || here.get("it").await.unwrap().data.unwrap()["by"].clone();
        assert_eq!(by().await, "hand");

        // A change of the file applies all of it.
        found.insert(path.clone(), (None, 2));
        look(&client, &found, &mut known, after(60_500)).await;
        assert_eq!(by().await, "file");
        std::fs::remove_file(path).unwrap();
    }
}
