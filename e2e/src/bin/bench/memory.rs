//! Memory of the SDK servers in real pods, and of the operator and the allocator.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use e2e::cluster::{ALLOCATOR, Cluster, OPERATOR};
use e2e::measure::Table;
use e2e::objects::{self, Sample};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::ListParams;

use crate::load::count;
use crate::processes::{self, Memory};
use crate::scratch::{Scratch, of_fleet, progress};

/// Fleets of the section.
const REAL: &str = "real";
const PODLESS: &str = "podless";

/// Options of the section.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// memory: servers with real pods.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=100))]
    pods: u16,

    /// memory: servers without pods beside them.
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u16).range(1..))]
    podless: u16,

    /// memory: the SDK server's image as `cargo xtask images` wrote it.
    #[arg(
        long, value_name = "TAR",
        default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/images/sdk-server.tar")
    )]
    sdk_image: PathBuf,
}

/// Measures and reports.
pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<String> {
    Scratch::with(cluster, "memory", async |it| {
        Box::pin(measure(it, args)).await
    })
    .await
}

async fn measure(scratch: &Scratch, args: &Args) -> Result<String> {
    let servers = args.pods + args.podless;
    progress(&format!("waiting for {servers} Ready servers"));
    let real = Sample::default().fleet(REAL, i32::from(args.pods))?;
    let podless = objects::podless_fleet(PODLESS, i32::from(args.podless), "127.0.0.1")?;
    scratch.create(&podless).await?;
    scratch.create(&real).await?;
    scratch.ready(PODLESS, args.podless.into()).await?;
    scratch.ready(REAL, args.pods.into()).await?;

    let params = ListParams::default().labels(&of_fleet(REAL));
    let pods = scratch.api::<Pod>().list(&params).await?.items;
    ensure!(!pods.is_empty(), "the real servers have no pods");
    let cluster = &scratch.cluster;
    let mut table = Table::new(&["process", "processes", "RSS", "anonymous", "PSS"]);
    for (name, pids) in [
        ("sdk-server", processes::of_pods(&pods, "sdk-server")),
        (
            "operator",
            processes::of_deployment(cluster, OPERATOR, "operator").await?,
        ),
        (
            "allocator",
            processes::of_deployment(cluster, ALLOCATOR, "allocator").await?,
        ),
    ] {
        let all: Vec<_> = pids.into_iter().filter_map(Memory::of).collect();
        table.row([
            name.to_owned(),
            all.len().to_string(),
            median_and_most(&all, |it| it.rss),
            median_and_most(&all, |it| it.anonymous),
            median_and_most(&all, |it| it.pss),
        ]);
    }
    let image = std::fs::metadata(&args.sdk_image);
    let image = match image {
        Ok(file) => format!("{} as an archive", mebibytes(file.len().div_ceil(1024))),
        Err(error) => format!("unknown ({}: {error})", args.sdk_image.display()),
    };
    Ok(format!(
        "### Memory\n\n\
         {} real servers and {} pod-less ones, all Ready: median and most of each kind of \
         process.\n\n{table}\n\
         SDK server: CPU request {}, image {image}.\n",
        args.pods,
        args.podless,
        cpu_request(&pods).context("the pods have no SDK server")?,
    ))
}

/// Median and most of a figure; `unknown` without processes on this host.
fn median_and_most(all: &[Memory], figure: impl Fn(&Memory) -> u64) -> String {
    let mut figures: Vec<_> = all.iter().map(figure).collect();
    figures.sort_unstable();
    let median = figures.get(figures.len() / 2);
    match (median, figures.last()) {
        (Some(median), Some(most)) => {
            format!("{}, at most {}", mebibytes(*median), mebibytes(*most))
        }
        _ => "unknown".to_owned(),
    }
}

/// KiB as MiB.
fn mebibytes(kibibytes: u64) -> String {
    let kibibytes = usize::try_from(kibibytes).unwrap_or(usize::MAX);
    format!("{:.1} MiB", count(kibibytes) / 1024.0)
}

/// The CPU request of the SDK server in a pod.
fn cpu_request(pods: &[Pod]) -> Option<String> {
    let spec = pods.first()?.spec.as_ref()?;
    let mut containers = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let is_sdk_server = |it: &&Container| {
        let image = it.image.as_deref().unwrap_or_default();
        image.contains("sdk-server")
    };
    let requests = containers.find(is_sdk_server)?.resources.as_ref()?;
    let request = requests.requests.as_ref()?.get("cpu")?;
    Some(request.0.clone())
}
