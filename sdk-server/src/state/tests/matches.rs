//! Players, and the end of a match.

use proto::Uuid;

use super::*;

/// The player's id, from a short name.
fn named(player: &str) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..player.len()].copy_from_slice(player.as_bytes());
    Uuid(bytes)
}

fn joined(player_id: &str) -> Call {
    Call::PlayerJoined {
        player_id: named(player_id),
    }
}

fn left(player_id: &str) -> Call {
    Call::PlayerLeft {
        player_id: named(player_id),
    }
}

fn end(id: u8, result: &str, next: Next) -> Call {
    Call::EndMatch {
        match_id: vec![id; 16],
        result: result.into(),
        next,
    }
}

/// The server as it is allocated for a match.
fn in_match(version: u64, id: u8) -> Snapshot {
    let match_id = format!("{id:02x}").repeat(16);
    Snapshot {
        r#match: format!(r#"{{"matchId":"{match_id}","requestId":"r"}}"#),
        ..allocated(version, &format!("match {id}"))
    }
}

/// The server after a match, free again.
fn after_match(version: u64, id: u8) -> Snapshot {
    let match_id = format!("{id:02x}").repeat(16);
    let mut snapshot = object(version, "Ready");
    let object = snapshot.game_server.as_mut().unwrap();
    let result = format!(r#"{{"matchId":"{match_id}","result":"1"}}"#);
    let meta = object.object_meta.as_mut().unwrap();
    meta.annotations
        .insert("muster.dev/match-result".into(), result);
    snapshot
}

fn playing(id: u8) -> Core {
    let mut core = Core::default();
    core.snapshot(in_match(1, id));
    core
}

#[test]
fn the_first_player_is_told_at_once_and_the_others_with_the_next_change() {
    let mut core = playing(1);
    assert_eq!(core.call(1, joined("ada")).unwrap(), Called::Waiting);
    assert_eq!(next(&mut core), "#1 players=1");
    assert_eq!(core.call(2, joined("bob")).unwrap(), Called::Dropped);
    assert_eq!(core.call(3, joined("bob")).unwrap(), Called::Dropped);
    let outcome = ack(&mut core, 1, Code::Ok);
    assert!(matches!(outcome.answers[..], [(1, Ok(()))]));
    assert_eq!(next(&mut core), "nothing");
    assert!(core.is_idle());
    core.call(4, label("map", "a")).unwrap();
    assert_eq!(next(&mut core), "#2 players=2 map=a");
    ack(&mut core, 2, Code::Ok);

    core.call(5, joined("cyd")).unwrap();
    core.call(6, left("ada")).unwrap();
    core.call(7, left("bob")).unwrap();
    assert_eq!(next(&mut core), "nothing");
    core.hurry();
    assert_eq!(next(&mut core), "#3 players=1");
}

#[test]
fn a_claim_that_waits_stays_urgent_when_more_players_join() {
    let mut core = Core::default();
    core.call(1, joined("ada")).unwrap();
    core.call(2, joined("bob")).unwrap();
    core.snapshot(in_match(1, 1));
    assert_eq!(next(&mut core), "#1 players=2");
    core.call(3, joined("cyd")).unwrap();
    // The claim was not committed: it must not wait for company now.
    ack(&mut core, 1, Code::Unavailable);
    core.resume();
    assert_eq!(next(&mut core), "#2 players=3");
    assert!(matches!(
        ack(&mut core, 2, Code::Ok).answers[..],
        [(1, Ok(()))]
    ));
}

#[test]
fn result_and_next_state_are_one_change() {
    for (end_with, state) in [(Next::Ready, "READY(0)"), (Next::Shutdown, "SHUTDOWN(0)")] {
        let mut core = playing(1);
        core.call(1, joined("ada")).unwrap();
        next(&mut core);
        ack(&mut core, 1, Code::Ok);
        assert_eq!(
            core.call(2, end(1, "{}", end_with)).unwrap(),
            Called::Waiting
        );
        assert_eq!(
            next(&mut core),
            format!("#2 {state} players=0 match 1: {{}}")
        );
        let outcome = ack(&mut core, 2, Code::Ok);
        assert!(matches!(outcome.answers[..], [(2, Ok(()))]));
    }
}

#[test]
fn a_match_ends_once() {
    let mut core = playing(1);
    core.call(1, end(1, "1", Next::Ready)).unwrap();
    // Before it is sent, on its way, and committed while the object shows the match still.
    assert_eq!(
        core.call(2, end(1, "2", Next::Shutdown)).unwrap(),
        Called::Waiting
    );
    assert_eq!(next(&mut core), "#1 READY(0) match 1: 1");
    assert_eq!(
        core.call(3, end(1, "3", Next::Shutdown)).unwrap(),
        Called::Waiting
    );
    let tickets: Vec<_> = ack(&mut core, 1, Code::Ok)
        .answers
        .into_iter()
        .map(|(ticket, _)| ticket)
        .collect();
    assert_eq!(tickets, [1, 2, 3]);
    assert_eq!(
        core.call(4, end(1, "4", Next::Shutdown)).unwrap(),
        Called::Dropped
    );
    core.snapshot(after_match(2, 1));
    // Said again when the server has its next match.
    core.snapshot(in_match(3, 2));
    assert_eq!(
        core.call(5, end(1, "5", Next::Shutdown)).unwrap(),
        Called::Dropped
    );
    assert_eq!(next(&mut core), "nothing");
    core.call(6, end(2, "6", Next::Ready)).unwrap();
    assert_eq!(next(&mut core), "#2 READY(0) match 2: 6");
}

#[test]
fn a_restarted_sdk_server_knows_from_the_object_that_the_match_is_over() {
    let mut core = Core::default();
    core.snapshot(after_match(1, 1));
    assert_eq!(
        core.call(1, end(1, "1", Next::Shutdown)).unwrap(),
        Called::Dropped
    );
    // Not known yet: kept for the hub, which writes a result once.
    let mut core = Core::default();
    assert_eq!(
        core.call(1, end(1, "1", Next::Ready)).unwrap(),
        Called::Waiting
    );
}

#[test]
fn a_match_that_is_not_this_servers_is_refused() {
    for snapshot in [in_match(1, 2), object(1, "Ready"), object(1, "Allocated")] {
        let mut core = Core::default();
        core.snapshot(snapshot);
        let error = core.call(1, end(1, "1", Next::Ready)).unwrap_err();
        assert_eq!(error.code(), Code::FailedPrecondition);
        assert_eq!(next(&mut core), "nothing");
    }
}

#[test]
fn the_end_of_another_match_does_not_close_the_live_guard() {
    // A restarted SDK server hears of the end of match 1 while its server has match 2 already.
    let mut core = Core::default();
    core.call(1, end(1, "1", Next::Shutdown)).unwrap();
    core.snapshot(in_match(1, 2));
    assert_eq!(next(&mut core), "#1 SHUTDOWN(0) match 1: 1");
    // The hub has dropped it.
    ack(&mut core, 1, Code::Ok);
    core.call(2, end(2, "2", Next::Ready)).unwrap();
    assert_eq!(next(&mut core), "#2 READY(0) match 2: 2");
}

#[test]
fn the_end_of_its_match_that_ends_the_server_closes_the_live_guard() {
    let mut core = playing(1);
    core.call(1, end(1, "1", Next::Shutdown)).unwrap();
    next(&mut core);
    core.snapshot(object(2, "Shutdown"));
    ack(&mut core, 1, Code::Ok);
    assert_eq!(core.call(2, Call::Ready).unwrap(), Called::Dropped);
}

#[test]
fn a_result_is_kept_when_the_server_has_ended_already() {
    let mut core = playing(1);
    core.unhealthy();
    next(&mut core);
    ack(&mut core, 1, Code::Ok);
    core.call(1, end(1, "1", Next::Ready)).unwrap();
    assert_eq!(next(&mut core), "#2 match 1: 1");
}

#[test]
fn a_refused_result_may_be_sent_again() {
    let mut core = playing(1);
    core.call(1, end(1, "bad", Next::Ready)).unwrap();
    next(&mut core);
    ack(&mut core, 1, Code::InvalidArgument);
    assert_eq!(next(&mut core), "#2 match 1: bad");
    let outcome = ack(&mut core, 2, Code::InvalidArgument);
    assert!(matches!(&outcome.answers[..], [(1, Err(_))]));
    assert_eq!(
        core.call(2, end(1, "good", Next::Ready)).unwrap(),
        Called::Waiting
    );
    assert_eq!(next(&mut core), "#3 READY(0) match 1: good");
}

#[test]
fn ready_begins_a_new_count() {
    let mut core = playing(1);
    core.call(1, joined("ada")).unwrap();
    next(&mut core);
    ack(&mut core, 1, Code::Ok);
    core.call(2, Call::Ready).unwrap();
    assert_eq!(next(&mut core), "#2 READY(0) players=0");
    ack(&mut core, 2, Code::Ok);
    core.snapshot(in_match(3, 2));
    assert_eq!(core.call(3, joined("bob")).unwrap(), Called::Waiting);
    assert_eq!(next(&mut core), "#3 players=1");
}

#[test]
fn the_current_match_follows_the_object() {
    let mut core = playing(1);
    let found = core.current_match().r#match.unwrap();
    assert_eq!(found.match_id, [1; 16]);
    core.snapshot(after_match(2, 1));
    assert_eq!(core.current_match().r#match, None);
}
