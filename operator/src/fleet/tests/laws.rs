//! The six laws of planning, for fleets: random histories in the model of a cluster.

use std::time::Duration;

use crds::fleet::StrategyType;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proptest::prelude::*;

use super::{change_template, sets};
use crate::fleet::plan::{Desired, Observed, plan};
use crate::model::{Cluster, Event, template};

/// A step of a history.
#[derive(Clone, Debug)]
enum Step {
    /// Something happens to a server.
    Happen(usize, Event),
    /// Starting servers get ahead.
    Progress,
    /// The fleet's controller runs on what it saw that many steps ago.
    Fleet(usize),
    /// The controller of one set runs.
    Set(usize),
    Template(u8),
    Scale(i32),
    Strategy(StrategyType, IntOrString, IntOrString),
    Pass(u64),
}

fn share() -> impl Strategy<Value = IntOrString> {
    prop_oneof![
        (1..4).prop_map(IntOrString::Int),
        (1..100).prop_map(|percent| IntOrString::String(format!("{percent}%"))),
    ]
}

fn strategy() -> impl Strategy<Value = StrategyType> {
    prop_oneof![
        3 => Just(StrategyType::RollingUpdate),
        1 => Just(StrategyType::Recreate),
    ]
}

/// A step; `returns` is how often held servers become Ready again.
fn step(lag: usize, returns: u32) -> impl Strategy<Value = Step> {
    let event = prop_oneof![
        4 => Just(Event::Progress),
        4 => Just(Event::Allocate),
        1 => Just(Event::Reserve),
        returns => Just(Event::Release),
        1 => Just(Event::Shutdown),
        1 => Just(Event::Fail),
        1 => Just(Event::Vanish),
    ];
    prop_oneof![
        8 => (0..64_usize, event).prop_map(|(index, event)| Step::Happen(index, event)),
        4 => Just(Step::Progress),
        4 => (0..=lag).prop_map(Step::Fleet),
        4 => (0..4_usize).prop_map(Step::Set),
        2 => (0..3_u8).prop_map(Step::Template),
        2 => (0..12).prop_map(Step::Scale),
        1 => (strategy(), share(), share()).prop_map(|(type_, surge, unavailable)| {
            Step::Strategy(type_, surge, unavailable)
        }),
        1 => (0..45_u64).prop_map(Step::Pass),
    ]
}

/// Lets everything but the controllers of a step happen.
fn happen(cluster: &mut Cluster, step: &Step) {
    match step {
        Step::Happen(index, event) => {
            let names: Vec<_> = cluster.servers.keys().cloned().collect();
            if let Some(name) = names.get(index % names.len().max(1)) {
                cluster.happen(name, *event);
            }
        }
        Step::Progress => {
            cluster.happen_to_all(Event::Progress);
            cluster.happen_to_all(Event::Vanish);
        }
        Step::Fleet(_) | Step::Set(_) => {}
        Step::Template(revision) => change_template(cluster, *revision),
        Step::Scale(replicas) => cluster.fleet.spec.replicas = *replicas,
        Step::Strategy(type_, surge, unavailable) => {
            let strategy = &mut cluster.fleet.spec.strategy;
            strategy.type_ = *type_;
            strategy.rolling_update.max_surge.clone_from(surge);
            strategy
                .rolling_update
                .max_unavailable
                .clone_from(unavailable);
        }
        Step::Pass(seconds) => cluster.pass(Duration::from_secs(*seconds)),
    }
}

/// A share of the fleet's replicas, rounded by hand: up and down.
fn resolved(cluster: &Cluster, share: &IntOrString) -> (usize, usize) {
    let replicas = usize::try_from(cluster.fleet.spec.replicas).unwrap();
    match share {
        IntOrString::Int(number) => {
            let number = usize::try_from(*number).unwrap();
            (number, number)
        }
        IntOrString::String(text) => {
            let percent: usize = text.trim_end_matches('%').parse().unwrap();
            ((replicas * percent).div_ceil(100), replicas * percent / 100)
        }
    }
}

/// Most servers that there may be, and fewest that players can use.
fn bounds(cluster: &Cluster) -> (usize, usize) {
    let replicas = usize::try_from(cluster.fleet.spec.replicas).unwrap();
    let rolling = &cluster.fleet.spec.strategy.rolling_update;
    match cluster.fleet.spec.strategy.type_ {
        StrategyType::RollingUpdate => {
            let (surge, _) = resolved(cluster, &rolling.max_surge);
            let (_, unavailable) = resolved(cluster, &rolling.max_unavailable);
            (
                replicas + surge,
                replicas.saturating_sub(unavailable.max(1)),
            )
        }
        StrategyType::Recreate => (replicas, 0),
    }
}

