//! Sign-ins that meet changes of what they sign in with, changes whose callers hang up, and attempts
//! that come to nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use auth::captcha::Captcha;
use auth::crypto::column::Cell;
use auth::factors::recovery;
use auth::ids::PlayerId;
use auth::limits::{self, Limits};
use auth::live::{Live, News, Rate};
use auth::notify::outbox::{self, outbox};
use auth::notify::{Deliver, Mail, Undelivered};
use auth::passwords::Password;
use auth::passwords::pool::{self, Pool};
use auth::service::caller::Caller;
use auth::service::login::SignIn;
use auth::service::register::Registered;
use auth::service::sessions::Tokens;
use auth::service::validate::Holder;
use auth::service::{Parts, Service, Verification};
use auth::signing::Signing;
use auth::signing::plan::Policy;
use auth::store::{NewPassword, OneTime, Purpose, Right, Store, Totp};
use auth::{Code, Failure};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::likeness::Noting;
use crate::replica::{Embedded, until};
use crate::world::{caller, parts, password, pool, signing};

/// What owners choose instead of [`crate::world::PASSWORD`].
const NEW: &str = "copper lanterns sway past noon 58";

/// Where services share their state.
struct Place {
    store: Arc<dyn Store>,
    live: Arc<dyn Live>,
    signing: Arc<Signing>,
    /// Where the store is.
    embedded: Embedded,
}

impl Place {
    async fn new() -> Self {
        let embedded = Embedded::new();
        let (store, live) = embedded.clients().await;
        let signing = signing(runtime::clock::now(), &store, &live, Policy::default()).await;
        Self {
            store,
            live,
            signing,
            embedded,
        }
    }

    /// A service without background work.
    async fn service(&self, pool: Arc<Pool>, adapt: impl FnOnce(Parts) -> Parts) -> Service {
        let parts = parts(
            Arc::clone(&self.store),
            Arc::clone(&self.live),
            Arc::clone(&self.signing),
            Verification::Optional,
            pool,
        );
        Service::new(adapt(parts.await))
    }

    /// A password that nobody knows, by a mailed secret.
    async fn reset(&self, player: PlayerId) {
        let at = runtime::clock::now();
        let secret = OneTime {
            player,
            purpose: Purpose::ResetPassword,
            hash: [7; 32],
            expires: at + Duration::from_hours(1),
        };
        self.store.put_one_time(&secret).await.unwrap();
        let new = NewPassword {
            player,
            hash: "of something else".to_owned(),
            right: Right::Mailed(secret.hash),
            at,
        };
        let line = auth::store::Audit {
            id: Uuid::new_v4(),
            player,
            at,
            event: "password_changed".to_owned(),
            outcome: "success".to_owned(),
            ip: String::new(),
            detail: serde_json::json!({}),
        };
        let replaced = self.store.replace_password(&new, &line).await;
        assert!(replaced.unwrap().is_some());
    }

    async fn has_sessions(&self, player: PlayerId) -> usize {
        let now = runtime::clock::now();
        self.store.sessions(player, now).await.unwrap().len()
    }
}

/// A new account, and its first tokens.
async fn register(service: &Service) -> (String, Tokens) {
    let email = format!("{}@example.com", Uuid::new_v4().simple());
    let registered = service.register(&caller(), &email, &password()).await;
    let Registered::Tokens(tokens) = registered.unwrap() else {
        panic!("accounts need no verification here");
    };
    (email, *tokens)
}

fn code<T: std::fmt::Debug>(answer: Result<T, Failure>) -> Code {
    answer.unwrap_err().code
}

/// A pool with one place, where so many may wait.
fn narrow(queue: usize) -> Arc<Pool> {
    Arc::new(Pool::new(pool::Limits {
        parallel: 1,
        queue,
        wait: Duration::from_mins(1),
        ..pool::Limits::default()
    }))
}

/// Takes the one place until what is returned is dropped.
async fn hold(pool: &Arc<Pool>) -> (mpsc::Sender<()>, impl Future<Output = ()> + use<>) {
    let (release, held) = mpsc::channel::<()>();
    let pool = Arc::clone(pool);
    let mut holding = Box::pin(async move {
        let ended = pool.run(1, move || held.recv().is_err()).await;
        assert!(ended.unwrap(), "it is let go by a drop");
    });
    assert!(futures::poll!(&mut holding).is_pending());
    (release, holding)
}

/// Guessing has its usual limits, and a wait is longer than any test; nothing else has any.
fn strict(parts: Parts) -> Parts {
    let usual = limits::Config::default();
    let limits = Limits::new(limits::Config {
        rates: limits::Rates {
            code: Rate {
                burst: 12,
                period: Duration::from_hours(1),
            },
            ..usual.rates.times(10_000)
        },
        lockout: limits::Policy {
            first: usual.lockout.longest,
            ..usual.lockout
        },
        ..usual
    });
    Parts { limits, ..parts }
}

