//! Random schedules from a seed, over all scenarios.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use e2e::lab::random::{schedule, shrink};
use e2e::lab::run::{Failure, REPLICATED, SINGLE, Setup, run};
use e2e::lab::scenario::{ALL, Scenario};
use e2e::lab::schedule::Schedule;

/// Schedules of every check.
const SCHEDULES: u64 = 2_000;
/// A schedule that is made smaller counts as failing if one of so many runs fails: which of two
/// reconciles is polled first comes from hash maps and is not in our hands.
const TRIES: u64 = 3;
/// Of so many schedules, one at least answers with an old list.
const MANY: u64 = 200;
/// Schedules that run at once.
const WORKERS: usize = 2;
/// A worker that has seen so many failures gives up.
const MOST_FAILURES: usize = 5;

fn plan(seed: u64) -> (Scenario, Setup, Schedule) {
    let mut random = fastrand::Rng::with_seed(seed);
    let scenario = ALL[random.usize(..ALL.len())];
    let setup = if random.u8(..3) == 0 {
        SINGLE
    } else {
        REPLICATED
    };
    (scenario, setup, schedule(&mut random, setup))
}

fn fails(scenario: &Scenario, setup: Setup, schedule: &Schedule, seed: u64) -> Option<Failure> {
    (0..TRIES).find_map(|_| run(scenario, setup, schedule, seed, Some(scenario.end)).err())
}

/// What a person needs to see the failure again.
fn report(seed: u64, failure: &Failure) -> String {
    let (scenario, setup, schedule) = plan(seed);
    let smallest = shrink(&schedule, |smaller| {
        fails(&scenario, setup, smaller, seed).is_some()
    });
    let failure = fails(&scenario, setup, &smallest, seed).unwrap_or_else(|| failure.clone());
    format!(
        "{failure}\nLAB_SEED={seed}, scenario {scenario:?}, {setup:?}; the smallest schedule that fails:\n{smallest}"
    )
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

/// CPU time of this thread, where the system tells it.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

/// What came of some seeds.
#[derive(Default)]
struct Work {
    failures: Vec<(u64, Failure)>,
    finished: u64,
    /// Lists that were answered otherwise than they were.
    stale_lists: u64,
    /// Most refused calls of one process, and most calls of one within a second.
    refused: u64,
    busiest: u64,
    cpu: Duration,
    /// The dearest seed: much more than the others have is a sign of a storm of calls.
    dearest: (Duration, u64),
}

/// Takes one seed after the other.
fn work(next: &AtomicU64, end: u64) -> Work {
    let mut work = Work::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return work;
        }
        let (scenario, setup, schedule) = plan(seed);
        let begin = cpu_time();
        let result = run(&scenario, setup, &schedule, seed, Some(scenario.end));
        let cpu = cpu_time().saturating_sub(begin);
        work.finished += 1;
        work.cpu += cpu;
        work.dearest = work.dearest.max((cpu, seed));
        match result {
            Ok(outcome) => {
                work.stale_lists += outcome.stale_lists();
                for process in &outcome.processes {
                    work.refused = work.refused.max(process.traffic.refused);
                    work.busiest = work.busiest.max(process.traffic.busiest);
                }
            }
            Err(failure) => {
                println!("seed {seed} failed: {}", failure.what);
                work.failures.push((seed, failure));
                if work.failures.len() >= MOST_FAILURES {
                    next.store(end, Ordering::Relaxed);
                }
            }
        }
    }
}

#[test]
fn random_schedules_end_as_if_nothing_had_been() {
    let seeds = if let Some(seed) = number("LAB_SEED") {
        seed..seed + 1
    } else {
        let first = number("LAB_FIRST").unwrap_or(0);
        first..first + number("LAB_SCHEDULES").unwrap_or(SCHEDULES)
    };
    let next = AtomicU64::new(seeds.start);
    let begin = Instant::now();
    let work = || work(&next, seeds.end);
    let done: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    });
    let finished: u64 = done.iter().map(|work| work.finished).sum();
    let stale_lists: u64 = done.iter().map(|work| work.stale_lists).sum();
    let refused = done.iter().map(|work| work.refused).max();
    let busiest = done.iter().map(|work| work.busiest).max();
    let cpu: Duration = done.iter().map(|work| work.cpu).sum();
    let (most, seed) = done
        .iter()
        .map(|work| work.dearest)
        .max()
        .unwrap_or_default();
    let took = begin.elapsed();
    println!(
        "{finished} schedules in {took:.1?}, {cpu:.1?} of CPU time, at most {most:.1?} (seed {seed})"
    );
    println!(
        "{stale_lists} old lists; at most {refused:?} refused calls of a process, and {busiest:?} \
         calls within a second"
    );
    let mut failures = done.into_iter().flat_map(|work| work.failures);
    if let Some((seed, failure)) = failures.next() {
        panic!("{}", report(seed, &failure));
    }
    assert!(
        stale_lists > 0 || finished < MANY,
        "no list was another than it is"
    );
}
