//! Sessions by tables and properties.

use std::fmt::Write as _;

use expect_test::expect;
use proptest::prelude::*;

use super::*;

const MATCH: [u8; 16] = [9; 16];

fn peer(serial: u32) -> Peer {
    Peer {
        place: u16::try_from(serial).unwrap(),
        serial,
    }
}

/// The secret of every reconnection token here.
const SECRET: u64 = 77;

fn token(player: u8, epoch: u32) -> Presented {
    Presented {
        client_id: SECRET,
        user_data: UserData {
            match_id: MATCH,
            session_id: [player; 16],
            player_id: [player ^ 0xff; 16],
            epoch,
            ..UserData::default()
        },
    }
}

fn changed(token: Presented, change: impl FnOnce(&mut UserData)) -> Presented {
    let mut token = token;
    change(&mut token.user_data);
    token
}

const fn id(player: u8) -> SessionId {
    SessionId([player; 16])
}

const fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn sessions() -> Sessions {
    Sessions::new(Policy::default(), MATCH, 4, 1)
}

/// Applies time as the server does: expired sessions end.
fn pass(sessions: &mut Sessions, now: Duration) -> Vec<Change> {
    let mut changes = Vec::new();
    while let Some(change) = sessions.elapse(now) {
        changes.push(change);
        if let Change::Expired(id) = change {
            sessions.end(id);
        }
    }
    changes
}

fn join(sessions: &mut Sessions, player: u8) -> Result<Admission, Refusal> {
    let answer = sessions.admit(
        at(0),
        peer(u32::from(player)),
        &token(player, 0),
        Door::Open,
    );
    sessions.remember(at(0), id(player), SecretHash::of(SECRET));
    answer
}

