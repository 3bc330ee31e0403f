//! A leader stands still after one of its writes for longer than its lease lasts, another takes
//! over, and the first one wakes up with what it was about to write.

use std::time::Duration;

use e2e::lab::run::{Outcome, Process, Setup, run};
use e2e::lab::scenario::named;
use e2e::lab::schedule::{Mishap, Schedule};

/// Two operators, and one allocator for them.
const SETUP: Setup = Setup {
    operators: 2,
    allocators: 1,
};
/// The leader: it was started first.
const LEADER: &str = "operator-0";

/// Who takes over.
const OTHER: &str = "operator-1";
/// Writes that every replica makes, leader or not: those of its hub.
const OF_HUB: u64 = 6;

fn process<'a>(outcome: &'a Outcome, name: &str) -> &'a Process {
    outcome.process(name).expect("every replica was started")
}

/// Pauses the leader after its first, second, … write, until it makes no more writes.
fn pause_after_each_write(scenario: &str) {
    let scenario = named(scenario).unwrap();
    let calm = run(
        &scenario,
        SETUP,
        &Schedule::default(),
        0,
        Some(scenario.end),
    );
    let calm = calm.unwrap_or_else(|failure| panic!("{failure}\n{}", scenario.name));
    let most = process(&calm, LEADER).writes;
    let (mut taken_over, mut woke, mut wrote, mut refused) = (0, 0, 0, 0);
    for after in 1..=most {
        let pause = Mishap::Pause {
            replica: LEADER.to_owned(),
            writes: after,
            // A lease lasts fifteen seconds.
            by: Duration::from_secs(20 + after * 7 % 21),
        };
        let schedule = Schedule(vec![pause]);
        let outcome = run(&scenario, SETUP, &schedule, after, Some(scenario.end));
        let outcome = outcome.unwrap_or_else(|failure| {
            panic!("{failure}\n{}, seed {after}:\n{schedule}", scenario.name)
        });
        taken_over += u64::from(process(&outcome, OTHER).writes > OF_HUB);
        let traffic = process(&outcome, LEADER).traffic;
        assert_eq!(
            traffic.pauses, traffic.wakings,
            "{}: the run ended before the leader woke up",
            scenario.name
        );
        woke += traffic.wakings;
        wrote += traffic.woken_writes;
        refused += traffic.woken_refused;
    }
    println!(
        "{}: {most} runs, taken over in {taken_over}, woke up in {woke} with {wrote} writes, \
         {refused} refused",
        scenario.name
    );
    // Which write comes when is not wholly in our hands, so that a run may end before its pause.
    assert!(
        4 * woke >= 3 * most,
        "{}: the leader was paused in {woke} of {most} runs",
        scenario.name
    );
    // With a single write, nothing is left to be done after it.
    assert!(
        most == 1 || refused > 0,
        "{}: nothing that the old leader wrote was refused, of {wrote} writes",
        scenario.name
    );
    assert!(
        most < 2 * OF_HUB || taken_over > 0,
        "{}: nobody took over",
        scenario.name
    );
}

macro_rules! leaders {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            pause_after_each_write(stringify!($name));
        }
    )*};
}

leaders! {
    fleet_create
    scale_up
    scale_down
    rollout
    rollback
    rollout_with_allocated
    match_allocation
    release
    expiry
    node_loss
    shutdown
    deletion
}
