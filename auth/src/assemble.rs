//! Puts the service together from its configuration: opens databases, reads secrets and keys.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use storage::Confidential;
use storage::postgres;
use storage::secrets::Source;
use storage::secrets::files::Files;
use storage::secrets::vault::Vault;
use storage::start::{self, patiently};
use tokio_util::sync::CancellationToken;
use url::Url;
use zeroize::Zeroizing;

use crate::captcha::{self, Captcha, Siteverify, Unasked};
use crate::config::{Accounts, Config, SecretsFrom};
use crate::crypto::column::{Cell, Columns};
use crate::factors::passkey::Passkeys;
use crate::limits::Limits;
use crate::live::Live;
use crate::live::memory::Memory;
use crate::live::valkey::Valkey;
use crate::metrics::Metrics;
use crate::notify::folder::Folder;
use crate::notify::outbox::{self, Worker};
use crate::notify::smtp::{self, Smtp};
use crate::notify::texts::Texts;
use crate::notify::{Mail, Mailer};
use crate::passwords::breached::{Breached, Ranges, Unlisted};
use crate::passwords::pool::{self, Pool};
use crate::passwords::{self, Passwords};
use crate::providers::Providers;
use crate::providers::http::{self, Http};
use crate::secrets::Secrets;
use crate::secrets::keyring::DRAWN;
use crate::service::{Parts, Service};
use crate::signing::{self, Seal, SealError, Shared, Signing};
use crate::store::postgres::Postgres;
use crate::store::sqlite::Sqlite;
use crate::store::{PinnedKey, Store};

/// The secret with the certificate authority of the mail server, in PEM; read at the start.
const MAIL_AUTHORITY: &str = "smtp.ca";

/// How long a call to the outside may take.
const OUTWARD: Duration = Duration::from_secs(5);

/// How many things memory remembers where it stands for Valkey.
const REMEMBERED: usize = 1_000_000;

