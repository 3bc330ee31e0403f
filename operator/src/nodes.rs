//! What we read from nodes: whether servers may run there, and their addresses. Pure.

use crds::gameserver::GameServerStatusAddress;
use k8s_openapi::api::core::v1::{Node, Pod};

/// Types of addresses, in order of preference for players.
const PREFERENCE: [&str; 4] = ["ExternalDNS", "ExternalIP", "InternalDNS", "InternalIP"];

/// Type of an address of the pod itself.
pub(crate) const POD_IP: &str = "PodIP";

/// The address by which players reach servers of a node.
pub(crate) fn address(node: &Node) -> Option<String> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    PREFERENCE.iter().find_map(|wanted| {
        addresses
            .iter()
            .filter(|address| address.type_ == *wanted)
            .map(|address| address.address.clone())
            // An IP that does not parse is of no use to a client.
            .find(|address| !wanted.ends_with("IP") || address.parse::<std::net::IpAddr>().is_ok())
    })
}

/// Every address of the node, and those of the pod.
pub(crate) fn addresses(node: &Node, pod: &Pod) -> Vec<GameServerStatusAddress> {
    let of_node = node
        .status
        .iter()
        .flat_map(|status| status.addresses.iter().flatten())
        .map(|address| GameServerStatusAddress {
            type_: address.type_.clone(),
            address: address.address.clone(),
        });
    let of_pod = pod
        .status
        .iter()
        .flat_map(|status| status.pod_ips.iter().flatten())
        .map(|ip| GameServerStatusAddress {
            type_: POD_IP.to_owned(),
            address: ip.ip.clone(),
        });
    of_node.chain(of_pod).collect()
}

/// Whether the scheduler may put pods there.
pub(crate) fn is_schedulable(node: &Node) -> bool {
    node.spec
        .as_ref()
        .is_none_or(|spec| spec.unschedulable != Some(true))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{NodeAddress, NodeStatus};

    use super::*;

    fn node(addresses: &[(&str, &str)]) -> Node {
        let addresses = addresses
            .iter()
            .map(|(type_, address)| NodeAddress {
                type_: (*type_).to_owned(),
                address: (*address).to_owned(),
            })
            .collect();
        let status = NodeStatus {
            addresses: Some(addresses),
            ..NodeStatus::default()
        };
        Node {
            status: Some(status),
            ..Node::default()
        }
    }

    #[test]
    fn players_get_the_most_public_address() {
        type Case<'a> = (Vec<(&'a str, &'a str)>, Option<&'a str>);
        let cases: [Case<'_>; 5] = [
            (
                vec![("InternalIP", "10.0.0.1"), ("ExternalIP", "203.0.113.7")],
                Some("203.0.113.7"),
            ),
            (
                vec![("ExternalIP", "203.0.113.7"), ("ExternalDNS", "a.example")],
                Some("a.example"),
            ),
            (
                vec![("ExternalIP", "broken"), ("InternalIP", "10.0.0.1")],
                Some("10.0.0.1"),
            ),
            (vec![("Hostname", "node-1")], None),
            (vec![("InternalIP", "fd00::1")], Some("fd00::1")),
        ];
        for (addresses, expected) in cases {
            assert_eq!(
                address(&node(&addresses)).as_deref(),
                expected,
                "{addresses:?}"
            );
        }
    }
}
