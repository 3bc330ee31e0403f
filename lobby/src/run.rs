//! The life of the process: what starts in which order, and how it ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use access::follow::{self, Follower};
use runtime::admin::Admin;
use runtime::serve::{Count, Server};
use runtime::tls::Reloading;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::assemble::{self, Assembled, assemble};
use crate::chat::retention;
use crate::config::Config;
use crate::console;
use crate::edge::Edge;
use crate::matchmaking::matchmaker;
use crate::metrics::Metrics;
use crate::service::{Service, presence, queues, rooms};
use crate::sessions;
use crate::upstream::Upstream;

/// Readiness gate: the process has begun and has not been told to end.
const RUNNING: &str = "running";

/// Readiness gate: the database answers.
const DATABASE: &str = "database";

/// Readiness gate: the live state answers, without which there are no sessions.
const LIVE: &str = "live state";

/// Readiness gate: auth has told its keys once.
const KEYS: &str = "keys of auth";

/// How often gates are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How often the files of the connection to auth are looked at.
const FILES: Duration = Duration::from_mins(1);

/// Between attempts to read them.
const AGAIN: Duration = Duration::from_secs(5);

/// Why the lobby ended.
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
}

/// Counts connections.
#[derive(Clone, Debug)]
struct Connections(Metrics);

/// An open connection.
#[derive(Debug)]
struct Open(Metrics);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connected(-1);
    }
}

impl Count for Connections {
    type Open = Open;

    fn connected(&self) -> Open {
        self.0.connected(1);
        Open(self.0.clone())
    }

    fn refused(&self) {
        tracing::warn!("A connection was refused: there are as many as may be");
    }
}

/// Runs the lobby until `stop` is cancelled.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), Error> {
    let address = config.address;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })?;
    serve(config, Admin::default(), listener, stop).await
}

