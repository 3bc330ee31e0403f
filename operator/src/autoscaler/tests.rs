//! What autoscalers do, as tables, and the law that holds for every one: the bounds.

use std::fmt::Write as _;
use std::time::Duration;

use crds::FleetAutoscalerStatus;
use crds::autoscaler::{BufferPolicy, FixedInterval};
use expect_test::{Expect, expect};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use proptest::prelude::*;

use super::plan::{Action, Desired, FleetView, Observed, Verdict, plan};
use super::status::{Applied, status};
use crate::model::START;

fn percent(text: &str) -> IntOrString {
    IntOrString::String(text.to_owned())
}

fn desired(buffer_size: IntOrString, min_replicas: i32, max_replicas: i32) -> Desired {
    let mut desired = Desired {
        generation: Some(3),
        ..Desired::default()
    };
    desired.spec.fleet_name = "fleet".to_owned();
    desired.spec.policy.buffer = Some(BufferPolicy {
        max_replicas,
        min_replicas,
        buffer_size,
    });
    desired
}

fn observed(replicas: i32, allocated: i32) -> Observed {
    let fleet = FleetView {
        name: "fleet".to_owned(),
        uid: "fleet-uid".to_owned(),
        resource_version: "7".to_owned(),
        being_deleted: false,
        replicas,
        current: replicas,
        allocated,
    };
    Observed {
        fleet: Some(fleet),
        rival: None,
    }
}

/// One line per number of active matches.
fn check(desired: &Desired, replicas: i32, allocated: &[i32], expected: &Expect) {
    let mut text = String::new();
    for allocated in allocated {
        let plan = plan(desired, &observed(replicas, *allocated));
        let action = match &plan.action {
            Some(Action::ScaleFleet { from, to, why, .. }) => format!("{from} to {to}: {why}"),
            None => format!("{allocated} active matches: stays"),
        };
        let limited = match plan.verdict {
            Verdict::Size { limited: true, .. } => " (limited)",
            Verdict::Size { limited: false, .. } => "",
            Verdict::FleetNotFound
            | Verdict::FleetTaken
            | Verdict::FleetBeingDeleted
            | Verdict::PolicyInvalid => {
                panic!("{:?}", plan.verdict)
            }
        };
        writeln!(text, "{action}{limited}").unwrap();
    }
    expected.assert_eq(&text);
}

