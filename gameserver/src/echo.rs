//! The sample game server: echoes UDP and TCP, and obeys commands that drive the Agones SDK.
//!
//! Flags, environment and commands are those of Agones' simple-game-server, so that its manifests
//! and test clients work.
//!
//! Start reading at [`server`]; [`command`] lists the commands.

pub mod args;
pub mod command;
pub mod config;
mod lifecycle;
pub mod server;

use tokio_util::sync::CancellationToken;

use self::config::Config;
use self::server::Server;

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call that the server cannot do without failed.
    #[error(transparent)]
    Sdk(#[from] crate::sdk::Error),
    /// A port could not be opened.
    #[error("listening on {protocol} port {port} failed")]
    Listen {
        /// "UDP" or "TCP".
        protocol: &'static str,
        /// The port.
        port: u16,
        /// The failure.
        #[source]
        source: std::io::Error,
    },
    /// A socket failed while serving.
    #[error("serving {0} failed")]
    Serve(&'static str, #[source] std::io::Error),
    /// The SDK server named no port to listen on.
    #[error("passthrough needs a port in the game server's status, which has none")]
    NoPort,
    /// Asked for by the command CRASH or the flag `--crashAtStart`.
    #[error("crashed, as asked to")]
    Crash,
}

/// Runs the server until `stop` is cancelled or a command ends it.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), Error> {
    if config.crash_at_start {
        return Err(Error::Crash);
    }
    let server = tokio::select! {
        server = Server::bind(config) => server?,
        () = stop.cancelled() => return Ok(()),
    };
    server.serve(stop).await
}
