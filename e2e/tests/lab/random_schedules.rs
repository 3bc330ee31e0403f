//! Random schedules from a seed, over all scenarios.

use std::sync::atomic::{AtomicU64, Ordering};

use e2e::lab::random::{schedule, shrink};
use e2e::lab::run::{Failure, REPLICATED, SINGLE, Setup, run};
use e2e::lab::scenario::{ALL, Scenario};
use e2e::lab::schedule::Schedule;

/// Schedules of every check.
const SCHEDULES: u64 = 2_000;
/// A schedule that is made smaller counts as failing if one of so many runs fails: which of two
/// reconciles is polled first comes from hash maps and is not in our hands.
const TRIES: u64 = 3;

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

#[test]
fn random_schedules_end_as_if_nothing_had_been() {
    let seeds = match number("LAB_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LAB_SCHEDULES").unwrap_or(SCHEDULES),
    };
    let next = AtomicU64::new(seeds.start);
    let begin = std::time::Instant::now();
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return Vec::new();
            }
            let (scenario, setup, schedule) = plan(seed);
            if let Err(failure) = run(&scenario, setup, &schedule, seed, Some(scenario.end)) {
                next.store(seeds.end, Ordering::Relaxed);
                return vec![(seed, failure)];
            }
        }
    };
    let failures: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    println!("{} schedules in {:?}", seeds.end - seeds.start, begin.elapsed());
    if let Some((seed, failure)) = failures.first() {
        panic!("{}", report(*seed, failure));
    }
}
