//! The crash matrix: each component ends after each of its writes, in every scenario.

use e2e::lab::replicas::Component;
use e2e::lab::run::{REPLICATED, SINGLE, Setup, run};
use e2e::lab::scenario::named;
use e2e::lab::schedule::{Mishap, Schedule};

/// Lets a component crash after its first, second, … write, until it makes no more writes.
///
/// Each run must have at least so many writes of the operator and the allocator, so that a scenario
/// in which nothing happens fails.
fn crash_after_each_write(scenario: &str, setup: Setup, least: (u64, u64)) {
    let scenario = named(scenario).unwrap();
    let begin = std::time::Instant::now();
    let mut runs = 0;
    for (component, least) in [
        (Component::Operator, least.0),
        (Component::Allocator, least.1),
    ] {
        let replica = format!("{}-0", component.as_str());
        let mut crashes = 0;
        for writes in 1.. {
            let crash = Mishap::Crash {
                replica: replica.clone(),
                writes,
            };
            let schedule = Schedule(vec![crash]);
            runs += 1;
            let outcome = run(&scenario, setup, &schedule, writes, Some(scenario.end));
            let outcome = outcome
                .unwrap_or_else(|failure| panic!("{failure}\n{}:\n{schedule}", scenario.name));
            let made = outcome.writes(component);
            assert!(
                made >= least,
                "{}: {made} writes of {component:?}, at least {least} are needed:\n{schedule}",
                scenario.name
            );
            if outcome.has_crashed(&replica) {
                crashes += 1;
            } else {
                break;
            }
        }
        // Of many replicas, others make writes too.
        let due = if setup == SINGLE { least } else { least.min(1) };
        assert!(
            crashes >= due,
            "{}: {replica} crashed {crashes} times",
            scenario.name
        );
    }
    println!("{}: {runs} runs in {:?}", scenario.name, begin.elapsed());
}

macro_rules! matrix {
    ($($name:ident, $replicated:ident: $scenario:literal, $operator:literal + $allocator:literal;)*) => {$(
        #[test]
        fn $name() {
            crash_after_each_write($scenario, SINGLE, ($operator, $allocator));
        }

        #[test]
        fn $replicated() {
            crash_after_each_write($scenario, REPLICATED, ($operator, $allocator));
        }
    )*};
}

// The fewest writes of operator + allocator by which a scenario can be done. Of the operator's, a
// new server takes four (its object, its pod, its place, its readiness), one that goes takes two,
// and what a set and its fleet count takes one each. A set or its new size takes one; a match one
// for each step: noted, held, reported, and of the allocator: allocated, released. The first fleet
// of a namespace needs two objects besides. A rollback may come before any server was made, and
// node loss may take one alone.
matrix! {
    fleet_create, fleet_create_replicated: "fleet_create", 17 + 0;
    scale_up, scale_up_replicated: "scale_up", 15 + 0;
    scale_down, scale_down_replicated: "scale_down", 9 + 0;
    rollout, rollout_replicated: "rollout", 21 + 0;
    rollback, rollback_replicated: "rollback", 4 + 0;
    rollout_with_allocated, rollout_with_allocated_replicated: "rollout_with_allocated", 16 + 0;
    allocation, allocation_replicated: "allocation", 2 + 3;
    match_allocation, match_allocation_replicated: "match_allocation", 6 + 2;
    release, release_replicated: "release", 10 + 2;
    expiry, expiry_replicated: "expiry", 16 + 2;
    node_loss, node_loss_replicated: "node_loss", 9 + 0;
    shutdown, shutdown_replicated: "shutdown", 12 + 0;
    deletion, deletion_replicated: "deletion", 1 + 0;
}
