//! What is done with the databases from outside of the service: backup, restore, keys, accounts.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use prometheus::Registry;
use storage::Confidential;
use storage::start;
use tokio_util::sync::CancellationToken;

use crate::args::Command;
use crate::assemble::{self, assemble};
use crate::backup::archive::{Archive, S3};
use crate::backup::database::Database;
use crate::backup::restore::{Restore, restore};
use crate::backup::sessions::Valkey;
use crate::backup::{self, backup};
use crate::config::Config;
use crate::error::Failure;
use crate::metrics::Metrics;
use crate::service::Service;
use crate::signing;
use crate::store::Status;

/// How long a dump or a restore may take.
const LONGEST: Duration = Duration::from_hours(6);

/// The most sessions that are looked at.
const MOST_SESSIONS: u64 = 10_000_000;

/// The secret with the id of the access key of object storage, and that with the key.
const S3_ID: &str = "s3.access-key-id";
const S3_KEY: &str = "s3.secret-access-key";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Databases or secrets cannot be used.
    #[error(transparent)]
    Assemble(#[from] assemble::Error),
    /// Databases cannot be used.
    #[error(transparent)]
    Start(#[from] start::Error),
    /// Metrics could not be registered.
    #[error("register metrics")]
    Metrics(#[from] prometheus::Error),
    /// Keys cannot be changed.
    #[error("change signing keys")]
    Signing(#[from] signing::Error),
    /// There is no such key.
    #[error("there is no signing key {0:?}")]
    NoKey(String),
    /// The service refused.
    #[error("{0}")]
    Failure(#[from] Failure),
    /// The backup failed.
    #[error(transparent)]
    Backup(#[from] backup::Error),
    /// Accounts in SQLite are one file: copy it while the service is down.
    #[error("accounts are in SQLite: copy its file while the service does not run")]
    Sqlite,
}

/// Does what a command says.
pub async fn run(config: &Config, command: &Command, stop: CancellationToken) -> Result<(), Error> {
    match command {
        Command::Backup { to } => save(config, to).await,
        Command::Restore {
            from,
            name,
            replace,
        } => bring_back(config, from, name.as_deref(), *replace, &stop).await,
        Command::RotateKeys { revoke } => {
            let metrics = Metrics::register(&Registry::new())?;
            let assembled = assemble(config, metrics, &stop).await?;
            let now = runtime::clock::now();
            assembled.signing.rotate(now).await?;
            tracing::info!("A new key signs; replicas follow within seconds");
            match revoke {
                Some(id) if !assembled.signing.revoke(now, id).await? => {
                    Err(Error::NoKey(id.clone()))
                }
                _ => Ok(()),
            }
        }
        Command::Disable { player } => set_status(config, *player, Status::Disabled, &stop).await,
        Command::Enable { player } => set_status(config, *player, Status::Active, &stop).await,
        Command::SetPlayer {
            player,
            roles,
            data,
        } => set_player(config, *player, roles.clone(), data.clone(), &stop).await,
    }
}

async fn set_status(
    config: &Config,
    player: access::PlayerId,
    status: Status,
    stop: &CancellationToken,
) -> Result<(), Error> {
    change(config, stop, async |service| {
        service.set_status(player, status).await
    })
    .await?;
    tracing::info!(%player, ?status, "Changed; replicas follow within a second");
    Ok(())
}

async fn set_player(
    config: &Config,
    player: access::PlayerId,
    roles: Option<Vec<String>>,
    data: Option<serde_json::Value>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    // `--roles ''` is none of them.
    let roles = roles.map(|mut roles| {
        roles.retain(|role| !role.is_empty());
        roles
    });
    let (roles, _) = change(config, stop, async |service| {
        service.set_data(player, roles, data).await
    })
    .await?;
    tracing::info!(%player, ?roles, "Changed; replicas follow within a second");
    Ok(())
}

/// Changes an account as the service does, and writes the audit log of it.
async fn change<Output>(
    config: &Config,
    stop: &CancellationToken,
    work: impl AsyncFnOnce(&Service) -> Result<Output, Failure>,
) -> Result<Output, Error> {
    let metrics = Metrics::register(&Registry::new())?;
    let assembled = assemble(config, metrics, stop).await?;
    let background_stop = CancellationToken::new();
    let background = assembled.service.run(background_stop.clone());
    let change = async {
        let changed = work(&assembled.service).await;
        // The audit log is written at the end.
        background_stop.cancel();
        changed
    };
    let ((), changed) = tokio::join!(background, change);
    Ok(changed?)
}

/// Where backups are: a place with its credentials from the secrets.
pub(crate) fn archive(
    config: &Config,
    secrets: &crate::secrets::Secrets,
    place: &str,
) -> Result<Archive, Error> {
    let secrets = secrets.current();
    let access_key = secrets
        .text(S3_ID)
        .zip(secrets.text(S3_KEY))
        .map(|(id, key)| (id.to_owned(), Confidential::new(key)));
    let s3 = S3 {
        endpoint: config.file.s3.endpoint.clone(),
        region: config.file.s3.region.clone(),
        access_key,
    };
    Ok(Archive::open(place, &s3)?)
}

fn database(secrets: &crate::secrets::Secrets) -> Result<Database, Error> {
    let current = secrets.current();
    let url = current
        .text(start::DATABASE_MIGRATION)
        .or_else(|| current.text(start::DATABASE))
        .ok_or(Error::Sqlite)?;
    Ok(Database::new(
        &Confidential::new(url.trim()),
        None,
        LONGEST,
    )?)
}

/// The Valkey of the secrets, for its sessions.
pub(crate) fn valkey(secrets: &crate::secrets::Secrets) -> Result<Option<Valkey>, Error> {
    start::nodes(secrets)
        .map(|nodes| Valkey::new(nodes, MOST_SESSIONS, LONGEST).map_err(Error::from))
        .transpose()
}

async fn save(config: &Config, to: &str) -> Result<(), Error> {
    if matches!(config.accounts, crate::config::Accounts::Sqlite(_)) {
        return Err(Error::Sqlite);
    }
    let secrets = assemble::secrets(&config.secrets).await?;
    let archive = archive(config, &secrets, to)?;
    let (database, valkey) = (database(&secrets)?, valkey(&secrets)?);
    let now = runtime::clock::now();
    let (name, _) = backup(now, &archive, Some(&database), valkey.as_ref()).await?;
    tracing::info!(name, "Backup written");
    Ok(())
}

async fn bring_back(
    config: &Config,
    from: &str,
    name: Option<&str>,
    replace: bool,
    stop: &CancellationToken,
) -> Result<(), Error> {
    if matches!(config.accounts, crate::config::Accounts::Sqlite(_)) {
        return Err(Error::Sqlite);
    }
    let secrets = assemble::secrets(&config.secrets).await?;
    let archive = archive(config, &secrets, from)?;
    let (database, valkey) = (database(&secrets)?, valkey(&secrets)?);
    // Opened without its migrations: the tables come from the backup.
    let url = start::address(&secrets, start::DATABASE)?.ok_or(Error::Sqlite)?;
    let store = crate::store::postgres::Postgres::new(storage::postgres::Config::new(url))
        .map_err(|_| start::Error::Address(start::DATABASE))?;
    let store: Arc<dyn crate::store::Store> = Arc::new(store);
    let keep = |player, session| {
        let store = Arc::clone(&store);
        async move {
            let found = store.session(player, session).await?;
            let now = runtime::clock::now();
            Ok(found.is_some_and(|(session, _)| session.is_live(now)))
        }
        .boxed()
    };
    let scratch = std::env::temp_dir();
    let plan = Restore {
        archive: &archive,
        name,
        database: Some(&database),
        replace,
        valkey: valkey.as_ref(),
        keep: &keep,
        scratch: &scratch,
    };
    let restored = restore(runtime::clock::now(), &plan);
    match stop.run_until_cancelled(restored).await {
        Some(restored) => {
            let restored = restored?;
            tracing::info!(name = restored.name, sessions = ?restored.sessions, "Restored");
            Ok(())
        }
        None => Err(start::Error::Stopped("the restore").into()),
    }
}
