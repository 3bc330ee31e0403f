//! The cluster under test, and the parts of Muster in it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, Config, Resource, ResourceExt};
use serde_json::json;
use tokio::net::TcpStream;

use crate::wait;

/// Namespace and release name of an installation.
pub const SYSTEM: &str = "muster-system";
/// Deployment of the operator.
pub const OPERATOR: &str = "muster-operator";
/// Deployment and Service of the allocator.
pub const ALLOCATOR: &str = "muster-allocator";

/// How long a connection to the cluster's inside may take to open.
const CONNECT: Duration = Duration::from_secs(2);

/// A cluster, by its API.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client has no Debug.
        formatter.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Connects to the cluster that KUBECONFIG names.
    pub async fn connect() -> Result<Self> {
        let mut config = Config::infer().await.context(
            "no cluster: set KUBECONFIG (`cargo xtask cluster up` prints the path of one)",
        )?;
        // What the API server refuses, such as an eviction, is an answer and not to be asked again.
        config.default_retry = false;
        let url = config.cluster_url.clone();
        let client = Client::try_from(config)?;
        client
            .apiserver_version()
            .await
            .with_context(|| format!("no API server at {url}"))?;
        Ok(Self { client })
    }

    /// The client itself.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The API of a kind in a namespace.
    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client(), namespace)
    }

    /// The API of nodes.
    pub fn nodes(&self) -> Api<Node> {
        Api::all(self.client())
    }

    /// Waits until Muster is installed and all of it runs.
    pub async fn muster_ready(&self) -> Result<()> {
        for name in [OPERATOR, ALLOCATOR] {
            self.deployment_ready(name).await.with_context(|| {
                format!("Muster is not running in {SYSTEM}: install it with `cargo xtask install`")
            })?;
        }
        Ok(())
    }

    /// Waits until every replica of one of Muster's Deployments is ready and no other is left.
    pub async fn deployment_ready(&self, name: &str) -> Result<Deployment> {
        let api = self.api::<Deployment>(SYSTEM);
        wait::until(&api, name, "to be ready", |deployment| {
            let wanted = deployment
                .spec
                .as_ref()
                .and_then(|spec| spec.replicas)
                .unwrap_or(1);
            deployment.status.as_ref().is_some_and(|status| {
                status.observed_generation == deployment.metadata.generation
                    && status.ready_replicas.unwrap_or(0) == wanted
                    && status.updated_replicas.unwrap_or(0) == wanted
                    && status.replicas.unwrap_or(0) == wanted
            })
        })
        .await
    }

    /// The wanted replicas of one of Muster's Deployments.
    pub async fn replicas(&self, name: &str) -> Result<i32> {
        let deployment = self.api::<Deployment>(SYSTEM).get(name).await?;
        Ok(deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1))
    }

    /// Sets the replicas of one of Muster's Deployments and waits for them.
    pub async fn scale_deployment(&self, name: &str, replicas: i32) -> Result<()> {
        let api = self.api::<Deployment>(SYSTEM);
        let patch = json!({ "spec": { "replicas": replicas } });
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        self.deployment_ready(name).await.map(drop)
    }

    /// Kills every pod of one of Muster's Deployments without grace, and returns their names.
    pub async fn kill_deployment(&self, name: &str) -> Result<Vec<String>> {
        let pods = self.deployment_pods(name).await?;
        let api = self.api::<Pod>(SYSTEM);
        for pod in &pods {
            let result = api
                .delete(pod, &DeleteParams::default().grace_period(0))
                .await;
            // One that ended by itself meanwhile is as dead as one that was killed.
            if !matches!(&result, Err(kube::Error::Api(status)) if status.code == 404) {
                result?;
            }
        }
        Ok(pods)
    }

    /// Waits until a Deployment is ready without any of these pods.
    pub async fn deployment_recovered(&self, name: &str, killed: &[String]) -> Result<()> {
        let labels = self.deployment_labels(name).await?;
        let api = self.api::<Pod>(SYSTEM);
        wait::until_all(&api, &labels, "to replace the killed ones", |pods| {
            !pods.is_empty()
                && !killed.iter().any(|name| pods.contains_key(name))
                && pods.values().all(is_ready)
        })
        .await?;
        self.deployment_ready(name).await.map(drop)
    }

    /// Names of the pods of one of Muster's Deployments.
    pub async fn deployment_pods(&self, name: &str) -> Result<Vec<String>> {
        let labels = self.deployment_labels(name).await?;
        let pods = self
            .api::<Pod>(SYSTEM)
            .list(&ListParams::default().labels(&labels))
            .await?;
        Ok(pods.iter().map(ResourceExt::name_any).collect())
    }

    async fn deployment_labels(&self, name: &str) -> Result<String> {
        let deployment = self.api::<Deployment>(SYSTEM).get(name).await?;
        let labels = deployment.spec.and_then(|spec| spec.selector.match_labels);
        let labels = labels.with_context(|| format!("{name} has no selector"))?;
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        Ok(labels.join(","))
    }

    /// Where a Service of Muster can be reached from this host: its cluster address, or a port of
    /// the node.
    pub async fn service_address(&self, name: &str) -> Result<SocketAddr> {
        self.service_address_in(SYSTEM, name).await
    }

    /// The same for any namespace: the first port of a Service.
    pub async fn service_address_in(&self, namespace: &str, name: &str) -> Result<SocketAddr> {
        let service = self
            .api::<Service>(namespace)
            .get(name)
            .await
            .with_context(|| format!("no Service {name} in {namespace}"))?;
        let spec = service.spec.unwrap_or_default();
        let port = spec
            .ports
            .iter()
            .flatten()
            .next()
            .context("the Service has no port")?;
        let mut candidates = Vec::new();
        if let Some(Ok(address)) = spec.cluster_ip.as_deref().map(str::parse::<IpAddr>) {
            candidates.push(SocketAddr::new(address, u16::try_from(port.port)?));
        }
        if let Some(node_port) = port.node_port {
            for address in self.node_addresses().await? {
                candidates.push(SocketAddr::new(address, u16::try_from(node_port)?));
            }
        }
        for candidate in &candidates {
            let connected = tokio::time::timeout(CONNECT, TcpStream::connect(candidate)).await;
            if matches!(connected, Ok(Ok(_))) {
                return Ok(*candidate);
            }
        }
        bail!(
            "Service {name} cannot be reached from this host (tried {candidates:?}); \
             give its address yourself, for instance that of a `kubectl port-forward`"
        )
    }

    /// Internal addresses of all nodes.
    async fn node_addresses(&self) -> Result<Vec<IpAddr>> {
        let nodes = self.nodes().list(&ListParams::default()).await?;
        Ok(nodes
            .iter()
            .filter_map(|node| node.status.as_ref()?.addresses.as_ref())
            .flatten()
            .filter(|address| address.type_ == "InternalIP")
            .filter_map(|address| address.address.parse().ok())
            .collect())
    }
}

/// Whether a pod says that it is ready.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|it| it.type_ == "Ready" && it.status == "True")
}
