//! The program that becomes a container's process: it makes sure that the process cannot outlive
//! the node, waits for the node's word, and then runs the container's program in its own place.
//!
//! The node starts it with the word on standard input still to come: by then the node has told
//! its guard about the process, so that there is no moment at which nobody knows of it.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

/// The word that lets the program run.
pub(super) const GO: &[u8] = b"go\n";
/// Exit code if the program cannot be run, as of a container runtime.
pub(super) const CANNOT_RUN: u8 = 128;

/// Runs the shim: `PARENT-PID PROGRAM [ARGUMENT…]`. Returns only if the program does not run.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match run(arguments.into_iter()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // The log of the container is the only place left to say it.
            let mut stderr = std::io::stderr();
            let said = writeln!(stderr, "muster: {message}");
            drop(said);
            ExitCode::from(CANNOT_RUN)
        }
    }
}

fn run(mut arguments: impl Iterator<Item = OsString>) -> Result<(), String> {
    let parent = arguments
        .next()
        .and_then(|parent| parent.to_str()?.parse::<i32>().ok())
        .ok_or("the shim needs the process ID of its parent")?;
    let program = arguments.next().ok_or("the shim needs a program")?;

    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| format!("cannot tie itself to its parent: {error}"))?;
    // The parent may have died before the tie.
    let now = rustix::process::getppid().map(|parent| parent.as_raw_nonzero().get());
    if now != Some(parent) {
        return Err("the node has ended".to_owned());
    }
    let mut word = Vec::new();
    let read = std::io::stdin().read_to_end(&mut word);
    if read.is_err() || word != GO {
        return Err("the node has ended".to_owned());
    }
    let error = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .exec();
    Err(format!("cannot run {}: {error}", program.display()))
}
