//! Runs the demonstration and the benchmarks on a cluster, from nothing to the result.

use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::cluster::Cluster;
use crate::images::{BuildArgs, Profile};
use crate::install;
use crate::process::{self, progress};
use crate::repository;

/// Arguments of `cargo xtask demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Arguments for the demonstration itself.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Arguments of `cargo xtask bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Arguments for the benchmarks themselves.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Where it runs, and what stays.
#[derive(Debug, Args)]
struct TargetArgs {
    /// The cluster: local, kind, or the path of a kubeconfig.
    #[arg(long, default_value = "local")]
    cluster: String,
    /// Leaves the cluster and Muster running.
    #[arg(long)]
    keep: bool,
    /// Sets a value of the chart, as helm's `--set` does.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    values: Vec<String>,
}

/// Runs `cargo xtask demo`.
pub(crate) fn run_demo(args: &DemoArgs) -> Result<()> {
    let mut arguments = args.arguments.clone();
    if args.target.keep {
        arguments.push("--keep".to_owned());
    }
    on_cluster(
        &args.target,
        &["run", "--quiet", "--package", "e2e", "--bin", "demo"],
        &arguments,
    )
}

/// Runs `cargo xtask bench`.
pub(crate) fn run_bench(args: &BenchArgs) -> Result<()> {
    let cargo = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "e2e",
        "--bin",
        "bench",
    ];
    on_cluster(&args.target, &cargo, &args.arguments)
}

/// Brings everything up, runs a program of `e2e` against it, and removes what it brought.
fn on_cluster(target: &TargetArgs, cargo: &[&str], arguments: &[String]) -> Result<()> {
    let began = Instant::now();
    let cluster = Cluster::parse(&target.cluster)?;
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
