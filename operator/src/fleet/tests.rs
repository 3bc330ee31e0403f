//! What fleets do, as tables; their laws are in the file below.

use std::fmt::Write as _;

use crds::FleetStatus;
use crds::fleet::StrategyType;
use crds::gameserver::Scheduling;
use crds::gameserverset::Backoff;
use crds::names::child_ordinal;
use expect_test::{Expect, expect};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::plan::{Action, Plan, plan};
use super::status::{Acceptance, status};
use crate::model::{Cluster, Event, START, template};

mod laws;

/// Number of a set, by its name.
fn number(name: &str) -> u32 {
    child_ordinal("fleet", "fleet-uid", name).unwrap()
}

fn show(plan: &Plan) -> String {
    let mut text = String::new();
    for action in &plan.actions {
        match action {
            Action::Create {
                name,
                replicas,
                why,
            } => {
                writeln!(text, "create set {} with {replicas}: {why}", number(name))
            }
            Action::Scale {
                name,
                replicas,
                why,
                ..
            } => {
                writeln!(text, "scale set {} to {replicas}: {why}", number(name))
            }
            Action::Update {
                name,
                replicas,
                why,
                ..
            } => {
                writeln!(text, "update set {} with {replicas}: {why}", number(name))
            }
            Action::Delete { name, why, .. } => {
                writeln!(text, "delete set {}: {why}", number(name))
            }
        }
        .unwrap();
    }
    text
}

/// One line: of every set its revision, its size, and how many of its servers players can use.
fn sets(cluster: &Cluster) -> String {
    let mut sets: Vec<_> = cluster.sets.values().collect();
    sets.sort_by_key(|set| number(&set.name));
    let show = |set: &&super::plan::SetView| {
        let labels = set
            .spec
            .template
            .metadata
            .as_ref()
            .and_then(|meta| meta.labels.as_ref());
        let revision = labels.and_then(|labels| labels.get("revision")).unwrap();
        let status = &set.status;
        let held = status.allocated_replicas + status.reserved_replicas;
        let usable = status.ready_replicas + held;
        let held = if held > 0 {
            format!(" ({held} held)")
        } else {
            String::new()
        };
        format!(
            "v{revision}: {} of {}, {usable} usable{held}",
            status.replicas, set.spec.replicas
        )
    };
    sets.iter().map(show).collect::<Vec<_>>().join(" | ")
}

/// One round: the fleet, its sets, and what `happens` to servers.
fn round(cluster: &mut Cluster, mut happens: impl FnMut(&mut Cluster)) -> bool {
    let planned = !cluster.reconcile_fleet().actions.is_empty();
    let (changed, _) = cluster.reconcile_sets();
    cluster.happen_to_all(Event::Vanish);
    happens(cluster);
    cluster.report_sets();
    planned || changed
}

fn everything_gets_ready(cluster: &mut Cluster) {
    cluster.happen_to_all(Event::Progress);
    cluster.happen_to_all(Event::Progress);
}

/// Only servers of this revision get Ready.
fn only_gets_ready(cluster: &mut Cluster, revision: u8) {
    let good = |name: &str| cluster.set(name).spec.template == template(revision);
    let servers: Vec<_> = cluster
        .servers
        .iter()
        .filter(|(_, (set, _))| good(set))
        .map(|(name, _)| name.clone())
        .collect();
    for server in servers.iter().chain(&servers) {
        cluster.happen(server, Event::Progress);
    }
}

/// Rounds until nothing is to be done, one line each.
fn rounds(cluster: &mut Cluster, mut happens: impl FnMut(&mut Cluster)) -> String {
    let mut text = String::new();
    for _ in 0..50 {
        if !round(cluster, &mut happens) {
            return text;
        }
        writeln!(text, "{}", sets(cluster)).unwrap();
    }
    panic!("no end:\n{text}");
}

/// A fleet whose servers of revision 0 are all Ready.
fn running(replicas: i32) -> Cluster {
    let mut cluster = Cluster::new(replicas);
    rounds(&mut cluster, everything_gets_ready);
    cluster
}

fn change_template(cluster: &mut Cluster, revision: u8) {
    cluster.fleet.spec.template = template(revision);
    cluster.fleet.generation = cluster.fleet.generation.map(|generation| generation + 1);
}

