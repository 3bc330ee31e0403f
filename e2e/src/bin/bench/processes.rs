//! Processes of the cluster on this host, by `/proc`.
//!
//! The control plane is found by the name of its program, and by its flags where several clusters
//! run here; Muster's processes by the uid of their pod in the name of their control group.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::Result;
use e2e::cluster::{ALLOCATOR, Cluster, OPERATOR, SYSTEM};
use e2e::measure::{self, Sorted};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::load::count;

/// Length of a clock tick in `/proc/PID/stat`: USER_HZ is 100 on every architecture of ours.
const TICK: Duration = Duration::from_millis(10);

/// A program whose CPU is of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    Allocator,
    ApiServer,
    Etcd,
    Operator,
}

/// CPU used so far, per process.
#[derive(Debug)]
pub(crate) struct Cpu(BTreeMap<Program, BTreeMap<u32, u64>>);

impl Cpu {
    /// Finds the processes, and reads what they have used.
    pub(crate) async fn begin(cluster: &Cluster) -> Result<Self> {
        let mut programs = BTreeMap::new();
        let url = kube::Config::infer().await?.cluster_url;
        let port = url.port_u16().unwrap_or(443);
        let server = narrow(named("kube-apiserver"), &[format!("--secure-port={port}")]);
        let stores = server
            .first()
            .and_then(|pid| flag(*pid, "--etcd-servers="))
            .unwrap_or_default();
        let stores: Vec<_> = stores.split(',').map(str::to_owned).collect();
        programs.insert(Program::Etcd, narrow(named("etcd"), &stores));
        programs.insert(Program::ApiServer, server);
        for (program, deployment, name) in [
            (Program::Allocator, ALLOCATOR, "allocator"),
            (Program::Operator, OPERATOR, "operator"),
        ] {
            programs.insert(program, of_deployment(cluster, deployment, name).await?);
        }
        let used = programs.into_iter().map(|(program, pids)| {
            let ticks = pids.into_iter().filter_map(|pid| Some((pid, ticks(pid)?)));
            (program, ticks.collect())
        });
        Ok(Self(used.collect()))
    }

    /// CPU that a program used since; None if it does not run here, or not all the time.
    fn since(&self, program: Program) -> Option<Duration> {
        let before = self.0.get(&program).filter(|pids| !pids.is_empty())?;
        let used = before
            .iter()
            .map(|(pid, before)| ticks(*pid)?.checked_sub(*before));
        let used: u64 = used.sum::<Option<u64>>()?;
        Some(TICK * u32::try_from(used).ok()?)
    }

    /// Milliseconds of CPU since, for each of so many requests.
    pub(crate) fn milliseconds(&self, program: Program, requests: usize) -> Option<f64> {
        let used = self.since(program)?;
        (requests > 0).then(|| used.as_secs_f64() * 1000.0 / count(requests))
    }
}

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) rss: u64,
    pub(crate) anonymous: u64,
    pub(crate) pss: u64,
}

impl Memory {
    /// Of a process; None if it has gone, or must not be looked at.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix("kB")?.trim().parse().ok()
        };
        Some(Self {
            rss: field("Rss:")?,
            anonymous: field("Anonymous:")?,
            pss: field("Pss:")?,
        })
    }
}

/// Processes of one name in the pods of one of Muster's Deployments.
pub(crate) async fn of_deployment(
    cluster: &Cluster,
    deployment: &str,
    name: &str,
) -> Result<Vec<u32>> {
    let api = cluster.api::<Pod>(SYSTEM);
    let mut pods = Vec::new();
    for pod in cluster.deployment_pods(deployment).await? {
        pods.extend(api.get_opt(&pod).await?);
    }
    Ok(of_pods(&pods, name))
}

/// Processes of one name in some pods.
pub(crate) fn of_pods(pods: &[Pod], name: &str) -> Vec<u32> {
    let uids: Vec<_> = pods.iter().filter_map(ResourceExt::uid).collect();
    let mut found = named(name);
    found.retain(|pid| {
        let group = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        // The systemd driver writes uids with underscores.
        let group = group.replace('_', "-");
        uids.iter().any(|uid| group.contains(uid))
    });
    found
}

/// Processes of a program.
fn named(name: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
    })
    .collect()
}

/// Of several processes only those with one of these texts in a flag.
fn narrow(mut pids: Vec<u32>, texts: &[String]) -> Vec<u32> {
    if pids.len() > 1 {
        pids.retain(|pid| {
            let command = command(*pid);
            let has = |text: &String| command.iter().any(|flag| flag.contains(text.as_str()));
            texts.iter().any(|text| !text.is_empty() && has(text))
        });
    }
    pids
}

/// Value of a flag of a process.
fn flag(pid: u32, prefix: &str) -> Option<String> {
    let command = command(pid);
    let mut values = command.iter().filter_map(|flag| flag.strip_prefix(prefix));
    values.next().map(str::to_owned)
}

/// Program and flags of a process.
fn command(pid: u32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    text.split('\0').map(str::to_owned).collect()
}

/// Clock ticks that a process has used, by itself and in the kernel.
fn ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; utime is the 12th field after it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let mut next = || times.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// The figures of a latency in a table: median, 99th percentile, longest.
pub(crate) fn quantiles(latencies: &Sorted) -> [String; 3] {
    [
        measure::milliseconds(latencies.percentile(50)),
        measure::milliseconds(latencies.percentile(99)),
        measure::milliseconds(latencies.longest()),
    ]
}