/// Servers that the sets ask for by their specs, held ones at least.
fn asked_for(cluster: &Cluster) -> usize {
    let of_set = |set: &crate::fleet::plan::SetView| {
        let held = set.status.allocated_replicas + set.status.reserved_replicas;
        usize::try_from(set.spec.replicas.max(held)).unwrap()
    };
    cluster.sets.values().map(of_set).sum()
}

/// A history in which every controller runs after every step, on what is there. At each step, the
/// bounds hold: what the controllers do costs no more usable servers and makes no more servers than
/// the fleet allows.
fn live_promptly(history: &[Step]) -> Cluster {
    let mut cluster = Cluster::new(6);
    for step in history {
        happen(&mut cluster, step);
        cluster.report_sets();
        let (most, fewest) = bounds(&cluster);
        let (live, usable, held) = (cluster.live(), cluster.usable(), cluster.held());
        let before = sets(&cluster);
        let plan = cluster.reconcile_fleet();
        let told = || {
            format!(
                "{step:?} in {before}: {:#?} to {}",
                plan.actions,
                sets(&cluster)
            )
        };
        if cluster.fleet.spec.strategy.type_ == StrategyType::RollingUpdate {
            assert!(
                asked_for(&cluster) <= most.max(held),
                "{most} at most: {}",
                told()
            );
        }
        cluster.reconcile_sets();
        let told = || {
            format!(
                "{step:?} in {before}: {:#?} to {}",
                plan.actions,
                sets(&cluster)
            )
        };
        assert!(
            cluster.usable() >= usable.min(fewest),
            "{fewest} at least: {}",
            told()
        );
        assert!(
            cluster.live() <= live.max(most).max(held),
            "{most} at most: {}",
            told()
        );
        cluster.report_sets();
    }
    cluster
}

/// A history in which controllers run when the history says, on what they saw.
fn live(history: &[Step]) -> Cluster {
    let mut cluster = Cluster::new(6);
    let mut seen: Vec<(Desired, Observed)> = Vec::new();
    for step in history {
        seen.push((cluster.fleet.clone(), cluster.observe_fleet()));
        happen(&mut cluster, step);
        match step {
            Step::Fleet(lag) => {
                let (desired, observed) = &seen[seen.len().saturating_sub(1 + lag)];
                let plan = plan(desired, observed);
                let asked = asked_for(&cluster);
                // A conflict ends the attempt, and the next step goes on.
                drop(cluster.apply_fleet(desired, &plan));
                if *lag == 0 && cluster.fleet.spec.strategy.type_ == StrategyType::RollingUpdate {
                    let (most, _) = bounds(&cluster);
                    assert!(asked_for(&cluster) <= most.max(asked), "{}", sets(&cluster));
                }
            }
            Step::Set(index) => {
                let names: Vec<_> = cluster.sets.keys().cloned().collect();
                if let Some(name) = names.get(index % names.len().max(1)) {
                    cluster.reconcile_set(name);
                }
            }
            _ => {}
        }
    }
    cluster
}

/// Lets the controllers run until they have nothing to do, while servers get ahead for which
/// `gets_ready` says so. Matches go on for ever.
fn settle(cluster: &mut Cluster, gets_ready: impl Fn(&Cluster, &str) -> bool) {
    for _ in 0..200 {
        let known = cluster.sets.clone();
        let planned = !cluster.reconcile_fleet().actions.is_empty();
        let (changed, requeue) = cluster.reconcile_sets();
        let mut progress = cluster.happen_to_all(Event::Vanish);
        let servers: Vec<_> = cluster
            .servers
            .iter()
            .map(|(name, (set, _))| (name.clone(), set.clone()))
            .collect();
        for (name, set) in servers {
            if gets_ready(cluster, &set) {
                progress |= cluster.happen(&name, Event::Progress);
            }
        }
        cluster.report_sets();
        if !planned && !changed && !progress && known == cluster.sets {
            let Some(requeue) = requeue else { return };
            cluster.pass(requeue);
        }
    }
    panic!("not settled: {}", sets(cluster));
}

