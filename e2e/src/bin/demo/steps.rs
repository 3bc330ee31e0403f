//! What the demonstration does.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use crds::allocation::MatchState;
use crds::state::State;
use crds::{Fleet, GameServer, MatchAllocation};
use e2e::allocator::{self, Allocator};
use e2e::cluster::{ALLOCATOR, Cluster};
use e2e::measure::{Table, milliseconds};
use e2e::wait;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::Args;
use crate::account::{Account, detail};
use crate::arena::{self, Game};
use crate::journey::{self, Services};
use crate::players::{self, Match};

const FLEET: &str = include_str!("../../../../examples/fleet.yaml");
const ARENA: &str = include_str!("../../../../examples/arena.yaml");
const SKIRMISH: &str = include_str!("../../../../examples/skirmish.yaml");
const MATCH_ALLOCATION: &str = include_str!("../../../../examples/matchallocation.yaml");
const REQUEST: &str = include_str!("../../../../examples/allocation-request.json");

/// Who applies, and the label by which a later run knows that it may delete the objects.
const MANAGER: &str = "muster-demo";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Pods of the first start may have to wait for a slow disk.
const START: Duration = Duration::from_mins(3);

/// The demonstration on a cluster.
pub(crate) struct Demo<'a> {
    cluster: Cluster,
    args: &'a Args,
    fleets: Api<Fleet>,
    servers: Api<GameServer>,
    matches: Api<MatchAllocation>,
    services: Option<Services>,
}

impl<'a> Demo<'a> {
    pub(crate) fn new(cluster: Cluster, args: &'a Args) -> Self {
        let namespace = &args.namespace;
        Self {
            fleets: cluster.api(namespace),
            servers: cluster.api(namespace),
            matches: cluster.api(namespace),
            services: args
                .auth
                .clone()
                .zip(args.lobby.clone())
                .map(|(auth, lobby)| Services { auth, lobby }),
            cluster,
            args,
        }
    }

    /// Deletes what an earlier run with `--keep` left, but nothing that somebody else made.
    pub(crate) async fn clear_earlier(&self) -> Result<()> {
        let ours = |labels: &std::collections::BTreeMap<String, String>| {
            labels.get(MANAGED_BY).is_some_and(|it| it == MANAGER)
        };
        let named = |kind: &str, name: &str| {
            format!(
                "{kind} {name} in namespace {} was not made by the demonstration: delete it, or \
                 choose another namespace with --namespace",
                self.args.namespace
            )
        };
        let (fleets, allocation) = names()?;
        for fleet in &fleets {
            if let Some(found) = self.fleets.get_opt(fleet).await? {
                ensure!(ours(found.labels()), named("Fleet", fleet));
            }
        }
        if let Some(found) = self.matches.get_opt(&allocation).await? {
            ensure!(ours(found.labels()), named("MatchAllocation", &allocation));
        }
        self.delete_all().await
    }

    /// Everything, from the Fleet to the packets.
    pub(crate) async fn show(&self, account: &mut Account) -> Result<()> {
        let fleet = account
            .step("Apply examples/fleet.yaml", self.apply_fleet(FLEET))
            .await?;
        account
            .step("Wait until its servers are Ready", self.fleet_ready(&fleet))
            .await?;
        let address = if let Some(address) = self.args.allocator {
            address
        } else {
            let found = self.cluster.service_address(ALLOCATOR);
            account.step("Find the allocator", found).await?
        };
        let allocator = Allocator::new(address);
        let matches = [
            account
                .step("Allocate by gRPC", self.by_grpc(allocator, &fleet))
                .await?,
            account
                .step("Allocate by REST", self.by_rest(allocator))
                .await?,
            account
                .step("Allocate by a MatchAllocation", self.by_object())
                .await?,
        ];
        let table = account
            .step("Send a packet to each server", self.greet(&matches))
            .await?;
        println!("\n{table}");
        if self.args.loopback {
            println!("The arena is left out: its tokens name the node, not 127.0.0.1.");
            return Ok(());
        }
        let arena = account
            .step("Apply examples/arena.yaml", self.apply_fleet(ARENA))
            .await?;
        account
            .step("Wait until its servers are Ready", self.fleet_ready(&arena))
            .await?;
        let game = Game {
            allocator: address,
            namespace: &self.args.namespace,
            fleet: &arena,
            pods: self.cluster.api(&self.args.namespace),
            bots: self.args.players,
            person: self.args.play,
        };
        let report = account
            .step(
                "Allocate with players, and let them play",
                arena::play(&game),
            )
            .await?;
        println!("\n{report}");
        self.journey(account).await
    }

