//! The life of `muster dev`: what starts in which order, and how it ends.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use embedded::access::{MASTERS, User};
use embedded::node::{self, Capacity, Images, Node, Program};
use embedded::server::Identity;
use embedded::{Clock, Embedded};
use kube::Client;
use runtime::service::Problems;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::accounts::Accounts;
use super::args::{Config, Ports};
use super::certificates::Authority;
use super::directory::{self, Access, Directory};
use super::lobby::Lobby;
use super::simulated::Games;
use super::{HELPER, folder, manifests, story};

/// User of the kubeconfig.
const ADMIN: &str = "muster-dev";
/// Namespace of the operator's own objects.
const SYSTEM: &str = "muster-system";
/// Name of the node of this machine.
const NODE: &str = "this-machine";
/// Pods of a node at most.
const PODS: u32 = 1000;

/// Images that are part of this program, and its commands for them.
const BUILT_IN: [(&str, &str); 3] = [
    (SDK_SERVER, "sdk-server"),
    (
        concat!("muster/arena-server:", env!("CARGO_PKG_VERSION")),
        "arena-server",
    ),
    (
        concat!("muster/simple-server:", env!("CARGO_PKG_VERSION")),
        "simple-server",
    ),
];
const SDK_SERVER: &str = concat!("muster/sdk-server:", env!("CARGO_PKG_VERSION"));

/// Tasks by name; the first that ends early ends everything.
type Tasks = JoinSet<(&'static str, Result<()>)>;

/// Runs until the token is cancelled.
pub(crate) async fn run(config: Config, stop: CancellationToken) -> Result<()> {
    let began = Instant::now();
    let directory = Directory::open(&config.dir)?;
    let listeners = listen(config.ports).await?;
    let listener = listeners.api;
    let mut credentials = directory.credentials()?;
    let admin = credentials.identity(ADMIN, &[MASTERS])?;
    directory.keep(&credentials)?;
    let (authority, identity) = if config.http {
        let everybody = User::authenticated(ADMIN, &[MASTERS]);
        (None, Identity::BearerOr(everybody))
    } else {
        (Some(directory.authority()?), Identity::Bearer)
    };
    let tls = match &authority {
        Some(authority) => {
            let server = authority.server(config.ports.address());
            Some(server.with_context(|| directory::damaged(&directory.authority_path()))?)
        }
        None => None,
    };
    let ca = authority.as_ref().map(Authority::certificate);

    let clock: Clock = Arc::new(runtime::clock::now);
    let mut builder =
        Embedded::builder(clock.clone(), Arc::new(|| uuid::Uuid::new_v4().to_string()));
    builder = builder.credentials(credentials);
    if let Some(ca) = ca {
        builder = builder.root_certificate(ca.to_owned());
    }
    if let Some(data) = &config.data {
        builder = builder.data(data.clone());
    }
    let api = builder.start()?;
    // Only who has the data may touch what is beside them.
    let accounts = Accounts::prepare(&config, directory.path())?;
    let lobby = Lobby::prepare(&config, directory.path(), accounts.as_ref())?;
    let client = |name: &str| api.client(User::authenticated(name, &[MASTERS]));

    // Ended in this order, so that nobody misses whom it talks to.
    let control_stop = CancellationToken::new();
    let node_stop = CancellationToken::new();
    let mut control = Tasks::new();
    let mut nodes = Tasks::new();

    let serving = {
        let api = api.clone();
        async move {
            api.serve(listener, tls, identity).await;
            ("Kubernetes API", Ok(()))
        }
    };
    let mut server = Tasks::new();
    server.spawn(serving);
    let access = Access {
        address: config.ports.api(),
        ca,
        token: admin.token.expose(),
    };
    let kubeconfig =
        directory.write_secret("kubeconfig", &directory::kubeconfig(&access).to_string())?;

    let stopping = node_stop.clone();
    if config.nodes > 0 {
        let games = Games::new(client("muster-dev:games"), config.ports.hub());
        let simulated = node::simulated::Config {
            client: client("system:node:simulated"),
            prefix: "simulated-".to_owned(),
            nodes: config.nodes.into(),
            capacity: Capacity {
                cpu_millicores: 1_000_000,
                memory_bytes: 1 << 40,
                pods: PODS,
            },
            on_running: Some(Arc::new(move |pod| Box::pin(Arc::clone(&games).play(pod)))),
            clock,
        };
        nodes.spawn(async move {
            node::simulated::run(simulated, stopping).await;
            ("simulated nodes", Ok(()))
        });
    } else {
        let client = client("system:node:this-machine");
        let node = Arc::new(Node::new(node_config(&config, &directory, client, clock)?));
        api.attach(Arc::clone(&node) as Arc<dyn embedded::kubelet::Kubelet>);
        nodes.spawn(async move {
            let result = node.run(stopping).await;
            ("node", result.map_err(Into::into))
        });
    }

    create_namespace(&client(ADMIN)).await?;
    let operator =
        operator::Replica::new(&client("muster-dev:operator"), operator_config(&config)?)?;
    let stopping = control_stop.clone();
    control.spawn(async move {
        let result = operator.run(stopping).await;
        ("operator", result.map_err(Into::into))
    });
    let allocator = allocator::Replica::new(
        client("muster-dev:allocator"),
        allocator_config(config.ports)?,
        allocator::replica(),
    )?;
    let stopping = control_stop.clone();
    control.spawn(async move {
        let result = allocator.run(stopping).await;
        ("allocator", result.map_err(Into::into))
    });
    if let Some((accounts, (http, grpc))) = accounts.clone().zip(listeners.accounts) {
        let stopping = control_stop.clone();
        spawn_apart(&mut control, "accounts", || {
            accounts.run(http, grpc, stopping)
        });
    }
    if let Some((lobby, listener)) = lobby.clone().zip(listeners.lobby) {
        let stopping = control_stop.clone();
        spawn_apart(&mut control, "lobby", || lobby.run(listener, stopping));
    }
    let (storyteller, stopping) = (client(ADMIN), control_stop.clone());
    control.spawn(async move {
        story::follow_fleets(storyteller, began, stopping).await;
        ("story", Ok(()))
    });
    let (applier, stopping) = (client(ADMIN), control_stop.clone());
    let manifests = config.manifests.clone();
    control.spawn(async move {
        manifests::run(applier, manifests, stopping).await;
        ("manifests", Ok(()))
    });
    story::print_welcome(
        config.ports,
        &kubeconfig,
        accounts.as_ref(),
        began.elapsed(),
    );

    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        ended = first_of(&mut control) => ended,
        ended = first_of(&mut nodes) => ended,
        ended = first_of(&mut server) => ended,
    };
    control_stop.cancel();
    let controlled = all_of(&mut control).await;
    tracing::info!("Ending game servers");
    node_stop.cancel();
    let contained = all_of(&mut nodes).await;
    api.stop().await;
    let closed = all_of(&mut server).await;
    tracing::info!("Everything has ended");
    ended.and(controlled).and(contained).and(closed)
}

