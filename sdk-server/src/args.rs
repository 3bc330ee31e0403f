//! The command line and environment: Agones' names, plus where the hub is.
//!
//! The environment variables carry no prefix, because existing command lines and manifests set
//! them as Agones reads them. Numbers and booleans are parsed by [`crate::config`], which reports
//! all problems at once and, as Agones does, takes an empty value for none.

use std::path::PathBuf;

use clap::Parser;
use runtime::telemetry::LogArgs;

/// Serves the Agones SDK to the game server beside it.
#[derive(Clone, Debug, Parser)]
#[command(name = "sdk-server", version)]
pub struct Args {
    /// Name of the GameServer.
    #[arg(long, env = "GAMESERVER_NAME", default_value = "")]
    pub gameserver_name: String,

    /// Namespace of the GameServer and its pod.
    #[arg(long, env = "POD_NAMESPACE", default_value = "")]
    pub pod_namespace: String,

    /// Addresses of the pod, separated by commas.
    #[arg(long, env = "POD_IPS", value_delimiter = ',', value_name = "IPS")]
    pub pod_ips: Vec<String>,

    /// Address of the operator's hub, such as `https://muster-operator.muster-system.svc:9443`.
    #[arg(long, env = "HUB_ADDRESS", default_value = "", value_name = "URL")]
    pub hub_address: String,

    /// File with the service-account token for the hub; read at each connection.
    #[arg(long, env = "HUB_TOKEN_FILE", value_name = "FILE")]
    pub hub_token_file: Option<PathBuf>,

    /// File with the CA certificates (PEM) that the hub's certificate is checked against; read at
    /// each connection.
    #[arg(long, env = "HUB_CA_FILE", value_name = "FILE")]
    pub hub_ca_file: Option<PathBuf>,

    /// Local development: no cluster, a made-up GameServer [default: false].
    #[arg(
        long, env = "LOCAL", value_name = "BOOL", default_value = "",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub local: String,

    /// With --local: file with the GameServer to serve (YAML or JSON), read again when it changes.
    #[arg(short, long, env = "FILE", default_value = "")]
    pub file: String,

    /// Conformance test: the calls that must come, separated by commas. Implies --local.
    #[arg(long, env = "TEST", default_value = "", value_name = "CALLS")]
    pub test: String,

    /// Name of the SDK that the conformance test is about.
    #[arg(long, env = "SDK_NAME", default_value = "", value_name = "NAME")]
    pub sdk_name: String,

    /// Address to listen on for the SDK; empty for all.
    #[arg(
        long,
        env = "ADDRESS",
        default_value = "localhost",
        value_name = "HOST"
    )]
    pub address: String,

    /// Seconds to wait before starting [default: 0].
    #[arg(long, env = "DELAY", default_value = "", value_name = "SECONDS")]
    pub delay: String,

    /// With --local or --test: seconds until the end; 0 for none [default: 0].
    #[arg(long, env = "TIMEOUT", default_value = "", value_name = "SECONDS")]
    pub timeout: String,

    /// Port of the SDK over gRPC [default: 9357].
    #[arg(long, env = "GRPC_PORT", default_value = "", value_name = "PORT")]
    pub grpc_port: String,

    /// Port of the SDK over REST [default: 9358].
    #[arg(long, env = "HTTP_PORT", default_value = "", value_name = "PORT")]
    pub http_port: String,

    /// Port of the kubelet's probes, on all addresses [default: 8080].
    #[arg(long, env = "HEALTH_PORT", default_value = "", value_name = "PORT")]
    pub health_port: String,

    /// Accepted for Agones' sake: the kubelet ends this process after the game server's.
    #[arg(
        long, env = "GRACEFUL_TERMINATION", value_name = "BOOL", default_value = "",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub graceful_termination: String,

    /// Accepted for Agones' sake and ignored: no Kubernetes API is called from here.
    #[arg(long, env = "KUBECONFIG", default_value = "", value_name = "FILE")]
    pub kubeconfig: String,

    /// Accepted for Agones' sake and ignored: changes are sent at once.
    #[arg(
        long,
        env = "REQUEST_RATE_LIMIT",
        default_value = "",
        value_name = "DURATION"
    )]
    pub request_rate_limit: String,

    /// Accepted for Agones' sake and ignored.
    #[arg(long, env = "FEATURE_GATES", default_value = "", value_name = "GATES")]
    pub feature_gates: String,

    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Mode};

    #[test]
    fn command_lines_of_agones_are_understood() {
        let line = "sdk-server --local -f gs.yaml --address 0.0.0.0 --grpc-port 9000 \
            --http-port=9001 --health-port 9002 --delay 1 --timeout=2 --sdk-name go \
            --graceful-termination=false --log-level Debug --kubeconfig /k \
            --request-rate-limit 500ms --feature-gates A=true&B=false \
            --gameserver-name gs --pod-namespace ns --test ready,watch";
        let args = Args::try_parse_from(line.split_whitespace()).unwrap();
        assert_eq!(args.log.log_level, "Debug");
        let config = Config::try_from(args).unwrap();
        assert_eq!((config.grpc_port, config.http_port), (9000, 9001));
        assert_eq!(
            config.ignored,
            ["kubeconfig", "request-rate-limit", "feature-gates"]
        );
        let Mode::Local(local) = config.mode else {
            panic!()
        };
        assert_eq!(local.file, Some("gs.yaml".into()));
        assert_eq!(local.expected.unwrap(), ["ready", "watch"]);
        assert_eq!(local.sdk_name, "go");
    }

    #[test]
    fn a_flag_may_say_false() {
        let args = Args::try_parse_from(["sdk-server", "--local=false", "--test="]).unwrap();
        assert_eq!(args.local, "false");
    }
}
