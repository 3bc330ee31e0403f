//! The whole check of the repository, stage by stage: `cargo xtask test`.
//!
//! Stops at the first stage that fails. A cluster that it brought up goes down again, whatever
//! happens; one that was there stays.

mod chart;
mod evidence;

use std::fmt::Write as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cluster::{Cluster, Up};
use crate::codegen::{self, CodegenArgs};
use crate::images::BuildArgs;
use crate::process::{self, progress};
use crate::{install, repository, tidy};

/// Arguments of `cargo xtask test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Leaves out everything that needs a cluster.
    #[arg(long)]
    skip_cluster: bool,
    /// Adds what takes an hour: 100,000 races for refresh tokens, and the times of refused logins.
    #[arg(long)]
    long: bool,
    /// The cluster: local, kind, or the path of a kubeconfig.
    #[arg(long, default_value = "local")]
    cluster: String,
    /// Leaves a cluster that it brought up, and Muster on it, running.
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    build: BuildArgs,
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// Left out, for lack of something that this machine need not have.
    Skipped,
}

#[derive(Debug)]
struct Report {
    stages: Vec<(&'static str, Outcome, Duration)>,
    tests: Tests,
}

/// Tests counted from the runner's own summary lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tests {
    passed: u64,
    failed: u64,
}

