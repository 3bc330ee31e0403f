//! What a login does is the same for an account that exists, that does not, and that is not
//! verified: the same questions to the store in the same order, and one slow hash. How long it
//! takes is measured over PostgreSQL by `cargo xtask test --long`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use auth::Code;
use auth::ids::{IdentityHash, PlayerId, SessionId};
use auth::live::Revocation;
use auth::passwords::Password;
use auth::passwords::pool::Pool;
use auth::service::register::Registered;
use auth::service::{Service, Verification};
use auth::signing::plan::Policy;
use auth::store::{
    Audit, Device, Error, Identity, Linked, NewAddress, NewPassword, NewPlayer, OneTime, Opened,
    Passkey, PinnedKey, Place, Player, Purged, Purpose, Removed, RolesAndData, Rotate, Rotated,
    SealedValue, Session, SigningKey, Status, Store, Totp, Which,
};
use jiff::Timestamp;
use uuid::Uuid;

use crate::replica::Embedded;
use crate::world::{caller, parts, password, pool, signing, verify};

/// A store that notes what it is asked.
#[derive(Debug)]
pub(crate) struct Noting {
    store: Arc<dyn Store>,
    asked: Mutex<Vec<&'static str>>,
}

impl Noting {
    pub(crate) fn new(store: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            store,
            asked: Mutex::default(),
        })
    }

    pub(crate) fn was_asked(&self, call: &str) -> bool {
        self.asked.lock().unwrap().contains(&call)
    }
}

macro_rules! noting {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for Noting {
            $(async fn $name(&self, $($argument: $kind),*) -> Result<$answer, Error> {
                self.asked.lock().unwrap().push(stringify!($name));
                self.store.$name($($argument),*).await
            })*
        }
    };
}

