//! Revocations, signing keys and the audit log, and how they end.

use auth::ids::PlayerId;
use auth::store::{
    Audit, NewPlayer, OneTime, PinnedKey, Purged, Purpose, Rotated, Session, SigningKey, Which,
};
use futures::future::join_all;
use uuid::Uuid;

use super::{
    Shared, at, line, new_session, newcomer, one_time, player, revocations, rotate, session,
};

/// More rows than there are.
const EVERYTHING: u32 = 10_000;

pub(super) async fn revocations_are_listed_in_order(store: Shared) {
    let id = player(&*store).await;
    let mut expected = Vec::new();
    for seconds in [30, 10, 20] {
        let opened = session(&*store, id, 0).await;
        let which = Which::One(opened.id);
        expected.extend(
            store
                .end_sessions(id, which, at(seconds), &line(id, seconds))
                .await
                .unwrap(),
        );
    }
    expected.sort_by_key(|one| one.at);
    assert_eq!(revocations(&*store, 0).await, expected);
    assert_eq!(revocations(&*store, 20).await, expected[1..]);
    assert_eq!(revocations(&*store, 31).await, []);
}

pub(super) async fn revocations_of_one_moment_come_page_by_page(store: Shared) {
    let id = player(&*store).await;
    for _ in 0..7 {
        session(&*store, id, 0).await;
    }
    let mut expected = store
        .end_sessions(id, Which::All, at(1), &line(id, 1))
        .await
        .unwrap();
    expected.sort_by_key(|one| one.id);
    let later = session(&*store, id, 0).await;
    let later = Which::One(later.id);
    expected.extend(
        store
            .end_sessions(id, later, at(2), &line(id, 2))
            .await
            .unwrap(),
    );
    let mut told = Vec::new();
    let (mut since, mut after) = (at(1), Uuid::nil());
    for expected in [3, 3, 2, 0] {
        let page = store.revocations_since(since, after, 3).await.unwrap();
        assert_eq!(page.len(), expected);
        if let Some(last) = page.last() {
            (since, after) = (last.at, last.id);
        }
        told.extend(page);
    }
    assert_eq!(told, expected);
}

fn key(id: &str, activates: i64) -> SigningKey {
    SigningKey {
        id: id.to_owned(),
        public: vec![1; 32],
        private: b"sealed".to_vec(),
        published: at(activates - 5),
        activates: at(activates),
        revoked: None,
    }
}

pub(super) async fn a_key_is_added_to_the_keys_that_are_known(store: Shared) {
    assert_eq!(store.signing_keys().await.unwrap(), []);
    // Replicas that start at once make one key.
    let keys: Vec<SigningKey> = (0..8).map(|number| key(&format!("k{number}"), 0)).collect();
    let added = join_all(keys.iter().map(|key| store.add_signing_key(key, &[]))).await;
    let winners: Vec<&SigningKey> = keys
        .iter()
        .zip(added)
        .filter_map(|(key, added)| added.unwrap().then_some(key))
        .collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(store.signing_keys().await.unwrap(), [winners[0].clone()]);

    let known = [winners[0].id.clone()];
    // In the order of bytes, whatever the language of the database.
    let (upper, lower) = (key("Zz", 10), key("zZ", 10));
    assert!(!store.add_signing_key(&upper, &[]).await.unwrap());
    assert!(store.add_signing_key(&upper, &known).await.unwrap());
    let known = ["Zz".to_owned(), known[0].clone()];
    assert!(store.add_signing_key(&lower, &known).await.unwrap());
    let ids: Vec<_> = store.signing_keys().await.unwrap();
    let ids: Vec<&str> = ids.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["Zz", known[1].as_str(), "zZ"]);
}

pub(super) async fn keys_are_revoked_once(store: Shared) {
    assert!(store.add_signing_key(&key("a", 0), &[]).await.unwrap());
    assert!(store.revoke_signing_key("a", at(5)).await.unwrap());
    assert!(store.revoke_signing_key("a", at(9)).await.unwrap());
    let revoked = SigningKey {
        revoked: Some(at(5)),
        ..key("a", 0)
    };
    assert_eq!(store.signing_keys().await.unwrap(), [revoked]);
}

pub(super) async fn the_log_is_read_backwards(store: Shared) {
    // Not of an account that exists.
    let id = PlayerId(Uuid::nil());
    let lines: Vec<Audit> = (0..5).map(|seconds| line(id, seconds)).collect();
    store.audit(&lines[..3]).await.unwrap();
    // The answer was lost, so they come again.
    store.audit(&lines).await.unwrap();
    store.audit(&[]).await.unwrap();
    let mut newest: Vec<Audit> = lines;
    newest.reverse();
    assert_eq!(store.audit_of(id, None, 9).await.unwrap(), newest);
    assert_eq!(store.audit_of(id, None, 2).await.unwrap(), newest[..2]);
    let before = Some(newest[1].id);
    assert_eq!(store.audit_of(id, before, 2).await.unwrap(), newest[2..4]);
    let other = player(&*store).await;
    let others = store.audit_of(other, None, 9).await.unwrap();
    assert!(others.iter().all(|line| line.player == other), "{others:?}");
    assert_eq!(others.len(), 1);
}

