//! The sample server against the SDK server: its commands, over UDP and TCP.

use std::net::{Ipv4Addr, SocketAddr};

use agones::Sdk;
use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use e2e::echo;
use gameserver::echo::args::CommandLine;
use gameserver::echo::config::Config;
use gameserver::echo::server::Server;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::{Running, soon, start};

/// A sample server in this process.
struct Sample {
    udp: SocketAddr,
    tcp: SocketAddr,
    sdk: Sdk,
    stop: CancellationToken,
    task: JoinHandle<Result<(), gameserver::echo::Error>>,
}

async fn sample(server: &Running, flags: &[&str]) -> Result<Sample> {
    let port = format!("-sdkPort={}", server.grpc);
    let arguments = ["simple-server", "-port=0", "-tcp", &port];
    let arguments = arguments.into_iter().chain(flags.iter().copied());
    let CommandLine(args) = CommandLine::try_parse_from(arguments)?;
    let config = Config::try_from(args).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let bound = Server::bind(config).await?;
    let local = |address: Option<SocketAddr>| -> Result<SocketAddr> {
        Ok((
            Ipv4Addr::LOCALHOST,
            address.context("not listening")?.port(),
        )
            .into())
    };
    let (udp, tcp) = (local(bound.udp_address())?, local(bound.tcp_address())?);
    let stop = CancellationToken::new();
    let task = tokio::spawn(bound.serve(stop.clone()));
    let sdk = Sdk::new(Some(server.grpc), None).await?;
    Ok(Sample {
        udp,
        tcp,
        sdk,
        stop,
        task,
    })
}

impl Sample {
    /// Waits until the SDK server has the game server in a state.
    async fn state(&mut self, state: &str) -> Result<()> {
        let mut changes = self.sdk.watch_gameserver().await?;
        soon(state, async {
            while let Some(server) = changes.message().await? {
                if server.status.is_some_and(|status| status.state == state) {
                    return Ok(());
                }
            }
            anyhow::bail!("the watch ended")
        })
        .await?
    }

    async fn udp(&self, message: &str) -> Result<String> {
        Ok(echo::udp(self.udp, message).await?.0)
    }

    /// Waits until the process would end.
    async fn ended(self) -> Result<Result<(), gameserver::echo::Error>> {
        Ok(soon("the end", self.task).await??)
    }
}

#[tokio::test]
async fn the_sample_server_obeys_its_commands() -> Result<()> {
    let server = start("").await?;
    let mut sample = sample(&server, &[]).await?;
    sample.state("Ready").await?;
    ensure!(sample.udp("hello there").await? == "ACK: hello there");
    ensure!(echo::tcp(sample.tcp, "hello").await? == "ACK TCP: hello");
    ensure!(sample.udp("GAMESERVER").await? == "NAME: local");
    ensure!(sample.udp("WATCH").await? == "ACK: WATCH");

    ensure!(echo::tcp(sample.tcp, "ALLOCATE").await? == "ACK TCP: ALLOCATE");
    sample.state("Allocated").await?;
    ensure!(sample.udp("RESERVE 1s").await? == "ACK: RESERVE 1s");
    sample.state("Reserved").await?;
    sample.state("Ready").await?;
    ensure!(sample.udp("LABEL a b").await? == "ACK: LABEL a b");
    ensure!(sample.udp("ANNOTATION").await? == "ACK: ANNOTATION");
    let metadata = sample
        .sdk
        .get_gameserver()
        .await?
        .object_meta
        .context("no metadata")?;
    ensure!(
        metadata
            .labels
            .iter()
            .any(|(key, it)| key.ends_with("sdk-a") && it == "b")
    );
    ensure!(
        metadata
            .annotations
            .keys()
            .any(|key| key.ends_with("sdk-timestamp"))
    );

    let refused = sample.udp("LABEL not/a/key x").await?;
    ensure!(refused.starts_with("ERROR: "), "{refused}");
    let refused = sample.udp("RESERVE").await?;
    ensure!(
        refused == "ERROR: Invalid RESERVE, should have 1 argument",
        "{refused}"
    );
    ensure!(sample.udp("UNHEALTHY").await? == "ACK: UNHEALTHY");

    ensure!(sample.udp("EXIT").await? == "ACK: EXIT");
    sample.state("Shutdown").await?;
    // As Agones' sample server it waits for SIGTERM, and ends well.
    sample.stop.cancel();
    sample.ended().await??;
    server.finish().await
}

#[tokio::test]
async fn the_sample_server_crashes_and_quits_on_demand() -> Result<()> {
    let server = start("").await?;
    let crashing = sample(&server, &["-ready=false"]).await?;
    drop(echo::send(crashing.udp, "CRASH").await?);
    let error = crashing.ended().await?.err().context("it ended well")?;
    ensure!(matches!(error, gameserver::echo::Error::Crash), "{error}");
    let quitting = sample(&server, &["-ready=false"]).await?;
    drop(echo::send(quitting.udp, "QUIT").await?);
    quitting.ended().await??;
    server.finish().await
}

#[tokio::test]
async fn the_sample_server_ends_after_its_allocations() -> Result<()> {
    let server = start("").await?;
    let flags = ["-automaticShutdownDelaySec=1", "-readyIterations=1"];
    let mut sample = sample(&server, &flags).await?;
    sample.state("Ready").await?;
    sample.udp("ALLOCATE").await?;
    // The first allocation ends with Ready, the second one with Shutdown.
    sample.state("Ready").await?;
    sample.udp("ALLOCATE").await?;
    sample.state("Shutdown").await?;
    sample.stop.cancel();
    sample.ended().await??;
    server.finish().await
}
