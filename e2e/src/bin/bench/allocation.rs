//! Allocations per second by clients over gRPC, beside the raw write limit.
//!
//! The servers have no pods: what is measured is the allocator and the API server. Every run
//! allocates every server once; between the runs they are made Ready again by bare writes, which
//! are measured too: they are the same change of the same object without an allocator.

use std::time::Duration;

use anyhow::{Context as _, Result};
use crds::GameServer;
use crds::state::State;
use e2e::allocator;
use e2e::measure::{Table, milliseconds};
use e2e::objects::podless_fleet;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::drive::{Outcome, drive};
use crate::scene::Scene;
use crate::{Args, progress, result};

const FLEET: &str = "bench";

/// Time between a reset and the next run, so that the events of the one do not burden the other.
const SETTLE: Duration = Duration::from_secs(2);

pub(crate) async fn run(scene: &Scene, args: &Args) -> Result<()> {
    let mut rows = Vec::new();
    let raw = raw_writes(scene, args, &mut rows).await?;
    scene
        .ready_fleet(&podless_fleet(FLEET, args.servers, "127.0.0.1")?)
        .await?;
    allocations(scene, args, &raw, &mut rows).await?;

    result(&format!(
        "### Allocation\n\n{} servers without pods, gRPC, closed loop, {} rounds. A raw write is a \
         guarded merge patch of a small ConfigMap; a bare change is the same of a GameServer, from \
         Allocated to Ready. CPU time is per operation. A ratio compares with raw writes by as \
         many workers.\n",
        args.servers, args.rounds
    ));
    let mut table = Table::new(&[
        "operation",
        "clients",
        "per second",
        "ratio",
        "p50",
        "p99",
        "errors",
        "CPU allocator",
        "CPU API server",
        "CPU etcd",
    ]);
    for (name, clients, outcome) in &rows {
        let ratio = raw.iter().find(|(workers, _)| workers == clients);
        let ratio = ratio.map_or_else(String::new, |(_, raw)| {
            format!("{:.2}", outcome.rate() / raw)
        });
        let sorted = outcome.sorted();
        let [allocator, api_server, etcd] = outcome.cpu_each();
        table.row([
            name.clone(),
            clients.to_string(),
            format!("{:.0}", outcome.rate()),
            ratio,
            milliseconds(sorted.percentile(50)),
            milliseconds(sorted.percentile(99)),
            outcome.failures.len().to_string(),
            allocator,
            api_server,
            etcd,
        ]);
    }
    result(&table.to_string());
    for (name, clients, outcome) in &rows {
        if let Some(failure) = outcome.failures.first() {
            result(&format!(
                "First error of {name} with {clients} clients: {failure}\n"
            ));
        }
    }
    Ok(())
}

type Rows = Vec<(String, usize, Outcome)>;

/// Raw writes per second, by the number of workers.
async fn raw_writes(scene: &Scene, args: &Args, rows: &mut Rows) -> Result<Vec<(usize, f64)>> {
    let maps = scene.api::<ConfigMap>();
    progress(&format!("raw writes of {} small objects", args.servers));
    for number in 0..args.servers {
        let mut map = ConfigMap::default();
        map.metadata.name = Some(format!("raw-{number}"));
        map.data = Some([("padding".to_owned(), "x".repeat(1000))].into());
        maps.create(&PostParams::default(), &map).await?;
    }
    let mut rates = Vec::new();
    for &workers in &args.clients {
        let mut sum = Outcome::default();
        for round in 0..args.rounds {
            let objects = versions(&maps, "raw-").await?;
            let change = json!({ "data": { "round": format!("{workers}-{round}") } });
            sum.add(patch_all(&maps, objects, change, workers).await?);
            settle().await;
        }
        rates.push((workers, sum.rate()));
        rows.push(("raw write".to_owned(), workers, sum));
    }
    Ok(rates)
}

async fn allocations(
    scene: &Scene,
    args: &Args,
    raw: &[(usize, f64)],
    rows: &mut Rows,
) -> Result<()> {
    let servers = usize::try_from(args.servers)?;
    let mut bare: Vec<_> = raw
        .iter()
        .map(|(workers, _)| (*workers, Outcome::default()))
        .collect();
    for &replicas in &args.replicas {
        scene.scale_allocator(replicas).await?;
        for (clients, resets) in &mut bare {
            progress(&format!(
                "allocations by {clients} clients, {replicas} replicas"
            ));
            let mut sum = Outcome::default();
            for _ in 0..args.rounds {
                sum.add(allocate_all(scene, *clients, servers).await?);
                resets.add(reset_all(scene, *clients, servers).await?);
            }
            rows.push((format!("allocation, {replicas} replicas"), *clients, sum));
        }
    }
    let bare = bare.into_iter();
    rows.extend(bare.map(|(workers, sum)| ("bare change".to_owned(), workers, sum)));
    Ok(())
}

async fn allocate_all(scene: &Scene, clients: usize, servers: usize) -> Result<Outcome> {
    let allocator = scene.allocator().await?;
    let request = allocator::from_fleet(&scene.namespace, FLEET);
    let outcome = drive(
        clients,
        servers,
        async || allocator.grpc().await,
        move |mut client: allocator::Grpc, _| {
            let request = request.clone();
            async move {
                let answer = client.allocate(request).await;
                let failure = |it: tonic::Status| format!("{:?}: {}", it.code(), it.message());
                (client, answer.map(drop).map_err(failure))
            }
            .boxed()
        },
    )
    .await?;
    settle().await;
    Ok(outcome)
}

async fn reset_all(scene: &Scene, workers: usize, servers: usize) -> Result<Outcome> {
    let api = scene.api::<GameServer>();
    let objects = versions(&api, FLEET).await?;
    let change = json!({ "status": { "state": State::Ready } });
    let outcome = patch_all(&api, objects, change, workers).await?;
    scene.all_in(FLEET, State::Ready, servers).await?;
    settle().await;
    Ok(outcome)
}

/// Names and versions of the objects whose names start so.
async fn versions<K>(api: &Api<K>, prefix: &str) -> Result<Vec<(String, String)>>
where
    K: e2e::wait::Watched,
{
    let list = api.list_metadata(&kube::api::ListParams::default()).await?;
    list.into_iter()
        .filter(|it| it.name_any().starts_with(prefix))
        .map(|it| {
            Ok((
                it.name_any(),
                it.metadata.resource_version.context("no version")?,
            ))
        })
        .collect()
}

/// Applies the same change to every object once, guarded by its version.
async fn patch_all<K>(
    api: &Api<K>,
    objects: Vec<(String, String)>,
    change: Value,
    workers: usize,
) -> Result<Outcome>
where
    K: Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let count = objects.len();
    drive(
        workers,
        count,
        async || Ok(api.clone()),
        move |api: Api<K>, piece| {
            let (name, version) = objects[piece].clone();
            let mut patch = change.clone();
            patch["metadata"] = json!({ "resourceVersion": version });
            async move {
                let parameters = PatchParams::default();
                let answer = api.patch(&name, &parameters, &Patch::Merge(patch)).await;
                (api, answer.map(drop).map_err(|error| error.to_string()))
            }
            .boxed()
        },
    )
    .await
}

/// The pause is part of the method of measuring, not a wait for anything.
async fn settle() {
    tokio::time::sleep(SETTLE).await;
}
