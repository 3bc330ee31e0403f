//! The SDK server in this process, on free ports.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use sdk_server::{Args, Config, Server};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Every call of the core service, as the conformance test names it.
pub(crate) const ALL: &str =
    "ready,allocate,setlabel,setannotation,gameserver,health,shutdown,watch,reserve";

/// Longest time for anything that is waited for here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A running SDK server.
pub(crate) struct Running {
    /// Port of gRPC on localhost.
    pub(crate) grpc: u16,
    /// Address of REST.
    pub(crate) rest: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<(), sdk_server::Error>>,
}

/// Starts an SDK server that expects these calls; none for no conformance test.
pub(crate) async fn start(expected: &str) -> Result<Running> {
    let test = format!("--test={expected}");
    let args = Args::try_parse_from(["sdk-server", "--local", &test])?;
    let mut config = Config::try_from(args).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    // Any free port, which is no port to ask for by a flag.
    (config.grpc_port, config.http_port) = (0, 0);
    let server = Server::bind(config).await?;
    let (grpc, rest, _) = server.ports();
    let stop = CancellationToken::new();
    let task = tokio::spawn(server.serve(stop.clone()));
    Ok(Running {
        grpc,
        rest: (Ipv4Addr::LOCALHOST, rest).into(),
        stop,
        task,
    })
}

impl Running {
    /// Stops it; fails if an expected call was missing.
    pub(crate) async fn finish(self) -> Result<()> {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        Ok(ended.context("the SDK server does not end")???)
    }
}

/// Waits for something, but not forever.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .with_context(|| format!("waited for {what}"))
}
