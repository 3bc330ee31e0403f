//! The binary `allocator`.

use std::process::ExitCode;

use allocator::{Args, Config};
use runtime::service::{self, Threads};
use runtime::telemetry::Telemetry;

fn main() -> ExitCode {
    // Most of the time is spent waiting for the API server.
    service::main(
        Threads::UpTo(2),
        |args: &Args| Telemetry::logs(&args.log).and_traces("allocator", &args.trace),
        Config::try_from,
        allocator::run,
    )
}
