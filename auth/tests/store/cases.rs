//! The promises of a store, one by one; each begins with an empty one.

mod accounts;
mod audit;
mod factors;
mod sessions;
mod system;

use std::sync::Arc;
use std::time::Duration;

use auth::ids::{FamilyId, IdentityHash, IdentityKind, PlayerId, SessionId};
use auth::live::Revocation;
use auth::store::{
    Audit, Device, Identity, NewPlayer, OneTime, Passkey, Purpose, Registration, Rotate, Session,
    Store, Totp,
};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

type Shared = Arc<dyn Store>;
type Case = (&'static str, fn(Shared) -> BoxFuture<'static, ()>);

macro_rules! cases {
    ($($module:ident: $($name:ident,)*;)*) => {
        pub(crate) const ALL: &[Case] =
            &[$($((stringify!($name), |store| Box::pin($module::$name(store)))),*),*];
    };
}

cases! {
    accounts:
        an_account_is_as_it_was_made,
        an_identity_is_taken_once,
        identities_come_and_go,
        an_address_is_added_by_its_secret,
        nobody_is_found_by_nothing,
        passwords_are_replaced_only_if_expected,
        a_new_password_ends_what_the_former_began,
        a_mailed_secret_replaces_a_password_once,
        mail_addresses_are_verified,
        what_a_former_key_sealed_is_found_and_replaced,
        roles_and_data_are_replaced,
    ;
    factors:
        a_time_step_is_spent_once,
        a_recovery_code_is_spent_once,
        passkeys_come_change_and_go,
        a_removed_passkey_does_not_come_back,
        devices_are_known_with_their_keys,
        an_account_knows_so_many_devices,
        a_mailed_secret_is_good_once,
    ;
    audit:
        a_change_is_committed_with_its_line,
        a_proved_address_has_its_line,
    ;
    sessions:
        a_session_is_as_it_was_opened,
        an_account_has_so_many_sessions,
        sessions_end_as_asked,
        a_family_ends_with_its_session,
        a_live_session_plays_somewhere,
        a_token_that_nobody_uses_lapses,
        an_end_of_everything_covers_clocks_that_are_ahead,
        a_disabled_account_has_no_session,
        a_removed_account_leaves_its_log_alone,
        a_token_is_good_once,
        a_retry_gets_the_same_answer,
        a_thief_ends_the_session,
        of_many_at_once_one_spends_the_token,
        tokens_end_with_their_session,
    ;
    system:
        revocations_are_listed_in_order,
        revocations_of_one_moment_come_page_by_page,
        a_key_is_added_to_the_keys_that_are_known,
        keys_are_revoked_once,
        the_log_is_read_backwards,
        what_is_over_is_purged,
        a_purge_is_bounded,
        accounts_are_abandoned_when_nobody_came_back,
        keys_are_pinned_by_whoever_comes_first,
        it_answers,
    ;
}

/// Of whom lines without an account are.
const NOBODY: PlayerId = PlayerId(Uuid::nil());

/// Some time, to the microsecond.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_microsecond(1_800_000_000_123_456).unwrap() + SignedDuration::from_secs(seconds)
}

fn hash() -> [u8; 32] {
    let halves = [Uuid::new_v4(), Uuid::new_v4()];
    halves.map(Uuid::into_bytes).concat().try_into().unwrap()
}

fn identity() -> Identity {
    Identity {
        kind: IdentityKind::Email,
        hash: IdentityHash(hash()),
        label: b"sealed label".to_vec(),
    }
}

fn newcomer() -> NewPlayer {
    let id = PlayerId(Uuid::new_v4());
    NewPlayer {
        id,
        identity: identity(),
        email: Some(b"sealed address".to_vec()),
        email_verified: false,
        password: Some("$scrypt$…".to_owned()),
        guest: false,
        at: at(0),
        lines: Registration {
            made: line(id, 0),
            taken: line(NOBODY, 0),
        },
    }
}

/// A player that exists.
pub(crate) async fn player(store: &dyn Store) -> PlayerId {
    let new = newcomer();
    assert!(store.create_player(&new).await.unwrap());
    new.id
}

pub(crate) fn line(player: PlayerId, seconds: i64) -> Audit {
    // In order of time, as ids of version 7 are.
    let low = u64::try_from(seconds + 1_000_000).unwrap();
    Audit {
        id: Uuid::from_u64_pair(low, Uuid::new_v4().as_u64_pair().1),
        player,
        at: at(seconds),
        event: "login".to_owned(),
        outcome: "success".to_owned(),
        ip: "2001:db8::7".to_owned(),
        detail: json!({"client": "a\u{0}b", "number": 0.5}),
    }
}

fn new_session(player: PlayerId, seconds: i64) -> Session {
    Session {
        player,
        id: SessionId(Uuid::new_v4()),
        family: FamilyId(Uuid::new_v4()),
        client: "arena 1.0 \"beta\"".to_owned(),
        device: Some(IdentityHash(hash())),
        ip: "192.0.2.7".to_owned(),
        key: Some("thumbprint".to_owned()),
        audiences: vec!["lobby".to_owned(), "a,{b}".to_owned()],
        methods: vec!["pwd".to_owned()],
        created: at(seconds),
        used: at(seconds),
        expires: at(seconds + 1_000),
        lapses: at(seconds + 1_000),
        revoked: None,
        game_server: None,
    }
}

/// A session that began.
pub(crate) async fn session(store: &dyn Store, player: PlayerId, seconds: i64) -> Session {
    let session = new_session(player, seconds);
    let entry = line(player, seconds);
    let opened = store.open_session(&session, 0, None, &entry).await;
    assert!(opened.unwrap().is_some());
    session
}

/// Every revocation since then.
pub(crate) async fn revocations(store: &dyn Store, seconds: i64) -> Vec<Revocation> {
    let all = store.revocations_since(at(seconds), Uuid::nil(), 10_000);
    all.await.unwrap()
}

/// A token of a session that comes back.
pub(crate) fn rotate(session: &Session, generation: u32, client: u8, seconds: i64) -> Rotate {
    Rotate {
        player: session.player,
        family: session.family,
        generation,
        client: Some([client; 32]),
        now: at(seconds),
        grace: Duration::from_secs(10),
        idle: Duration::from_hours(7 * 24),
        reuse: line(session.player, seconds),
    }
}

fn passkey(number: u8) -> Passkey {
    Passkey {
        credential: vec![number],
        record: "{\"counter\":0}".to_owned(),
        name: "phone".to_owned(),
        created: at(number.into()),
        used: None,
    }
}

fn device(key: Option<&str>) -> Device {
    Device {
        hash: IdentityHash([9; 32]),
        sealed: b"sealed id".to_vec(),
        key: key.map(str::to_owned),
    }
}

fn one_time(player: PlayerId, expires: i64) -> OneTime {
    OneTime {
        player,
        purpose: Purpose::ResetPassword,
        hash: hash(),
        expires: at(expires),
    }
}

/// A second factor in use.
fn totp() -> Totp {
    Totp {
        secret: b"sealed secret".to_vec(),
        confirmed: true,
        last_step: 1,
    }
}
