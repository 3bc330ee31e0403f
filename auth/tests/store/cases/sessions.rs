//! Sessions and their refresh tokens, from the first to the last.

use auth::ids::SessionId;
use auth::live::Revocation;
use auth::store::{MOST_SESSIONS, NewPlayer, Opened, Rotate, Rotated, Session, Status, Which};
use futures::future::join_all;
use jiff::SignedDuration;

use super::{
    Shared, at, device, hash, line, new_session, newcomer, one_time, passkey, player, revocations,
    rotate, session, totp,
};

pub(super) async fn a_session_is_as_it_was_opened(store: Shared) {
    let id = player(&*store).await;
    let opened = session(&*store, id, 0).await;
    let (known, owner) = store.session(id, opened.id).await.unwrap().unwrap();
    assert_eq!(known, opened);
    assert_eq!(Some(owner), store.player(id).await.unwrap());
    assert_eq!(store.audit_of(id, None, 9).await.unwrap().len(), 2);

    let plain = Session {
        device: None,
        key: None,
        audiences: Vec::new(),
        methods: Vec::new(),
        ..new_session(id, 1)
    };
    let opening = store.open_session(&plain, 0, None, &line(id, 1)).await;
    assert_eq!(opening.unwrap(), Some(Opened::default()));
    let (known, _) = store.session(id, plain.id).await.unwrap().unwrap();
    assert_eq!(known, plain);
    // Newest first.
    assert_eq!(
        store.sessions(id, at(2)).await.unwrap(),
        [plain.clone(), opened.clone()]
    );
    let other = player(&*store).await;
    assert_eq!(store.session(other, opened.id).await.unwrap(), None);
    assert_eq!(store.sessions(other, at(2)).await.unwrap(), []);
    // The first has expired by then, to the microsecond.
    assert_eq!(store.sessions(id, opened.expires).await.unwrap(), [plain]);
    assert!(store.session(id, opened.id).await.unwrap().is_some());
}

pub(super) async fn an_account_has_so_many_sessions(store: Shared) {
    let id = player(&*store).await;
    let bystander = session(&*store, player(&*store).await, 0).await;
    let first = session(&*store, id, 0).await;
    let most = i64::from(MOST_SESSIONS);
    for seconds in 1..most {
        session(&*store, id, seconds).await;
    }
    assert_eq!(revocations(&*store, 0).await, []);
    let open = async |seconds| {
        let new = new_session(id, seconds);
        let opened = store.open_session(&new, 0, None, &line(id, seconds)).await;
        (new, opened.unwrap().unwrap().ended)
    };
    let (last, ended) = open(most).await;
    assert_eq!(sessions_of(&ended), [first.id]);
    assert_eq!(revocations(&*store, 0).await, ended);
    let (known, _) = store.session(id, first.id).await.unwrap().unwrap();
    assert_eq!(known.revoked, Some(at(most)));
    let live = store.sessions(id, at(most)).await.unwrap();
    assert_eq!((live.len(), &live[0]), (100, &last));
    // What has ended makes room.
    let which = Which::One(last.id);
    store
        .end_sessions(id, which, at(most), &line(id, most))
        .await
        .unwrap();
    assert_eq!(open(most + 1).await.1, []);
    let left = store.sessions(bystander.player, at(most)).await.unwrap();
    assert_eq!(left, [bystander]);
}

fn sessions_of(revocations: &[Revocation]) -> Vec<SessionId> {
    let mut sessions: Vec<_> = revocations.iter().filter_map(|one| one.session).collect();
    sessions.sort_unstable();
    sessions
}

fn sorted(mut sessions: Vec<SessionId>) -> Vec<SessionId> {
    sessions.sort_unstable();
    sessions
}

