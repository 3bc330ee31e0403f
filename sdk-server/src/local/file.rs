//! The GameServer of `--file`: YAML or JSON, as for `kubectl apply`.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::agones::dev::sdk::{GameServer, game_server};
use serde::Deserialize;

use crate::local::Local;

/// How often the file is looked at. A look costs one system call and works on every file system.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file holds no GameServer.
    #[error("{} is not a GameServer: {problem}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong where.
        problem: String,
    },
}

/// Tells one version of a file from another.
pub(crate) type Version = Option<(u64, i64, i64, u64)>;

/// Loads the file. `now` is in seconds since the Unix epoch.
pub(crate) fn load(path: &Path, now: i64) -> Result<GameServer, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&text, now).map_err(|problem| Error::Parse {
        path: path.to_owned(),
        problem,
    })
}

/// Loads the file again whenever it changes; a bad file leaves the last good object in place.
///
/// `seen` is the version of the file that `local` has already.
pub(crate) async fn watch(local: &Local, path: &Path, mut seen: Version, now: impl Fn() -> i64) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let current = version(path);
        // An editor may remove the file for a moment; only a new version is news.
        if current.is_none() || current == seen {
            continue;
        }
        seen = current;
        tracing::info!(file = %path.display(), "File has been changed!");
        match load(path, now()) {
            Ok(object) => {
                local.replace(object);
                tracing::info!("Sending watched GameServer!");
            }
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, source, "Kept the last good GameServer");
            }
        }
    }
}

/// Returns the version of the file, or `None` if there is none.
pub(crate) fn version(path: &Path) -> Version {
    let metadata = std::fs::metadata(path).ok()?;
    Some((
        metadata.ino(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.size(),
    ))
}

fn parse(text: &str, now: i64) -> Result<GameServer, String> {
    let object: Object = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    if !matches!(object.kind.as_deref(), None | Some("GameServer")) {
        return Err(format!("its kind is {}", object.kind.unwrap_or_default()));
    }
    let meta = object.metadata;
    let creation_timestamp = meta.creation_timestamp.map_or(Ok(now), |time| {
        let time: Result<jiff::Timestamp, _> = time.parse();
        time.map(jiff::Timestamp::as_second)
            .map_err(|error| format!("metadata.creationTimestamp: {error}"))
    })?;
    let object_meta = game_server::ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        generation: meta.generation,
        creation_timestamp,
        deletion_timestamp: 0,
        annotations: meta.annotations,
        labels: meta.labels,
    };
    let health = object.spec.health;
    let spec = game_server::Spec {
        health: Some(game_server::spec::Health {
            disabled: health.disabled,
            period_seconds: health.period_seconds,
            failure_threshold: health.failure_threshold,
            initial_delay_seconds: health.initial_delay_seconds,
        }),
    };
    let status = object.status;
    // In a cluster the counters and lists of the spec become those of the status at creation.
    let counters = status.counters.unwrap_or(object.spec.counters);
    let lists = status.lists.unwrap_or(object.spec.lists);
    let status = game_server::Status {
        state: status.state,
        address: status.address,
        ports: status
            .ports
            .into_iter()
            .map(|port| game_server::status::Port {
                name: port.name,
                port: port.port,
            })
            .collect(),
        players: status
            .players
            .map(|players| game_server::status::PlayerStatus {
                count: players.count,
                capacity: players.capacity,
                ids: players.ids,
            }),
        counters: counters
            .into_iter()
            .map(|(name, Counter { count, capacity })| {
                (name, game_server::status::CounterStatus { count, capacity })
            })
            .collect(),
        lists: lists
            .into_iter()
            .map(|(name, List { capacity, values })| {
                (name, game_server::status::ListStatus { capacity, values })
            })
            .collect(),
        addresses: status
            .addresses
            .into_iter()
            .map(|address| game_server::status::Address {
                r#type: address.r#type,
                address: address.address,
            })
            .collect(),
    };
    Ok(GameServer {
        object_meta: Some(object_meta),
        spec: Some(spec),
        status: Some(status),
    })
}

