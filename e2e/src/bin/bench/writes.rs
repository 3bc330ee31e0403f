//! Writes to the API server per life of a game server.
//!
//! A fleet with everything Ready lives on: its servers are allocated, end by the command EXIT, are
//! gone, and their successors are Ready. Between two such moments lies exactly one life per server
//! that ended, with the writes to set and fleet that belong to it. The API server counts everybody's
//! writes; the operator and the allocators count their own.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use crds::state::State;
use e2e::allocator::{self, Allocator};
use e2e::cluster::{ALLOCATOR, Cluster, OPERATOR};
use e2e::measure::Table;
use e2e::objects::Sample;
use e2e::{echo, wait};
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;

use crate::load::count;
use crate::prometheus::{self, Labels, Series};
use crate::scratch::{Scratch, progress};

/// Fleet of the section.
const FLEET: &str = "lives";
/// Metrics that are read.
const OF_API_SERVER: &str = "apiserver_request_total";
const OF_OPERATOR: &str = "muster_k8s_client_requests_total";
const OF_ALLOCATOR: &str = "muster_allocator_commits_total";
/// Verbs of the API server that write.
const WRITES: [&str; 5] = ["POST", "PUT", "PATCH", "APPLY", "DELETE"];
/// Answers that are not stored.
const NOT_STORED: [&str; 4] = [
    "tokenreviews",
    "subjectaccessreviews",
    "serviceaccounts/token",
    "pods/eviction",
];
/// Written all the time by everybody, whatever the servers do.
const BACKGROUND: [&str; 3] = ["leases", "nodes/status", "nodes"];
/// The goal for object writes of ours per life.
const GOAL: f64 = 7.0;
/// The counters must stand still this often in a row, within this time.
const STILL: usize = 4;
const QUIET: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(500);

/// Options of the section.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// writes: lives, once one after the other and once all side by side.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    lives: u16,
}

/// Everybody's counters at a moment.
struct Counters {
    api_server: Series,
    /// By pod.
    ours: BTreeMap<String, Series>,
    events: BTreeMap<String, f64>,
}

/// Measures and reports.
pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<String> {
    Scratch::with(cluster, "writes", async |it| {
        let mut text = "### Writes per life of a server\n\n\
            Real pods; Ready, Allocated, ended by EXIT, gone, and the next one Ready.\n"
            .to_owned();
        for at_once in [1, args.lives] {
            text.push_str(
                &Box::pin(measure(it, usize::from(args.lives), usize::from(at_once))).await?,
            );
            if args.lives == 1 {
                break;
            }
        }
        Ok(text)
    })
    .await
}

async fn measure(scratch: &Scratch, lives: usize, at_once: usize) -> Result<String> {
    let fleet = format!("{FLEET}-{at_once}");
    progress(&format!("waiting for {at_once} Ready servers"));
    let object = Sample::default().fleet(&fleet, i32::try_from(at_once)?)?;
    scratch.create(&object).await?;
    scratch.ready(&fleet, at_once).await?;
    let address = scratch.cluster.service_address(ALLOCATOR).await?;
    let quiet_before = quiet(scratch).await?;
    let before = Counters::now(scratch).await?;
    progress(&format!("{lives} lives, {at_once} at once"));
    for _ in 0..lives / at_once {
        round(scratch, Allocator::new(address), &fleet, at_once).await?;
    }
    let quiet_after = quiet(scratch).await?;
    let after = Counters::now(scratch).await?;
    let text = report(&before, &after, lives, at_once, quiet_before && quiet_after)?;
    scratch.delete(&fleet).await?;
    Ok(text)
}

/// Lets all servers of a fleet end, and their successors come up.
async fn round(scratch: &Scratch, allocator: Allocator, fleet: &str, at_once: usize) -> Result<()> {
    let servers = scratch.servers(fleet).await?;
    ensure!(servers.iter().all(|it| it.state() == State::Ready));
    let mut ends = Vec::new();
    let mut client = allocator.grpc().await?;
    for _ in 0..at_once {
        let request = allocator::from_fleet(&scratch.namespace, fleet);
        let answer = client.allocate(request).await?.into_inner();
        ends.push(allocator::endpoint(&answer)?);
    }
    for end in ends {
        let (answer, _) = echo::udp(end, "EXIT").await?;
        ensure!(answer == "ACK: EXIT", "EXIT got {answer:?}");
    }
    for server in &servers {
        scratch.gone(server).await?;
    }
    scratch.ready(fleet, at_once).await
}

/// Waits until nothing of ours is written any more; false if that does not come.
async fn quiet(scratch: &Scratch) -> Result<bool> {
    let mut last = None;
    let mut still = 0;
    let quiet = wait::poll("quiet", QUIET, LOOK, async || {
        let now = ours(&scratch.cluster).await?;
        still = if last.as_ref() == Some(&now) {
            still + 1
        } else {
            0
        };
        last = Some(now);
        Ok((still >= STILL).then_some(()))
    })
    .await;
    if quiet.is_err() {
        progress("the cluster is not quiet: others' writes are counted too");
    }
    Ok(quiet.is_ok())
}

