//! Measures the real process over a real PostgreSQL and a real Valkey: `cargo xtask bench auth`.
//!
//! The service has one core, and everything else the other: databases and the load itself. Rates
//! are told by the clock, and per second of CPU that the service took: the latter hold on a machine
//! that has other work, too. A goal that is missed makes the exit code 1.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a benchmark ends with the first thing that does not work, and prints"
)]

mod http;
mod load;
mod local;
mod passwords;
mod process;
mod report;
mod revocations;
mod sessions;
mod sockets;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::report::Report;
use crate::world::World;

/// Measures auth.
#[derive(Debug, Parser)]
struct Args {
    /// What to measure.
    #[arg(value_enum, default_value = "all")]
    sections: Vec<Section>,
    /// How long each load lasts.
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    seconds: u64,
    /// How many sockets are held open.
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// How long they are watched. Pings come every 30 seconds.
    #[arg(long, default_value_t = 35, value_name = "SECONDS")]
    idle_seconds: u64,
    /// Hashes passwords for that long on whatever core it has, prints how many and the CPU seconds,
    /// and ends: the program runs itself so.
    #[arg(long, hide = true, value_name = "SECONDS")]
    hash: Option<u64>,
    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Everything.
    All,
    /// Validation in the process of a game server.
    Local,
    /// Device logins and refreshes, and validation by calls.
    Sessions,
    /// Logins by password.
    Passwords,
    /// Until a revocation is known everywhere.
    Revocations,
    /// Open sockets.
    Sockets,
}

impl Args {
    fn wants(&self, section: Section) -> bool {
        self.sections.contains(&Section::All) || self.sections.contains(&section)
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(seconds) = args.hash {
        passwords::hash_alone(Duration::from_secs(seconds));
        return ExitCode::SUCCESS;
    }
    process::raise_file_limit();
    process::pin_self();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let report = runtime.block_on(measure(&args));
    println!("{}", report.table());
    if report.is_met() {
        ExitCode::SUCCESS
    } else {
        eprintln!("goals were missed");
        ExitCode::FAILURE
    }
}

async fn measure(args: &Args) -> Report {
    let mut report = Report::default();
    let span = Duration::from_secs(args.seconds);
    report.note("load average", process::load_average());
    if args.wants(Section::Local) {
        local::measure(&mut report, span);
    }
    let world = World::start();
    let replica = world.replica().await;
    if args.wants(Section::Sessions) {
        sessions::measure(&mut report, &world, &replica, span).await;
    }
    if args.wants(Section::Passwords) {
        passwords::measure(&mut report, &replica, span).await;
    }
    if args.wants(Section::Revocations) {
        let other = world.replica().await;
        revocations::measure(&mut report, [&replica, &other]).await;
    }
    if args.wants(Section::Sockets) {
        // Of its own: what others left in memory is not the sockets'.
        let fresh = world.replica().await;
        let idle = Duration::from_secs(args.idle_seconds);
        sockets::measure(&mut report, &fresh, args.sockets, idle).await;
    }
    report.note("load average at the end", process::load_average());
    report
}
