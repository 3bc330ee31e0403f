//! From [`Args`] to a checked [`Config`]. Pure: reads no file and opens no socket.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use runtime::service::Problems;

use crate::args::Args;

const GRPC_PORT: u16 = 9357;
const HTTP_PORT: u16 = 9358;
const HEALTH_PORT: u16 = 8080;

/// The calls that a conformance test of this server can expect.
const CONFORMANCE_CALLS: [&str; 9] = [
    "ready",
    "allocate",
    "setlabel",
    "setannotation",
    "gameserver",
    "health",
    "shutdown",
    "watch",
    "reserve",
];

/// What the SDK server does, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Host to listen on for the SDK: `localhost`, an address, a name, or empty for all addresses.
    pub address: String,
    /// Port of the SDK over gRPC.
    pub grpc_port: u16,
    /// Port of the SDK over REST.
    pub http_port: u16,
    /// Wait this long before anything else.
    pub delay: Duration,
    /// Where the GameServer comes from.
    pub mode: Mode,
    /// Arguments that were given and mean nothing here.
    pub ignored: Vec<&'static str>,
}

/// Where the GameServer comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// From the operator's hub.
    Hub(HubConfig),
    /// From a file, or made up.
    Local(LocalConfig),
}

/// How to reach the hub, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubConfig {
    /// Namespace of the GameServer.
    pub namespace: String,
    /// Name of the GameServer and its pod.
    pub name: String,
    /// Addresses of the pod, told to the hub.
    pub pod_ips: Vec<String>,
    /// Address of the hub, `http` or `https`.
    pub address: Uri,
    /// The token that proves who we are; without one none is sent.
    pub token_file: Option<PathBuf>,
    /// The CA of the hub's certificate; set exactly if the address is `https`.
    pub ca_file: Option<PathBuf>,
    /// Port of the kubelet's probes, on all addresses.
    pub health_port: u16,
}

/// Local development and conformance tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalConfig {
    /// The GameServer to serve, instead of a made-up one.
    pub file: Option<PathBuf>,
    /// End after this time.
    pub timeout: Option<Duration>,
    /// The calls that must come until the end.
    pub expected: Option<Vec<String>>,
    /// The SDK under test, for the log.
    pub sdk_name: String,
}

impl TryFrom<Args> for Config {
    type Error = Problems;

    fn try_from(args: Args) -> Result<Self, Problems> {
        let mut checker = Checker::default();
        let ignored = ignored(&args);
        // The value means nothing here, but a typo is still worth a word.
        checker.boolean("graceful-termination", &args.graceful_termination);
        let is_local = checker.boolean("local", &args.local) || !args.test.is_empty();
        let grpc_port = checker.port("grpc-port", &args.grpc_port, GRPC_PORT);
        let http_port = checker.port("http-port", &args.http_port, HTTP_PORT);
        let health_port = checker.port("health-port", &args.health_port, HEALTH_PORT);
        let delay = checker.seconds("delay", &args.delay);
        let timeout = checker.seconds("timeout", &args.timeout);
        let mode = if is_local {
            let expected = checker.conformance(&args.test);
            Mode::Local(LocalConfig {
                file: (!args.file.is_empty()).then(|| args.file.into()),
                timeout: (!timeout.is_zero()).then_some(timeout),
                expected,
                sdk_name: args.sdk_name,
            })
        } else {
            checker.required("gameserver-name", &args.gameserver_name);
            checker.required("pod-namespace", &args.pod_namespace);
            let address = checker.hub_address(&args.hub_address, args.hub_ca_file.is_some());
            Mode::Hub(HubConfig {
                namespace: args.pod_namespace,
                pod_ips: args.pod_ips,
                name: args.gameserver_name,
                ca_file: args.hub_ca_file.filter(|_| is_https(&address)),
                address,
                token_file: args.hub_token_file,
                health_port,
            })
        };
        let mut ports = vec![("grpc-port", grpc_port), ("http-port", http_port)];
        if !is_local {
            ports.push(("health-port", health_port));
        }
        checker.distinct(&ports);
        if checker.problems.is_empty() {
            Ok(Self {
                address: args.address,
                grpc_port,
                http_port,
                delay,
                mode,
                ignored,
            })
        } else {
            Err(Problems(checker.problems))
        }
    }
}

