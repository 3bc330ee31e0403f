use proto::agones::dev::sdk::game_server;

use super::*;

mod connect_keys;
mod matches;

fn object(version: u64, state: &str) -> Snapshot {
    let meta = game_server::ObjectMeta {
        uid: "u".into(),
        resource_version: version.to_string(),
        ..Default::default()
    };
    let status = game_server::Status {
        state: state.into(),
        ..Default::default()
    };
    let game_server = GameServer {
        object_meta: Some(meta),
        spec: None,
        status: Some(status),
    };
    Snapshot {
        game_server: Some(game_server),
        ..Snapshot::default()
    }
}

fn reserved(version: u64, until: i64) -> Snapshot {
    Snapshot {
        reserved_until: until,
        ..object(version, "Reserved")
    }
}

fn allocated(version: u64, at: &str) -> Snapshot {
    let mut snapshot = object(version, "Allocated");
    let meta = snapshot
        .game_server
        .as_mut()
        .unwrap()
        .object_meta
        .as_mut()
        .unwrap();
    meta.annotations
        .insert("muster.dev/last-allocated".into(), at.into());
    snapshot
}

fn connected(state: &str) -> Core {
    let mut core = Core::default();
    core.snapshot(object(1, state));
    core
}

fn label(key: &str, value: &str) -> Call {
    Call::SetLabel {
        key: key.into(),
        value: value.into(),
    }
}

fn annotation(key: &str, value: &str) -> Call {
    Call::SetAnnotation {
        key: key.into(),
        value: value.into(),
    }
}

fn ack(core: &mut Core, id: u64, outcome: Code) -> Acknowledged {
    core.ack(&Ack {
        id,
        code: outcome.into(),
        message: "why".into(),
    })
}

/// A change in short: id, state and reservation, boot id, players, result, labels, annotations.
fn short(change: &Change) -> String {
    let state = change.state.as_ref().map_or_else(String::new, |state| {
        format!(
            " {}({})",
            state.state().as_str_name(),
            state.reserve_seconds
        )
    });
    let boot_id = change.boot_id.as_ref().map(|boot_id| {
        let version = change.key_version;
        format!(" boot={}@{version}", boot_id[0])
    });
    let players = change.player_count.map(|count| format!(" players={count}"));
    let result = change.match_result.as_ref().map(|end| {
        let result = &end.result;
        format!(" match {}: {result}", end.match_id[0])
    });
    let ours: String = [boot_id, players, result].into_iter().flatten().collect();
    let texts = |texts: &BTreeMap<String, String>| {
        texts.iter().fold(String::new(), |all, (key, value)| {
            format!("{all} {key}={value}")
        })
    };
    format!(
        "#{}{state}{ours}{}{}",
        change.id,
        texts(&change.labels),
        texts(&change.annotations)
    )
}

fn next(core: &mut Core) -> String {
    core.next_change()
        .map_or_else(|| "nothing".to_owned(), |change| short(&change))
}

#[test]
fn a_call_is_sent_at_once_and_answered_by_its_acknowledgment() {
    let mut core = connected("Scheduled");
    assert_eq!(core.call(7, Call::Ready).unwrap(), Called::Waiting);
    assert_eq!(next(&mut core), "#1 READY(0)");
    assert_eq!(next(&mut core), "nothing");
    assert!(!core.is_idle());
    let outcome = ack(&mut core, 1, Code::Ok);
    assert!(matches!(outcome.answers[..], [(7, Ok(()))]));
    assert!(core.is_idle());
}

#[test]
fn what_is_asked_for_while_a_change_is_on_its_way_is_merged_into_the_next() {
    let mut core = connected("Scheduled");
    core.call(1, label("map", "a")).unwrap();
    assert_eq!(next(&mut core), "#1 map=a");
    core.call(2, label("map", "b")).unwrap();
    core.call(3, Call::Ready).unwrap();
    core.call(4, label("map", "c")).unwrap();
    core.call(5, annotation("note", "x")).unwrap();
    core.call(6, Call::Reserve { seconds: 9 }).unwrap();
    assert_eq!(next(&mut core), "nothing");
    ack(&mut core, 1, Code::Ok);
    assert_eq!(next(&mut core), "#2 RESERVED(9) map=c note=x");
    let mut answered: Vec<Ticket> = ack(&mut core, 2, Code::Ok)
        .answers
        .into_iter()
        .map(|(ticket, _)| ticket)
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, [2, 3, 4, 5, 6]);
}

#[test]
fn nothing_is_sent_before_the_first_snapshot() {
    let mut core = Core::default();
    core.call(1, Call::Ready).unwrap();
    assert_eq!(next(&mut core), "nothing");
    core.snapshot(object(1, "Scheduled"));
    assert_eq!(next(&mut core), "#1 READY(0)");
}