async fn ours(cluster: &Cluster) -> Result<BTreeMap<String, Series>> {
    let mut ours = BTreeMap::new();
    for (deployment, metric) in [(OPERATOR, OF_OPERATOR), (ALLOCATOR, OF_ALLOCATOR)] {
        for pod in cluster.deployment_pods(deployment).await? {
            let series = prometheus::of_pod(cluster, &pod, metric).await?;
            ours.insert(pod, series);
        }
    }
    Ok(ours)
}

impl Counters {
    async fn now(scratch: &Scratch) -> Result<Self> {
        let all = scratch.api::<Event>().list(&ListParams::default()).await?;
        let mut events = BTreeMap::new();
        for event in all.items {
            let source = event.source.and_then(|it| it.component);
            let reporter = event.reporting_component.filter(|it| !it.is_empty());
            let who = reporter.or(source).unwrap_or_default();
            let times = event.count.unwrap_or(1).max(1);
            *events.entry(who).or_default() += f64::from(times);
        }
        Ok(Self {
            api_server: prometheus::of_api_server(&scratch.cluster, OF_API_SERVER).await?,
            ours: ours(&scratch.cluster).await?,
            events,
        })
    }
}

fn report(
    before: &Counters,
    after: &Counters,
    lives: usize,
    at_once: usize,
    quiet: bool,
) -> Result<String> {
    let restarted = "a process was replaced while it was measured: measure again";
    let per_life = |value: f64| format!("{:.2}", value / count(lives));
    ensure!(before.ours.keys().eq(after.ours.keys()), restarted);

    let mut ours = BTreeMap::<String, f64>::new();
    for (pod, after) in &after.ours {
        let before = before.ours.get(pod).context(restarted)?;
        for (labels, more) in prometheus::added(before, after).context(restarted)? {
            if let Some(name) = write_of_ours(&labels) {
                *ours.entry(name).or_default() += more;
            }
        }
    }
    let total: f64 = ours.values().sum();
    let mut of_ours = Table::new(&["object writes of ours", "per life"]);
    for (name, more) in &ours {
        of_ours.row([name.clone(), per_life(*more)]);
    }
    of_ours.row([
        format!("**all** (goal: at most {GOAL})"),
        format!("**{}**", per_life(total)),
    ]);

    let mut everybody = BTreeMap::<(String, String), f64>::new();
    let added = prometheus::added(&before.api_server, &after.api_server).context(restarted)?;
    for (labels, more) in added {
        if let Some(key) = write_of_anybody(&labels) {
            *everybody.entry(key).or_default() += more;
        }
    }
    let mut of_all = Table::new(&["resource", "verb", "stored", "everybody's writes per life"]);
    for ((resource, verb), more) in &everybody {
        let stored = if NOT_STORED.contains(&resource.as_str()) {
            "no"
        } else {
            "yes"
        };
        of_all.row([
            resource.clone(),
            verb.clone(),
            stored.to_owned(),
            per_life(*more),
        ]);
    }
    let events: Vec<_> = after
        .events
        .iter()
        .map(|(who, times)| {
            let more = times - before.events.get(who).copied().unwrap_or_default();
            format!("{who} {}", per_life(more))
        })
        .collect();
    let noise = if quiet {
        ""
    } else {
        "\n**The cluster was not quiet: these figures hold others' writes too.**\n"
    };
    Ok(format!(
        "\n{lives} lives, {at_once} at once:\n{noise}\n{of_ours}\n{of_all}\n\
         Events per life in the namespace: {}. Left out: writes of leases and nodes, dry runs.\n",
        events.join(", ")
    ))
}

/// Name of a write in our own counters; None for reads and for what is not stored.
fn write_of_ours(labels: &Labels) -> Option<String> {
    let label = |name: &str| labels.get(name).map_or("", String::as_str);
    let (verb, kind) = (label("verb"), label("kind"));
    match (verb, kind) {
        ("", "") => Some(format!("GameServer allocation ({})", label("outcome"))),
        ("get" | "list" | "dry-run" | "watch", _) | (_, "TokenReview" | "Lease") => None,
        _ => Some(format!("{kind} {verb} ({})", label("outcome"))),
    }
}

/// Resource and verb of a stored request of anybody.
fn write_of_anybody(labels: &Labels) -> Option<(String, String)> {
    let label = |name: &str| labels.get(name).map_or("", String::as_str);
    if !WRITES.contains(&label("verb")) || !label("dry_run").is_empty() {
        return None;
    }
    let resource = match label("subresource") {
        "" => label("resource").to_owned(),
        subresource => format!("{}/{subresource}", label("resource")),
    };
    let background = BACKGROUND.contains(&resource.as_str());
    (!background).then(|| (resource, label("verb").to_owned()))
}
