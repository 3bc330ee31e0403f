//! The binary `allocator`.

use std::process::ExitCode;

use allocator::{Args, Config};
use runtime::service::{self, Threads};

fn main() -> ExitCode {
    // Most of the time is spent waiting for the API server.
    service::main(
        Threads::UpTo(2),
        |args: &Args| &args.log,
        Config::try_from,
        allocator::run,
    )
}
