//! Calls kubectl and helm for one cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::cluster::build;
use crate::{process, repository};

/// A kubectl that knows its cluster.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf) -> Self {
        Self {
            program,
            kubeconfig,
        }
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(repository::root())
            .arg("--kubeconfig")
            .arg(&self.kubeconfig);
        command
    }
}

/// A helm for the cluster of `kubeconfig`, or for none (`lint`, `template`).
///
/// It is the one that we build and pin: charts render alike on every machine.
pub(crate) fn helm(kubeconfig: Option<&Path>) -> Result<Command> {
    let bin = build::ensure(&[build::HELM])?;
    let mut command = Command::new(bin.join("helm"));
    command.current_dir(repository::root());
    if let Some(path) = kubeconfig {
        command.arg("--kubeconfig").arg(path);
    }
    Ok(command)
}

/// Whether the namespace has a release of this name.
pub(crate) fn has_release(kubeconfig: &Path, release: &str, namespace: &str) -> Result<bool> {
    Ok(process::succeeds(
        helm(Some(kubeconfig))?.args(["status", release, "-n", namespace]),
    ))
}
