//! From the SDK's `Ready()` in a real pod to Ready in a watch of the API server.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::GameServer;
use crds::state::State;
use e2e::measure::{Sorted, Table, milliseconds};
use e2e::objects::Sample;
use e2e::{allocator, echo, wait};
use futures::{Stream, StreamExt as _};
use kube::ResourceExt as _;

use crate::scene::Scene;
use crate::{Args, progress, result};

pub(crate) async fn run(scene: &Scene, args: &Args) -> Result<()> {
    let server = scene
        .ready_fleet(&Sample::default().fleet("bench", 1)?)
        .await?
        .remove(0);
    let name = server.name_any();
    let status = server.status.clone().context("no status")?;
    let port = status.ports.first().context("no port")?;
    let address = allocator::join(&status.address, port.port)?;
    progress(&format!("{} changes to Allocated and Ready", args.changes));

    let servers = scene.api::<GameServer>();
    let mut views = pin!(wait::states(&servers, ""));
    let (mut seen, mut answered, mut echoed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.changes {
        // The way there and back alone, which is part of the other two.
        echoed.push(echo::udp(address, "hello").await?.1);
        change(&mut views, &name, address, "ALLOCATE", State::Allocated).await?;
        let times = change(&mut views, &name, address, "READY", State::Ready).await?;
        seen.push(times.0);
        answered.push(times.1);
    }

    result(&format!(
        "### Ready\n\n{} times, one pod. Measured from sending the command READY to the sample \
         server by UDP; so each figure includes that packet's way, the sample server, the SDK \
         server, the hub's write, and for the watch its event's way to this program.\n",
        args.changes
    ));
    let mut table = Table::new(&["until", "p50", "p99", "longest"]);
    for (name, times) in [
        ("an echo comes back, for comparison", echoed),
        ("`Ready()` has returned and the answer is back", answered),
        ("a watch shows Ready", seen),
    ] {
        let sorted = Sorted::new(times);
        table.row([
            name.to_owned(),
            milliseconds(sorted.percentile(50)),
            milliseconds(sorted.percentile(99)),
            milliseconds(sorted.longest()),
        ]);
    }
    result(&table.to_string());
    Ok(())
}

type States = BTreeMap<String, GameServer>;

/// Sends a command, and returns after which time its state was seen and the answer came.
async fn change(
    states: &mut Pin<&mut impl Stream<Item = States>>,
    name: &str,
    address: std::net::SocketAddr,
    command: &str,
    state: State,
) -> Result<(Duration, Duration)> {
    let began = Instant::now();
    let watch = async {
        while let Some(all) = states.next().await {
            if all.get(name).is_some_and(|it| it.state() == state) {
                return Some(began.elapsed());
            }
        }
        None
    };
    let both = async { tokio::join!(watch, echo::udp(address, command)) };
    let both = tokio::time::timeout(wait::PATIENCE, both);
    let (seen, answer) = both
        .await
        .with_context(|| format!("{command} had no effect"))?;
    let (text, took) = answer?;
    ensure!(text.starts_with("ACK"), "{command} was answered {text:?}");
    Ok((seen.context("the watch ended")?, took))
}
