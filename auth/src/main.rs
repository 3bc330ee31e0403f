//! The binary `auth`.

use std::process::ExitCode;

use auth::args::Args;
use auth::config::Config;
use runtime::service::{self, Threads};

fn main() -> ExitCode {
    service::main(
        Threads::UpTo(8),
        |args: &Args| &args.log,
        Config::try_from,
        auth::run,
    )
}
