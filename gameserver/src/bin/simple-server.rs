//! The binary `simple-server`.

use std::process::ExitCode;

use gameserver::echo::args::CommandLine;
use gameserver::echo::config::Config;
use runtime::service::{self, Threads};
use runtime::telemetry::Telemetry;

fn main() -> ExitCode {
    service::main(
        Threads::One,
        |command_line: &CommandLine| Telemetry::logs(&command_line.0.log),
        |command_line| Config::try_from(command_line.0),
        gameserver::echo::run,
    )
}
