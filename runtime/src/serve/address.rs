//! Whose address a call comes from, and which addresses count as one. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// How many proxies may stand one behind another; what a header says beyond is not read.
const HOPS: usize = 16;

/// Addresses that begin alike: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    /// Without the bits that may differ.
    first: IpAddr,
    length: u8,
}

impl Network {
    /// The network of so many leading bits that an address is in; of all its bits at most.
    pub fn of(address: IpAddr, length: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let length = length.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Self {
                    first: Ipv4Addr::from_bits(address.to_bits() & mask).into(),
                    length,
                }
            }
            IpAddr::V6(address) => {
                let length = length.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Self {
                    first: Ipv6Addr::from_bits(address.to_bits() & mask).into(),
                    length,
                }
            }
        }
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::of(address, self.length) == *self
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.first, self.length)
    }
}

/// No network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network like 10.0.0.0/8 or fd00::/8, nor an address")]
pub struct InvalidNetwork(String);

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, length) = text.split_once('/').unzip();
        let address: IpAddr = address.unwrap_or(text).parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(most), str::parse).map_err(|_| invalid())?;
        let network = Self::of(address, length);
        if length > most || network.first != address {
            return Err(invalid());
        }
        Ok(network)
    }
}

/// The address that a call came from at first.
///
/// Everybody can write the header `X-Forwarded-For`; each proxy appends whom it has the call from.
/// So it is read from its end, and only as far as proxies that are trusted wrote it. `forwarded`
/// are the header's lines in their order.
pub fn client_address<'header>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'header str>,
    trusted: &[Network],
) -> IpAddr {
    let mut client = peer.to_canonical();
    let hops = forwarded.rev().flat_map(|line| line.rsplit(','));
    for hop in hops.take(HOPS) {
        if !trusted.iter().any(|network| network.contains(client)) {
            break;
        }
        let Some(address) = parse_hop(hop.trim()) else {
            break;
        };
        client = address.to_canonical();
    }
    client
}

/// An address, perhaps with a port, perhaps in brackets.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop
        .strip_prefix('[')
        .and_then(|hop| hop.strip_suffix(']'))
        .unwrap_or(hop);
    bare.parse()
        .ok()
        .or_else(|| hop.parse().ok().map(|socket: SocketAddr| socket.ip()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_read_and_hold_their_addresses() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.1.1.1", "::10.1.1.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "255.0.0.1", "::1"),
            ("fd00::/8", "fd12::1", "fe00::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert!(parsed.contains(ip(inside)), "{network} {inside}");
            assert!(!parsed.contains(ip(outside)), "{network} {outside}");
            assert!(parsed.to_string().starts_with(network));
        }
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10/8",
            "::/129",
            "10.0.0.0/",
            "a/8",
            "/8",
        ] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, lines, client) in [
            ("203.0.113.9", vec![], "203.0.113.9"),
            ("203.0.113.9", vec!["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            (
                "::ffff:10.0.0.1",
                vec!["::ffff:198.51.100.1"],
                "198.51.100.1",
            ),
            // What the client wrote itself is on the left.
            ("10.0.0.1", vec!["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", vec!["10.6.6.6, 198.51.100.1"], "198.51.100.1"),
            (
                "10.0.0.1",
                vec!["1.1.1.1", "198.51.100.1 , fd00::2"],
                "198.51.100.1",
            ),
            (
                "10.0.0.1",
                vec!["[2001:db8::1]:443, 10.0.0.2:80"],
                "2001:db8::1",
            ),
            ("10.0.0.1", vec!["[2001:db8::1]"], "2001:db8::1"),
            // Nonsense ends it at the proxy that passed it on.
            (
                "10.0.0.1",
                vec!["198.51.100.1, unknown, 10.0.0.2"],
                "10.0.0.2",
            ),
            ("10.0.0.1", vec![""], "10.0.0.1"),
            // Everybody is trusted: the farthest.
            ("10.0.0.1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            let found = client_address(ip(peer), lines.iter().copied(), &trusted);
            assert_eq!(found, ip(client), "{peer} {lines:?}");
        }
        let long = "10.0.0.2,".repeat(1000) + "10.0.0.3";
        assert_eq!(
            client_address(ip("10.0.0.1"), [&*long].into_iter(), &trusted),
            ip("10.0.0.2")
        );
    }

    proptest! {
        #[test]
        fn nobody_chooses_an_address_through_a_proxy(
            written in "[0-9a-f.:,\\[\\] ]{0,60}",
            truth: u32,
        ) {
            let trusted = ["10.0.0.0/8".parse().unwrap()];
            let truth = IpAddr::from(Ipv4Addr::from_bits(truth));
            prop_assume!(!trusted.iter().any(|network: &Network| network.contains(truth)));
            let line = format!("{written},{truth}");
            prop_assert_eq!(client_address(ip("10.0.0.1"), [&*line].into_iter(), &trusted), truth);
            prop_assert_eq!(client_address(truth, [&*written].into_iter(), &trusted), truth);
        }

        #[test]
        fn an_address_is_in_its_networks(bits: u128, length in 0_u8..=128) {
            let address = IpAddr::from(Ipv6Addr::from_bits(bits));
            prop_assert!(Network::of(address, length).contains(address));
        }
    }
}
