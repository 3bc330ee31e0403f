//! Writes per life of a server: from its creation by a fleet over Ready and Allocated to its end.

use anyhow::{Context as _, Result, ensure};
use crds::state::State;
use crds::{Fleet, GameServer};
use e2e::measure::Table;
use e2e::objects::Sample;
use e2e::{allocator, echo, wait};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::metrics::{self, Counts};
use crate::scene::Scene;
use crate::{Args, progress, result};

const WRITES: [&str; 5] = ["POST", "PUT", "PATCH", "APPLY", "DELETE"];

/// Writes that nobody but Muster makes here.
const OURS: [&str; 7] = [
    "gameservers",
    "gameserversets",
    "gameserversets/status",
    "fleets/status",
    "matchallocations/status",
    "poddisruptionbudgets",
    "fleetautoscalers/status",
];

/// Writes of this program itself: creating the fleet and scaling it.
const OWN: u64 = 2;

pub(crate) async fn run(scene: &Scene, args: &Args) -> Result<()> {
    // What happens once per namespace happens before.
    scene
        .ready_fleet(&Sample::default().fleet("first", 1)?)
        .await?;
    progress(&format!(
        "{} lives on an otherwise idle cluster",
        args.lives
    ));
    let before = metrics::counts(&scene.cluster).await?;
    lives(scene, args.lives).await?;
    let added = metrics::difference(&before, &metrics::counts(&scene.cluster).await?);
    report(&added, u64::try_from(args.lives)?);
    Ok(())
}

/// Lets so many servers live side by side.
async fn lives(scene: &Scene, count: i32) -> Result<()> {
    let servers = scene
        .ready_fleet(&Sample::default().fleet("bench", count)?)
        .await?;
    let mut client = scene.allocator().await?.grpc().await?;
    for _ in &servers {
        client
            .allocate(allocator::from_fleet(&scene.namespace, "bench"))
            .await?;
    }
    let allocated = scene
        .all_in("bench", State::Allocated, servers.len())
        .await?;
    // No replacements: they would be lives too.
    let patch = json!({ "spec": { "replicas": 0 } });
    let parameters = PatchParams::default();
    scene
        .api::<Fleet>()
        .patch("bench", &parameters, &Patch::Merge(patch))
        .await?;
    for server in &allocated {
        let status = server.status.as_ref().context("no status")?;
        let port = status.ports.first().context("no port")?;
        let address = allocator::join(&status.address, port.port)?;
        let (answer, _) = echo::udp(address, "EXIT").await?;
        ensure!(
            answer == "ACK: EXIT",
            "{} answered {answer:?}",
            server.name_any()
        );
    }
    let labels = format!("{}=bench", crds::meta::FLEET_LABEL);
    let servers = scene.api::<GameServer>();
    wait::until_all(
        &servers,
        &labels,
        "to be gone",
        std::collections::BTreeMap::is_empty,
    )
    .await?;
    Ok(())
}

fn report(added: &Counts, lives: u64) {
    let per_life = |count: u64| format!("{}.{:02}", count / lives, count % lives * 100 / lives);
    let writes = || {
        added
            .iter()
            .filter(|(kind, _)| WRITES.contains(&kind.verb.as_str()))
    };
    let is_background = |resource: &str| {
        matches!(
            resource,
            "leases" | "nodes/status" | "configmaps" | "apiservices/status"
        )
    };
    let mut table = Table::new(&["resource", "verb", "per life", "in all"]);
    for (kind, count) in writes().filter(|(kind, _)| !is_background(&kind.resource)) {
        table.row([
            kind.resource.clone(),
            kind.verb.clone(),
            per_life(*count),
            count.to_string(),
        ]);
    }
    let ours = |resource: &str, verb: &str| {
        OURS.contains(&resource) || (resource == "pods" && matches!(verb, "POST" | "DELETE"))
    };
    let sum: u64 = writes()
        .filter(|(kind, _)| ours(&kind.resource, &kind.verb))
        .map(|(_, count)| count)
        .sum();
    let game_servers: u64 = writes()
        .filter(|(kind, _)| kind.resource == "gameservers")
        .map(|(_, count)| count)
        .sum();
    let events: u64 = writes()
        .filter(|(kind, _)| kind.resource == "events")
        .map(|(_, count)| count)
        .sum();
    result(&format!(
        "### Writes\n\n{lives} lives of servers with pods, from the API server's own counters. \
         Object writes by Muster: **{} per life** ({} of GameServers; pods' creation and deletion \
         and the status of fleet and set included), with {} events of everybody's. Leases and \
         node status are left out; {OWN} writes are this program's own.\n",
        per_life(sum),
        per_life(game_servers),
        per_life(events),
    ));
    result(&table.to_string());
}