    /// The whole way, where there are accounts and a lobby.
    async fn journey(&self, account: &mut Account) -> Result<()> {
        let Some(services) = &self.services else {
            println!(
                "The way from an account to a result is left out: it needs --auth and --lobby."
            );
            return Ok(());
        };
        let fleet = account
            .step("Apply examples/skirmish.yaml", self.apply_fleet(SKIRMISH))
            .await?;
        account
            .step("Wait until its servers are Ready", self.fleet_ready(&fleet))
            .await?;
        let table = account
            .step(
                "Players from an account to a result",
                journey::travel(services, self.args.travelers),
            )
            .await?;
        println!("\n{table}");
        Ok(())
    }

    async fn apply_fleet(&self, manifest: &str) -> Result<String> {
        let manifest = parse(manifest)?;
        let name = name_of(&manifest)?;
        self.fleets
            .patch(&name, &apply(), &Patch::Apply(&manifest))
            .await?;
        Ok(name)
    }

    async fn fleet_ready(&self, fleet: &str) -> Result<()> {
        let wanted = self.fleets.get(fleet).await?.spec.replicas;
        let wanted = usize::try_from(wanted)?;
        let mut shown = String::new();
        let labels = format!("{}={fleet}", crds::meta::FLEET_LABEL);
        let began = Instant::now();
        let servers =
            wait::until_all_within(&self.servers, &labels, "to be Ready", START, |servers| {
                let line = states(servers.values());
                if line != shown {
                    detail(&format!("{:>6.3} s  {line}", began.elapsed().as_secs_f64()));
                    shown = line;
                }
                servers
                    .values()
                    .filter(|it| it.state() == State::Ready)
                    .count()
                    >= wanted
            })
            .await?;
        for server in servers.values() {
            let status = server.status.clone().unwrap_or_default();
            let ports: Vec<_> = status
                .ports
                .iter()
                .map(|port| port.port.to_string())
                .collect();
            detail(&format!(
                "{}  {}:{}",
                server.name_any(),
                status.address,
                ports.join(",")
            ));
        }
        Ok(())
    }

    async fn by_grpc(&self, allocator: Allocator, fleet: &str) -> Result<Match> {
        let mut client = allocator.grpc().await?;
        let began = Instant::now();
        let request = allocator::from_fleet(&self.args.namespace, fleet);
        let answer = client.allocate(request).await?.into_inner();
        let took = began.elapsed();
        let endpoint = allocator::endpoint(&answer)?;
        detail(&format!("{} at {endpoint}", answer.game_server_name));
        Ok(Match {
            by: "gRPC",
            server: answer.game_server_name,
            endpoint,
            took,
        })
    }

    async fn by_rest(&self, allocator: Allocator) -> Result<Match> {
        let mut request: Value = serde_json::from_str(REQUEST)?;
        request["namespace"] = json!(self.args.namespace);
        let began = Instant::now();
        let (status, answer) = allocator.rest(&request.to_string()).await?;
        let took = began.elapsed();
        ensure!(status.is_success(), "REST answered {status}: {answer}");
        let (server, endpoint) = allocator::rest_endpoint(&answer)?;
        detail(&format!("{server} at {endpoint}"));
        Ok(Match {
            by: "REST",
            server,
            endpoint,
            took,
        })
    }

