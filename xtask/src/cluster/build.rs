//! Builds Kubernetes, etcd, CoreDNS and Helm from their Go modules, once, into the cache.
//!
//! Each component is a Go module of ours in `xtask/cluster/<component>` that pins what it builds
//! by `go.mod` and `go.sum`. A stamp beside the binaries records what they were built from; a
//! component is built again only when that differs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{digest, process, repository};

/// One Go module that is built into one or more binaries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Component {
    name: &'static str,
    version: &'static str,
    /// Go packages; a binary is named after the last word of its package.
    packages: &'static [&'static str],
    /// The name of the single binary where the package's own name would not do.
    binary: Option<&'static str>,
    /// Linker settings besides the removal of debug information.
    linker: &'static str,
}

/// API server, controllers, scheduler, kubelet, kube-proxy and kubectl.
pub(crate) const KUBERNETES: Component = Component {
    name: "kubernetes",
    version: "1.35.4",
    packages: &[
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "k8s.io/kubernetes/cmd/kubelet",
        "k8s.io/kubernetes/cmd/kube-proxy",
        "k8s.io/kubernetes/cmd/kubectl",
    ],
    binary: None,
    linker: "-X k8s.io/component-base/version.gitVersion=v1.35.4 \
             -X k8s.io/component-base/version.gitMajor=1 \
             -X k8s.io/component-base/version.gitMinor=35 \
             -X k8s.io/component-base/version.gitTreeState=clean",
};

/// The store of the API server.
pub(crate) const ETCD: Component = Component {
    name: "etcd",
    version: "3.7.3",
    packages: &["go.etcd.io/etcd/server/v3"],
    binary: Some("etcd"),
    linker: "",
};

/// Cluster DNS with the six plugins that one node needs.
pub(crate) const COREDNS: Component = Component {
    name: "coredns",
    version: "1.14.7",
    packages: &["."],
    binary: Some("coredns"),
    linker: "",
};

/// Installs the chart.
pub(crate) const HELM: Component = Component {
    name: "helm",
    version: "3.20.2",
    packages: &["helm.sh/helm/v3/cmd/helm"],
    binary: Some("helm"),
    // Without a cluster, charts render for this version; unset, it would be 1.20.
    linker: "-X helm.sh/helm/v3/internal/version.version=v3.20.2 \
             -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 \
             -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=35 \
             -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 \
             -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=35",
};

/// Where the binaries are.
pub(crate) fn bin() -> Result<PathBuf> {
    Ok(repository::cache()?.join("kubernetes/bin"))
}

/// Builds the components that are missing or out of date; returns the folder of the binaries.
pub(crate) fn ensure(components: &[Component]) -> Result<PathBuf> {
    let cache = repository::cache()?.join("kubernetes");
    let bin = cache.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("cannot create {}", bin.display()))?;
    let missing = components
        .iter()
        .filter_map(|component| match component.is_built(&bin) {
            Ok(true) => None,
            Ok(false) => Some(Ok(component)),
            Err(error) => Some(Err(error)),
        })
        .collect::<Result<Vec<_>>>()?;
    for (index, component) in missing.iter().enumerate() {
        component.build(&cache, &format!("[{}/{}]", index + 1, missing.len()))?;
    }
    Ok(bin)
}

impl Component {
    /// Our module that pins this component.
    fn module(&self) -> PathBuf {
        repository::root().join("xtask/cluster").join(self.name)
    }

    fn binaries(&self) -> Vec<&'static str> {
        match self.binary {
            Some(name) => vec![name],
            None => self
                .packages
                .iter()
                .filter_map(|package| package.rsplit('/').next())
                .collect(),
        }
    }

    fn stamp(&self, bin: &Path) -> PathBuf {
        bin.join(format!(".{}-{}", self.name, self.version))
    }

    /// Everything that decides what the binaries are, as a digest.
    fn recipe(&self) -> Result<String> {
        let mut text = format!("{:?} {}\n", self.packages, self.linker).into_bytes();
        for name in ["go.mod", "go.sum", "main.go"] {
            let path = self.module().join(name);
            match fs::read(&path) {
                Ok(bytes) => text.extend(bytes),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && name == "main.go" => {
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read {}", path.display()));
                }
            }
        }
        Ok(digest::sha256(&text))
    }

    fn is_built(&self, bin: &Path) -> Result<bool> {
        let recorded = fs::read_to_string(self.stamp(bin)).unwrap_or_default();
        Ok(recorded == self.recipe()?
            && self.binaries().iter().all(|name| bin.join(name).is_file()))
    }

    fn build(&self, cache: &Path, position: &str) -> Result<()> {
        let bin = cache.join("bin");
        let logs = cache.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        // A running program cannot be overwritten, only replaced.
        let fresh = cache.join(format!("fresh-{}", self.name));
        let _ = fs::remove_dir_all(&fresh);
        fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;

        let mut command = Command::new("go");
        command
            .current_dir(self.module())
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .args([
                "build",
                "-mod=readonly",
                "-trimpath",
                "-buildvcs=false",
                "-ldflags",
            ])
            .arg(format!("-s -w {}", self.linker).trim())
            .arg("-o")
            .arg(match self.binary {
                Some(name) => fresh.join(name),
                None => fresh.join(""),
            })
            .args(self.packages);
        let what = format!(
            "{position} building {} {} from its Go module ({})",
            self.name,
            self.version,
            self.binaries().join(", ")
        );
        process::run_logged(
            &mut command,
            &what,
            &logs.join(format!("build-{}.log", self.name)),
        )?;
        for name in self.binaries() {
            fs::rename(fresh.join(name), bin.join(name))
                .with_context(|| format!("the build of {} left no {name}", self.name))?;
        }
        let _ = fs::remove_dir(&fresh);
        let stamp = self.stamp(&bin);
        fs::write(&stamp, self.recipe()?)
            .with_context(|| format!("cannot write {}", stamp.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_is_pinned_at_the_version_it_names() {
        for component in [KUBERNETES, ETCD, COREDNS, HELM] {
            let pins = fs::read_to_string(component.module().join("go.mod")).unwrap();
            assert!(
                pins.contains(&format!(" v{}", component.version)),
                "{}: go.mod does not name v{}",
                component.name,
                component.version
            );
            assert!(
                component.module().join("go.sum").is_file(),
                "{}",
                component.name
            );
        }
    }

    #[test]
    fn binaries_are_named_after_their_packages() {
        assert_eq!(ETCD.binaries(), ["etcd"]);
        assert!(KUBERNETES.binaries().contains(&"kube-apiserver"));
    }
}