pub(super) async fn sessions_end_as_asked(store: Shared) {
    let id = player(&*store).await;
    let bystander = session(&*store, player(&*store).await, 0).await;
    let mut opened = Vec::new();
    for seconds in 0..4 {
        opened.push(session(&*store, id, seconds).await);
    }
    let one = Which::One(opened[0].id);
    let ended = store
        .end_sessions(id, one, at(10), &line(id, 10))
        .await
        .unwrap();
    assert_eq!(sessions_of(&ended), [opened[0].id]);
    assert_eq!((ended[0].player, ended[0].at), (id, at(10)));
    assert_eq!(
        store
            .end_sessions(id, one, at(11), &line(id, 11))
            .await
            .unwrap(),
        []
    );
    let (known, _) = store.session(id, opened[0].id).await.unwrap().unwrap();
    assert_eq!(known.revoked, Some(at(10)));

    let but = Which::AllBut(opened[3].id);
    let more = store
        .end_sessions(id, but, at(12), &line(id, 12))
        .await
        .unwrap();
    assert_eq!(sessions_of(&more), sorted(vec![opened[1].id, opened[2].id]));
    assert_eq!(
        store.sessions(id, at(13)).await.unwrap(),
        [opened[3].clone()]
    );
    let last = store
        .end_sessions(id, Which::All, at(13), &line(id, 13))
        .await
        .unwrap();
    assert_eq!(sessions_of(&last), [opened[3].id]);
    assert_eq!(store.sessions(id, at(13)).await.unwrap(), []);

    let written = revocations(&*store, 10).await;
    assert_eq!(written.len(), 4);
    assert!(
        ended
            .iter()
            .chain(&more)
            .chain(&last)
            .all(|one| written.contains(one))
    );
    let left = store.sessions(bystander.player, at(13)).await.unwrap();
    assert_eq!(left, [bystander]);

    // What has expired ended by itself.
    let expired = session(&*store, id, 0).await;
    let ended = store
        .end_sessions(id, Which::All, expired.expires, &line(id, 1_000))
        .await;
    assert_eq!(ended.unwrap(), []);
}

pub(super) async fn a_family_ends_with_its_session(store: Shared) {
    let id = player(&*store).await;
    let (first, second) = (session(&*store, id, 0).await, session(&*store, id, 1).await);
    let which = Which::Family(first.family);
    let ended = store
        .end_sessions(id, which, at(2), &line(id, 2))
        .await
        .unwrap();
    assert_eq!(sessions_of(&ended), [first.id]);
    assert_eq!(
        store
            .end_sessions(id, which, at(3), &line(id, 3))
            .await
            .unwrap(),
        []
    );
    let live = store.sessions(id, at(4)).await.unwrap();
    assert_eq!(live, std::slice::from_ref(&second));
    // Another player's family is none of the player's.
    let other = player(&*store).await;
    let which = Which::Family(second.family);
    assert_eq!(
        store
            .end_sessions(other, which, at(5), &line(other, 5))
            .await
            .unwrap(),
        []
    );
}

pub(super) async fn a_live_session_plays_somewhere(store: Shared) {
    let id = player(&*store).await;
    let opened = session(&*store, id, 0).await;
    let server = |server| {
        let store = store.clone();
        let (session, player) = (opened.id, id);
        async move { store.assign_server(player, session, server, at(1)).await }
    };
    assert!(server(Some("203.0.113.7:7012")).await.unwrap());
    let (known, _) = store.session(id, opened.id).await.unwrap().unwrap();
    assert_eq!(known.game_server.as_deref(), Some("203.0.113.7:7012"));
    assert_eq!(store.sessions(id, at(1)).await.unwrap(), [known]);
    assert!(server(None).await.unwrap());
    let (known, _) = store.session(id, opened.id).await.unwrap().unwrap();
    assert_eq!(known, opened);
    // Neither somebody else's session, nor one that has ended or expired.
    let other = player(&*store).await;
    let late = store.assign_server(id, opened.id, Some("a"), opened.expires);
    assert!(!late.await.unwrap());
    let stranger = store.assign_server(other, opened.id, Some("a"), at(1));
    assert!(!stranger.await.unwrap());
    store
        .end_sessions(id, Which::All, at(2), &line(id, 2))
        .await
        .unwrap();
    assert!(!server(Some("a")).await.unwrap());
}

pub(super) async fn a_token_that_nobody_uses_lapses(store: Shared) {
    let id = player(&*store).await;
    let opened = Session {
        lapses: at(100),
        ..new_session(id, 0)
    };
    let opening = store.open_session(&opened, 0, None, &line(id, 0)).await;
    assert!(opening.unwrap().is_some());
    let hour = |generation, seconds| Rotate {
        idle: std::time::Duration::from_secs(100),
        ..rotate(&opened, generation, 1, seconds)
    };
    // Each use begins the time anew; to the microsecond.
    for (generation, seconds) in [(0, 99), (1, 198), (2, 297)] {
        let rotated = store.rotate(&hour(generation, seconds)).await.unwrap();
        let Rotated::Next { session, .. } = rotated else {
            panic!("{rotated:?}");
        };
        assert_eq!(session.lapses, at(seconds + 100));
    }
    assert_eq!(store.rotate(&hour(3, 397)).await.unwrap(), Rotated::Refused);
    // It is live for nobody: neither listed, nor assigned, nor ended.
    let just_before = at(397) - SignedDuration::from_micros(1);
    let (known, _) = store.session(id, opened.id).await.unwrap().unwrap();
    assert!(known.is_live(just_before) && !known.is_live(at(397)));
    assert_eq!(store.sessions(id, just_before).await.unwrap(), [known]);
    assert_eq!(store.sessions(id, at(397)).await.unwrap(), []);
    let assigned = store.assign_server(id, opened.id, Some("a"), at(397)).await;
    assert!(!assigned.unwrap());
    for which in [
        Which::All,
        Which::One(opened.id),
        Which::Family(opened.family),
    ] {
        let ended = store
            .end_sessions(id, which, at(397), &line(id, 397))
            .await
            .unwrap();
        assert_eq!(ended, []);
    }
    let just = Rotate {
        now: just_before,
        ..hour(3, 0)
    };
    let rotated = store.rotate(&just).await.unwrap();
    assert!(matches!(rotated, Rotated::Next { .. }), "{rotated:?}");
    // Never beyond the end of the session.
    let last = Rotate {
        idle: std::time::Duration::MAX,
        ..hour(4, 400)
    };
    let rotated = store.rotate(&last).await.unwrap();
    let Rotated::Next { session, .. } = rotated else {
        panic!("{rotated:?}");
    };
    assert_eq!(session.lapses, opened.expires);
}

