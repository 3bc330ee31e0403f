//! A namespace to measure in, which goes away whatever happens.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use crds::{Fleet, GameServer};
use e2e::cluster::Cluster;
use e2e::wait;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt as _};

/// Longest time until many servers are up, or gone.
const LONG: Duration = Duration::from_mins(4);
/// Time between looks at what no watch announces cheaply.
const LOOK: Duration = Duration::from_millis(250);

/// Ctrl-C was pressed.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Says on stderr what is being done.
pub(crate) fn progress(text: &str) {
    eprintln!("bench: {text}");
}

/// Does some work until Ctrl-C is pressed.
pub(crate) async fn interruptible<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        result = work => result,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            progress("interrupted, cleaning up");
            Err(Interrupted.into())
        }
    }
}

/// A namespace of a section.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
}

impl Scratch {
    /// Makes a namespace, works in it until Ctrl-C, and deletes it with everything in it.
    pub(crate) async fn with<T>(
        cluster: &Cluster,
        section: &str,
        body: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        let scratch = Self {
            cluster: cluster.clone(),
            namespace: format!("bench-{section}-{}", std::process::id()),
        };
        let namespaces = Api::<Namespace>::all(cluster.client());
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(scratch.namespace.clone());
        namespaces
            .create(&PostParams::default(), &namespace)
            .await?;
        let result = Box::pin(interruptible(body(&scratch))).await;
        progress(&format!("deleting namespace {}", scratch.namespace));
        let cleared = Box::pin(scratch.clear(&namespaces)).await;
        let value = result?;
        cleared?;
        Ok(value)
    }

    async fn clear(&self, namespaces: &Api<Namespace>) -> Result<()> {
        namespaces
            .delete(&self.namespace, &DeleteParams::background())
            .await?;
        let gone = wait::until_gone(namespaces, &self.namespace, LONG).await;
        gone.context("the namespace does not go away")
    }

    /// The API of a kind in the namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        self.cluster.api(&self.namespace)
    }

    /// Creates a fleet.
    pub(crate) async fn create(&self, fleet: &Fleet) -> Result<()> {
        let fleets = self.api::<Fleet>();
        let created = fleets.create(&PostParams::default(), fleet).await;
        created.map(drop).context("creating a fleet")
    }

    /// Waits until a fleet says that all its servers are Ready, and no other is left.
    pub(crate) async fn ready(&self, fleet: &str, count: usize) -> Result<()> {
        let count = i32::try_from(count)?;
        let ready = |fleet: Option<&Fleet>| {
            let status = fleet.and_then(|it| it.status.as_ref());
            status.is_some_and(|it| it.ready_replicas == count && it.replicas == count)
        };
        let api = self.api::<Fleet>();
        let what = format!("to have {count} Ready");
        wait::until_object(&api, fleet, &what, LONG, ready)
            .await
            .map(drop)
    }

    /// Deletes a fleet, and waits until its servers are gone.
    pub(crate) async fn delete(&self, fleet: &str) -> Result<()> {
        let fleets = self.api::<Fleet>();
        fleets.delete(fleet, &DeleteParams::background()).await?;
        let labels = of_fleet(fleet);
        let params = ListParams::default().labels(&labels).limit(1);
        let servers = self.api::<GameServer>();
        wait::poll("the servers to be gone", LONG, LOOK, async || {
            let left = servers.list_metadata(&params).await?;
            Ok(left.items.is_empty().then_some(()))
        })
        .await
    }

    /// Names of a fleet's servers.
    pub(crate) async fn servers(&self, fleet: &str) -> Result<Vec<GameServer>> {
        let params = ListParams::default().labels(&of_fleet(fleet));
        let servers = self.api::<GameServer>().list(&params).await?.items;
        if servers.is_empty() {
            bail!("{fleet} has no servers");
        }
        Ok(servers)
    }

    /// Waits until a server is gone.
    pub(crate) async fn gone(&self, server: &GameServer) -> Result<()> {
        let api = self.api::<GameServer>();
        wait::until_gone(&api, &server.name_any(), LONG).await
    }
}

/// The label selector of a fleet's objects.
pub(crate) fn of_fleet(fleet: &str) -> String {
    format!("{}={fleet}", crds::meta::FLEET_LABEL)
}
