//! Arguments of auth.
//!
//! Every flag with its environment variable and default; the chart's values follow this table.
//!
//! | flag | environment | default | meaning |
//! |---|---|---|---|
//! | `--address` | `AUTH_ADDRESS` | `0.0.0.0:8443` | HTTP and WebSockets, for players |
//! | `--grpc-address` | `AUTH_GRPC_ADDRESS` | `0.0.0.0:8444` | gRPC, for services and players |
//! | `--admin-address` | `AUTH_ADMIN_ADDRESS` | `0.0.0.0:8080` | `/livez`, `/readyz`, `/metrics` |
//! | `--issuer` | `AUTH_ISSUER` | | where clients reach it: `https://auth.example.com` |
//! | `--config` | `AUTH_CONFIG` | | JSON file: classes of clients, mail, providers, limits |
//! | `--secrets-dir` | `AUTH_SECRETS_DIR` | `/etc/muster-auth/secrets` | a file for each secret |
//! | `--vault-address` and others | `AUTH_VAULT_*` | | secrets from Vault instead |
//! | `--sqlite` | `AUTH_SQLITE` | | a file instead of PostgreSQL, and memory instead of Valkey |
//! | `--tls-dir` | `AUTH_TLS_DIR` | | `tls.crt`, `tls.key`; plain text without it |
//! | `--client-ca-dir` | `AUTH_CLIENT_CA_DIR` | | CA of services: gRPC clients must show a certificate |
//! | `--max-connections` | `AUTH_MAX_CONNECTIONS` | 20000 | of each port; more are closed |
//! | `--request-timeout-seconds` | `AUTH_REQUEST_TIMEOUT_SECONDS` | 15 | longest time for one request |
//! | `--shutdown-delay-seconds` | `AUTH_SHUTDOWN_DELAY_SECONDS` | 2 | still serving while the Service forgets this pod |
//! | `--drain-timeout-seconds` | `AUTH_DRAIN_TIMEOUT_SECONDS` | 20 | longest time for what is in flight |
//! | `--log-level` | `LOG_LEVEL` | info | level or directives |
//! | `--otlp-endpoint` and others | `OTEL_*` | | where traces go; see [`TraceArgs`] |
//!
//! Addresses of databases hold passwords: they are secrets, named `database.url`,
//! `database.replica-url`, `database.migration-url` and `valkey.urls`.

use std::net::SocketAddr;
use std::path::PathBuf;

use runtime::telemetry::LogArgs;
use runtime::trace::TraceArgs;
use url::Url;

/// Accounts, tokens and sessions of players.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "auth", version)]
pub struct Args {
    /// What to do; serves without it.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Address of HTTP and WebSockets, for players' clients.
    #[arg(long, env = "AUTH_ADDRESS", default_value = "0.0.0.0:8443")]
    pub address: SocketAddr,

    /// Address of gRPC, for services and players' clients.
    #[arg(long, env = "AUTH_GRPC_ADDRESS", default_value = "0.0.0.0:8444")]
    pub grpc_address: SocketAddr,

    /// Address of health checks and metrics.
    #[arg(long, env = "AUTH_ADMIN_ADDRESS", default_value = "0.0.0.0:8080")]
    pub admin_address: SocketAddr,

    /// Where clients reach the service, without a path: <https://auth.example.com>. It is the issuer
    /// of tokens, and what proofs and passkeys are made for.
    #[arg(long, env = "AUTH_ISSUER", value_name = "URL")]
    pub issuer: Url,