pub(super) async fn an_end_of_everything_covers_clocks_that_are_ahead(store: Shared) {
    for is_removed in [false, true] {
        let id = player(&*store).await;
        let refreshed = session(&*store, id, 20).await;
        session(&*store, id, 30).await;
        let rotated = store.rotate(&rotate(&refreshed, 0, 1, 40)).await.unwrap();
        assert!(matches!(rotated, Rotated::Next { .. }), "{rotated:?}");
        let ended = if is_removed {
            store.delete_player(id, at(5), &line(id, 5)).await.unwrap()
        } else {
            store
                .set_status(id, Status::Disabled, at(5), &line(id, 5))
                .await
                .unwrap()
        };
        assert_eq!((ended.len(), ended[0].at), (1, at(40)), "{is_removed}");
        assert!(revocations(&*store, 5).await.contains(&ended[0]));
    }
    // A session that has begun and was never refreshed counts, too.
    let id = player(&*store).await;
    session(&*store, id, 30).await;
    let ended = store
        .set_status(id, Status::Disabled, at(5), &line(id, 5))
        .await
        .unwrap();
    assert_eq!(ended[0].at, at(30));
}

pub(super) async fn a_disabled_account_has_no_session(store: Shared) {
    let id = player(&*store).await;
    let opened = session(&*store, id, 0).await;
    let ended = store
        .set_status(id, Status::Disabled, at(5), &line(id, 5))
        .await
        .unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (ended[0].player, ended[0].session, ended[0].at),
        (id, None, at(5))
    );
    assert_eq!(revocations(&*store, 0).await, ended);
    assert_eq!(
        store.player(id).await.unwrap().unwrap().status,
        Status::Disabled
    );
    assert_eq!(store.sessions(id, at(6)).await.unwrap(), []);
    let refused = store.rotate(&rotate(&opened, 0, 1, 6)).await.unwrap();
    assert_eq!(refused, Rotated::Refused);
    // Its owner was just signing in.
    let late = new_session(id, 6);
    let opening = store.open_session(&late, 0, None, &line(id, 6)).await;
    assert_eq!(opening.unwrap(), None);
    assert_eq!(store.session(id, late.id).await.unwrap(), None);

    // What ended stays so.
    assert_eq!(
        store
            .set_status(id, Status::Active, at(7), &line(id, 7))
            .await
            .unwrap(),
        []
    );
    let refused = store.rotate(&rotate(&opened, 0, 1, 8)).await.unwrap();
    assert_eq!(refused, Rotated::Refused);
    let opening = store.open_session(&late, 0, None, &line(id, 9)).await;
    assert!(opening.unwrap().is_some());

    // Signing in, refreshing and disabling at once: nothing is live in the end.
    for round in 0..8 {
        let id = player(&*store).await;
        let opened = session(&*store, id, 0).await;
        let new = new_session(id, 1);
        let (entry, disabling) = (line(id, round), line(id, 3));
        let token = rotate(&opened, 0, 1, 2);
        let (ended, opening, rotated) = futures::join!(
            store.set_status(id, Status::Disabled, at(3), &disabling),
            store.open_session(&new, 0, None, &entry),
            store.rotate(&token),
        );
        assert_eq!(ended.unwrap().len(), 1);
        opening.unwrap();
        rotated.unwrap();
        assert_eq!(store.sessions(id, at(3)).await.unwrap(), []);
    }
}

