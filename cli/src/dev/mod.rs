//! `muster dev`: a Kubernetes API, a node, the operator, the allocator, accounts and the lobby as
//! tasks of one process.
//!
//! Start reading at [`run::run`].

mod accounts;
mod args;
mod certificates;
mod directory;
mod folder;
mod lobby;
mod log;
mod manifests;
mod run;
mod simulated;
mod story;

use std::process::ExitCode;

pub(crate) use args::Args;
use args::Config;
use runtime::service::Problems;

/// Hidden command: programs that the node needs beside it.
pub(crate) const HELPER: &str = "node-helper";

/// Exit code for bad configuration (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;

/// Runs `muster dev` from its arguments to its exit code.
pub(crate) fn main(args: Args) -> ExitCode {
    log::start(&args.log.log_level);
    let config = match Config::try_from(args) {
        Ok(config) => config,
        Err(Problems(problems)) => {
            for problem in problems {
                tracing::error!("{problem}");
            }
            return ExitCode::from(USAGE);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let result = runtime.block_on(async {
            let stop = runtime::shutdown::token()?;
            run::run(config, stop).await
        });
        // A name lookup that nobody answers must not hold up the end of the process.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
