//! Removes what a stopped cluster leaves behind: containers, mounts, namespaces, rules, cgroups.
//!
//! Only what is ours by name is touched: our containerd's socket, our state directories, the
//! CNI network `muster`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::config::{BRIDGE, NETWORK, NETWORK_FILE, RUNTIME, SOCKET};
use super::rules;
use crate::{process, wait};

/// A client of our containerd, in Kubernetes' namespace.
pub(crate) fn ctr() -> Command {
    let mut command = Command::new("ctr");
    command.args(["--address", SOCKET, "--namespace", "k8s.io"]);
    command
}

/// Whether containers are left; they outlive their containerd.
pub(crate) fn has_tasks() -> bool {
    fs::read_dir(Path::new(RUNTIME).join("io.containerd.runtime.v2.task/k8s.io"))
        .is_ok_and(|mut entries| entries.next().is_some())
}

/// Kills and deletes every container of our containerd, which must be running.
pub(crate) fn delete_containers() -> Result<()> {
    for (kind, force) in [("tasks", true), ("containers", false)] {
        let list = |quiet: &str| process::output(ctr().args([kind, "ls", quiet]));
        let ids = list("-q")?;
        let ids: Vec<&str> = ids.split_whitespace().collect();
        for some in ids.chunks(50) {
            let mut command = ctr();
            command.args([kind, "delete"]);
            if force {
                command.arg("--force");
            }
            // One that ended meanwhile is an error of ctr, not of ours: the check is below.
            process::succeeds(command.args(some));
        }
        let left = list("-q")?;
        if !left.trim().is_empty() {
            bail!(
                "containerd keeps {kind} that cannot be deleted: {}",
                left.trim().replace('\n', " ")
            );
        }
    }
    Ok(())
}

/// Ends the supervisors of our containers, which are known by our socket in their arguments.
pub(crate) fn end_shims() -> Result<()> {
    let gone = wait::until(Duration::from_secs(5), || {
        Ok(shims().is_empty().then_some(()))
    })?;
    if gone.is_none() {
        process::succeeds(Command::new("kill").arg("-KILL").args(shims()));
        let gone = wait::until(Duration::from_secs(5), || {
            Ok(shims().is_empty().then_some(()))
        })?;
        if gone.is_none() {
            bail!(
                "supervisors of containers do not end, even when killed: {}",
                shims().join(" ")
            );
        }
    }
    Ok(())
}

fn shims() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().into_string().ok()?;
            pid.parse::<u32>().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            is_our_shim(&String::from_utf8_lossy(&line)).then_some(pid)
        })
        .collect()
}

fn is_our_shim(command_line: &str) -> bool {
    let mut words = command_line.split('\0');
    words
        .next()
        .is_some_and(|program| program.contains("containerd-shim"))
        && words.any(|word| word == SOCKET)
}

/// Unmounts everything below our directories, deepest first.
pub(crate) fn unmount(state: &Path) -> Result<()> {
    // Twice: a mount may hide another one at the same place.
    for _ in 0..3 {
        let mounts = mounts_below(&[state, Path::new(RUNTIME)])?;
        if mounts.is_empty() {
            return Ok(());
        }
        for mount in &mounts {
            process::succeeds(Command::new("umount").arg("--lazy").arg(mount));
        }
    }
    let left = mounts_below(&[state, Path::new(RUNTIME)])?;
    if left.is_empty() {
        return Ok(());
    }
    bail!("still mounted: {left:?}");
}

fn mounts_below(folders: &[&Path]) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    Ok(select_mounts(&table, folders))
}

/// The mount points below `folders`, latest first.
fn select_mounts(table: &str, folders: &[&Path]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|point| PathBuf::from(point.replace("\\040", " ")))
        .filter(|point| folders.iter().any(|folder| point.starts_with(folder)))
        .collect();
    found.reverse();
    found
}

/// Names the network namespaces that CNI has made on this host, ours and others'.
pub(crate) fn network_namespaces() -> BTreeSet<String> {
    process::output(Command::new("ip").args(["netns", "list"]))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with("cni-"))
        .map(str::to_owned)
        .collect()
}

