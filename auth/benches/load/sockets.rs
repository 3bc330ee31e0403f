//! Many open sockets of game servers that say nothing.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream;
use tokio_util::task::AbortOnDropHandle;

use crate::report::{Report, number};
use crate::world::Replica;

/// MiB of the whole process with 10,000 sockets.
const MEMORY: f64 = 300.0;

/// Percent of a core.
const IDLE: f64 = 2.0;

/// Handshakes at once.
const AT_ONCE: usize = 64;

/// Opens sockets, and watches the replica while they are silent.
pub(crate) async fn measure(report: &mut Report, replica: &Replica, count: usize, idle: Duration) {
    let process = replica.process();
    let before = process.memory();
    let began = Instant::now();
    let sockets: Vec<AbortOnDropHandle<()>> = stream::iter(0..count)
        .map(async |_| replica.socket().await)
        .buffer_unordered(AT_ONCE)
        .map(|mut socket| {
            // Reads, and so answers pings.
            let read = async move { while let Some(Ok(_)) = socket.next().await {} };
            AbortOnDropHandle::new(tokio::spawn(read))
        })
        .collect()
        .await;
    let took = began.elapsed().as_secs_f64();
    let count = f64::from(u32::try_from(sockets.len()).unwrap());
    let what = number(count);
    report.note(
        format!("{what} sockets: opened"),
        format!("{}/s", number(count / took)),
    );
    let cpu = process.cpu();
    tokio::time::sleep(idle).await;
    let busy = (process.cpu() - cpu) / idle.as_secs_f64() * 100.0;
    let after = process.memory();
    let lost = sockets.iter().filter(|socket| socket.is_finished()).count();
    report.holds(
        format!("{what} sockets: lost"),
        lost.to_string(),
        "0",
        lost == 0,
    );
    report.at_most(
        format!("{what} sockets: memory of the service"),
        after / 1024.0,
        MEMORY,
        "MiB",
    );
    report.note(
        format!("{what} sockets: memory of each"),
        format!("{} KiB", number((after - before) / count)),
    );
    report.at_most(
        format!(
            "{what} sockets: CPU of the service over {} s, pings and all",
            idle.as_secs()
        ),
        busy,
        IDLE,
        "%",
    );
}
