//! Lines of the audit log that are committed with what they tell.

use auth::ids::IdentityKind;
use auth::store::{
    Audit, Identity, Linked, NewAddress, NewPlayer, OneTime, Place, Purpose, Removed, Rotated,
    Status, Totp, Which,
};

use super::{
    Shared, at, device, identity, line, new_session, newcomer, one_time, passkey, player, rotate,
    session, totp,
};

/// One line for each call that changed something, and none for the others.
pub(super) async fn a_change_is_committed_with_its_line(store: Shared) {
    let id = player(&*store).await;
    let opened = session(&*store, id, 0).await;
    let mut expected = store.audit_of(id, None, 99).await.unwrap();
    let mut changes = async |changed: &[Audit]| {
        expected.extend_from_slice(changed);
        expected.sort_by_key(|line| std::cmp::Reverse(line.id));
        assert_eq!(store.audit_of(id, None, 99).await.unwrap(), expected);
    };
    let lines: Vec<Audit> = (1..20).map(|seconds| line(id, seconds)).collect();
    let way = Identity {
        kind: IdentityKind::Steam,
        ..identity()
    };
    let add = async |line: &Audit| store.add_identity(id, &way, at(1), line).await.unwrap();
    assert!(add(&lines[0]).await);
    assert!(!add(&lines[1]).await);
    changes(&lines[..1]).await;
    let set = store.set_data(id, Some(&[]), None, &lines[1]).await;
    assert!(set.unwrap().is_some());
    changes(&lines[1..2]).await;
    let totp = Totp {
        confirmed: false,
        last_step: 9,
        ..totp()
    };
    store
        .set_totp(id, Some(&totp), &[], Some(&lines[2]))
        .await
        .unwrap();
    changes(&lines[2..3]).await;
    assert!(!store.spend_totp(id, 9, Some(&lines[3])).await.unwrap());
    changes(&[]).await;
    assert!(store.spend_totp(id, 10, Some(&lines[3])).await.unwrap());
    changes(&lines[3..4]).await;
    let add = async |line: &Audit| store.add_passkey(id, &passkey(1), line).await.unwrap();
    assert!(add(&lines[4]).await);
    assert!(!add(&lines[5]).await);
    changes(&lines[4..5]).await;
    assert!(!store.remove_passkey(id, &[2], &lines[5]).await.unwrap());
    changes(&[]).await;
    assert!(store.remove_passkey(id, &[1], &lines[5]).await.unwrap());
    changes(&lines[5..6]).await;
    let moved = |place, line| {
        let (store, opened) = (store.clone(), opened.clone());
        async move { store.moved(&opened, place, line).await.unwrap() }
    };
    let (home, away) = (Place::Address("192.0.2.8"), Place::Address("192.0.2.9"));
    assert!(moved(home, &lines[6]).await);
    assert!(!moved(home, &lines[7]).await);
    assert!(moved(away, &lines[7]).await);
    let device = device(None).hash;
    assert!(moved(Place::Device(&device), &lines[8]).await);
    assert!(!moved(Place::Device(&device), &lines[9]).await);
    changes(&lines[6..9]).await;
    let one = Which::One(opened.id);
    assert_eq!(
        store
            .end_sessions(id, one, at(9), &lines[9])
            .await
            .unwrap()
            .len(),
        1
    );
    changes(&lines[9..10]).await;
    assert_eq!(
        store
            .end_sessions(id, one, at(9), &lines[10])
            .await
            .unwrap(),
        []
    );
    changes(&[]).await;
    // The factor was confirmed since the account was made.
    let stolen = new_session(id, 16);
    let opened = store.open_session(&stolen, 1, None, &lines[15]).await;
    assert!(opened.unwrap().is_some());
    changes(&lines[15..16]).await;
    let mut reuse = rotate(&stolen, 0, 1, 20);
    store.rotate(&reuse).await.unwrap();
    changes(&[]).await;
    reuse.client = None;
    let reused = store.rotate(&reuse).await.unwrap();
    assert!(matches!(reused, Rotated::Reused(_)), "{reused:?}");
    changes(std::slice::from_ref(&reuse.reuse)).await;
    store
        .set_status(id, Status::Disabled, at(30), &lines[11])
        .await
        .unwrap();
    changes(&lines[11..12]).await;
    let remove = async |line: &Audit| store.remove_identity(id, &way.hash, line).await.unwrap();
    assert_eq!(remove(&lines[12]).await, Removed::Done);
    assert_eq!(remove(&lines[13]).await, Removed::Missing);
    changes(&lines[12..13]).await;
    store.delete_player(id, at(31), &lines[13]).await.unwrap();
    changes(&lines[13..14]).await;
    store.delete_player(id, at(32), &lines[14]).await.unwrap();
    changes(&[]).await;
}

/// An address is proved, and added, with its line.
pub(super) async fn a_proved_address_has_its_line(store: Shared) {
    let new = NewPlayer {
        identity: Identity {
            kind: IdentityKind::Device,
            ..identity()
        },
        email: None,
        password: None,
        guest: true,
        ..newcomer()
    };
    assert!(store.create_player(&new).await.unwrap());
    let id = new.id;
    let purposed = |purpose| OneTime {
        purpose,
        ..one_time(id, 10)
    };
    let (of_verifying, of_linking) = (purposed(Purpose::VerifyEmail), purposed(Purpose::LinkEmail));
    store.put_one_time(&of_verifying).await.unwrap();
    store.put_one_time(&of_linking).await.unwrap();
    let lines: Vec<Audit> = (1..5).map(|seconds| line(id, seconds)).collect();
    let verify = async |line: &Audit| {
        let spent = store.verify_email(id, &of_verifying.hash, at(1), line);
        spent.await.unwrap()
    };
    assert!(verify(&lines[0]).await);
    assert!(!verify(&lines[1]).await);
    let address = NewAddress {
        identity: identity(),
        email: b"sealed address".to_vec(),
        password: "hash".to_owned(),
        secret: of_linking.hash,
        at: at(2),
    };
    let link = async |line: &Audit| store.link_address(id, &address, line).await.unwrap();
    assert_eq!(link(&lines[2]).await, Linked::Done);
    assert_eq!(link(&lines[3]).await, Linked::Void);
    let written = store.audit_of(id, None, 9).await.unwrap();
    let expected = [&lines[2], &lines[0], &new.lines.made];
    assert_eq!(written.iter().collect::<Vec<_>>(), expected);
}
