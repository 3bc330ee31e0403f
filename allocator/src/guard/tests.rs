//! Guards over the fake API: who gets one, late answers, the sweep.

use prometheus::Registry;
use tokio::time::Instant;

use super::*;
use crate::fake::harness::{BOUNDS, Core, fleet, until};
use crate::fake::{Fake, Fault, LEASES, SERVERS};

fn guards(fake: &Fake) -> Guards {
    Guards::new(fake.client(), "muster-system", BOUNDS.commit)
}

fn claim(request_id: &str) -> Claim {
    Claim {
        namespace: "default".to_owned(),
        request_id: request_id.to_owned(),
    }
}

fn intent(version: u64) -> Intent {
    Intent {
        game_server: "gs-00".to_owned(),
        version,
    }
}

fn soon() -> Timestamp {
    runtime::clock::now() + SignedDuration::from_secs(10)
}

#[tokio::test(start_paused = true)]
async fn one_call_guards_a_request() {
    let fake = Fake::default();
    let guards = guards(&fake);
    let first = guards.create(&claim("r"), "a", intent(1), soon()).await;
    let first = first.unwrap().unwrap();
    let second = guards.create(&claim("r"), "b", intent(1), soon()).await;
    assert_eq!(second.unwrap(), None);
    assert!(
        guards
            .create(&claim("s"), "b", intent(1), soon())
            .await
            .unwrap()
            .is_some()
    );
    let taken = guards.change(&first, "b", intent(1), soon()).await;
    assert!(taken.unwrap().is_some());
    // The first one has lost its place.
    let late = guards.change(&first, "a", intent(2), soon()).await;
    assert_eq!(late.unwrap(), None);
    guards.remove(first).await;
    let known = guards.read(&claim("r")).await.unwrap().unwrap();
    assert_eq!((known.holder.as_str(), known.intent), ("b", intent(1)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_looked_up() {
    for fault in [
        Fault::CommitThenSilence,
        Fault::CommitThenStatus(504),
        Fault::Silence,
        Fault::Status(503),
        Fault::CommitAfter(5_020),
    ] {
        let fake = Fake::default();
        let guards = guards(&fake);
        fake.lease_faults([fault]);
        let first = guards.create(&claim("r"), "a", intent(1), soon()).await;
        let first = first.unwrap().unwrap();
        fake.lease_faults([fault]);
        let next = guards.change(&first, "a", intent(2), soon()).await;
        assert_eq!(next.unwrap().unwrap().intent, intent(2), "{fault:?}");
        assert_eq!(fake.all(LEASES).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_and_outages_are_told() {
    let fake = Fake::default();
    let guards = guards(&fake);
    fake.lease_faults([Fault::Status(403)]);
    let refused = guards.create(&claim("r"), "a", intent(1), soon()).await;
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    fake.set_away(true);
    let begin = Instant::now();
    let away = guards.create(&claim("r"), "a", intent(1), soon()).await;
    assert!(matches!(away, Err(Error::Unavailable { .. })), "{away:?}");
    assert!(begin.elapsed() < Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn old_guards_without_a_server_are_removed() {
    let _clock = runtime::clock::virtual_time("2026-01-01T00:00:00Z".parse().unwrap());
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    let guards = guards(&fake);
    let label = serde_json::json!({"metadata": {"labels": {"muster.dev/request": "held"}}});
    fake.touch("gs-00", &label);
    until(&core.servers, |_| {
        core.matches.find("default", "held").is_some()
    })
    .await;
    for request in ["held", "gone"] {
        let made = guards.create(&claim(request), "a", intent(1), soon()).await;
        assert!(made.unwrap().is_some());
    }
    let metrics = Metrics::register(&Registry::new(), core.servers.clone());
    let sweep = sweep(
        guards.clone(),
        core.servers.clone(),
        core.matches.clone(),
        metrics.unwrap(),
        1.0,
    );
    let left = |minutes| tokio::time::sleep(Duration::from_mins(minutes));
    tokio::select! {
        () = sweep => {}
        () = async {
            left(59).await;
            assert_eq!(fake.all(LEASES).len(), 2);
            left(30).await;
            assert!(guards.read(&claim("held")).await.unwrap().is_some());
            assert!(guards.read(&claim("gone")).await.unwrap().is_none());
            fake.delete(SERVERS, "default", "gs-00");
            left(30).await;
            assert_eq!(fake.all(LEASES).len(), 0);
        } => {}
    }
}

#[test]
fn names_are_valid_and_differ() {
    let other = Claim {
        namespace: "defaul".to_owned(),
        request_id: "tr".to_owned(),
    };
    assert_eq!(name(&claim("r")).len(), "request-".len() + 32);
    assert_ne!(name(&claim("r")), name(&other));
}