    async fn by_object(&self) -> Result<Match> {
        let manifest = parse(MATCH_ALLOCATION)?;
        let name = name_of(&manifest)?;
        let began = Instant::now();
        self.matches
            .patch(&name, &apply(), &Patch::Apply(&manifest))
            .await?;
        let allocated = wait::until(&self.matches, &name, "to be Allocated", |it| {
            it.status
                .as_ref()
                .is_some_and(|status| status.state == MatchState::Allocated)
        });
        let status = allocated.await?.status.unwrap_or_default();
        let took = began.elapsed();
        let port = status
            .ports
            .first()
            .context("the MatchAllocation's status has no port")?;
        let endpoint = allocator::join(&status.address, port.port)?;
        detail(&format!("{} at {endpoint}", status.game_server_name));
        Ok(Match {
            by: "MatchAllocation",
            server: status.game_server_name,
            endpoint,
            took,
        })
    }

    async fn greet(&self, matches: &[Match]) -> Result<Table> {
        let headings = [
            "allocated by",
            "answer after",
            "game server",
            "endpoint",
            "UDP",
            "reply",
        ];
        let mut table = Table::new(&headings);
        for it in matches {
            let (answer, round_trip) = players::greet(it, self.args.loopback)
                .await
                .with_context(|| format!("{}, allocated by {}", it.server, it.by))?;
            table.row([
                it.by.to_owned(),
                milliseconds(it.took),
                it.server.clone(),
                it.endpoint.to_string(),
                milliseconds(round_trip),
                answer,
            ]);
        }
        let mut names: Vec<_> = matches.iter().map(|it| &it.server).collect();
        names.sort_unstable();
        names.dedup();
        ensure!(
            names.len() == matches.len(),
            "a server was given out twice: {names:?}"
        );
        Ok(table)
    }

    /// Deletes the objects of the demonstration and waits until they and their servers are gone.
    pub(crate) async fn delete_all(&self) -> Result<()> {
        let (fleets, allocation) = names()?;
        delete(&self.matches, &allocation).await?;
        for fleet in &fleets {
            delete(&self.fleets, fleet).await?;
        }
        wait::until_gone(&self.matches, &allocation, wait::PATIENCE).await?;
        for fleet in &fleets {
            wait::until_gone(&self.fleets, fleet, wait::PATIENCE).await?;
            let labels = format!("{}={fleet}", crds::meta::FLEET_LABEL);
            let gone = |servers: &std::collections::BTreeMap<_, _>| servers.is_empty();
            wait::until_all(&self.servers, &labels, "to be gone", gone).await?;
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<Value> {
    let mut manifest: Value = serde_saphyr::from_str(text)?;
    manifest["metadata"]["labels"] = json!({ MANAGED_BY: MANAGER });
    Ok(manifest)
}

fn name_of(manifest: &Value) -> Result<String> {
    let name = manifest["metadata"]["name"]
        .as_str()
        .context("the example has no name")?;
    Ok(name.to_owned())
}

/// The fleets, and the MatchAllocation.
fn names() -> Result<([String; 3], String)> {
    let name = |manifest| name_of(&parse(manifest)?);
    Ok((
        [name(FLEET)?, name(ARENA)?, name(SKIRMISH)?],
        name_of(&parse(MATCH_ALLOCATION)?)?,
    ))
}

fn apply() -> PatchParams {
    PatchParams::apply(MANAGER).force()
}

async fn delete<K: wait::Watched>(api: &Api<K>, name: &str) -> Result<()> {
    match api.delete(name, &DeleteParams::background()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        result => Ok(result.map(drop)?),
    }
}

/// How many servers are in each state.
fn states<'a>(servers: impl Iterator<Item = &'a GameServer>) -> String {
    let mut counts = std::collections::BTreeMap::<_, usize>::new();
    for server in servers {
        *counts.entry(server.state().as_str()).or_default() += 1;
    }
    if counts.is_empty() {
        return "no servers yet".to_owned();
    }
    let parts: Vec<_> = counts
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    parts.join(", ")
}
