//! The socket's side: datagrams in and out, opened and sealed.
//!
//! Nothing here blocks, and no packet of a client allocates. What is refused is counted, never
//! logged: a flood must not fill a disk. What cannot be a packet is dropped by the kernel, which
//! counts it: see [`drops`].

pub mod drops;
mod filter;

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use netcode::server::{self, Event, Output};
use netcode::{Bucket, Connection, MAX_PACKET_BYTES, Now, RandomSource, Rate, UserData};

use crate::arena::clock;
use crate::arena::link::{End, Inbound, Link, Outbox, Peer, Statistics};
use crate::arena::sessions::Presented;

/// Bytes of the kernel's buffer for what has arrived: a flood of small packets fills the usual one
/// in a millisecond. The kernel may grant less.
const RECEIVE_BUFFER: usize = 8 << 20;

/// Bytes of the kernel's buffer for what is to be sent: snapshots of one tick for a thousand.
const SEND_BUFFER: usize = 4 << 20;

/// Datagrams taken in at once. More than a millisecond can bring, and less than a tick of work.
const MOST_DATAGRAMS: usize = 4_096;

/// Rounds of goodbyes at the end; any one that arrives is enough.
const GOODBYES: u32 = 10;

/// Time between two of them.
const GOODBYE_INTERVAL: Duration = Duration::from_millis(10);

/// What one connection may hand over to the game: three times what a client of ours sends, and all
/// that it sends in five seconds at once. Who sends more loses its own packets, before the queue to
/// the game is full and loses those of others.
const ALLOWANCE: Rate = Rate {
    per_second: 240,
    burst: 400,
};

/// Longer datagrams are cut, and then refused for their length.
const LONGEST: usize = MAX_PACKET_BYTES + 1;

/// What went over the socket, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams that came here; what the kernel dropped is not among them.
    pub packets_in: u64,
    /// Bytes of those, without the headers of UDP and IP.
    pub bytes_in: u64,
    /// Datagrams that were sent.
    pub packets_out: u64,
    /// Bytes of those.
    pub bytes_out: u64,
    /// Datagrams that the kernel did not take.
    pub unsent: u64,
    /// Datagrams of clients that sent more than they may.
    pub excess: u64,
    /// Connections whose token says nothing that we understand.
    pub bad_user_data: u64,
}

/// A socket of IPv4, or of both families.
#[derive(Debug)]
struct Socket {
    udp: UdpSocket,
    is_dual: bool,
}

/// A connection, by both names that it has.
#[derive(Clone, Copy, Debug)]
struct Known {
    connection: Connection,
    peer: Peer,
    /// What it has used up of [`ALLOWANCE`].
    used: Bucket,
}

/// The socket and every connection over it.
#[derive(Debug)]
pub struct Net {
    socket: Socket,
    server: server::Server,
    /// By the slot of the packet layer.
    peers: Vec<Option<Known>>,
    serial: u32,
    incoming: Box<[u8; LONGEST]>,
    outgoing: Box<[u8; MAX_PACKET_BYTES]>,
    now: Now,
    traffic: Traffic,
}

impl Net {
    /// Serves connections of `config` over a socket.
    pub fn new(
        socket: UdpSocket,
        config: server::ServerConfig,
        now: Now,
        random: &mut impl RandomSource,
    ) -> Result<Self, OpenError> {
        socket.set_nonblocking(true)?;
        grow_buffers(&socket);
        if let Err(error) = filter::attach(&socket) {
            tracing::warn!(%error, "The kernel does not drop junk, so every datagram is looked at");
        }
        let room = usize::try_from(config.max_clients).unwrap_or(usize::MAX);
        Ok(Self {
            socket: Socket {
                is_dual: socket.local_addr()?.is_ipv6(),
                udp: socket,
            },
            server: server::Server::new(config, now, random)?,
            peers: vec![None; room],
            serial: 0,
            incoming: Box::new([0; LONGEST]),
            outgoing: Box::new([0; MAX_PACKET_BYTES]),
            now,
            traffic: Traffic::default(),
        })
    }

