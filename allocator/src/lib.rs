//! The allocator: hands out game servers.
//!
//! It follows the game servers and nodes of the cluster into an index ([`cache`], [`index`]), and
//! answers a request by a choice from it ([`request`], [`select`]) and one guarded write
//! ([`commit`]). Several replicas may run: the guard decides races between them. A request with an
//! id has one server, however often it comes ([`guard`], [`allocate::once`]), and its players get
//! connect tokens ([`keys`], [`tokens`]).
//!
//! Start reading at [`allocate`]: the life of one request.

pub mod allocate;
pub mod api;
pub mod args;
pub mod cache;
pub mod call;
pub mod client;
pub mod commit;
pub mod config;
#[cfg(test)]
mod fake;
pub mod guard;
pub mod ids;
pub mod index;
pub mod keys;
pub mod match_api;
pub mod matches;
pub mod metrics;
pub mod object;
pub mod players;
pub mod request;
pub mod rest;
pub mod select;
pub mod selector;
pub mod serve;
pub mod servers;
pub mod status;
pub mod tokens;
pub mod validate;

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use kube::Client;
use proto::allocation::allocation_service_server::AllocationServiceServer;
use proto::muster::allocation::v1::allocator_server::AllocatorServer;
use runtime::admin::Admin;
use runtime::serve::Server;
use runtime::tls::Reloading;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::server::NamedService as _;
use tonic_health::server::HealthReporter;

pub use args::Args;
pub use config::Config;

use allocate::Allocator;
use allocate::once::Once;
use api::Api;
use cache::Follow;
use guard::{Guards, Sweep};
use keys::Keys;
use match_api::MatchApi;
use matches::Matches;
use metrics::Metrics;
use servers::Servers;

/// Readiness gate: the process has not been told to end.
const RUNNING: &str = "running";

