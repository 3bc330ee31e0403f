//! The operator's process.

use std::process::ExitCode;

use operator::{Args, Config};
use runtime::service::{Threads, main as start};

fn main() -> ExitCode {
    start(
        Threads::UpTo(4),
        |args: &Args| &args.log,
        Config::try_from,
        operator::run,
    )
}
