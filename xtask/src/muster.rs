//! `muster dev` of this checkout, as a child process.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::process::{self, progress};
use crate::{repository, wait};

/// Time from the start of the program to its welcome.
const START: Duration = Duration::from_mins(1);
/// Time from the signal to the end.
const END: Duration = Duration::from_mins(1);
/// What it prints when everything runs.
const WELCOME: &str = "Muster runs";

/// A running `muster dev`. Ends with this value.
#[derive(Debug)]
pub(crate) struct Muster {
    child: Child,
    kubeconfig: PathBuf,
    log: PathBuf,
}

impl Muster {
    /// Where its allocator listens.
    pub(crate) const ALLOCATOR: &str = "127.0.0.1:16445";

    /// Builds and starts it, without anything applied.
    pub(crate) fn start() -> Result<Self> {
        progress("building muster; the first time takes some minutes");
        process::run(repository::cargo().args(["build", "--package", "cli", "--bin", "muster"]))?;
        let target = repository::metadata()?.target_directory;
        let folder = target.join("muster-dev");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let log = folder.join("muster.log");
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut child = Command::new(target.join("debug/muster"))
            .args(["dev", "--no-examples", "--dir"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file.try_clone().context("cannot share the log file")?)
            .spawn()
            .context("cannot start muster dev")?;
        let stdout = child.stdout.take().context("muster dev has no stdout")?;
        let mut muster = Self {
            child,
            kubeconfig: folder.join("kubeconfig"),
            log,
        };
        let (welcomed, welcome) = mpsc::channel();
        std::thread::spawn(move || {
            let mut file = file;
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // A log that cannot be written ends nothing.
                drop(writeln!(file, "{line}"));
                if line.contains(WELCOME) {
                    let _ = welcomed.send(());
                }
            }
        });
        // The channel closes with the program's output.
        if welcome.recv_timeout(START).is_err() {
            drop(muster.end());
            bail!(
                "muster dev did not start\n{}",
                process::log_tail(&muster.log)
            );
        }
        progress(&format!(
            "muster dev runs; its log is {}",
            muster.log.display()
        ));
        Ok(muster)
    }

    /// How to reach its Kubernetes API.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// What it said.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until it ends by itself, or by Ctrl-C.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let status = self.child.wait().context("cannot wait for muster dev")?;
        if status.success() {
            return Ok(());
        }
        bail!(
            "muster dev ended: {status}\n{}",
            process::log_tail(&self.log)
        );
    }

    /// Asks it to end, and waits.
    pub(crate) fn end(&mut self) -> Result<()> {
        let ended = self.child.try_wait();
        if ended.context("cannot wait for muster dev")?.is_some() {
            return Ok(());
        }
        let id = self.child.id().to_string();
        process::run(Command::new("kill").args(["-TERM", &id]))?;
        let ended = wait::until(END, || {
            self.child.try_wait().context("cannot wait for muster dev")
        })?;
        match ended {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!(
                "muster dev ended with {status}\n{}",
                process::log_tail(&self.log)
            ),
            None => {
                // Its guard ends the game servers.
                drop(self.child.kill());
                bail!(
                    "muster dev did not end in {} s\n{}",
                    END.as_secs(),
                    process::log_tail(&self.log)
                )
            }
        }
    }
}

impl Drop for Muster {
    fn drop(&mut self) {
        // An error was reported where it mattered.
        drop(self.end());
    }
}
