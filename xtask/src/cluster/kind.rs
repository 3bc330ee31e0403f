//! The provider `kind`: Kubernetes in Docker, for hosts that have Docker.
//!
//! Not exercised by this repository's own checks, which run where no Docker is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Up;
use crate::images::oci;
use crate::process::{self, progress};
use crate::repository;

const NAME: &str = "muster";

/// Host ports that are mapped to 127.0.0.1, for hosts that cannot reach the node's own address
/// (Docker Desktop). The first ports of the game servers' range.
const MAPPED: std::ops::Range<u16> = 7000..7020;

/// The kind cluster of the name `muster`.
#[derive(Debug)]
pub(crate) struct Kind {
    kubeconfig: PathBuf,
}

impl Kind {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            kubeconfig: repository::cache()?.join("kind/kubeconfig"),
        })
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.clone()
    }

    fn check_programs() -> Result<()> {
        let missing: Vec<&str> = ["docker", "kind", "kubectl"]
            .into_iter()
            .filter(|name| process::find_program(name).is_none())
            .collect();
        if !missing.is_empty() {
            bail!(
                "the provider kind needs {} (https://kind.sigs.k8s.io/docs/user/quick-start); \
                 where no Docker is, use --provider local",
                missing.join(", ")
            );
        }
        process::output(Command::new("docker").args(["info", "--format", "{{.ServerVersion}}"]))
            .context(
                "the provider kind needs a running Docker; without it, use --provider local",
            )?;
        Ok(())
    }

    fn exists() -> Result<bool> {
        let clusters = process::output(Command::new("kind").args(["get", "clusters"]))?;
        Ok(clusters.lines().any(|name| name == NAME))
    }

    pub(crate) fn up(&self) -> Result<Up> {
        Self::check_programs()?;
        if let Some(folder) = self.kubeconfig.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let was_running = Self::exists()?;
        if was_running {
            process::output(
                Command::new("kind")
                    .args(["export", "kubeconfig", "--name", NAME, "--kubeconfig"])
                    .arg(&self.kubeconfig),
            )?;
        } else {
            progress("creating the kind cluster (pulls the node image the first time) …");
            process::output_with_input(
                Command::new("kind")
                    .args([
                        "create", "cluster", "--name", NAME, "--wait", "180s", "--config", "-",
                    ])
                    .arg("--kubeconfig")
                    .arg(&self.kubeconfig),
                &configuration(),
            )?;
        }
        Ok(Up {
            kubeconfig: self.kubeconfig.clone(),
            was_running,
        })
    }

    pub(crate) fn down(&self) -> Result<()> {
        Self::check_programs()?;
        process::output(
            Command::new("kind")
                .args(["delete", "cluster", "--name", NAME, "--kubeconfig"])
                .arg(&self.kubeconfig),
        )?;
        progress("the kind cluster is deleted");
        Ok(())
    }

    pub(crate) fn status() -> Result<bool> {
        Self::check_programs()?;
        let exists = Self::exists()?;
        println!(
            "kind cluster {NAME}: {}",
            if exists { "exists" } else { "does not exist" }
        );
        Ok(exists)
    }

    /// Imports an archive unless the node has that very image; returns whether it did.
    pub(crate) fn load(name: &str, digest: &str, archive: &Path) -> Result<bool> {
        let node = format!("{NAME}-control-plane");
        let listing = process::output(Command::new("docker").args([
            "exec",
            &node,
            "ctr",
            "-n",
            "k8s.io",
            "images",
            "ls",
            &format!("name=={name}"),
        ]))?;
        if oci::is_listed(&listing, name, digest) {
            return Ok(false);
        }
        process::output(
            Command::new("kind")
                .args(["load", "image-archive", "--name", NAME])
                .arg(archive),
        )?;
        Ok(true)
    }
}

/// The cluster's configuration; kind reads YAML, of which JSON is a part.
fn configuration() -> String {
    let mappings: Vec<Value> = MAPPED
        .flat_map(|port| ["UDP", "TCP"].map(|protocol| (port, protocol)))
        .map(|(port, protocol)| {
            json!({
                "containerPort": port,
                "hostPort": port,
                "listenAddress": "127.0.0.1",
                "protocol": protocol,
            })
        })
        .collect();
    json!({
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "kind": "Cluster",
        "nodes": [{"role": "control-plane", "extraPortMappings": mappings}],
    })
    .to_string()
}
