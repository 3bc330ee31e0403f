//! Where a section takes place: a namespace of its own, which goes away at the end.

use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result};
use crds::state::State;
use crds::{Fleet, GameServer};
use e2e::allocator::Allocator;
use e2e::cluster::{ALLOCATOR, Cluster};
use e2e::wait;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Resource, ResourceExt as _};

use crate::{progress, result};

/// Hundreds of servers on a small machine.
const LONG: Duration = Duration::from_mins(5);

/// A namespace of the benchmarks.
pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
    /// Replicas of the allocator before the first change of them.
    allocators: OnceLock<i32>,
}

impl Scene {
    /// Makes the namespace; `section` tells those of one run apart.
    pub(crate) async fn new(cluster: &Cluster, section: &str) -> Result<Self> {
        let namespaces = Api::<Namespace>::all(cluster.client());
        let namespace = format!("bench-{section}-{}", std::process::id());
        let mut object = Namespace::default();
        object.metadata.name = Some(namespace.clone());
        namespaces.create(&PostParams::default(), &object).await?;
        Ok(Self {
            cluster: cluster.clone(),
            namespace,
            allocators: OnceLock::new(),
        })
    }

    /// Changes the allocator's replicas until the end of the section.
    pub(crate) async fn scale_allocator(&self, replicas: i32) -> Result<()> {
        let before = self.cluster.replicas(ALLOCATOR).await?;
        self.allocators.get_or_init(|| before);
        self.cluster.scale_deployment(ALLOCATOR, replicas).await
    }

    /// Puts everything back as it was.
    pub(crate) async fn remove(&self) -> Result<()> {
        if let Some(replicas) = self.allocators.get() {
            self.cluster.scale_deployment(ALLOCATOR, *replicas).await?;
        }
        let namespaces = Api::<Namespace>::all(self.cluster.client());
        namespaces
            .delete(&self.namespace, &DeleteParams::background())
            .await?;
        wait::until_gone(&namespaces, &self.namespace, LONG).await
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        self.cluster.api(&self.namespace)
    }

    pub(crate) async fn allocator(&self) -> Result<Allocator> {
        Ok(Allocator::new(
            self.cluster.service_address(ALLOCATOR).await?,
        ))
    }

    /// Creates a fleet and waits until all of it is Ready.
    pub(crate) async fn ready_fleet(&self, fleet: &Fleet) -> Result<Vec<GameServer>> {
        progress(&format!("bringing up {} servers", fleet.spec.replicas));
        self.api::<Fleet>()
            .create(&PostParams::default(), fleet)
            .await?;
        self.all_in(
            &fleet.name_any(),
            State::Ready,
            usize::try_from(fleet.spec.replicas)?,
        )
        .await
    }

    /// Waits until so many servers of a fleet are in a state.
    pub(crate) async fn all_in(
        &self,
        fleet: &str,
        state: State,
        count: usize,
    ) -> Result<Vec<GameServer>> {
        let labels = format!("{}={fleet}", crds::meta::FLEET_LABEL);
        let what = format!("until {count} are {state}");
        let servers = self.api::<GameServer>();
        let all = wait::until_all_within(&servers, &labels, &what, LONG, |all| {
            all.values().filter(|it| it.state() == state).count() == count
        });
        Ok(all
            .await?
            .into_values()
            .filter(|it| it.state() == state)
            .collect())
    }
}

/// Prints what was measured on.
pub(crate) async fn describe(cluster: &Cluster) -> Result<()> {
    let version = cluster.client().apiserver_version().await?;
    let cores = std::thread::available_parallelism().context("counting cores")?;
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let nodes = cluster
        .nodes()
        .list(&kube::api::ListParams::default())
        .await?
        .items
        .len();
    result(&format!(
        "Measured on {} against Kubernetes {} with {nodes} node(s); this host has {cores} cores \
         ({model}), with everything on it.\n",
        jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"),
        version.git_version,
    ));
    Ok(())
}
