//! What the status of a fleet says.

use std::fmt::Write as _;
use std::time::Duration;

use crds::FleetStatus;
use crds::gameserverset::Backoff;
use expect_test::{Expect, expect};

use super::{allocate, change_template, everything_gets_ready, round, rounds, running};
use crate::fleet::status::{Acceptance, status};
use crate::model::{Cluster, START};

fn report(cluster: &Cluster, acceptance: &Acceptance, previous: &FleetStatus) -> FleetStatus {
    status(
        cluster.now,
        &cluster.fleet,
        &cluster.observe_fleet(),
        acceptance,
        previous,
    )
}

fn show(status: &FleetStatus) -> String {
    let mut text = format!(
        "{} replicas, {} ready, {} allocated, {} reserved\n",
        status.replicas, status.ready_replicas, status.allocated_replicas, status.reserved_replicas,
    );
    for condition in &status.conditions {
        let since = condition
            .last_transition_time
            .0
            .duration_since(START)
            .as_secs();
        let (type_, status) = (&condition.type_, &condition.status);
        let (reason, message) = (&condition.reason, &condition.message);
        writeln!(text, "{type_}={status} {reason} since {since} s: {message}").unwrap();
    }
    text
}

/// Checks the status after ten more seconds; it takes the place of the one before.
fn check(cluster: &mut Cluster, last: &mut FleetStatus, expected: &Expect) {
    cluster.pass(Duration::from_secs(10));
    *last = report(cluster, &Acceptance::Unknown, last);
    expected.assert_eq(&show(last));
}

#[test]
fn status_says_what_is_missing() {
    let mut cluster = Cluster::new(4);
    let mut last = FleetStatus::default();
    check(
        &mut cluster,
        &mut last,
        &expect![[r#"
        0 replicas, 0 ready, 0 allocated, 0 reserved
        Ready=False ScalingUp since 10 s: no set has the fleet's template yet
    "#]],
    );
    round(&mut cluster, |_| ());
    check(
        &mut cluster,
        &mut last,
        &expect![[r#"
        4 replicas, 0 ready, 0 allocated, 0 reserved
        Ready=False ScalingUp since 10 s: 0 of 4 servers are up
    "#]],
    );
    rounds(&mut cluster, everything_gets_ready);
    check(
        &mut cluster,
        &mut last,
        &expect![[r#"
        4 replicas, 4 ready, 0 allocated, 0 reserved
        Ready=True AllReady since 30 s: 4 servers of the current template are up
    "#]],
    );
    allocate(&mut cluster, 2);
    check(
        &mut cluster,
        &mut last,
        &expect![[r#"
        4 replicas, 2 ready, 2 allocated, 0 reserved
        Ready=True AllReady since 30 s: 4 servers of the current template are up
    "#]],
    );
    cluster.fleet.spec.replicas = 3;
    check(
        &mut cluster,
        &mut last,
        &expect![[r#"
        4 replicas, 2 ready, 2 allocated, 0 reserved
        Ready=False ScalingDown since 50 s: 4 servers are there, 3 shall be
    "#]],
    );
}

#[test]
fn status_follows_a_rollout() {
    let mut cluster = running(4);
    allocate(&mut cluster, 2);
    let mut last = FleetStatus::default();
    check(
        &mut cluster,
        &mut last,
        &expect![[r#"
        4 replicas, 2 ready, 2 allocated, 0 reserved
        Ready=True AllReady since 10 s: 4 servers of the current template are up
    "#]],
    );
    change_template(&mut cluster, 1);
    check(
        &mut cluster,
        &mut last,
        &expect![[r#"
        4 replicas, 2 ready, 2 allocated, 0 reserved
        Ready=False RollingOut since 20 s: no set has the fleet's template yet
    "#]],
    );
    round(&mut cluster, |_| ());
    check(
        &mut cluster,
        &mut last,
        &expect![[r#"
        4 replicas, 1 ready, 2 allocated, 0 reserved
        Ready=False RollingOut since 20 s: 0 of 2 servers of the current template are up, 1 of older ones remain
    "#]],
    );
    rounds(&mut cluster, everything_gets_ready);
    check(
        &mut cluster,
        &mut last,
        &expect![[r#"
        4 replicas, 2 ready, 2 allocated, 0 reserved
        Ready=True AllReady since 40 s: 2 servers of the current template are up
    "#]],
    );
    for set in cluster.sets.values_mut() {
        set.status.ready_replicas = 0;
        set.status.backoff = Some(Backoff {
            failures: 3,
            last_failure_time: START,
        });
    }
    check(
        &mut cluster,
        &mut last,
        &expect![[r#"
        4 replicas, 0 ready, 2 allocated, 0 reserved
        Ready=False CrashLooping since 50 s: servers of set fleet-sjwzv fail (3 times in a row); 0 of 2 are up
    "#]],
    );
}

#[test]
fn status_says_whether_the_template_was_accepted() {
    let mut cluster = running(1);
    let first = report(&cluster, &Acceptance::Unknown, &FleetStatus::default());
    let message = "spec.containers[0].image: Required value".to_owned();
    let refused = Acceptance::Refused {
        reason: "PodInvalid",
        message,
    };
    let refused = report(&cluster, &refused, &first);
    cluster.pass(Duration::from_secs(10));
    let unknown = report(&cluster, &Acceptance::Unknown, &refused);
    let accepted = report(&cluster, &Acceptance::Accepted, &unknown);
    expect![[r#"
        1 replicas, 1 ready, 0 allocated, 0 reserved
        Accepted=False PodInvalid since 0 s: spec.containers[0].image: Required value
        Ready=True AllReady since 0 s: 1 servers of the current template are up
        1 replicas, 1 ready, 0 allocated, 0 reserved
        Accepted=False PodInvalid since 0 s: spec.containers[0].image: Required value
        Ready=True AllReady since 0 s: 1 servers of the current template are up
        1 replicas, 1 ready, 0 allocated, 0 reserved
        Accepted=True TemplateAccepted since 10 s: pods can be made from the template
        Ready=True AllReady since 0 s: 1 servers of the current template are up
    "#]]
    .assert_eq(&(show(&refused) + &show(&unknown) + &show(&accepted)));
    assert_eq!(
        accepted.label_selector,
        "muster.dev/fleet=fleet,muster.dev/role=gameserver"
    );
    assert_eq!(accepted.observed_generation, Some(1));
}
