//! Accounts of players on a laptop: auth over SQLite, in a folder beside the data.
//!
//! Keys are in the same folder as what they seal, so that neither is of use without the other and
//! both move together. Where nothing is kept, the folder is in the instance's own directory, and
//! accounts of the run before are removed.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use auth::config::Config as AuthConfig;
use auth::service::Verification;
use clap::Parser as _;
use runtime::admin::Admin;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::args::{self, Config};
use super::{folder, run};

/// The folder.
const FOLDER: &str = "accounts";
/// The database in it.
const DATABASE: &str = "accounts.sqlite";
/// Where players are who play on this machine.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];
/// The folder of secrets in it.
const SECRETS: &str = "secrets";

/// Accounts that are ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Accounts {
    config: AuthConfig,
    folder: PathBuf,
}

impl Accounts {
    /// Makes the folder; none where accounts do not run. `own` is the instance's directory.
    pub(crate) fn prepare(config: &Config, own: &Path) -> Result<Option<Self>> {
        let Some(ports) = config.ports.accounts() else {
            return Ok(None);
        };
        let folder = folder::prepare(config, own, FOLDER, DATABASE)?;
        write_token(&folder)?;
        let config = auth_config(ports, &folder, config.accounts_file.as_deref())?;
        Ok(Some(Self { config, folder }))
    }

    /// Where clients reach it.
    pub(crate) fn issuer(&self) -> &str {
        &self.config.settings.issuer
    }

    /// Where services reach it by gRPC.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.config.grpc_address
    }

    /// The file with the token that makes the lobby known to it.
    pub(crate) fn lobby_token(&self) -> PathBuf {
        lobby_token(&self.folder)
    }

    /// Where mails go, unless the configuration file names a server.
    pub(crate) fn mails(&self) -> Option<PathBuf> {
        let is_sent = self.config.file.mail.is_some();
        (!is_sent).then(|| self.folder.join("mails"))
    }

    /// Serves until the token is cancelled.
    pub(crate) async fn run(
        self,
        http: TcpListener,
        grpc: TcpListener,
        stop: CancellationToken,
    ) -> Result<()> {
        let served = auth::run::serve(self.config, Admin::default(), http, grpc, stop).await;
        served.with_context(|| format!("accounts in {}", self.folder.display()))
    }
}

/// Where the lobby's token lies in the folder: auth knows services by such secrets.
fn lobby_token(folder: &Path) -> PathBuf {
    folder.join(SECRETS).join("service.lobby")
}

/// Makes a token for the lobby, unless there is one.
fn write_token(folder: &Path) -> Result<()> {
    let path = lobby_token(folder);
    let secrets = folder.join(SECRETS);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&secrets)
        .with_context(|| format!("make the directory {}", secrets.display()))?;
    if path.exists() {
        return Ok(());
    }
    let token = format!(
        "{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    );
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(token.as_bytes()))
        .with_context(|| format!("write {}", path.display()))
}

fn auth_config(ports: args::Accounts, folder: &Path, file: Option<&Path>) -> Result<AuthConfig> {
    let issuer = folder::url(ports.http);
    let mut words = vec![
        "auth".to_owned(),
        format!("--address={}", ports.http),
        format!("--grpc-address={}", ports.grpc),
        format!("--admin-address={}", ports.admin),
        format!("--issuer={issuer}"),
        format!("--sqlite={}", folder.join(DATABASE).display()),
        format!("--secrets-dir={}", folder.join(SECRETS).display()),
        "--shutdown-delay-seconds=0".to_owned(),
        "--drain-timeout-seconds=5".to_owned(),
    ];
    words.extend(file.map(|file| format!("--config={}", file.display())));
    let args = auth::args::Args::try_parse_from(words)?;
    let mut config = AuthConfig::try_from(args).map_err(run::told("accounts"))?;
    if file.is_none() {
        config.settings.verification = Verification::Optional;
        // All players of a laptop share its address.
        config.file.limits.carriers = LOOPBACK.map(ToOwned::to_owned).to_vec();
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::super::args::tests::config;
    use super::*;

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("muster-accounts-{name}-{}", std::process::id()))
    }

    #[test]
    fn what_is_not_kept_is_forgotten_with_nothing_beside_it() {
        let own = folder("forgotten");
        let accounts = own.join(FOLDER);
        std::fs::create_dir_all(&accounts).unwrap();
        for name in ["accounts.sqlite", "accounts.sqlite-wal", "notes.txt"] {
            std::fs::write(accounts.join(name), "x").unwrap();
        }
        let config = config(&format!("--dir {}", own.display())).unwrap();
        let prepared = Accounts::prepare(&config, &own).unwrap().unwrap();
        let left: Vec<_> = std::fs::read_dir(&accounts)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        let mut left = left;
        left.sort();
        assert_eq!(left, ["notes.txt", "secrets"]);
        assert_eq!(prepared.issuer(), "http://localhost:16448");
        std::fs::remove_dir_all(&own).unwrap();
    }

    #[test]
    fn a_file_says_whether_addresses_are_verified_and_mistakes_in_it_are_told() {
        let own = folder("file");
        std::fs::create_dir_all(&own).unwrap();
        let file = own.join("auth.json");
        let prepare = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let line = format!("--dir {} --auth-config {}", own.display(), file.display());
            Accounts::prepare(&config(&line).unwrap(), &own)
        };
        let accounts = prepare("{}").unwrap().unwrap();
        assert_eq!(
            accounts.config.settings.verification,
            Verification::Required
        );
        assert_eq!(accounts.mails(), Some(own.join("accounts/mails")));
        let sent = prepare(
            r#"{"mail":{"url":"smtps://mail.example.com","from":"noreply@example.com",
                "verifyPage":"https://example.com/v","resetPage":"https://example.com/r"}}"#,
        );
        assert_eq!(sent.unwrap().unwrap().mails(), None);
        let error = format!("{:#}", prepare(r#"{"game":1}"#).unwrap_err());
        assert!(error.contains("game"), "{error}");
        let line = format!("--dir {} --no-auth", own.display());
        assert!(
            Accounts::prepare(&config(&line).unwrap(), &own)
                .unwrap()
                .is_none()
        );
        std::fs::remove_dir_all(&own).unwrap();
    }
}
