//! Arguments become a configuration that is known to be valid.

use std::net::SocketAddr;
use std::time::Duration;

use runtime::backoff::Backoff;
use runtime::service::Problems;
use runtime::tls::Files;

use crate::allocate::Bounds;
use crate::api::Settings;
use crate::args::Args;
use crate::call::Limits;
use crate::status;
use crate::validate::is_namespace;

/// Calls of one write, the first included.
const CALLS: u32 = 8;

/// Time between them: about 3 s in all when the API server is away.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(50),
    cap: Duration::from_secs(1),
};

/// What the allocator does.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the allocation API is served.
    pub address: SocketAddr,
    /// Where health checks and metrics are served.
    pub admin_address: SocketAddr,
    /// Namespaces of game servers; empty for all.
    pub namespaces: Vec<String>,
    /// Our own namespace: guards of request ids, and the keys of connect tokens.
    pub own_namespace: String,
    /// Certificates; none to serve without TLS.
    pub tls: Option<Files>,
    /// Answers.
    pub settings: Settings,
    /// Concurrent work.
    pub bounds: Bounds,
    /// Connections at once.
    pub connections: usize,
    /// Still serving after the signal to stop.
    pub shutdown_delay: Duration,
    /// Longest time for what is in flight at the end.
    pub drain_timeout: Duration,
}

impl TryFrom<Args> for Config {
    type Error = Problems;

    fn try_from(args: Args) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let unallocated = status::unallocated(args.unallocated_status_code);
        if unallocated.is_none() {
            problems.push(format!(
                "--unallocated-status-code must be one of {}",
                status::UNALLOCATED
            ));
        }
        for (flag, number) in [
            ("--request-timeout-seconds", args.request_timeout_seconds),
            ("--api-timeout-seconds", args.api_timeout_seconds),
            (
                "--max-concurrent-requests",
                args.max_concurrent_requests as u64,
            ),
            (
                "--max-concurrent-commits",
                args.max_concurrent_commits as u64,
            ),
            ("--max-connections", args.max_connections as u64),
        ] {
            if number == 0 || number > 100_000 {
                problems.push(format!("{flag} must be from 1 to 100000"));
            }
        }
        // An empty value, as an unset chart value leaves it, means all.
        let namespaces: Vec<String> = args
            .namespaces
            .into_iter()
            .filter(|namespace| !namespace.is_empty())
            .collect();
        for namespace in &namespaces {
            if !is_namespace(namespace) {
                problems.push(format!(
                    "--namespaces: {namespace:?} is no name of a namespace"
                ));
            }
        }
        if !is_namespace(&args.pod_namespace) {
            problems.push(format!(
                "--pod-namespace: {:?} is no name of a namespace",
                args.pod_namespace
            ));
        }
        let (Some(unallocated), true) = (unallocated, problems.is_empty()) else {
            return Err(Problems(problems));
        };
        let tls = (!args.disable_tls).then(|| Files {
            server: args.tls_dir,
            client_ca: (!args.disable_mtls).then_some(args.client_ca_dir),
        });
        Ok(Self {
            address: SocketAddr::new(args.address, args.port),
            admin_address: args.admin_address,
            namespaces,
            own_namespace: args.pod_namespace,
            tls,
            settings: Settings {
                unallocated,
                timeout: Duration::from_secs(args.request_timeout_seconds),
            },
            bounds: Bounds {
                requests: args.max_concurrent_requests,
                commits: args.max_concurrent_commits,
                commit: Limits {
                    call: Duration::from_secs(args.api_timeout_seconds),
                    tries: CALLS,
                    backoff: BACKOFF,
                },
            },
            connections: args.max_connections,
            shutdown_delay: Duration::from_secs(args.shutdown_delay_seconds),
            drain_timeout: Duration::from_secs(args.drain_timeout_seconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn config(flags: &[&str]) -> Result<Config, Problems> {
        Config::try_from(Args::try_parse_from([&["allocator"], flags].concat()).unwrap())
    }

    #[test]
    fn mutual_tls_unless_it_is_switched_off() {
        let tls = |flags: &[&str]| config(flags).unwrap().tls;
        assert!(tls(&[]).unwrap().client_ca.is_some());
        assert!(tls(&["--disable-mtls"]).unwrap().client_ca.is_none());
        assert!(tls(&["--disable-mtls=false"]).unwrap().client_ca.is_some());
        assert!(tls(&["--disable-tls"]).is_none());
        assert!(tls(&["--disable-tls=true", "--port", "1"]).is_none());
    }

    #[test]
    fn every_problem_is_told() {
        let flags = [
            "--unallocated-status-code=418",
            "--max-connections=0",
            "--namespaces=good,Bad",
        ];
        let Problems(problems) = config(&flags).unwrap_err();
        assert_eq!(
            problems,
            [
                "--unallocated-status-code must be one of 200, 400, 401, 403, 404, 409, 429, 499, 500, 501, 503, 504",
                "--max-connections must be from 1 to 100000",
                "--namespaces: \"Bad\" is no name of a namespace",
            ]
        );
    }

    #[test]
    fn namespaces_are_a_list_and_all_by_default() {
        assert!(config(&[]).unwrap().namespaces.is_empty());
        assert!(config(&["--namespaces="]).unwrap().namespaces.is_empty());
        assert_eq!(
            config(&["--namespaces=a,b"]).unwrap().namespaces,
            ["a", "b"]
        );
    }
}
