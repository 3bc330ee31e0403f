//! How the programs of this crate run: one thread, and an exit code.

use std::process::ExitCode;

use anyhow::Error;

/// Runs a program to its end. `explain` is shown an error.
pub fn run(
    program: impl Future<Output = Result<ExitCode, Error>>,
    explain: impl FnOnce(&Error),
) -> ExitCode {
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::from)
        .and_then(|runtime| runtime.block_on(program));
    result.unwrap_or_else(|error| {
        explain(&error);
        ExitCode::FAILURE
    })
}