    /// Where the socket is bound.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.udp.local_addr()
    }

    /// Takes in what has arrived, but no more than a bounded number of datagrams: a flood must not
    /// keep a tick from happening. Returns how many there were.
    pub fn take_in(&mut self, now: Now, game: &mut impl FnMut(Inbound<'_>)) -> usize {
        self.now = now;
        for count in 0..MOST_DATAGRAMS {
            let (length, from) = match self.socket.udp.recv_from(self.incoming.as_mut_slice()) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
                // Such as a port that a client has closed: it concerns no other.
                Err(_) => continue,
            };
            // On a socket of both families IPv4 comes in the clothes of IPv6, and would share one
            // network prefix.
            let from = SocketAddr::new(from.ip().to_canonical(), from.port());
            self.traffic.packets_in += 1;
            self.traffic.bytes_in += bytes(length);
            self.take(from, length, game);
        }
        MOST_DATAGRAMS
    }

    fn take(&mut self, from: SocketAddr, length: usize, game: &mut impl FnMut(Inbound<'_>)) {
        let Some(packet) = self.incoming.get_mut(..length) else {
            return;
        };
        match self.server.receive(self.now, from, packet) {
            Event::Refused(_) => {}
            Event::Reply(reply) => transmit(&self.socket, &mut self.traffic, from, reply),
            Event::Connected {
                connection,
                client_id,
                reply,
            } => {
                transmit(&self.socket, &mut self.traffic, from, reply);
                self.welcome(connection, client_id, game);
            }
            Event::Alive(connection) => {
                if let Some(peer) = hear(&mut self.peers, connection, self.now, &mut self.traffic) {
                    game(Inbound::Alive(peer));
                }
            }
            Event::Payload {
                connection,
                payload,
                ..
            } => {
                if let Some(peer) = hear(&mut self.peers, connection, self.now, &mut self.traffic) {
                    game(Inbound::Payload(peer, payload));
                }
            }
            Event::Disconnected { connection, .. } => {
                if let Some(peer) = self.forget(connection) {
                    game(Inbound::Disconnected(peer, End::Goodbye));
                }
            }
        }
    }

    fn welcome(
        &mut self,
        connection: Connection,
        client_id: u64,
        game: &mut impl FnMut(Inbound<'_>),
    ) {
        let user_data = self.server.user_data(connection);
        let Some(Ok(user_data)) = user_data.map(UserData::decode) else {
            self.traffic.bad_user_data += 1;
            self.server.disconnect(connection);
            return;
        };
        let (Some(entry), Ok(place)) = (
            self.peers.get_mut(index(connection)),
            u16::try_from(connection.slot()),
        ) else {
            self.server.disconnect(connection);
            return;
        };
        self.serial = self.serial.wrapping_add(1);
        let peer = Peer {
            place,
            serial: self.serial,
        };
        *entry = Some(Known {
            connection,
            peer,
            used: Bucket::default(),
        });
        let presented = Presented {
            client_id,
            user_data,
        };
        game(Inbound::Connected(peer, Box::new(presented)));
    }

    /// Does what is due without being asked: keep-alives, time-outs, repeated goodbyes.
    pub fn poll(&mut self, now: Now, game: &mut impl FnMut(Inbound<'_>)) {
        self.now = now;
        loop {
            let connection = match self.server.poll(now, self.outgoing.as_mut_slice()) {
                None => return,
                Some(Output::Transmit { to, packet }) => {
                    transmit(&self.socket, &mut self.traffic, to, packet);
                    continue;
                }
                Some(Output::Disconnected { connection, .. }) => connection,
            };
            if let Some(peer) = self.forget(connection) {
                game(Inbound::Disconnected(peer, End::Silence));
            }
        }
    }

    fn connection(&self, peer: Peer) -> Option<Connection> {
        let known = self.peers.get(peer.place())?.as_ref()?;
        (known.peer == peer).then_some(known.connection)
    }

    fn forget(&mut self, connection: Connection) -> Option<Peer> {
        let entry = self.peers.get_mut(index(connection))?;
        let known = entry.take_if(|known| known.connection == connection)?;
        Some(known.peer)
    }
}

impl Outbox for Net {
    fn send(&mut self, peer: Peer, payload: &[u8]) {
        let Some(connection) = self.connection(peer) else {
            return;
        };
        let Some(to) = self.server.address(connection) else {
            return;
        };
        if let Ok(length) = self
            .server
            .seal(connection, payload, self.outgoing.as_mut_slice())
            && let Some(packet) = self.outgoing.get(..length)
        {
            transmit(&self.socket, &mut self.traffic, to, packet);
        }
    }

    fn disconnect(&mut self, peer: Peer) {
        if let Some(connection) = self.connection(peer) {
            self.server.disconnect(connection);
            self.forget(connection);
        }
    }
}

impl Link for Net {
    fn receive(&mut self, now: Now, is_tick: bool, mut game: &mut dyn FnMut(Inbound<'_>)) {
        self.take_in(now, &mut game);
        if is_tick {
            self.poll(now, &mut game);
        }
    }

    fn statistics(&self) -> Statistics {
        Statistics {
            connected: self.server.connected(),
            traffic: self.traffic,
            counters: *self.server.counters(),
        }
    }

    fn say_goodbye(&mut self) {
        self.server.set_accepting(false);
        self.server.disconnect_all();
        self.peers.fill(None);
        let mut next = clock::monotonic();
        for _ in 0..GOODBYES {
            self.poll(clock::now(), &mut |_: Inbound<'_>| {});
            next += GOODBYE_INTERVAL;
            clock::sleep_until(next);
        }
    }
}

fn index(connection: Connection) -> usize {
    usize::try_from(connection.slot()).unwrap_or(usize::MAX)
}

/// Whose packet this is, unless its client has sent too many.
fn hear(
    peers: &mut [Option<Known>],
    connection: Connection,
    now: Now,
    traffic: &mut Traffic,
) -> Option<Peer> {
    let known = peers.get_mut(index(connection))?.as_mut()?;
    if known.connection != connection {
        return None;
    }
    if known.used.take(ALLOWANCE, now.monotonic) {
        Some(known.peer)
    } else {
        traffic.excess += 1;
        None
    }
}

fn transmit(socket: &Socket, traffic: &mut Traffic, to: SocketAddr, packet: &[u8]) {
    let to = match to.ip() {
        IpAddr::V4(ip) if socket.is_dual => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
        IpAddr::V4(_) | IpAddr::V6(_) => to,
    };
    if socket.udp.send_to(packet, to).is_ok() {
        traffic.packets_out += 1;
        traffic.bytes_out += bytes(packet.len());
    } else {
        // A full buffer, or a client that is gone: what was lost is sent again by who needs it.
        traffic.unsent += 1;
    }
}

fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or_default()
}

/// Asks the kernel for larger buffers; the smaller ones do too, with fewer players.
fn grow_buffers(socket: &UdpSocket) {
    let received = rustix::net::sockopt::set_socket_recv_buffer_size(socket, RECEIVE_BUFFER);
    let sent = rustix::net::sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER);
    if let Err(error) = received.and(sent) {
        tracing::warn!(%error, "Socket buffers were not enlarged");
    }
}

/// Why no connections can be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The socket could not be prepared.
    #[error("the socket could not be prepared")]
    Socket(#[from] std::io::Error),
    /// The packet layer refused its configuration.
    #[error("the packet layer could not start")]
    Server(#[from] server::Error),
}
