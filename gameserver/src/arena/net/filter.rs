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

/// A name of an instruction, for others to lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    /// Of those that only the one before leads to; as a target, the one after.
    Next,
    Request,
    Accept,
    Drop,
}

use Label::{Accept, Drop, Next, Request};

/// An instruction with its name, and where a condition leads if it holds and if not.
type Instruction = (Label, u16, usize, Label, Label);

/// The program. Where it loads a byte that is not there, the kernel drops the datagram.
const PROGRAM: [Instruction; 22] = [
    (Next, LOAD_BYTE, UDP_HEADER_BYTES, Next, Next),
    (Next, IF_EQUAL, Kind::Request as usize, Request, Next),
    (Next, SHIFT_RIGHT, 4, Next, Next),
    (Next, IF_GREATER, LONGEST_NUMBER, Drop, Next),
    (Next, COPY_TO_X, 0, Next, Next),
    (Next, LOAD_LENGTH, 0, Next, Next),
    (Next, SUBTRACT_X, 0, Next, Next),
    // In what is too short this goes below zero, which no kind of packet has as its body.
    (Next, SUBTRACT, AROUND, Next, Next),
    (Next, COPY_TO_X, 0, Next, Next),
    (Next, LOAD_BYTE, UDP_HEADER_BYTES, Next, Next),
    (Next, AND, 0x0f, Next, Next),
    (Next, SHIFT_LEFT, 16, Next, Next),
    (Next, OR_X, 0, Next, Next),
    (Next, IF_EQUAL, body(Kind::KeepAlive, 8), Accept, Next),
    (Next, IF_EQUAL, body(Kind::Disconnect, 0), Accept, Next),
    (Next, IF_EQUAL, RESPONSE, Accept, Next),
    (Next, IF_NOT_LESS, body(Kind::Payload, 1), Next, Drop),
    (Next, IF_GREATER, LONGEST_PAYLOAD, Drop, Accept),
    (Request, LOAD_LENGTH, 0, Next, Next),
    (Next, IF_EQUAL, REQUEST, Accept, Drop),
    (Accept, RETURN, u32::MAX as usize, Next, Next),
    (Drop, RETURN, 0, Next, Next),
];

const REQUEST: usize = UDP_HEADER_BYTES + REQUEST_BYTES;
const RESPONSE: usize = body(Kind::Response, 8 + CHALLENGE_BYTES);
const LONGEST_PAYLOAD: usize = body(Kind::Payload, MAX_PAYLOAD_BYTES);

/// A kind of packet and the length of its body, in one number.
const fn body(kind: Kind, length: usize) -> usize {
    (kind as usize) << 16 | length
}

/// How many instructions are passed over on the way to one with this name, as the kernel counts. It
/// takes no program that leads beyond its end.
fn distance(rest: &[Instruction], to: Label) -> u8 {
    let ahead = match to {
        Next => Some(0),
        Request | Accept | Drop => rest.iter().position(|(label, ..)| *label == to),
    };
    ahead.map_or(u8::MAX, |ahead| u8::try_from(ahead).unwrap_or(u8::MAX))
}

/// Has the kernel drop what cannot be a packet for a server.
pub(super) fn attach(socket: &UdpSocket) -> std::io::Result<()> {
    let program = (1..).zip(PROGRAM).map(|(next, (_, code, value, yes, no))| {
        let rest = PROGRAM.get(next..).unwrap_or_default();
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        SockFilter::new(code, distance(rest, yes), distance(rest, no), value)
    });
    SockRef::from(socket).attach_filter(&program.collect::<Vec<_>>())
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::time::Duration;

    use netcode::MAX_PACKET_BYTES;
    use netcode::packet::Header;

    use super::*;

    /// Longest wait for a datagram.
    const LIMIT: Duration = Duration::from_secs(30);

    /// Whether the packet layer of a server looks into what has this prefix and length.
    fn may_be_packet(datagram: &[u8]) -> bool {
        if datagram.first() == Some(&0) {
            return datagram.len() == REQUEST_BYTES;
        }
        Header::read(datagram).is_ok_and(|header| {
            !matches!(header.kind, Kind::Request | Kind::Denied | Kind::Challenge)
        })
    }

    /// What passes the filter, and no test sends otherwise: a keep-alive.
    const MARKER: [u8; 26] = [0x14; 26];

    /// Sends a datagram and then one that passes, and reads until that comes: nobody has to know when
    /// the kernel is done. Returns the length of what came before it, if anything did.
    pub(in crate::arena::net) fn send_and_wait(
        client: &UdpSocket,
        server: &UdpSocket,
        to: impl Into<SocketAddr>,
        datagram: &[u8],
    ) -> Option<usize> {
        let to = to.into();
        client.send_to(datagram, to).unwrap();
        client.send_to(&MARKER, to).unwrap();
        server.set_read_timeout(Some(LIMIT)).unwrap();
        let mut received = [0; MAX_PACKET_BYTES + 2];
        let mut before = None;
        loop {
            let length = server.recv(&mut received).unwrap();
            if received[..length] == MARKER {
                return before;
            }
            before = Some(length);
        }
    }

    fn passes_exactly_what_may_be_a_packet(server: SocketAddr, client: SocketAddr) {
        let server = UdpSocket::bind(server).unwrap();
        attach(&server).unwrap();
        let to = SocketAddr::new(client.ip(), server.local_addr().unwrap().port());
        let client = UdpSocket::bind(client).unwrap();
        let mut datagram = [7; MAX_PACKET_BYTES + 2];
        let edges = [0, 1, 2, 17, 308 + 17, MAX_PAYLOAD_BYTES + 17];
        let lengths = edges.into_iter().flat_map(|edge| edge..=edge + 17);
        let lengths = lengths.chain(REQUEST_BYTES - 1..=REQUEST_BYTES + 1);
        let mut passed = 0;
        for length in lengths.filter(|length| *length <= MAX_PACKET_BYTES + 2) {
            for prefix in 0..=u8::MAX {
                datagram[0] = prefix;
                let datagram = &datagram[..length];
                let got = send_and_wait(&client, &server, to, datagram);
                let expected = may_be_packet(datagram).then_some(length);
                assert_eq!(got, expected, "prefix {prefix:#x}, length {length}");
                passed += u32::from(got.is_some());
            }
        }
        assert!(passed > 100);
    }

    #[test]
    fn every_target_is_ahead() {
        for (next, (.., yes, no)) in (1..).zip(PROGRAM) {
            for target in [yes, no] {
                assert!(distance(&PROGRAM[next..], target) < u8::MAX, "{next}");
            }
        }
    }

    #[test]
    fn the_kernel_drops_what_no_packet_can_be_and_nothing_else() {
        let ipv4 = (Ipv4Addr::LOCALHOST, 0).into();
        passes_exactly_what_may_be_a_packet(ipv4, ipv4);
        // Of both families, as the server's.
        passes_exactly_what_may_be_a_packet((Ipv6Addr::UNSPECIFIED, 0).into(), ipv4);
    }
}