fn bounds(cluster: &mut Cluster, surge: IntOrString, unavailable: IntOrString) {
    let bounds = &mut cluster.fleet.spec.strategy.rolling_update;
    bounds.max_surge = surge;
    bounds.max_unavailable = unavailable;
}

fn allocate(cluster: &mut Cluster, count: usize) {
    let names: Vec<_> = cluster.servers.keys().cloned().collect();
    let done = names
        .iter()
        .filter(|name| cluster.happen(name, Event::Allocate))
        .take(count)
        .count();
    assert_eq!(done, count);
    cluster.report_sets();
}

fn check_plan(cluster: &Cluster, expected: &Expect) {
    expected.assert_eq(&show(&plan(&cluster.fleet, &cluster.observe_fleet())));
}

#[test]
fn a_new_fleet_gets_one_set_of_all_its_servers() {
    let mut cluster = Cluster::new(3);
    check_plan(
        &cluster,
        &expect![[r#"
        create set 0 with 3: no set has the fleet's template
    "#]],
    );
    expect![[r#"
        v0: 3 of 3, 3 usable
    "#]]
    .assert_eq(&rounds(&mut cluster, everything_gets_ready));
}

#[test]
fn a_fleet_follows_its_replicas_and_its_settings() {
    let mut cluster = running(3);
    cluster.fleet.spec.replicas = 5;
    check_plan(
        &cluster,
        &expect![[r#"
        scale set 0 to 5: scale up
    "#]],
    );
    cluster.fleet.spec.replicas = 0;
    check_plan(
        &cluster,
        &expect![[r#"
        scale set 0 to 0: scale down
    "#]],
    );
    cluster.fleet.spec.scheduling = Scheduling::Distributed;
    check_plan(
        &cluster,
        &expect![[r#"
        update set 0 with 0: scale down
    "#]],
    );
    cluster.fleet.spec.replicas = 3;
    check_plan(
        &cluster,
        &expect![[r#"
        update set 0 with 3: settings of the fleet changed
    "#]],
    );
    cluster.fleet.being_deleted = true;
    check_plan(&cluster, &expect![[r""]]);
}

#[test]
fn a_rolling_update_keeps_to_its_default_bounds() {
    let mut cluster = running(10);
    change_template(&mut cluster, 1);
    expect![[r#"
        v0: 8 of 8, 8 usable | v1: 3 of 3, 3 usable
        v0: 5 of 5, 5 usable | v1: 5 of 5, 5 usable
        v0: 3 of 3, 3 usable | v1: 8 of 8, 8 usable
        v0: 0 of 0, 0 usable | v1: 10 of 10, 10 usable
        v1: 10 of 10, 10 usable
    "#]]
    .assert_eq(&rounds(&mut cluster, everything_gets_ready));
}

#[test]
fn a_rolling_update_keeps_to_bounds_in_numbers() {
    let mut cluster = running(4);
    bounds(&mut cluster, IntOrString::Int(1), IntOrString::Int(1));
    change_template(&mut cluster, 1);
    expect![[r#"
        v0: 3 of 3, 3 usable | v1: 1 of 1, 1 usable
        v0: 2 of 2, 2 usable | v1: 2 of 2, 2 usable
        v0: 1 of 1, 1 usable | v1: 3 of 3, 3 usable
        v0: 0 of 0, 0 usable | v1: 4 of 4, 4 usable
        v1: 4 of 4, 4 usable
    "#]]
    .assert_eq(&rounds(&mut cluster, everything_gets_ready));
}

#[test]
fn a_percentage_of_few_servers_still_moves() {
    let mut cluster = running(1);
    let percent = |text: &str| IntOrString::String(text.to_owned());
    bounds(&mut cluster, percent("1%"), percent("1%"));
    change_template(&mut cluster, 1);
    expect![[r#"
        v0: 0 of 0, 0 usable | v1: 1 of 1, 1 usable
        v1: 1 of 1, 1 usable
    "#]]
    .assert_eq(&rounds(&mut cluster, everything_gets_ready));
}

#[test]
fn allocated_servers_outlive_a_rolling_update_and_make_room_when_they_end() {
    let mut cluster = running(5);
    allocate(&mut cluster, 3);
    change_template(&mut cluster, 1);
    expect![[r#"
        v0: 4 of 4, 4 usable (3 held) | v1: 2 of 2, 2 usable
        v0: 3 of 0, 3 usable (3 held) | v1: 2 of 2, 2 usable
    "#]]
    .assert_eq(&rounds(&mut cluster, everything_gets_ready));
    let allocated: Vec<_> = cluster.servers.keys().cloned().collect();
    for name in allocated {
        if cluster.servers.get(&name).unwrap().1.state.is_held() {
            cluster.happen(&name, Event::Shutdown);
        }
    }
    cluster.report_sets();
    expect![[r#"
        v0: 0 of 0, 0 usable | v1: 5 of 5, 5 usable
        v1: 5 of 5, 5 usable
    "#]]
    .assert_eq(&rounds(&mut cluster, everything_gets_ready));
}

#[test]
fn more_held_servers_than_replicas_leave_nothing_for_the_new_template() {
    let mut cluster = running(5);
    allocate(&mut cluster, 4);
    cluster.fleet.spec.replicas = 2;
    change_template(&mut cluster, 1);
    expect![[r#"
        v0: 4 of 0, 4 usable (4 held) | v1: 0 of 0, 0 usable
    "#]]
    .assert_eq(&rounds(&mut cluster, everything_gets_ready));
}

#[test]
fn a_build_that_never_gets_ready_stops_at_its_bounds() {
    let mut cluster = running(10);
    change_template(&mut cluster, 1);
    expect![[r#"
        v0: 8 of 8, 8 usable | v1: 3 of 3, 0 usable
        v0: 8 of 8, 8 usable | v1: 5 of 5, 0 usable
    "#]]
    .assert_eq(&rounds(&mut cluster, |cluster| only_gets_ready(cluster, 0)));
    // Going back needs no new set.
    change_template(&mut cluster, 0);
    expect![[r#"
        v0: 8 of 8, 8 usable | v1: 0 of 0, 0 usable
        v0: 10 of 10, 10 usable
    "#]]
    .assert_eq(&rounds(&mut cluster, |cluster| only_gets_ready(cluster, 0)));
}

#[test]
fn old_servers_that_nobody_can_use_go_first() {
    let mut cluster = running(10);
    cluster.fleet.spec.replicas = 14;
    rounds(&mut cluster, |_| ());
    change_template(&mut cluster, 1);
    check_plan(
        &cluster,
        &expect![[r#"
        scale set 0 to 10: template is not the fleet's
        create set 1 with 4: no set has the fleet's template
    "#]],
    );
    expect![[r#"
        v0: 10 of 10, 10 usable | v1: 4 of 4, 4 usable
        v0: 7 of 7, 7 usable | v1: 8 of 8, 8 usable
        v0: 3 of 3, 3 usable | v1: 11 of 11, 11 usable
        v0: 0 of 0, 0 usable | v1: 14 of 14, 14 usable
        v1: 14 of 14, 14 usable
    "#]]
    .assert_eq(&rounds(&mut cluster, |cluster| only_gets_ready(cluster, 1)));
}

#[test]
fn a_template_that_changes_again_and_back_reuses_its_set() {
    let mut cluster = running(6);
    change_template(&mut cluster, 1);
    for _ in 0..2 {
        round(&mut cluster, everything_gets_ready);
    }
    change_template(&mut cluster, 2);
    for _ in 0..2 {
        round(&mut cluster, everything_gets_ready);
    }
    expect!["v0: 0 of 0, 0 usable | v1: 3 of 3, 3 usable | v2: 3 of 3, 3 usable"]
        .assert_eq(&sets(&cluster));
    change_template(&mut cluster, 0);
    expect![[r#"
        v0: 2 of 2, 2 usable | v1: 3 of 3, 3 usable | v2: 2 of 2, 2 usable
        v0: 3 of 3, 3 usable | v1: 3 of 3, 3 usable | v2: 0 of 0, 0 usable
        v0: 5 of 5, 5 usable | v1: 2 of 2, 2 usable
        v0: 6 of 6, 6 usable | v1: 0 of 0, 0 usable
        v0: 6 of 6, 6 usable
    "#]]
    .assert_eq(&rounds(&mut cluster, everything_gets_ready));
}

#[test]
fn recreate_removes_all_that_is_not_held_and_then_starts() {
    let mut cluster = running(5);
    allocate(&mut cluster, 2);
    cluster.fleet.spec.strategy.type_ = StrategyType::Recreate;
    change_template(&mut cluster, 1);
    check_plan(
        &cluster,
        &expect![[r#"
        scale set 0 to 0: template is not the fleet's
        create set 1 with 0: no set has the fleet's template
    "#]],
    );
    expect![[r#"
        v0: 2 of 0, 2 usable (2 held) | v1: 0 of 0, 0 usable
        v0: 2 of 0, 2 usable (2 held) | v1: 3 of 3, 3 usable
    "#]]
    .assert_eq(&rounds(&mut cluster, everything_gets_ready));
}

#[test]
fn an_update_of_a_fleet_without_replicas_replaces_its_set() {
    let mut cluster = running(0);
    change_template(&mut cluster, 1);
    check_plan(
        &cluster,
        &expect![[r#"
        create set 1 with 0: no set has the fleet's template
        delete set 0: template is not the fleet's, and no server is left
    "#]],
    );
    rounds(&mut cluster, everything_gets_ready);
    assert_eq!(cluster.sets.len(), 1);
}

#[test]
fn of_two_sets_with_the_template_the_oldest_is_active() {
    let mut cluster = running(4);
    let mut twin = cluster.sets.values().next().unwrap().clone();
    twin.name = crds::names::child_name("fleet", "fleet-uid", 1);
    twin.created = twin
        .created
        .checked_add(jiff::SignedDuration::from_secs(1))
        .unwrap();
    twin.status.ready_replicas = 2;
    cluster.sets.insert(twin.name.clone(), twin);
    check_plan(
        &cluster,
        &expect![[r#"
        scale set 1 to 0: template is not the fleet's
    "#]],
    );
    // One that is being deleted is no set of ours any more.
    cluster
        .sets
        .values_mut()
        .for_each(|set| set.being_deleted = number(&set.name) == 0);
    check_plan(&cluster, &expect![[r""]]);
    cluster
        .sets
        .values_mut()
        .for_each(|set| set.being_deleted = true);
    check_plan(
        &cluster,
        &expect![[r#"
        create set 2 with 4: no set has the fleet's template
    "#]],
    );
}

#[test]
fn a_set_is_deleted_only_when_its_status_says_that_it_is_empty() {
    let mut cluster = running(2);
    change_template(&mut cluster, 1);
    rounds(&mut cluster, everything_gets_ready);
    let mut old = cluster.sets.values().next().unwrap().clone();
    old.name = crds::names::child_name("fleet", "fleet-uid", 7);
    old.spec.template = template(0);
    old.spec.replicas = 0;
    let mut check = |change: fn(&mut super::plan::SetView), expected: Expect| {
        let mut set = old.clone();
        set.status.replicas = 0;
        set.status.ready_replicas = 0;
        change(&mut set);
        cluster.sets.insert(set.name.clone(), set);
        check_plan(&cluster, &expected);
    };
    check(
        |_| (),
        expect![[r#"
        delete set 7: template is not the fleet's, and no server is left
    "#]],
    );
    check(|set| set.status.shutdown_replicas = 1, expect![[r""]]);
    check(|set| set.generation = Some(99), expect![[r""]]);
    check(|set| set.status.replicas = 1, expect![[r""]]);
}

#[test]
fn status_says_what_is_missing() {
    let report = |cluster: &Cluster, previous: &FleetStatus, acceptance: &Acceptance| {
        status(
            cluster.now,
            &cluster.fleet,
            &cluster.observe_fleet(),
            acceptance,
            previous,
        )
    };
    let show = |status: &FleetStatus| {
        let mut text = format!(
            "{} replicas, {} ready, {} allocated, {} reserved\n",
            status.replicas,
            status.ready_replicas,
            status.allocated_replicas,
            status.reserved_replicas,
        );
        for condition in &status.conditions {
            let since = condition
                .last_transition_time
                .0
                .duration_since(START)
                .as_secs();
            writeln!(
                text,
                "{}={} {} since {since} s: {}",
                condition.type_, condition.status, condition.reason, condition.message
            )
            .unwrap();
        }
        text
    };
    let check = |cluster: &mut Cluster, previous: &FleetStatus, expected: Expect| {
        cluster.pass(std::time::Duration::from_secs(10));
        let status = report(cluster, previous, &Acceptance::Unknown);
        expected.assert_eq(&show(&status));
        status
    };
    let mut cluster = Cluster::new(4);
    let last = FleetStatus::default();
    let last = check(
        &mut cluster,
        &last,
        expect![[r#"
        0 replicas, 0 ready, 0 allocated, 0 reserved
        Ready=False ScalingUp since 10 s: no set has the fleet's template yet
    "#]],
    );
    round(&mut cluster, |_| ());
    let last = check(
        &mut cluster,
        &last,
        expect![[r#"
        4 replicas, 0 ready, 0 allocated, 0 reserved
        Ready=False ScalingUp since 10 s: 0 of 4 servers are up
    "#]],
    );
    rounds(&mut cluster, everything_gets_ready);
    let last = check(
        &mut cluster,
        &last,
        expect![[r#"
        4 replicas, 4 ready, 0 allocated, 0 reserved
        Ready=True AllReady since 30 s: 4 servers of the current template are up
    "#]],
    );
    allocate(&mut cluster, 2);
    let last = check(
        &mut cluster,
        &last,
        expect![[r#"
        4 replicas, 2 ready, 2 allocated, 0 reserved
        Ready=True AllReady since 30 s: 4 servers of the current template are up
    "#]],
    );
    cluster.fleet.spec.replicas = 3;
    let last = check(
        &mut cluster,
        &last,
        expect![[r#"
        4 replicas, 2 ready, 2 allocated, 0 reserved
        Ready=False ScalingDown since 50 s: 4 servers are there, 3 shall be
    "#]],
    );
    change_template(&mut cluster, 1);
    let last = check(
        &mut cluster,
        &last,
        expect![[r#"
        4 replicas, 2 ready, 2 allocated, 0 reserved
        Ready=False RollingOut since 50 s: no set has the fleet's template yet
    "#]],
    );
    round(&mut cluster, |_| ());
    let last = check(
        &mut cluster,
        &last,
        expect![[r#"
        2 replicas, 0 ready, 2 allocated, 0 reserved
        Ready=False ScalingUp since 50 s: 0 of 1 servers are up
    "#]],
    );
    rounds(&mut cluster, everything_gets_ready);
    let last = check(
        &mut cluster,
        &last,
        expect![[r#"
        3 replicas, 1 ready, 2 allocated, 0 reserved
        Ready=True AllReady since 80 s: 1 servers of the current template are up
    "#]],
    );
    for set in cluster.sets.values_mut() {
        set.status.ready_replicas = 0;
        set.status.backoff = Some(Backoff {
            failures: 3,
            last_failure_time: START,
        });
    }
    let last = check(
        &mut cluster,
        &last,
        expect![[r#"
        3 replicas, 0 ready, 2 allocated, 0 reserved
        Ready=False CrashLooping since 90 s: servers of set fleet-sjwzv fail (3 times in a row); 0 of 1 are up
    "#]],
    );

    let message = "spec.containers[0].image: Required value".to_owned();
    let refused = Acceptance::Refused {
        reason: "PodInvalid",
        message,
    };
    let refused = report(&cluster, &last, &refused);
    let accepted = report(&cluster, &refused, &Acceptance::Accepted);
    expect![[r#"
        3 replicas, 0 ready, 2 allocated, 0 reserved
        Accepted=False PodInvalid since 90 s: spec.containers[0].image: Required value
        Ready=False CrashLooping since 90 s: servers of set fleet-sjwzv fail (3 times in a row); 0 of 1 are up
        3 replicas, 0 ready, 2 allocated, 0 reserved
        Accepted=True TemplateAccepted since 90 s: pods can be made from the template
        Ready=False CrashLooping since 90 s: servers of set fleet-sjwzv fail (3 times in a row); 0 of 1 are up
    "#]].assert_eq(&(show(&refused) + &show(&accepted)));
    assert_eq!(
        accepted.label_selector,
        "muster.dev/fleet=fleet,muster.dev/role=gameserver"
    );
    assert_eq!(accepted.observed_generation, Some(2));
}
