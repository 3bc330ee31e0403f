//! `muster dev` of this checkout, as a child process.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::process::{self, progress};
use crate::{repository, wait};

/// First of its ports, unless another is asked for.
pub(crate) const DEFAULT_PORT: u16 = 16_443;
/// Ports in a row that it listens on.
const SERVICES: u16 = 10;
/// The allocator's among them.
const ALLOCATOR: u16 = 2;
/// That of accounts.
const AUTH: u16 = 5;
/// The lobby's.
const LOBBY: u16 = 8;
/// Ports after them for game servers, where it is not the default instance.
const GAMES: u16 = 100;
/// Where any free ports are looked for: below those that the node gives to pods.
const SEARCH: Range<u16> = 18_500..19_900;

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
    port: u16,
    kubeconfig: PathBuf,
    log: PathBuf,
    demo: PathBuf,
}

impl Muster {
    /// Builds and starts it on a row of ports, without anything applied. Port 0 is any free row.
    pub(crate) fn start(port: u16) -> Result<Self> {
        let port = find_ports(port)?;
        progress("building muster; the first time takes some minutes");
        // With the demonstration in one go. Cargo would choose other features for it alone, and
        // build everything again.
        process::run(
            repository::cargo()
                .args(["build", "--package", "cli", "--bin", "muster"])
                .args(["--package", "e2e", "--bin", "demo"]),
        )?;
        let target = repository::metadata()?.target_directory;
        // One directory serves one instance.
        let folder = if port == DEFAULT_PORT {
            target.join("muster-dev")
        } else {
            target.join(format!("muster-dev-{port}"))
        };
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let log = folder.join("muster.log");
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut child = Command::new(target.join("debug/muster"))
            .args(["dev", "--no-examples", "--dir"])
            .arg(&folder)
            .arg(format!("--port={port}"))
            .args(game_ports(port))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file.try_clone().context("cannot share the log file")?)
            .spawn()
            .context("cannot start muster dev")?;
        let stdout = child.stdout.take().context("muster dev has no stdout")?;
        let mut muster = Self {
            child,
            port,
            kubeconfig: folder.join("kubeconfig"),
            log,
            demo: target.join("debug/demo"),
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

    /// The program of the demonstration, built with it.
    pub(crate) fn demo(&self) -> &Path {
        &self.demo
    }

    /// Where its allocator listens.
    pub(crate) fn allocator(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port + ALLOCATOR).into()
    }

    /// Where its accounts are.
    pub(crate) fn auth(&self) -> String {
        format!("http://localhost:{}", self.port + AUTH)
    }

    /// Where its lobby is.
    pub(crate) fn lobby(&self) -> String {
        format!("http://localhost:{}", self.port + LOBBY)
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

/// The ports of an instance: those that it listens on, and those that it gives to game servers. The
/// default one has game ports elsewhere.
fn ports(first: u16) -> Result<RangeInclusive<u16>> {
    let more = if first == DEFAULT_PORT {
        SERVICES
    } else {
        SERVICES + GAMES
    };
    let last = first
        .checked_add(more - 1)
        .with_context(|| format!("--port {first}: at most {}", u16::MAX - (more - 1)))?;
    Ok(first..=last)
}

/// Argument for the ports of its game servers, if they are not the default ones.
fn game_ports(first: u16) -> Option<String> {
    let own = first != DEFAULT_PORT;
    let (from, to) = (first + SERVICES, first + SERVICES + GAMES - 1);
    own.then(|| format!("--game-ports={from}-{to}"))
}

/// The first port of a free row; an error that says what to do if there is none.
fn find_ports(wanted: u16) -> Result<u16> {
    if wanted == 0 {
        for first in SEARCH.step_by(usize::from(SERVICES + GAMES)) {
            if ports(first)?.all(is_free) {
                return Ok(first);
            }
        }
        bail!(
            "--port 0: there are no {} free ports in a row between {} and {}",
            SERVICES + GAMES,
            SEARCH.start,
            SEARCH.end
        );
    }
    match ports(wanted)?.find(|port| !is_free(*port)) {
        None => Ok(wanted),
        Some(taken) => bail!(
            "port {taken} is in use: end who uses it (another demonstration?), or choose other \
             ports by --port FIRST, any free ones by --port 0"
        ),
    }
}

fn is_free(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port);
    TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named_with_what_to_do() {
        let first = find_ports(0).unwrap();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first + 3)).unwrap();
        let error = find_ports(first).unwrap_err().to_string();
        let port = taken.local_addr().unwrap().port();
        assert!(
            error.contains(&format!("port {port} is in use")) && error.contains("--port 0"),
            "{error}"
        );
        assert_ne!(find_ports(0).unwrap(), first);
    }

    #[test]
    fn rows_end_where_ports_do() {
        let error = find_ports(65_432).unwrap_err().to_string();
        assert_eq!(error, "--port 65432: at most 65426");
        assert_eq!(ports(DEFAULT_PORT).unwrap(), 16_443..=16_452);
        assert_eq!(ports(18_000).unwrap(), 18_000..=18_109);
        assert_eq!(game_ports(DEFAULT_PORT), None);
        assert_eq!(
            game_ports(18_000).as_deref(),
            Some("--game-ports=18010-18109")
        );
    }
}
