//! The binary `lobby`.

use std::process::ExitCode;

use lobby::args::Args;
use lobby::config::Config;
use runtime::service::{self, Threads};
use runtime::telemetry::Telemetry;

fn main() -> ExitCode {
    service::main(
        Threads::UpTo(8),
        |args: &Args| Telemetry::logs(&args.log).and_traces("lobby", &args.trace),
        Config::try_from,
        lobby::run,
    )
}