pub(super) async fn what_is_over_is_purged(store: Shared) {
    let id = player(&*store).await;
    // Expires at 1,000; ended at 50; live for long.
    session(&*store, id, 0).await;
    let ended = session(&*store, id, 0).await;
    let which = Which::One(ended.id);
    store
        .end_sessions(id, which, at(50), &line(id, 50))
        .await
        .unwrap();
    let live = session(&*store, id, 500).await;
    store.put_one_time(&one_time(id, 60)).await.unwrap();
    let keys = [
        key("old", 0),
        key("revoked", 10),
        key("now", 20),
        key("next", 900),
    ];
    let mut known: Vec<String> = Vec::new();
    for key in &keys {
        assert!(store.add_signing_key(key, &known).await.unwrap());
        known.push(key.id.clone());
        known.sort_unstable();
    }
    store.revoke_signing_key("revoked", at(15)).await.unwrap();

    let nothing = store.purge(at(15), at(0), EVERYTHING).await.unwrap();
    assert_eq!(nothing, Purged::default());
    let purged = store.purge(at(100), at(1), EVERYTHING).await.unwrap();
    let expected = Purged {
        sessions: 1,
        one_time: 1,
        revocations: 1,
        audit: 3,
        signing_keys: 2,
    };
    assert_eq!(purged, expected);
    assert_eq!(store.session(id, ended.id).await.unwrap(), None);
    let left = store.signing_keys().await.unwrap();
    let left: Vec<&str> = left.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(left, ["next", "now"]);
    let purged = store.purge(at(1_001), at(1), EVERYTHING).await.unwrap();
    assert_eq!((purged.sessions, purged.signing_keys), (1, 1));
    assert_eq!(store.sessions(id, at(1_001)).await.unwrap(), [live]);
}

pub(super) async fn a_purge_is_bounded(store: Shared) {
    let id = player(&*store).await;
    for _ in 0..5 {
        session(&*store, id, 0).await;
    }
    store
        .end_sessions(id, Which::All, at(1), &line(id, 1))
        .await
        .unwrap();
    let mut total = Purged::default();
    for _ in 0..3 {
        let purged = store.purge(at(2), at(1), 2).await.unwrap();
        assert!(purged.sessions <= 2 && purged.revocations <= 2 && purged.audit <= 2);
        total.sessions += purged.sessions;
        total.revocations += purged.revocations;
        total.audit += purged.audit;
    }
    assert_eq!((total.sessions, total.revocations, total.audit), (5, 5, 6));
}

pub(super) async fn accounts_are_abandoned_when_nobody_came_back(store: Shared) {
    const DAY: i64 = 24 * 3600;
    let guest = || NewPlayer {
        password: None,
        guest: true,
        ..newcomer()
    };
    let make = async |new: NewPlayer| {
        assert!(store.create_player(&new).await.unwrap());
        new.id
    };
    let abandoned = async |seconds| {
        let mut found = store.abandoned(at(seconds), EVERYTHING).await.unwrap();
        found.sort_unstable();
        found
    };
    let (unverified, idle) = (make(newcomer()).await, make(guest()).await);
    let verified = make(newcomer()).await;
    let secret = OneTime {
        purpose: Purpose::VerifyEmail,
        ..one_time(verified, 10)
    };
    store.put_one_time(&secret).await.unwrap();
    let entry = line(verified, 1);
    let proved = store.verify_email(verified, &secret.hash, at(1), &entry);
    assert!(proved.await.unwrap());
    // By a provider: nobody promised to verify an address.
    let provided = NewPlayer {
        password: None,
        ..newcomer()
    };
    make(provided).await;
    // One signed in again after a day, one went on to refresh, one did neither.
    let (again, refreshed, gone) = (
        make(guest()).await,
        make(guest()).await,
        make(guest()).await,
    );
    session(&*store, again, DAY + 1).await;
    let long = Session {
        expires: at(DAY * 5),
        lapses: at(DAY * 5),
        ..new_session(refreshed, 1)
    };
    let opening = line(refreshed, 1);
    let opened = store.open_session(&long, 0, None, &opening).await.unwrap();
    assert!(opened.is_some());
    let used = store.rotate(&rotate(&long, 0, 1, DAY + 1)).await.unwrap();
    assert!(matches!(used, Rotated::Next { .. }), "{used:?}");
    session(&*store, gone, 1).await;
    let mut expected = vec![unverified, idle];
    expected.sort_unstable();
    assert_eq!(abandoned(0).await, []);
    assert_eq!(abandoned(1).await, expected);
    assert_eq!(store.abandoned(at(1), 1).await.unwrap().len(), 1);
    // When sessions are cleared away, it is still known who came back.
    store.purge(at(DAY * 9), at(0), EVERYTHING).await.unwrap();
    expected.push(gone);
    expected.sort_unstable();
    assert_eq!(abandoned(1).await, expected);
    for id in [verified, again, refreshed] {
        assert!(
            !store
                .delete_abandoned(id, at(1), &line(id, 2))
                .await
                .unwrap()
        );
        assert!(store.player(id).await.unwrap().is_some());
    }
    let line = line(gone, 2);
    assert!(!store.delete_abandoned(gone, at(0), &line).await.unwrap());
    assert!(store.delete_abandoned(gone, at(1), &line).await.unwrap());
    assert!(!store.delete_abandoned(gone, at(1), &line).await.unwrap());
    assert_eq!(store.player(gone).await.unwrap(), None);
    assert_eq!(store.audit_of(gone, None, 1).await.unwrap(), [line]);
}

pub(super) async fn keys_are_pinned_by_whoever_comes_first(store: Shared) {
    let key = |name: &str, byte: u8| PinnedKey {
        name: name.to_owned(),
        fingerprint: [byte; 32],
    };
    assert_eq!(store.pin_keys(&[]).await.unwrap(), []);
    let first = [key("index.v1", 1), key("master.v1", 2)];
    assert_eq!(store.pin_keys(&first).await.unwrap(), first);
    let second = [key("index.v1", 9), key("master.v2", 3)];
    let expected = [key("index.v1", 1), key("master.v1", 2), key("master.v2", 3)];
    assert_eq!(store.pin_keys(&second).await.unwrap(), expected);
}

pub(super) async fn it_answers(store: Shared) {
    store.ping().await.unwrap();
}