pub(super) async fn a_removed_account_leaves_its_log_alone(store: Shared) {
    let new = newcomer();
    assert!(store.create_player(&new).await.unwrap());
    let id = new.id;
    let totp = totp();
    let code = hash();
    store
        .set_totp(id, Some(&totp), &[code], None)
        .await
        .unwrap();
    assert!(
        store
            .add_passkey(id, &passkey(1), &line(id, 0))
            .await
            .unwrap()
    );
    let secret = one_time(id, 100);
    store.put_one_time(&secret).await.unwrap();
    let opened = new_session(id, 0);
    let on_a_device = device(None);
    let entry = line(id, 0);
    let opening = store.open_session(&opened, 0, Some(&on_a_device), &entry);
    assert!(opening.await.unwrap().is_some());
    let bystander = player(&*store).await;

    let ended = store.delete_player(id, at(5), &line(id, 5)).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (ended[0].player, ended[0].session, ended[0].at),
        (id, None, at(5))
    );
    assert_eq!(revocations(&*store, 0).await, ended);
    assert_eq!(store.player(id).await.unwrap(), None);
    assert_eq!(store.player_by(&new.identity.hash).await.unwrap(), None);
    assert_eq!(store.identities(id).await.unwrap(), []);
    assert_eq!(store.session(id, opened.id).await.unwrap(), None);
    assert_eq!(store.passkeys(id).await.unwrap(), []);
    assert_eq!(store.device(id, &device(None).hash).await.unwrap(), None);
    assert!(!store.spend_recovery(id, &code, at(6)).await.unwrap());
    let known = store.knows_one_time(id, secret.purpose, &secret.hash, at(6));
    assert!(!known.await.unwrap());
    let refused = store.rotate(&rotate(&opened, 0, 1, 6)).await.unwrap();
    assert_eq!(refused, Rotated::Refused);
    assert_eq!(store.audit_of(id, None, 9).await.unwrap().len(), 4);
    assert!(store.player(bystander).await.unwrap().is_some());
    assert_eq!(
        store.delete_player(id, at(7), &line(id, 7)).await.unwrap(),
        []
    );
    // Its identity is free.
    let next = NewPlayer {
        identity: new.identity,
        ..newcomer()
    };
    assert!(store.create_player(&next).await.unwrap());
}

pub(super) async fn a_token_is_good_once(store: Shared) {
    let id = player(&*store).await;
    let opened = session(&*store, id, 0).await;
    for spent in 0..3_u32 {
        let seconds = 20 + i64::from(spent) * 100;
        let rotated = store.rotate(&rotate(&opened, spent, 1, seconds)).await;
        let Rotated::Next {
            generation,
            session,
            player,
        } = rotated.unwrap()
        else {
            panic!("{spent} is good");
        };
        assert_eq!(generation, spent + 1);
        let used = Session {
            used: at(seconds),
            ..opened.clone()
        };
        assert_eq!(*session, used);
        assert_eq!(Some(*player), store.player(id).await.unwrap());
        let (known, _) = store.session(id, opened.id).await.unwrap().unwrap();
        assert_eq!(known, used);
    }
    // One that was never made.
    let refused = store.rotate(&rotate(&opened, 9, 1, 300)).await.unwrap();
    assert_eq!(refused, Rotated::Refused);
    assert_eq!(store.sessions(id, at(300)).await.unwrap().len(), 1);
}

pub(super) async fn a_retry_gets_the_same_answer(store: Shared) {
    let id = player(&*store).await;
    let opened = session(&*store, id, 0).await;
    let first = store.rotate(&rotate(&opened, 0, 1, 20)).await.unwrap();
    let Rotated::Next {
        generation,
        session: known,
        player: owner,
    } = first
    else {
        panic!("{first:?}");
    };
    for seconds in [20, 25, 30] {
        let again = store.rotate(&rotate(&opened, 0, 1, seconds)).await.unwrap();
        let expected = Rotated::Again {
            generation,
            session: known.clone(),
            player: owner.clone(),
        };
        assert_eq!(again, expected);
    }
    let next = store.rotate(&rotate(&opened, 1, 1, 31)).await.unwrap();
    assert!(matches!(next, Rotated::Next { generation: 2, .. }));

    // Too late.
    let late = session(&*store, id, 0).await;
    store.rotate(&rotate(&late, 0, 1, 20)).await.unwrap();
    let reused = store.rotate(&rotate(&late, 0, 1, 31)).await.unwrap();
    assert!(matches!(reused, Rotated::Reused(_)), "{reused:?}");
    // Its successor was used already: this one is not who used it.
    let reused = store.rotate(&rotate(&opened, 0, 1, 31)).await.unwrap();
    assert!(matches!(reused, Rotated::Reused(_)), "{reused:?}");
    // Nobody can be told from nobody.
    let blind = session(&*store, id, 0).await;
    let nobody = Rotate {
        client: None,
        ..rotate(&blind, 0, 1, 20)
    };
    store.rotate(&nobody).await.unwrap();
    let reused = store.rotate(&nobody).await.unwrap();
    assert!(matches!(reused, Rotated::Reused(_)), "{reused:?}");
}

