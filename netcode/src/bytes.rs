//! Little-endian reading and writing at a moving position; both ends of a buffer are checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How the eight groups of an IPv6 address are ordered in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Groups {
    /// Each group as a little-endian number, as the standard's reference library writes them.
    Standard,
    /// All bytes in network order, as renet writes them.
    Network,
}

const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// Reads values; every method answers `None` past the end.
pub(crate) struct Reader<'bytes> {
    rest: &'bytes [u8],
}

impl<'bytes> Reader<'bytes> {
    pub(crate) fn new(bytes: &'bytes [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn array<const LENGTH: usize>(&mut self) -> Option<&'bytes [u8; LENGTH]> {
        let (value, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(value)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| *byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().copied().map(u16::from_le_bytes)
    }

    pub(crate) fn i16(&mut self) -> Option<i16> {
        self.array().copied().map(i16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().copied().map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.array().copied().map(i32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().copied().map(u64::from_le_bytes)
    }

    pub(crate) fn address(&mut self, groups: Groups) -> Option<SocketAddr> {
        let host = match self.u8()? {
            IPV4 => IpAddr::V4(Ipv4Addr::from(*self.array::<4>()?)),
            IPV6 => {
                let mut octets = *self.array::<16>()?;
                reorder(&mut octets, groups);
                IpAddr::V6(Ipv6Addr::from(octets))
            }
            _ => return None,
        };
        Some(SocketAddr::new(host, self.u16()?))
    }

    /// What was not read.
    pub(crate) fn rest(&self) -> &'bytes [u8] {
        self.rest
    }
}

/// Writes values; what does not fit is left out, and [`Writer::finish`] says so.
pub(crate) struct Writer<'bytes> {
    bytes: &'bytes mut [u8],
    position: usize,
    has_overflowed: bool,
}

impl<'bytes> Writer<'bytes> {
    pub(crate) fn new(bytes: &'bytes mut [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            has_overflowed: false,
        }
    }

    pub(crate) fn put(&mut self, value: &[u8]) {
        let end = self.position + value.len();
        match self.bytes.get_mut(self.position..end) {
            Some(place) => {
                place.copy_from_slice(value);
                self.position = end;
            }
            None => self.has_overflowed = true,
        }
    }

    pub(crate) fn address(&mut self, address: SocketAddr, groups: Groups) {
        match address.ip() {
            IpAddr::V4(host) => {
                self.put(&[IPV4]);
                self.put(&host.octets());
            }
            IpAddr::V6(host) => {
                let mut octets = host.octets();
                reorder(&mut octets, groups);
                self.put(&[IPV6]);
                self.put(&octets);
            }
        }
        self.put(&address.port().to_le_bytes());
    }

    /// How many bytes were written; `None` if something did not fit.
    pub(crate) fn finish(self) -> Option<usize> {
        (!self.has_overflowed).then_some(self.position)
    }
}

fn reorder(octets: &mut [u8; 16], groups: Groups) {
    if groups == Groups::Standard {
        for pair in octets.chunks_exact_mut(2) {
            pair.swap(0, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_buffer_is_reported_and_not_overrun() {
        let mut buffer = [0; 3];
        let mut writer = Writer::new(&mut buffer);
        writer.put(&[1, 2]);
        writer.put(&[3, 4]);
        assert_eq!(writer.finish(), None);
        assert_eq!(buffer, [1, 2, 0]);
    }

    #[test]
    fn the_two_orders_of_an_ipv6_address_differ() {
        let address: SocketAddr = "[2001:db8::1]:7000".parse().unwrap();
        let mut written = [[0; 19]; 2];
        for (buffer, groups) in written.iter_mut().zip([Groups::Standard, Groups::Network]) {
            let mut writer = Writer::new(buffer);
            writer.address(address, groups);
            assert_eq!(writer.finish(), Some(19));
            assert_eq!(Reader::new(buffer).address(groups), Some(address));
        }
        assert_eq!(written[0][1..3], [0x01, 0x20]);
        assert_eq!(written[1][1..3], [0x20, 0x01]);
    }
}
