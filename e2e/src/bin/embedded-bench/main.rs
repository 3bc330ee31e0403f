//! The speed and the size of the embedded API server, as a Markdown table for
//! `docs/benchmarks.md`.
//!
//! Server and clients run in this process on one thread, so that wall time is that of one core
//! if the machine is idle; the figures per core count the CPU time that was used, the clients'
//! included, and hold on a busy machine too.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table and the progress are this program's purpose"
)]

mod connection;
mod measure;
mod objects;
mod reads;
mod size;
mod writes;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use clap::Parser;
use e2e::measure::Table;
use e2e::program;
use embedded::Embedded;
use embedded::access::{MASTERS, User};
use embedded::server::Identity;
use tokio::net::TcpListener;

use crate::connection::Server;

/// Measures the embedded API server.
#[derive(Clone, Debug, Parser)]
#[command(name = "embedded-bench", version)]
struct Args {
    /// Writes of each kind, and objects of lists.
    #[arg(long, default_value_t = 10_000)]
    objects: usize,
    /// Only what contains these words.
    #[arg(long, default_value = "", hide_default_value = true)]
    only: String,
}

fn main() -> ExitCode {
    let args = Args::parse();
    program::run(
        async { run(&args).await.map(|()| ExitCode::SUCCESS) },
        |error| eprintln!("The benchmark failed: {error:#}"),
    )
}

async fn run(args: &Args) -> Result<()> {
    let mut table = Table::new(&["what", "count", "wall", "CPU", "per s", "per s and core"]);
    writes::run(args, &mut table).await?;
    reads::run(args, &mut table).await?;
    println!("{table}");
    let mut table = Table::new(&["what", "resident memory"]);
    size::run(args, &mut table).await?;
    println!("{table}");
    Ok(())
}

/// A server with nothing on its nodes, in memory.
async fn start() -> Result<Server> {
    let next = AtomicU64::new(1);
    let uids = move || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        format!("{number:08x}-0000-4000-8000-{number:012x}")
    };
    let embedded = Embedded::builder(Arc::new(jiff::Timestamp::now), Arc::new(uids)).start()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener
        .local_addr()
        .context("the listener has no address")?;
    let identity = Identity::User(User::authenticated("bench", &[MASTERS]));
    tokio::spawn({
        let (embedded, identity) = (embedded.clone(), identity.clone());
        async move { embedded.serve(listener, None, identity).await }
    });
    Ok(Server {
        service: embedded.service(identity),
        embedded,
        address,
    })
}
