//! Arguments of the allocator.
//!
//! Every flag with its environment variable and default; the chart's values follow this table.
//!
//! | flag | environment | default | meaning |
//! |---|---|---|---|
//! | `--address` | `ALLOCATOR_ADDRESS` | `0.0.0.0` | address of the allocation API |
//! | `--port` | `ALLOCATOR_PORT` | 8443 | its port, gRPC and REST |
//! | `--admin-address` | `ALLOCATOR_ADMIN_ADDRESS` | `0.0.0.0:8080` | `/livez`, `/readyz`, `/metrics` |
//! | `--namespaces a,b` | `ALLOCATOR_NAMESPACES` | all | namespaces of game servers |
//! | `--pod-namespace` | `POD_NAMESPACE` | `muster-system` | our own namespace: guards of request ids, connect keys |
//! | `--disable-tls` | `DISABLE_TLS` | false | serve in plain text |
//! | `--disable-mtls` | `DISABLE_MTLS` | false | no client certificates |
//! | `--tls-dir` | `ALLOCATOR_TLS_DIR` | `/home/allocator/tls` | `tls.crt`, `tls.key` |
//! | `--client-ca-dir` | `ALLOCATOR_CLIENT_CA_DIR` | `/home/allocator/client-ca` | `*.crt`, `*.pem` |
//! | `--unallocated-status-code` | `HTTP_UNALLOCATED_STATUS_CODE` | 429 | answer when there is no capacity |
//! | `--request-timeout-seconds` | `ALLOCATOR_REQUEST_TIMEOUT_SECONDS` | 15 | longest time for one request |
//! | `--api-timeout-seconds` | `ALLOCATOR_API_TIMEOUT_SECONDS` | 5 | time for one call of the API server |
//! | `--max-concurrent-requests` | `ALLOCATOR_MAX_CONCURRENT_REQUESTS` | 1000 | more are refused |
//! | `--max-concurrent-commits` | `ALLOCATOR_MAX_CONCURRENT_COMMITS` | 100 | more wait |
//! | `--max-connections` | `ALLOCATOR_MAX_CONNECTIONS` | 1000 | more are closed |
//! | `--shutdown-delay-seconds` | `ALLOCATOR_SHUTDOWN_DELAY_SECONDS` | 2 | still serving while the Service forgets this pod |
//! | `--drain-timeout-seconds` | `ALLOCATOR_DRAIN_TIMEOUT_SECONDS` | 20 | longest time for what is in flight |
//! | `--log-level` | `LOG_LEVEL` | info | level or directives |
//! | `--otlp-endpoint` and others | `OTEL_*` | | where traces go; see [`TraceArgs`] |
//!
//! How to reach the API server comes from `KUBECONFIG`, `~/.kube/config` or the service account.
//!
//! It uses these verbs, and no others: `gameservers.muster.dev` get, list, watch, patch (in the
//! namespaces of game servers); `nodes` list, watch (cluster-wide); in its own namespace `leases` get,
//! list, create, update, delete, and the Secret `muster-connect-keys` list, watch; and the discovery
//! document `/apis/muster.dev/v1`, which every authenticated account may read.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use runtime::telemetry::LogArgs;
use runtime::trace::TraceArgs;

/// Hands out game servers.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "allocator", version)]
pub struct Args {
    /// Address on which the allocation API is served.
    #[arg(long, env = "ALLOCATOR_ADDRESS", default_value = "0.0.0.0")]
    pub address: IpAddr,

    /// Port of the allocation API, both gRPC and REST.
    #[arg(long, env = "ALLOCATOR_PORT", default_value_t = 8443)]
    pub port: u16,

    /// Address of health checks and metrics.
    #[arg(long, env = "ALLOCATOR_ADMIN_ADDRESS", default_value = "0.0.0.0:8080")]
    pub admin_address: SocketAddr,

    /// Namespaces of game servers, separated by commas. All without it.
    #[arg(
        long,
        env = "ALLOCATOR_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMES"
    )]
    pub namespaces: Vec<String>,

    /// Namespace of this pod: guards of request ids and the keys of connect tokens are there.
    #[arg(long, env = "POD_NAMESPACE", default_value = "muster-system")]
    pub pod_namespace: String,

    /// Serve in plain text, without certificates.
    #[arg(
        long, env = "DISABLE_TLS", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true",
        action = clap::ArgAction::Set, value_parser = BoolishValueParser::new()
    )]
    pub disable_tls: bool,

    /// Do not ask clients for certificates.
    #[arg(
        long, env = "DISABLE_MTLS", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true",
        action = clap::ArgAction::Set, value_parser = BoolishValueParser::new()
    )]
    pub disable_mtls: bool,

    /// Directory with tls.crt and tls.key.
    #[arg(long, env = "ALLOCATOR_TLS_DIR", default_value = "/home/allocator/tls")]
    pub tls_dir: PathBuf,

    /// Directory with the CA certificates of clients, *.crt and *.pem.
    #[arg(
        long,
        env = "ALLOCATOR_CLIENT_CA_DIR",
        default_value = "/home/allocator/client-ca"
    )]
    pub client_ca_dir: PathBuf,

    /// HTTP status that says that there is no capacity; gRPC callers get the matching code.
    #[arg(
        long,
        alias = "http-unallocated-status-code",
        env = "HTTP_UNALLOCATED_STATUS_CODE",
        default_value_t = 429,
        value_name = "STATUS"
    )]
    pub unallocated_status_code: u16,

    /// Longest time for one request.
    #[arg(
        long,
        env = "ALLOCATOR_REQUEST_TIMEOUT_SECONDS",
        default_value_t = 15,
        value_name = "SECONDS"
    )]
    pub request_timeout_seconds: u64,

    /// Time for one call of the API server.
    #[arg(
        long,
        env = "ALLOCATOR_API_TIMEOUT_SECONDS",
        default_value_t = 5,
        value_name = "SECONDS"
    )]
    pub api_timeout_seconds: u64,

    /// Requests at once; more are refused.
    #[arg(
        long,
        env = "ALLOCATOR_MAX_CONCURRENT_REQUESTS",
        default_value_t = 1000,
        value_name = "N"
    )]
    pub max_concurrent_requests: usize,

    /// Writes to the API server at once; more wait in order of arrival.
    #[arg(
        long,
        env = "ALLOCATOR_MAX_CONCURRENT_COMMITS",
        default_value_t = 100,
        value_name = "N"
    )]
    pub max_concurrent_commits: usize,

    /// Connections at once; more are closed.
    #[arg(
        long,
        env = "ALLOCATOR_MAX_CONNECTIONS",
        default_value_t = 1000,
        value_name = "N"
    )]
    pub max_connections: usize,

    /// Time in which callers are still served after SIGTERM, while the Service forgets this pod.
    #[arg(
        long,
        env = "ALLOCATOR_SHUTDOWN_DELAY_SECONDS",
        default_value_t = 2,
        value_name = "SECONDS"
    )]
    pub shutdown_delay_seconds: u64,

    /// Longest time after that for what is in flight.
    #[arg(
        long,
        env = "ALLOCATOR_DRAIN_TIMEOUT_SECONDS",
        default_value_t = 20,
        value_name = "SECONDS"
    )]
    pub drain_timeout_seconds: u64,

    /// Logs.
    #[command(flatten)]
    pub log: LogArgs,

    /// Traces.
    #[command(flatten)]
    pub trace: TraceArgs,
}
