//! The sidecar beside each game server.
//!
//! Serves the Agones SDK on localhost over gRPC and REST, and `muster.sdk.v1` over gRPC; judges the game server's health, and
//! holds one stream to the operator's hub. It has no Kubernetes credentials and writes no object:
//! the hub does. With `--local` it needs neither cluster nor hub.
//!
//! Start reading at [`run`]. The decisions are pure: `state` (what to tell the hub), `health`,
//! `validate`, `conformance`. `remote` and `local` are the two backends; `grpc` and `rest` the two
//! front doors; `hub` the stream.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Api;
use crate::local::Local;
use crate::remote::Remote;
use crate::serve::Tasks;

mod args;
mod backend;
mod config;
mod conformance;
mod grpc;
mod health;
mod hub;
mod local;
mod matches;
mod probes;
mod random;
mod remote;
mod rest;
mod serve;
mod state;
#[cfg(test)]
mod tests;
mod validate;

pub use args::Args;
pub use config::{Config, HubConfig, LocalConfig, Mode};
pub use conformance::Mismatch;
pub use local::file::Error as FileError;

/// The greatest message, as grpc-go has it.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// How long the end may take: for calls in flight, and for changes that the hub has not
/// acknowledged.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// Why the SDK server failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port could not be opened.
    #[error("could not listen on {address:?} port {port} for {purpose}")]
    Bind {
        /// What the port is for.
        purpose: &'static str,
        /// The host to listen on.
        address: String,
        /// The port.
        port: u16,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file of `--file` cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The conformance test failed.
    #[error(transparent)]
    Conformance(#[from] Mismatch),
}

/// Runs until `shutdown` is cancelled, or in local mode until its timeout.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), Error> {
    if !config.delay.is_zero() {
        tracing::info!(seconds = config.delay.as_secs(), "Waiting before starting");
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(config.delay) => {}
        }
    }
    Server::bind(config).await?.serve(shutdown).await
}

/// An SDK server whose ports are open.
#[derive(Debug)]
pub struct Server {
    mode: Mode,
    grpc: Vec<TcpListener>,
    http: Vec<TcpListener>,
    probes: Vec<TcpListener>,
}

impl Server {
    /// Opens the ports.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        for flag in &config.ignored {
            tracing::info!("Ignored --{flag}: it means nothing to this SDK server");
        }
        let grpc = bind("gRPC", &config.address, config.grpc_port).await?;
        let http = bind("REST", &config.address, config.http_port).await?;
        let probes = match &config.mode {
            Mode::Hub(hub) => bind("probes", "", hub.health_port).await?,
            Mode::Local(_) => Vec::new(),
        };
        Ok(Self {
            mode: config.mode,
            grpc,
            http,
            probes,
        })
    }

    /// Returns the ports of gRPC, REST and (with a hub) the probes.
    pub fn ports(&self) -> (u16, u16, Option<u16>) {
        let port = |listeners: &[TcpListener]| {
            listeners
                .first()
                .and_then(|listener| listener.local_addr().ok())
                .map(|it| it.port())
        };
        let required = |listeners| port(listeners).unwrap_or_default();
        (
            required(&self.grpc),
            required(&self.http),
            port(&self.probes),
        )
    }

    /// Serves until `shutdown` is cancelled, or in local mode until its timeout.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), Error> {
        let (grpc, http, probes) = self.ports();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            grpc,
            http,
            probes,
            "Starting SDK server"
        );
        let closing = CancellationToken::new();
        let tasks = Tasks {
            tracker: TaskTracker::new(),
            closing: closing.clone(),
        };
        match self.mode {
            Mode::Hub(config) => {
                let wall_clock = Arc::new(|| runtime::clock::now().as_millisecond());
                let remote = Arc::new(Remote::new(closing, wall_clock));
                probes::serve(Arc::clone(&remote), self.probes, &tasks);
                let api = Api::new(Arc::clone(&remote) as _);
                rest::serve(api.clone(), self.http, &tasks);
                grpc::serve(api, self.grpc, &tasks);
                serve_hub(&remote, &config, &tasks, &shutdown).await;
                Ok(())
            }
            Mode::Local(config) => {
                let now = || runtime::clock::now().as_second();
                let seen = config.file.as_deref().and_then(local::file::version);
                let object = config
                    .file
                    .as_deref()
                    .map(|path| local::file::load(path, now()));
                let local = Arc::new(Local::new(&config, object.transpose()?, now(), closing));
                let api = Api::new(Arc::clone(&local) as _);
                rest::serve(api.clone(), self.http, &tasks);
                grpc::serve(api, self.grpc, &tasks);
                let watched = config.file.clone().map(|path| (path, seen));
                serve_local(&local, watched, config.timeout, &shutdown).await;
                tasks.closing.cancel();
                tasks.tracker.close();
                if tokio::time::timeout(DRAIN_WITHIN, tasks.tracker.wait())
                    .await
                    .is_err()
                {
                    tracing::warn!("Ended with connections still open");
                }
                local.compare()?;
                if let Some(expected) = config.expected {
                    let sdk = config.sdk_name;
                    tracing::info!(sdk, ?expected, "Conformance test passed");
                }
                Ok(())
            }
        }
    }
}

async fn bind(purpose: &'static str, address: &str, port: u16) -> Result<Vec<TcpListener>, Error> {
    serve::bind(address, port).await.map_err(|source| {
        let address = address.to_owned();
        Error::Bind {
            purpose,
            address,
            port,
            source,
        }
    })
}

async fn serve_hub(
    remote: &Remote,
    config: &HubConfig,
    tasks: &Tasks,
    shutdown: &CancellationToken,
) {
    let mut background = pin!(async {
        tokio::join!(
            hub::run(remote, config, &hub::Network),
            remote.watch_health(),
            remote.watch_reservation(),
            remote.watch_players()
        )
        .0
    });
    tokio::select! {
        never = &mut background => match never {},
        () = shutdown.cancelled() => {}
    }
    tasks.closing.cancel();
    tasks.tracker.close();
    // The stream stays open meanwhile: a last Shutdown may still be on its way.
    let drained = async { tokio::join!(tasks.tracker.wait(), remote.settled()) };
    tokio::select! {
        never = &mut background => match never {},
        drained = tokio::time::timeout(DRAIN_WITHIN, drained) => {
            if drained.is_err() {
                tracing::warn!("Ended with calls or changes that the hub has not acknowledged");
            }
        }
    }
}

async fn serve_local(
    local: &Local,
    file: Option<(PathBuf, local::file::Version)>,
    timeout: Option<Duration>,
    shutdown: &CancellationToken,
) {
    let watch_file = async {
        match file {
            Some((path, seen)) => {
                let now = || runtime::clock::now().as_second();
                local::file::watch(local, &path, seen, now).await;
            }
            None => std::future::pending().await,
        }
    };
    let timeout = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = timeout => tracing::info!("Time is up"),
        () = watch_file => {}
        () = local.watch_reservation() => {}
    }
}
