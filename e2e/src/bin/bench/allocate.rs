//! Allocations in a closed loop, beside bare writes by as many clients.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::allocator::{self, Allocator, Grpc};
use e2e::cluster::{ALLOCATOR, Cluster, SYSTEM};
use e2e::measure::Table;
use e2e::{objects, wait};
use k8s_openapi::api::apps::v1::Deployment;

use crate::load::{self, Load};
use crate::processes::{Cpu, Program, quantiles};
use crate::scratch::{Scratch, interruptible, progress};
use crate::{prometheus, raw};

/// Longest time until every allocator knows every server.
const KNOWN: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(250);
/// What an allocator knows: servers by fleet and state.
const KNOWN_METRIC: &str = "muster_allocator_allocatable_gameservers";

/// Programs that take part in a bare write, and in an allocation.
const WRITERS: [Program; 2] = [Program::ApiServer, Program::Etcd];
const PROGRAMS: [Program; 4] = [
    Program::Allocator,
    Program::ApiServer,
    Program::Etcd,
    Program::Operator,
];

/// Options of the section.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// allocate: allocations, and bare writes, of each run.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    allocations: u16,

    /// allocate: pod-less servers that are Ready when a run starts; at least the allocations.
    #[arg(long, default_value_t = 500)]
    servers: u16,

    /// allocate: clients at once, one run for each number.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 40])]
    clients: Vec<u16>,

    /// allocate: replicas of the allocator while measuring; as found without it.
    #[arg(long, value_name = "COUNT")]
    allocator_replicas: Option<i32>,

    /// allocate: address of the allocator, if its Service cannot be reached from this host.
    #[arg(long, value_name = "IP:PORT")]
    allocator: Option<SocketAddr>,
}

/// What was measured with one number of clients.
struct Run {
    clients: usize,
    writes: Load,
    writes_cpu: [Option<f64>; 2],
    allocations: Load,
    allocations_cpu: [Option<f64>; 4],
}

/// Measures and reports.
pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<String> {
    ensure!(
        args.servers >= args.allocations,
        "--servers must be at least --allocations"
    );
    let Some(replicas) = args.allocator_replicas else {
        return Scratch::with(cluster, "allocate", async |it| {
            Box::pin(measure(it, args)).await
        })
        .await;
    };
    let deployments = cluster.api::<Deployment>(SYSTEM);
    let before = deployments.get_scale(ALLOCATOR).await?;
    let before = before.spec.and_then(|spec| spec.replicas).unwrap_or(1);
    progress(&format!("scaling the allocator to {replicas}"));
    let scaled = interruptible(Box::pin(cluster.scale_deployment(ALLOCATOR, replicas))).await;
    let report = match scaled {
        Ok(()) => {
            Scratch::with(cluster, "allocate", async |it| {
                Box::pin(measure(it, args)).await
            })
            .await
        }
        Err(error) => Err(error),
    };
    progress(&format!("scaling the allocator back to {before}"));
    let restored = cluster.scale_deployment(ALLOCATOR, before).await;
    let report = report?;
    restored?;
    Ok(report)
}

async fn measure(scratch: &Scratch, args: &Args) -> Result<String> {
    let address = match args.allocator {
        Some(address) => address,
        None => scratch.cluster.service_address(ALLOCATOR).await?,
    };
    let allocator = Allocator::new(address);
    let total = usize::from(args.allocations);
    let servers = usize::from(args.servers);
    progress(&format!("creating {total} objects for bare writes"));
    raw::create(scratch, total).await?;
    let mut runs = Vec::new();
    for (index, clients) in args.clients.iter().enumerate() {
        let clients = usize::from(*clients);
        let fleet = format!("run-{index}");
        progress(&format!("waiting for {servers} Ready servers"));
        let object = objects::podless_fleet(&fleet, i32::from(args.servers), "127.0.0.1")?;
        scratch.create(&object).await?;
        scratch.ready(&fleet, servers).await?;
        known(scratch, &fleet, servers).await?;
        progress(&format!("{total} bare writes by {clients}"));
        let (writes, cpu) = raw::run(scratch, clients, total).await?;
        let writes_cpu = WRITERS.map(|it| cpu.milliseconds(it, total));
        progress(&format!("{total} allocations by {clients}"));
        let (allocations, cpu) = allocate(scratch, allocator, &fleet, clients, total).await?;
        let allocations_cpu = PROGRAMS.map(|it| cpu.milliseconds(it, total));
        progress(&format!(
            "{:.0} writes/s, {:.0} allocations/s, errors: {}",
            writes.rate(),
            allocations.rate(),
            allocations.errors()
        ));
        runs.push(Run {
            clients,
            writes,
            writes_cpu,
            allocations,
            allocations_cpu,
        });
        progress("deleting the servers");
        scratch.delete(&fleet).await?;
    }
    let replicas = scratch.cluster.deployment_pods(ALLOCATOR).await?.len();
    Ok(report(&runs, total, servers, replicas))
}

