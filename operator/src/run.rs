//! The operator's life: gates, caches, hub, lease, controllers, and the way down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crds::{Fleet, FleetAutoscaler, GameServer, GameServerSet, MatchAllocation};
use kube::core::CustomResourceExt as _;
use kube::{Client, Resource};
use runtime::admin::Admin;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Channel;

use crate::config::Config;
use crate::console;
use crate::controller::Controller;
use crate::hub::{self, Certificates, Hub};
use crate::leader::Candidate;
use crate::matchallocation::{self, Allocator};
use crate::metrics::Metrics;
use crate::world::World;

/// Time between two looks for missing definitions.
const CRD_RETRY: Duration = Duration::from_secs(2);
/// Time limit of one look.
const CRD_LIMIT: Duration = Duration::from_secs(5);
/// Time that everything is given to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Objects of a kind that are looked at at once. Most of a reconcile is waiting for the API
/// server, and the API server is what bounds the whole.
const CONCURRENCY: u16 = 32;

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a kubeconfig nor a service account was found.
    #[error("find out how to reach the Kubernetes API")]
    Kubeconfig(#[source] kube::config::InferConfigError),
    /// The client could not be made.
    #[error("make the Kubernetes client")]
    Client(#[source] Box<kube::Error>),
    /// A metric could not be registered.
    #[error("register metrics")]
    Metrics(#[source] prometheus::Error),
    /// The allocator cannot be reached as it is configured.
    #[error("set up the connection to the allocator")]
    Allocator(#[source] matchallocation::ConnectError),
    /// A server ended early.
    #[error("serve {what}")]
    Serve {
        /// Which server.
        what: &'static str,
        /// Why it ended.
        #[source]
        source: std::io::Error,
    },
}

/// Runs the operator until the token is cancelled.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), Error> {
    Replica::new(&connect().await?, config)?.run(stop).await
}

/// One replica of the operator before it runs: for processes that host more than it.
#[derive(Debug)]
pub struct Replica {
    world: Arc<World>,
    admin: Admin,
    allocator: Allocator,
    listens: bool,
}

impl Replica {
    /// A replica that reaches the API server by `client`, which must not repeat calls by itself.
    pub fn new(client: &Client, config: Config) -> Result<Self, Error> {
        let admin = Admin::default();
        admin.close("crds", "not looked for yet");
        admin.close("caches", "not synced yet");
        admin.close("hub", "has no certificate yet");
        let metrics = Metrics::new(admin.registry()).map_err(Error::Metrics)?;
        let allocator = Allocator::new(&config.allocator).map_err(Error::Allocator)?;
        Ok(Self {
            world: World::new(config, client, metrics),
            admin,
            allocator,
            listens: true,
        })
    }

    /// Calls the allocator over this channel, whatever the configuration says.
    #[must_use]
    pub fn with_allocator(mut self, channel: Channel) -> Self {
        self.allocator = Allocator::over(channel);
        self
    }

    /// Opens no socket: health is told by [`Replica::admin`] alone, and the hub is reached by
    /// [`Replica::hub`] alone.
    #[must_use]
    pub fn without_listeners(mut self) -> Self {
        self.listens = false;
        self
    }

    /// Readiness and metrics.
    pub const fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The hub, for SDK servers in the same process.
    pub fn hub(&self) -> Hub {
        Hub::new(Arc::clone(&self.world))
    }

    /// Runs until the token is cancelled.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let Self {
            world,
            admin,
            allocator,
            listens,
        } = self;
        let allocator = Arc::new(allocator);
        if !listens {
            // Boxed, because it is large and would lie in every caller's future.
            return Box::pin(work(&world, &admin, allocator, None, &stop)).await;
        }
        // Health is first up and last down.
        let admin_stop = CancellationToken::new();
        let serving_admin = tokio::spawn(
            admin
                .clone()
                .with_routes(console::routes(&world))
                .serve(world.config.admin_address, admin_stop.clone()),
        );
        let address = Some(world.config.hub_address);
        let result = tokio::select! {
            result = Box::pin(work(&world, &admin, allocator, address, &stop)) => result,
            ended = serving_admin => Err(Error::Serve { what: "health and metrics", source: early(ended) }),
        };
        admin_stop.cancel();
        result
    }
}

async fn connect() -> Result<Client, Error> {
    let mut config = kube::Config::infer().await.map_err(Error::Kubeconfig)?;
    config.connect_timeout = Some(Duration::from_secs(5));
    // Our own backoff knows which calls may be repeated; a hidden retry of a create or of a lease
    // renewal would not.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| Error::Client(Box::new(error)))
}

