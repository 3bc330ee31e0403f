//! Memory of the SDK server in real pods, and of operator and allocator beside 100 servers.

use anyhow::{Context as _, Result};
use e2e::measure::Table;
use e2e::objects::{Sample, podless_fleet};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::ListParams;

use crate::processes::{self, Memory};
use crate::scene::Scene;
use crate::{Args, progress, result};

/// Servers without pods, beside the real ones, up to 100 in all.
const SERVERS: i32 = 100;

const INVISIBLE: &str = "Memory cannot be measured: no process of Muster is visible on this host, \
                         which must run the node itself, and this program as root.\n";

pub(crate) async fn run(scene: &Scene, args: &Args) -> Result<()> {
    let began = processes::named("sdk-server").len();
    scene
        .ready_fleet(&Sample::default().fleet("real", args.pods)?)
        .await?;
    scene
        .ready_fleet(&podless_fleet(
            "podless",
            (SERVERS - args.pods).max(0),
            "127.0.0.1",
        )?)
        .await?;
    progress("reading the memory of all processes");
    result("### Memory\n");
    let sdk_servers = memories("sdk-server");
    if sdk_servers.is_empty() {
        result(INVISIBLE);
    } else {
        let mut table = Table::new(&[
            "process",
            "count",
            "RSS",
            "anonymous",
            "PSS",
            "greatest RSS",
        ]);
        let rows = [
            ("SDK server, its stream open", sdk_servers),
            ("operator", memories("operator")),
            ("allocator", memories("allocator")),
        ];
        for (name, memories) in rows {
            table.row(row(name, &memories));
        }
        result(&format!(
            "Means of all processes on this host: {} real pods ({began} more had been there), and \
             {SERVERS} servers in all.\n\n{table}",
            args.pods
        ));
    }
    static_facts(scene).await
}

fn memories(name: &str) -> Vec<Memory> {
    processes::named(name)
        .into_iter()
        .filter_map(processes::memory)
        .collect()
}

fn row(name: &str, memories: &[Memory]) -> [String; 6] {
    let count = u64::try_from(memories.len()).unwrap_or(u64::MAX);
    let mean = |field: fn(&Memory) -> u64| {
        let sum: u64 = memories.iter().map(field).sum();
        mebibytes(sum / count.max(1))
    };
    [
        name.to_owned(),
        count.to_string(),
        mean(|it| it.rss),
        mean(|it| it.anonymous),
        mean(|it| it.pss),
        mebibytes(memories.iter().map(|it| it.rss).max().unwrap_or_default()),
    ]
}

/// KiB as MiB.
fn mebibytes(kibibytes: u64) -> String {
    format!("{}.{} MiB", kibibytes / 1024, kibibytes % 1024 * 10 / 1024)
}

/// What needs no access to processes: requests and the sizes of images.
async fn static_facts(scene: &Scene) -> Result<()> {
    let labels = ListParams::default()
        .labels(crds::meta::ROLE_LABEL)
        .limit(1);
    let pods = scene.api::<Pod>().list(&labels).await?;
    let spec = pods
        .items
        .first()
        .and_then(|pod| pod.spec.as_ref())
        .context("no pod")?;
    let containers = spec.init_containers.iter().flatten();
    let is_sdk = |it: &&Container| {
        it.image
            .as_ref()
            .is_some_and(|it| it.contains("sdk-server"))
    };
    let sidecar = containers
        .into_iter()
        .find(is_sdk)
        .context("no SDK server in the pod")?;
    let requests = sidecar
        .resources
        .as_ref()
        .and_then(|it| it.requests.as_ref());
    let request = requests
        .and_then(|it| it.get("cpu"))
        .map_or("none", |it| it.0.as_str());
    result(&format!("The SDK server requests {request} of CPU.\n"));

    let mut table = Table::new(&["image", "size on the node"]);
    let nodes = scene.cluster.nodes().list(&ListParams::default()).await?;
    let images = nodes
        .iter()
        .filter_map(|node| node.status.as_ref()?.images.as_ref())
        .flatten();
    for image in images {
        let names = image.names.iter().flatten();
        let name = names
            .into_iter()
            .find(|it| it.contains("muster/") && !it.contains('@'));
        if let (Some(name), Some(size)) = (name, image.size_bytes) {
            table.row([name.clone(), mebibytes(u64::try_from(size / 1024)?)]);
        }
    }
    result(&table.to_string());
    Ok(())
}
