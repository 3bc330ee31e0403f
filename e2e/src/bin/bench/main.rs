//! The benchmarks: what allocation, readiness, memory and writes cost on this cluster.
//!
//! Prints Markdown tables, ready for `docs/benchmarks.md`, on standard output, and progress on
//! standard error. Absolute figures move with the machine: each run measures the raw write limit
//! of the same API server beside them, and ratios are what counts.
#![expect(clippy::print_stdout, reason = "the tables are this program's purpose")]

mod allocation;
mod drive;
mod memory;
mod metrics;
mod processes;
mod ready;
mod scene;
mod writes;

use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::{Parser, ValueEnum};
use e2e::cluster::Cluster;

/// Measures Muster on a cluster.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Args {
    /// What to measure [default: everything].
    #[arg(value_enum)]
    sections: Vec<Section>,

    /// Servers without pods for allocations.
    #[arg(long, default_value_t = 500, value_name = "COUNT")]
    servers: i32,

    /// Clients at once for allocations, and workers for the raw writes.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 40], value_name = "COUNTS")]
    clients: Vec<usize>,

    /// Replicas of the allocator.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3], value_name = "COUNTS")]
    replicas: Vec<i32>,

    /// Runs over all servers, for each number of clients.
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    rounds: usize,

    /// Changes to Ready.
    #[arg(long, default_value_t = 300, value_name = "COUNT")]
    changes: usize,

    /// Real pods for the memory of the SDK server.
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    pods: i32,

    /// Lives of servers for the writes.
    #[arg(long, default_value_t = 10, value_name = "COUNT")]
    lives: i32,
}

/// A part of the benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Allocations per second, beside raw writes.
    Allocation,
    /// From the SDK's Ready to Ready in a watch.
    Ready,
    /// Memory of the SDK server, operator and allocator.
    Memory,
    /// Writes per life of a server.
    Writes,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(&args)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("The benchmarks failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    let cluster = Cluster::connect().await?;
    cluster.muster_ready().await?;
    scene::describe(&cluster).await?;
    let all = [
        Section::Writes,
        Section::Ready,
        Section::Memory,
        Section::Allocation,
    ];
    let sections = if args.sections.is_empty() {
        &all[..]
    } else {
        &args.sections
    };
    for section in sections {
        let name = format!("{section:?}").to_lowercase();
        let scene = scene::Scene::new(&cluster, &name).await?;
        let measured = async {
            match section {
                Section::Allocation => Box::pin(allocation::run(&scene, args)).await,
                Section::Ready => Box::pin(ready::run(&scene, args)).await,
                Section::Memory => Box::pin(memory::run(&scene, args)).await,
                Section::Writes => Box::pin(writes::run(&scene, args)).await,
            }
        };
        // What was made goes away after Ctrl-C too.
        let result = tokio::select! {
            result = measured => result,
            signal = tokio::signal::ctrl_c() => {
                signal?;
                Err(anyhow!("interrupted"))
            }
        };
        let removed = scene.remove().await;
        result
            .and(removed)
            .with_context(|| format!("section {name}"))?;
    }
    Ok(())
}

/// Prints a line of progress.
fn progress(text: &str) {
    eprintln!("… {text}");
}

/// Prints a part of the result.
fn result(text: &str) {
    println!("{text}");
}