fn ignored(args: &Args) -> Vec<&'static str> {
    [
        ("kubeconfig", &args.kubeconfig),
        ("request-rate-limit", &args.request_rate_limit),
        ("feature-gates", &args.feature_gates),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(flag, _)| flag)
    .collect()
}

fn is_https(address: &Uri) -> bool {
    address.scheme() == Some(&http::uri::Scheme::HTTPS)
}

/// Collects everything that is wrong.
#[derive(Default)]
struct Checker {
    problems: Vec<String>,
}

impl Checker {
    fn add(&mut self, flag: &str, problem: impl std::fmt::Display) {
        self.problems.push(format!("--{flag}: {problem}"));
    }

    fn required(&mut self, flag: &str, value: &str) {
        if value.is_empty() {
            self.add(flag, "must be set, unless --local or --test is");
        }
    }

    /// The spellings that Go's flags know.
    fn boolean(&mut self, flag: &str, value: &str) -> bool {
        match value {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
            _ => {
                self.add(flag, format_args!("must be true or false, got {value:?}"));
                false
            }
        }
    }

    fn port(&mut self, flag: &str, value: &str, default: u16) -> u16 {
        if value.is_empty() {
            return default;
        }
        match value.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => {
                self.add(
                    flag,
                    format_args!("must be a port from 1 to 65535, got {value:?}"),
                );
                default
            }
        }
    }

    fn seconds(&mut self, flag: &str, value: &str) -> Duration {
        if value.is_empty() {
            return Duration::ZERO;
        }
        if let Ok(seconds) = value.parse::<u32>() {
            return Duration::from_secs(seconds.into());
        }
        self.add(
            flag,
            format_args!("must be a whole number of seconds, got {value:?}"),
        );
        Duration::ZERO
    }

    fn hub_address(&mut self, value: &str, has_ca: bool) -> Uri {
        let address = value.parse::<Uri>().ok().filter(|address| {
            address.host().is_some() && matches!(address.scheme_str(), Some("http" | "https"))
        });
        let Some(address) = address else {
            let problem = "must be http://HOST:PORT or https://HOST:PORT";
            self.add("hub-address", format_args!("{problem}, got {value:?}"));
            return Uri::default();
        };
        if is_https(&address) && !has_ca {
            self.add("hub-ca-file", "must be set for an https --hub-address");
        }
        address
    }

    fn conformance(&mut self, calls: &str) -> Option<Vec<String>> {
        if calls.is_empty() {
            return None;
        }
        let calls: Vec<String> = calls
            .split(',')
            .map(|call| call.trim().to_ascii_lowercase())
            .collect();
        for call in &calls {
            if !CONFORMANCE_CALLS.contains(&call.as_str()) {
                let known = CONFORMANCE_CALLS.join(", ");
                self.add("test", format_args!("{call:?} is none of {known}"));
            }
        }
        Some(calls)
    }

    fn distinct(&mut self, ports: &[(&str, u16)]) {
        for (index, (flag, port)) in ports.iter().enumerate() {
            if let Some((other, _)) = ports[..index].iter().find(|(_, taken)| taken == port) {
                self.add(flag, format_args!("is {port}, which --{other} has already"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime::telemetry::LogArgs;

    use super::*;

    fn bare() -> Args {
        Args {
            gameserver_name: String::new(),
            pod_namespace: String::new(),
            pod_ips: Vec::new(),
            hub_address: String::new(),
            hub_token_file: None,
            hub_ca_file: None,
            local: String::new(),
            file: String::new(),
            test: String::new(),
            sdk_name: String::new(),
            address: "localhost".into(),
            delay: String::new(),
            timeout: String::new(),
            grpc_port: String::new(),
            http_port: String::new(),
            health_port: String::new(),
            graceful_termination: String::new(),
            kubeconfig: String::new(),
            request_rate_limit: String::new(),
            feature_gates: String::new(),
            log: LogArgs {
                log_level: "info".into(),
            },
        }
    }

    fn hub() -> Args {
        Args {
            gameserver_name: "gs-1".into(),
            pod_namespace: "games".into(),
            hub_address: "https://muster-operator.muster-system.svc:9443".into(),
            hub_ca_file: Some("/hub/ca.crt".into()),
            hub_token_file: Some("/hub/token".into()),
            ..bare()
        }
    }

    fn problems(args: Args) -> Vec<String> {
        Config::try_from(args).unwrap_err().0
    }

    #[test]
    fn a_pod_gets_agones_ports_and_its_hub() {
        let config = Config::try_from(hub()).unwrap();
        assert_eq!((config.grpc_port, config.http_port), (9357, 9358));
        assert_eq!(config.delay, Duration::ZERO);
        let Mode::Hub(hub) = config.mode else {
            panic!("{config:?}")
        };
        assert_eq!(hub.health_port, 8080);
        assert_eq!(
            hub.address.host(),
            Some("muster-operator.muster-system.svc")
        );
        assert_eq!(hub.ca_file, Some("/hub/ca.crt".into()));
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let args = Args {
            grpc_port: "70000".into(),
            http_port: "none".into(),
            delay: "-1".into(),
            graceful_termination: "maybe".into(),
            hub_address: "muster-operator:9443".into(),
            ..bare()
        };
        let problems = problems(args);
        for flag in [
            "--grpc-port: must be a port",
            "--http-port: must be a port",
            "--delay: must be a whole number",
            "--graceful-termination: must be true or false",
            "--hub-address: must be http://HOST:PORT",
            "--gameserver-name: must be set",
            "--pod-namespace: must be set",
        ] {
            assert!(
                problems.iter().any(|problem| problem.starts_with(flag)),
                "{flag}"
            );
        }
        assert_eq!(problems.len(), 7, "{problems:?}");
    }

    #[test]
    fn https_needs_a_ca_and_http_ignores_one() {
        let without = problems(Args {
            hub_ca_file: None,
            ..hub()
        });
        assert_eq!(
            without,
            ["--hub-ca-file: must be set for an https --hub-address"]
        );
        let plain = Args {
            hub_address: "http://127.0.0.1:9443".into(),
            ..hub()
        };
        let Mode::Hub(plain) = Config::try_from(plain).unwrap().mode else {
            panic!()
        };
        assert_eq!(plain.ca_file, None);
    }

    #[test]
    fn a_port_is_used_once() {
        let args = Args {
            http_port: "9357".into(),
            health_port: "9357".into(),
            ..hub()
        };
        assert_eq!(
            problems(args),
            [
                "--http-port: is 9357, which --grpc-port has already",
                "--health-port: is 9357, which --grpc-port has already"
            ]
        );
    }

    #[test]
    fn a_conformance_test_implies_local_and_knows_its_calls() {
        let args = Args {
            test: "ready, SetLabel".into(),
            timeout: "40".into(),
            feature_gates: "A=true".into(),
            ..bare()
        };
        let config = Config::try_from(args).unwrap();
        assert_eq!(config.ignored, ["feature-gates"]);
        let Mode::Local(local) = config.mode else {
            panic!()
        };
        assert_eq!(local.expected.unwrap(), ["ready", "setlabel"]);
        assert_eq!(local.timeout, Some(Duration::from_secs(40)));
        let typo = problems(Args {
            test: "redy".into(),
            ..bare()
        });
        assert!(
            typo[0].starts_with("--test: \"redy\" is none of ready, "),
            "{typo:?}"
        );
    }

    #[test]
    fn an_empty_value_is_no_value() {
        let args = Args {
            local: "true".into(),
            address: String::new(),
            ..bare()
        };
        let config = Config::try_from(args).unwrap();
        assert_eq!(config.address, "");
        assert_eq!(config.mode, Mode::Local(LocalConfig::default()));
    }
}
