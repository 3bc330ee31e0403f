//! The benchmarks: the numbers of the goals, as Markdown tables for `docs/benchmarks.md`.
//!
//! Tables go to stdout, progress to stderr. Everything runs from the outside against a cluster with
//! Muster installed; CPU and memory are read from `/proc`, so they are known only where the
//! cluster's processes run on this host. Each section works in a namespace of its own, which it
//! deletes at the end, after a failure and after Ctrl-C too.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tables and progress are this program's purpose"
)]

mod allocate;
mod load;
mod machine;
mod memory;
mod processes;
mod prometheus;
mod raw;
mod ready;
mod scratch;
mod writes;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use e2e::cluster::Cluster;
use e2e::program;

use crate::scratch::{Interrupted, progress};

/// Measures Muster on the cluster that KUBECONFIG names.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Args {
    /// What to measure.
    #[arg(value_enum, default_value = "all")]
    sections: Vec<Section>,
    #[command(flatten)]
    allocate: allocate::Args,
    #[command(flatten)]
    ready: ready::Args,
    #[command(flatten)]
    memory: memory::Args,
    #[command(flatten)]
    writes: writes::Args,
}

/// A part of the benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Everything.
    All,
    /// Allocations and bare writes: rate, latency, CPU.
    Allocate,
    /// From the SDK's Ready to the watch event.
    Ready,
    /// Memory of the SDK servers, the operator and the allocator.
    Memory,
    /// Writes to the API server per life of a game server.
    Writes,
}

impl Section {
    const EACH: [Self; 4] = [Self::Allocate, Self::Ready, Self::Memory, Self::Writes];
}

fn main() -> ExitCode {
    let args = Args::parse();
    program::run(run(&args), |error| {
        progress(&format!("The benchmarks failed: {error:#}"));
    })
}

/// Measures what was asked for; a success if nothing failed.
async fn run(args: &Args) -> Result<ExitCode> {
    let cluster = Cluster::connect().await?;
    cluster.muster_ready().await?;
    println!("{}", machine::facts(&cluster).await?);
    let mut all_well = true;
    for section in Section::EACH {
        if !args.sections.contains(&Section::All) && !args.sections.contains(&section) {
            continue;
        }
        let report = match section {
            Section::All | Section::Allocate => allocate::run(&cluster, &args.allocate).await,
            Section::Ready => ready::run(&cluster, &args.ready).await,
            Section::Memory => memory::run(&cluster, &args.memory).await,
            Section::Writes => writes::run(&cluster, &args.writes).await,
        };
        match report {
            Ok(report) => println!("\n{report}"),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            // What the others say is worth having all the same.
            Err(error) => {
                all_well = false;
                progress(&format!("{section:?} failed: {error:#}"));
            }
        }
    }
    Ok(if all_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
