//! The raw write limit: small objects, patched once each, guarded by their resourceVersion.

use anyhow::{Context as _, Result, ensure};
use e2e::cluster::Cluster;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::load::{self, Load};
use crate::processes::Cpu;
use crate::scratch::Scratch;

/// Size of an object's data, in bytes.
const SIZE: usize = 1024;
/// Label of the objects.
const LABEL: &str = "bench=raw";

/// Creates the objects.
pub(crate) async fn create(scratch: &Scratch, total: usize) -> Result<()> {
    let api = scratch.api::<ConfigMap>();
    let object = |number: usize| -> Result<ConfigMap> {
        Ok(serde_json::from_value(json!({
            "metadata": { "name": format!("raw-{number}"), "labels": { "bench": "raw" } },
            "data": { "padding": "x".repeat(SIZE) },
        }))?)
    };
    for number in 0..total {
        let created = api.create(&PostParams::default(), &object(number)?).await;
        created.context("creating an object to write to")?;
    }
    Ok(())
}

/// Patches each object once.
pub(crate) async fn run(scratch: &Scratch, workers: usize, total: usize) -> Result<(Load, Cpu)> {
    let params = ListParams::default().labels(LABEL);
    let objects = scratch.api::<ConfigMap>().list(&params).await?.items;
    ensure!(objects.len() == total, "{} objects exist", objects.len());
    let mut clients = Vec::new();
    for _ in 0..workers {
        // Each with a connection of its own, which is open already.
        let cluster = Cluster::connect().await?;
        clients.push(cluster.api::<ConfigMap>(&scratch.namespace));
    }
    let cpu = Cpu::begin(&scratch.cluster).await?;
    let patch = async |api: &mut Api<ConfigMap>, number: usize| {
        let object = &objects[number];
        let body = json!({
            "metadata": { "resourceVersion": object.resource_version() },
            "data": { "run": workers.to_string() },
        });
        let patched = api
            .patch(
                &object.name_any(),
                &PatchParams::default(),
                &Patch::Merge(body),
            )
            .await;
        patched.map(drop).map_err(|error| match error {
            kube::Error::Api(status) => status.reason.clone(),
            _ => "transport".to_owned(),
        })
    };
    let load = load::closed_loop(clients, total, patch).await?;
    Ok((load, cpu))
}