/// How often the gRPC health service learns of readiness.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// Why the allocator ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Metrics could not be registered.
    #[error("register metrics")]
    Metrics(#[from] prometheus::Error),
    /// The API server cannot be reached by the configuration at hand.
    #[error("connect to the API server")]
    Client(#[from] client::Error),
    /// The certificates cannot be used.
    #[error("load certificates")]
    Tls(#[from] runtime::tls::Error),
    /// A port could not be opened.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// A task ended that should have run on.
    #[error("task {0} ended")]
    Ended(&'static str),
}

/// Runs the allocator until `stop` is cancelled.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), Error> {
    Replica::new(client::infer().await?, config, replica())?
        .run(stop)
        .await
}

/// One replica of the allocator before it runs: for processes that host more than it.
#[derive(Debug)]
pub struct Replica {
    admin: Admin,
    metrics: Metrics,
    background: Background,
    allocator: Allocator,
    api: Api,
    match_api: MatchApi,
    config: Config,
}

/// What goes on without any caller.
#[derive(Debug)]
struct Background {
    follow: Follow,
    own_namespace: String,
    keys: Keys,
    guards: Guards,
    /// Spreads the replicas' work over time.
    share: f64,
}

impl Background {
    /// Ends, by its first part that does, only because of a defect.
    async fn run(self) -> &'static str {
        let Follow {
            client,
            namespaces,
            servers,
            matches,
            metrics,
            ..
        } = self.follow.clone();
        let keys = keys::follow(client, self.own_namespace, self.keys, metrics.clone());
        let sweep = Sweep {
            guards: self.guards,
            namespaces,
            servers,
            matches,
            metrics,
        };
        tokio::select! {
            () = cache::follow(self.follow) => "cache",
            () = keys => "connect keys",
            () = sweep.run(self.share) => "guards",
        }
    }
}

impl Replica {
    /// A replica that reaches the API server by `client`, which must not repeat calls by itself.
    /// No other replica may have the same `number`, before or after: [`replica`] gives one.
    pub fn new(client: Client, config: Config, number: u128) -> Result<Self, Error> {
        let admin = Admin::default();
        admin.open(RUNNING);
        admin.close(cache::CACHES, "starting");
        let servers = Servers::default();
        let metrics = Metrics::register(admin.registry(), servers.clone())?;
        let matches = Matches::default();
        let keys = Keys::new(servers.clone());
        let limits = config.bounds.commit;
        let guards = Guards::new(client.clone(), &config.own_namespace, limits);
        let background = Background {
            follow: Follow {
                client: client.clone(),
                namespaces: config.namespaces.clone(),
                servers: servers.clone(),
                matches: matches.clone(),
                admin: admin.clone(),
                metrics: metrics.clone(),
            },
            own_namespace: config.own_namespace.clone(),
            keys: keys.clone(),
            guards: guards.clone(),
            share: f64::from((number & 0xff) as u8) / f64::from(u8::MAX),
        };
        let allocator = Allocator::new(
            servers.clone(),
            client,
            config.bounds,
            metrics.clone(),
            Once {
                guards,
                matches: matches.clone(),
            },
            number,
        );
        let (metrics_of_api, settings) = (metrics.clone(), config.settings);
        let api = Api::new(allocator.clone(), servers.clone(), metrics_of_api, settings);
        let match_api = MatchApi::new(
            allocator.clone(),
            servers,
            matches,
            keys,
            metrics.clone(),
            settings,
        );
        Ok(Self {
            admin,
            metrics,
            background,
            allocator,
            api,
            match_api,
            config,
        })
    }

    /// Readiness and metrics.
    pub const fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The allocation API of Agones, for callers in the same process.
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// The allocation API by request ids, for callers in the same process.
    pub const fn match_api(&self) -> &MatchApi {
        &self.match_api
    }

    /// Follows the cluster without any listening socket, for as long as it is polled: callers come
    /// by [`Replica::api`] and [`Replica::match_api`].
    pub async fn follow(self) {
        self.background.run().await;
    }

    /// Serves until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let Self {
            admin,
            metrics,
            background,
            allocator,
            api,
            match_api,
            config,
        } = self;
        // First up and last down.
        let admin_stop = CancellationToken::new();
        let _admin_ends_with_us = admin_stop.clone().drop_guard();
        let mut tasks = JoinSet::new();
        let admin_server = admin.clone().serve(config.admin_address, admin_stop);
        tasks.spawn(async move {
            if let Err(error) = admin_server.await {
                tracing::error!(%error, "Health and metrics could not be served");
            }
            "admin"
        });
        let tls = match config.tls.clone() {
            Some(files) => {
                let tls = Reloading::load(files)?;
                let follow = tls.clone().follow(stop.clone());
                tasks.spawn(async move {
                    follow.await;
                    "certificates"
                });
                Some(tls)
            }
            None => None,
        };
        let listener = TcpListener::bind(config.address)
            .await
            .map_err(|source| Error::Listen {
                address: config.address,
                source,
            })?;
        tasks.spawn(background.run());
        let (health_reporter, health) = tonic_health::server::health_reporter();
        tasks.spawn(report_health(admin.clone(), health_reporter));
        let server = Server {
            router: serve::router(api, match_api.clone(), health),
            tls,
            connections: config.connections,
            timeout: config.settings.timeout,
            count: metrics,
        };
        let close = CancellationToken::new();
        tracing::info!(address = %config.address, tls = config.tls.is_some(), "Serving allocations");
        let mut serving =
            AbortOnDropHandle::new(tokio::spawn(server.serve(listener, close.clone())));
        tokio::select! {
            // Some tasks end by `stop` too.
            biased;
            () = stop.cancelled() => {}
            Some(ended) = tasks.join_next() => {
                return Err(Error::Ended(ended.unwrap_or("that panicked")));
            }
            _ = &mut serving => return Err(Error::Ended("server")),
        }
        admin.close(RUNNING, "shutting down");
        tokio::time::sleep(config.shutdown_delay).await;
        close.cancel();
        match_api.end_watches();
        let drain = async {
            // A panic was logged by its own hook, and nothing is left to serve.
            drop((&mut serving).await);
            allocator.drain().await;
        };
        if tokio::time::timeout(config.drain_timeout, drain)
            .await
            .is_err()
        {
            tracing::warn!("Ended with requests in flight");
        }
        Ok(())
    }
}

/// Keeps `grpc.health.v1.Health` in step with readiness.
async fn report_health(admin: Admin, reporter: HealthReporter) -> &'static str {
    type Agones = AllocationServiceServer<Api>;
    type Muster = AllocatorServer<MatchApi>;
    let mut interval = tokio::time::interval(HEALTH_INTERVAL);
    loop {
        interval.tick().await;
        let status = if admin.closed().is_empty() {
            tonic_health::ServingStatus::Serving
        } else {
            tonic_health::ServingStatus::NotServing
        };
        for name in ["", Agones::NAME, Muster::NAME] {
            reporter.set_service_status(name, status).await;
        }
    }
}

/// A number that no other process has: the keys of a hasher come from the system's randomness.
pub fn replica() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(0_u8));
    (half() << 64) | half()
}
