//! Each component sees the state of each kind up to eight changes late.

use std::time::Duration;

use e2e::lab::run::{SINGLE, run};
use e2e::lab::scenario::ALL;
use e2e::lab::schedule::{Mishap, Schedule};
use embedded::faults::{Fault, Pattern, Rule, Verb, VerbPattern, WatchFault};

/// An event comes no later than this, so that the lag ends before the state is taken for the end.
const LATEST: Duration = Duration::from_secs(10);
/// Of the scenarios, each lag runs one of so many; over all lags, each scenario runs.
const EVERY: usize = 4;

/// Lets a component lag behind on one kind, by one to eight changes.
fn lag(replica: &str, resource: &str) {
    let all = std::env::var_os("LAB_ALL").is_some();
    let mut runs = 0;
    for events in 1..=8 {
        for (index, scenario) in ALL.iter().enumerate() {
            if !all && !(index + events).is_multiple_of(EVERY) {
                continue;
            }
            let rule = Rule {
                pattern: Pattern {
                    verb: VerbPattern::One(Verb::Watch),
                    resource: Some(resource.to_owned()),
                },
                nth: 1,
                fault: Fault::Watch(WatchFault::Lag(events, LATEST)),
            };
            let replica = replica.to_owned();
            let schedule = Schedule(vec![Mishap::Call { replica, rule }]);
            let seed = events as u64;
            if let Err(failure) = run(scenario, SINGLE, &schedule, seed, Some(scenario.end)) {
                panic!("{failure}\n{}, seed {seed}:\n{schedule}", scenario.name);
            }
            runs += 1;
        }
    }
    println!("{replica} {resource}: {runs} runs");
}

macro_rules! lags {
    ($($name:ident: $replica:literal $resource:literal;)*) => {$(
        #[test]
        fn $name() {
            lag($replica, $resource);
        }
    )*};
}

lags! {
    operator_fleets: "operator-0" "fleets";
    operator_sets: "operator-0" "gameserversets";
    operator_servers: "operator-0" "gameservers";
    operator_pods: "operator-0" "pods";
    operator_nodes: "operator-0" "nodes";
    operator_requests: "operator-0" "matchallocations";
    allocator_servers: "allocator-0" "gameservers";
    allocator_nodes: "allocator-0" "nodes";
}
