//! What fleets do, as tables; their laws are in the file below.

use std::fmt::Write as _;

use crds::fleet::StrategyType;
use crds::gameserver::Scheduling;
use crds::names::child_ordinal;
use expect_test::{Expect, expect};

use super::plan::{Action, Plan, plan};
use crate::model::{Cluster, Event, template};

mod laws;
mod rolling;
mod status;

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
