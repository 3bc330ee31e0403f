//! From the ports of a spec to single ports with one protocol each.

use crate::gameserver::{GameServerPort, GameServerSpec, PortPolicy, Protocol};

/// A port with one protocol. TCPUDP becomes two of these that share one host port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinglePort {
    /// Index of the port in `spec.ports`; equal for the two halves of a TCPUDP port.
    pub index: usize,
    /// Name in status: that of the spec, with `-tcp` and `-udp` for the halves of a TCPUDP port.
    pub name: String,
    /// "TCP" or "UDP".
    pub protocol: &'static str,
}

/// Expands the ports of a spec. `status.ports` has one entry for each, in this order.
pub fn expand(spec: &GameServerSpec) -> Vec<SinglePort> {
    let single = |index, name: String, protocol| SinglePort {
        index,
        name,
        protocol,
    };
    spec.ports()
        .iter()
        .enumerate()
        .flat_map(|(index, port)| match port.protocol {
            Protocol::Udp => vec![single(index, port.name.clone(), "UDP")],
            Protocol::Tcp => vec![single(index, port.name.clone(), "TCP")],
            Protocol::TcpUdp => vec![
                single(index, format!("{}-tcp", port.name), "TCP"),
                single(index, format!("{}-udp", port.name), "UDP"),
            ],
        })
        .collect()
}

/// Whether the operator has to choose the host port.
pub const fn needs_choice(port: &GameServerPort) -> bool {
    matches!(
        port.port_policy,
        PortPolicy::Dynamic | PortPolicy::Passthrough
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcpudp_becomes_two_ports_of_one_index() {
        let port = |name: &str, protocol| GameServerPort {
            name: name.to_owned(),
            protocol,
            ..GameServerPort::default()
        };
        let spec = GameServerSpec {
            ports: Some(vec![
                port("game", Protocol::TcpUdp),
                port("query", Protocol::Udp),
            ]),
            ..GameServerSpec::default()
        };
        let expanded: Vec<_> = expand(&spec)
            .into_iter()
            .map(|p| (p.index, p.name, p.protocol))
            .collect();
        assert_eq!(
            expanded,
            [
                (0, "game-tcp".to_owned(), "TCP"),
                (0, "game-udp".to_owned(), "UDP"),
                (1, "query".to_owned(), "UDP"),
            ]
        );
    }
}
