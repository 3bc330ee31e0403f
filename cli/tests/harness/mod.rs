//! Starts the command in a directory and on ports of its own, and waits for what it does.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Config, Resource};
use proto::allocation::allocation_service_client::AllocationServiceClient;
use proto::allocation::{AllocationRequest, AllocationResponse, GameServerSelector};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::UdpSocket;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tonic::transport::Endpoint;

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Time between two looks at what tells nobody of its changes.
const LOOK: Duration = Duration::from_millis(50);

/// Counts what this test run made, so that each has names and ports of its own.
static MADE: AtomicU16 = AtomicU16::new(0);

/// A directory that goes with its value.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("muster-dev-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left is in the directory for temporary files.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A running `muster dev`; killed with its value.
pub(crate) struct Muster {
    child: Child,
    port: u16,
    said: Said,
    client: Client,
}

/// What a process wrote.
type Said = Arc<Mutex<String>>;

impl Muster {
    /// Starts it and waits for its welcome.
    pub(crate) async fn start(directory: &Directory, arguments: &[&str]) -> Self {
        let port = free_ports();
        let (child, said, _readers) = spawn(directory, port, arguments);
        until("the welcome", || {
            said.lock().unwrap().contains("Muster runs")
        })
        .await;
        let kubeconfig = Kubeconfig::read_from(directory.path().join("kubeconfig")).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .unwrap();
        Self {
            child,
            port,
            said,
            client: Client::try_from(config).unwrap(),
        }
    }

    /// The first of its ports.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What it wrote until now.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Objects in the namespace `default`.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::default_namespaced(self.client.clone())
    }

    /// Waits until an object is there and as it should be.
    pub(crate) async fn until<K>(&self, api: &Api<K>, name: &str, is_right: impl Fn(&K) -> bool)
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + DeserializeOwned + 'static,
    {
        let condition = |object: Option<&K>| object.is_some_and(&is_right);
        let met = await_condition(api.clone(), name, condition);
        let Ok(result) = tokio::time::timeout(PATIENCE, met).await else {
            panic!("{name} did not become right\n{}", self.said());
        };
        result.unwrap();
    }

    /// Allocates a server of a fleet.
    pub(crate) async fn allocate(&self, fleet: &str) -> AllocationResponse {
        let endpoint = format!("http://127.0.0.1:{}", self.port + 2);
        let endpoint = Endpoint::from_shared(endpoint).unwrap();
        let mut allocator = AllocationServiceClient::new(endpoint.connect().await.unwrap());
        let labels = [(crds::meta::FLEET_LABEL.to_owned(), fleet.to_owned())];
        let request = AllocationRequest {
            namespace: "default".to_owned(),
            game_server_selectors: vec![GameServerSelector {
                match_labels: labels.into(),
                ..GameServerSelector::default()
            }],
            ..AllocationRequest::default()
        };
        allocator.allocate(request).await.unwrap().into_inner()
    }

    /// The body and the address of the registration that the welcome tells to try.
    pub(crate) fn registration(&self) -> (Value, String) {
        let said = self.said();
        let line = said.lines().find(|line| line.ends_with("/register"));
        let line = line.unwrap().trim().strip_prefix("curl --json '").unwrap();
        let (body, url) = line.split_once("' ").unwrap();
        (serde_json::from_str(body).unwrap(), url.to_owned())
    }

    /// Posts JSON. The port is open from the start, so that who is too early waits in its queue.
    pub(crate) async fn ask(&self, url: &str, body: &Value) -> reqwest::Response {
        let client = reqwest::Client::new();
        let asked = client.post(url).json(body).timeout(PATIENCE).send().await;
        asked.unwrap()
    }

    /// Posts JSON, and takes the answer to a request that must succeed.
    pub(crate) async fn post(&self, url: &str, body: &Value) -> Value {
        let answer = self.ask(url, body).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{status}: {text}\n{}", self.said());
        serde_json::from_str(&text).unwrap()
    }

    /// Ends it as Ctrl-C does.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        signal("-TERM", self.child.id().unwrap()).await;
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .unwrap()
            .unwrap()
    }

    /// Ends it without warning.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Sends a signal to a process.
