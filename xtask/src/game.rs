//! Measures the arena server: `cargo xtask bench game`.
//!
//! The server runs on one core and the bots on another, over loopback: what the kernel does to
//! deliver a packet counts for its sender, as it would with a network.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::process::{self, progress};
use crate::{repository, wait};

/// Players of the curve.
const CURVE: [u16; 7] = [16, 64, 128, 250, 500, 750, 1000];
/// For processors with AVX2.
pub(crate) const RUSTFLAGS: &str = "-C target-cpu=x86-64-v3";
/// Cores of the server and of the bots.
const CORES: [&str; 2] = ["0", "1"];
/// Longest time for the server to start or to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// What `--profile` calls every network.
const ALL: &str = "all";
/// Most players that a server takes.
const MOST_PLAYERS: u16 = 1024;
/// When the memory of a soak is read first: all that a match needs is there then.
const WARM: Duration = Duration::from_mins(1);
/// Longest time that bots take beyond that for which they play: to join, and for the faults of
/// their network.
const MARGIN: Duration = Duration::from_mins(2);
/// The table's columns.
const COLUMNS: [&str; 16] = [
    "players",
    "profile",
    "tick p99",
    "server CPU",
    "in the kernel",
    "RSS",
    "debt",
    "starved",
    "down",
    "up",
    "gap p99",
    "reconnect p99",
    "mispredictions",
    "hash mismatches",
    "bots late p99",
    "verdict",
];

/// What a server is to reach with so many players.
struct Goal {
    players: u64,
    tick_p99_ms: f64,
    may_owe: bool,
}

const GOALS: [Goal; 2] = [
    Goal {
        players: 64,
        tick_p99_ms: 1.2,
        may_owe: true,
    },
    Goal {
        players: 250,
        tick_p99_ms: 10.0,
        may_owe: false,
    },
];

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
    /// One long run instead, with the one number of --players: shows whether memory grows.
    #[arg(
        long,
        value_name = "SECONDS",
        conflicts_with = "seconds",
        value_parser = clap::value_parser!(u64).range(61..=80_000),
    )]
    soak: Option<u64>,
    /// Dynamic props of the match.
    #[arg(long, default_value_t = 40)]
    props: u16,
    /// Passed to the compiler; without AVX2 the cryptography is several times slower.
    #[arg(long, default_value = RUSTFLAGS)]
    rustflags: String,
}

/// Measures and prints the tables; fails if a run did.
pub(crate) fn run(args: &GameArgs) -> Result<()> {
    ensure!(
        args.soak.is_none() || args.players.len() == 1,
        "--soak is one run: name its number of players by --players"
    );
    let programs = Programs::build(&args.rustflags)?;
    let profiles = expand(&args.profile, || programs.profiles())?;
    let mut rows = Vec::new();
    let mut said = Vec::new();
    let mut failed = Vec::new();
    for players in &args.players {
        for profile in &profiles {
            let name = format!("{players} players, {profile}");
            progress(&name);
            // Hours of other runs are not thrown away for one that failed.
            match measure(&programs, args, *players, profile) {
                Ok(run) => {
                    rows.push(row(&run));
                    said.extend(soaked(&run));
                    said.extend(flooded(&run.report));
                    said.extend(missed(&run.report));
                    failed.extend(failure(&run).map(|why| format!("{name}: {why}")));
                }
                Err(error) => failed.push(format!("{name}: {error:#}")),
            }
        }
    }
    println!(
        "\n| {} |\n|{}",
        COLUMNS.join(" | "),
        "---|".repeat(COLUMNS.len())
    );
    for line in rows {
        println!("{line}");
    }
    for line in said {
        println!("\n{line}");
    }
    ensure!(failed.is_empty(), "runs failed:\n{}", failed.join("\n"));
    Ok(())
}

/// The networks by name, with every one in the place of `all`: each is to have a server and a
/// measurement of its own.
fn expand(names: &[String], every: impl FnOnce() -> Result<Vec<String>>) -> Result<Vec<String>> {
    if names.iter().any(|name| name == ALL) {
        every()
    } else {
        Ok(names.to_vec())
    }
}

/// Where programs are built that are measured: other flags would make every other release build
/// start anew.
pub(crate) fn folder() -> Result<PathBuf> {
    Ok(repository::metadata()?.target_directory.join("bench-game"))
}

/// The programs of this checkout, optimized.
struct Programs {
    server: PathBuf,
    bots: PathBuf,
    folder: PathBuf,
}

