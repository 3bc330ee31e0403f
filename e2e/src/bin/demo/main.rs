//! The demonstration: from `kubectl apply` of a Fleet to an answered UDP packet, and from an account
//! to the result of a match, step by step.
//!
//! Everything is done as a user would do it, with the files in `examples/`. Any failure ends it
//! with its reason and a non-zero exit code; what it made is deleted at the end all the same,
//! unless `--keep` is given.
#![expect(
    clippy::print_stdout,
    reason = "the account of the steps is this program's purpose"
)]

mod account;
mod arena;
mod journey;
mod metrics;
mod players;
mod steps;

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use e2e::cluster::Cluster;
use e2e::program;
use url::Url;

use crate::account::Account;
use crate::steps::Demo;

/// Brings up a fleet on a cluster with Muster, allocates servers in every way, and talks to them.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
struct Args {
    /// Leaves everything that was made, for a look with kubectl.
    #[arg(long)]
    keep: bool,

    /// Namespace to work in; it must exist.
    #[arg(long, default_value = "default")]
    namespace: String,

    /// Address of the allocator, if its Service cannot be reached from this host.
    #[arg(long, value_name = "IP:PORT")]
    allocator: Option<SocketAddr>,

    /// Where auth serves HTTP, for the whole way of players; needs `--lobby`.
    #[arg(long, value_name = "URL", requires = "lobby")]
    auth: Option<Url>,

    /// Where the lobby serves HTTP and its socket.
    #[arg(long, value_name = "URL", requires = "auth")]
    lobby: Option<Url>,

    /// Players who go that way: full matches of eight.
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = clap::value_parser!(u16).range(8..=32))]
    travelers: u16,

    /// Sends the players' packets to 127.0.0.1 at the allocated port, for clusters whose nodes
    /// cannot be reached but whose ports are published on this host.
    #[arg(long)]
    loopback: bool,

    /// Bots that play in the arena at the end.
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=64))]
    players: u16,

    /// Joins them in this terminal.
    #[arg(long)]
    play: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    program::run(
        async { run(&args).await.map(|()| ExitCode::SUCCESS) },
        |error| println!("\nThe demonstration failed: {error:#}"),
    )
}

async fn run(args: &Args) -> Result<()> {
    let mut account = Account::new();
    let cluster = account.step("Find the cluster", Cluster::connect()).await?;
    // Whoever gives an address runs Muster in a way of their own.
    if args.allocator.is_none() {
        account
            .step("Muster is installed and ready", cluster.muster_ready())
            .await?;
    }
    let demo = Demo::new(cluster, args);
    account
        .step("Clear what an earlier run left", demo.clear_earlier())
        .await?;
    let shown = demo.show(&mut account).await;
    if args.keep {
        println!("\nEverything stays. Have a look:");
        println!(
            "  kubectl get fleets,gameservers,matchallocations -n {}",
            args.namespace
        );
        return shown;
    }
    let cleared = account
        .step("Delete everything again", demo.delete_all())
        .await;
    shown.and(cleared)?;
    println!(
        "\nThe demonstration took {:.1} s.",
        account.total().as_secs_f64()
    );
    Ok(())
}
