//! How a service starts and ends: the same for every binary.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Telemetry;

/// Exit code for bad configuration (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;

/// Everything that is wrong with the arguments, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

/// Threads of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One thread for everything.
    One,
    /// As many workers as the machine has cores, at most this many.
    UpTo(usize),
}

/// Runs a service from its arguments to its exit code.
///
/// Bad configuration prints every problem and exits with 64 before any socket is opened or any
/// call made. `run` ends when its token is cancelled (SIGTERM, SIGINT) or with an error, which is
/// logged and becomes exit code 1.
pub fn main<Args, Config, Error>(
    threads: Threads,
    telemetry: impl FnOnce(&Args) -> Telemetry<'_>,
    config: impl FnOnce(Args) -> Result<Config, Problems>,
    run: impl AsyncFnOnce(Config, CancellationToken) -> Result<(), Error>,
) -> ExitCode
where
    Args: Parser,
    Error: std::error::Error + 'static,
{
    main_from(std::env::args_os(), threads, telemetry, config, run)
}

/// [`main`] with another command line than the process's; its first word is the program's name.
pub fn main_from<Args, Config, Error>(
    command_line: impl IntoIterator<Item = OsString>,
    threads: Threads,
    telemetry: impl FnOnce(&Args) -> Telemetry<'_>,
    config: impl FnOnce(Args) -> Result<Config, Problems>,
    run: impl AsyncFnOnce(Config, CancellationToken) -> Result<(), Error>,
) -> ExitCode
where
    Args: Parser,
    Error: std::error::Error + 'static,
{
    let args = match Args::try_parse_from(command_line) {
        Ok(args) => args,
        Err(error) => {
            let code = if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
            // Nothing can be done when the terminal is gone.
            drop(error.print());
            return code;
        }
    };
    let sending = crate::telemetry::init(telemetry(&args));
    let config = match config(args) {
        Ok(config) => config,
        Err(Problems(problems)) => {
            for problem in problems {
                tracing::error!("Invalid configuration: {problem}");
            }
            return ExitCode::from(USAGE);
        }
    };
    let runtime = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build(),
        Threads::UpTo(most) => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(1, |n| n.get().min(most)))
            .enable_all()
            .build(),
    };
    let result = runtime
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            let result = runtime.block_on(async {
                let token = crate::shutdown::token().map_err(|error| error.to_string())?;
                let running = sending.during(run(config, token));
                running.await.map_err(|error| chain(&error))
            });
            // A name lookup that nobody answers must not hold up the end of the process.
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error, "Service failed");
            ExitCode::FAILURE
        }
    }
}

/// Writes an error with its sources, separated by colons.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat the source in their own text.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
