//! Accounts: the ways into them, their passwords, and what is said of them.

use auth::ids::{IdentityKind, PlayerId, SessionId};
use auth::live::Revocation;
use auth::store::{
    Device, Identity, Linked, NewAddress, NewPassword, NewPlayer, OneTime, Purpose, Removed, Right,
    Rotated, SealedColumn, SealedValue, Status, Totp, Which,
};
use futures::future::join_all;
use serde_json::json;
use uuid::Uuid;

use super::factors::sign_in;
use super::{
    NOBODY, Shared, at, device, hash, identity, line, new_session, newcomer, one_time, passkey,
    player, revocations, rotate, session, totp,
};

pub(super) async fn an_account_is_as_it_was_made(store: Shared) {
    let new = newcomer();
    assert!(store.create_player(&new).await.unwrap());
    let player = store.player(new.id).await.unwrap().unwrap();
    assert_eq!(player.id, new.id);
    assert_eq!(player.status, Status::Active);
    assert_eq!(player.email, new.email);
    assert!(!player.email_verified);
    assert_eq!(player.password, new.password);
    assert_eq!(player.totp, None);
    assert!(!player.guest);
    assert!(player.roles.is_empty());
    assert_eq!(player.data, json!({}));
    assert_eq!(player.created, at(0));

    let guest = NewPlayer {
        email: None,
        email_verified: true,
        password: None,
        guest: true,
        ..newcomer()
    };
    assert!(store.create_player(&guest).await.unwrap());
    let player = store.player(guest.id).await.unwrap().unwrap();
    assert!(player.guest && player.email_verified);
    assert_eq!((player.email, player.password), (None, None));
}

pub(super) async fn an_identity_is_taken_once(store: Shared) {
    let identity = identity();
    let news: Vec<NewPlayer> = (0..32)
        .map(|_| NewPlayer {
            identity: identity.clone(),
            ..newcomer()
        })
        .collect();
    let made = join_all(news.iter().map(|new| store.create_player(new))).await;
    let mut winners = Vec::new();
    for (new, made) in news.iter().zip(made) {
        if made.unwrap() {
            winners.push(new.id);
            let line = std::slice::from_ref(&new.lines.made);
            assert_eq!(store.audit_of(new.id, None, 9).await.unwrap(), line);
        } else {
            assert_eq!(store.player(new.id).await.unwrap(), None);
            assert_eq!(store.identities(new.id).await.unwrap(), []);
            assert_eq!(store.audit_of(new.id, None, 9).await.unwrap(), []);
        }
    }
    assert_eq!(winners.len(), 1);
    // Every one that was too late is written down, and none that was not.
    let late = store.audit_of(NOBODY, None, 99).await.unwrap();
    assert_eq!(late.len(), 31);
    let found = store.player_by(&identity.hash).await.unwrap();
    assert_eq!(found, Some(winners[0]));
}