pub(crate) async fn signal(name: &str, id: u32) {
    let sent = Command::new("kill")
        .args([name, &id.to_string()])
        .status()
        .await;
    assert!(sent.unwrap().success());
}

/// Starts it where it must refuse to run. Returns its exit status and what it wrote.
pub(crate) async fn refused(directory: &Directory, arguments: &[&str]) -> (ExitStatus, String) {
    let (mut child, said, readers) = spawn(directory, free_ports(), arguments);
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
    let status = ended.unwrap().unwrap();
    // Its last words may still be on their way through the pipes, until these end.
    for reader in readers {
        reader.await.unwrap();
    }
    let text = said.lock().unwrap().clone();
    (status, text)
}

fn spawn(
    directory: &Directory,
    port: u16,
    arguments: &[&str],
) -> (Child, Said, [JoinHandle<()>; 2]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command
        .args(["dev", "--dir"])
        .arg(directory.path())
        .args(arguments);
    if !arguments.contains(&"--port") {
        command.args(["--port", &port.to_string()]);
    }
    let first = 30_000 + (port - FIRST_PORT) * 10;
    let mut child = command
        .args(["--game-ports", &format!("{first}-{}", first + 49)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let said = Said::default();
    let readers = [
        collect(child.stdout.take().unwrap(), &said),
        collect(child.stderr.take().unwrap(), &said),
    ];
    (child, said, readers)
}

fn collect(stream: impl AsyncRead + Unpin + Send + 'static, said: &Said) -> JoinHandle<()> {
    let said = Arc::clone(said);
    let mut lines = BufReader::new(stream).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let mut said = said.lock().unwrap();
            said.push_str(&line);
            said.push('\n');
        }
    })
}

/// Ports of the instances begin here: below those that the node and the system give away.
const FIRST_PORT: u16 = 17_000;

/// Ports in a row that one takes.
const PORTS: u16 = 10;

/// Ports in a row that nobody listens on.
fn free_ports() -> u16 {
    loop {
        let first = FIRST_PORT + MADE.fetch_add(1, Ordering::Relaxed) % 180 * PORTS;
        let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if (first..first + PORTS).all(is_free) {
            return first;
        }
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    until_async(what, async || is_so()).await;
}

/// Waits until something is so that must be asked for.
pub(crate) async fn until_async(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            if is_so().await {
                return;
            }
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "waited in vain for {what}");
}

/// Ids of the processes that run the containers of pods.
pub(crate) fn processes(pods: &[Pod]) -> Vec<u32> {
    let statuses = pods.iter().filter_map(|pod| pod.status.as_ref());
    statuses
        .flat_map(|status| {
            let games = status.container_statuses.iter().flatten();
            games.chain(status.init_container_statuses.iter().flatten())
        })
        .filter_map(process)
        .collect()
}

/// Id of the process that runs the game of a pod: the SDK server beside it is an init container.
pub(crate) fn game(pod: &Pod) -> Option<u32> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    containers.iter().find_map(process)
}

fn process(container: &ContainerStatus) -> Option<u32> {
    container.state.as_ref()?.running.as_ref()?;
    let id = container
        .container_id
        .as_ref()?
        .strip_prefix("process://")?;
    id.parse().ok()
}

/// Whether a process runs; one that has ended and was not waited for does not.
pub(crate) fn is_alive(id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    status
        .lines()
        .any(|line| line.starts_with("State:") && !line.contains('Z'))
}

/// Sends a message by UDP and returns the answer.
pub(crate) async fn echo(address: &str, message: &str) -> String {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(address).await.unwrap();
    socket.send(message.as_bytes()).await.unwrap();
    let mut buffer = [0; 1024];
    let received = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await;
    let length = received.unwrap().unwrap();
    String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
}