pub(super) async fn a_thief_ends_the_session(store: Shared) {
    let id = player(&*store).await;
    let other = session(&*store, id, 0).await;
    let opened = session(&*store, id, 1).await;
    store.rotate(&rotate(&opened, 0, 1, 20)).await.unwrap();
    let reused = store.rotate(&rotate(&opened, 0, 2, 21)).await.unwrap();
    let Rotated::Reused(ended) = reused else {
        panic!("{reused:?}");
    };
    assert_eq!(sessions_of(&ended), [opened.id]);
    assert_eq!(revocations(&*store, 0).await, ended);
    for (generation, client) in [(0, 1), (0, 2), (1, 1), (1, 2)] {
        let after = store.rotate(&rotate(&opened, generation, client, 22)).await;
        assert_eq!(after.unwrap(), Rotated::Refused);
    }
    let (known, _) = store.session(id, opened.id).await.unwrap().unwrap();
    assert_eq!(known.revoked, Some(at(21)));
    assert_eq!(store.sessions(id, at(22)).await.unwrap(), [other]);
}

pub(super) async fn of_many_at_once_one_spends_the_token(store: Shared) {
    let id = player(&*store).await;
    // The same client, impatient: the same answer each time.
    let opened = session(&*store, id, 0).await;
    for generation in 0..4 {
        let rotate = rotate(&opened, generation, 1, 20);
        let rotated = join_all((0..16).map(|_| store.rotate(&rotate))).await;
        let mut firsts = 0;
        for one in rotated {
            match one.unwrap() {
                Rotated::Next {
                    generation: next, ..
                } => {
                    firsts += 1;
                    assert_eq!(next, generation + 1);
                }
                Rotated::Again {
                    generation: next, ..
                } => assert_eq!(next, generation + 1),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(firsts, 1);
    }
    // Strangers: one is first, one ends everything, the others come too late.
    let opened = session(&*store, id, 0).await;
    let tokens: Vec<Rotate> = (0..16)
        .map(|client| rotate(&opened, 0, client, 20))
        .collect();
    let rotated = join_all(tokens.iter().map(|token| store.rotate(token))).await;
    let mut counts = [0; 3];
    for one in rotated {
        match one.unwrap() {
            Rotated::Next { .. } => counts[0] += 1,
            Rotated::Reused(ended) => {
                counts[1] += 1;
                assert_eq!(sessions_of(&ended), [opened.id]);
            }
            Rotated::Refused => counts[2] += 1,
            again @ Rotated::Again { .. } => panic!("{again:?}"),
        }
    }
    assert_eq!(counts, [1, 1, 14]);
    let refused = store.rotate(&rotate(&opened, 1, 0, 20)).await.unwrap();
    assert_eq!(refused, Rotated::Refused);
    assert_eq!(revocations(&*store, 0).await.len(), 1);
}

pub(super) async fn tokens_end_with_their_session(store: Shared) {
    let id = player(&*store).await;
    let opened = session(&*store, id, 0).await;
    let stranger = Rotate {
        player: player(&*store).await,
        ..rotate(&opened, 0, 1, 20)
    };
    assert_eq!(store.rotate(&stranger).await.unwrap(), Rotated::Refused);
    let expired = Rotate {
        now: opened.expires,
        ..rotate(&opened, 0, 1, 0)
    };
    assert_eq!(store.rotate(&expired).await.unwrap(), Rotated::Refused);
    let last = Rotate {
        now: opened.expires - SignedDuration::from_micros(1),
        ..expired.clone()
    };
    let next = store.rotate(&last).await.unwrap();
    assert!(matches!(next, Rotated::Next { .. }));
    // Expired, and nobody's theft.
    assert_eq!(store.rotate(&expired).await.unwrap(), Rotated::Refused);
    assert_eq!(revocations(&*store, 0).await, []);

    let opened = session(&*store, id, 0).await;
    let which = Which::One(opened.id);
    store
        .end_sessions(id, which, at(5), &line(id, 5))
        .await
        .unwrap();
    let refused = store.rotate(&rotate(&opened, 0, 1, 6)).await.unwrap();
    assert_eq!(refused, Rotated::Refused);
}
