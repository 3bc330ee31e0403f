//! The API server goes away for half a minute: nothing crashes, nothing is lost, work resumes.
//!
//! Needs a cluster whose API server is a process of this host, as the local provider's is.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::state::State;
use e2e::allocator;
use e2e::cluster::{ALLOCATOR, Cluster, OPERATOR, SYSTEM};
use e2e::objects::Sample;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;

use crate::harness::{alone, command, names, udp};

/// How long the API server is away.
const OUTAGE: Duration = Duration::from_secs(30);

#[test]
fn half_a_minute_without_the_api_server_loses_nothing() {
    alone("outage", async |test| {
        let servers = test
            .ready_fleet(&Sample::default().fleet("game", 3)?)
            .await?;
        let [allocate, label, idle] = &servers[..] else {
            anyhow::bail!("not three servers")
        };
        let allocator = test.allocator().await?;
        let before = restarts(&test.cluster).await?;

        let stopped = Stopped::api_server()?;
        let since = Instant::now();
        // Games go on, and what they say is kept.
        let (first, second) =
            futures::join!(udp(allocate, "ALLOCATE"), udp(label, "LABEL map arena"));
        eprintln!("answers during the outage: {first:?}, {second:?}");
        command(idle, "hello").await?;
        let request = allocator::from_fleet(&test.namespace, "game");
        let refused = tokio::time::timeout(OUTAGE, allocator.allocate(request.clone())).await;
        let refused = refused.context("the allocator kept a caller waiting for half a minute")?;
        ensure!(
            refused.is_err(),
            "an allocation was answered that cannot have been written"
        );
        tokio::time::sleep(OUTAGE.saturating_sub(since.elapsed())).await;
        drop(stopped);

        test.in_state(&allocate.name_any(), State::Allocated)
            .await?;
        e2e::wait::until(
            &test.api::<crds::GameServer>(),
            &label.name_any(),
            "to be labeled",
            |it| it.labels().values().any(|value| value == "arena"),
        )
        .await?;
        // Work resumes: the fleet follows its size, and matches are served.
        test.scale("game", 4).await?;
        let ready = test.fleet_in("game", State::Ready, 2).await?;
        ensure!(
            !names(&ready).contains(&allocate.name_any()),
            "the allocation was lost"
        );
        allocator
            .allocate(request)
            .await
            .context("allocate after the outage")?;
        let after = restarts(&test.cluster).await?;
        ensure!(
            before == after,
            "containers were restarted: {before:?} became {after:?}"
        );
        Ok(())
    });
}

/// The API server, held until this is dropped.
struct Stopped(u32);

impl Stopped {
    fn api_server() -> Result<Self> {
        let pid = find("kube-apiserver").context(
            "no kube-apiserver runs on this host; this test needs the local provider \
             (`cargo xtask cluster up`)",
        )?;
        signal("STOP", pid)?;
        Ok(Self(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Err(error) = signal("CONT", self.0) {
            eprintln!("{error:#}");
        }
    }
}

fn signal(name: &str, pid: u32) -> Result<()> {
    let status = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status()?;
    ensure!(status.success(), "kill -{name} {pid} failed");
    Ok(())
}

/// The process of that program which serves the cluster of the kubeconfig.
fn find(program: &str) -> Option<u32> {
    let kubeconfig = std::env::var("KUBECONFIG").ok()?;
    let state = std::path::Path::new(&kubeconfig).parent()?;
    std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .find_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let executable = std::fs::read_link(entry.path().join("exe")).ok()?;
            let folder = std::fs::read_link(entry.path().join("cwd")).ok()?;
            let arguments = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
            let state = state.to_str()?;
            let of_cluster = folder.starts_with(state) || arguments.contains(state);
            (executable.file_name()?.to_str()? == program && of_cluster).then_some(pid)
        })
}

/// How often the containers of operator and allocator were started anew.
async fn restarts(cluster: &Cluster) -> Result<BTreeMap<String, i32>> {
    let pods = cluster
        .api::<Pod>(SYSTEM)
        .list(&ListParams::default())
        .await?;
    Ok(pods
        .items
        .iter()
        .filter(|pod| {
            [OPERATOR, ALLOCATOR]
                .iter()
                .any(|name| pod.name_any().starts_with(name))
        })
        .map(|pod| {
            let statuses = pod
                .status
                .iter()
                .flat_map(|it| it.container_statuses.iter().flatten());
            (
                pod.name_any(),
                statuses.map(|container| container.restart_count).sum(),
            )
        })
        .collect())
}