/// Removes the pod network; `strangers` are the namespaces that were there before us.
pub(crate) fn remove_network(strangers: &BTreeSet<String>) -> Result<()> {
    for name in network_namespaces().difference(strangers) {
        process::succeeds(Command::new("ip").args(["netns", "delete", name]));
    }
    if Path::new("/sys/class/net").join(BRIDGE).exists() && Path::new(NETWORK_FILE).exists() {
        process::succeeds(Command::new("ip").args(["link", "delete", BRIDGE]));
    }
    rules::remove();
    remove_tree(&Path::new("/var/lib/cni/networks").join(NETWORK))?;
    remove_network_results();
    match fs::remove_file(NETWORK_FILE) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {NETWORK_FILE}"))
        }
        _ => Ok(()),
    }
}

/// Removes what the plugins noted about our pods, on our network and on their loopback.
fn remove_network_results() {
    let folder = Path::new("/var/lib/cni/results");
    let names: Vec<String> = fs::read_dir(folder)
        .map(|entries| {
            entries
                .flatten()
                .filter_map(|entry| entry.file_name().into_string().ok())
                .collect()
        })
        .unwrap_or_default();
    for name in results_to_remove(&names) {
        let _ = fs::remove_file(folder.join(name));
    }
}

fn results_to_remove(names: &[String]) -> Vec<String> {
    names
        .iter()
        .filter_map(|name| {
            name.strip_prefix(NETWORK)?
                .strip_prefix('-')?
                .rsplit_once('-')
                .map(|(pod, _)| pod)
        })
        .flat_map(|pod| {
            [
                format!("{NETWORK}-{pod}-eth0"),
                format!("cni-loopback-{pod}-lo"),
            ]
        })
        .collect()
}

/// Removes the empty control groups of pods.
pub(crate) fn remove_cgroups() {
    let mut roots = vec![PathBuf::from("/sys/fs/cgroup/kubepods")];
    if let Ok(controllers) = fs::read_dir("/sys/fs/cgroup") {
        roots.extend(
            controllers
                .flatten()
                .map(|entry| entry.path().join("kubepods")),
        );
    }
    for root in roots {
        remove_cgroup(&root);
    }
}

fn remove_cgroup(path: &Path) {
    let Ok(entries) = fs::read_dir(path) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    let _ = fs::remove_dir(path);
}

/// Removes a folder that holds no mount (anymore).
pub(crate) fn remove_tree(folder: &Path) -> Result<()> {
    let mounts = mounts_below(&[folder])?;
    if !mounts.is_empty() {
        bail!(
            "{} still holds mounts, so it stays: {mounts:?}",
            folder.display()
        );
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_selected_by_whole_path_words() {
        let table = "\
21 1 0:20 / /run/muster-containerd rw - tmpfs tmpfs rw
22 1 0:20 / /run/muster-containerd-other rw - tmpfs tmpfs rw
23 1 0:20 / /cache/cluster/kubelet/pods/a\\040b rw - tmpfs tmpfs rw
";
        let found = select_mounts(table, &[Path::new("/cache/cluster"), Path::new(RUNTIME)]);
        assert_eq!(
            found,
            [
                PathBuf::from("/cache/cluster/kubelet/pods/a b"),
                PathBuf::from(RUNTIME)
            ]
        );
    }

    #[test]
    fn only_our_shims_are_ours() {
        let ours = "/usr/bin/containerd-shim-runc-v2\0-namespace\0k8s.io\0-address\0/run/muster-containerd/containerd.sock\0";
        assert!(is_our_shim(ours));
        assert!(!is_our_shim(
            &ours.replace("muster-containerd/", "containerd/")
        ));
        assert!(!is_our_shim(
            "ctr\0--address\0/run/muster-containerd/containerd.sock\0"
        ));
    }

    #[test]
    fn results_of_our_pods_go_on_both_networks() {
        let names = [
            "muster-0a-eth0",
            "cni-loopback-0a-lo",
            "cni-loopback-0b-lo",
            "podman-0c-eth0",
        ];
        assert_eq!(
            results_to_remove(&names.map(str::to_owned)),
            ["muster-0a-eth0", "cni-loopback-0a-lo"]
        );
    }
}
