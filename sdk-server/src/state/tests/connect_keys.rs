//! How a life of the game's process begins.

use super::*;

const BOOT: BootId = [1; 16];
const LATER: BootId = [2; 16];

fn keys(boot_id: BootId, version: u32) -> ConnectKeys {
    let key = ConnectKey {
        version,
        key: vec![9; 32],
    };
    ConnectKeys {
        boot_id: boot_id.to_vec(),
        keys: vec![key],
    }
}

fn asked(core: &mut Core) -> Option<u8> {
    core.next_key_request().map(|request| request.boot_id[0])
}

fn versions(keys: &[ConnectKey]) -> Vec<u32> {
    keys.iter().map(|key| key.version).collect()
}

#[test]
fn before_ready_the_keys_come_at_once_and_the_boot_id_goes_with_the_state() {
    let mut core = connected("Scheduled");
    assert_eq!(core.begin_life(1, BOOT), None);
    assert_eq!(asked(&mut core), Some(1));
    assert_eq!(asked(&mut core), None);
    assert_eq!(core.connect_keys(keys(BOOT, 5)), Some(1));
    assert_eq!(versions(&core.take_keys(&BOOT)), [5]);
    core.forget(1);
    // Nothing is written for its sake, and nothing keeps the process from ending.
    assert_eq!(next(&mut core), "nothing");
    assert!(core.is_idle());
    core.call(2, Call::Ready).unwrap();
    assert_eq!(next(&mut core), "#1 READY(0) boot=1@5");
    // Lost on the way: all of it comes again.
    core.disconnected();
    core.snapshot(object(1, "Scheduled"));
    assert_eq!(next(&mut core), "#1 READY(0) boot=1@5");
    ack(&mut core, 1, Code::Ok);
    assert!(core.pending.is_empty());
}

#[test]
fn once_ready_the_boot_id_is_committed_before_the_keys_are_handed_out() {
    for state in ["Ready", "Allocated", "Reserved", "RequestReady"] {
        let mut core = connected(state);
        core.begin_life(1, BOOT);
        asked(&mut core);
        assert_eq!(core.connect_keys(keys(BOOT, 5)), None, "{state}");
        assert_eq!(next(&mut core), "#1 boot=1@5");
        let outcome = ack(&mut core, 1, Code::Ok);
        assert!(matches!(outcome.answers[..], [(1, Ok(()))]));
        assert_eq!(versions(&core.take_keys(&BOOT)), [5]);
        // They are handed out once.
        assert!(core.take_keys(&BOOT).is_empty());
    }
}

#[test]
fn a_ready_that_is_on_its_way_does_not_take_the_boot_id_along() {
    let mut core = connected("Scheduled");
    core.call(1, Call::Ready).unwrap();
    assert_eq!(next(&mut core), "#1 READY(0)");
    core.begin_life(2, BOOT);
    asked(&mut core);
    assert_eq!(core.connect_keys(keys(BOOT, 5)), None);
    ack(&mut core, 1, Code::Ok);
    assert_eq!(next(&mut core), "#2 boot=1@5");
}

#[test]
fn a_boot_id_that_waits_for_ready_goes_alone_when_the_server_is_ready_without_us() {
    let mut core = connected("Scheduled");
    core.begin_life(1, BOOT);
    asked(&mut core);
    core.connect_keys(keys(BOOT, 5));
    core.take_keys(&BOOT);
    core.snapshot(object(2, "Ready"));
    assert_eq!(next(&mut core), "#1 boot=1@5");
}

#[test]
fn the_hub_is_asked_again_after_a_reconnect_and_only_when_it_is_there() {
    let mut core = Core::default();
    core.begin_life(1, BOOT);
    assert_eq!(asked(&mut core), None);
    core.snapshot(object(1, "Scheduled"));
    assert_eq!(asked(&mut core), Some(1));
    core.disconnected();
    assert_eq!(asked(&mut core), None);
    core.snapshot(object(1, "Scheduled"));
    assert_eq!(asked(&mut core), Some(1));
    core.connect_keys(keys(BOOT, 5));
    core.disconnected();
    core.snapshot(object(1, "Scheduled"));
    assert_eq!(asked(&mut core), None);
}

#[test]
fn a_later_life_replaces_the_one_that_waits() {
    let mut core = connected("Ready");
    core.begin_life(1, BOOT);
    asked(&mut core);
    core.connect_keys(keys(BOOT, 5));
    assert_eq!(core.begin_life(2, LATER), Some(1));
    core.forget(1);
    assert_eq!(asked(&mut core), Some(2));
    // The answer for the former one, and one that came twice.
    assert_eq!(core.connect_keys(keys(BOOT, 5)), None);
    assert_eq!(next(&mut core), "nothing");
    assert_eq!(core.connect_keys(keys(LATER, 6)), None);
    assert_eq!(core.connect_keys(keys(LATER, 7)), None);
    assert_eq!(next(&mut core), "#1 boot=2@6");
    ack(&mut core, 1, Code::Ok);
    assert_eq!(versions(&core.take_keys(&LATER)), [6]);
}

#[test]
fn a_life_whose_caller_went_away_never_begins() {
    let mut core = connected("Ready");
    core.begin_life(1, BOOT);
    asked(&mut core);
    core.connect_keys(keys(BOOT, 5));
    core.forget(1);
    assert_eq!(next(&mut core), "nothing");
    assert!(core.take_keys(&BOOT).is_empty());
}

#[test]
fn a_boot_id_that_the_hub_refuses_is_an_error_and_a_failed_commit_is_tried_again() {
    let mut core = connected("Ready");
    core.begin_life(1, BOOT);
    asked(&mut core);
    core.connect_keys(keys(BOOT, 5));
    next(&mut core);
    assert!(ack(&mut core, 1, Code::Unavailable).pause);
    core.resume();
    assert_eq!(next(&mut core), "#2 boot=1@5");
    let outcome = ack(&mut core, 2, Code::FailedPrecondition);
    assert!(matches!(&outcome.answers[..], [(1, Err(_))]));
}

#[test]
fn without_keys_nothing_begins() {
    let mut core = connected("Ready");
    core.begin_life(1, BOOT);
    asked(&mut core);
    let none = ConnectKeys {
        boot_id: BOOT.to_vec(),
        keys: Vec::new(),
    };
    assert_eq!(core.connect_keys(none), None);
    assert_eq!(next(&mut core), "nothing");
}
