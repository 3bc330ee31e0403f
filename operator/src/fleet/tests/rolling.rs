//! Rolling updates, as tables.

use expect_test::expect;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{
    change_template, check_plan, everything_gets_ready, number, only_gets_ready, round, rounds,
    running, sets,
};
use crate::model::Cluster;

fn bounds(cluster: &mut Cluster, surge: IntOrString, unavailable: IntOrString) {
    let bounds = &mut cluster.fleet.spec.strategy.rolling_update;
    bounds.max_surge = surge;
    bounds.max_unavailable = unavailable;
}

/// Two old sets with three Ready servers each, beside an active one with four.
fn two_old_sets() -> Cluster {
    let mut cluster = running(6);
    change_template(&mut cluster, 1);
    for _ in 0..2 {
        round(&mut cluster, everything_gets_ready);
    }
    change_template(&mut cluster, 2);
    cluster.fleet.spec.replicas = 8;
    cluster.reconcile_fleet();
    cluster.reconcile_sets();
    everything_gets_ready(&mut cluster);
    cluster.report_sets();
    cluster
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
fn a_set_that_was_still_growing_leaves_room_for_its_last_servers() {
    let mut cluster = running(2);
    cluster.fleet.spec.replicas = 3;
    cluster.reconcile_fleet();
    cluster.report_sets();
    change_template(&mut cluster, 1);
    // It may make its third server before it sees that it shall have two.
    check_plan(
        &cluster,
        &expect![[r#"
        scale set 0 to 2: template is not the fleet's
        create set 1 with 1: no set has the fleet's template
    "#]],
    );
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
fn the_oldest_set_goes_first() {
    let mut cluster = two_old_sets();
    expect!["v0: 3 of 3, 3 usable | v1: 3 of 3, 3 usable | v2: 4 of 4, 4 usable"]
        .assert_eq(&sets(&cluster));
    check_plan(
        &cluster,
        &expect![[r#"
        scale set 0 to 0: template is not the fleet's
        scale set 1 to 2: template is not the fleet's
    "#]],
    );
    for set in cluster.sets.values_mut() {
        let age = i64::from(number(&set.name));
        set.created = set
            .created
            .checked_sub(SignedDuration::from_secs(age))
            .unwrap();
    }
    check_plan(
        &cluster,
        &expect![[r#"
        scale set 1 to 0: template is not the fleet's
        scale set 0 to 2: template is not the fleet's
    "#]],
    );
}

#[test]
fn what_a_set_reported_before_it_saw_its_size_counts_for_nothing() {
    let mut cluster = two_old_sets();
    // The active set has not said yet how many of its servers remain.
    let last = crds::names::child_name("fleet", "fleet-uid", 2);
    cluster.sets.get_mut(&last).unwrap().generation = Some(99);
    check_plan(&cluster, &expect![[r""]]);
    // An old set may still have more servers than it shall.
    let mut cluster = two_old_sets();
    let first = crds::names::child_name("fleet", "fleet-uid", 0);
    cluster.sets.get_mut(&first).unwrap().generation = Some(99);
    cluster.fleet.spec.replicas = 20;
    check_plan(&cluster, &expect![[r""]]);
}
