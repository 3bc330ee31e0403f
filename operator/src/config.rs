//! Validated settings of the operator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crds::gameserver::DEFAULT_RANGE;
use runtime::lease::Timing;
use runtime::service::Problems;

use crate::args::Args;
use crate::ports::{PortRange, PortRanges};

/// Settings of the operator.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) admin_address: SocketAddr,
    /// Where browsers reach the admin address of the lobby.
    pub(crate) console_lobby: Option<String>,
    pub(crate) hub_address: SocketAddr,
    pub(crate) sdk: SdkConfig,
    /// Namespaces of game servers; empty: all.
    pub(crate) namespaces: Vec<String>,
    pub(crate) port_ranges: PortRanges,
    pub(crate) allocator: AllocatorConfig,
    pub(crate) identity: String,
    pub(crate) namespace: String,
    pub(crate) lease_name: String,
    pub(crate) lease: Timing,
    pub(crate) max_creations: usize,
    pub(crate) max_deletions: usize,
    pub(crate) max_pending: usize,
}

/// How SDK servers are run.
#[derive(Clone, Debug)]
pub(crate) struct SdkConfig {
    pub(crate) image: String,
    pub(crate) pull_policy: String,
    pub(crate) hub_endpoint: String,
    /// Resource requests and limits by name; those that are empty are left out.
    pub(crate) requests: Vec<(&'static str, String)>,
    pub(crate) limits: Vec<(&'static str, String)>,
}

/// How the allocator is reached.
#[derive(Clone, Debug)]
pub(crate) struct AllocatorConfig {
    pub(crate) endpoint: String,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) tls_dir: Option<PathBuf>,
}

impl Config {
    /// Whether game servers of a namespace are ours to look after.
    pub(crate) fn serves(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|known| known == namespace)
    }
}

/// Whether a URL can stand in the page and its headers as it is.
fn is_plain_url(url: &str) -> bool {
    let has_scheme = url.starts_with("http://") || url.starts_with("https://");
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>;,".contains(&byte);
    has_scheme && url.bytes().all(is_plain) && !url.ends_with('/')
}

impl TryFrom<Args> for Config {
    type Error = Problems;

    fn try_from(args: Args) -> Result<Self, Problems> {
        let Args {
            log: _,
            trace: _,
            admin_address,
            console_lobby,
            hub_address,
            hub_endpoint,
            sdk_image,
            sdk_image_pull_policy,
            sdk_cpu_request,
            sdk_cpu_limit,
            sdk_memory_request,
            sdk_memory_limit,
            namespaces,
            port_ranges,
            allocator_endpoint,
            allocator_ca_file,
            allocator_tls_dir,
            pod_name,
            pod_namespace,
            lease_name,
            lease_duration_seconds,
            lease_renew_deadline_seconds,
            lease_retry_seconds,
            max_creations,
            max_deletions,
            max_pending,
        } = args;
        let mut problems = Vec::new();
        let mut ranges = Vec::new();
        for text in &port_ranges {
            match text.parse::<PortRange>() {
                Ok(range) => ranges.push(range),
                Err(error) => problems.push(format!("--port-range {text}: {error}")),
            }
        }
        let port_ranges = match PortRanges::new(ranges) {
            Ok(ranges) => {
                if !ranges.contains(DEFAULT_RANGE) {
                    problems.push("--port-range: the range `default` is missing".to_owned());
                }
                ranges
            }
            Err(error) => {
                problems.push(format!("--port-range: {error}"));
                PortRanges::default()
            }
        };
        if !["Always", "IfNotPresent", "Never"].contains(&sdk_image_pull_policy.as_str()) {
            problems.push(format!(
                "--sdk-image-pull-policy {sdk_image_pull_policy}: must be Always, IfNotPresent or Never"
            ));
        }
        for (flag, endpoint) in [
            ("--hub-endpoint", &hub_endpoint),
            ("--allocator-endpoint", &allocator_endpoint),
        ] {
            if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                problems.push(format!(
                    "{flag} {endpoint}: must start with http:// or https://"
                ));
            }
        }
        if let Some(url) = &console_lobby
            && !is_plain_url(url)
        {
            problems.push(format!(
                "--console-lobby {url}: must start with http:// or https://, without spaces, quotes, \
                 semicolons and a slash at the end"
            ));
        }
        if !(lease_retry_seconds < lease_renew_deadline_seconds
            && lease_renew_deadline_seconds < lease_duration_seconds
            && lease_retry_seconds > 0)
        {
            problems.push(
                "--lease-retry-seconds must be less than --lease-renew-deadline-seconds, and that less than --lease-duration-seconds".to_owned(),
            );
        }
        for (flag, value) in [
            ("--max-creations", max_creations),
            ("--max-deletions", max_deletions),
            ("--max-pending", max_pending),
        ] {
            if value == 0 {
                problems.push(format!("{flag} must be at least 1"));
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let seconds = |value: u32| Duration::from_secs(u64::from(value));
        let given = |pairs: [(&'static str, String); 2]| {
            pairs
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .collect()
        };
        Ok(Self {
            admin_address,
            console_lobby,
            hub_address,
            sdk: SdkConfig {
                image: sdk_image,
                pull_policy: sdk_image_pull_policy,
                hub_endpoint,
                requests: given([("cpu", sdk_cpu_request), ("memory", sdk_memory_request)]),
                limits: given([("cpu", sdk_cpu_limit), ("memory", sdk_memory_limit)]),
            },
            namespaces: namespaces
                .into_iter()
                .filter(|name| !name.is_empty())
                .collect(),
            port_ranges,
            allocator: AllocatorConfig {
                endpoint: allocator_endpoint,
                ca_file: allocator_ca_file,
                tls_dir: allocator_tls_dir,
            },
            // Two replicas of one name would both take the lease for theirs.
            identity: pod_name.unwrap_or_else(|| {
                format!(
                    "operator-{}-{}",
                    std::process::id(),
                    runtime::clock::now().as_second()
                )
            }),
            namespace: pod_namespace,
            lease_name,
            lease: Timing {
                duration: seconds(lease_duration_seconds),
                renew_deadline: seconds(lease_renew_deadline_seconds),
                retry: seconds(lease_retry_seconds),
            },
            max_creations,
            max_deletions,
            max_pending,
        })
    }
}
