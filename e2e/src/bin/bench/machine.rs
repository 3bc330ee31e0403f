//! Where the figures come from: a line about the machine and the cluster.

use anyhow::Result;
use e2e::cluster::{ALLOCATOR, Cluster, OPERATOR};

/// One line: profile of this program, machine, Kubernetes, replicas.
pub(crate) async fn facts(cluster: &Cluster) -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let kernel = file("/proc/sys/kernel/osrelease");
    let cpu = field(&file("/proc/cpuinfo"), "model name");
    let memory = field(&file("/proc/meminfo"), "MemTotal");
    let load = file("/proc/loadavg");
    let load: Vec<_> = load.split(' ').take(2).collect();
    let version = cluster.client().apiserver_version().await?;
    let operators = cluster.deployment_pods(OPERATOR).await?.len();
    let allocators = cluster.deployment_pods(ALLOCATOR).await?.len();
    let profile = if cfg!(debug_assertions) {
        "dev"
    } else {
        "release"
    };
    Ok(format!(
        "{profile} client; {cores} cores ({cpu}), {memory}, Linux {kernel}, load at the start {}; \
         Kubernetes {}; {operators} operator and {allocators} allocator replicas",
        load.join(" "),
        version.git_version,
    ))
}

/// A file of `/proc` without its last line break; empty where there is none.
fn file(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim_end().to_owned()
}

/// The first value of a key in lines of `key : value`.
fn field(text: &str, key: &str) -> String {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(name, _)| name.trim() == key).map_or_else(
        || "unknown".to_owned(),
        |(_, value)| value.trim().to_owned(),
    )
}