/// Serves on a socket that is open already, for processes that host more than the lobby.
pub async fn serve(
    config: Config,
    admin: Admin,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), Error> {
    for gate in [RUNNING, DATABASE, LIVE, KEYS] {
        admin.close(gate, "starting");
    }
    let metrics = Metrics::register(admin.registry())?;
    // First up and last down.
    let admin_stop = CancellationToken::new();
    let _admin_ends_with_us = admin_stop.clone().drop_guard();
    let known = Arc::new(OnceLock::new());
    let admin_server = admin
        .clone()
        .with_routes(console::routes(
            Arc::clone(&known),
            config.console_origin.as_deref(),
        ))
        .serve(config.admin_address, admin_stop);
    let serving = async move {
        match assemble(&config, metrics, &stop).await {
            // It was told to end while it waited: that is no failure.
            Err(assemble::Error::Start(storage::start::Error::Stopped(_))) => Ok(()),
            assembled => {
                let assembled = assembled?;
                // It is set here alone.
                known.set(assembled.service.clone()).ok();
                host(config, assembled, admin, listener, stop).await
            }
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
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), Error> {
    let Assembled { service, databases } = assembled;
    let edge = Edge::new(
        &config.origin,
        config.proxies.clone(),
        config.limits,
        config.drain.clone(),
        admin.clone(),
    );
    let metrics = &service.parts().metrics;
    let mut tasks = JoinSet::new();
    let tls = config.tls.clone().map(Reloading::load).transpose()?;
    if let Some(tls) = &tls {
        tasks.spawn(named("certificates", tls.clone().follow(stop.clone())));
    }
    if let Some(address) = config.echo_address {
        let socket = UdpSocket::bind(address)
            .await
            .map_err(|source| Error::Listen { address, source })?;
        let echo = crate::echo::serve(socket, metrics.clone(), stop.clone());
        tasks.spawn(named("echo", async {
            if let Err(error) = echo.await {
                tracing::error!(%error, "Datagrams are not sent back any more");
            }
        }));
    }
    let server = Server {
        router: crate::http::router(service.clone(), edge.clone()),
        tls,
        connections: config.connections,
        // The router's own limit comes first, whose answer has the shape of every failure.
        timeout: config.limits.call + Duration::from_secs(1),
        count: Connections(metrics.clone()),
    };
    let mut servers = JoinSet::new();
    servers.spawn(server.serve(listener, edge.stop.clone()));
    let background_stop = CancellationToken::new();
    let mut background = JoinSet::new();
    if let Some(databases) = databases {
        background.spawn(named("databases", databases.run(background_stop.clone())));
    }
    run_background(
        &mut background,
        &service,
        config.record_dir.clone(),
        &background_stop,
    );
    let (synced, keys) = watch::channel(false);
    let auth = config.auth.clone();
    let follow = follow_auth(auth, service.clone(), synced, background_stop.clone());
    background.spawn(named("auth's keys", follow));
    let look = look(service, admin.clone(), keys, background_stop.clone());
    background.spawn(named("gates", look));
    admin.open(RUNNING);
    tracing::info!(
        address = %config.address,
        tls = config.tls.is_some(),
        queues = config.queues.len(),
        "Serving players"
    );
    Serving {
        servers,
        tasks,
        background,
        edge,
        background_stop,
    }
    .until_told(&config, &admin, stop)
    .await
}

/// What goes on without callers.
fn run_background(
    tasks: &mut JoinSet<&'static str>,
    service: &Service,
    record_dir: Option<PathBuf>,
    stop: &CancellationToken,
) {
    let lobby = || service.clone();
    let stop = || stop.clone();
    tasks.spawn(named("deliveries", sessions::deliver::run(lobby(), stop())));
    tasks.spawn(named("heartbeats", sessions::keep::run(lobby(), stop())));
    tasks.spawn(named("presence", presence::run(lobby(), stop())));
    tasks.spawn(named("rooms", rooms::sweep::run(lobby(), stop())));
    tasks.spawn(named("tickets", queues::keeper::run(lobby(), stop())));
    tasks.spawn(named(
        "queues",
        matchmaker::run_recorded(lobby(), record_dir, stop()),
    ));
    tasks.spawn(named(
        "matches",
        crate::matches::follow::run(lobby(), stop()),
    ));
    tasks.spawn(named("retention", retention::run(lobby(), stop())));
}

/// What runs while the lobby serves, and how each is told to end.
struct Serving {
    /// That of the port; ends by the edge's token, as do sockets.
    servers: JoinSet<()>,
    /// What follows files or serves datagrams; ends by the process's token.
    tasks: JoinSet<&'static str>,
    /// What goes on without callers, to the end of the last one.
    background: JoinSet<&'static str>,
    edge: Edge,
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
            Some(ended) = self.background.join_next() => {
                return Err(Error::Ended(ended.unwrap_or("that panicked")));
            }
        }
        admin.close(RUNNING, "shutting down");
        tokio::time::sleep(config.shutdown_delay).await;
        self.edge.stop.cancel();
        let drained = tokio::time::timeout(config.drain_timeout, self.drain()).await;
        if drained.is_err() {
            tracing::warn!("Ended with sockets open");
        }
        Ok(())
    }

    /// Waits for what is in flight.
    async fn drain(&mut self) {
        while self.servers.join_next().await.is_some() {}
        // A server does not wait for what it has handed on; they say goodbye.
        self.edge.sockets.close();
        self.edge.sockets.wait().await;
        // Leases are given back when there are no more calls.
        self.background_stop.cancel();
        while self.background.join_next().await.is_some() {}
    }
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

/// Keeps keys and revocations current; begins anew when the files of the connection have changed.
async fn follow_auth(
    auth: Upstream,
    service: Service,
    synced: watch::Sender<bool>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let opened = match auth.open() {
            Ok(opened) => opened,
            Err(error) => {
                let error = runtime::service::chain(&error);
                tracing::error!(error, "Auth cannot be followed");
                stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await;
                continue;
            }
        };
        let verifier = Arc::clone(&service.parts().verifier);
        let settings = follow::Settings::default();
        let follower = Follower::new(opened.channel(), verifier, settings);
        let follower = match opened.token() {
            Some(token) => follower.with_token(token),
            None => Ok(follower),
        };
        let Ok(follower) = follower else {
            tracing::error!("The token for auth is no text that a header can hold");
            stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await;
            continue;
        };
        let mut status = follower.status();
        let note = async {
            while status.changed().await.is_ok() {
                synced.send_if_modified(|is_synced| {
                    let was_synced =
                        std::mem::replace(is_synced, status.borrow().current.is_some());
                    was_synced != *is_synced
                });
            }
        };
        let changed = async {
            loop {
                tokio::time::sleep(FILES).await;
                if !auth.is_current(&opened) {
                    return;
                }
            }
        };
        tokio::select! {
            () = follower.run(stop.clone()) => {}
            () = changed => tracing::info!("The certificates for auth have changed"),
            () = note => {}
        }
    }
}

/// Opens and closes gates.
async fn look(
    service: Service,
    admin: Admin,
    keys: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let parts = service.parts();
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match parts.store.ping().await {
            Ok(()) => admin.open(DATABASE),
            Err(error) => admin.close(DATABASE, error.to_string()),
        }
        match parts.live.ping().await {
            Ok(()) => admin.open(LIVE),
            Err(error) => admin.close(LIVE, error.to_string()),
        }
        // Once is enough: with old keys the lobby works while auth is away.
        if *keys.borrow() {
            admin.open(KEYS);
        }
    }
}