pub(super) async fn identities_come_and_go(store: Shared) {
    let (first, second) = (newcomer(), newcomer());
    assert!(store.create_player(&first).await.unwrap());
    assert!(store.create_player(&second).await.unwrap());
    let steam = Identity {
        kind: IdentityKind::Steam,
        ..identity()
    };
    // Both at once: one gets it.
    let lines = [line(first.id, 1), line(second.id, 1)];
    let (one, other) = futures::join!(
        store.add_identity(first.id, &steam, at(1), &lines[0]),
        store.add_identity(second.id, &steam, at(1), &lines[1]),
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(one != other);
    let (owner, loser) = if one {
        (&first, &second)
    } else {
        (&second, &first)
    };
    assert_eq!(store.player_by(&steam.hash).await.unwrap(), Some(owner.id));
    let expected = [owner.identity.clone(), steam.clone()];
    assert_eq!(store.identities(owner.id).await.unwrap(), expected);
    let expected = [loser.identity.clone()];
    assert_eq!(store.identities(loser.id).await.unwrap(), expected);
    assert!(
        !store
            .add_identity(owner.id, &steam, at(2), &line(owner.id, 2))
            .await
            .unwrap()
    );

    let remove = async |player, hash| {
        store
            .remove_identity(player, hash, &line(player, 0))
            .await
            .unwrap()
    };
    assert_eq!(remove(loser.id, &steam.hash).await, Removed::Missing);
    assert_eq!(store.player_by(&steam.hash).await.unwrap(), Some(owner.id));
    assert_eq!(remove(owner.id, &steam.hash).await, Removed::Done);
    assert_eq!(remove(owner.id, &steam.hash).await, Removed::Missing);
    assert_eq!(store.player_by(&steam.hash).await.unwrap(), None);
    assert!(
        store
            .add_identity(loser.id, &steam, at(3), &line(loser.id, 3))
            .await
            .unwrap()
    );

    // Never the last one; and with the address its password.
    let address = &owner.identity.hash;
    assert_eq!(remove(owner.id, address).await, Removed::Last);
    assert_eq!(store.player_by(address).await.unwrap(), Some(owner.id));
    let address = &loser.identity.hash;
    assert_eq!(remove(loser.id, address).await, Removed::Done);
    assert_eq!(store.player_by(address).await.unwrap(), None);
    let player = store.player(loser.id).await.unwrap().unwrap();
    assert_eq!((player.email, player.password), (None, None));
    // Both at once: one stays.
    let another = Identity {
        kind: IdentityKind::Xbox,
        ..identity()
    };
    assert!(
        store
            .add_identity(loser.id, &another, at(4), &line(loser.id, 4))
            .await
            .unwrap()
    );
    let both = futures::join!(
        remove(loser.id, &steam.hash),
        remove(loser.id, &another.hash)
    );
    assert!(
        both == (Removed::Done, Removed::Last) || both == (Removed::Last, Removed::Done),
        "{both:?}"
    );
}

pub(super) async fn an_address_is_added_by_its_secret(store: Shared) {
    let guest = NewPlayer {
        identity: Identity {
            kind: IdentityKind::Device,
            ..identity()
        },
        email: None,
        password: None,
        guest: true,
        ..newcomer()
    };
    assert!(store.create_player(&guest).await.unwrap());
    let asked = async || {
        let secret = OneTime {
            purpose: Purpose::LinkEmail,
            ..one_time(guest.id, 10)
        };
        store.put_one_time(&secret).await.unwrap();
        secret.hash
    };
    let new = NewAddress {
        identity: identity(),
        email: b"sealed address".to_vec(),
        password: "$scrypt$new".to_owned(),
        secret: asked().await,
        at: at(1),
    };
    let link = async |player, new: NewAddress| {
        store
            .link_address(player, &new, &line(player, 0))
            .await
            .unwrap()
    };
    // Another secret, another player, too late.
    let forged = NewAddress {
        secret: hash(),
        ..new.clone()
    };
    assert_eq!(link(guest.id, forged).await, Linked::Void);
    assert_eq!(link(player(&*store).await, new.clone()).await, Linked::Void);
    let late = NewAddress {
        at: at(10),
        ..new.clone()
    };
    assert_eq!(link(guest.id, late).await, Linked::Void);
    // Somebody else's address: nothing of it is done, and the secret is not spent.
    let owner = newcomer();
    assert!(store.create_player(&owner).await.unwrap());
    let taken = NewAddress {
        identity: owner.identity.clone(),
        ..new.clone()
    };
    assert_eq!(link(guest.id, taken).await, Linked::Taken);
    let before = store.player(guest.id).await.unwrap().unwrap();
    assert!(before.guest && before.email.is_none() && before.password.is_none());

    assert_eq!(link(guest.id, new.clone()).await, Linked::Done);
    assert_eq!(link(guest.id, new.clone()).await, Linked::Void);
    let found = store.player_by(&new.identity.hash).await.unwrap();
    assert_eq!(found, Some(guest.id));
    let expected = [guest.identity.clone(), new.identity.clone()];
    assert_eq!(store.identities(guest.id).await.unwrap(), expected);
    let player = store.player(guest.id).await.unwrap().unwrap();
    assert!(player.email_verified && !player.guest);
    assert_eq!(player.email, Some(new.email.clone()));
    assert_eq!(player.password, Some(new.password.clone()));
    // One address is enough.
    let second = NewAddress {
        identity: identity(),
        secret: asked().await,
        ..new
    };
    assert_eq!(link(guest.id, second).await, Linked::Taken);
}

pub(super) async fn nobody_is_found_by_nothing(store: Shared) {
    let nobody = PlayerId(Uuid::new_v4());
    let identity = identity();
    assert_eq!(store.player_by(&identity.hash).await.unwrap(), None);
    assert_eq!(store.player(nobody).await.unwrap(), None);
    assert!(
        !store
            .add_identity(nobody, &identity, at(0), &line(nobody, 0))
            .await
            .unwrap()
    );
    assert_eq!(store.player_by(&identity.hash).await.unwrap(), None);
    assert_eq!(
        store
            .remove_identity(nobody, &identity.hash, &line(nobody, 0))
            .await
            .unwrap(),
        Removed::Missing
    );
    assert_eq!(store.identities(nobody).await.unwrap(), []);
    assert!(!store.set_password(nobody, None, "new").await.unwrap());
    for right in [Right::Mailed(hash()), former(0, SessionId(Uuid::new_v4()))] {
        assert_eq!(replace(&store, nobody, right, 0).await, None);
    }
    let (secret, entry) = (hash(), line(nobody, 0));
    let verified = store.verify_email(nobody, &secret, at(0), &entry).await;
    assert!(!verified.unwrap());
    let known = store.knows_one_time(nobody, Purpose::VerifyEmail, &secret, at(0));
    assert!(!known.await.unwrap());
    assert_eq!(
        store
            .set_status(nobody, Status::Disabled, at(0), &line(nobody, 0))
            .await
            .unwrap(),
        []
    );
    let set = store
        .set_data(nobody, Some(&[]), Some(&json!({})), &line(nobody, 0))
        .await;
    assert_eq!(set.unwrap(), None);
    let totp = totp();
    store
        .set_totp(nobody, Some(&totp), &[hash()], None)
        .await
        .unwrap();
    assert!(!store.spend_totp(nobody, 1, None).await.unwrap());
    assert!(!store.spend_recovery(nobody, &hash(), at(0)).await.unwrap());
    assert!(
        !store
            .add_passkey(nobody, &passkey(1), &line(nobody, 0))
            .await
            .unwrap()
    );
    assert!(!store.touch_passkey(nobody, &passkey(1)).await.unwrap());
    assert_eq!(store.passkeys(nobody).await.unwrap(), []);
    assert!(
        !store
            .remove_passkey(nobody, &[1], &line(nobody, 0))
            .await
            .unwrap()
    );
    let device = device(None);
    let session = new_session(nobody, 0);
    let entry = line(nobody, 0);
    let opened = store.open_session(&session, 0, Some(&device), &entry).await;
    assert_eq!(opened.unwrap(), None);
    assert_eq!(store.device(nobody, &device.hash).await.unwrap(), None);
    assert_eq!(store.session(nobody, session.id).await.unwrap(), None);
    assert_eq!(store.sessions(nobody, at(0)).await.unwrap(), []);
    assert_eq!(
        store
            .end_sessions(nobody, Which::All, at(0), &line(nobody, 0))
            .await
            .unwrap(),
        []
    );
    let rotated = store.rotate(&rotate(&session, 0, 1, 0)).await.unwrap();
    assert_eq!(rotated, Rotated::Refused);
    store.put_one_time(&one_time(nobody, 10)).await.unwrap();
    assert_eq!(
        store
            .delete_player(nobody, at(0), &line(nobody, 0))
            .await
            .unwrap(),
        []
    );
    assert_eq!(revocations(&*store, -1).await, []);
    assert_eq!(store.audit_of(nobody, None, 9).await.unwrap(), []);
    assert!(!store.revoke_signing_key("none", at(0)).await.unwrap());
}

pub(super) async fn passwords_are_replaced_only_if_expected(store: Shared) {
    let new = NewPlayer {
        password: None,
        ..newcomer()
    };
    assert!(store.create_player(&new).await.unwrap());
    assert!(!store.set_password(new.id, Some("old"), "a").await.unwrap());
    assert!(store.set_password(new.id, None, "a").await.unwrap());
    assert!(!store.set_password(new.id, None, "b").await.unwrap());
    // A login that hashes anew, and a reset: the second of them finds another password.
    let (one, other) = futures::join!(
        store.set_password(new.id, Some("a"), "b"),
        store.set_password(new.id, Some("a"), "c"),
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(one != other);
    let player = store.player(new.id).await.unwrap().unwrap();
    assert_eq!(
        player.password.as_deref(),
        Some(if one { "b" } else { "c" })
    );
    // Another hash of the same password voids nothing.
    assert_eq!(player.credentials_epoch, 0);
}

/// The right of who knows the former password.
fn former(credentials_epoch: i64, session: SessionId) -> Right {
    Right::Former {
        credentials_epoch,
        session,
    }
}

/// Replaces a password, whose hash tells when.
async fn replace(
    store: &Shared,
    player: PlayerId,
    right: Right,
    seconds: i64,
) -> Option<Vec<Revocation>> {
    let new = NewPassword {
        player,
        hash: format!("hash {seconds}"),
        right,
        at: at(seconds),
    };
    let line = line(player, seconds);
    store.replace_password(&new, &line).await.unwrap()
}

pub(super) async fn a_new_password_ends_what_the_former_began(store: Shared) {
    let id = player(&*store).await;
    let own = session(&*store, id, 0).await;
    let other = session(&*store, id, 1).await;
    let stranger = player(&*store).await;
    session(&*store, stranger, 1).await;
    let ended = replace(&store, id, former(0, own.id), 2).await.unwrap();
    let [end] = ended.as_slice() else {
        panic!("{ended:?}");
    };
    assert_eq!(
        (end.player, end.session, end.at),
        (id, Some(other.id), at(2))
    );
    assert_eq!(revocations(&*store, 0).await, ended);
    assert_eq!(
        store.sessions(id, at(3)).await.unwrap(),
        std::slice::from_ref(&own)
    );
    assert_eq!(store.sessions(stranger, at(3)).await.unwrap().len(), 1);
    let player = store.player(id).await.unwrap().unwrap();
    assert_eq!(player.password.as_deref(), Some("hash 2"));
    assert_eq!(player.credentials_epoch, 1);
    assert!(!player.email_verified);
    // Of the account, of both sessions and of the password.
    assert_eq!(store.audit_of(id, None, 9).await.unwrap().len(), 4);

    // Who signed in by the former password, or wanted to replace it too, comes too late.
    let late = new_session(id, 4);
    let opened = store.open_session(&late, 0, None, &line(id, 4)).await;
    assert_eq!(opened.unwrap(), None);
    assert_eq!(replace(&store, id, former(0, own.id), 4).await, None);
    let player = store.player(id).await.unwrap().unwrap();
    assert_eq!(player.password.as_deref(), Some("hash 2"));
    assert_eq!(store.audit_of(id, None, 9).await.unwrap().len(), 4);
    let opened = store.open_session(&late, 1, None, &line(id, 5)).await;
    assert!(opened.unwrap().is_some());

    // Both at once: whoever is first, no session of the former password is live in the end.
    for round in 0..8 {
        let id = self::player(&*store).await;
        let new = new_session(id, 1);
        let entry = line(id, round);
        let (ended, opened) = futures::join!(
            replace(&store, id, former(0, SessionId(Uuid::new_v4())), 2),
            store.open_session(&new, 0, None, &entry),
        );
        assert_eq!(ended.unwrap().len(), usize::from(opened.unwrap().is_some()));
        assert_eq!(store.sessions(id, at(3)).await.unwrap(), []);
    }
}

pub(super) async fn a_mailed_secret_replaces_a_password_once(store: Shared) {
    let id = player(&*store).await;
    session(&*store, id, 0).await;
    session(&*store, id, 0).await;
    let secret = one_time(id, 10);
    let other = OneTime {
        purpose: Purpose::VerifyEmail,
        ..one_time(id, 10)
    };
    store.put_one_time(&secret).await.unwrap();
    store.put_one_time(&other).await.unwrap();
    for (hash, seconds) in [(hash(), 1), (other.hash, 1), (secret.hash, 10)] {
        assert_eq!(
            replace(&store, id, Right::Mailed(hash), seconds).await,
            None
        );
    }
    store
        .set_status(id, Status::Disabled, at(2), &line(id, 2))
        .await
        .unwrap();
    let right = Right::Mailed(secret.hash);
    assert_eq!(replace(&store, id, right, 3).await, None);
    store
        .set_status(id, Status::Active, at(4), &line(id, 4))
        .await
        .unwrap();
    let opened = session(&*store, id, 5).await;
    let tries = join_all((0..16).map(|_| replace(&store, id, right, 6))).await;
    let done: Vec<_> = tries.into_iter().flatten().collect();
    assert_eq!(done.len(), 1);
    assert_eq!(done[0].len(), 1);
    assert_eq!(done[0][0].session, Some(opened.id));
    assert_eq!(store.sessions(id, at(7)).await.unwrap(), []);
    let player = store.player(id).await.unwrap().unwrap();
    assert_eq!(player.password.as_deref(), Some("hash 6"));
    assert_eq!(player.credentials_epoch, 1);
    assert!(player.email_verified, "the mail was read");
}

pub(super) async fn mail_addresses_are_verified(store: Shared) {
    let id = player(&*store).await;
    let secret = OneTime {
        purpose: Purpose::VerifyEmail,
        ..one_time(id, 10)
    };
    store.put_one_time(&secret).await.unwrap();
    let entry = line(id, 1);
    let verified = store.verify_email(id, &hash(), at(1), &entry).await;
    assert!(!verified.unwrap());
    assert!(!store.player(id).await.unwrap().unwrap().email_verified);
    store
        .set_status(id, Status::Disabled, at(1), &line(id, 1))
        .await
        .unwrap();
    let verified = store.verify_email(id, &secret.hash, at(1), &entry).await;
    assert!(!verified.unwrap());
    store
        .set_status(id, Status::Active, at(1), &line(id, 1))
        .await
        .unwrap();
    let lines = store.audit_of(id, None, 9).await.unwrap();
    assert!(!lines.contains(&entry));
    let verified = store.verify_email(id, &secret.hash, at(1), &entry).await;
    assert!(verified.unwrap());
    let lines = store.audit_of(id, None, 9).await.unwrap();
    assert!(lines.contains(&entry));
    assert!(store.player(id).await.unwrap().unwrap().email_verified);
}

pub(super) async fn what_a_former_key_sealed_is_found_and_replaced(store: Shared) {
    // A version of the envelope, one of the key, and what it is.
    let sealed = |version: u32, what: u8| {
        let version = version.to_be_bytes();
        [&[1], version.as_slice(), &[what; 20]].concat()
    };
    let new = NewPlayer {
        email: Some(sealed(1, b'a')),
        identity: Identity {
            label: sealed(255, b'b'),
            ..identity()
        },
        ..newcomer()
    };
    assert!(store.create_player(&new).await.unwrap());
    let phone = Identity {
        kind: IdentityKind::Device,
        label: sealed(256, b'c'),
        ..identity()
    };
    assert!(
        store
            .add_identity(new.id, &phone, at(1), &line(new.id, 1))
            .await
            .unwrap()
    );
    let device = Device {
        sealed: sealed(1, b'd'),
        ..device(None)
    };
    assert!(sign_in(&*store, new.id, &device, 1).await);
    let totp = Totp {
        secret: sealed(2, b'e'),
        ..totp()
    };
    store
        .set_totp(new.id, Some(&totp), &[], None)
        .await
        .unwrap();
    let value = |column, value: &[u8]| SealedValue {
        column,
        player: new.id,
        value: value.to_vec(),
    };
    let all = [
        value(SealedColumn::Email, &sealed(1, b'a')),
        value(SealedColumn::Totp, &sealed(2, b'e')),
        value(SealedColumn::Label(new.identity.hash), &sealed(255, b'b')),
        value(SealedColumn::DeviceLabel(phone.hash), &sealed(256, b'c')),
        value(SealedColumn::Device(device.hash), &sealed(1, b'd')),
    ];
    let before = async |version| {
        let mut found = store.sealed_before(version, 9).await.unwrap();
        found.sort_by_key(|value| value.value[5]);
        let found = found.into_iter().map(|value| char::from(value.value[5]));
        found.collect::<String>()
    };
    assert_eq!(before(1).await, "");
    assert_eq!(before(2).await, "ad");
    assert_eq!(before(256).await, "abde");
    assert_eq!(before(257).await, "abcde");
    assert_eq!(store.sealed_before(257, 0).await.unwrap(), []);
    for old in &all {
        assert!(store.sealed_before(257, 9).await.unwrap().contains(old));
        let changed = SealedValue {
            value: sealed(1, b'z'),
            ..old.clone()
        };
        let new = sealed(300, old.value[5]);
        assert!(!store.reseal(&changed, &new).await.unwrap());
        assert!(store.reseal(old, &new).await.unwrap());
    }
    assert_eq!(before(300).await, "");
    assert_eq!(before(301).await, "abcde");
}

pub(super) async fn roles_and_data_are_replaced(store: Shared) {
    let id = player(&*store).await;
    let roles = [
        "moderator".to_owned(),
        "a \"quoted\", {braced} one".to_owned(),
    ];
    let data = json!({"name": "a\u{0}é", "level": 3, "nested": [null, {"x": 1.5}]});
    let set = async |roles, data| {
        store
            .set_data(id, roles, data, &line(id, 0))
            .await
            .unwrap()
            .unwrap()
    };
    // What is not given stays.
    assert_eq!(set(None, Some(&data)).await, (Vec::new(), data.clone()));
    let both = (roles.to_vec(), data.clone());
    assert_eq!(set(Some(&roles[..]), None).await, both);
    let player = store.player(id).await.unwrap().unwrap();
    assert_eq!((player.roles, player.data), both);
    let nothing = (Vec::new(), json!({}));
    assert_eq!(set(Some(&[][..]), Some(&json!({}))).await, nothing);
}
