//! Arguments of the operator; [`crate::Config`] is what remains after validation.

use std::net::SocketAddr;
use std::path::PathBuf;

use runtime::telemetry::LogArgs;
use runtime::trace::TraceArgs;

/// Controllers and SDK hub of Muster.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "operator", version)]
pub struct Args {
    /// Settings of the log.
    #[command(flatten)]
    pub log: LogArgs,

    /// Settings of traces.
    #[command(flatten)]
    pub trace: TraceArgs,

    /// Address of health, metrics and the console.
    #[arg(long, env = "OPERATOR_ADMIN_ADDRESS", default_value = "0.0.0.0:8080")]
    pub admin_address: SocketAddr,

    /// Where the browser of whoever looks at the console reaches the admin address of the lobby, as a
    /// URL: the console shows queues then.
    #[arg(long, env = "OPERATOR_CONSOLE_LOBBY", value_name = "URL")]
    pub console_lobby: Option<String>,

    /// Address on which the hub listens.
    #[arg(long, env = "OPERATOR_HUB_ADDRESS", default_value = "0.0.0.0:9443")]
    pub hub_address: SocketAddr,

    /// URL by which SDK servers reach the hub.
    #[arg(
        long,
        env = "OPERATOR_HUB_ENDPOINT",
        default_value = "https://muster-operator.muster-system.svc:9443"
    )]
    pub hub_endpoint: String,

    /// Image of the SDK server that is put beside each game server.
    #[arg(long, env = "OPERATOR_SDK_IMAGE", default_value = concat!("muster/sdk-server:", env!("CARGO_PKG_VERSION")))]
    pub sdk_image: String,

    /// Pull policy of the SDK server's image: Always, IfNotPresent or Never.
    #[arg(
        long,
        env = "OPERATOR_SDK_IMAGE_PULL_POLICY",
        default_value = "IfNotPresent"
    )]
    pub sdk_image_pull_policy: String,

    /// CPU request of the SDK server; empty for none.
    #[arg(long, env = "OPERATOR_SDK_CPU_REQUEST", default_value = "1m")]
    pub sdk_cpu_request: String,

    /// CPU limit of the SDK server; empty for none.
    #[arg(long, env = "OPERATOR_SDK_CPU_LIMIT", default_value = "")]
    pub sdk_cpu_limit: String,

    /// Memory request of the SDK server; empty for none.
    #[arg(long, env = "OPERATOR_SDK_MEMORY_REQUEST", default_value = "")]
    pub sdk_memory_request: String,

    /// Memory limit of the SDK server; empty for none.
    #[arg(long, env = "OPERATOR_SDK_MEMORY_LIMIT", default_value = "")]
    pub sdk_memory_limit: String,

    /// Namespaces of game servers, separated by commas; empty for all.
    #[arg(long, env = "OPERATOR_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,

    /// Host ports to choose from, as NAME=FIRST-LAST. The range `default` must exist.
    #[arg(
        long = "port-range",
        env = "OPERATOR_PORT_RANGES",
        value_delimiter = ',',
        default_value = "default=7000-8000"
    )]
    pub port_ranges: Vec<String>,

    /// URL of the allocator, for MatchAllocations.
    #[arg(
        long,
        env = "OPERATOR_ALLOCATOR_ENDPOINT",
        default_value = "http://muster-allocator.muster-system.svc:443"
    )]
    pub allocator_endpoint: String,

    /// CA certificates of the allocator, PEM; needed with an https endpoint.
    #[arg(long, env = "OPERATOR_ALLOCATOR_CA_FILE")]
    pub allocator_ca_file: Option<PathBuf>,

    /// Directory with `tls.crt` and `tls.key` that the allocator is shown under mutual TLS.
    #[arg(long, env = "OPERATOR_ALLOCATOR_TLS_DIR")]
    pub allocator_tls_dir: Option<PathBuf>,

    /// This replica's name in the lease; by default one of this process alone.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,

    /// Namespace of the operator itself: of its lease and of the hub's CA.
    #[arg(long, env = "POD_NAMESPACE", default_value = "muster-system")]
    pub pod_namespace: String,

    /// Name of the lease.
    #[arg(long, env = "OPERATOR_LEASE_NAME", default_value = "muster-operator")]
    pub lease_name: String,

    /// A lease that was not renewed for this long may be taken.
    #[arg(long, env = "OPERATOR_LEASE_DURATION_SECONDS", default_value_t = 15)]
    pub lease_duration_seconds: u32,

    /// The leader steps down when it could not renew for this long.
    #[arg(
        long,
        env = "OPERATOR_LEASE_RENEW_DEADLINE_SECONDS",
        default_value_t = 10
    )]
    pub lease_renew_deadline_seconds: u32,

    /// Time between two looks at the lease.
    #[arg(long, env = "OPERATOR_LEASE_RETRY_SECONDS", default_value_t = 2)]
    pub lease_retry_seconds: u32,

    /// Most game servers that a set creates at once.
    #[arg(long, env = "OPERATOR_MAX_CREATIONS", default_value_t = 64)]
    pub max_creations: usize,

    /// Most game servers that a set deletes at once.
    #[arg(long, env = "OPERATOR_MAX_DELETIONS", default_value_t = 64)]
    pub max_deletions: usize,

    /// Most game servers of a set that are on their way to Ready.
    #[arg(long, env = "OPERATOR_MAX_PENDING", default_value_t = 5000)]
    pub max_pending: usize,
}
