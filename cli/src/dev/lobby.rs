//! The lobby on a laptop: over SQLite and memory, in a folder beside the data.
//!
//! Where nothing is kept, the folder is in the instance's own directory, and matches of the run
//! before are removed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use lobby::config::Config as LobbyConfig;
use runtime::admin::Admin;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::accounts::Accounts;
use super::args::Config;
use super::{folder, run};

/// The folder.
const FOLDER: &str = "lobby";
/// The database in it.
const DATABASE: &str = "lobby.sqlite";
/// What it is configured by, unless its user says.
const EXAMPLE: &str = include_str!("../../../examples/lobby.json");

/// A lobby that is ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Lobby {
    config: LobbyConfig,
    folder: PathBuf,
}

impl Lobby {
    /// Makes the folder; none where the lobby does not run. `own` is the instance's directory.
    pub(crate) fn prepare(
        config: &Config,
        own: &Path,
        accounts: Option<&Accounts>,
    ) -> Result<Option<Self>> {
        let Some((ports, accounts)) = config.ports.lobby().zip(accounts) else {
            return Ok(None);
        };
        let folder = folder::prepare(config, own, FOLDER, DATABASE)?;
        let file = if let Some(file) = &config.lobby_file {
            file.clone()
        } else {
            let file = folder.join("lobby.json");
            // Its user may have changed the one of an earlier run.
            if config.data.is_none() || !file.exists() {
                std::fs::write(&file, EXAMPLE)
                    .with_context(|| format!("write {}", file.display()))?;
            }
            file
        };
        let secrets = folder.join("secrets");
        std::fs::create_dir_all(&secrets)
            .with_context(|| format!("make the directory {}", secrets.display()))?;
        let url = folder::url(ports.http);
        let words = [
            "lobby".to_owned(),
            format!("--address={}", ports.http),
            format!("--echo-address={}", ports.http),
            format!("--admin-address={}", ports.admin),
            format!("--url={url}"),
            format!("--config={}", file.display()),
            format!(
                "--console-origin={}",
                folder::url(config.ports.operator_admin())
            ),
            format!("--issuer={}", accounts.issuer()),
            format!("--auth=http://{}", accounts.grpc()),
            format!("--auth-token-file={}", accounts.lobby_token().display()),
            format!("--allocator=http://{}", config.ports.allocator()),
            format!("--sqlite={}", folder.join(DATABASE).display()),
            format!("--secrets-dir={}", secrets.display()),
            "--shutdown-delay-seconds=0".to_owned(),
            "--drain-timeout-seconds=2".to_owned(),
        ];
        let args = lobby::args::Args::try_parse_from(words)?;
        let config = LobbyConfig::try_from(args).map_err(run::told("lobby"))?;
        Ok(Some(Self { config, folder }))
    }

    /// Serves until the token is cancelled.
    pub(crate) async fn run(self, listener: TcpListener, stop: CancellationToken) -> Result<()> {
        let served = lobby::run::serve(self.config, Admin::default(), listener, stop).await;
        served.with_context(|| format!("lobby in {}", self.folder.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::tests::config;
    use super::*;

    #[test]
    fn the_built_in_configuration_is_good_and_mistakes_in_another_are_told() {
        let own = std::env::temp_dir().join(format!("muster-lobby-{}", std::process::id()));
        std::fs::create_dir_all(&own).unwrap();
        let prepare = |line: &str| {
            let config = config(&format!("--dir {} {line}", own.display())).unwrap();
            let accounts = Accounts::prepare(&config, &own).unwrap();
            Lobby::prepare(&config, &own, accounts.as_ref())
        };
        assert!(prepare("").unwrap().is_some());
        assert!(prepare("--no-lobby").unwrap().is_none());
        assert!(prepare("--no-auth").unwrap().is_none());
        let file = own.join("wrong.json");
        std::fs::write(&file, r#"{"queues":[{"name":"Duel"}]}"#).unwrap();
        let error = prepare(&format!("--lobby-config {}", file.display())).unwrap_err();
        assert!(format!("{error:#}").contains("queues[0]"), "{error:#}");
        std::fs::remove_dir_all(&own).unwrap();
    }
}
