//! Measures the auth service: `cargo xtask bench auth`.
//!
//! The benchmark itself is in the crate `auth`; it starts the service and its databases, each on its
//! core. Here it is built as the other benchmarks of processes are.

use anyhow::Result;
use clap::Args;

use crate::game;
use crate::process::{self, progress};
use crate::repository;

/// Arguments of `cargo xtask bench auth`.
#[derive(Debug, Args)]
pub(crate) struct AuthArgs {
    /// Passed to the compiler.
    #[arg(long, default_value = game::RUSTFLAGS)]
    rustflags: String,
    /// Arguments for the benchmark itself: what to measure, and how long.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Measures and prints the table; fails if a goal was missed.
pub(crate) fn run(args: &AuthArgs) -> Result<()> {
    progress("building auth and its load for this processor");
    process::run(
        repository::cargo()
            .args(["bench", "--package", "auth", "--bench", "load"])
            .arg("--target-dir")
            .arg(game::folder()?)
            .arg("--")
            .args(&args.arguments)
            .env("RUSTFLAGS", &args.rustflags),
    )
}
