//! Muster's own build steps: clusters, images, installation, checks.
#![expect(
    clippy::print_stdout,
    reason = "a terminal tool: its results belong on stdout"
)]

mod auth;
mod cluster;
mod codegen;
mod demo;
mod digest;
mod game;
mod images;
mod install;
mod kubernetes;
mod muster;
mod process;
mod repository;
mod suite;
mod tidy;
mod wait;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, runs and checks Muster.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Task {
    /// Starts, ends or shows a Kubernetes cluster.
    #[command(subcommand)]
    Cluster(cluster::Action),
    /// Builds OCI image archives of the services, without Docker.
    Images(images::ImagesArgs),
    /// Builds and loads the images, and installs the chart as muster-system.
    Install(install::InstallArgs),
    /// Deletes all game servers, Muster, and its custom resources.
    Uninstall(cluster::Selection),
    /// Shows the way of a player from nothing: control plane, fleet, allocation, UDP.
    Demo(demo::DemoArgs),
    /// Measures on a cluster.
    Bench(demo::BenchArgs),
    /// Runs every check of the repository.
    Test(suite::TestArgs),
    /// Writes the generated files that are committed.
    Codegen(codegen::CodegenArgs),
    /// Checks the repository's own rules.
    Tidy,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Task::Cluster(action) => cluster::run(&action),
        Task::Images(args) => images::run(&args),
        Task::Install(args) => install::run(&args),
        Task::Uninstall(selection) => install::run_uninstall(&selection),
        Task::Demo(args) => demo::run_demo(&args),
        Task::Bench(args) => demo::run_bench(&args),
        Task::Test(args) => return suite::run(&args),
        Task::Codegen(args) => codegen::run(&args),
        Task::Tidy => tidy::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