noting! {
    fn create_player(new: &NewPlayer) -> bool;
    fn player_by(identity: &IdentityHash) -> Option<PlayerId>;
    fn player(id: PlayerId) -> Option<Player>;
    fn delete_player(id: PlayerId, at: Timestamp, line: &Audit) -> Vec<Revocation>;
    fn add_identity(
        player: PlayerId, identity: &Identity, at: Timestamp, line: &Audit
    ) -> bool;
    fn link_address(player: PlayerId, new: &NewAddress, line: &Audit) -> Linked;
    fn remove_identity(player: PlayerId, identity: &IdentityHash, line: &Audit) -> Removed;
    fn identities(player: PlayerId) -> Vec<Identity>;
    fn set_password(player: PlayerId, expected: Option<&str>, new: &str) -> bool;
    fn replace_password(new: &NewPassword, line: &Audit) -> Option<Vec<Revocation>>;
    fn verify_email(
        player: PlayerId, secret: &[u8; 32], now: Timestamp, line: &Audit
    ) -> bool;
    fn set_status(
        player: PlayerId, status: Status, at: Timestamp, line: &Audit
    ) -> Vec<Revocation>;
    fn set_data(
        player: PlayerId, roles: Option<&[String]>, data: Option<&serde_json::Value>, line: &Audit
    ) -> Option<RolesAndData>;
    fn set_totp(
        player: PlayerId, totp: Option<&Totp>, recovery: &[[u8; 32]], line: Option<&Audit>
    ) -> ();
    fn spend_totp(player: PlayerId, step: i64, line: Option<&Audit>) -> bool;
    fn spend_recovery(player: PlayerId, hash: &[u8; 32], at: Timestamp) -> bool;
    fn add_passkey(player: PlayerId, passkey: &Passkey, line: &Audit) -> bool;
    fn touch_passkey(player: PlayerId, passkey: &Passkey) -> bool;
    fn passkeys(player: PlayerId) -> Vec<Passkey>;
    fn remove_passkey(player: PlayerId, credential: &[u8], line: &Audit) -> bool;
    fn device(player: PlayerId, device: &IdentityHash) -> Option<Device>;
    fn open_session(
        session: &Session, credentials_epoch: i64, device: Option<&Device>, line: &Audit
    ) -> Option<Opened>;
    fn session(player: PlayerId, session: SessionId) -> Option<(Session, Player)>;
    fn sessions(player: PlayerId, now: Timestamp) -> Vec<Session>;
    fn end_sessions(
        player: PlayerId, which: Which, at: Timestamp, line: &Audit
    ) -> Vec<Revocation>;
    fn assign_server(
        player: PlayerId, session: SessionId, game_server: Option<&str>, now: Timestamp
    ) -> bool;
    fn moved(session: &Session, place: Place<'_>, line: &Audit) -> bool;
    fn rotate(rotate: &Rotate) -> Rotated;
    fn put_one_time(secret: &OneTime) -> ();
    fn knows_one_time(
        player: PlayerId, purpose: Purpose, hash: &[u8; 32], now: Timestamp
    ) -> bool;
    fn revocations_since(since: Timestamp, after: Uuid, limit: u32) -> Vec<Revocation>;
    fn signing_keys() -> Vec<SigningKey>;
    fn add_signing_key(key: &SigningKey, expected: &[String]) -> bool;
    fn revoke_signing_key(id: &str, at: Timestamp) -> bool;
    fn pin_keys(pinned: &[PinnedKey]) -> Vec<PinnedKey>;
    fn audit(lines: &[Audit]) -> ();
    fn audit_of(player: PlayerId, before: Option<Uuid>, limit: u16) -> Vec<Audit>;
    fn sealed_before(version: u32, limit: u32) -> Vec<SealedValue>;
    fn reseal(value: &SealedValue, new: &[u8]) -> bool;
    fn purge(before: Timestamp, audit_before: Timestamp, limit: u32) -> Purged;
    fn abandoned(before: Timestamp, limit: u32) -> Vec<PlayerId>;
    fn delete_abandoned(id: PlayerId, before: Timestamp, line: &Audit) -> bool;
    fn ping() -> ();
}

/// A service without background work, so that nothing but calls asks the store.
struct Watched {
    service: Service,
    /// The same over the same store, where accounts need no verification.
    lenient: Service,
    noting: Arc<Noting>,
    pool: Arc<Pool>,
    /// Where its store is.
    _embedded: Embedded,
}

impl Watched {
    async fn new() -> Self {
        let embedded = Embedded::new();
        let (store, live) = embedded.clients().await;
        let noting = Noting::new(store);
        let store = Arc::clone(&noting) as Arc<dyn Store>;
        let signing = signing(runtime::clock::now(), &store, &live, Policy::default()).await;
        let pool = pool();
        let service = async |verification| {
            let (store, live) = (Arc::clone(&store), Arc::clone(&live));
            let (signing, pool) = (Arc::clone(&signing), Arc::clone(&pool));
            Service::new(parts(store, live, signing, verification, pool).await)
        };
        Self {
            service: service(Verification::Required).await,
            lenient: service(Verification::Optional).await,
            noting,
            pool,
            _embedded: embedded,
        }
    }

    async fn register(&self, email: &str) {
        let registered = self.service.register(&caller(), email, &password()).await;
        registered.unwrap();
    }

    /// Makes an account whose address is verified.
    async fn verified(&self, email: &str) {
        let registered = self.lenient.register(&caller(), email, &password()).await;
        let Registered::Tokens(tokens) = registered.unwrap() else {
            panic!("accounts need no verification here");
        };
        verify(&*self.noting, tokens.player).await;
    }

    /// What a login that must fail asks the store, and how many hashes it takes.
    async fn login(&self, email: &str, password: &str, device: Option<&str>) -> (Vec<&str>, u64) {
        let hashes = || self.pool.counters().done.load(Ordering::Relaxed);
        let before = hashes();
        self.noting.asked.lock().unwrap().clear();
        let mut caller = caller();
        caller.client.device_id = device.map(ToOwned::to_owned);
        let password = Password::new(password).unwrap();
        let refused = self.service.login(&caller, email, &password).await;
        assert_eq!(refused.unwrap_err().code, Code::InvalidCredentials);
        let asked = std::mem::take(&mut *self.noting.asked.lock().unwrap());
        (asked, hashes() - before)
    }
}

#[tokio::test]
async fn a_refused_login_does_the_same_whoever_it_is_for() {
    let watched = Watched::new().await;
    watched.register("unverified@example.com").await;
    let (verified, unknown) = ("verified@example.com", "unknown@example.com");
    watched.verified(verified).await;
    let wrong = "not the password of anybody";
    for device in [None, Some("a device with an id of its own")] {
        let expected = watched.login(unknown, wrong, device).await;
        assert_eq!(expected.1, 1, "one slow hash");
        let unverified = "unverified@example.com";
        assert_eq!(watched.login(unverified, wrong, device).await, expected);
        // Right, and still not to be told from wrong.
        let right = crate::world::PASSWORD;
        assert_eq!(watched.login(unverified, right, device).await, expected);
        assert_eq!(watched.login(verified, wrong, device).await, expected);
    }
}

#[tokio::test]
async fn a_registration_does_the_same_for_an_address_that_is_taken() {
    let watched = Watched::new().await;
    let register = async |email: &str| {
        let before = watched.pool.counters().done.load(Ordering::Relaxed);
        watched.noting.asked.lock().unwrap().clear();
        watched.register(email).await;
        let asked = watched.noting.asked.lock().unwrap().clone();
        let after = watched.pool.counters().done.load(Ordering::Relaxed);
        (asked, after - before)
    };
    let first = register("ada@example.com").await;
    assert_eq!(register("ada@example.com").await, first);
}
