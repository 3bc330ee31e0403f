//! The six laws of planning, for sets: random histories in the model of a cluster.

use std::time::Duration;

use proptest::prelude::*;

use crate::gameserverset::plan::{Action, Desired, Observed, Plan, Policy, plan};
use crate::model::{Cluster, Event};

/// A step of a history.
#[derive(Clone, Debug)]
enum Step {
    /// Something happens to a server.
    Happen(usize, Event),
    /// The set's controller runs on what it saw that many steps ago.
    Reconcile(usize),
    Scale(i32),
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Progress),
        2 => Just(Event::Allocate),
        1 => Just(Event::Reserve),
        1 => Just(Event::Release),
        1 => Just(Event::Shutdown),
        1 => Just(Event::Fail),
        2 => Just(Event::Vanish),
    ]
}

fn step(lag: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..64_usize, event()).prop_map(|(index, event)| Step::Happen(index, event)),
        4 => (0..=lag).prop_map(Step::Reconcile),
        1 => (0..10).prop_map(Step::Scale),
        1 => (0..45_u64).prop_map(Step::Pass),
    ]
}

/// Bounds that histories of this size run into.
fn policy() -> Policy {
    Policy {
        max_creations: 3,
        max_deletions: 2,
        max_pending: 4,
        ..Policy::default()
    }
}

/// The caps of a policy.
fn check_caps(policy: &Policy, observed: &Observed, plan: &Plan) {
    let count = |test: fn(&Action) -> bool| plan.actions.iter().filter(|a| test(a)).count();
    let creations = count(|action| matches!(action, Action::CreateGameServer { .. }));
    let deletions = count(|action| matches!(action, Action::DeleteGameServer { .. }));
    let pending = observed
        .servers
        .iter()
        .filter(|server| !server.being_deleted && server.state.is_before_ready())
        .count();
    assert!(creations <= policy.max_creations, "{creations} creations");
    assert!(deletions <= policy.max_deletions, "{deletions} deletions");
    assert!(
        creations == 0 || pending + creations <= policy.max_pending,
        "{pending} pending"
    );
}

/// Lives through a history. Whatever it does to held servers makes the model panic.
fn live(history: Vec<Step>) -> Cluster {
    let mut cluster = Cluster::with_set(4);
    cluster.policy = policy();
    let mut seen: Vec<(Desired, Observed)> = Vec::new();
    for step in history {
        seen.push(cluster.observe_set("set"));
        match step {
            Step::Happen(index, event) => {
                let names: Vec<_> = cluster.servers.keys().cloned().collect();
                if let Some(name) = names.get(index % names.len().max(1)) {
                    cluster.happen(name, event);
                }
            }
            Step::Reconcile(lag) => {
                let (desired, observed) = &seen[seen.len().saturating_sub(1 + lag)];
                let plan = plan(cluster.now, &cluster.policy, desired, observed);
                check_caps(&cluster.policy, observed, &plan);
                // A conflict ends the attempt, and the next step goes on.
                drop(cluster.apply_set("set", &plan));
                if lag == 0 {
                    cluster.report_sets();
                }
            }
            Step::Scale(replicas) => cluster.sets.get_mut("set").unwrap().spec.replicas = replicas,
            Step::Pass(seconds) => cluster.pass(Duration::from_secs(seconds)),
        }
    }
    cluster
}

/// Lets the controller run until it has nothing to do; matches go on, starting servers get Ready.
fn settle(cluster: &mut Cluster) -> usize {
    for round in 0..100 {
        let plan = cluster.reconcile_set("set");
        let progress = [Event::Progress, Event::Vanish].map(|event| cluster.happen_to_all(event));
        if plan.actions.is_empty() && progress == [false, false] {
            let Some(requeue) = plan.requeue else {
                return round;
            };
            cluster.pass(requeue);
        }
    }
    panic!("not settled: {cluster:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn every_history_converges_and_then_nothing_is_planned(
        history in prop::collection::vec(step(0), 0..80),
    ) {
        let mut cluster = live(history);
        settle(&mut cluster);
        let wanted = usize::try_from(cluster.set("set").spec.replicas).unwrap();
        prop_assert_eq!(cluster.live(), wanted.max(cluster.held()));
        prop_assert_eq!(cluster.servers.len(), cluster.live(), "nothing else is left");
        let plan = cluster.reconcile_set("set");
        prop_assert_eq!(plan.actions, vec![]);
        prop_assert_eq!(plan.requeue, None);
    }

    #[test]
    fn stale_caches_end_no_held_server_and_converge_too(
        history in prop::collection::vec(step(12), 0..80),
    ) {
        let mut cluster = live(history);
        settle(&mut cluster);
        let wanted = usize::try_from(cluster.set("set").spec.replicas).unwrap();
        prop_assert_eq!(cluster.live(), wanted.max(cluster.held()));
    }

    #[test]
    fn a_plan_that_is_applied_twice_does_no_more(
        history in prop::collection::vec(step(0), 0..60),
    ) {
        let mut cluster = live(history);
        let (desired, observed) = cluster.observe_set("set");
        let plan = plan(cluster.now, &cluster.policy, &desired, &observed);
        cluster.apply_set("set", &plan).unwrap();
        let names: Vec<_> = cluster.servers.keys().cloned().collect();
        drop(cluster.apply_set("set", &plan));
        prop_assert_eq!(names, cluster.servers.keys().cloned().collect::<Vec<_>>());
    }

    #[test]
    fn the_order_of_observation_does_not_matter(
        history in prop::collection::vec(step(0), 0..60),
        order in Just((0..64_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let cluster = live(history);
        let (desired, observed) = cluster.observe_set("set");
        let mut shuffled = observed.clone();
        let mut keyed: Vec<_> = shuffled.servers.drain(..).zip(order.into_iter().cycle()).collect();
        keyed.sort_by_key(|(_, key)| *key);
        shuffled.servers = keyed.into_iter().map(|(server, _)| server).collect();
        prop_assert_eq!(
            plan(cluster.now, &cluster.policy, &desired, &observed),
            plan(cluster.now, &cluster.policy, &desired, &shuffled)
        );
    }

    #[test]
    fn what_is_known_of_failures_is_not_counted_again(
        history in prop::collection::vec(step(0), 0..60),
    ) {
        let cluster = live(history);
        let (desired, mut observed) = cluster.observe_set("set");
        let first = plan(cluster.now, &cluster.policy, &desired, &observed);
        observed.backoff.clone_from(&first.backoff);
        let second = plan(cluster.now, &cluster.policy, &desired, &observed);
        prop_assert_eq!(first, second);
    }
}
