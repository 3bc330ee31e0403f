//! What owners of accounts prove to be themselves with: codes, passkeys, devices, mailed secrets.

use auth::ids::{IdentityHash, IdentityKind, PlayerId};
use auth::store::{
    Device, Identity, MOST_DEVICES, NewPlayer, OneTime, Passkey, Purpose, Store, Totp,
};
use futures::future::join_all;

use super::{
    Shared, at, device, hash, line, new_session, newcomer, one_time, passkey, player, totp,
};

pub(super) async fn a_time_step_is_spent_once(store: Shared) {
    let id = player(&*store).await;
    assert!(!store.spend_totp(id, 100, None).await.unwrap(), "no factor");
    let totp = Totp {
        confirmed: false,
        last_step: 99,
        ..totp()
    };
    store.set_totp(id, Some(&totp), &[], None).await.unwrap();
    let known = store.player(id).await.unwrap().unwrap().totp;
    assert_eq!(known.as_ref(), Some(&totp));
    assert!(!store.spend_totp(id, 99, None).await.unwrap());
    let spent = join_all((0..16).map(|_| store.spend_totp(id, 100, None))).await;
    let spent = spent.into_iter().filter(|spent| *spent.as_ref().unwrap());
    assert_eq!(spent.count(), 1);
    assert!(!store.spend_totp(id, 98, None).await.unwrap());
    let player = store.player(id).await.unwrap().unwrap();
    let known = player.totp.unwrap();
    assert!(known.confirmed);
    assert_eq!(known.last_step, 100);
    // Who signs in without the second step since before it was set up comes too late.
    assert_eq!(player.credentials_epoch, 1);
    assert!(store.spend_totp(id, 101, None).await.unwrap());
    let player = store.player(id).await.unwrap().unwrap();
    assert_eq!(player.credentials_epoch, 1);
    store.set_totp(id, None, &[], None).await.unwrap();
    assert_eq!(store.player(id).await.unwrap().unwrap().totp, None);
    assert!(!store.spend_totp(id, 200, None).await.unwrap());
}

pub(super) async fn a_recovery_code_is_spent_once(store: Shared) {
    let id = player(&*store).await;
    let totp = totp();
    let (code, other) = (hash(), hash());
    // The same twice is one.
    store
        .set_totp(id, Some(&totp), &[code, other, code], None)
        .await
        .unwrap();
    assert!(!store.spend_recovery(id, &hash(), at(1)).await.unwrap());
    let spent = join_all((0..16).map(|_| store.spend_recovery(id, &code, at(1)))).await;
    let spent = spent.into_iter().filter(|spent| *spent.as_ref().unwrap());
    assert_eq!(spent.count(), 1);
    assert!(
        !store
            .spend_recovery(player(&*store).await, &other, at(1))
            .await
            .unwrap()
    );
    store.set_totp(id, None, &[], None).await.unwrap();
    assert!(!store.spend_recovery(id, &other, at(1)).await.unwrap());
}

pub(super) async fn passkeys_come_change_and_go(store: Shared) {
    let id = player(&*store).await;
    assert!(
        store
            .add_passkey(id, &passkey(2), &line(id, 0))
            .await
            .unwrap()
    );
    assert!(
        store
            .add_passkey(id, &passkey(1), &line(id, 0))
            .await
            .unwrap()
    );
    assert_eq!(store.passkeys(id).await.unwrap(), [passkey(1), passkey(2)]);
    let used = Passkey {
        record: "{\"counter\":1}".to_owned(),
        used: Some(at(50)),
        ..passkey(1)
    };
    assert!(!store.add_passkey(id, &used, &line(id, 0)).await.unwrap());
    assert_eq!(store.passkeys(id).await.unwrap(), [passkey(1), passkey(2)]);
    assert!(store.touch_passkey(id, &used).await.unwrap());
    assert_eq!(store.passkeys(id).await.unwrap(), [used, passkey(2)]);
    let other = player(&*store).await;
    assert_eq!(store.passkeys(other).await.unwrap(), []);
    assert!(
        !store
            .remove_passkey(other, &[2], &line(other, 0))
            .await
            .unwrap()
    );
    assert!(store.remove_passkey(id, &[1], &line(id, 0)).await.unwrap());
    assert!(!store.remove_passkey(id, &[1], &line(id, 0)).await.unwrap());
    assert_eq!(store.passkeys(id).await.unwrap(), [passkey(2)]);
}

