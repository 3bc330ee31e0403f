//! Starts and ends the cluster's processes by their recorded ids.
//!
//! A process is ended only while its recorded id still runs the recorded binary, so that an id
//! that the system has given to somebody else is never touched.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{process, wait};

/// How long a process may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The processes of one cluster, known by their names.
#[derive(Debug, Clone)]
pub(crate) struct Daemons {
    state: PathBuf,
}

/// A recorded process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    pid: u32,
    binary: PathBuf,
}

impl Daemons {
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
        }
    }

    fn record_path(&self, name: &str) -> PathBuf {
        self.state.join("run").join(format!("{name}.pid"))
    }

    /// The log of a process; the one before it is kept as `<name>.previous.log`.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.state.join("logs").join(format!("{name}.log"))
    }

    /// Starts `binary` in a session of its own, in the state directory.
    pub(crate) fn start(&self, name: &str, binary: &Path, args: &[String]) -> Result<()> {
        let log = self.log(name);
        let _ = fs::rename(&log, log.with_extension("previous.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new("setsid")
            .arg(binary)
            .args(args)
            .current_dir(&self.state)
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("cannot share the log file")?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", binary.display()))?;
        let binary = binary.canonicalize().unwrap_or_else(|_| binary.to_owned());
        let record = Record {
            pid: child.id(),
            binary,
        };
        let path = self.record_path(name);
        fs::write(&path, record.text()).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Whether the recorded process still runs.
    pub(crate) fn is_alive(&self, name: &str) -> bool {
        self.record(name).is_some_and(|record| record.is_alive())
    }

    /// Fails with the end of its log when one of the processes has ended.
    pub(crate) fn check_alive(&self, names: &[&str]) -> Result<()> {
        for name in names {
            if !self.is_alive(name) {
                bail!(
                    "{name} has ended by itself; {}",
                    process::log_tail(&self.log(name))
                );
            }
        }
        Ok(())
    }

    /// Ends processes: asks all of them, waits, and kills what is left.
    pub(crate) fn stop(&self, names: &[&str]) -> Result<()> {
        let alive = || {
            names
                .iter()
                .filter_map(|name| self.record(name))
                .filter(Record::is_alive)
                .map(|record| record.pid)
                .collect::<Vec<_>>()
        };
        for (signal, patience) in [("-TERM", PATIENCE), ("-KILL", Duration::from_secs(5))] {
            let pids = alive();
            if pids.is_empty() {
                break;
            }
            process::succeeds(
                Command::new("kill")
                    .arg(signal)
                    .args(pids.iter().map(ToString::to_string)),
            );
            wait::until(patience, || Ok(alive().is_empty().then_some(())))?;
        }
        let left = alive();
        if !left.is_empty() {
            bail!(
                "processes {left:?} ({}) do not end, even when killed",
                names.join(", ")
            );
        }
        for name in names {
            let _ = fs::remove_file(self.record_path(name));
        }
        Ok(())
    }

    fn record(&self, name: &str) -> Option<Record> {
        Record::parse(&fs::read_to_string(self.record_path(name)).ok()?)
    }
}

impl Record {
    fn text(&self) -> String {
        format!("{} {}\n", self.pid, self.binary.display())
    }

    fn parse(text: &str) -> Option<Self> {
        let (pid, binary) = text.trim_end().split_once(' ')?;
        Some(Self {
            pid: pid.parse().ok()?,
            binary: PathBuf::from(binary),
        })
    }

    /// A zombie has no readable executable, so it counts as ended.
    fn is_alive(&self) -> bool {
        let Ok(running) = fs::read_link(format!("/proc/{}/exe", self.pid)) else {
            return false;
        };
        // A binary that was rebuilt since is marked so by the kernel. Just after its start, the
        // process is still the program that makes its session.
        let running = running.to_string_lossy();
        let running = running.strip_suffix(" (deleted)").unwrap_or(&running);
        Path::new(running) == self.binary || running.ends_with("/setsid")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("muster-xtask-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("run")).unwrap();
        fs::create_dir_all(path.join("logs")).unwrap();
        path
    }

    #[test]
    fn records_survive_the_file() {
        let record = Record {
            pid: 17,
            binary: PathBuf::from("/opt/a b/etcd"),
        };
        assert_eq!(Record::parse(&record.text()), Some(record));
        assert_eq!(Record::parse("17"), None);
    }

    #[test]
    fn a_started_process_is_alive_until_it_is_stopped() {
        let state = scratch("daemon");
        let daemons = Daemons::new(&state);
        let sleep = process::find_program("sleep").unwrap();
        daemons
            .start("sleeper", &sleep, &["1000".to_owned()])
            .unwrap();
        assert!(daemons.is_alive("sleeper"));
        daemons.stop(&["sleeper"]).unwrap();
        assert!(!daemons.is_alive("sleeper"));
        assert!(!daemons.record_path("sleeper").exists());
        fs::remove_dir_all(&state).unwrap();
    }

    #[test]
    fn a_process_that_runs_something_else_is_not_ours() {
        let state = scratch("stranger");
        let daemons = Daemons::new(&state);
        // The id is that of this test, which does not run etcd.
        let stranger = Record {
            pid: std::process::id(),
            binary: PathBuf::from("/opt/etcd"),
        };
        fs::write(daemons.record_path("etcd"), stranger.text()).unwrap();
        assert!(!daemons.is_alive("etcd"));
        daemons.stop(&["etcd"]).unwrap();
        fs::remove_dir_all(&state).unwrap();
    }
}
