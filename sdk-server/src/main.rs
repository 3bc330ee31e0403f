//! The SDK server.

use std::process::ExitCode;

use runtime::service::{self, Threads};
use runtime::telemetry::Telemetry;
use sdk_server::{Args, Config};

fn main() -> ExitCode {
    service::main(
        Threads::One,
        |args: &Args| Telemetry::logs(&args.log),
        Config::try_from,
        sdk_server::run,
    )
}
