//! The life of the process: what starts in which order, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use prometheus::{IntGauge, Registry};
use proto::muster::auth::v1::auth_server::AuthServer;
use runtime::admin::Admin;
use runtime::serve::{Count, Server};
use runtime::tls::{Files, Reloading};
use runtime::trace::ServerSpans;
use storage::start;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tonic::server::NamedService;

use crate::assemble::{self, Assembled, assemble};
use crate::backup::copies::Copies;
use crate::config::Config;
use crate::edge::Edge;
use crate::maintenance;
use crate::metrics::Metrics;

/// Readiness gate: the process has begun and has not been told to end.
const RUNNING: &str = "running";

/// Readiness gate: the database answers.
const DATABASE: &str = "database";

/// Readiness gate: signing keys are current.
const KEYS: &str = "signing keys";

/// How often gates are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Largest gRPC message.
const MESSAGE: usize = 64 * 1024;

/// Why auth ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be put together.
    #[error(transparent)]
    Assemble(#[from] assemble::Error),
    /// Metrics could not be registered.
    #[error("register metrics")]
    Metrics(#[from] prometheus::Error),
    /// The certificates cannot be used.
    #[error("load certificates")]
    Tls(#[from] runtime::tls::Error),
    /// A port could not be opened.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// A task ended that should have run on.
    #[error("task {0} ended")]
    Ended(&'static str),
    /// A command failed.
    #[error(transparent)]
    Maintenance(#[from] maintenance::Error),
}

/// Counts connections of one port.
#[derive(Clone, Debug)]
struct Connections(IntGauge);

/// An open connection.
#[derive(Debug)]
struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Count for Connections {
    type Open = Open;

    fn connected(&self) -> Open {
        self.0.inc();
        Open(self.0.clone())
    }

    fn refused(&self) {
        tracing::warn!("A connection was refused: there are as many as may be");
    }
}

/// Runs auth, or does what the command says, until `stop` is cancelled.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), Error> {
    match &config.command {
        None => {
            let http = listen(config.address).await?;
            let grpc = listen(config.grpc_address).await?;
            serve(config, Admin::default(), http, grpc, stop).await
        }
        Some(command) => Ok(maintenance::run(&config, command, stop).await?),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })
}

/// Serves on sockets that are open already, for processes that host more than auth.
pub async fn serve(
    config: Config,
    admin: Admin,
    http: TcpListener,
    grpc: TcpListener,
    stop: CancellationToken,
) -> Result<(), Error> {
    admin.close(RUNNING, "starting");
    let metrics = Metrics::register(admin.registry())?;
    // First up and last down.
    let admin_stop = CancellationToken::new();
    let _admin_ends_with_us = admin_stop.clone().drop_guard();
    let admin_server = admin.clone().serve(config.admin_address, admin_stop);
    let serving = async move {
        match assemble(&config, metrics, &stop).await {
            // It was told to end while it waited: that is no failure.
            Err(assemble::Error::Start(start::Error::Stopped(_))) => Ok(()),
            assembled => host(config, assembled?, admin, http, grpc, stop).await,
        }
    };
    tokio::select! {
        ended = serving => ended,
        ended = admin_server => {
            if let Err(error) = ended {
                tracing::error!(%error, "Health and metrics could not be served");
            }
            Err(Error::Ended("admin"))
        }
    }
}

/// Serves what was put together, for who needs the service beside its sockets.
pub async fn host(
    config: Config,
    assembled: Assembled,
    admin: Admin,
    http: TcpListener,
    grpc: TcpListener,
    stop: CancellationToken,
) -> Result<(), Error> {
    assembled.service.export(admin.registry())?;
    let copies = copies(&config, &assembled, admin.registry())?;
    let close = CancellationToken::new();
    let edge = Edge {
        origin: config.settings.issuer.as_str().into(),
        proxies: config.file.proxies(&mut Vec::new()).into(),
        secrets: Arc::clone(&assembled.secrets),
        nonces: config.file.dpop_nonces,
        stop: close.clone(),
        sockets: TaskTracker::new(),
    };
    let sockets = edge.sockets.clone();
    let mut tasks = JoinSet::new();
    let http_tls = certificates(config.tls.clone(), &mut tasks, &stop)?;
    let grpc_tls = certificates(config.grpc_tls.clone(), &mut tasks, &stop)?;
    let metrics = assembled.service.metrics();
    let server = |router, tls, name| Server {
        router,
        tls,
        connections: config.connections,
        // The routers' own limit comes first, whose answer has the shape of every failure.
        timeout: config.request_timeout + Duration::from_secs(1),
        count: Connections(metrics.connections(name)),
    };
    let mut servers = JoinSet::new();
    let router = grpc_router(&assembled, &edge, config.request_timeout);
    servers.spawn(server(router, grpc_tls, "grpc").serve(grpc, close.clone()));
    let router = crate::http::router(assembled.service.clone(), edge, config.request_timeout);
    servers.spawn(server(router, http_tls, "http").serve(http, close.clone()));
    let background_stop = CancellationToken::new();
    let background = background(assembled, copies, admin.clone(), background_stop.clone());
    let serving = Serving {
        servers,
        tasks,
        background: AbortOnDropHandle::new(tokio::spawn(background)),
        sockets,
        close,
        background_stop,
    };
    admin.open(RUNNING);
    tracing::info!(
        http = %config.address,
        grpc = %config.grpc_address,
        tls = config.tls.is_some(),
        issuer = config.settings.issuer,
        "Serving accounts"
    );
    serving.until_told(&config, &admin, stop).await
}

/// What runs while auth serves, and how each is told to end.
struct Serving {
    /// Those of the ports; they end by `close`, as do sockets.
    servers: JoinSet<()>,
    /// What follows files; they end by the process's token.
    tasks: JoinSet<&'static str>,
    /// What goes on without callers, to the end of the last one.
    background: AbortOnDropHandle<()>,
    sockets: TaskTracker,
    close: CancellationToken,
    background_stop: CancellationToken,
}

impl Serving {
    /// Serves until `stop`, and ends in order; an error where something ends by itself.
    async fn until_told(
        mut self,
        config: &Config,
        admin: &Admin,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        tokio::select! {
            // Some tasks end by `stop` too.
            biased;
            () = stop.cancelled() => {}
            Some(ended) = self.tasks.join_next() => {
                return Err(Error::Ended(ended.unwrap_or("that panicked")));
            }
            _ = self.servers.join_next() => return Err(Error::Ended("server")),
            _ = &mut self.background => return Err(Error::Ended("background")),
        }
        admin.close(RUNNING, "shutting down");
        tokio::time::sleep(config.shutdown_delay).await;
        self.close.cancel();
        let drained = tokio::time::timeout(config.drain_timeout, self.drain()).await;
        if drained.is_err() {
            tracing::warn!("Ended with requests in flight");
        }
        Ok(())
    }

    /// Waits for what is in flight.
    async fn drain(mut self) {
        while self.servers.join_next().await.is_some() {}
        // A server does not wait for what it has handed on; they say goodbye.
        self.sockets.close();
        self.sockets.wait().await;
        // What calls left behind is written when there are no more calls.
        self.background_stop.cancel();
        drop(self.background.await);
    }
}

fn certificates(
    files: Option<Files>,
    tasks: &mut JoinSet<&'static str>,
    stop: &CancellationToken,
) -> Result<Option<Reloading>, Error> {
    let Some(files) = files else {
        return Ok(None);
    };
    let tls = Reloading::load(files)?;
    let follow = tls.clone().follow(stop.clone());
    tasks.spawn(async move {
        follow.await;
        "certificates"
    });
    Ok(Some(tls))
}

fn grpc_router(assembled: &Assembled, edge: &Edge, limit: Duration) -> Router {
    fn path<S: NamedService>(_: &S) -> String {
        format!("/{}/{{*method}}", S::NAME)
    }
    let api = crate::grpc::Api::new(assembled.service.clone(), edge.clone());
    let api = AuthServer::new(api).max_decoding_message_size(MESSAGE);
    let (_, health) = tonic_health::server::health_reporter();
    Router::new()
        .route_service(&path(&api), api)
        .layer(ServerSpans)
        // Health is asked for all the time, and no part of anybody's trace.
        .route_service(&path(&health), health)
        .layer(axum::middleware::from_fn_with_state(
            limit,
            crate::grpc::in_time,
        ))
}

/// The copies of sessions that the configuration asks for; none without a Valkey.
fn copies(
    config: &Config,
    assembled: &Assembled,
    registry: &Registry,
) -> Result<Option<Copies>, Error> {
    let Some(place) = &config.file.session_copies else {
        return Ok(None);
    };
    let Some(valkey) = maintenance::valkey(&assembled.secrets)? else {
        return Ok(None);
    };
    let archive = maintenance::archive(config, &assembled.secrets, place)?;
    let live = Arc::clone(&assembled.live);
    Ok(Some(Copies::new(archive, valkey, live, registry)?))
}

/// Everything that goes on without any caller.
async fn background(
    assembled: Assembled,
    copies: Option<Copies>,
    admin: Admin,
    stop: CancellationToken,
) {
    let Assembled {
        service,
        secrets,
        store,
        live,
        mails,
        elsewhere,
        database,
        valkey,
        signing,
    } = assembled;
    let hear = async {
        if let Some(valkey) = valkey {
            let follow = start::follow_valkey(&secrets, |nodes| valkey.renew(nodes), &stop);
            tokio::join!(valkey.listen(&stop), follow);
        }
    };
    let follow = async {
        if let Some(database) = database {
            start::follow_database(&secrets, database.database(), &stop).await;
        }
    };
    let copy = async {
        if let Some(copies) = copies {
            copies.run(&stop).await;
        }
    };
    let look = async {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match store.ping().await {
                Ok(()) => admin.open(DATABASE),
                Err(error) => admin.close(DATABASE, error.to_string()),
            }
            if signing.is_current(runtime::clock::now()) {
                admin.open(KEYS);
            } else {
                admin.close(KEYS, "they were not read lately");
            }
            // No gate: without Valkey auth is slower and stricter, and works.
            if let Err(error) = live.ping().await {
                tracing::warn!(%error, "Valkey does not answer");
            }
        }
    };
    tokio::join!(
        service.run(stop.clone()),
        mails.run(stop.clone()),
        hear,
        follow,
        assemble::follow_providers(&secrets, &elsewhere, &stop),
        copy,
        look
    );
}