#[test]
fn what_was_not_acknowledged_is_sent_again_after_a_reconnect() {
    let mut core = connected("Scheduled");
    core.call(1, Call::Ready).unwrap();
    assert_eq!(next(&mut core), "#1 READY(0)");
    core.disconnected();
    core.forget(1);
    core.call(2, label("map", "a")).unwrap();
    core.call(3, Call::Allocate).unwrap();
    core.call(4, Call::Reserve { seconds: 0 }).unwrap();
    assert_eq!(next(&mut core), "nothing");
    core.snapshot(object(2, "Scheduled"));
    assert_eq!(next(&mut core), "#1 READY(0)");
    assert!(ack(&mut core, 1, Code::Ok).answers.is_empty());
    assert_eq!(next(&mut core), "#2 RESERVED(0) map=a");
}

#[test]
fn an_acknowledgment_of_another_change_is_ignored() {
    let mut core = connected("Scheduled");
    core.call(1, Call::Ready).unwrap();
    next(&mut core);
    assert!(ack(&mut core, 9, Code::Ok).answers.is_empty());
    assert!(!core.is_idle());
}

#[test]
fn a_change_that_cannot_be_committed_now_is_kept_and_tried_again() {
    for code in [
        Code::Unavailable,
        Code::Aborted,
        Code::Internal,
        Code::DeadlineExceeded,
    ] {
        let mut core = connected("Scheduled");
        core.call(1, Call::Ready).unwrap();
        core.call(2, label("map", "a")).unwrap();
        next(&mut core);
        core.call(3, label("map", "b")).unwrap();
        let outcome = ack(&mut core, 1, code);
        assert!(outcome.pause && outcome.answers.is_empty());
        assert_eq!(next(&mut core), "nothing");
        core.resume();
        assert_eq!(next(&mut core), "#2 READY(0) map=b");
        assert_eq!(ack(&mut core, 2, Code::Ok).answers.len(), 3);
    }
}

#[test]
fn a_refused_change_is_split_so_that_one_bad_part_spoils_nothing_else() {
    let mut core = connected("Scheduled");
    core.call(1, annotation("bad", "x")).unwrap();
    core.call(2, Call::Ready).unwrap();
    core.call(3, label("good", "y")).unwrap();
    assert_eq!(next(&mut core), "#1 READY(0) good=y bad=x");
    assert!(ack(&mut core, 1, Code::InvalidArgument).answers.is_empty());
    assert_eq!(next(&mut core), "#2 good=y");
    assert!(matches!(
        ack(&mut core, 2, Code::Ok).answers[..],
        [(3, Ok(()))]
    ));
    assert_eq!(next(&mut core), "#3 bad=x");
    let outcome = ack(&mut core, 3, Code::InvalidArgument);
    let [(1, Err(error))] = &outcome.answers[..] else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (error.code(), error.message()),
        (Code::InvalidArgument, "why")
    );
    assert_eq!(next(&mut core), "#4 READY(0)");
    assert!(matches!(
        ack(&mut core, 4, Code::Ok).answers[..],
        [(2, Ok(()))]
    ));
}

#[test]
fn a_part_that_is_refused_after_its_caller_left_is_reported() {
    let mut core = connected("Scheduled");
    core.call(1, label("bad", "x")).unwrap();
    core.forget(1);
    next(&mut core);
    assert_eq!(
        ack(&mut core, 1, Code::InvalidArgument).lost,
        ["label muster.dev/sdk-bad: why"]
    );
}

#[test]
fn after_unhealthy_is_sent_later_states_are_dropped_and_labels_are_not() {
    let mut core = connected("Ready");
    assert_eq!(core.unhealthy(), Called::Waiting);
    assert_eq!(core.unhealthy(), Called::Dropped);
    assert_eq!(core.call(1, Call::Ready).unwrap(), Called::Dropped);
    assert_eq!(core.call(2, Call::Shutdown).unwrap(), Called::Dropped);
    assert_eq!(core.call(3, label("map", "a")).unwrap(), Called::Waiting);
    assert_eq!(next(&mut core), "#1 UNHEALTHY(0) map=a");
}

#[test]
fn the_live_guard_follows_the_object() {
    let mut deleted = object(2, "Ready");
    deleted
        .game_server
        .as_mut()
        .unwrap()
        .object_meta
        .as_mut()
        .unwrap()
        .deletion_timestamp = 5;
    for snapshot in [object(2, "Unhealthy"), object(2, "Shutdown"), deleted] {
        let mut core = connected("Ready");
        core.snapshot(snapshot);
        for call in [
            Call::Ready,
            Call::Allocate,
            Call::Shutdown,
            Call::Reserve { seconds: 1 },
        ] {
            assert_eq!(core.call(1, call).unwrap(), Called::Dropped);
        }
        assert_eq!(core.unhealthy(), Called::Dropped);
        assert_eq!(next(&mut core), "nothing");
    }
}

#[test]
fn a_shutdown_that_waits_is_not_overtaken() {
    let mut core = Core::default();
    core.call(1, Call::Shutdown).unwrap();
    assert_eq!(core.unhealthy(), Called::Dropped);
    core.snapshot(object(1, "Ready"));
    assert_eq!(next(&mut core), "#1 SHUTDOWN(0)");
}