    /// JSON file with classes of clients, passwords, mail, providers and limits.
    #[arg(long, env = "AUTH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Directory with a file for each secret.
    #[arg(
        long,
        env = "AUTH_SECRETS_DIR",
        value_name = "DIR",
        default_value = "/etc/muster-auth/secrets"
    )]
    pub secrets_dir: PathBuf,

    /// Take secrets from this Vault server instead.
    #[arg(
        long,
        env = "AUTH_VAULT_ADDRESS",
        value_name = "URL",
        requires = "vault_token_file"
    )]
    pub vault_address: Option<Url>,

    /// Mount of Vault's KV engine, version 2.
    #[arg(long, env = "AUTH_VAULT_MOUNT", default_value = "secret")]
    pub vault_mount: String,

    /// Path of the secret in it.
    #[arg(long, env = "AUTH_VAULT_PATH", default_value = "muster/auth")]
    pub vault_path: String,

    /// File with the token for Vault.
    #[arg(long, env = "AUTH_VAULT_TOKEN_FILE", value_name = "FILE")]
    pub vault_token_file: Option<PathBuf>,

    /// Certificate authority of Vault, PEM.
    #[arg(long, env = "AUTH_VAULT_CA_FILE", value_name = "FILE")]
    pub vault_ca_file: Option<PathBuf>,

    /// Keep accounts in this SQLite file, and what is short-lived in memory: for one process alone.
    /// Keys that are missing from the secrets are made.
    #[arg(long, env = "AUTH_SQLITE", value_name = "FILE")]
    pub sqlite: Option<PathBuf>,

    /// Directory with tls.crt and tls.key; plain text without it.
    #[arg(long, env = "AUTH_TLS_DIR", value_name = "DIR")]
    pub tls_dir: Option<PathBuf>,

    /// Directory with the CA certificates of services, *.crt and *.pem: clients of gRPC must show a
    /// certificate then.
    #[arg(
        long,
        env = "AUTH_CLIENT_CA_DIR",
        value_name = "DIR",
        requires = "tls_dir"
    )]
    pub client_ca_dir: Option<PathBuf>,

    /// Connections of each port at once; more are closed.
    #[arg(long, env = "AUTH_MAX_CONNECTIONS", default_value_t = 20_000)]
    pub max_connections: usize,

    /// Longest time for one request.
    #[arg(
        long,
        env = "AUTH_REQUEST_TIMEOUT_SECONDS",
        default_value_t = 15,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=300)
    )]
    pub request_timeout_seconds: u64,

    /// Still serving after the signal to stop, while the Service forgets this pod.
    #[arg(
        long,
        env = "AUTH_SHUTDOWN_DELAY_SECONDS",
        default_value_t = 2,
        value_name = "SECONDS"
    )]
    pub shutdown_delay_seconds: u64,

    /// Longest time for what is in flight at the end.
    #[arg(
        long,
        env = "AUTH_DRAIN_TIMEOUT_SECONDS",
        default_value_t = 20,
        value_name = "SECONDS"
    )]
    pub drain_timeout_seconds: u64,

    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,

    /// Traces.
    #[command(flatten)]
    pub trace: TraceArgs,
}

/// What else it can do, with the same databases and secrets.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Make a new signing key that signs at once. Tokens that are out stay good.
    RotateKeys {
        /// Revoke this key, too: every token that it signed is void.
        #[arg(long, value_name = "KEY_ID")]
        revoke: Option<String>,
    },
    /// Write the database and the live sessions to object storage.
    Backup {
        /// `file:///directory` or `s3://bucket/prefix`.
        to: String,
    },
    /// Restore what a backup wrote.
    Restore {
        /// `file:///directory` or `s3://bucket/prefix`.
        from: String,
        /// Which backup; the newest without it.
        #[arg(long)]
        name: Option<String>,
        /// Replace what is in the database.
        #[arg(long)]
        replace: bool,
    },
    /// Forbid the use of an account; its sessions end.
    Disable {
        /// The player's id.
        player: access::PlayerId,
    },
    /// Allow the use of an account again.
    Enable {
        /// The player's id.
        player: access::PlayerId,
    },
    /// Replace what a player may do, what games know of it, or both.
    SetPlayer {
        /// The player's id.
        player: access::PlayerId,
        /// Its roles, by commas; none when empty. They stay without it.
        #[arg(
            long,
            value_name = "ROLES",
            value_delimiter = ',',
            required_unless_present = "data"
        )]
        roles: Option<Vec<String>>,
        /// A JSON object of at most 16 KiB. It stays without it.
        #[arg(long, value_name = "JSON", value_parser = json)]
        data: Option<serde_json::Value>,
    },
}

/// Clap itself would take the text as a string of JSON.
fn json(text: &str) -> serde_json::Result<serde_json::Value> {
    serde_json::from_str(text)
}