#[tokio::test]
async fn a_login_that_began_before_a_new_password_opens_no_session() {
    let place = Place::new().await;
    let busy = narrow(1);
    let service = place.service(Arc::clone(&busy), |parts| parts).await;
    let (email, tokens) = register(&service).await;
    let (release, holding) = hold(&busy).await;
    let slow = service.clone();
    let login = tokio::spawn(async move { slow.login(&caller(), &email, &password()).await });
    until("the login waits", async || {
        busy.counters().waiting.load(Ordering::Relaxed) == 1
    })
    .await;
    place.reset(tokens.player).await;
    drop(release);
    holding.await;
    // The password was right when it was looked at.
    assert_eq!(code(login.await.unwrap()), Code::InvalidCredentials);
    assert_eq!(place.has_sessions(tokens.player).await, 0);
}

#[tokio::test]
async fn a_client_that_hangs_up_stops_no_change_half_way() {
    let place = Place::new().await;
    let noting = Noting::new(Arc::clone(&place.store));
    let store = Arc::clone(&noting) as Arc<dyn Store>;
    let service = place.service(pool(), |parts| Parts { store, ..parts });
    let service = service.await;
    let (email, own) = register(&service).await;
    let other = service.login(&caller(), &email, &password()).await.unwrap();
    let SignIn::Tokens(other) = other else {
        panic!("nobody has a second factor here");
    };
    let claims = service.validate(&own.access, None, Holder::Player(None));
    let claims = claims.await.unwrap();
    let mut news = place.live.subscribe();
    // Somebody else writes, so that the change has to wait when everything is looked at.
    let mut writer = place.embedded.connect().await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut writer)
        .await
        .unwrap();
    let (changing, new) = (service.clone(), Password::new(NEW).unwrap());
    let call = tokio::spawn(async move {
        changing
            .change_password(&caller(), &claims, &password(), &new)
            .await
    });
    until("the change", async || noting.was_asked("replace_password")).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    sqlx::query("ROLLBACK").execute(&mut writer).await.unwrap();
    // The process ends, but not before what is under way.
    let stopped = CancellationToken::new();
    stopped.cancel();
    service.run(stopped).await;
    let player = place.store.player(own.player).await.unwrap().unwrap();
    assert_eq!(player.credentials_epoch, 1);
    assert_eq!(place.has_sessions(own.player).await, 1);
    let lines = place.store.audit_of(own.player, None, 99).await.unwrap();
    let lines = lines.iter().filter(|line| line.event == "password_changed");
    assert_eq!(lines.count(), 1);
    let told = std::iter::from_fn(|| news.try_recv().ok())
        .any(|news| matches!(news, News::Revoked(end) if end.session == Some(other.session)));
    assert!(told, "every replica hears of the ended session");
}

/// A captcha that nobody solves until it is told.
#[derive(Debug, Default)]
struct Gate(AtomicBool);

#[async_trait]
impl Captcha for Gate {
    async fn check(&self, _: Option<&str>, _: IpAddr) -> Result<(), Failure> {
        if self.0.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(Failure::new(Code::CaptchaRequired, "solve it"))
    }
}

#[tokio::test]
async fn who_is_not_asked_for_the_password_did_not_fail() {
    let place = Place::new().await;
    let busy = narrow(0);
    let gate = Arc::new(Gate(AtomicBool::new(true)));
    let captcha: Arc<dyn Captcha> = Arc::<Gate>::clone(&gate);
    let service = place.service(Arc::clone(&busy), |parts| Parts {
        captcha,
        ..strict(parts)
    });
    let service = service.await;
    let (email, tokens) = register(&service).await;
    let claims = service.validate(&tokens.access, None, Holder::Player(None));
    let claims = claims.await.unwrap();
    let wrong = Password::new("not the password of anybody").unwrap();
    let (right, new) = (password(), Password::new(NEW).unwrap());
    let login = async |password| code(service.login(&caller(), &email, password).await);
    let change = async |former| {
        let caller = caller();
        let changed = service.change_password(&caller, &claims, former, &new);
        code(changed.await)
    };
    for _ in 0..4 {
        assert_eq!(login(&wrong).await, Code::InvalidCredentials);
        assert_eq!(change(&wrong).await, Code::InvalidCredentials);
    }
    let (release, holding) = hold(&busy).await;
    for _ in 0..20 {
        assert_eq!(login(&right).await, Code::Overloaded);
        assert_eq!(change(&right).await, Code::Overloaded);
    }
    drop(release);
    holding.await;
    gate.0.store(false, Ordering::Relaxed);
    for _ in 0..20 {
        assert_eq!(login(&right).await, Code::CaptchaRequired);
    }
    gate.0.store(true, Ordering::Relaxed);
    // What was wrong still counts: one more is free, and no other.
    for expected in [Code::InvalidCredentials, Code::Throttled] {
        assert_eq!(login(&wrong).await, expected);
        assert_eq!(change(&wrong).await, expected);
    }
}