#[test]
fn a_refused_end_reopens_the_guard() {
    let mut core = connected("Ready");
    core.call(1, Call::Shutdown).unwrap();
    next(&mut core);
    ack(&mut core, 1, Code::PermissionDenied);
    assert_eq!(core.call(2, Call::Ready).unwrap(), Called::Waiting);
}

#[test]
fn a_waiting_ready_yields_to_an_allocation_that_we_did_not_know_of() {
    // Committed, but the acknowledgment was lost, and the allocator was quick.
    let mut core = connected("Scheduled");
    core.call(1, Call::Ready).unwrap();
    core.call(2, label("map", "a")).unwrap();
    next(&mut core);
    core.disconnected();
    assert_eq!(core.snapshot(object(2, "Allocated")), [1]);
    assert_eq!(next(&mut core), "#2 map=a");

    // Allocated again between the end of one match and the lost acknowledgment.
    let mut core = Core::default();
    core.snapshot(allocated(1, "noon"));
    core.call(1, Call::Ready).unwrap();
    next(&mut core);
    core.disconnected();
    assert_eq!(core.snapshot(allocated(2, "one")), [1]);
    assert!(core.is_idle());
}

#[test]
fn a_ready_is_kept_when_the_allocation_is_known_or_our_own() {
    let mut core = Core::default();
    core.snapshot(allocated(1, "noon"));
    core.disconnected();
    core.call(1, Call::Ready).unwrap();
    core.snapshot(allocated(2, "noon"));
    assert_eq!(next(&mut core), "#1 READY(0)");

    let mut core = connected("Ready");
    core.call(1, Call::Allocate).unwrap();
    next(&mut core);
    core.disconnected();
    core.call(2, Call::Ready).unwrap();
    core.snapshot(allocated(2, "noon"));
    assert_eq!(next(&mut core), "#1 ALLOCATED(0)");
    ack(&mut core, 1, Code::Ok);
    assert_eq!(next(&mut core), "#2 READY(0)");
}

#[test]
fn an_older_version_of_the_object_is_ignored() {
    let mut core = connected("Scheduled");
    core.snapshot(object(10, "Ready"));
    core.disconnected();
    core.snapshot(object(9, "Scheduled"));
    assert_eq!(object_state(core.snapshot.as_ref().unwrap()), "Ready");
    core.call(1, Call::Allocate).unwrap();
    assert_eq!(next(&mut core), "#1 ALLOCATED(0)");
}

#[test]
fn a_reservation_runs_until_its_time_or_another_state() {
    let mut core = connected("Ready");
    assert_eq!(core.reservation(), None);
    core.snapshot(reserved(2, 100));
    assert_eq!(core.reservation(), Some(100));
    core.reservation_over();
    assert_eq!(next(&mut core), "#1 READY(0)");
    assert_eq!(core.reservation(), None);
    core.reservation_over();
    ack(&mut core, 1, Code::Ok);
    assert!(core.is_idle());

    for call in [
        Call::Ready,
        Call::Allocate,
        Call::Shutdown,
        Call::Reserve { seconds: 0 },
    ] {
        let mut core = connected("Ready");
        core.snapshot(reserved(2, 100));
        core.call(1, call).unwrap();
        assert_eq!(core.reservation(), None);
        core.snapshot(reserved(3, 100));
        assert_eq!(core.reservation(), None);
    }
}

#[test]
fn a_renewed_reservation_runs_anew() {
    let mut core = connected("Ready");
    core.snapshot(reserved(2, 100));
    core.call(1, Call::Reserve { seconds: 10 }).unwrap();
    next(&mut core);
    core.snapshot(reserved(3, 100));
    ack(&mut core, 1, Code::Ok);
    assert_eq!(core.reservation(), Some(100));
}

#[test]
fn an_allocation_by_others_ends_a_reservation() {
    let mut core = connected("Ready");
    core.snapshot(reserved(2, 100));
    core.snapshot(Snapshot {
        reserved_until: 100,
        ..object(3, "Allocated")
    });
    assert_eq!(core.reservation(), None);
}

#[test]
fn the_keys_that_wait_are_bounded_and_known_keys_still_change() {
    let mut core = Core::default();
    for key in 0..128 {
        core.call(key, label(&format!("k{key}"), "v")).unwrap();
    }
    let error = core.call(500, label("one-more", "v")).unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert!(
        error.message().contains("muster.dev/sdk-one-more"),
        "{error}"
    );
    core.call(501, label("k7", "w")).unwrap();
    core.call(502, Call::Ready).unwrap();
}

#[test]
fn annotations_are_bounded_together() {
    let mut core = connected("Ready");
    core.call(1, annotation("a", &"v".repeat(200 * 1024)))
        .unwrap();
    next(&mut core);
    let error = core
        .call(2, annotation("b", &"v".repeat(100 * 1024)))
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("muster.dev/sdk-b"), "{error}");
}
