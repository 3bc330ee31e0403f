//! The binary `simple-server`.

use std::process::ExitCode;

use gameserver::echo::args::CommandLine;
use gameserver::echo::config::Config;
use runtime::service::{self, Threads};

fn main() -> ExitCode {
    service::main(
        Threads::One,
        |command_line: &CommandLine| &command_line.0.log,
        |command_line| Config::try_from(command_line.0),
        gameserver::echo::run,
    )
}
