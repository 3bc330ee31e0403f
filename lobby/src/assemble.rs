//! Puts the lobby together from its configuration: opens databases, and ways to auth and the
//! allocator.

use std::sync::Arc;
use std::time::Duration;

use access::Verifier;
use storage::secrets::files::Files;
use storage::secrets::vault::Vault;
use storage::secrets::{Secrets, Source};
use storage::valkey::Nodes;
use storage::{sql, start};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::accounts::grpc::Auth;
use crate::chat::moderation::{self, Moderator};
use crate::config::{Config, Keeping, SecretsFrom};
use crate::live::memory::Memory;
use crate::live::valkey::Valkey;
use crate::live::{self, Live};
use crate::metrics::Metrics;
use crate::servers::Servers;
use crate::servers::grpc::Allocator;
use crate::servers::none::NoServers;
use crate::service::{Parts, Service};
use crate::sessions::Sessions;
use crate::store::postgres::Postgres;
use crate::store::sqlite::Sqlite;
use crate::store::{self, Store};
use crate::upstream::{self, Route};

/// What access tokens for the lobby are for.
pub const AUDIENCE: &str = "lobby";

/// How many documents memory holds where it stands for Valkey.
const DOCUMENTS: usize = 1_000_000;

/// How long a connect token is good for: a client that has it connects at once, or asks again.
const TOKEN_LIFETIME: Duration = Duration::from_mins(1);

/// Why the lobby cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Secrets cannot be used.
    #[error("load secrets")]
    Secrets(#[from] storage::secrets::Error),
    /// Databases cannot be used.
    #[error(transparent)]
    Start(#[from] start::Error),
    /// The database of the embedded mode cannot be opened.
    #[error("open the database")]
    Store(#[from] store::Error),
    /// Valkey's addresses cannot be used.
    #[error("use the addresses of Valkey")]
    Live(#[from] live::Error),
    /// Auth or the allocator cannot be called.
    #[error(transparent)]
    Upstream(#[from] upstream::Error),
    /// Word lists cannot be used.
    #[error("chat.words")]
    Words(#[from] moderation::Error),
}

/// A lobby that was put together, and what must run beside it.
#[derive(Debug)]
pub struct Assembled {
    /// The lobby.
    pub service: Service,
    /// Follows secrets; none where there are none.
    pub databases: Option<Databases>,
}

/// Databases whose addresses are secrets.
#[derive(Debug)]
pub struct Databases {
    secrets: Arc<Secrets>,
    postgres: Arc<Postgres>,
    valkey: Arc<Valkey>,
}

impl Databases {
    /// Hears other lobbies, and follows secrets, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            secrets,
            postgres,
            valkey,
        } = self;
        let renew = |nodes: &Nodes| {
            valkey
                .renew(nodes)
                .map_err(|error| storage::valkey::Error(error.0))
        };
        tokio::join!(
            valkey.listen(&stop),
            secrets.follow(stop.clone()),
            start::follow_database(&secrets, postgres.database(), &stop),
            start::follow_valkey(&secrets, renew, &stop),
        );
    }
}

/// Reads secrets from where the configuration says.
async fn secrets(from: &SecretsFrom) -> Result<Arc<Secrets>, Error> {
    let source: Arc<dyn Source> = match from {
        SecretsFrom::Directory(directory) => Arc::new(Files::new(directory)),
        SecretsFrom::Vault(config) => Arc::new(Vault::new(config.clone())),
    };
    Ok(Arc::new(Secrets::load(source).await?))
}

/// The store, the live state, and what keeps their addresses current.
type State = (Arc<dyn Store>, Arc<dyn Live>, Option<Databases>);

async fn state(config: &Config, stop: &CancellationToken) -> Result<State, Error> {
    match &config.keeping {
        Keeping::Sqlite(path) => {
            let store = Arc::new(Sqlite::open(path).await?);
            Ok((store, Arc::new(Memory::new(DOCUMENTS)), None))
        }
        Keeping::Postgres => {
            let secrets = secrets(&config.secrets).await?;
            let addresses = start::valkey(&secrets)?;
            let postgres = postgres(config, &secrets, stop).await?;
            let valkey = Arc::new(Valkey::new(&addresses)?);
            let databases = Databases {
                secrets,
                postgres: Arc::clone(&postgres),
                valkey: Arc::clone(&valkey),
            };
            Ok((postgres, valkey, Some(databases)))
        }
    }
}

/// Connects to PostgreSQL, and brings its tables up to date; waits for it until `stop`.
async fn postgres(
    config: &Config,
    secrets: &Secrets,
    stop: &CancellationToken,
) -> Result<Arc<Postgres>, Error> {
    let postgres = Postgres::new(storage::postgres::Config {
        connections: config.database_connections,
        pooler: config.pooler,
        ..start::database(secrets)?
    })
    .map_err(|_| start::Error::Address(start::DATABASE))?;
    let direct = start::address(secrets, start::DATABASE_MIGRATION)?;
    let migrate = || async {
        let migrated = postgres.migrate(direct.as_ref()).await;
        migrated.map_err(|error| match error {
            store::Error::Unavailable(cause) => sql::Error::Unavailable(cause),
            store::Error::Defect(problem) => sql::Error::Corrupt(problem),
        })
    };
    start::patiently("PostgreSQL", stop, migrate).await?;
    Ok(Arc::new(postgres))
}

/// Puts the lobby together; waits for databases until `stop`.
pub async fn assemble(
    config: &Config,
    metrics: Metrics,
    stop: &CancellationToken,
) -> Result<Assembled, Error> {
    let moderator = Moderator::new(&config.settings.lists)?;
    let servers: Arc<dyn Servers> = match &config.allocator {
        Some(upstream) => {
            let route = Route::new(upstream.clone())?;
            Arc::new(Allocator::new(route, TOKEN_LIFETIME))
        }
        None => Arc::new(NoServers),
    };
    let accounts = Arc::new(Auth::new(Route::new(config.auth.clone())?));
    let (store, live, databases) = state(config, stop).await?;
    let service = Service::new(Parts {
        replica: Uuid::new_v4(),
        settings: config.settings.clone(),
        queues: config.queues.clone(),
        verifier: Arc::new(Verifier::new(&*config.issuer, AUDIENCE)),
        store,
        sessions: Sessions::new(Arc::clone(&live)),
        live,
        servers,
        accounts,
        moderator,
        metrics,
    });
    Ok(Assembled { service, databases })
}
