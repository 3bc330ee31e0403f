//! From the SDK's `Ready()` to the watch event that says Ready.
//!
//! A packet tells a real server to call the SDK, so the time holds the way of the packet, the SDK
//! client, the SDK server, the hub, the write and the watch. Each server is allocated by itself
//! between two calls, since Ready is asked for again after a match.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use crds::GameServer;
use crds::state::State;
use e2e::cluster::Cluster;
use e2e::measure::{Sorted, Table};
use e2e::objects::Sample;
use e2e::{allocator, echo, wait};
use futures::{Stream, StreamExt as _};
use kube::ResourceExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};

use crate::processes::quantiles;
use crate::scratch::{Scratch, of_fleet, progress};

/// Fleet of the section.
const FLEET: &str = "ready";
/// Longest time for one change.
const CHANGE: Duration = Duration::from_secs(10);

/// Options of the section.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// ready: calls of Ready to measure, one after the other.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=2_000))]
    calls: u16,

    /// ready: real servers that take turns.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=50))]
    ready_servers: u16,
}

/// A server to talk to.
struct Player {
    name: String,
    address: SocketAddr,
}

/// Measures and reports.
pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<String> {
    Scratch::with(cluster, "ready", async |it| {
        Box::pin(measure(it, args)).await
    })
    .await
}

async fn measure(scratch: &Scratch, args: &Args) -> Result<String> {
    let count = usize::from(args.ready_servers);
    progress(&format!("waiting for {count} servers that are not Ready"));
    let sample = Sample::with_flags(&["--ready=false"]);
    scratch
        .create(&sample.fleet(FLEET, i32::from(args.ready_servers))?)
        .await?;
    let api = scratch.api::<GameServer>();
    let servers = wait::until_all(&api, &of_fleet(FLEET), "to be Scheduled", |servers| {
        servers.len() == count && servers.values().all(|it| it.state() == State::Scheduled)
    })
    .await?;
    let players = servers.values().map(player).collect::<Result<Vec<_>>>()?;
    for player in &players {
        listening(player).await?;
    }

    let config = watcher::Config::default().labels(&of_fleet(FLEET));
    let mut changes = pin!(watcher(api, config).applied_objects());
    let mut first = Vec::new();
    let mut again = Vec::new();
    let mut answers = Vec::new();
    progress(&format!("{} calls of Ready", args.calls));
    for (call, player) in (0..args.calls).zip(players.iter().cycle()) {
        let is_first = usize::from(call) < count;
        if !is_first {
            tell(player, "ALLOCATE", State::Allocated, changes.as_mut()).await?;
        }
        let (visible, answered) = tell(player, "READY", State::Ready, changes.as_mut()).await?;
        if is_first {
            first.push(visible);
        } else {
            again.push(visible);
        }
        answers.push(answered);
    }

    let mut table = Table::new(&[
        "from the packet that calls it until",
        "calls",
        "p50",
        "p99",
        "longest",
    ]);
    for (what, times) in [
        ("Ready is visible to a watcher, the first time", first),
        ("Ready is visible to a watcher, after a match", again),
        ("the call has returned, and the packet is answered", answers),
    ] {
        let times = Sorted::new(times);
        let [p50, p99, longest] = quantiles(&times);
        table.row([what.to_owned(), times.len().to_string(), p50, p99, longest]);
    }
    Ok(format!(
        "### `Ready()` until Ready is visible\n\n\
         {} calls by {count} real servers, one at a time; the times hold the UDP packet and the \
         SDK client.\n\n{table}",
        args.calls
    ))
}

fn player(server: &GameServer) -> Result<Player> {
    let name = server.name_any();
    let status = server.status.clone().unwrap_or_default();
    let port = status.ports.first();
    let port = port.with_context(|| format!("{name} is Scheduled without a port"))?;
    let address = allocator::join(&status.address, port.port)
        .with_context(|| format!("{name} is Scheduled without an address"))?;
    Ok(Player { name, address })
}

/// Waits until a server answers: Scheduled says nothing about the process.
async fn listening(player: &Player) -> Result<()> {
    let what = format!("{} to answer", player.name);
    wait::poll(
        &what,
        wait::PATIENCE,
        Duration::from_millis(500),
        async || {
            let answer = echo::udp(player.address, "GAMESERVER");
            let answer = tokio::time::timeout(Duration::from_millis(400), answer).await;
            Ok(matches!(answer, Ok(Ok(_))).then_some(()))
        },
    )
    .await
}

/// Sends a command, and returns the times until the watch shows the state and until the answer.
async fn tell(
    player: &Player,
    command: &str,
    wanted: State,
    mut changes: Pin<&mut impl Stream<Item = watcher::Result<GameServer>>>,
) -> Result<(Duration, Duration)> {
    let sent = Instant::now();
    let seen = async {
        while let Some(change) = changes.next().await {
            let server = change.context("the watch failed")?;
            if server.name_any() == player.name && server.state() == wanted {
                return Ok(sent.elapsed());
            }
        }
        bail!("the watch ended")
    };
    let both = async { tokio::try_join!(seen, echo::udp(player.address, command)) };
    let both = tokio::time::timeout(CHANGE, both).await;
    let both = both.with_context(|| format!("{} is not {wanted} in time", player.name));
    let (visible, (answer, answered)) = both??;
    ensure!(answer.starts_with("ACK"), "{command} got {answer:?}");
    Ok((visible, answered))
}