async fn work(
    world: &Arc<World>,
    admin: &Admin,
    allocator: Arc<Allocator>,
    hub_address: Option<SocketAddr>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    if stop
        .run_until_cancelled(wait_for_definitions(&world.api.client, admin))
        .await
        .is_none()
    {
        return Ok(());
    }
    let tasks = TaskTracker::new();
    let watching = CancellationToken::new();
    world.watch(&tasks, &watching);
    if stop
        .run_until_cancelled(world.wait_until_synced())
        .await
        .is_none()
    {
        watching.cancel();
        return Ok(());
    }
    admin.open("caches");
    let Some(certificates) = Certificates::obtain(world, stop).await else {
        watching.cancel();
        return Ok(());
    };
    tasks.spawn(Arc::clone(&certificates).renew(Arc::clone(world), stop.clone()));
    let failed = |source| Error::Serve {
        what: "the hub",
        source,
    };
    let listener = match hub_address {
        Some(address) => {
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            tracing::info!(%address, "Serving the hub");
            Some(listener)
        }
        None => None,
    };
    admin.open("hub");
    // A replica whose hub has ended must not stay: SDK servers would find nobody behind it.
    let ending = stop.clone();
    let hub = async {
        let Some(listener) = listener else {
            stop.cancelled().await;
            return Ok(());
        };
        let ended = hub::serve(Arc::clone(world), certificates, listener, stop.clone()).await;
        ending.cancel();
        ended
    };
    let candidate = Candidate {
        client: world.api.client.clone(),
        namespace: world.config.namespace.clone(),
        lease_name: world.config.lease_name.clone(),
        identity: world.config.identity.clone(),
        timing: world.config.lease,
    };
    let leading = candidate.run(stop.clone(), |lost| {
        let (world, allocator) = (Arc::clone(world), Arc::clone(&allocator));
        async move {
            world.metrics.leader.set(1);
            // Boxed, because it is large.
            Box::pin(lead(&world, &allocator, lost)).await;
            world.metrics.leader.set(0);
        }
    });
    let (hub, ()) = tokio::join!(hub, leading);
    watching.cancel();
    tasks.close();
    if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
        tracing::warn!(tasks = tasks.len(), "Tasks did not end in time");
    }
    hub.map_err(failed)
}

/// Runs every controller until leadership is lost.
async fn lead(world: &Arc<World>, allocator: &Arc<Allocator>, lost: CancellationToken) {
    // The watch may be behind the last writes of the former leader. Planning on that would give a
    // port twice or make a server twice.
    let refreshed = lost.run_until_cancelled(async {
        while let Err(error) = refresh(world).await {
            let error = runtime::service::chain(&error);
            tracing::warn!(error, "New leader could not read the state");
            tokio::time::sleep(CRD_RETRY).await;
        }
    });
    if refreshed.await.is_none() {
        return;
    }
    tracing::info!("Controllers started");
    let metrics = || world.metrics.clone();
    let queues = &world.queues;
    let servers = Controller {
        name: "gameserver",
        cache: Arc::clone(&world.servers),
        queue: Arc::clone(&queues.servers),
        concurrency: CONCURRENCY,
    };
    let sets = Controller {
        name: "gameserverset",
        cache: Arc::clone(&world.sets),
        queue: Arc::clone(&queues.sets),
        concurrency: CONCURRENCY,
    };
    let fleets = Controller {
        name: "fleet",
        cache: Arc::clone(&world.fleets),
        queue: Arc::clone(&queues.fleets),
        concurrency: CONCURRENCY,
    };
    let autoscalers = Controller {
        name: "fleetautoscaler",
        cache: Arc::clone(&world.autoscalers),
        queue: Arc::clone(&queues.autoscalers),
        concurrency: CONCURRENCY,
    };
    let matches = Controller {
        name: "matchallocation",
        cache: Arc::clone(&world.matches),
        queue: Arc::clone(&queues.matches),
        concurrency: CONCURRENCY,
    };
    let with = || Arc::clone(world);
    let for_servers = with();
    let for_sets = with();
    let for_fleets = with();
    let for_autoscalers = with();
    let for_matches = with();
    let allocator = Arc::clone(allocator);
    tokio::join!(
        servers.run(metrics(), lost.clone(), move |server| {
            crate::gameserver::reconcile(Arc::clone(&for_servers), server)
        }),
        sets.run(metrics(), lost.clone(), move |set| {
            crate::gameserverset::reconcile(Arc::clone(&for_sets), set)
        }),
        fleets.run(metrics(), lost.clone(), move |fleet| {
            crate::fleet::reconcile(Arc::clone(&for_fleets), fleet)
        }),
        autoscalers.run(metrics(), lost.clone(), move |autoscaler| {
            crate::autoscaler::reconcile(Arc::clone(&for_autoscalers), autoscaler)
        }),
        matches.run(metrics(), lost.clone(), move |request| {
            matchallocation::reconcile(Arc::clone(&for_matches), Arc::clone(&allocator), request)
        }),
        hub::manage_ca(with(), lost.clone()),
        hub::manage_keys(with(), lost.clone()),
    );
}

