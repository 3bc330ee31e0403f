//! Arguments of the lobby.
//!
//! Every flag with its environment variable and default; the chart's values follow this table.
//!
//! | flag | environment | default | meaning |
//! |---|---|---|---|
//! | `--address` | `LOBBY_ADDRESS` | `0.0.0.0:8443` | WebSockets and HTTP, for players |
//! | `--echo-address` | `LOBBY_ECHO_ADDRESS` | | UDP: sends datagrams back, for latencies |
//! | `--admin-address` | `LOBBY_ADMIN_ADDRESS` | `0.0.0.0:8080` | `/livez`, `/readyz`, `/metrics` |
//! | `--url` | `LOBBY_URL` | | where clients reach it: `https://lobby.example.com` |
//! | `--config` | `LOBBY_CONFIG` | | JSON file: queues, regions, chat, limits |
//! | `--issuer` | `LOBBY_ISSUER` | | the issuer of access tokens: auth as clients know it |
//! | `--auth` | `LOBBY_AUTH` | | auth's gRPC port, for keys, revocations and reconnection |
//! | `--allocator` | `LOBBY_ALLOCATOR` | | the allocator's gRPC port; no match is placed without |
//! | `--upstream-ca-file` | `LOBBY_UPSTREAM_CA_FILE` | | CA of both, PEM |
//! | `--upstream-tls-dir` | `LOBBY_UPSTREAM_TLS_DIR` | | `tls.crt`, `tls.key` that both are shown |
//! | `--auth-token-file` | `LOBBY_AUTH_TOKEN_FILE` | | the token of a service for auth, instead |
//! | `--secrets-dir` | `LOBBY_SECRETS_DIR` | `/etc/muster-lobby/secrets` | a file for each secret |
//! | `--vault-address` and others | `LOBBY_VAULT_*` | | secrets from Vault instead |
//! | `--sqlite` | `LOBBY_SQLITE` | | a file instead of PostgreSQL, and memory instead of Valkey |
//! | `--record-dir` | `LOBBY_RECORD_DIR` | | what happens in queues is written there, to be replayed |
//! | `--tls-dir` | `LOBBY_TLS_DIR` | | `tls.crt`, `tls.key`; plain text without it |
//! | `--console-origin` | `LOBBY_CONSOLE_ORIGIN` | | where the operator's console is, which shows queues |
//! | `--max-connections` | `LOBBY_MAX_CONNECTIONS` | 20000 | more are closed |
//! | `--request-timeout-seconds` | `LOBBY_REQUEST_TIMEOUT_SECONDS` | 15 | longest time for one call |
//! | `--shutdown-delay-seconds` | `LOBBY_SHUTDOWN_DELAY_SECONDS` | 2 | still serving while the Service forgets this pod |
//! | `--drain-timeout-seconds` | `LOBBY_DRAIN_TIMEOUT_SECONDS` | 20 | sockets are told to move over most of this time |
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

/// Parties, matchmaking and chat of players.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "lobby", version)]
pub struct Args {
    /// Address of WebSockets and HTTP, for players' clients.
    #[arg(long, env = "LOBBY_ADDRESS", default_value = "0.0.0.0:8443")]
    pub address: SocketAddr,

    /// Address of UDP that sends datagrams back, so that clients measure their latency.
    #[arg(long, env = "LOBBY_ECHO_ADDRESS")]
    pub echo_address: Option<SocketAddr>,

    /// Address of health checks and metrics.
    #[arg(long, env = "LOBBY_ADMIN_ADDRESS", default_value = "0.0.0.0:8080")]
    pub admin_address: SocketAddr,

    /// Where clients reach the lobby, without a path: <https://lobby.example.com>. Proofs of keys are
    /// made for it.
    #[arg(long, env = "LOBBY_URL", value_name = "URL")]
    pub url: Url,

    /// JSON file with queues, regions, chat and limits.
    #[arg(long, env = "LOBBY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The issuer of access tokens: where clients reach auth.
    #[arg(long, env = "LOBBY_ISSUER", value_name = "URL")]
    pub issuer: Url,

