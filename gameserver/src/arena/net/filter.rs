//! What the kernel drops before it queues it: datagrams that cannot be packets for a server, by
//! their first byte and their length.
//!
//! Junk that is never queued costs no call and no copy, and takes no room from the packets of
//! players. What looks like a packet comes through and is judged by the packet layer, which relies
//! on none of this: without the filter, all junk is refused there.

use std::net::UdpSocket;

use netcode::TAG_BYTES;
use netcode::packet::{CHALLENGE_BYTES, Kind, MAX_PAYLOAD_BYTES, REQUEST_BYTES};
use socket2::{SockFilter, SockRef};

/// What the filter of a UDP socket sees before the datagram.
const UDP_HEADER_BYTES: usize = 8;

/// Bytes of a sealed packet, with that header, but without its number and its body.
const AROUND: usize = UDP_HEADER_BYTES + 1 + TAG_BYTES;

/// Bytes of the longest number.
const LONGEST_NUMBER: usize = 8;

// Instructions, as the kernel numbers them in `linux/bpf_common.h`: on a register, with a constant
// or the other register, which is X.
const LOAD_BYTE: u16 = 0x30;
const LOAD_LENGTH: u16 = 0x80;
const COPY_TO_X: u16 = 0x07;
const SUBTRACT: u16 = 0x14;
const SUBTRACT_X: u16 = 0x1c;
const SHIFT_LEFT: u16 = 0x64;
const SHIFT_RIGHT: u16 = 0x74;
const AND: u16 = 0x54;
const OR_X: u16 = 0x4c;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_NOT_LESS: u16 = 0x35;
const RETURN: u16 = 0x06;

// Where the program goes on.
const NEXT: u8 = 0;
const REQUEST: u8 = 18;
const ACCEPT: u8 = 20;
const DROP: u8 = 21;

/// An instruction, and where a condition leads if it holds and if not.
type Instruction = (u16, usize, u8, u8);

/// The program. Where it loads a byte that is not there, the kernel drops the datagram.
const PROGRAM: [Instruction; 22] = [
    (LOAD_BYTE, UDP_HEADER_BYTES, NEXT, NEXT),
    (IF_EQUAL, Kind::Request as usize, REQUEST, NEXT),
    (SHIFT_RIGHT, 4, NEXT, NEXT),
    (IF_GREATER, LONGEST_NUMBER, DROP, NEXT),
    (COPY_TO_X, 0, NEXT, NEXT),
    (LOAD_LENGTH, 0, NEXT, NEXT),
    (SUBTRACT_X, 0, NEXT, NEXT),
    // In what is too short this goes below zero, which no kind of packet has as its body.
    (SUBTRACT, AROUND, NEXT, NEXT),
    (COPY_TO_X, 0, NEXT, NEXT),
    (LOAD_BYTE, UDP_HEADER_BYTES, NEXT, NEXT),
    (AND, 0x0f, NEXT, NEXT),
    (SHIFT_LEFT, 16, NEXT, NEXT),
    (OR_X, 0, NEXT, NEXT),
    (IF_EQUAL, body(Kind::KeepAlive, 8), ACCEPT, NEXT),
    (IF_EQUAL, body(Kind::Disconnect, 0), ACCEPT, NEXT),
    (
        IF_EQUAL,
        body(Kind::Response, 8 + CHALLENGE_BYTES),
        ACCEPT,
        NEXT,
    ),
    (IF_NOT_LESS, body(Kind::Payload, 1), NEXT, DROP),
    (
        IF_GREATER,
        body(Kind::Payload, MAX_PAYLOAD_BYTES),
        DROP,
        ACCEPT,
    ),
    (LOAD_LENGTH, 0, NEXT, NEXT),
    (IF_EQUAL, UDP_HEADER_BYTES + REQUEST_BYTES, ACCEPT, DROP),
    (RETURN, u32::MAX as usize, NEXT, NEXT),
    (RETURN, 0, NEXT, NEXT),
];

/// A kind of packet and the length of its body, in one number.
const fn body(kind: Kind, length: usize) -> usize {
    (kind as usize) << 16 | length
}

/// Has the kernel drop what cannot be a packet for a server.
pub(super) fn attach(socket: &UdpSocket) -> std::io::Result<()> {
    let program = (0_u8..).zip(PROGRAM).map(|(at, (code, value, yes, no))| {
        // The kernel counts from the next instruction.
        let distance = |to: u8| if to == NEXT { 0 } else { to - at - 1 };
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        SockFilter::new(code, distance(yes), distance(no), value)
    });
    SockRef::from(socket).attach_filter(&program.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

    use netcode::MAX_PACKET_BYTES;
    use netcode::packet::Header;

    use super::*;

    /// Whether the packet layer of a server looks into what has this prefix and length.
    fn may_be_packet(datagram: &[u8]) -> bool {
        if datagram.first() == Some(&0) {
            return datagram.len() == REQUEST_BYTES;
        }
        Header::read(datagram).is_ok_and(|header| {
            !matches!(header.kind, Kind::Request | Kind::Denied | Kind::Challenge)
        })
    }

    fn passes_exactly_what_may_be_a_packet(server: SocketAddr, client: SocketAddr) {
        let server = UdpSocket::bind(server).unwrap();
        server.set_nonblocking(true).unwrap();
        attach(&server).unwrap();
        let to = SocketAddr::new(client.ip(), server.local_addr().unwrap().port());
        let client = UdpSocket::bind(client).unwrap();
        let mut datagram = [7; MAX_PACKET_BYTES + 2];
        let mut received = [0; MAX_PACKET_BYTES + 2];
        let edges = [0, 1, 2, 17, 308 + 17, MAX_PAYLOAD_BYTES + 17];
        let lengths = edges.into_iter().flat_map(|edge| edge..=edge + 17);
        let lengths = lengths.chain(REQUEST_BYTES - 1..=REQUEST_BYTES + 1);
        let mut passed = 0;
        for length in lengths.filter(|length| *length <= MAX_PACKET_BYTES + 2) {
            for prefix in 0..=u8::MAX {
                datagram[0] = prefix;
                let datagram = &datagram[..length];
                client.send_to(datagram, to).unwrap();
                // Over loopback it has arrived when it was sent.
                let got = match server.recv(&mut received) {
                    Ok(count) => Some(count),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                    Err(error) => panic!("{error}"),
                };
                let expected = may_be_packet(datagram).then_some(length);
                assert_eq!(got, expected, "prefix {prefix:#x}, length {length}");
                passed += u32::from(got.is_some());
            }
        }
        assert!(passed > 100);
    }

    #[test]
    fn the_kernel_drops_what_no_packet_can_be_and_nothing_else() {
        let ipv4 = (Ipv4Addr::LOCALHOST, 0).into();
        passes_exactly_what_may_be_a_packet(ipv4, ipv4);
        // Of both families, as the server's.
        passes_exactly_what_may_be_a_packet((Ipv6Addr::UNSPECIFIED, 0).into(), ipv4);
    }
}