/// Why the service cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Metrics could not be registered.
    #[error("register metrics")]
    Metrics(#[from] prometheus::Error),
    /// Secrets cannot be used.
    #[error("load secrets")]
    Secrets(#[from] storage::secrets::Error),
    /// Databases cannot be used.
    #[error(transparent)]
    Start(#[from] start::Error),
    /// A key is not the one that the accounts were made with.
    #[error("the secret {0} is not the key that these accounts were made with; put that one back")]
    Key(String),
    /// The database of the embedded mode cannot be opened.
    #[error("open the accounts")]
    Accounts(#[from] crate::store::Error),
    /// Signing keys cannot be used.
    #[error("load signing keys")]
    Signing(#[from] signing::Error),
    /// Something in the configuration cannot be used.
    #[error("{0}")]
    Config(String),
}

/// A service that was put together, and what must run beside it.
#[derive(Debug)]
pub struct Assembled {
    /// The service.
    pub service: Service,
    /// Secrets, for the edge.
    pub secrets: Arc<Secrets>,
    /// The store, for gates.
    pub store: Arc<dyn Store>,
    /// The quick state, for gates.
    pub live: Arc<dyn Live>,
    /// Delivers mails.
    pub mails: Worker<Mail>,
    /// Follows the secrets of providers.
    pub elsewhere: Elsewhere,
    /// Follows the secret with its address.
    pub database: Option<Arc<Postgres>>,
    /// Hears other replicas.
    pub valkey: Option<Arc<Valkey>>,
    /// Signs; for gates.
    pub signing: Arc<Signing>,
}

/// Signing keys are sealed as columns are.
#[derive(Debug)]
struct Sealed(Columns);

impl Sealed {
    const fn cell(context: &[u8]) -> Cell<'_> {
        Cell {
            table: "signing_keys",
            column: "private_key",
            row: context,
        }
    }
}

impl Seal for Sealed {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.0
            .seal(&Self::cell(context), plain)
            .map_err(|error| SealError(error.to_string()))
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.0
            .open(&Self::cell(context), sealed)
            .map_err(|error| SealError(error.to_string()))
    }
}

/// Reads secrets from where the configuration says.
pub async fn secrets(from: &SecretsFrom) -> Result<Arc<Secrets>, Error> {
    let source: Arc<dyn Source> = match from {
        SecretsFrom::Directory(directory) => Arc::new(Files::new(directory)),
        SecretsFrom::OwnDirectory(directory) => Arc::new(Files::with_keys(directory, &DRAWN)?),
        SecretsFrom::Vault(config) => Arc::new(Vault::new(config.clone())),
    };
    Ok(Arc::new(Secrets::load(source).await?))
}

/// Connects to PostgreSQL, and brings its schema up to date; waits for it until `stop`.
async fn database(
    config: &Config,
    secrets: &Secrets,
    stop: &CancellationToken,
) -> Result<Arc<Postgres>, Error> {
    let database = Postgres::new(postgres::Config {
        connections: config.file.database_connections,
        pooler: config.file.pooler,
        ..start::database(secrets)?
    })
    .map_err(|_| start::Error::Address(start::DATABASE))?;
    let direct = start::address(secrets, start::DATABASE_MIGRATION)?;
    let migrate = || database.migrate(direct.as_ref());
    patiently("PostgreSQL", stop, migrate).await?;
    Ok(Arc::new(database))
}

/// Builds providers anew when a secret of theirs changes, until `stop`.
pub async fn follow_providers(secrets: &Secrets, elsewhere: &Elsewhere, stop: &CancellationToken) {
    let renew = || -> Result<(), Error> {
        let renewed = elsewhere.build(secrets)?;
        elsewhere.providers.replace(&renewed);
        Ok(())
    };
    let names = elsewhere.config.secrets();
    secrets
        .on_change(&names, "every provider", renew, stop)
        .await;
}

/// Refuses keys that are not those which the accounts were made with: nobody would be found by
/// another index key, and nothing opens by another master key.
async fn check_keys(
    secrets: &Secrets,
    store: &dyn Store,
) -> Result<Vec<Mismatch>, crate::store::Error> {
    let current = secrets.current();
    let own = current.keys.fingerprints();
    let pinned: Vec<PinnedKey> = own
        .iter()
        .map(|(name, fingerprint)| PinnedKey {
            name: name.clone(),
            fingerprint: *fingerprint,
        })
        .collect();
    let known = store.pin_keys(&pinned).await?;
    Ok(known
        .into_iter()
        .filter_map(|known| match own.get(&known.name) {
            Some(fingerprint) if *fingerprint == known.fingerprint => None,
            Some(_) => Some(Mismatch::Another(known.name)),
            None => Some(Mismatch::Missing(known.name)),
        })
        .collect())
}

/// A key that is not as the accounts know it.
enum Mismatch {
    /// There is another one under its name.
    Another(String),
    /// There is none.
    Missing(String),
}

/// Puts the service together; waits for the database until `stop`.
pub async fn assemble(
    config: &Config,
    metrics: Metrics,
    stop: &CancellationToken,
) -> Result<Assembled, Error> {
    let secrets = secrets(&config.secrets).await?;
    let (store, database): (Arc<dyn Store>, _) = match &config.accounts {
        Accounts::Sqlite(path) => (Arc::new(Sqlite::open(path).await?), None),
        Accounts::Postgres => {
            let database = database(config, &secrets, stop).await?;
            (Arc::clone(&database) as Arc<dyn Store>, Some(database))
        }
    };
    for mismatch in patiently("accounts", stop, || check_keys(&secrets, store.as_ref())).await? {
        match mismatch {
            Mismatch::Another(name) => return Err(Error::Key(name)),
            // Nothing may be sealed by it any more.
            Mismatch::Missing(name) => {
                tracing::warn!(
                    name,
                    "A key that was in use is missing; what it sealed is closed"
                );
            }
        }
    }
    let (live, valkey): (Arc<dyn Live>, _) = match &config.accounts {
        Accounts::Sqlite(_) => (Arc::new(Memory::new(REMEMBERED)), None),
        Accounts::Postgres => {
            let valkey = Valkey::new(&start::valkey(&secrets)?).map_err(start::Error::from)?;
            let valkey = Arc::new(valkey);
            (Arc::clone(&valkey) as Arc<dyn Live>, Some(valkey))
        }
    };
    let columns = || Columns::new(Arc::clone(&secrets));
    let signing = signing(&store, &live, columns(), stop).await?;
    let file = &config.file;
    let (deliver, texts) = mailer(config, &secrets)?;
    let elsewhere = Elsewhere::new(config, &secrets)?;
    let (outbox, mails) = outbox::outbox(deliver, outbox::Limits::default());
    let parts = Parts {
        settings: config.settings.clone(),
        store: Arc::clone(&store),
        live: Arc::clone(&live),
        columns: columns(),
        signing: Arc::clone(&signing),
        passwords: passwords(config, &secrets)?,
        limits: Limits::new(file.limits(&mut Vec::new())),
        outbox,
        texts,
        captcha: captcha(config, &secrets)?,
        providers: elsewhere.providers.clone(),
        passkeys: passkeys(config)?,
        metrics,
        secrets: Arc::clone(&secrets),
    };
    let service = Service::new(parts);
    patiently("revocations", stop, || service.catch_up()).await?;
    Ok(Assembled {
        service,
        secrets,
        store,
        live,
        mails,
        elsewhere,
        database,
        valkey,
        signing,
    })
}

async fn signing(
    store: &Arc<dyn Store>,
    live: &Arc<dyn Live>,
    columns: Columns,
    stop: &CancellationToken,
) -> Result<Arc<Signing>, Error> {
    // The keys themselves must be readable; that a database answers was seen just now.
    let backing = Shared {
        store: Arc::clone(store),
        live: Arc::clone(live),
    };
    let load = Signing::load(
        runtime::clock::now(),
        Box::new(backing),
        Box::new(Sealed(columns)),
        signing::plan::Policy::default(),
    );
    match stop.run_until_cancelled(load).await {
        Some(signing) => Ok(Arc::new(signing?)),
        None => Err(start::Error::Stopped("signing keys").into()),
    }
}

/// Who delivers mails, and what they say.
fn mailer(config: &Config, secrets: &Arc<Secrets>) -> Result<(Arc<Mailer>, Texts), Error> {
    let bad = |error: &dyn std::fmt::Display| Error::Config(format!("mail: {error}"));
    if let Some(mail) = &config.file.mail {
        let settings = smtp::Config {
            url: mail.url.clone(),
            from: mail.from.clone(),
            ca: secrets
                .current()
                .text(MAIL_AUTHORITY)
                .map(|pem| pem.as_bytes().to_vec()),
            timeout: OUTWARD,
        };
        let texts = Texts {
            game: config.file.game.clone(),
            verify: mail.verify_page.clone(),
            reset: mail.reset_page.clone(),
        };
        let smtp = Smtp::new(&settings, Arc::clone(secrets)).map_err(|error| bad(&error))?;
        return Ok((Arc::new(smtp), texts));
    }
    let Accounts::Sqlite(path) = &config.accounts else {
        return Err(bad(&"is missing"));
    };
    let folder = path
        .parent()
        .unwrap_or_else(|| Path::new("."))
        .join("mails");
    tracing::info!(folder = %folder.display(), "Mails are written to files, and sent to nobody");
    let page = |name: &str| {
        Url::parse(&config.settings.issuer)
            .and_then(|issuer| issuer.join(name))
            .map_err(|error| bad(&error))
    };
    let texts = Texts {
        game: config.file.game.clone(),
        verify: page("verify")?,
        reset: page("reset")?,
    };
    Ok((Arc::new(Folder::new(folder)), texts))
}

fn passwords(config: &Config, secrets: &Secrets) -> Result<Passwords, Error> {
    let entry = &config.file.passwords;
    let pool = Arc::new(Pool::new(pool::Limits {
        memory_mib: entry.memory_mib,
        queue: entry.queue,
        ..pool::Limits::default()
    }));
    let breached: Arc<dyn Breached> = match &entry.breached {
        None => Arc::new(Unlisted),
        Some(url) => Arc::new(
            Ranges::new(url.clone(), OUTWARD)
                .map_err(|error| Error::Config(format!("passwords.breached: {error}")))?,
        ),
    };
    let pepper = entry
        .pepper
        .then(|| secrets.current().keys.pepper().clone());
    let settings = passwords::Config {
        profile: entry.profile.profile(),
        former: entry.former.iter().map(|name| name.profile()).collect(),
        pepper,
    };
    Passwords::new(settings, pool, breached)
        .map_err(|error| Error::Config(format!("passwords.profile: {error}")))
}

fn captcha(config: &Config, secrets: &Arc<Secrets>) -> Result<Arc<dyn Captcha>, Error> {
    let Some(entry) = &config.file.captcha else {
        return Ok(Arc::new(Unasked));
    };
    let settings = captcha::Config {
        url: entry.url.clone(),
        hostnames: entry.hostnames.clone(),
        timeout: OUTWARD,
    };
    Siteverify::new(settings, Arc::clone(secrets))
        .map(|captcha| Arc::new(captcha) as Arc<dyn Captcha>)
        .map_err(|error| Error::Config(format!("captcha: {error}")))
}

/// Where else players sign in, and what it takes to say so anew.
#[derive(Debug)]
pub struct Elsewhere {
    config: crate::providers::Config,
    http: Http,
    providers: Providers,
}

impl Elsewhere {
    fn new(config: &Config, secrets: &Secrets) -> Result<Self, Error> {
        let http = Http::new(http::Limits::default())
            .map_err(|error| Error::Config(format!("elsewhere: {error}")))?;
        let mut this = Self {
            config: config.file.elsewhere.clone(),
            http,
            providers: Providers::default(),
        };
        this.providers = this.build(secrets)?;
        Ok(this)
    }

    fn build(&self, secrets: &Secrets) -> Result<Providers, Error> {
        let current = secrets.current();
        let secret = |name: &str| current.text(name).map(Confidential::new);
        self.config.build(&self.http, &secret).map_err(|problems| {
            let lines: Vec<String> = problems
                .iter()
                .map(|problem| format!("elsewhere.{problem}"))
                .collect();
            Error::Config(lines.join("; "))
        })
    }
}

/// Passkeys belong to a domain: there are none for an address.
fn passkeys(config: &Config) -> Result<Option<Passkeys>, Error> {
    let bad = |error: &dyn std::fmt::Display| Error::Config(format!("passkeys: {error}"));
    let issuer = Url::parse(&config.settings.issuer).map_err(|error| bad(&error))?;
    let Some(domain) = issuer.domain().map(ToOwned::to_owned) else {
        tracing::info!("No passkeys: the issuer is an address, not a domain");
        return Ok(None);
    };
    let mut origins = vec![issuer];
    origins.extend(config.file.passkey_origins.iter().cloned());
    Passkeys::new(&domain, &config.file.game, &origins)
        .map(Some)
        .map_err(|error| bad(&error))
}
