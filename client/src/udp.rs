//! The sockets of a client: one at a time, and another one for each way back.

use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Longer datagrams are cut, and then refused for their length.
const LONGEST: usize = 1500;

/// Datagrams that are taken in at once: more than a client has any reason to get.
const MOST_AT_ONCE: usize = 1_000;

/// The socket of a client; the number tells which one, as [`crate::session::Session`] counts them.
#[derive(Debug)]
pub struct Sockets {
    socket: UdpSocket,
    number: u32,
    is_ipv4: bool,
}

impl Sockets {
    /// A socket to reach `server`.
    pub fn open(server: SocketAddr) -> Result<Self, Error> {
        let is_ipv4 = server.is_ipv4();
        Ok(Self {
            socket: bind(is_ipv4)?,
            number: 0,
            is_ipv4,
        })
    }

    /// Sends a datagram, over another socket if the number is a new one. What the network does not
    /// take is lost, as anything else may be.
    pub fn send(&mut self, number: u32, to: SocketAddr, packet: &[u8]) -> Result<(), Error> {
        if number != self.number || to.is_ipv4() != self.is_ipv4 {
            self.is_ipv4 = to.is_ipv4();
            self.socket = bind(self.is_ipv4)?;
            self.number = number;
        }
        self.socket.send_to(packet, to).ok();
        Ok(())
    }

    /// Hands over what has arrived.
    pub fn receive(&self, mut take: impl FnMut(SocketAddr, &mut [u8])) {
        let mut buffer = [0; LONGEST];
        for _ in 0..MOST_AT_ONCE {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => take(from, &mut buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Such as a server that is not there yet: the handshake asks again.
                Err(_) => {}
            }
        }
    }
}

fn bind(is_ipv4: bool) -> Result<UdpSocket, Error> {
    let any: SocketAddr = if is_ipv4 {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
