//! The parts of a service with hashes that cost little and limits that nobody reaches.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use auth::captcha::Unasked;
use auth::crypto::column::{Cell, Columns};
use auth::ids::PlayerId;
use auth::limits::{self, Limits, Policy as Lockout};
use auth::live::{Live, Rate};
use auth::metrics::Metrics;
use auth::notify::outbox::{self, outbox};
use auth::notify::texts::Texts;
use auth::notify::{Deliver, Mail, Undelivered};
use auth::passwords::breached::Unlisted;
use auth::passwords::kdf::Profile;
use auth::passwords::pool::{self, Pool};
use auth::passwords::{self, Password, Passwords};
use auth::providers::Providers;
use auth::secrets::Secrets;
use auth::service::caller::{Caller, Client};
use auth::service::{ClientClass, DpopPolicy, Parts, Settings, Verification};
use auth::signing::plan::Policy;
use auth::signing::{Seal, SealError, Shared, Signing};
use auth::store::{Audit, OneTime, Purpose, Store};
use prometheus::Registry;
use storage::secrets::{Entries, Error, Secret, Source};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Of every player.
pub(crate) const PASSWORD: &str = "violet anvils hum at dusk 41";

/// Where everybody calls from.
pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The same keys for every replica.
#[derive(Debug)]
struct Same;

#[async_trait]
impl Source for Same {
    async fn read(&self) -> Result<Entries, Error> {
        let names = ["master.v1", "index.v1"];
        let keys = names.into_iter().zip(1_u8..);
        Ok(keys
            .map(|(name, first)| {
                let bytes = (0..32).map(|index| index ^ first << 6).collect();
                (name.to_owned(), Secret::new(bytes))
            })
            .collect())
    }

    fn place(&self, name: &str) -> String {
        name.to_owned()
    }

    fn interval(&self) -> Duration {
        Duration::from_hours(1)
    }
}

/// Signing keys are sealed as the process seals them.
#[derive(Debug)]
struct Sealed(Columns);

fn cell(row: &[u8]) -> Cell<'_> {
    Cell {
        table: "signing_keys",
        column: "private_key",
        row,
    }
}

impl Seal for Sealed {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let sealed = self.0.seal(&cell(context), plain);
        sealed.map_err(|error| SealError(error.to_string()))
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let opened = self.0.open(&cell(context), sealed);
        opened.map_err(|error| SealError(error.to_string()))
    }
}

/// Mails go nowhere.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl Deliver<Mail> for Nowhere {
    async fn deliver(&self, _: &Mail) -> Result<(), Undelivered> {
        Ok(())
    }
}

async fn secrets() -> Arc<Secrets> {
    Arc::new(Secrets::load(Arc::new(Same)).await.unwrap())
}

/// The signing keys of a store, as they are at that time.
pub(crate) async fn signing(
    now: jiff::Timestamp,
    store: &Arc<dyn Store>,
    live: &Arc<dyn Live>,
    policy: Policy,
) -> Arc<Signing> {
    let backing = Box::new(Shared {
        store: Arc::clone(store),
        live: Arc::clone(live),
    });
    let seal = Box::new(Sealed(Columns::new(secrets().await)));
    Arc::new(Signing::load(now, backing, seal, policy).await.unwrap())
}

/// Limits that nobody reaches.
fn limits() -> Limits {
    let usual = limits::Config::default();
    Limits::new(limits::Config {
        rates: usual.rates.times(10_000),
        lockout: Lockout {
            free: u32::MAX,
            ..usual.lockout
        },
        failures: Rate {
            burst: 10_000_000,
            period: Duration::from_micros(1),
        },
        ..usual
    })
}

/// Everything that a service works with.
pub(crate) async fn parts(
    store: Arc<dyn Store>,
    live: Arc<dyn Live>,
    signing: Arc<Signing>,
    verification: Verification,
    pool: Arc<Pool>,
) -> Parts {
    let secrets = secrets().await;
    let cheap = passwords::Config {
        profile: Profile::Argon2id {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
        },
        former: Vec::new(),
        pepper: None,
    };
    let (outbox, _) = outbox(Arc::new(Nowhere), outbox::Limits::default());
    Parts {
        settings: Settings {
            issuer: "https://auth.example.com".to_owned(),
            refresh_lifetime: Duration::from_hours(24),
            session_lifetime: Duration::from_hours(48),
            refresh_grace: Duration::from_secs(10),
            abandoned: None,
            verification,
            classes: vec![ClientClass {
                name: "default".to_owned(),
                dpop: DpopPolicy::Optional,
                audiences: vec!["game".to_owned()],
            }],
        },
        store,
        live,
        columns: Columns::new(Arc::clone(&secrets)),
        secrets,
        signing,
        passwords: Passwords::new(cheap, pool, Arc::new(Unlisted)).unwrap(),
        limits: limits(),
        outbox,
        texts: Texts {
            game: "Arena".to_owned(),
            verify: "https://auth.example.com/verify".parse().unwrap(),
            reset: "https://auth.example.com/reset".parse().unwrap(),
        },
        captcha: Arc::new(Unasked),
        providers: Providers::default(),
        passkeys: None,
        metrics: Metrics::register(&Registry::new()).unwrap(),
    }
}

/// A pool that refuses nobody.
pub(crate) fn pool() -> Arc<Pool> {
    Arc::new(Pool::new(pool::Limits {
        queue: 10_000,
        wait: Duration::from_mins(1),
        ..pool::Limits::default()
    }))
}

/// Somebody.
pub(crate) fn caller() -> Caller {
    Caller {
        address: HERE,
        proof: None,
        client: Client {
            name: "test".to_owned(),
            ..Client::default()
        },
        captcha: None,
    }
}

/// Proves that the owner of an account reads its mail.
pub(crate) async fn verify(store: &dyn Store, player: PlayerId) {
    let now = runtime::clock::now();
    let secret = OneTime {
        player,
        purpose: Purpose::VerifyEmail,
        hash: [7; 32],
        expires: now + Duration::from_hours(1),
    };
    let line = Audit {
        id: Uuid::new_v4(),
        player,
        at: now,
        event: "email_verified".to_owned(),
        outcome: "success".to_owned(),
        ip: String::new(),
        detail: serde_json::json!({}),
    };
    store.put_one_time(&secret).await.unwrap();
    let verified = store.verify_email(player, &secret.hash, now, &line).await;
    assert!(verified.unwrap());
}

pub(crate) fn password() -> Password {
    Password::new(PASSWORD).unwrap()
}
