//! Collects what explains a failed e2e run, before the cluster goes away.

use std::fs;

use anyhow::{Context, Result};

use crate::install::NAME;
use crate::kubernetes::Kubectl;
use crate::process::{self, progress};
use crate::repository;

/// Writes logs and objects to `target/e2e-logs`.
pub(crate) fn collect(kubectl: &Kubectl) -> Result<()> {
    let folder = repository::metadata()?.target_directory.join("e2e-logs");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let save = |file: &str, args: &[&str]| {
        let text = process::output(kubectl.command().args(args))
            .unwrap_or_else(|error| format!("{error:#}\n"));
        fs::write(folder.join(file), text).with_context(|| format!("cannot write {file}"))
    };
    for kind in [
        "fleets",
        "gameserversets",
        "gameservers",
        "matchallocations",
        "fleetautoscalers",
    ] {
        save(
            &format!("{kind}.yaml"),
            &["get", kind, "--all-namespaces", "--output=yaml"],
        )?;
    }
    save(
        "pods.txt",
        &["get", "pods", "--all-namespaces", "--output=wide"],
    )?;
    save(
        "pods.yaml",
        &["get", "pods", "--all-namespaces", "--output=yaml"],
    )?;
    save("nodes.yaml", &["get", "nodes", "--output=yaml"])?;
    save(
        "events.txt",
        &[
            "get",
            "events",
            "--all-namespaces",
            "--sort-by=.lastTimestamp",
        ],
    )?;

    let pods = process::output(kubectl.command().args([
        "get",
        "pods",
        "--namespace",
        NAME,
        "--output=name",
    ]))
    .unwrap_or_default();
    for pod in pods.lines() {
        let name = pod.trim_start_matches("pod/");
        let logs = [
            "logs",
            "--namespace",
            NAME,
            pod,
            "--all-containers",
            "--timestamps",
        ];
        save(&format!("{name}.log"), &logs)?;
        let previous = [&logs[..], &["--previous"]].concat();
        save(&format!("{name}.previous.log"), &previous)?;
    }
    progress(&format!("evidence is in {}", folder.display()));
    Ok(())
}