impl Programs {
    fn build(flags: &str) -> Result<Self> {
        let folder = folder()?;
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

    /// The names of every network that the bots know.
    fn profiles(&self) -> Result<Vec<String>> {
        let text = process::output(Command::new(&self.bots).arg("profiles"))?;
        Ok(text.lines().map(str::to_owned).collect())
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
            .args(["--time-limit=86400", "--min-players=1", "--wait-seconds=1"])
            .arg(format!("--port={port}"))
            // A place more: some profiles have a witness, who plays while all others are gone.
            .arg(format!("--players={}", MOST_PLAYERS.min(players + 1)))
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
        // It refuses tokens that may be older than itself: tokens tell whole seconds.
        let started = unix_seconds();
        wait::until(PATIENCE, || Ok((unix_seconds() > started).then_some(())))?
            .context("the clock of this machine stands still")?;
        Ok(server)
    }

    /// What it has used so far.
    fn usage(&self) -> Result<Usage> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let stat = fs::read_to_string(folder.join("stat")).context("cannot read its times")?;
        // After the name in parentheses; user and system time are the 12th and 13th there.
        let (_, fields) = stat
            .rsplit_once(") ")
            .context("the kernel tells no times")?;
        let mut ticks = fields
            .split(' ')
            .skip(11)
            .map_while(|field| field.parse::<f64>().ok());
        let (user, kernel) = ticks
            .next()
            .zip(ticks.next())
            .context("the kernel tells no times")?;
        let status = fs::read_to_string(folder.join("status")).context("cannot read its memory")?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|text| text.trim().strip_suffix(" kB"))
            .and_then(|text| text.parse::<u64>().ok())
            .context("the kernel tells no memory")?;
        // The kernel counts hundredths of a second for programs, on every architecture.
        Ok(Usage {
            seconds: (user + kernel) / 100.0,
            kernel: kernel / 100.0,
            memory: resident / 1024,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is lost with it, and nobody is left to tell.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a server has used.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    /// Seconds of CPU time.
    seconds: f64,
    /// Those of them that the kernel took, most of them for packets.
    kernel: f64,
    /// MiB of memory.
    memory: u64,
}

/// What a run came to.
#[derive(Debug, Default)]
struct Run {
    /// What the bots wrote.
    report: Value,
    /// Whether they ended well.
    succeeded: bool,
    before: Usage,
    after: Usage,
    /// Of a soak, after its first minute.
    warm: Option<Usage>,
}

/// One run on a server of its own.
fn measure(programs: &Programs, args: &GameArgs, players: u16, profile: &str) -> Result<Run> {
    let key = programs.folder.join("key");
    let mut secret = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut secret))
        .context("cannot make a key")?;
    fs::write(&key, secret).with_context(|| format!("cannot write {}", key.display()))?;
    let server = Server::start(programs, &key, players, args.props)?;
    let before = server.usage()?;
    let path = programs.folder.join("report.json");
    let seconds = args.soak.unwrap_or(args.seconds);
    let mut bots = Command::new("taskset");
    bots.args(["--cpu-list", CORES[1]])
        .arg(&programs.bots)
        .arg("run")
        .arg(format!("--profile={profile}"))
        .arg(format!("--players={players}"))
        .arg(format!("--seconds={seconds}"))
        .arg(format!("--key-file={}", key.display()))
        .arg(format!("--server=127.0.0.1:{}", server.port))
        .arg(format!("--metrics={}", server.admin))
        .arg(format!("--json={}", path.display()));
    let limit = Duration::from_secs(seconds) + MARGIN;
    let mut warm = None;
    let (report, succeeded) = play(&mut bots, &path, limit, |played| {
        if args.soak.is_some() && warm.is_none() && played >= WARM {
            warm = Some(server.usage()?);
        }
        Ok(())
    })?;
    Ok(Run {
        report,
        succeeded,
        before,
        after: server.usage()?,
        warm,
    })
}

/// Runs the bots, and returns their report and whether they ended well. `look` is called time and
/// again while they play, with how long they have.
fn play(
    bots: &mut Command,
    path: &Path,
    limit: Duration,
    mut look: impl FnMut(Duration) -> Result<()>,
) -> Result<(Value, bool)> {
    // What an earlier run left is not what this one saw.
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot delete {}", path.display()));
        }
        _ => {}
    }
    let began = Instant::now();
    let mut child = bots.spawn().context("cannot start the bots")?;
    let watched = wait::until(limit, || {
        look(began.elapsed())?;
        child.try_wait().context("cannot wait for the bots")
    });
    if !matches!(watched, Ok(Some(_))) {
        // They have nothing to tell any more.
        drop(child.kill());
        drop(child.wait());
    }
    let Some(status) = watched? else {
        bail!("the bots did not end within {limit:?}");
    };
    let text = fs::read(path).with_context(|| format!("the bots wrote no report ({status})"))?;
    let reports: Vec<Value> = serde_json::from_slice(&text).context("the report is damaged")?;
    let report = reports.into_iter().next().context("the report is empty")?;
    Ok((report, status.success()))
}