/// Runs `cargo xtask test`; the last line is the count of tests, whatever happens.
pub(crate) fn run(args: &TestArgs) -> ExitCode {
    let mut report = Report {
        stages: Vec::new(),
        tests: Tests::default(),
    };
    let mut result = offline_stages(&mut report);
    if result.is_ok() && args.long {
        result = long_stages(&mut report);
    }
    if result.is_ok() && !args.skip_cluster {
        result = cluster_stages(&mut report, args);
    }
    print!("{}", report.table());
    if let Err(error) = &result {
        progress(&format!("error: {error:#}"));
    }
    println!("{}", report.last_line());
    if result.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn offline_stages(report: &mut Report) -> Result<()> {
    report.stage("format", |_| {
        process::run(repository::cargo().args(["fmt", "--all", "--check"]))
    })?;
    report.stage("tidy", |_| tidy::run())?;
    report.stage("deny", |_| deny())?;
    report.stage("clippy", |_| {
        process::run(repository::cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            "e2e/cluster,cli/kubectl,gameserver/timescaledb",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    let databases = report.stage("unit tests", |tests| {
        let databases = Databases::found()?;
        tests.run(
            repository::cargo()
                .args(["test", "--workspace", "--no-fail-fast"])
                .args(["--features", databases.feature()]),
        )?;
        Ok(databases)
    })?;
    if databases == Databases::WithoutTimescale {
        report.skip("history in TimescaleDB", "scripts/timescaledb.sh");
    }
    report.stage("docs", |_| {
        process::run(
            repository::cargo()
                .args(["doc", "--workspace", "--no-deps", "--quiet"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
    })?;
    report.stage("generated files", |_| {
        codegen::run(&CodegenArgs { check: true })
    })?;
    report.stage("chart", |_| chart::check())
}

/// What the requirements name with a number that is too large for every day.
fn long_stages(report: &mut Report) -> Result<()> {
    report.stage("races", |tests| {
        tests.run(
            repository::cargo()
                .args([
                    "test",
                    "--package",
                    "auth",
                    "--test",
                    "store",
                    "--test",
                    "model",
                ])
                .args(["--", "no_token_is_spent_twice"])
                .arg("of_many_clients_at_two_replicas_one_spends_a_token")
                .env("MUSTER_RACES", "100000"),
        )
    })?;
    report.stage("times of logins", |_| {
        process::run(repository::cargo().args([
            "run",
            "--package",
            "auth",
            "--example",
            "auth-timing",
        ]))
    })
}

fn cluster_stages(report: &mut Report, args: &TestArgs) -> Result<()> {
    let cluster = Cluster::parse(&args.cluster)?;
    let mut found = None;
    let up = report.stage("cluster up", |_| {
        let up = cluster.up()?;
        let was_installed = install::is_installed(&up.kubeconfig)?;
        found = Some((up.was_running, was_installed));
        Ok(up)
    });
    let result = up.and_then(|up| checks_on(report, args, &cluster, &up));
    let Some((was_running, was_installed)) = found else {
        return result;
    };
    if args.keep {
        return result;
    }
    let cleared = report.stage("clean up", |_| {
        install::clear(&cluster, was_installed, was_running)
    });
    result.and(cleared)
}

fn checks_on(report: &mut Report, args: &TestArgs, cluster: &Cluster, up: &Up) -> Result<()> {
    let kubectl = cluster.kubectl()?;
    // Before the operator is there: it would act on what the cases make.
    report.stage("conformance on the cluster", |tests| {
        install::apply_definitions(&kubectl)?;
        tests.run(cluster_tests("conformance", up).arg("the_real_api_server"))
    })?;
    // It needs the kubectl that the cluster brought, and nothing else of it.
    report.stage("kubectl on muster dev", |tests| {
        tests.run(
            repository::cargo()
                .args(["test", "--package", "cli", "--features", "kubectl"])
                .args(["--test", "kubectl"])
                .env("PATH", Cluster::search_path()?),
        )
    })?;
    report.stage("install", |_| install::install(cluster, &args.build, &[]))?;
    report.stage("manifest on the cluster", |_| {
        process::output(kubectl.command().args([
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "-f",
            codegen::MANIFEST,
        ]))
        .map(drop)
    })?;
    let tested = report.stage("e2e", |tests| {
        let path = Cluster::search_path()?;
        tests.run(
            cluster_tests("cluster", up)
                // They wait more than they work; the harness lets as many run at once.
                .args(["--", "--test-threads=4"])
                .env("PATH", path),
        )
    });
    if tested.is_err() {
        evidence::collect(&kubectl)?;
    }
    tested
}

/// A suite of `e2e` against a cluster.
fn cluster_tests(suite: &str, up: &Up) -> Command {
    let mut command = repository::cargo();
    command
        .args(["test", "--package", "e2e", "--features", "cluster"])
        .args(["--no-fail-fast", "--test", suite])
        .env("KUBECONFIG", &up.kubeconfig);
    command
}

/// The databases that tests can start on this machine. PostgreSQL has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Databases {
    All,
    WithoutTimescale,
}

impl Databases {
    fn found() -> Result<Self> {
        let is_there = repository::cache()?
            .join("timescaledb-trixie/complete")
            .exists();
        Self::choose(is_there, std::env::var_os("CI").is_some())
    }

    /// A check that counts leaves nothing out.
    fn choose(has_timescale: bool, is_ci: bool) -> Result<Self> {
        match (has_timescale, is_ci) {
            (true, _) => Ok(Self::All),
            (false, false) => Ok(Self::WithoutTimescale),
            (false, true) => bail!("TimescaleDB is not in the cache: run scripts/timescaledb.sh"),
        }
    }

    const fn feature(self) -> &'static str {
        match self {
            Self::All => "gameserver/timescaledb",
            Self::WithoutTimescale => "gameserver/database",
        }
    }
}

/// Licenses, sources and duplicates; advisories need a database from the network.
fn deny() -> Result<()> {
    if process::find_program("cargo-deny").is_none() {
        if std::env::var_os("CI").is_some() {
            bail!("cargo-deny is missing: cargo install cargo-deny --locked");
        }
        progress("cargo-deny is not installed (cargo install cargo-deny --locked): left out");
        return Ok(());
    }
    process::run(repository::cargo().args(["deny", "check", "bans", "licenses", "sources"]))
}

impl Tests {
    /// Runs a test command on the terminal and counts its tests.
    fn run(&mut self, command: &mut Command) -> Result<()> {
        let line = process::describe(command);
        if !process::run_observed(command, |text| self.count(text))? {
            bail!("`{line}` failed");
        }
        Ok(())
    }

    /// Reads lines as `test result: ok. 5 passed; 0 failed; …`.
    fn count(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in counts.split("; ") {
            match part.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse::<u64>().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse::<u64>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

impl Report {
    fn stage<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut Tests) -> Result<T>,
    ) -> Result<T> {
        progress(&format!("── {name}"));
        let began = Instant::now();
        let result = work(&mut self.tests);
        let outcome = if result.is_ok() {
            Outcome::Passed
        } else {
            Outcome::Failed
        };
        self.stages.push((name, outcome, began.elapsed()));
        result.with_context(|| format!("stage {name}"))
    }

    /// Shows in the table that something was left out, and tells what would bring it.
    fn skip(&mut self, name: &'static str, remedy: &str) {
        progress(&format!("── {name}: skipped; {remedy} brings it"));
        self.stages.push((name, Outcome::Skipped, Duration::ZERO));
    }

    fn table(&self) -> String {
        let mut table = format!("\n{:<26} {:<8} {:>8}\n", "STAGE", "RESULT", "TIME");
        for (name, outcome, time) in &self.stages {
            let outcome = match outcome {
                Outcome::Passed => "passed",
                Outcome::Failed => "FAILED",
                Outcome::Skipped => "skipped",
            };
            let _ = writeln!(
                table,
                "{name:<26} {outcome:<8} {:>6.1} s",
                time.as_secs_f64()
            );
        }
        table
    }

    /// The sum of the tests; a stage that failed without a failed test counts as one.
    fn last_line(&self) -> String {
        let has_failed = self
            .stages
            .iter()
            .any(|(_, outcome, _)| *outcome == Outcome::Failed);
        let failed = self.tests.failed.max(u64::from(has_failed));
        format!("{} passed, {failed} failed", self.tests.passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            stages: Vec::new(),
            tests: Tests::default(),
        }
    }

    #[test]
    fn tests_are_counted_from_summary_lines() {
        let mut tests = Tests::default();
        tests.count("running 3 tests");
        tests.count("test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        tests.count("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured");
        assert_eq!(
            tests,
            Tests {
                passed: 7,
                failed: 3
            }
        );
    }

    #[test]
    fn what_is_left_out_is_shown_and_never_in_ci() {
        assert_eq!(Databases::choose(true, true).unwrap(), Databases::All);
        assert!(Databases::choose(false, true).is_err());
        let chosen = Databases::choose(false, false).unwrap();
        assert_eq!(chosen, Databases::WithoutTimescale);
        let mut report = report();
        report.skip("history in TimescaleDB", "a script");
        let shown = "history in TimescaleDB     skipped";
        assert!(report.table().contains(shown), "{}", report.table());
        assert_eq!(report.last_line(), "0 passed, 0 failed");
    }

    #[test]
    fn a_failed_stage_without_tests_counts_as_a_failure() {
        let mut report = report();
        report
            .stage("good", |tests| {
                tests.passed += 2;
                Ok(())
            })
            .unwrap();
        assert_eq!(report.last_line(), "2 passed, 0 failed");
        let failed = report.stage("bad", |_| -> Result<()> { bail!("reason") });
        assert_eq!(format!("{:#}", failed.unwrap_err()), "stage bad: reason");
        assert_eq!(report.last_line(), "2 passed, 1 failed");
        assert!(
            report.table().contains("bad                        FAILED"),
            "{}",
            report.table()
        );
    }
}
