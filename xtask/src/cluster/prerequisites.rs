//! Says in one message everything that this machine lacks for the local cluster.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Programs, and the Debian package that brings each.
const PROGRAMS: [(&str, &str); 12] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("iptables-save", "iptables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("openssl", "openssl"),
    ("curl", "curl"),
    ("gcc", "gcc libc6-dev"),
    ("setsid", "util-linux"),
];

/// Where Debian puts the CNI plugins.
pub(crate) const CNI_PLUGINS: &str = "/usr/lib/cni";

/// The plugins that the pod network uses.
const PLUGINS: [&str; 4] = ["bridge", "host-local", "loopback", "portmap"];

/// Fails with the list of what is missing and the line that installs it.
pub(crate) fn check() -> Result<()> {
    let mut missing = Vec::new();
    let mut packages = Vec::new();
    for (program, package) in PROGRAMS {
        if process::find_program(program).is_none() {
            missing.push(format!("the program {program}"));
            packages.push(package);
        }
    }
    for plugin in PLUGINS {
        if !Path::new(CNI_PLUGINS).join(plugin).is_file() {
            missing.push(format!("the CNI plugin {CNI_PLUGINS}/{plugin}"));
            packages.push("containernetworking-plugins");
        }
    }
    let user = process::output(Command::new("id").arg("-u"))?;
    if user.trim() != "0" {
        missing.push("root: run this as root, or use --provider kind where Docker is".to_owned());
    }
    match process::output(Command::new("go").args(["env", "GOVERSION"])) {
        Ok(version) if is_recent_go(version.trim()) => {}
        Ok(version) => {
            missing.push(format!("Go 1.25 or newer (found {})", version.trim()));
        }
        Err(_) => missing.push("Go 1.25 or newer (https://go.dev/dl)".to_owned()),
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("{}", message(&missing, packages));
}

fn message(missing: &[String], mut packages: Vec<&str>) -> String {
    packages.sort_unstable();
    packages.dedup();
    let mut text = format!(
        "the local cluster needs what is missing here:\n  - {}",
        missing.join("\n  - ")
    );
    if !packages.is_empty() {
        text.push_str(
            "\ninstall with:\n  apt-get update && apt-get install --yes --no-install-recommends ",
        );
        text.push_str(&packages.join(" "));
    }
    text
}

/// Whether `go1.x.y` is at least 1.25; a development build has no such number and is accepted.
fn is_recent_go(version: &str) -> bool {
    let Some(rest) = version.strip_prefix("go1.") else {
        return version.starts_with("devel");
    };
    rest.split(|character: char| !character.is_ascii_digit())
        .next()
        .and_then(|minor| minor.parse::<u32>().ok())
        .is_some_and(|minor| minor >= 25)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions() {
        assert!(is_recent_go("go1.25.0"));
        assert!(is_recent_go("go1.26rc1"));
        assert!(!is_recent_go("go1.24.9"));
        assert!(!is_recent_go("go1.9"));
        assert!(!is_recent_go("gcc"));
    }

    #[test]
    fn one_message_names_everything_once() {
        let text = message(
            &["the program nft".to_owned(), "the program ctr".to_owned()],
            vec!["nftables", "containerd", "containerd"],
        );
        assert!(
            text.ends_with("--no-install-recommends containerd nftables"),
            "{text}"
        );
        assert!(text.contains("the program nft\n"), "{text}");
    }
}
