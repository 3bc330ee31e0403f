//! Manifests that are applied at the start, and again when they change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client};
use serde_json::Value;
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

/// A file as it was when it was applied, and what was wrong with it then.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    stamp: Stamp,
    problems: Vec<String>,
}

/// The examples, in the order in which they make sense.
const EXAMPLES: [(&str, &str); 4] = [
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
];

/// Applies the manifests; follows a directory until the token is cancelled.
pub(crate) async fn run(client: Client, manifests: Manifests, stop: CancellationToken) {
    match manifests {
        Manifests::None => {}
        Manifests::Examples => {
            for (name, text) in EXAMPLES {
                tell(name, &apply_text(&client, name, text).await);
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
        interval.tick().await;
        let found = match list(directory).await {
            Ok(found) => found,
            Err(error) => {
                let error = format!("{error:#}");
                if error != unlisted {
                    tracing::warn!(error, "Manifests could not be listed");
                    unlisted = error;
                }
                continue;
            }
        };
        unlisted.clear();
        for (path, stamp) in &found {
            let before = known.get(path);
            // What was refused is tried again: what it needs may be in a later file.
            if before.is_some_and(|seen| seen.stamp == *stamp && seen.problems.is_empty()) {
                continue;
            }
            let file = path.display().to_string();
            let problems = match read(path).await {
                Ok(text) => apply_text(client, &file, &text).await,
                Err(error) => vec![format!("{error:#}")],
            };
            let seen = Seen {
                stamp: *stamp,
                problems,
            };
            if before != Some(&seen) {
                tell(&file, &seen.problems);
            }
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

/// Applies every object of a file. Returns what is wrong with those that cannot be applied; the
/// others are.
async fn apply_text(client: &Client, file: &str, text: &str) -> Vec<String> {
    let objects = match parse(text) {
        Ok(objects) => objects,
        Err(error) => return vec![format!("not valid: {error:#}")],
    };
    let mut problems = Vec::new();
    for (position, object) in objects.into_iter().enumerate() {
        let named = describe(&object);
        match apply(client, &object).await {
            Ok(()) => tracing::info!(file, object = named, "Applied"),
            Err(error) => problems.push(format!("{named} (document {}): {error:#}", position + 1)),
        }
    }
    problems
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
        for (name, text) in EXAMPLES {
            for object in parse(text).unwrap() {
                assert!(!describe(&object).contains('?'), "{name}");
            }
        }
    }
}