#[test]
fn a_player_goes_from_connected_to_gone() {
    let mut sessions = sessions();
    join(&mut sessions, 1).unwrap();
    let mut table = String::new();
    for milliseconds in [499, 500, 1_999, 2_000, 29_999, 30_000] {
        let changes = pass(&mut sessions, at(milliseconds));
        let state = sessions.get(id(1)).map(|session| session.state);
        writeln!(
            table,
            "{milliseconds}: {} changes, {state:?}",
            changes.len()
        )
        .unwrap();
    }
    expect![[r#"
        499: 0 changes, Some(Connected)
        500: 1 changes, Some(Silent)
        1999: 0 changes, Some(Silent)
        2000: 1 changes, Some(Lost)
        29999: 0 changes, Some(Lost)
        30000: 1 changes, None
    "#]]
    .assert_eq(&table);
    assert!(sessions.is_empty());
}

#[test]
fn who_comes_back_in_time_goes_on_and_who_does_not_is_refused() {
    for (milliseconds, expected) in [
        (100, Ok(())),
        (10_000, Ok(())),
        (29_900, Ok(())),
        (30_000, Err(Refusal::Expired)),
        (31_000, Err(Refusal::Expired)),
    ] {
        // Whether time was applied in between must not matter.
        for is_applied in [false, true] {
            let mut sessions = sessions();
            join(&mut sessions, 1).unwrap();
            if is_applied {
                pass(&mut sessions, at(milliseconds));
            }
            let answer = sessions.admit(at(milliseconds), peer(20), &token(1, 1), Door::Closed);
            assert_eq!(answer.map(drop), expected, "after {milliseconds} ms");
            if let Ok(admission) = answer {
                let resumed = Admission::Resumed {
                    session: id(1),
                    replaced: Some(peer(1)),
                    silence: at(milliseconds),
                };
                assert_eq!(admission, resumed);
                assert_eq!(sessions.of(peer(20)).unwrap().id, id(1));
                assert_eq!(sessions.of(peer(1)), None);
                assert_eq!(sessions.get(id(1)).unwrap().epoch, 1);
            }
        }
    }
}

#[test]
fn the_time_runs_from_a_goodbye_but_not_from_a_time_out() {
    for (end, gone) in [(End::Goodbye, 34_000), (End::Silence, 30_000)] {
        let mut sessions = sessions();
        join(&mut sessions, 1).unwrap();
        assert_eq!(
            sessions.disconnected(at(4_000), peer(1), end),
            Some(Change::Lost(id(1)))
        );
        assert_eq!(pass(&mut sessions, at(gone - 1)), []);
        assert_eq!(pass(&mut sessions, at(gone)), [Change::Expired(id(1))]);
    }
}

#[test]
fn a_token_leads_where_it_should_or_nowhere() {
    let other_match = changed(token(1, 3), |data| data.match_id = [1; 16]);
    let stranger = changed(token(1, 3), |data| data.player_id = [3; 16]);
    let void = Presented {
        client_id: SECRET + 1,
        ..token(1, 3)
    };
    let cases = [
        ("the next epoch", token(1, 3), Ok(())),
        (
            "an epoch beyond it, as one token got lost",
            token(1, 9),
            Ok(()),
        ),
        ("the same epoch again", token(1, 2), Err(Refusal::OldEpoch)),
        ("an older epoch", token(1, 1), Err(Refusal::OldEpoch)),
        (
            "the platform's, as all tokens got lost",
            token(1, 0),
            Ok(()),
        ),
        ("another match", other_match, Err(Refusal::WrongMatch)),
        (
            "a token that the player was not given",
            void,
            Err(Refusal::Void),
        ),
        ("another player", stranger, Err(Refusal::Stranger)),
        (
            "a session that there is not",
            token(7, 3),
            Err(Refusal::Expired),
        ),
        ("a new player", token(7, 0), Err(Refusal::Closed)),
    ];
    for (name, token, expected) in cases {
        let mut sessions = sessions();
        join(&mut sessions, 1).unwrap();
        sessions
            .admit(at(1), peer(20), &self::token(1, 2), Door::Open)
            .unwrap();
        sessions.remember(at(1), id(1), SecretHash::of(SECRET));
        let before = sessions.clone();
        let answer = sessions.admit(at(2), peer(21), &token, Door::Closed);
        assert_eq!(answer.map(drop), expected, "{name}");
        if expected.is_err() {
            assert_eq!(sessions.get(id(1)), before.get(id(1)), "{name}");
            assert_eq!(sessions.of(peer(20)).unwrap().id, id(1), "{name}");
        }
    }
}

#[test]
fn seats_are_given_again_only_when_a_session_ends() {
    let mut sessions = sessions();
    let watcher = |player| changed(token(player, 0), |data| data.flags = SPECTATOR);
    for player in 1..=4 {
        join(&mut sessions, player).unwrap();
    }
    assert_eq!(join(&mut sessions, 5), Err(Refusal::Full));
    sessions
        .admit(at(0), peer(6), &watcher(6), Door::Open)
        .unwrap();
    let second = sessions.admit(at(0), peer(7), &watcher(7), Door::Open);
    assert_eq!(second, Err(Refusal::Full));
    sessions.disconnected(at(1), peer(2), End::Goodbye);
    assert_eq!(join(&mut sessions, 5), Err(Refusal::Full));
    sessions.end(id(2)).unwrap();
    join(&mut sessions, 5).unwrap();
    let seats: Vec<_> = sessions
        .iter()
        .map(|session| (session.id.0[0], session.seat))
        .collect();
    assert_eq!(seats, [(1, 0), (3, 2), (4, 3), (5, 1), (6, 4)]);
    assert_eq!(sessions.slot(4), None);
}

#[test]
fn tokens_are_due_every_twenty_seconds_while_connected() {
    let mut sessions = sessions();
    join(&mut sessions, 1).unwrap();
    assert_eq!(sessions.next_token(at(19_999)), None);
    assert_eq!(sessions.next_token(at(20_000)), Some(id(1)));
    // It was not minted.
    assert_eq!(sessions.next_token(at(20_999)), None);
    assert_eq!(sessions.next_token(at(21_000)), Some(id(1)));
    sessions.remember(at(21_000), id(1), SecretHash::of(SECRET));
    assert_eq!(sessions.next_token(at(40_999)), None);
    sessions
        .admit(at(22_000), peer(20), &token(1, 1), Door::Open)
        .unwrap();
    assert_eq!(sessions.next_token(at(22_000)), Some(id(1)));
    sessions.disconnected(at(23_000), peer(20), End::Silence);
    assert_eq!(sessions.next_token(at(50_000)), None);
}

#[test]
fn a_secret_belongs_to_its_own_session() {
    let mut sessions = sessions();
    join(&mut sessions, 1).unwrap();
    join(&mut sessions, 2).unwrap();
    for (player, secret) in [(1, 1), (1, 2), (2, 3)] {
        sessions.remember(at(0), id(player), SecretHash::of(secret));
    }
    let is_secret = |player, secret| sessions.get(id(player)).unwrap().is_secret(secret);
    // The newest may have been lost on the way, so the one before it counts too.
    assert!(is_secret(1, 1) && is_secret(1, 2));
    assert!(!is_secret(1, SECRET) && !is_secret(1, 3));
    assert!(is_secret(2, 3) && !is_secret(2, 2));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Packet(u8),
    Drop(u8, bool),
    Present(u8, u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u64..4_000).prop_map(Step::Wait),
        (0_u8..6).prop_map(Step::Packet),
        (0_u8..6, any::<bool>()).prop_map(|(player, goodbye)| Step::Drop(player, goodbye)),
        (0_u8..6, 0_u32..6).prop_map(|(player, epoch)| Step::Present(player, epoch)),
    ]
}

proptest! {
    /// A model of the promise: who is dropped at any moment has exactly the window to come back,
    /// an epoch leads in once, and nobody holds two seats or another's connection.
    #[test]
    fn the_promise_holds_at_every_moment(steps in prop::collection::vec(step(), 1..120)) {
        let mut sessions = sessions();
        let window = Policy::default().window;
        let mut now = Duration::ZERO;
        let mut serial = 0;
        for step in steps {
            match step {
                Step::Wait(milliseconds) => {
                    now += Duration::from_millis(milliseconds);
                    for change in pass(&mut sessions, now) {
                        if let Change::Expired(id) = change {
                            prop_assert_eq!(sessions.get(id), None);
                        }
                    }
                }
                Step::Packet(player) => {
                    let peer = sessions.get(id(player)).and_then(|session| session.peer);
                    if let Some(peer) = peer {
                        sessions.heard(now, peer);
                        prop_assert_eq!(sessions.get(id(player)).unwrap().state, State::Connected);
                    }
                }
                Step::Drop(player, goodbye) => {
                    let peer = sessions.get(id(player)).and_then(|session| session.peer);
                    if let Some(peer) = peer {
                        let end = if goodbye { End::Goodbye } else { End::Silence };
                        sessions.disconnected(now, peer, end);
                        prop_assert_eq!(sessions.of(peer), None);
                    }
                }
                Step::Present(player, epoch) => {
                    serial += 1;
                    let before = sessions.get(id(player)).cloned();
                    let answer = sessions.admit(now, peer(serial), &token(player, epoch), Door::Open);
                    sessions.remember(now, id(player), SecretHash::of(SECRET));
                    match before {
                        Some(before) if now >= before.last_heard + window => {
                            prop_assert_eq!(answer, Err(Refusal::Expired));
                        }
                        Some(before) if epoch > 0 && epoch <= before.epoch => {
                            prop_assert_eq!(answer, Err(Refusal::OldEpoch));
                        }
                        Some(before) => {
                            prop_assert!(answer.is_ok());
                            prop_assert!(sessions.get(id(player)).unwrap().epoch > before.epoch);
                            prop_assert_eq!(sessions.get(id(player)).unwrap().seat, before.seat);
                        }
                        None if epoch > 0 => prop_assert_eq!(answer, Err(Refusal::Expired)),
                        None => {
                            prop_assert!(matches!(answer, Ok(Admission::Joined(_)) | Err(Refusal::Full)));
                        }
                    }
                }
            }
            let mut seats: Vec<_> = sessions.iter().map(|session| session.seat).collect();
            seats.sort_unstable();
            let count = seats.len();
            seats.dedup();
            prop_assert_eq!(seats.len(), count);
            for session in sessions.iter() {
                if let Some(peer) = session.peer {
                    prop_assert_eq!(sessions.of(peer).map(|session| session.id), Some(session.id));
                }
            }
        }
    }
}

#[test]
fn ids_of_accounts_come_back_from_their_text() {
    let text = "0190a5b2-7c1e-7d3a-9f00-1234567890ab";
    let id = PlayerId::from_uuid(text).unwrap();
    assert_eq!(id.to_uuid(), text);
    assert_eq!(PlayerId::from_uuid(&text.to_uppercase()), Some(id));
    for other in [
        "",
        "7",
        "0190a5b27c1e7d3a9f001234567890ab",
        "+190a5b2-7c1e-7d3a-9f00-1234567890ab",
    ] {
        assert_eq!(PlayerId::from_uuid(other), None, "{other}");
    }
}