/// Runs a task on a thread of its own: of some futures the compiler cannot tell that they may change
/// threads.
fn spawn_apart<Task: Future<Output = Result<()>>>(
    tasks: &mut Tasks,
    name: &'static str,
    begin: impl FnOnce() -> Task + Send + 'static,
) {
    let runtime = tokio::runtime::Handle::current();
    tasks.spawn_blocking(move || (name, runtime.block_on(begin())));
}

/// The first task that ends, which is one too many.
async fn first_of(tasks: &mut Tasks) -> Result<()> {
    match tasks.join_next().await {
        None => std::future::pending().await,
        Some(Ok((name, Err(error)))) => Err(error.context(name)),
        Some(Ok((name, Ok(())))) => bail!("the {name} ended by itself"),
        Some(Err(error)) => Err(error.into()),
    }
}

/// Waits for all tasks; their own time limits bound it.
async fn all_of(tasks: &mut Tasks) -> Result<()> {
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let ended = match ended {
            Ok((name, result)) => result.context(name),
            Err(error) => Err(error.into()),
        };
        result = result.and(ended);
    }
    result
}

/// Ports that stay open from the start.
struct Listeners {
    api: TcpListener,
    /// HTTP and gRPC.
    accounts: Option<(TcpListener, TcpListener)>,
    lobby: Option<TcpListener>,
}

