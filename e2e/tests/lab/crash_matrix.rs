//! The crash matrix: each component ends after each of its writes, in every scenario.

use e2e::lab::run::{Outcome, REPLICATED, SINGLE, Setup, run};
use e2e::lab::scenario::named;
use e2e::lab::schedule::{Mishap, Schedule};

/// Lets a component crash after its first, second, … write, until it makes no more writes.
fn crash_after_each_write(scenario: &str, setup: Setup) {
    let scenario = named(scenario).unwrap();
    let begin = std::time::Instant::now();
    let mut runs = 0;
    for replica in ["operator-0", "allocator-0"] {
        for writes in 1.. {
            let crash = Mishap::Crash {
                replica: replica.to_owned(),
                writes,
            };
            let schedule = Schedule(vec![crash]);
            runs += 1;
            let outcome = run(&scenario, setup, &schedule, writes, Some(scenario.end));
            let outcome = outcome
                .unwrap_or_else(|failure| panic!("{failure}\n{}:\n{schedule}", scenario.name));
            if !has_crashed(&outcome, replica) {
                break;
            }
        }
    }
    println!("{}: {runs} runs in {:?}", scenario.name, begin.elapsed());
}

/// The successor of a crashed replica has another name.
fn has_crashed(outcome: &Outcome, replica: &str) -> bool {
    outcome.writes.iter().all(|(name, _)| name != replica)
}

macro_rules! matrix {
    ($($name:ident, $replicated:ident: $scenario:literal;)*) => {$(
        #[test]
        fn $name() {
            crash_after_each_write($scenario, SINGLE);
        }

        #[test]
        fn $replicated() {
            crash_after_each_write($scenario, REPLICATED);
        }
    )*};
}

matrix! {
    fleet_create, fleet_create_replicated: "fleet_create";
    scale_up, scale_up_replicated: "scale_up";
    scale_down, scale_down_replicated: "scale_down";
    rollout, rollout_replicated: "rollout";
    rollback, rollback_replicated: "rollback";
    rollout_with_allocated, rollout_with_allocated_replicated: "rollout_with_allocated";
    allocation, allocation_replicated: "allocation";
    match_allocation, match_allocation_replicated: "match_allocation";
    release, release_replicated: "release";
    expiry, expiry_replicated: "expiry";
    node_loss, node_loss_replicated: "node_loss";
    shutdown, shutdown_replicated: "shutdown";
    deletion, deletion_replicated: "deletion";
}
