//! Clusters to run Muster on: a local one without Docker, kind, or any kubeconfig.

pub(crate) mod build;
mod config;
mod daemon;
mod kind;
mod leftovers;
mod local;
mod pki;
mod prerequisites;
mod rules;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};

use self::kind::Kind;
use self::local::{Data, Local};
use crate::kubernetes::Kubectl;
use crate::process;

/// What runs the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Provider {
    /// A single-node Kubernetes as plain processes on this host; needs root, no Docker.
    Local,
    /// Kubernetes in Docker; not exercised by this repository's own checks.
    Kind,
}

/// Selects a cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct Selection {
    /// What runs the cluster.
    #[arg(long, value_enum, default_value_t = Provider::Local)]
    provider: Provider,
    /// Uses the cluster of this kubeconfig as it is, instead of a provider.
    #[arg(long, conflicts_with = "provider")]
    kubeconfig: Option<PathBuf>,
}

/// What to do with the cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Starts or repairs the cluster; the last line on stdout is the kubeconfig's path.
    Up(Selection),
    /// Ends the cluster and removes what it leaves behind; its objects are kept.
    Down {
        #[command(flatten)]
        selection: Selection,
        /// Deletes its objects, certificates and images too.
        #[arg(long)]
        purge: bool,
    },
    /// Reports the cluster's health; fails when it is not healthy.
    Status(Selection),
}

/// A cluster that runs.
#[derive(Debug)]
pub(crate) struct Up {
    pub(crate) kubeconfig: PathBuf,
    /// Whether it ran before; who finds it running leaves it running.
    pub(crate) was_running: bool,
}

/// A cluster that can be brought up, or is somebody else's.
#[derive(Debug)]
pub(crate) enum Cluster {
    Local(Local),
    Kind(Kind),
    Given(PathBuf),
}

/// Runs `cargo xtask cluster`.
pub(crate) fn run(action: &Action) -> Result<()> {
    match action {
        Action::Up(selection) => {
            let up = selection.cluster()?.up()?;
            println!("{}", up.kubeconfig.display());
            Ok(())
        }
        Action::Down { selection, purge } => match selection.cluster()? {
            Cluster::Local(local) => local.down(if *purge { Data::Purge } else { Data::Keep }),
            other => other.down(),
        },
        Action::Status(selection) => {
            if !selection.cluster()?.status()? {
                bail!("the cluster is not healthy; `cargo xtask cluster up` starts or repairs it");
            }
            Ok(())
        }
    }
}

impl Selection {
    pub(crate) fn cluster(&self) -> Result<Cluster> {
        match (&self.kubeconfig, self.provider) {
            (Some(path), _) => Cluster::of_kubeconfig(path),
            (None, Provider::Local) => Ok(Cluster::Local(Local::new()?)),
            (None, Provider::Kind) => Ok(Cluster::Kind(Kind::new()?)),
        }
    }
}

impl Cluster {
    /// Parses `local`, `kind`, or the path of a kubeconfig.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text {
            "local" => Ok(Self::Local(Local::new()?)),
            "kind" => Ok(Self::Kind(Kind::new()?)),
            path => Self::of_kubeconfig(Path::new(path)),
        }
    }

    /// A kubeconfig of one of our providers means that provider, so that images can be loaded.
    fn of_kubeconfig(path: &Path) -> Result<Self> {
        let path = path
            .canonicalize()
            .with_context(|| format!("there is no kubeconfig {}", path.display()))?;
        let (local, kind) = (Local::new()?, Kind::new()?);
        let is_at = |known: PathBuf| known.canonicalize().is_ok_and(|known| known == path);
        if is_at(local.kubeconfig()) {
            Ok(Self::Local(local))
        } else if is_at(kind.kubeconfig()) {
            Ok(Self::Kind(kind))
        } else {
            Ok(Self::Given(path))
        }
    }

    pub(crate) fn up(&self) -> Result<Up> {
        match self {
            Self::Local(local) => local.up(),
            Self::Kind(kind) => kind.up(),
            Self::Given(path) => {
                let kubectl = self.kubectl()?;
                process::output(kubectl.command().args(["get", "--raw", "/readyz"])).with_context(
                    || format!("the cluster of {} does not answer", path.display()),
                )?;
                Ok(Up {
                    kubeconfig: path.clone(),
                    was_running: true,
                })
            }
        }
    }

    pub(crate) fn down(&self) -> Result<()> {
        match self {
            Self::Local(local) => local.down(Data::Keep),
            Self::Kind(kind) => kind.down(),
            Self::Given(_) => bail!("this cluster is not ours to end"),
        }
    }

    fn status(&self) -> Result<bool> {
        match self {
            Self::Local(local) => local.status(),
            Self::Kind(_) => Kind::status(),
            Self::Given(_) => {
                let kubectl = self.kubectl()?;
                process::run(kubectl.command().args(["get", "nodes", "-o", "wide"]))?;
                Ok(process::succeeds(
                    kubectl.command().args(["get", "--raw", "/readyz"]),
                ))
            }
        }
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        match self {
            Self::Local(local) => local.kubeconfig(),
            Self::Kind(kind) => kind.kubeconfig(),
            Self::Given(path) => path.clone(),
        }
    }

    /// A kubectl for this cluster: the one built with the local cluster, or the one in `PATH`.
    pub(crate) fn kubectl(&self) -> Result<Kubectl> {
        let built = build::bin()?.join("kubectl");
        let program = if built.is_file() {
            built
        } else {
            process::find_program("kubectl")
                .context("kubectl is missing (https://kubernetes.io/docs/tasks/tools)")?
        };
        Ok(Kubectl::new(program, self.kubeconfig()))
    }

    /// A `PATH` with the programs of the cluster before all others, for what runs against it.
    pub(crate) fn search_path() -> Result<OsString> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(build::bin()?).chain(std::env::split_paths(&path));
        std::env::join_paths(folders).context("PATH cannot be extended")
    }

    /// Whether images reach this cluster without a registry.
    pub(crate) fn takes_images(&self) -> bool {
        !matches!(self, Self::Given(_))
    }

    /// Loads an image archive; returns whether it was not there yet.
    pub(crate) fn load(&self, name: &str, digest: &str, archive: &Path) -> Result<bool> {
        match self {
            Self::Local(_) => Local::load(name, digest, archive),
            Self::Kind(_) => Kind::load(name, digest, archive),
            Self::Given(_) => bail!("images reach this cluster through a registry only"),
        }
    }
}
