//! Knows the repository: its root, its version, its build directory, and the cache outside it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;

/// The folder that holds the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// The cargo that runs us, so that a pinned toolchain stays pinned.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// What `cargo metadata` says about the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

/// One package of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a package's dependency tables.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev` or `build`; none for what is linked into the package itself.
    pub(crate) kind: Option<String>,
}

/// Asks cargo about the workspace.
pub(crate) fn metadata() -> Result<Metadata> {
    let text = process::output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    serde_json::from_str(&text).context("cannot read the output of cargo metadata")
}

impl Metadata {
    /// The version that all our packages share; it is also the default tag of the images.
    pub(crate) fn version(&self) -> Result<&str> {
        self.packages
            .first()
            .map(|package| package.version.as_str())
            .context("the workspace has no package")
    }
}

/// The directory outside the repository that holds what is built once and the cluster's state.
pub(crate) fn cache() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let path = if let Some(path) = variable("MUSTER_CACHE") {
        PathBuf::from(path)
    } else if let Some(path) = variable("XDG_CACHE_HOME") {
        PathBuf::from(path).join("muster")
    } else {
        let home = variable("HOME").context("set MUSTER_CACHE: there is no HOME")?;
        PathBuf::from(home).join(".cache/muster")
    };
    std::path::absolute(&path).with_context(|| format!("{} is no usable path", path.display()))
}