/// Why a run failed, if it did.
fn failure(run: &Run) -> Option<String> {
    let broken = broken(&run.report);
    match broken.first() {
        Some(first) if broken.len() == 1 => Some(first.clone()),
        Some(first) => Some(format!("{first}, and {} more", broken.len() - 1)),
        None if !run.succeeded => Some("the bots failed and broke no rule".to_owned()),
        None => None,
    }
}

/// The rules that were broken, those last that bots broke which were late themselves.
fn broken(report: &Value) -> Vec<String> {
    let lists = ["broken", "late"].map(|list| report[list].as_array());
    let rules = lists.into_iter().flatten().flatten();
    rules
        .map(|rule| rule.as_str().unwrap_or_default().to_owned())
        .collect()
}

/// The goals that a run did not reach, each as a line. They are for a machine of its own, so a
/// miss is told and is no failure.
fn missed(report: &Value) -> Vec<String> {
    let players = report["players"].as_u64();
    let goals = GOALS.iter().filter(|goal| players == Some(goal.players));
    goals
        .flat_map(|goal| {
            let tick = report
                .pointer("/server/tick_p99_ms")
                .and_then(Value::as_f64);
            let debt = report.pointer("/server/debt_dropped");
            let debt = debt.and_then(Value::as_u64).unwrap_or_default();
            let late = tick.is_none_or(|tick| tick > goal.tick_p99_ms).then(|| {
                let tick = tick.map_or_else(|| "unknown".to_owned(), |it| format!("{it:.2} ms"));
                format!("tick p99 is {tick}, more than {} ms", goal.tick_p99_ms)
            });
            let owes = (debt > 0 && !goal.may_owe).then(|| format!("{debt} ticks were given up"));
            let profile = report["profile"].as_str().unwrap_or_default();
            let name = format!("{} players, {profile}", goal.players);
            let lines = late.into_iter().chain(owes);
            lines.map(move |what| format!("goal missed: {name}: {what}"))
        })
        .collect()
}

/// What a soak is for, as a line.
fn soaked(run: &Run) -> Option<String> {
    let warm = run.warm?;
    let tick = run.report.pointer("/server/tick_p99_ms");
    let tick = tick.and_then(Value::as_f64).unwrap_or(f64::NAN);
    Some(format!(
        "soak: RSS {} MiB after {} s and {} MiB at the end, tick p99 {tick:.2} ms",
        warm.memory,
        WARM.as_secs(),
        run.after.memory,
    ))
}

/// What a server was flooded with and what became of it, as a line: how much of it the kernel kept
/// from the server says how much the times of its ticks are worth.
fn flooded(report: &Value) -> Option<String> {
    let flood = report.get("flood").filter(|flood| !flood.is_null())?;
    let server = &report["server"];
    Some(format!(
        "flood, {} players: {} datagrams of random bytes, {} shaped like packets, {} forged requests; \
         the kernel dropped {}, and the server refused {}",
        report["players"],
        flood["random"],
        flood["shaped"],
        flood["requests"],
        server["dropped"],
        server["refused"],
    ))
}

/// A line of the table.
fn row(run: &Run) -> String {
    let report = &run.report;
    let number = |path: &str| report.pointer(path).and_then(Value::as_f64);
    let shown = |path: &str, scale: f64, unit: &str| {
        number(path).map_or_else(
            || "–".to_owned(),
            |value| format!("{:.1} {unit}", value / scale),
        )
    };
    let seconds = number("/seconds").unwrap_or(1.0).max(1.0);
    let executed = number("/executed_ticks").unwrap_or_default().max(1.0);
    let starved = number("/starved_ticks").unwrap_or_default() / executed;
    let cells = [
        report["players"].to_string(),
        report["profile"].as_str().unwrap_or_default().to_owned(),
        shown("/server/tick_p99_ms", 1.0, "ms"),
        format!(
            "{:.0} %",
            100.0 * (run.after.seconds - run.before.seconds) / seconds
        ),
        format!(
            "{:.0} %",
            100.0 * (run.after.kernel - run.before.kernel)
                / (run.after.seconds - run.before.seconds).max(0.01)
        ),
        format!("{} MiB", run.after.memory),
        report["server"]["debt_dropped"].to_string(),
        format!("{:.3} %", 100.0 * starved),
        shown("/down_bits", 1000.0, "kbit/s"),
        shown("/up_bits", 1000.0, "kbit/s"),
        shown("/gaps/p99_ms", 1.0, "ms"),
        shown("/reconnect/p99_ms", 1.0, "ms"),
        format!("{} of {}", report["mispredictions"], report["predictions"]),
        format!("{} of {}", report["hash_mismatches"], report["hashes"]),
        shown("/bot_lateness/p99_ms", 1.0, "ms"),
        failure(run).map_or("pass", |_| "FAIL").to_owned(),
    ];
    format!("| {} |", cells.join(" | "))
}

fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| time.as_secs())
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot find a free port")?;
    Ok(socket
        .local_addr()
        .context("cannot find a free port")?
        .port())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A run of bots that is a line of shell, with the report of another before it.
    fn played(name: &str, script: &str) -> Result<(Value, bool)> {
        let folder = std::env::temp_dir().join(format!("bench-game-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("report.json");
        fs::write(&path, r#"[{"profile":"earlier","broken":[]}]"#).unwrap();
        let mut bots = Command::new("sh");
        bots.args(["-c", script, "sh"]).arg(&path);
        let result = play(&mut bots, &path, PATIENCE, |_| Ok(()));
        fs::remove_dir_all(&folder).unwrap();
        result
    }

    #[test]
    fn a_run_without_a_report_is_no_run_and_shows_none_of_before() {
        let error = played("none", "exit 2").unwrap_err().to_string();
        assert!(error.contains("wrote no report"), "{error}");
        let (report, succeeded) = played("own", "echo '[{\"players\":3}]' > $1; exit 1").unwrap();
        assert_eq!((report, succeeded), (json!({ "players": 3 }), false));
    }

    fn run(broken: &[&str], succeeded: bool) -> Run {
        Run {
            report: json!({ "players": 64, "profile": "clean", "broken": broken }),
            succeeded,
            ..Run::default()
        }
    }

    #[test]
    fn a_broken_rule_and_a_bad_end_fail_a_run() {
        assert_eq!(failure(&run(&[], true)), None);
        assert!(row(&run(&[], true)).ends_with("| pass |"));
        let broken = run(&["bot 1: lost", "bot 2: lost"], false);
        assert_eq!(failure(&broken).unwrap(), "bot 1: lost, and 1 more");
        assert!(row(&broken).ends_with("| FAIL |"));
        assert_eq!(row(&broken).matches('|').count(), COLUMNS.len() + 1);
        assert!(failure(&run(&[], false)).is_some());
        let mut late = run(&[], false);
        late.report["late"] = json!(["bot 3: late"]);
        assert_eq!(failure(&late).unwrap(), "bot 3: late");
    }

    #[test]
    fn every_network_has_a_run_of_its_own() {
        let every = || Ok(vec!["clean".to_owned(), "4g".to_owned()]);
        let expanded = expand(&["rebind".to_owned(), ALL.to_owned()], every).unwrap();
        assert_eq!(expanded, ["clean", "4g"]);
        let named = ["rebind".to_owned()];
        let nobody = || bail!("nobody is to be asked");
        assert_eq!(expand(&named, nobody).unwrap(), named);
    }

    #[test]
    fn goals_that_are_missed_are_named() {
        let report = |players: u16, tick: f64, debt: u64| {
            json!({
                "players": players,
                "profile": "clean",
                "server": { "tick_p99_ms": tick, "debt_dropped": debt },
            })
        };
        let none: [&str; 0] = [];
        for (players, tick, debt, wanted) in [
            (64, 1.2, 0, &none[..]),
            (
                64,
                1.25,
                0,
                &["goal missed: 64 players, clean: tick p99 is 1.25 ms, more than 1.2 ms"],
            ),
            (250, 10.0, 0, &none[..]),
            (
                250,
                9.0,
                3,
                &["goal missed: 250 players, clean: 3 ticks were given up"],
            ),
            // Nothing was promised for so many.
            (1000, 90.0, 7, &none[..]),
        ] {
            assert_eq!(missed(&report(players, tick, debt)), wanted, "{players}");
        }
        let silent = json!({ "players": 64, "profile": "clean", "server": null });
        assert_eq!(missed(&silent).len(), 1);
    }

    #[test]
    fn a_flood_tells_of_what_it_was_made() {
        let mut report = run(&[], true).report;
        report["flood"] = Value::Null;
        assert_eq!(flooded(&report), None);
        report["flood"] = json!({ "random": 7, "shaped": 8, "requests": 9 });
        report["server"] = json!({ "dropped": 6, "refused": 17 });
        assert_eq!(
            flooded(&report).unwrap(),
            "flood, 64 players: 7 datagrams of random bytes, 8 shaped like packets, 9 forged \
             requests; the kernel dropped 6, and the server refused 17"
        );
    }

    #[test]
    fn a_soak_tells_its_memory() {
        let mut soak = run(&[], true);
        assert_eq!(soaked(&soak), None);
        soak.report["server"] = json!({ "tick_p99_ms": 2.5 });
        soak.warm = Some(Usage {
            memory: 20,
            ..Usage::default()
        });
        soak.after.memory = 21;
        assert_eq!(
            soaked(&soak).unwrap(),
            "soak: RSS 20 MiB after 60 s and 21 MiB at the end, tick p99 2.50 ms"
        );
    }
}