pub(super) async fn a_removed_passkey_does_not_come_back(store: Shared) {
    let id = player(&*store).await;
    assert!(
        store
            .add_passkey(id, &passkey(1), &line(id, 0))
            .await
            .unwrap()
    );
    // A sign-in has read it, and notes its use when its owner has removed it.
    let used = Passkey {
        used: Some(at(50)),
        ..store.passkeys(id).await.unwrap().remove(0)
    };
    assert!(
        store
            .remove_passkey(id, &used.credential, &line(id, 0))
            .await
            .unwrap()
    );
    assert!(!store.touch_passkey(id, &used).await.unwrap());
    assert_eq!(store.passkeys(id).await.unwrap(), []);
}

pub(super) async fn devices_are_known_with_their_keys(store: Shared) {
    let id = player(&*store).await;
    let bound = device(Some("key"));
    assert_eq!(store.device(id, &bound.hash).await.unwrap(), None);
    assert!(sign_in(&*store, id, &device(None), 1).await);
    let known = store.device(id, &bound.hash).await.unwrap();
    assert_eq!(known, Some(device(None)));
    assert!(!sign_in(&*store, id, &bound, 2).await);
    // A sign-in without the key does not take it away.
    assert!(!sign_in(&*store, id, &device(None), 3).await);
    let known = store.device(id, &bound.hash).await.unwrap();
    assert_eq!(known, Some(bound.clone()));
    let other = player(&*store).await;
    assert_eq!(store.device(other, &bound.hash).await.unwrap(), None);
}

/// Signs in on a device; whether it was not known.
pub(super) async fn sign_in(
    store: &dyn Store,
    player: PlayerId,
    device: &Device,
    seconds: i64,
) -> bool {
    let session = new_session(player, seconds);
    let line = line(player, seconds);
    let opened = store.open_session(&session, 0, Some(device), &line).await;
    opened.unwrap().unwrap().is_new_device
}

pub(super) async fn an_account_knows_so_many_devices(store: Shared) {
    let bound = device(Some("key"));
    let new = NewPlayer {
        identity: Identity {
            kind: IdentityKind::Device,
            hash: bound.hash,
            label: b"sealed label".to_vec(),
        },
        ..newcomer()
    };
    assert!(store.create_player(&new).await.unwrap());
    assert!(sign_in(&*store, new.id, &bound, 0).await);
    let other = |number: u8| Device {
        hash: IdentityHash([100 + number; 32]),
        ..device(None)
    };
    let most = u8::try_from(MOST_DEVICES).unwrap();
    for number in 0..most {
        assert!(sign_in(&*store, new.id, &other(number), 1 + i64::from(number)).await);
    }
    // One that is known makes no room; one more does, of the one that was away for longest.
    assert!(!sign_in(&*store, new.id, &other(0), 200).await);
    assert!(sign_in(&*store, new.id, &other(most), 201).await);
    let mut forgotten = Vec::new();
    for number in 0..=most {
        let device = other(number);
        if store.device(new.id, &device.hash).await.unwrap().is_none() {
            forgotten.push(number);
        }
    }
    assert_eq!(forgotten, [1]);
    // What the account signs in with stays, with its key.
    let known = store.device(new.id, &bound.hash).await.unwrap();
    assert_eq!(known, Some(bound));
}

pub(super) async fn a_mailed_secret_is_good_once(store: Shared) {
    let id = player(&*store).await;
    let mail = |purpose| OneTime {
        purpose,
        ..one_time(id, 10)
    };
    let purpose = Purpose::VerifyEmail;
    let (old, other, new) = (mail(purpose), mail(Purpose::ResetPassword), mail(purpose));
    for secret in [&old, &other, &new] {
        store.put_one_time(secret).await.unwrap();
    }
    let is_known = async |secret: &OneTime, purpose, seconds| {
        let known = store.knows_one_time(id, purpose, &secret.hash, at(seconds));
        known.await.unwrap()
    };
    let verify = async |secret: &OneTime, seconds| {
        let line = line(id, seconds);
        let spent = store.verify_email(id, &secret.hash, at(seconds), &line);
        spent.await.unwrap()
    };
    for (secret, seconds, why) in [(&old, 1, "replaced"), (&new, 10, "expired")] {
        assert!(!is_known(secret, purpose, seconds).await, "{why}");
        assert!(!verify(secret, seconds).await, "{why}");
    }
    assert!(!is_known(&other, purpose, 1).await, "for something else");
    assert!(!verify(&other, 1).await, "for something else");
    // Looking does not spend it.
    for _ in 0..2 {
        assert!(is_known(&new, purpose, 9).await);
    }
    let spent = join_all((0..16).map(|_| verify(&new, 9))).await;
    assert_eq!(spent.into_iter().filter(|spent| *spent).count(), 1);
    assert!(!is_known(&new, purpose, 9).await);
    assert!(is_known(&other, Purpose::ResetPassword, 9).await);
}
