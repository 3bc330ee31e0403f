//! Each component sees the state of each kind up to eight changes late, or gets an old list of it
//! when it must fill its cache anew.

use std::time::Duration;

use e2e::lab::random::relist;
use e2e::lab::run::{SINGLE, run};
use e2e::lab::scenario::ALL;
use e2e::lab::schedule::{Mishap, Schedule};
use embedded::faults::{Fault, Pattern, Rule, Verb, VerbPattern, WatchFault};

/// An event comes no later than this.
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

/// After how many events a watch expires, and how many changes old the list is that follows. The
/// first list comes about a second after the beginning. Every second scenario is run with each.
const OLD_LISTS: [(u64, u64); 3] = [(0, 25), (0, 6), (3, 12)];

/// Lets a component's watch of one kind expire, and answers the list that follows as it was.
fn list_late(replica: &str, resource: &str) {
    let all = std::env::var_os("LAB_ALL").is_some();
    let (mut runs, mut stale) = (0, 0);
    for (variant, (events, changes)) in OLD_LISTS.into_iter().enumerate() {
        for (index, scenario) in ALL.iter().enumerate() {
            if !all && !(index + variant).is_multiple_of(2) {
                continue;
            }
            let schedule = Schedule(relist(replica, resource, events, changes).into());
            match run(scenario, SINGLE, &schedule, changes, Some(scenario.end)) {
                Ok(outcome) => stale += outcome.stale_lists(),
                Err(failure) => {
                    panic!("{failure}\n{}, seed {changes}:\n{schedule}", scenario.name)
                }
            }
            runs += 1;
        }
    }
    println!("{replica} {resource}: {runs} runs, {stale} lists were old");
    assert!(
        stale > 0,
        "{replica} {resource}: no list was another than it is"
    );
}

macro_rules! lags {
    ($($name:ident, $listed:ident: $replica:literal $resource:literal;)*) => {$(
        #[test]
        fn $name() {
            lag($replica, $resource);
        }

        #[test]
        fn $listed() {
            list_late($replica, $resource);
        }
    )*};
}

lags! {
    operator_fleets, operator_fleets_listed: "operator-0" "fleets";
    operator_sets, operator_sets_listed: "operator-0" "gameserversets";
    operator_servers, operator_servers_listed: "operator-0" "gameservers";
    operator_pods, operator_pods_listed: "operator-0" "pods";
    operator_nodes, operator_nodes_listed: "operator-0" "nodes";
    operator_requests, operator_requests_listed: "operator-0" "matchallocations";
    allocator_servers, allocator_servers_listed: "allocator-0" "gameservers";
    allocator_nodes, allocator_nodes_listed: "allocator-0" "nodes";
}