    /// Auth's gRPC port.
    #[arg(long, env = "LOBBY_AUTH", value_name = "URL")]
    pub auth: Url,

    /// The allocator's gRPC port. Without it no match is placed.
    #[arg(long, env = "LOBBY_ALLOCATOR", value_name = "URL")]
    pub allocator: Option<Url>,

    /// Certificate authority of auth and the allocator, PEM.
    #[arg(long, env = "LOBBY_UPSTREAM_CA_FILE", value_name = "FILE")]
    pub upstream_ca_file: Option<PathBuf>,

    /// Directory with tls.crt and tls.key that auth and the allocator are shown.
    #[arg(long, env = "LOBBY_UPSTREAM_TLS_DIR", value_name = "DIR")]
    pub upstream_tls_dir: Option<PathBuf>,

    /// File with the token of a service that auth is shown.
    #[arg(long, env = "LOBBY_AUTH_TOKEN_FILE", value_name = "FILE")]
    pub auth_token_file: Option<PathBuf>,

    /// Directory with a file for each secret.
    #[arg(
        long,
        env = "LOBBY_SECRETS_DIR",
        value_name = "DIR",
        default_value = "/etc/muster-lobby/secrets"
    )]
    pub secrets_dir: PathBuf,

    /// Take secrets from this Vault server instead.
    #[arg(
        long,
        env = "LOBBY_VAULT_ADDRESS",
        value_name = "URL",
        requires = "vault_token_file"
    )]
    pub vault_address: Option<Url>,

    /// Mount of Vault's KV engine, version 2.
    #[arg(long, env = "LOBBY_VAULT_MOUNT", default_value = "secret")]
    pub vault_mount: String,

    /// Path of the secret in it.
    #[arg(long, env = "LOBBY_VAULT_PATH", default_value = "muster/lobby")]
    pub vault_path: String,

    /// File with the token for Vault.
    #[arg(long, env = "LOBBY_VAULT_TOKEN_FILE", value_name = "FILE")]
    pub vault_token_file: Option<PathBuf>,

    /// Certificate authority of Vault, PEM.
    #[arg(long, env = "LOBBY_VAULT_CA_FILE", value_name = "FILE")]
    pub vault_ca_file: Option<PathBuf>,

    /// Keep matches in this SQLite file, and what is short-lived in memory: for one process alone.
    #[arg(long, env = "LOBBY_SQLITE", value_name = "FILE")]
    pub sqlite: Option<PathBuf>,

    /// Write what happens in the queues that this lobby owns to this directory, without sessions: what
    /// other rules would have made of it can be seen later.
    #[arg(long, env = "LOBBY_RECORD_DIR", value_name = "DIR")]
    pub record_dir: Option<PathBuf>,

    /// Where the operator's console is, as a URL: its page may read how queues are.
    #[arg(long, env = "LOBBY_CONSOLE_ORIGIN", value_name = "URL")]
    pub console_origin: Option<Url>,

    /// Directory with tls.crt and tls.key; plain text without it.
    #[arg(long, env = "LOBBY_TLS_DIR", value_name = "DIR")]
    pub tls_dir: Option<PathBuf>,

    /// Connections at once; more are closed.
    #[arg(long, env = "LOBBY_MAX_CONNECTIONS", default_value_t = 20_000)]
    pub max_connections: usize,

    /// Longest time for one call.
    #[arg(
        long,
        env = "LOBBY_REQUEST_TIMEOUT_SECONDS",
        default_value_t = 15,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=300)
    )]
    pub request_timeout_seconds: u64,

    /// Still serving after the signal to stop, while the Service forgets this pod.
    #[arg(
        long,
        env = "LOBBY_SHUTDOWN_DELAY_SECONDS",
        default_value_t = 2,
        value_name = "SECONDS"
    )]
    pub shutdown_delay_seconds: u64,

    /// Longest time for what is in flight at the end; sockets are told to move over most of it.
    #[arg(
        long,
        env = "LOBBY_DRAIN_TIMEOUT_SECONDS",
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
