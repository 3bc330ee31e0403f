//! An API server with a node, and what tests ask of them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use embedded::Embedded;
use embedded::access::{MASTERS, User};
use embedded::node::{Capacity, Config, Error, Node, PORTS, Program};
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{DeleteParams, ListParams, LogParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that goes with the test.
pub(crate) struct Root(pub(crate) PathBuf);

impl Root {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("muster-node-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(std::fs::canonicalize(path).unwrap())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// An API server with a node.
pub(crate) struct Cluster {
    embedded: Embedded,
    pub(crate) client: Client,
    pub(crate) node: Arc<Node>,
    running: JoinHandle<Result<(), Error>>,
    stop: CancellationToken,
}

pub(crate) fn config(client: Client, root: &Path) -> Config {
    Config {
        client,
        name: "local".to_owned(),
        address: Ipv4Addr::LOCALHOST.into(),
        labels: BTreeMap::new(),
        root: root.to_owned(),
        images: [
            ("sh", Program::new("/bin/sh")),
            ("gone", Program::new("/no/such/program")),
        ]
        .into_iter()
        .collect(),
        helper: vec![env!("CARGO_BIN_EXE_node-owner").into(), "__node".into()],
        environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        capacity: Capacity::of_host(110),
        ports: PORTS,
        clock: Arc::new(jiff::Timestamp::now),
    }
}

pub(crate) fn api_server() -> (Embedded, Client) {
    let counter = AtomicU64::new(1);
    let uids = Arc::new(move || {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        format!("00000000-0000-4000-8000-{number:012}")
    });
    let embedded = Embedded::builder(Arc::new(jiff::Timestamp::now), uids)
        .start()
        .unwrap();
    let client = embedded.client(User::authenticated("admin", &[MASTERS]));
    (embedded, client)
}

impl Cluster {
    pub(crate) fn start(root: &Root) -> Self {
        let (embedded, client) = api_server();
        Self::with(embedded, client, root)
    }

    pub(crate) fn with(embedded: Embedded, client: Client, root: &Root) -> Self {
        let node = Arc::new(Node::new(config(client.clone(), &root.0)));
        embedded.attach(node.clone());
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let (node, stop) = (node.clone(), stop.clone());
            async move { node.run(stop).await }
        });
        Self {
            embedded,
            client,
            node,
            running,
            stop,
        }
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "default")
    }

    pub(crate) async fn create(&self, name: &str, spec: Value) -> Pod {
        let pod = json!({ "metadata": { "name": name, "labels": { "app": name } }, "spec": spec });
        let mut pod: Pod = serde_json::from_value(pod).unwrap();
        pod.spec.as_mut().unwrap().node_name = Some("local".to_owned());
        self.pods()
            .create(&PostParams::default(), &pod)
            .await
            .unwrap()
    }

    /// Waits until the pod is as it should be.
    pub(crate) async fn until(&self, name: &str, is_so: impl Fn(&Pod) -> bool) -> Pod {
        let condition = |pod: Option<&Pod>| pod.is_some_and(&is_so);
        let waiting = await_condition(self.pods(), name, condition);
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(pod) => pod.unwrap().unwrap(),
            Err(late) => panic!("{late}: {:#?}", self.pods().get(name).await.unwrap().status),
        }
    }

    pub(crate) async fn until_gone(&self, name: &str) {
        let gone = |pod: Option<&Pod>| pod.is_none();
        let waiting = await_condition(self.pods(), name, gone);
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap()
            .unwrap();
    }

    pub(crate) async fn logs(&self, name: &str, parameters: &LogParams) -> String {
        self.pods().logs(name, parameters).await.unwrap()
    }

    /// Waits until the only container of a pod has written a line.
    pub(crate) async fn until_said(&self, name: &str, expected: &str) {
        let follow = LogParams {
            follow: true,
            ..LogParams::default()
        };
        let mut lines = self.pods().log_stream(name, &follow).await.unwrap().lines();
        let reading = async {
            while let Some(line) = lines.try_next().await.unwrap() {
                if line == expected {
                    return;
                }
            }
            panic!("{name} ended without a word");
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap();
    }

    pub(crate) async fn delete(&self, name: &str, grace: u32) {
        let parameters = DeleteParams::default().grace_period(grace);
        self.pods().delete(name, &parameters).await.unwrap();
    }

    pub(crate) async fn events(&self, reason: &str) -> Vec<String> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let events = events.list(&ListParams::default()).await.unwrap();
        events
            .into_iter()
            .filter(|event| event.reason.as_deref() == Some(reason))
            .filter_map(|event| event.message)
            .collect()
    }

    pub(crate) async fn stop(self) -> (Embedded, Client) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.running).await;
        ended.unwrap().unwrap().unwrap();
        (self.embedded, self.client)
    }
}

pub(crate) fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref().unwrap();
    status.phase.as_deref().unwrap_or_default()
}

/// `waiting REASON`, `running` or `ended CODE` of a container.
pub(crate) fn state(pod: &Pod, container: &str) -> String {
    let Some(status) = pod.status.as_ref() else {
        return String::new();
    };
    let inits = status.init_container_statuses.iter().flatten();
    let mut all = inits.chain(status.container_statuses.iter().flatten());
    let Some(status) = all.find(|status| status.name == container) else {
        return String::new();
    };
    let state = status.state.clone().unwrap_or_default();
    if let Some(waiting) = state.waiting {
        format!("waiting {}", waiting.reason.unwrap_or_default())
    } else if let Some(ended) = state.terminated {
        format!("ended {}", ended.exit_code)
    } else {
        "running".to_owned()
    }
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().unwrap().conditions.iter().flatten();
    conditions
        .filter(|condition| condition.type_ == "Ready")
        .any(|condition| condition.status == "True")
}

pub(crate) fn script(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": "sh", "args": ["-c", script] })
}

/// Runs until it is asked to end, and says so.
pub(crate) const PATIENT: &str =
    "exec 2>&-; trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done";

pub(crate) fn exists(pid: u32) -> bool {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::test_kill_process(pid).is_ok()
}
