//! Measures the arena server: `cargo xtask bench game`.
//!
//! The server runs on one core and the bots on another, over loopback: what the kernel does to
//! deliver a packet counts for its sender, as it would with a network.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::process::{self, progress};
use crate::{repository, wait};

/// Players of the curve.
const CURVE: [u16; 7] = [16, 64, 128, 250, 500, 750, 1000];
/// Cores of the server and of the bots.
const CORES: [&str; 2] = ["0", "1"];
/// Longest time for the server to start or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Arguments of `cargo xtask bench game`.
#[derive(Debug, Args)]
pub(crate) struct GameArgs {
    /// Players, each number in a run of its own.
    #[arg(long, value_delimiter = ',', default_values_t = CURVE)]
    players: Vec<u16>,
    /// Seconds that each run lasts.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Networks of the bots, by the names of `bots run --profile`; `all` for every one.
    #[arg(long, value_delimiter = ',', default_value = "clean")]
    profile: Vec<String>,
    /// Dynamic props of the match.
    #[arg(long, default_value_t = 40)]
    props: u16,
    /// Passed to the compiler; without AVX2 the cryptography is several times slower.
    #[arg(long, default_value = "-C target-cpu=x86-64-v3")]
    rustflags: String,
}

/// Measures and prints the tables.
pub(crate) fn run(args: &GameArgs) -> Result<()> {
    let programs = Programs::build(&args.rustflags)?;
    let mut lines = Vec::new();
    for players in &args.players {
        for profile in &args.profile {
            lines.push(measure(&programs, args, *players, profile)?);
        }
    }
    println!(
        "\n| players | profile | tick p99 | server CPU | RSS | debt | down | up | gap p99 | \
         mispredictions | verdict |\n|---|---|---|---|---|---|---|---|---|---|---|"
    );
    for line in lines {
        println!("{line}");
    }
    Ok(())
}

/// The programs of this checkout, optimized.
struct Programs {
    server: PathBuf,
    bots: PathBuf,
    folder: PathBuf,
}

impl Programs {
    fn build(flags: &str) -> Result<Self> {
        let target = repository::metadata()?.target_directory;
        // Other flags would make every other release build start anew.
        let folder = target.join("bench-game");
        progress("building the arena server and the bots for this processor");
        process::run(
            repository::cargo()
                .args(["build", "--release", "--package", "gameserver"])
                .args([
                    "--package",
                    "bots",
                    "--bin",
                    "arena-server",
                    "--bin",
                    "bots",
                ])
                .arg("--target-dir")
                .arg(&folder)
                .env("RUSTFLAGS", flags),
        )?;
        Ok(Self {
            server: folder.join("release/arena-server"),
            bots: folder.join("release/bots"),
            folder,
        })
    }
}

/// An arena server on its core. Ends with this value.
struct Server {
    child: Child,
    port: u16,
    admin: SocketAddr,
}

impl Server {
    fn start(programs: &Programs, key: &Path, players: u16, props: u16) -> Result<Self> {
        let port = free_port()?;
        let admin = (Ipv4Addr::LOCALHOST, free_port()?).into();
        let log = programs.folder.join("arena-server.log");
        let log = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new("taskset")
            .args(["--cpu-list", CORES[0]])
            .arg(&programs.server)
            .args(["--platform=none", "--threads=one", "--score-limit=65535"])
            .args(["--time-limit=3600", "--min-players=1", "--wait-seconds=1"])
            .arg(format!("--port={port}"))
            .arg(format!("--players={players}"))
            .arg(format!("--props={props}"))
            .arg(format!("--admin-address={admin}"))
            .arg(format!("--key-file={}", key.display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share the log")?)
            .stderr(log)
            .spawn()
            .context("cannot start the arena server; taskset is in the package util-linux")?;
        let mut server = Self { child, port, admin };
        wait::until(PATIENCE, || {
            let ended = server.child.try_wait().context("cannot wait for it")?;
            ensure!(ended.is_none(), "the arena server did not start");
            Ok(TcpStream::connect(admin).ok())
        })?
        .context("the arena server does not answer")?;
        Ok(server)
    }

    /// Seconds of CPU time, and MiB of memory.
    fn usage(&self) -> Result<(f64, u64)> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let stat = fs::read_to_string(folder.join("stat")).context("cannot read its times")?;
        // After the name in parentheses; user and system time are the 12th and 13th there.
        let (_, fields) = stat
            .rsplit_once(") ")
            .context("the kernel tells no times")?;
        let ticks: f64 = fields
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<f64>().ok())
            .sum();
        let status = fs::read_to_string(folder.join("status")).context("cannot read its memory")?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|text| text.trim().strip_suffix(" kB"))
            .and_then(|text| text.parse::<u64>().ok())
            .context("the kernel tells no memory")?;
        // The kernel counts hundredths of a second for programs, on every architecture.
        Ok((ticks / 100.0, resident / 1024))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is lost with it, and nobody is left to tell.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One run; returns its line of the table.
fn measure(programs: &Programs, args: &GameArgs, players: u16, profile: &str) -> Result<String> {
    let key = programs.folder.join("key");
    let mut secret = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut secret))
        .context("cannot make a key")?;
    fs::write(&key, secret).with_context(|| format!("cannot write {}", key.display()))?;
    let server = Server::start(programs, &key, players, args.props)?;
    let before = server.usage()?;
    let report = programs.folder.join("report.json");
    progress(&format!("{players} players, profile {profile}"));
    let ran = process::run(
        Command::new("taskset")
            .args(["--cpu-list", CORES[1]])
            .arg(&programs.bots)
            .arg("run")
            .arg(format!("--profile={profile}"))
            .arg(format!("--players={players}"))
            .arg(format!("--seconds={}", args.seconds))
            .arg(format!("--key-file={}", key.display()))
            .arg(format!("--server=127.0.0.1:{}", server.port))
            .arg(format!("--metrics={}", server.admin))
            .arg(format!("--json={}", report.display())),
    );
    let after = server.usage()?;
    if let Err(error) = ran {
        progress(&format!("{error:#}"));
    }
    let text = fs::read(&report).context("the bots wrote no report")?;
    let reports: Vec<Value> = serde_json::from_slice(&text).context("the report is damaged")?;
    let mut lines = String::new();
    for report in reports {
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.push_str(&line(&report, before, after));
    }
    Ok(lines)
}

fn line(report: &Value, before: (f64, u64), after: (f64, u64)) -> String {
    let number = |path: &str| report.pointer(path).and_then(Value::as_f64);
    let shown = |path: &str, scale: f64, unit: &str| {
        number(path).map_or_else(
            || "–".to_owned(),
            |value| format!("{:.1} {unit}", value / scale),
        )
    };
    let seconds = number("/seconds").unwrap_or(1.0).max(1.0);
    let broken = report["broken"].as_array().map_or(0, Vec::len);
    format!(
        "| {} | {} | {} | {:.0} % | {} MiB | {} | {} | {} | {} | {} of {} | {} |",
        report["players"],
        report["profile"].as_str().unwrap_or_default(),
        shown("/server/tick_p99_ms", 1.0, "ms"),
        100.0 * (after.0 - before.0) / seconds,
        after.1,
        report["server"]["debt_dropped"],
        shown("/down_bits", 1000.0, "kbit/s"),
        shown("/up_bits", 1000.0, "kbit/s"),
        shown("/gaps/p99_ms", 1.0, "ms"),
        report["mispredictions"],
        report["predictions"],
        if broken == 0 { "pass" } else { "FAIL" },
    )
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot find a free port")?;
    Ok(socket
        .local_addr()
        .context("cannot find a free port")?
        .port())
}
