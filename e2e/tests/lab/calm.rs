//! Every scenario without faults: the measure of all other runs.

use e2e::lab::run::{REPLICATED, SINGLE, Setup, run};
use e2e::lab::scenario::{ALL, Scenario};
use e2e::lab::schedule::Schedule;
use embedded::faults::Traffic;

fn ends(scenario: &Scenario, setup: Setup) -> String {
    let outcome = run(scenario, setup, &Schedule::default(), 1, None);
    let outcome = outcome.unwrap_or_else(|failure| panic!("{scenario:?}: {failure}"));
    for process in &outcome.processes {
        let Traffic {
            refused, busiest, ..
        } = process.traffic;
        println!(
            "{scenario:?}: {} made {} writes, {refused} calls were refused, {busiest} in a second",
            process.name, process.writes
        );
    }
    outcome.portrait
}

#[test]
fn every_scenario_ends_as_it_is_written_down() {
    for scenario in &ALL {
        let portrait = ends(scenario, SINGLE);
        if std::env::var_os("LAB_UPDATE").is_some() {
            let path = format!("{}/lab/{}.txt", env!("CARGO_MANIFEST_DIR"), scenario.name);
            std::fs::write(path, &portrait).unwrap();
        } else {
            assert_eq!(portrait, scenario.end, "{scenario:?}");
        }
    }
}

#[test]
fn more_replicas_change_nothing() {
    for scenario in &ALL {
        assert_eq!(ends(scenario, REPLICATED), scenario.end, "{scenario:?}");
    }
}
