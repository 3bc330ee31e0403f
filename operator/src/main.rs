//! The operator's process.

use std::process::ExitCode;

use operator::{Args, Config};
use runtime::service::{Threads, main as start};
use runtime::telemetry::Telemetry;

fn main() -> ExitCode {
    start(
        Threads::UpTo(4),
        |args: &Args| Telemetry::logs(&args.log).and_traces("operator", &args.trace),
        Config::try_from,
        operator::run,
    )
}