/// Checks that everything is as the fleet asks for.
fn check_settled(cluster: &Cluster) {
    let told = || sets(cluster);
    let template = &cluster.fleet.spec.template;
    let (active, rest): (Vec<_>, Vec<_>) = cluster
        .sets
        .values()
        .partition(|set| set.spec.template == *template);
    assert_eq!(active.len(), 1, "{}", told());
    let mut held = 0;
    for set in rest {
        let status = &set.status;
        assert_eq!(set.spec.replicas, 0, "{}", told());
        assert_eq!(
            status.replicas,
            status.allocated_replicas + status.reserved_replicas
        );
        assert!(status.replicas > 0, "an empty set remains: {}", told());
        held += status.replicas;
    }
    let wanted = (cluster.fleet.spec.replicas - held).max(0);
    let status = &active[0].status;
    let own_held = status.allocated_replicas + status.reserved_replicas;
    assert_eq!(active[0].spec.replicas, wanted, "{}", told());
    assert_eq!(status.replicas, wanted.max(own_held), "{}", told());
    assert_eq!(
        status.ready_replicas + own_held,
        status.replicas,
        "{}",
        told()
    );
    let again = plan(&cluster.fleet, &cluster.observe_fleet());
    assert_eq!(again.actions, vec![], "{}", told());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_history_keeps_the_bounds_and_converges(
        history in prop::collection::vec(step(0, 0), 0..80),
    ) {
        let mut cluster = live_promptly(&history);
        settle(&mut cluster, |_, _| true);
        check_settled(&cluster);
    }

    #[test]
    fn late_and_stale_controllers_lose_no_held_server_and_converge(
        history in prop::collection::vec(step(8, 1), 0..120),
    ) {
        let mut cluster = live(&history);
        settle(&mut cluster, |_, _| true);
        check_settled(&cluster);
    }

    #[test]
    fn old_servers_that_never_get_ready_hold_nothing_up(
        history in prop::collection::vec(step(2, 1), 0..80),
    ) {
        let mut cluster = live(&history);
        settle(&mut cluster, |cluster, set| {
            cluster.set(set).spec.template == cluster.fleet.spec.template
        });
        check_settled(&cluster);
    }

    #[test]
    fn a_build_that_never_gets_ready_costs_no_more_than_the_bounds(
        replicas in 1..12_i32,
        held in 0..12_usize,
        surge in share(),
        unavailable in share(),
    ) {
        let mut cluster = Cluster::new(replicas);
        settle(&mut cluster, |_, _| true);
        let names: Vec<_> = cluster.servers.keys().cloned().collect();
        for name in names.iter().take(held) {
            cluster.happen(name, Event::Allocate);
        }
        cluster.report_sets();
        let rolling = &mut cluster.fleet.spec.strategy.rolling_update;
        (rolling.max_surge, rolling.max_unavailable) = (surge, unavailable);
        change_template(&mut cluster, 1);
        settle(&mut cluster, |cluster, set| cluster.set(set).spec.template != template(1));
        let (most, fewest) = bounds(&cluster);
        prop_assert!(cluster.live() <= most);
        prop_assert!(cluster.usable() >= fewest);
        // As soon as the build works, or is taken back, the fleet goes on.
        let mut back = cluster.clone();
        change_template(&mut back, 0);
        settle(&mut back, |_, _| true);
        check_settled(&back);
        settle(&mut cluster, |_, _| true);
        check_settled(&cluster);
    }

    #[test]
    fn the_order_of_observation_does_not_matter(
        history in prop::collection::vec(step(0, 1), 0..60),
    ) {
        let cluster = live(&history);
        let observed = cluster.observe_fleet();
        let mut reversed = observed.clone();
        reversed.sets.reverse();
        prop_assert_eq!(plan(&cluster.fleet, &observed), plan(&cluster.fleet, &reversed));
    }

    #[test]
    fn a_plan_that_is_applied_twice_does_no_more(
        history in prop::collection::vec(step(0, 1), 0..60),
    ) {
        let mut cluster = live(&history);
        let plan = plan(&cluster.fleet, &cluster.observe_fleet());
        cluster.apply_fleet(&cluster.fleet.clone(), &plan).unwrap();
        let once = cluster.sets.clone();
        drop(cluster.apply_fleet(&cluster.fleet.clone(), &plan));
        prop_assert_eq!(once, cluster.sets);
    }
}