/// Mails that came.
#[derive(Debug, Default)]
struct Inbox(Mutex<Vec<Mail>>);

#[async_trait]
impl Deliver<Mail> for Inbox {
    async fn deliver(&self, mail: &Mail) -> Result<(), Undelivered> {
        self.0.lock().unwrap().push(mail.clone());
        Ok(())
    }
}

/// Somebody elsewhere.
fn from(host: u8) -> Caller {
    Caller {
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)),
        ..caller()
    }
}

/// A player with a second step, who works at it from many places.
struct Stepper {
    service: Service,
    email: String,
}

impl Stepper {
    /// Does the first step, and tries a code for the second.
    async fn step(&self, host: u8, password: &Password, code: &str) -> Result<Tokens, Failure> {
        let caller = from(host);
        let entered = self.service.login(&caller, &self.email, password).await;
        let SignIn::Challenge(challenge) = entered.unwrap() else {
            panic!("a second step is asked for");
        };
        let handle = challenge.handle.expose();
        self.service.second_step(&caller, handle, code).await
    }

    /// The same with the first password and a wrong code.
    async fn guess(&self, host: u8) -> Code {
        code(self.step(host, &password(), "000000").await)
    }
}

#[tokio::test]
async fn codes_are_guessed_in_vain_from_any_number_of_places() {
    let place = Place::new().await;
    let inbox = Arc::new(Inbox::default());
    let deliver: Arc<dyn Deliver<Mail>> = Arc::<Inbox>::clone(&inbox);
    let (outbox, worker) = outbox(deliver, outbox::Limits::default());
    let mut columns = None;
    let service = place.service(pool(), |parts| {
        columns = Some(auth::crypto::column::Columns::new(Arc::clone(
            &parts.secrets,
        )));
        Parts {
            outbox,
            ..strict(parts)
        }
    });
    let service = service.await;
    let stop = CancellationToken::new();
    let posting = tokio::spawn(worker.run(stop.clone()));
    let (background, ends) = (service.clone(), stop.clone());
    let background = tokio::spawn(async move { background.run(ends).await });
    let (email, tokens) = register(&service).await;
    let claims = service.validate(&tokens.access, None, Holder::Player(None));
    let claims = claims.await.unwrap();
    let player = tokens.player;
    let cell = Cell {
        table: "users",
        column: "totp_secret",
        row: player.0.as_bytes(),
    };
    let totp = Totp {
        secret: columns.unwrap().seal(&cell, &[5; 20]).unwrap(),
        confirmed: true,
        last_step: 0,
    };
    let codes = recovery::codes(&[[9; recovery::CODE_BYTES]; recovery::CODES]);
    let hash = recovery::hash(player, &codes[0]).unwrap();
    let set = place
        .store
        .set_totp(player, Some(&totp), &[hash], None)
        .await;
    set.unwrap();

    let stepper = Stepper { service, email };
    // A right password between them does not take wrong codes back.
    for host in [1, 2] {
        for _ in 0..5 {
            assert_eq!(stepper.guess(host).await, Code::InvalidCredentials);
        }
        assert_eq!(stepper.guess(host).await, Code::Throttled);
    }
    // Ten were looked at, and two more are, wherever they come from; then not even the right one.
    for host in [3, 4] {
        assert_eq!(stepper.guess(host).await, Code::InvalidCredentials);
    }
    for host in 5..10 {
        let refused = stepper.step(host, &password(), &codes[0]).await;
        assert_eq!(code(refused), Code::Throttled);
    }
    let warnings = || {
        let mails = inbox.0.lock().unwrap();
        let about = mails
            .iter()
            .filter(|mail| mail.subject.contains("guessing"));
        about.count()
    };
    until("the owner's mail", async || warnings() == 1).await;
    // The owner is not kept out: a new password begins anew.
    let (service, new) = (&stepper.service, Password::new(NEW).unwrap());
    let (owner, former) = (from(20), password());
    let changed = service.change_password(&owner, &claims, &former, &new);
    changed.await.unwrap();
    stepper.step(1, &new, &codes[0]).await.unwrap();
    stop.cancel();
    background.await.unwrap();
    posting.await.unwrap();
    assert_eq!(warnings(), 1);
    let lines = place.store.audit_of(player, None, 99).await.unwrap();
    let suspicious = lines.iter().filter(|line| line.outcome == "suspicious");
    assert_eq!(suspicious.count(), 1);
}
