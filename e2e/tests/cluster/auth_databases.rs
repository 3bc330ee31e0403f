//! A PostgreSQL and a Valkey on this host that pods reach by the node's address, behind passwords.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use testing::postgres::{self, Installation, Setup};
use testing::valkey;

/// Both of them.
pub(crate) struct Databases {
    password: String,
    postgres: postgres::Server,
    valkey: valkey::Server,
}

impl Databases {
    /// Starts both at an address of this host.
    pub(crate) fn start(host: IpAddr) -> Result<Self> {
        let password = std::iter::repeat_with(fastrand::alphanumeric)
            .take(32)
            .collect::<String>();
        let setup = Setup {
            address: Some(host),
            ..Setup::of(Installation::newest()?)
        };
        let postgres = postgres::Server::start_with(setup).with_context(|| {
            format!(
                "the node's address {host} must be one of this host; this test needs the local \
                 provider (`cargo xtask cluster up`)"
            )
        })?;
        postgres.admit("host all all all scram-sha-256", &password)?;
        Ok(Self {
            valkey: valkey::Server::start_at(host, &["--requirepass", &password])?,
            postgres,
            password,
        })
    }

    pub(crate) fn postgres_url(&self) -> Result<String> {
        let address = self.postgres.address().context("it listens at the host")?;
        let password = &self.password;
        Ok(format!(
            "postgres://muster:{password}@{address}/postgres?sslmode=disable"
        ))
    }

    pub(crate) fn valkey_url(&self) -> String {
        let Self { password, .. } = self;
        let url = self.valkey.url();
        url.replacen("redis://", &format!("redis://:{password}@"), 1)
    }
}
