//! The binary `arena-server`.

use std::process::ExitCode;

use gameserver::arena::args::Args;
use gameserver::arena::config::Config;
use runtime::service::{self, Threads};
use runtime::telemetry::Telemetry;

fn main() -> ExitCode {
    service::main(
        // The game has a thread of its own; this one talks to the platform.
        Threads::One,
        |args: &Args| Telemetry::logs(&args.log).and_traces("arena-server", &args.trace),
        Config::try_from,
        gameserver::arena::run,
    )
}