// The parts of the kind that the SDK shows; everything else in the file is ignored.

#[derive(Deserialize)]
struct Object {
    kind: Option<String>,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
    generation: i64,
    creation_timestamp: Option<String>,
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    health: Health,
    counters: BTreeMap<String, Counter>,
    lists: BTreeMap<String, List>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Health {
    disabled: bool,
    period_seconds: i32,
    failure_threshold: i32,
    initial_delay_seconds: i32,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            disabled: false,
            period_seconds: 5,
            failure_threshold: 3,
            initial_delay_seconds: 5,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    state: String,
    address: String,
    ports: Vec<Port>,
    addresses: Vec<Address>,
    players: Option<Players>,
    counters: Option<BTreeMap<String, Counter>>,
    lists: Option<BTreeMap<String, List>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Port {
    name: String,
    port: i32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Address {
    r#type: String,
    address: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Players {
    count: i64,
    capacity: i64,
    ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(default)]
struct Counter {
    count: i64,
    capacity: i64,
}

impl Default for Counter {
    fn default() -> Self {
        Self {
            count: 0,
            capacity: 1000,
        }
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct List {
    capacity: i64,
    values: Vec<String>,
}

impl Default for List {
    fn default() -> Self {
        Self {
            capacity: 1000,
            values: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_as_for_kubectl_is_read() {
        let text = r#"
apiVersion: agones.dev/v1
kind: GameServer
metadata:
  name: simple-game-server
  namespace: games
  uid: "42"
  resourceVersion: "17"
  creationTimestamp: "2026-01-02T03:04:05Z"
  labels: {islocal: "true"}
  annotations: {note: anything}
spec:
  ports:
  - name: default
    containerPort: 7654
  health:
    periodSeconds: 7
  counters:
    rooms: {count: 1, capacity: 10}
  lists:
    players: {values: [a, b]}
  template:
    spec:
      containers: []
status:
  state: Ready
  address: 192.168.99.100
  nodeName: minikube
  addresses: [{type: InternalIP, address: 192.168.99.100}]
  ports: [{name: default, port: 7614}]
"#;
        let object = parse(text, 5).unwrap();
        let meta = object.object_meta.unwrap();
        assert_eq!(
            (meta.name.as_str(), meta.namespace.as_str()),
            ("simple-game-server", "games")
        );
        assert_eq!(
            (meta.uid.as_str(), meta.resource_version.as_str()),
            ("42", "17")
        );
        assert_eq!(meta.creation_timestamp, 1_767_323_045);
        assert_eq!(meta.labels["islocal"], "true");
        let health = object.spec.unwrap().health.unwrap();
        assert_eq!((health.period_seconds, health.failure_threshold), (7, 3));
        let status = object.status.unwrap();
        assert_eq!(
            (status.state.as_str(), status.ports[0].port),
            ("Ready", 7614)
        );
        assert_eq!(status.counters["rooms"].capacity, 10);
        assert_eq!(
            (
                status.lists["players"].capacity,
                status.lists["players"].values.len()
            ),
            (1000, 2)
        );
    }

    #[test]
    fn json_is_read_too() {
        let object = parse(
            r#"{"metadata":{"name":"a"},"status":{"state":"Shutdown"}}"#,
            5,
        )
        .unwrap();
        assert_eq!(object.object_meta.unwrap().creation_timestamp, 5);
        assert_eq!(object.status.unwrap().state, "Shutdown");
    }

    #[test]
    fn what_is_no_game_server_is_refused_with_the_reason() {
        for (text, reason) in [
            ("kind: Fleet", "its kind is Fleet"),
            ("status: [", ""),
            ("- a", ""),
            (
                "metadata: {creationTimestamp: noon}",
                "metadata.creationTimestamp: ",
            ),
            ("status: {ports: [{port: many}]}", ""),
        ] {
            let error = parse(text, 5).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