/// Opens the ports of the API, of accounts and of the lobby, and sees that the others are free: each
/// opens its own later.
async fn listen(ports: Ports) -> Result<Listeners> {
    let mut open = BTreeMap::new();
    for (what, address) in ports.all() {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("{what} cannot listen on {address}: choose other ports with --port")
        })?;
        open.insert(address, listener);
    }
    let api = open.remove(&ports.api()).context("there is no port")?;
    let accounts = ports.accounts().and_then(|accounts| {
        let http = open.remove(&accounts.http)?;
        Some((http, open.remove(&accounts.grpc)?))
    });
    let lobby = ports.lobby().and_then(|lobby| open.remove(&lobby.http));
    Ok(Listeners {
        api,
        accounts,
        lobby,
    })
}

async fn create_namespace(client: &Client) -> Result<()> {
    let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> =
        kube::Api::all(client.clone());
    let namespace = k8s_openapi::api::core::v1::Namespace {
        metadata: kube::core::ObjectMeta {
            name: Some(SYSTEM.to_owned()),
            ..kube::core::ObjectMeta::default()
        },
        ..k8s_openapi::api::core::v1::Namespace::default()
    };
    let created = namespaces
        .create(&kube::api::PostParams::default(), &namespace)
        .await;
    match created {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        result => result
            .map(drop)
            .with_context(|| format!("make the namespace {SYSTEM}")),
    }
}

fn node_config(
    config: &Config,
    directory: &Directory,
    client: Client,
    clock: Clock,
) -> Result<node::Config> {
    let myself = std::env::current_exe().context("find the path of this program")?;
    let mut images = Images::default();
    for (image, command) in BUILT_IN {
        let program = Program {
            args: vec![command.to_owned()],
            ..Program::new(&myself)
        };
        images.insert(image, program);
    }
    for (image, path) in &config.images {
        let path = path
            .canonicalize()
            .with_context(|| format!("--image {image}: find {}", path.display()))?;
        images.insert(image, Program::new(path));
    }
    let helper: Vec<OsString> = vec![myself.into(), HELPER.into()];
    // Programs are found as in the user's shell; nothing else of it reaches them.
    let environment = ["PATH", "HOME", "LANG", "TMPDIR"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
        .collect::<BTreeMap<_, _>>();
    Ok(node::Config {
        client,
        name: NODE.to_owned(),
        address: config.ports.address(),
        labels: BTreeMap::new(),
        root: directory.node(),
        images,
        helper,
        environment,
        capacity: Capacity::of_host(PODS),
        ports: node::PORTS,
        clock,
    })
}

fn operator_config(config: &Config) -> Result<operator::Config> {
    let ports = config.ports;
    let mut words = vec![
        "operator".to_owned(),
        format!("--admin-address={}", ports.operator_admin()),
        format!("--hub-address={}", ports.hub()),
        format!("--hub-endpoint=https://{}", ports.hub()),
        format!("--sdk-image={SDK_SERVER}"),
        format!("--allocator-endpoint=http://{}", ports.allocator()),
        format!("--port-range=default={}", config.game_ports),
        format!("--pod-namespace={SYSTEM}"),
        // One process at a time holds the directory's lock, so the lease of the last one is ours.
        "--pod-name=muster-dev".to_owned(),
    ];
    if let Some(lobby) = ports.lobby() {
        words.push(format!("--console-lobby={}", folder::url(lobby.admin)));
    }
    let args = operator::Args::try_parse_from(words)?;
    operator::Config::try_from(args).map_err(told("operator"))
}

fn allocator_config(ports: Ports) -> Result<allocator::Config> {
    let args = allocator::Args::try_parse_from([
        "allocator".to_owned(),
        format!("--address={}", ports.allocator().ip()),
        format!("--port={}", ports.allocator().port()),
        format!("--admin-address={}", ports.allocator_admin()),
        "--disable-tls=true".to_owned(),
        format!("--pod-namespace={SYSTEM}"),
        "--shutdown-delay-seconds=0".to_owned(),
    ])?;
    allocator::Config::try_from(args).map_err(told("allocator"))
}

pub(super) fn told(service: &'static str) -> impl FnOnce(Problems) -> anyhow::Error {
    move |Problems(problems)| anyhow::anyhow!("{service}: {}", problems.join("; "))
}
