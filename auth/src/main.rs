//! The binary `auth`.

use std::process::ExitCode;

use auth::args::Args;
use auth::config::Config;
use runtime::service::{self, Threads};
use runtime::telemetry::Telemetry;

fn main() -> ExitCode {
    service::main(
        Threads::UpTo(8),
        |args: &Args| Telemetry::logs(&args.log).and_traces("auth", &args.trace),
        Config::try_from,
        auth::run,
    )
}