/// Waits until every replica of the allocator knows all servers of a fleet as Ready.
async fn known(scratch: &Scratch, fleet: &str, servers: usize) -> Result<()> {
    let of_fleet = [
        ("fleet_name", fleet),
        ("namespace", scratch.namespace.as_str()),
        ("state", "Ready"),
    ];
    let labels = of_fleet.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let labels = prometheus::Labels::from(labels);
    for pod in scratch.cluster.deployment_pods(ALLOCATOR).await? {
        let what = format!("{pod} to know {servers} Ready servers");
        wait::poll(&what, KNOWN, LOOK, async || {
            let series = prometheus::of_pod(&scratch.cluster, &pod, KNOWN_METRIC).await?;
            let known = series.get(&labels).copied().unwrap_or_default();
            Ok((known >= load::count(servers)).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// Allocates in a closed loop.
async fn allocate(
    scratch: &Scratch,
    allocator: Allocator,
    fleet: &str,
    clients: usize,
    total: usize,
) -> Result<(Load, Cpu)> {
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(allocator.grpc().await?);
    }
    let request = allocator::from_fleet(&scratch.namespace, fleet);
    let given = RefCell::new(BTreeSet::new());
    let cpu = Cpu::begin(&scratch.cluster).await?;
    let load = load::closed_loop(connections, total, async |client: &mut Grpc, _| {
        let answer = client.allocate(request.clone()).await;
        let answer = answer.map_err(|status| format!("{:?}", status.code()))?;
        let name = answer.into_inner().game_server_name;
        if given.borrow_mut().insert(name) {
            Ok(())
        } else {
            Err("given out twice".to_owned())
        }
    })
    .await?;
    Ok((load, cpu))
}

fn report(runs: &[Run], total: usize, servers: usize, replicas: usize) -> String {
    let mut rates = Table::new(&[
        "clients",
        "allocations/s",
        "p50",
        "p99",
        "longest",
        "errors",
        "bare writes/s",
        "p50",
        "p99",
        "longest",
        "errors",
        "allocations / bare writes",
    ]);
    let mut cpu = Table::new(&[
        "clients",
        "allocator",
        "API server",
        "etcd",
        "operator",
        "API server, bare write",
        "etcd, bare write",
        "API server, allocation / bare write",
    ]);
    for run in runs {
        let [p50, p99, longest] = quantiles(&run.allocations.latencies);
        let [p50_of_writes, p99_of_writes, longest_of_writes] = quantiles(&run.writes.latencies);
        rates.row([
            run.clients.to_string(),
            format!("{:.0}", run.allocations.rate()),
            p50,
            p99,
            longest,
            run.allocations.errors(),
            format!("{:.0}", run.writes.rate()),
            p50_of_writes,
            p99_of_writes,
            longest_of_writes,
            run.writes.errors(),
            format!("{:.2}", run.allocations.rate() / run.writes.rate()),
        ]);
        let [allocator, api_server, etcd, operator] = run.allocations_cpu;
        let [api_server_of_writes, etcd_of_writes] = run.writes_cpu;
        let ratio = api_server.zip(api_server_of_writes);
        let ratio = ratio.map(|(allocation, write)| allocation / write);
        cpu.row([
            run.clients.to_string(),
            milliseconds(allocator),
            milliseconds(api_server),
            milliseconds(etcd),
            milliseconds(operator),
            milliseconds(api_server_of_writes),
            milliseconds(etcd_of_writes),
            ratio.map_or_else(|| "unknown".to_owned(), |ratio| format!("{ratio:.2}")),
        ]);
    }
    let unknown = runs.iter().any(|run| {
        let mut all = run.allocations_cpu.iter().chain(&run.writes_cpu);
        all.any(Option::is_none)
    });
    let note = if unknown {
        "\nUnknown: the process does not run on this host, or was replaced during the run.\n"
    } else {
        ""
    };
    format!(
        "### Allocation\n\n\
         {total} allocations of {servers} pod-less Ready servers per run, gRPC, a connection per \
         client, {replicas} allocator replicas; before each run as many bare writes: merge patches \
         of ConfigMaps of 1 KiB, guarded by resourceVersion.\n\n{rates}\n\
         CPU per allocation (all replicas together) and per bare write:\n\n{cpu}{note}"
    )
}

fn milliseconds(value: Option<f64>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.2} ms"))
}