#[test]
fn a_number_is_kept_free_beside_the_active_matches() {
    let desired = desired(IntOrString::Int(5), 5, 20);
    check(
        &desired,
        10,
        &[0, 3, 5, 15, 16, 40],
        &expect![[r#"
        10 to 5: 0 active matches
        10 to 8: 3 active matches
        5 active matches: stays
        10 to 20: 15 active matches
        10 to 20: 16 active matches (limited)
        10 to 20: 40 active matches (limited)
    "#]],
    );
}

#[test]
fn a_share_of_all_servers_is_kept_free() {
    // 20% of 5 is 1: four matches need one more server.
    check(
        &desired(percent("20%"), 1, 50),
        5,
        &[0, 1, 4, 5, 40, 41],
        &expect![[r#"
            5 to 1: 0 active matches (limited)
            5 to 2: 1 active matches
            4 active matches: stays
            5 to 7: 5 active matches
            5 to 50: 40 active matches
            5 to 50: 41 active matches (limited)
        "#]],
    );
    check(
        &desired(percent("99%"), 1, 1000),
        5,
        &[1, 9, 11],
        &expect![[r#"
            5 to 100: 1 active matches
            5 to 900: 9 active matches
            5 to 1000: 11 active matches (limited)
        "#]],
    );
}

#[test]
fn the_action_is_meant_for_the_fleet_that_was_seen() {
    let mut desired = desired(IntOrString::Int(2), 0, 9);
    desired.spec.sync.fixed_interval = FixedInterval { seconds: 10 };
    let found = plan(&desired, &observed(0, 1));
    let action = Action::ScaleFleet {
        fleet: "fleet".to_owned(),
        uid: "fleet-uid".to_owned(),
        resource_version: "7".to_owned(),
        from: 0,
        to: 3,
        why: "1 active matches".to_owned(),
    };
    assert_eq!(found.action, Some(action));
    assert_eq!(found.requeue, Some(Duration::from_secs(10)));
    // One that is being deleted only looks on.
    desired.being_deleted = true;
    let found = plan(&desired, &observed(0, 1));
    assert_eq!(found.action, None);
    assert_eq!(
        found.verdict,
        Verdict::Size {
            desired: 3,
            limited: false
        }
    );
}

#[test]
fn without_a_fleet_or_a_policy_nothing_is_scaled() {
    let verdict = |desired: &Desired, observed: &Observed| {
        let plan = plan(desired, observed);
        assert_eq!(plan.action, None);
        plan.verdict
    };
    let good = desired(IntOrString::Int(2), 0, 9);
    assert_eq!(verdict(&good, &Observed::default()), Verdict::FleetNotFound);
    let mut going = observed(3, 0);
    going.fleet.as_mut().unwrap().being_deleted = true;
    assert_eq!(verdict(&good, &going), Verdict::FleetBeingDeleted);
    for malformed in ["", "%", "20", "0%", "100%", "-5%", "many%"] {
        let desired = desired(percent(malformed), 1, 9);
        assert_eq!(
            verdict(&desired, &observed(3, 0)),
            Verdict::PolicyInvalid,
            "{malformed}"
        );
    }
    assert_eq!(
        verdict(&Desired::default(), &observed(3, 0)),
        Verdict::PolicyInvalid
    );
}

#[test]
fn status_remembers_when_it_scaled() {
    let show = |status: &FleetAutoscalerStatus| serde_json::to_string_pretty(status).unwrap();
    let desired = desired(IntOrString::Int(5), 5, 12);
    let observed_before = observed(10, 9);
    let before = plan(&desired, &observed_before);
    let scaled = status(
        START,
        &desired,
        &observed_before,
        &before,
        Applied::Scaled,
        &FleetAutoscalerStatus::default(),
    );
    expect![[r#"
        {
          "observedGeneration": 3,
          "currentReplicas": 10,
          "desiredReplicas": 12,
          "lastScaleTime": "2026-01-01T00:00:00Z",
          "ableToScale": true,
          "scalingLimited": true,
          "lastAppliedPolicy": "Buffer",
          "conditions": [
            {
              "lastTransitionTime": "2026-01-01T00:00:00Z",
              "message": "the policy Buffer is applied to Fleet fleet",
              "observedGeneration": 3,
              "reason": "PolicyApplied",
              "status": "True",
              "type": "Ready"
            }
          ]
        }"#]]
    .assert_eq(&show(&scaled));
    let later = START
        .checked_add(jiff::SignedDuration::from_secs(60))
        .unwrap();
    let gone = Observed::default();
    let plan = plan(&desired, &gone);
    let unable = status(later, &desired, &gone, &plan, Applied::Nothing, &scaled);
    expect![[r#"
        {
          "observedGeneration": 3,
          "currentReplicas": 0,
          "desiredReplicas": 0,
          "lastScaleTime": "2026-01-01T00:00:00Z",
          "ableToScale": false,
          "scalingLimited": false,
          "lastAppliedPolicy": "Buffer",
          "conditions": [
            {
              "lastTransitionTime": "2026-01-01T00:01:00Z",
              "message": "there is no Fleet fleet",
              "observedGeneration": 3,
              "reason": "FleetNotFound",
              "status": "False",
              "type": "Ready"
            }
          ]
        }"#]]
    .assert_eq(&show(&unable));
}

proptest! {
    #[test]
    fn the_size_is_within_the_bounds_and_then_stays(
        buffer in prop_oneof![
            (1..i32::MAX).prop_map(IntOrString::Int),
            (1..100).prop_map(|number| IntOrString::String(format!("{number}%"))),
        ],
        min in 0..1000,
        extra in 0..1000,
        replicas in 0..i32::MAX,
        allocated in 0..i32::MAX,
    ) {
        let desired = desired(buffer, min, min + extra);
        let found = plan(&desired, &observed(replicas, allocated));
        let Verdict::Size { desired: size, .. } = found.verdict else {
            panic!("{:?}", found.verdict);
        };
        prop_assert!((min..=min + extra).contains(&size));
        prop_assert_eq!(plan(&desired, &observed(size, allocated)).action, None);
    }
}

#[test]
fn of_two_autoscalers_of_one_fleet_the_older_acts() {
    let mut observed = observed(0, 0);
    observed.rival = Some("elder".to_owned());
    let plan = plan(&desired(IntOrString::Int(5), 1, 100), &observed);
    assert_eq!((plan.action, plan.verdict), (None, Verdict::FleetTaken));
}
