//! The smallest schedule of every bug that the lab has found; `docs/fault-lab.md` lists them.

use e2e::lab::run::{REPLICATED, SINGLE, Setup, run};
use e2e::lab::scenario::named;

/// Runs a schedule a few times: which of two reconciles is polled first is not in our hands.
fn check(scenario: &str, setup: Setup, schedule: &str) {
    let scenario = named(scenario).unwrap();
    let schedule = schedule.parse().unwrap();
    for seed in 0..5 {
        if let Err(failure) = run(&scenario, setup, &schedule, seed, Some(scenario.end)) {
            panic!("{failure}\nseed {seed}, {}:\n{schedule}", scenario.name);
        }
    }
}

/// The release of a match whose time was up was reported as a loss of its server.
#[test]
fn a_release_that_was_not_reported_is_no_loss() {
    check("expiry", SINGLE, "operator-0 after 9 writes: crash");
}

/// A set that was deleted with its fleet got new servers for as long as the operator did not see
/// its deletion.
#[test]
fn a_deleted_set_gets_no_servers() {
    check(
        "deletion",
        SINGLE,
        "operator-0 watch gameserversets #1: lag 4 10s",
    );
}

/// Servers that a list lacked were made a second time.
#[test]
fn an_old_list_makes_no_server_twice() {
    check(
        "fleet_create",
        SINGLE,
        "operator-0 watch gameservers #1: expire 0\noperator-0 list gameservers #1: stale 25",
    );
}

/// Pods that a list lacked were made again and again, and each attempt was refused.
#[test]
fn an_old_list_makes_no_storm_of_pods() {
    check(
        "rollback",
        SINGLE,
        "operator-0 watch pods #1: expire 3\noperator-0 list pods #1: stale 12",
    );
}

/// A match that a list lacked was never seen again.
#[test]
fn an_old_list_hides_no_match() {
    check(
        "expiry",
        SINGLE,
        "operator-0 watch matchallocations #1: expire 3\n\
         operator-0 list matchallocations #1: stale 12",
    );
}

/// A fleet that was deleted got new sets for as long as the operator did not see its deletion.
#[test]
fn a_deleted_fleet_gets_no_sets() {
    check("deletion", SINGLE, "operator-0 watch fleets #1: lag 4 10s");
}

/// A set that had not seen that it was to shrink made another server, for which there was no room.
#[test]
fn a_shrinking_set_that_still_grows_keeps_the_fleet_within_its_surge() {
    check(
        "rollback",
        REPLICATED,
        "operator-0 patch gameserversets #7: late 8.9s",
    );
}

/// A server whose write met a conflict though nothing had changed was never tried again.
#[test]
fn a_conflict_without_a_change_loses_no_server() {
    check(
        "expiry",
        SINGLE,
        "allocator-0 patch gameservers #2: fail 409",
    );
}
