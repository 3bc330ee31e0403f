//! Runs the demonstration and the benchmarks, from nothing to the result: in one process
//! (`muster dev`), or on a cluster.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use crate::auth::{self, AuthArgs};
use crate::cluster::Cluster;
use crate::game::{self, GameArgs};
use crate::images::{BuildArgs, Profile};
use crate::install;
use crate::muster::{self, Muster};
use crate::process::{self, progress};
use crate::repository;

/// Name of the cluster that is no cluster: `muster dev`.
const EMBEDDED: &str = "embedded";

/// Arguments of `cargo xtask demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where it runs: embedded (one process, without root), local, kind, or the path of a
    /// kubeconfig.
    #[arg(long, default_value = EMBEDDED)]
    cluster: String,
    /// In one process: the first of ten ports in a row; 0 takes any that are free. With another
    /// than the default, several demonstrations can run side by side.
    #[arg(long, default_value_t = muster::DEFAULT_PORT)]
    port: u16,
    /// Joins the bots of the last step in this terminal.
    #[arg(long)]
    play: bool,
    #[command(flatten)]
    target: TargetArgs,
    /// Arguments for the demonstration itself.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Arguments of `cargo xtask bench`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    other: Option<OtherBench>,
    /// The cluster: local, kind, or the path of a kubeconfig.
    #[arg(long, default_value = "local")]
    cluster: String,
    #[command(flatten)]
    target: TargetArgs,
    /// Arguments for the benchmarks themselves.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// What is measured without a cluster.
#[derive(Debug, Subcommand)]
enum OtherBench {
    /// The arena server with bots, over loopback.
    Game(GameArgs),
    /// The auth service with its databases, over loopback.
    Auth(AuthArgs),
}

/// What is installed, and what stays.
#[derive(Debug, Args)]
struct TargetArgs {
    /// Leaves everything running.
    #[arg(long)]
    keep: bool,
    /// On a cluster: sets a value of the chart, as helm's `--set` does.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    values: Vec<String>,
}

/// Runs `cargo xtask demo`.
pub(crate) fn run_demo(args: &DemoArgs) -> Result<()> {
    let mut arguments = args.arguments.clone();
    if args.target.keep {
        arguments.push("--keep".to_owned());
    }
    if args.play {
        arguments.push("--play".to_owned());
    }
    if args.cluster == EMBEDDED {
        anyhow::ensure!(
            args.target.values.is_empty(),
            "--set: the embedded demonstration has no chart; choose a cluster with --cluster"
        );
        return in_process(args.port, args.target.keep, &arguments);
    }
    anyhow::ensure!(
        args.port == muster::DEFAULT_PORT,
        "--port: a cluster has its own ports"
    );
    on_cluster(
        &args.cluster,
        &args.target,
        &["run", "--quiet", "--package", "e2e", "--bin", "demo"],
        &arguments,
    )
}

/// Runs `cargo xtask bench`.
pub(crate) fn run_bench(args: &BenchArgs) -> Result<()> {
    match &args.other {
        Some(OtherBench::Game(args)) => return game::run(args),
        Some(OtherBench::Auth(args)) => return auth::run(args),
        None => {}
    }
    let cargo = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "e2e",
        "--bin",
        "bench",
    ];
    on_cluster(&args.cluster, &args.target, &cargo, &args.arguments)
}

/// Runs the demonstration against `muster dev`.
fn in_process(port: u16, keep: bool, arguments: &[String]) -> Result<()> {
    let began = Instant::now();
    let mut muster = Muster::start(port)?;
    let ran = process::run(
        Command::new(muster.demo())
            .arg(format!("--allocator={}", muster.allocator()))
            .arg(format!("--auth={}", muster.auth()))
            .arg(format!("--lobby={}", muster.lobby()))
            .args(arguments)
            .env("KUBECONFIG", muster.kubeconfig()),
    );
    progress(&format!("total: {:.1} s", began.elapsed().as_secs_f64()));
    if keep && ran.is_ok() {
        progress(&format!(
            "everything stays up until Ctrl-C; in another terminal:\n  export KUBECONFIG={}",
            muster.kubeconfig().display()
        ));
        return muster.wait();
    }
    let ended = muster.end();
    ran.with_context(|| process::log_tail(muster.log()))
        .and(ended)
}

/// Brings everything up, runs a program of `e2e` against it, and removes what it brought.
fn on_cluster(
    cluster: &str,
    target: &TargetArgs,
    cargo: &[&str],
    arguments: &[String],
) -> Result<()> {
    let began = Instant::now();
    let cluster = Cluster::parse(cluster)?;
    let up = cluster.up()?;
    let was_installed = install::is_installed(&up.kubeconfig)?;
    let build = BuildArgs {
        profile: Profile::Release,
        tag: None,
    };
    let ran = install::install(&cluster, &build, &target.values).and_then(|()| {
        process::run(
            repository::cargo()
                .args(cargo)
                .arg("--")
                .args(arguments)
                .env("KUBECONFIG", &up.kubeconfig)
                .env("PATH", Cluster::search_path()?),
        )
    });
    if target.keep {
        progress(&format!(
            "everything stays up: export KUBECONFIG={}\nremove it with: cargo xtask uninstall; \
             cargo xtask cluster down",
            up.kubeconfig.display()
        ));
        progress(&format!("total: {:.1} s", began.elapsed().as_secs_f64()));
        return ran;
    }
    let cleared = install::clear(&cluster, was_installed, up.was_running);
    progress(&format!("total: {:.1} s", began.elapsed().as_secs_f64()));
    ran.and(cleared)
}
