//! `embedded` as a server of the suite: with its HTTP listener, and nothing on its nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use embedded::Embedded;
use embedded::access::Credentials;
use embedded::server::Identity;
use jiff::Timestamp;
use kube::Config;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::server::Server;

/// An embedded API server that listens on a port of its own.
#[derive(Debug)]
pub struct InProcess {
    embedded: Embedded,
    server: Server,
    serving: JoinHandle<()>,
}

impl InProcess {
    /// Starts one, with an empty store in memory.
    pub async fn start() -> Result<Self> {
        let mut credentials = Credentials::generate()?;
        let admin = credentials.identity("admin", &["system:masters"])?;
        let next = AtomicU64::new(1);
        let uids = move || {
            let number = next.fetch_add(1, Ordering::Relaxed);
            format!("{number:08x}-0000-4000-8000-{number:012x}")
        };
        let embedded = Embedded::builder(Arc::new(Timestamp::now), Arc::new(uids))
            .credentials(credentials)
            .start()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let serving = tokio::spawn({
            let embedded = embedded.clone();
            async move { embedded.serve(listener, None, Identity::Bearer).await }
        });
        let mut config = Config::new(url.parse()?);
        config.auth_info.token = Some(admin.token.expose().to_owned().into());
        Ok(Self {
            embedded,
            server: Server::new(config)?,
            serving,
        })
    }

    /// The server to ask.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Ends it, and everything that it has started.
    pub async fn stop(self) -> Result<()> {
        self.embedded.stop().await;
        self.serving.await.context("the server did not end well")
    }
}