async fn refresh(world: &World) -> Result<(), crate::error::Error> {
    world.pods.refresh().await?;
    world.servers.refresh().await?;
    world.sets.refresh().await?;
    world.fleets.refresh().await?;
    world.autoscalers.refresh().await?;
    world.matches.refresh().await
}

/// Waits until the API server serves all our kinds. A cluster where they are missing is not a
/// reason to crash, but to say so.
async fn wait_for_definitions(client: &Client, admin: &Admin) {
    let needed = [
        (
            GameServer::api_version(&()),
            GameServer::api_resource().plural,
        ),
        (
            GameServerSet::api_version(&()),
            GameServerSet::api_resource().plural,
        ),
        (Fleet::api_version(&()), Fleet::api_resource().plural),
        (
            MatchAllocation::api_version(&()),
            MatchAllocation::api_resource().plural,
        ),
        (
            FleetAutoscaler::api_version(&()),
            FleetAutoscaler::api_resource().plural,
        ),
    ];
    let mut interval = tokio::time::interval(CRD_RETRY);
    loop {
        interval.tick().await;
        let mut missing = Vec::new();
        for (version, plural) in &needed {
            let look = client.list_api_group_resources(version);
            let problem = match tokio::time::timeout(CRD_LIMIT, look).await {
                Ok(Ok(list)) if list.resources.iter().any(|found| found.name == *plural) => {
                    continue;
                }
                Ok(Ok(_)) => "not installed".to_owned(),
                Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                    "not installed".to_owned()
                }
                Ok(Err(error)) => runtime::service::chain(&error),
                Err(_) => "the API server does not answer".to_owned(),
            };
            missing.push(format!("{plural} of {version}: {problem}"));
        }
        if missing.is_empty() {
            admin.open("crds");
            return;
        }
        let reason = missing.join("; ");
        tracing::warn!(reason, "Waiting for custom resource definitions");
        admin.close("crds", reason);
    }
}

fn early(ended: Result<std::io::Result<()>, tokio::task::JoinError>) -> std::io::Error {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) => std::io::Error::other("ended early"),
        Err(error) => std::io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicBool, Ordering};

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// An API server that answers discovery alone, with the autoscaler's group on demand.
    fn discovery(with_autoscaler: &Arc<AtomicBool>) -> Client {
        let with_autoscaler = Arc::clone(with_autoscaler);
        let service = tower::service_fn(move |request: Request<Body>| {
            let present = with_autoscaler.load(Ordering::SeqCst);
            async move {
                let resource = |name: &str| json!({ "name": name, "singularName": "", "namespaced": true, "kind": name, "verbs": [] });
                let list = |version: &str, names: &[&str]| {
                    let resources: Vec<_> = names.iter().map(|name| resource(name)).collect();
                    json!({ "kind": "APIResourceList", "groupVersion": version, "resources": resources })
                };
                let (code, body) = match request.uri().path() {
                    "/apis/muster.dev/v1" => {
                        let names = [
                            "gameservers",
                            "gameserversets",
                            "fleets",
                            "matchallocations",
                        ];
                        (200, list("muster.dev/v1", &names))
                    }
                    "/apis/autoscaling.muster.dev/v1" if present => (
                        200,
                        list("autoscaling.muster.dev/v1", &["fleetautoscalers"]),
                    ),
                    _ => (
                        404,
                        json!({ "kind": "Status", "status": "Failure", "code": 404 }),
                    ),
                };
                let body = Body::from(body.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_definition_keeps_the_operator_unready_and_is_named() {
        let present = Arc::new(AtomicBool::new(false));
        let admin = Admin::default();
        admin.close("crds", "not looked for yet");
        let client = discovery(&present);
        let waiting = tokio::spawn({
            let admin = admin.clone();
            async move { wait_for_definitions(&client, &admin).await }
        });
        while !admin
            .closed()
            .iter()
            .any(|(_, reason)| reason.contains("fleetautoscalers"))
        {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            admin.closed(),
            [(
                "crds",
                "fleetautoscalers of autoscaling.muster.dev/v1: not installed".to_owned()
            )]
        );
        present.store(true, Ordering::SeqCst);
        waiting.await.unwrap();
        assert!(admin.closed().is_empty());
    }
}
