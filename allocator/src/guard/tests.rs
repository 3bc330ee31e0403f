//! Guards over the fake API: who gets one, late answers, the sweep.

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

/// Sweeps for so many minutes, from 10 minutes on and every 10 minutes.
async fn swept(core: &Core, guards: &Guards, namespaces: &[&str], minutes: u64) {
    let sweep = Sweep {
        guards: guards.clone(),
        namespaces: namespaces.iter().map(ToString::to_string).collect(),
        servers: core.servers.clone(),
        matches: core.matches.clone(),
        metrics: core.metrics.clone(),
    };
    let time = Duration::from_mins(minutes);
    assert!(tokio::time::timeout(time, sweep.run(1.0)).await.is_err());
}

/// A server carries this request id, and the watch has seen it.
async fn hold(fake: &Fake, core: &Core, server: &str, request_id: &str) {
    let label = serde_json::json!({"metadata": {"labels": {"muster.dev/request": request_id}}});
    fake.touch(server, &label);
    until(&core.servers, |_| {
        core.matches.find("default", request_id).is_some()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_guard_outlives_its_server_however_long_that_lived() {
    let _clock = runtime::clock::virtual_time("2026-01-01T00:00:00Z".parse().unwrap());
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    let guards = guards(&fake);
    hold(&fake, &core, "gs-00", "held").await;
    for request in ["held", "gone"] {
        let made = guards.create(&claim(request), "a", intent(1), soon()).await;
        assert!(made.unwrap().is_some());
    }
    swept(&core, &guards, &[], 59).await;
    assert_eq!(fake.all(LEASES).len(), 2);
    let held = guards.read(&claim("held")).await.unwrap();
    swept(&core, &guards, &[], 25).await;
    assert_eq!(guards.read(&claim("gone")).await.unwrap(), None);
    // It is renewed, but not by every sweep.
    assert_eq!(guards.read(&claim("held")).await.unwrap(), held);
    swept(&core, &guards, &[], 60).await;
    let renewed = guards.read(&claim("held")).await.unwrap().unwrap();
    assert!(renewed.until > held.unwrap().until);
    fake.delete(SERVERS, "default", "gs-00");
    swept(&core, &guards, &[], 15).await;
    assert_eq!(fake.all(LEASES).len(), 1, "a late retry is still known");
    swept(&core, &guards, &[], 90).await;
    assert_eq!(fake.all(LEASES).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_finishes_what_a_lost_task_has_left_open() {
    let _clock = runtime::clock::virtual_time("2026-01-01T00:00:00Z".parse().unwrap());
    let fake = fleet(2);
    let core = Core::start(&fake, BOUNDS, 1).await;
    let guards = guards(&fake);
    hold(&fake, &core, "gs-00", "held").await;
    hold(&fake, &core, "gs-01", "elsewhere").await;
    for request in ["held", "elsewhere", "none"] {
        let made = guards.create(&claim(request), "a", intent(1), soon()).await;
        assert!(made.unwrap().is_some());
    }
    swept(&core, &guards, &[], 11).await;
    let is_done = async |request| {
        let guard = guards.read(&claim(request)).await.unwrap();
        guard.unwrap().is_done
    };
    assert!(is_done("held").await);
    assert!(!is_done("elsewhere").await, "it names another server");
    assert!(!is_done("none").await);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_removes_all_that_is_old_at_a_pace() {
    const GUARDS: u32 = 2 * PAGE + 1;
    let _clock = runtime::clock::virtual_time("2026-01-01T00:00:00Z".parse().unwrap());
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    let guards = guards(&fake);
    for number in 0..GUARDS {
        let claim = claim(&format!("r-{number}"));
        let made = guards.create(&claim, "a", intent(1), soon()).await;
        assert!(made.unwrap().is_some());
    }
    swept(&core, &guards, &[], 61).await;
    let left = || u32::try_from(fake.all(LEASES).len()).unwrap();
    assert_eq!(left(), GUARDS);
    assert_eq!(
        core.gauge("muster_allocator_known_request_guards"),
        u64::from(GUARDS)
    );
    let begin = Instant::now();
    let sweep = swept(&core, &guards, &[], 15);
    let halved = async {
        tokio::time::sleep(SWEEP).await;
        while left() > GUARDS / 2 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        begin.elapsed()
    };
    let ((), halved) = tokio::join!(sweep, halved);
    assert!(halved >= SWEEP + PACE * (GUARDS / 2), "{halved:?}");
    assert_eq!(left(), 0);
}

#[tokio::test(start_paused = true)]
async fn guards_of_servers_that_are_not_followed_are_left_alone() {
    let _clock = runtime::clock::virtual_time("2026-01-01T00:00:00Z".parse().unwrap());
    let fake = fleet(1);
    let core = Core::start(&fake, BOUNDS, 1).await;
    let guards = guards(&fake);
    let made = guards.create(&claim("r"), "a", intent(1), soon()).await;
    assert!(made.unwrap().is_some());
    swept(&core, &guards, &["elsewhere"], 120).await;
    assert_eq!(fake.all(LEASES).len(), 1);
    swept(&core, &guards, &["elsewhere", "default"], 15).await;
    assert_eq!(fake.all(LEASES).len(), 0);
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
