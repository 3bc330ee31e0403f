//! Finds and removes the packet rules that a stopped cluster leaves in the host's tables.
//!
//! Rules of other container networks on the same host stay.

use std::collections::BTreeSet;
use std::process::Command;

use super::config::NETWORK;
use crate::process;

/// Removes the rules of our pod network, of the kubelet and of kube-proxy.
pub(crate) fn remove() {
    remove_network_rules();
    remove_kubelet_rules();
    for table in [["ip", "kube-proxy"], ["ip6", "kube-proxy"]] {
        process::succeeds(Command::new("nft").args(["delete", "table"]).args(table));
    }
}

/// Removes the chains that the kubelet makes, in both families.
fn remove_kubelet_rules() {
    for program in ["iptables", "ip6tables"] {
        let run = |arguments: &[&str]| {
            process::succeeds(Command::new(program).arg("-w").args(arguments));
        };
        for chain in ["INPUT", "OUTPUT"] {
            run(&["-t", "filter", "-D", chain, "-j", "KUBE-FIREWALL"]);
        }
        for (table, chain) in [
            ("filter", "KUBE-FIREWALL"),
            ("filter", "KUBE-KUBELET-CANARY"),
            ("nat", "KUBE-KUBELET-CANARY"),
            ("mangle", "KUBE-KUBELET-CANARY"),
            ("mangle", "KUBE-IPTABLES-HINT"),
        ] {
            run(&["-t", table, "-F", chain]);
            run(&["-t", table, "-X", chain]);
        }
    }
}

fn remove_network_rules() {
    let Ok(saved) = process::output(Command::new("iptables-save").args(["-t", "nat"])) else {
        return;
    };
    for arguments in rules_to_remove(&saved) {
        let mut command = Command::new("iptables");
        process::succeeds(command.args(["-w", "-t", "nat"]).args(&arguments));
    }
}

/// The iptables arguments that remove the rules and chains of our CNI network from the table nat.
///
/// The plugins mark their rules with the network's name; the chains such rules jump to are ours
/// too. The shared chains of host ports go when nobody else uses them.
fn rules_to_remove(saved: &str) -> Vec<Vec<String>> {
    let rules: Vec<Vec<String>> = saved
        .lines()
        .filter(|line| line.starts_with("-A "))
        .map(split_words)
        .collect();
    let mark = format!("name: \"{NETWORK}\"");
    let target = |rule: &[String]| {
        let jump = rule.iter().position(|word| word == "-j")?;
        rule.get(jump + 1).cloned()
    };
    let chain = |rule: &[String]| rule.get(1).cloned().unwrap_or_default();
    let is_marked = |rule: &[String]| rule.iter().any(|word| word.contains(&mark));
    let chains: BTreeSet<String> = rules
        .iter()
        .filter(|rule| is_marked(rule))
        .filter_map(|rule| target(rule))
        .filter(|name| name.starts_with("CNI-") && !name.starts_with("CNI-HOSTPORT-"))
        .collect();

    let is_ours = |rule: &[String]| chains.contains(&chain(rule)) || is_marked(rule);
    let mut removals: Vec<Vec<String>> = rules
        .iter()
        .filter(|rule| is_ours(rule) && !chains.contains(&chain(rule)))
        .map(|rule| {
            let mut arguments = vec!["-D".to_owned()];
            arguments.extend(rule.iter().skip(1).cloned());
            arguments
        })
        .collect();
    for name in &chains {
        removals.push(vec!["-F".to_owned(), name.clone()]);
        removals.push(vec!["-X".to_owned(), name.clone()]);
    }

    let others_use_ports = rules
        .iter()
        .any(|rule| chain(rule) == "CNI-HOSTPORT-DNAT" && !is_ours(rule));
    if !others_use_ports {
        let shared = |name: &str| name.starts_with("CNI-HOSTPORT-");
        for rule in &rules {
            if target(rule).is_some_and(|name| shared(&name)) && !shared(&chain(rule)) {
                let mut arguments = vec!["-D".to_owned()];
                arguments.extend(rule.iter().skip(1).cloned());
                removals.push(arguments);
            }
        }
        let declared: Vec<&str> = saved
            .lines()
            .filter_map(|line| line.strip_prefix(':')?.split(' ').next())
            .filter(|name| shared(name))
            .collect();
        for flag in ["-F", "-X"] {
            removals.extend(
                declared
                    .iter()
                    .map(|name| vec![flag.to_owned(), (*name).to_owned()]),
            );
        }
    }
    removals
}

/// Splits a line of `iptables-save` into words, with its double quotes and escapes resolved.
fn split_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut is_quoted = false;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.extend(characters.next()),
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = r#"*nat
:PREROUTING ACCEPT [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:CNI-DN-aa - [0:0]
:CNI-bb - [0:0]
:CNI-cc - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
-A POSTROUTING -s 10.244.0.2/32 -m comment --comment "name: \"muster\" id: \"1\"" -j CNI-bb
-A POSTROUTING -s 10.88.0.2/32 -m comment --comment "name: \"podman\" id: \"2\"" -j CNI-cc
-A CNI-HOSTPORT-DNAT -p udp -m comment --comment "dnat name: \"muster\" id: \"1\"" -j CNI-DN-aa
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
-A CNI-DN-aa -p udp --dport 7000 -j DNAT --to-destination 10.244.0.2:7000
-A CNI-bb ! -d 224.0.0.0/4 -m comment --comment "name: \"muster\" id: \"1\"" -j MASQUERADE
COMMIT
"#;

    fn removals(saved: &str) -> Vec<String> {
        rules_to_remove(saved)
            .iter()
            .map(|arguments| arguments.join(" "))
            .collect()
    }

    #[test]
    fn our_rules_go_and_those_of_others_stay() {
        let removals = removals(SAVED);
        assert_eq!(
            removals,
            [
                "-D POSTROUTING -s 10.244.0.2/32 -m comment --comment name: \"muster\" id: \"1\" -j CNI-bb",
                "-D CNI-HOSTPORT-DNAT -p udp -m comment --comment dnat name: \"muster\" id: \"1\" -j CNI-DN-aa",
                "-F CNI-DN-aa",
                "-X CNI-DN-aa",
                "-F CNI-bb",
                "-X CNI-bb",
                "-D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
                "-D POSTROUTING -m comment --comment CNI portfwd requiring masquerade -j CNI-HOSTPORT-MASQ",
                "-F CNI-HOSTPORT-DNAT",
                "-F CNI-HOSTPORT-MASQ",
                "-X CNI-HOSTPORT-DNAT",
                "-X CNI-HOSTPORT-MASQ",
            ]
        );
    }

    #[test]
    fn shared_chains_stay_while_another_network_uses_them() {
        let saved = SAVED.replace(
            "-A CNI-HOSTPORT-MASQ",
            "-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment \"dnat name: \\\"podman\\\"\" -j CNI-DN-dd\n-A CNI-HOSTPORT-MASQ",
        );
        assert!(
            removals(&saved)
                .iter()
                .all(|line| !line.contains("-X CNI-HOSTPORT"))
        );
    }

    #[test]
    fn nothing_of_ours_means_nothing_to_do() {
        assert!(removals("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n").is_empty());
    }
}
