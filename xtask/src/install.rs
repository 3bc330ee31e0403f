//! Installs Muster's chart with the images of this checkout, and removes it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::cluster::{Cluster, Selection};
use crate::images::{self, BuildArgs};
use crate::kubernetes::{Kubectl, has_release, helm};
use crate::process::{self, progress};
use crate::repository;

/// The release and its namespace.
pub(crate) const NAME: &str = "muster-system";

/// The chart and its definitions of custom resources, from the repository's root.
pub(crate) const CHART: &str = "charts/muster";
pub(crate) const DEFINITIONS: &str = "charts/muster/crds";

/// The namespace; nothing in it needs more than the profile `restricted`.
pub(crate) const NAMESPACE_MANIFEST: &str = "apiVersion: v1
kind: Namespace
metadata:
  name: muster-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
";

/// Arguments of `cargo xtask install`.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    build: BuildArgs,
    /// Sets a value of the chart, as helm's `--set` does.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    values: Vec<String>,
}

/// Runs `cargo xtask install`.
pub(crate) fn run(args: &InstallArgs) -> Result<()> {
    install(&args.selection.cluster()?, &args.build, &args.values)
}

/// Runs `cargo xtask uninstall`.
pub(crate) fn run_uninstall(selection: &Selection) -> Result<()> {
    uninstall(&selection.cluster()?)
}

/// Builds and loads the images, then installs or upgrades the chart and waits until it is ready.
pub(crate) fn install(cluster: &Cluster, options: &BuildArgs, values: &[String]) -> Result<()> {
    let kubectl = cluster.kubectl()?;
    process::output(kubectl.command().args(["get", "--raw", "/readyz"]))
        .context("the cluster does not answer; `cargo xtask cluster up` starts the local one")?;
    let mut settings = vec![
        "--set-string".to_owned(),
        format!("image.tag={}", options.resolved_tag()?),
    ];
    if cluster.takes_images() {
        let built = images::build(options)?;
        images::load(cluster, &built)?;
        // A new image under the same tag must replace the pods that run the old one.
        settings.push("--set-string".to_owned());
        settings.push(format!(
            "podAnnotations.muster\\.dev/image-digest={}",
            images::joint_digest(&built)
        ));
    } else {
        progress(
            "this cluster pulls its images from a registry: push target/images/*.tar (cargo xtask \
             images) where `--set image.registry=…` points to",
        );
    }
    for value in values {
        settings.extend(["--set".to_owned(), value.clone()]);
    }

    apply_definitions(&kubectl)?;
    process::output_with_input(
        kubectl
            .command()
            .args(["apply", "--server-side", "--force-conflicts", "-f", "-"]),
        NAMESPACE_MANIFEST,
    )?;
    progress(&format!(
        "installing the chart as {NAME} in the namespace {NAME} …"
    ));
    let kubeconfig = cluster.kubeconfig();
    let installed = process::output(
        helm(Some(&kubeconfig))?
            .args([
                "upgrade",
                "--install",
                NAME,
                CHART,
                "--namespace",
                NAME,
                "--create-namespace",
            ])
            .args(["--skip-crds", "--wait", "--timeout", "180s"])
            .args(&settings),
    );
    if let Err(error) = installed {
        return Err(error.context(explanation(&kubectl)));
    }
    progress(&format!(
        "installed; kubectl --namespace {NAME} get pods shows the parts"
    ));
    Ok(())
}

/// Applies the definitions of custom resources, which Helm installs but never upgrades.
pub(crate) fn apply_definitions(kubectl: &Kubectl) -> Result<()> {
    process::output(
        kubectl
            .command()
            .args(["apply", "--server-side", "--force-conflicts", "-f"])
            .arg(DEFINITIONS),
    )?;
    process::output(
        kubectl
            .command()
            .args(["wait", "--for=condition=Established", "--timeout=60s", "-f"])
            .arg(DEFINITIONS),
    )?;
    Ok(())
}

/// What the cluster says about an installation that does not become ready.
fn explanation(kubectl: &Kubectl) -> String {
    let said = |args: &[&str]| {
        process::output(kubectl.command().args(["--namespace", NAME]).args(args))
            .unwrap_or_else(|error| format!("{error:#}"))
    };
    format!(
        "Muster did not become ready\n{}\n{}",
        said(&["get", "pods", "--output=wide"]),
        said(&[
            "get",
            "events",
            "--field-selector=type=Warning",
            "--sort-by=.lastTimestamp"
        ]),
    )
}

/// Removes game servers, the release, its namespace and the definitions of custom resources.
pub(crate) fn uninstall(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl()?;
    // While the operator still runs: it takes the pods and ports of its objects back.
    progress("deleting fleets and game servers …");
    delete(
        kubectl
            .command()
            .args([
                "delete",
                "fleets,gameserversets,gameservers,matchallocations,fleetautoscalers",
            ])
            .args(["--all", "--all-namespaces", "--timeout=60s"]),
    );
    let kubeconfig = cluster.kubeconfig();
    if has_release(&kubeconfig, NAME, NAME)? {
        process::output(helm(Some(&kubeconfig))?.args([
            "uninstall",
            NAME,
            "--namespace",
            NAME,
            "--wait",
            "--timeout",
            "120s",
        ]))?;
    }
    if repository::root().join(DEFINITIONS).is_dir() {
        process::output(
            kubectl
                .command()
                .args(["delete", "--ignore-not-found", "--timeout=60s", "-f"])
                .arg(DEFINITIONS),
        )?;
    }
    process::output(kubectl.command().args([
        "delete",
        "namespace",
        NAME,
        "--ignore-not-found",
        "--timeout=120s",
    ]))?;
    progress("uninstalled");
    Ok(())
}

/// Deletes what may be unknown to the cluster.
fn delete(command: &mut Command) {
    if let Err(error) = process::output(command) {
        let text = format!("{error:#}");
        if !text.contains("doesn't have a resource type") {
            progress(&text);
        }
    }
}

/// Renders the chart without a cluster.
pub(crate) fn render(arguments: &[String]) -> Result<String> {
    process::output(
        helm(None)?
            .args([
                "template",
                NAME,
                CHART,
                "--namespace",
                NAME,
                "--include-crds",
            ])
            .args(arguments),
    )
}

/// Whether Muster is installed in this cluster by helm.
pub(crate) fn is_installed(kubeconfig: &Path) -> Result<bool> {
    has_release(kubeconfig, NAME, NAME)
}

/// Removes what a run brought: Muster and the cluster stay where they were before.
pub(crate) fn clear(cluster: &Cluster, was_installed: bool, was_running: bool) -> Result<()> {
    let uninstalled = if was_installed {
        Ok(())
    } else {
        uninstall(cluster)
    };
    // Whatever happened above: nobody else ends the cluster.
    let ended = if was_running { Ok(()) } else { cluster.down() };
    uninstalled.and(ended)
}
