//! Both sides together, in memory, on a clock that the tests turn.

mod attacks;
mod handshake;
mod nonces;
mod reference;

use std::net::SocketAddr;
use std::time::Duration;

use crate::client::{self, Client};
use crate::counters::Refusal;
use crate::keys::Key;
use crate::packet::MAX_PACKET_BYTES;
use crate::random::{Error, RandomSource};
use crate::server::{Connection, Event, LossReason, Output, Server, ServerConfig};
use crate::time::Now;
use crate::token::{ConnectToken, Grant};

pub(crate) const PROTOCOL: u64 = 0x0102_0304_0506_0708;
pub(crate) const START: u64 = 1_700_000_000;
pub(crate) const LIFETIME: u64 = 30;

/// A repeatable source of bytes.
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl RandomSource for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        for byte in bytes {
            // The steps of SplitMix64.
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let [.., last] = (mixed ^ (mixed >> 27)).to_le_bytes();
            *byte = last;
        }
        Ok(())
    }
}

pub(crate) fn key(seed: u8) -> Key {
    Key::new([seed; 32]).unwrap()
}

pub(crate) fn config() -> ServerConfig {
    ServerConfig {
        addresses: vec![server_address()],
        ..ServerConfig::new(PROTOCOL, key(1))
    }
}

pub(crate) fn server_address() -> SocketAddr {
    "203.0.113.7:7012".parse().unwrap()
}

pub(crate) fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, host], 5000))
}

/// Packets and where they went.
pub(crate) type Sent = Vec<(SocketAddr, Vec<u8>)>;

/// Connections and why they ended.
pub(crate) type Ended = Vec<(Connection, LossReason)>;

/// A server, its clock, and who makes its tokens.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) now: Now,
    random: Seeded,
}

impl World {
    pub(crate) fn new(config: ServerConfig) -> Self {
        let now = Now {
            monotonic: Duration::from_secs(50),
            unix_seconds: START,
        };
        let mut random = Seeded::new(1);
        let server = Server::new(config, now, &mut random).unwrap();
        Self {
            server,
            now,
            random,
        }
    }

    pub(crate) fn restart(&mut self, config: ServerConfig) {
        self.server = Server::new(config, self.now, &mut self.random).unwrap();
    }

    pub(crate) fn token(&mut self, client_id: u64) -> ConnectToken {
        self.token_for(client_id, &key(1), &[server_address()], LIFETIME)
    }

    pub(crate) fn token_for(
        &mut self,
        client_id: u64,
        key: &Key,
        servers: &[SocketAddr],
        lifetime: u64,
    ) -> ConnectToken {
        let grant = Grant {
            protocol_id: PROTOCOL,
            client_id,
            created: self.now.unix_seconds,
            lifetime: Duration::from_secs(lifetime),
            timeout_seconds: 5,
            servers,
            user_data: &[9; 256],
        };
        ConnectToken::generate(&grant, key, &mut self.random).unwrap()
    }

    pub(crate) fn client(&mut self, client_id: u64) -> Client {
        let token = self.token(client_id);
        self.client_of(token)
    }

    pub(crate) fn client_of(&self, token: ConnectToken) -> Client {
        Client::new(token, self.now.monotonic).unwrap()
    }

    pub(crate) fn pass(&mut self, milliseconds: u64) {
        let monotonic = self.now.monotonic + Duration::from_millis(milliseconds);
        let whole = monotonic.as_secs() - self.now.monotonic.as_secs();
        self.now.unix_seconds += whole;
        self.now.monotonic = monotonic;
    }

    /// The next packet of a client; nothing if none is due.
    pub(crate) fn say(&self, client: &mut Client) -> Option<Vec<u8>> {
        let mut buffer = [0; MAX_PACKET_BYTES];
        match client.poll(self.now.monotonic, &mut buffer)? {
            client::Output::Transmit { packet, .. } => Some(packet.to_vec()),
            client::Output::Disconnected(_) => None,
        }
    }

    /// What the server makes of a packet: its answer, and who is connected by it.
    pub(crate) fn hear(
        &mut self,
        from: SocketAddr,
        packet: &[u8],
    ) -> Result<(Option<Vec<u8>>, Option<Connection>), Refusal> {
        let mut packet = packet.to_vec();
        match self.server.receive(self.now, from, &mut packet) {
            Event::Refused(refusal) => Err(refusal),
            Event::Reply(reply) => Ok((Some(reply.to_vec()), None)),
            Event::Connected {
                connection, reply, ..
            } => Ok((Some(reply.to_vec()), Some(connection))),
            Event::Alive(connection)
            | Event::Payload { connection, .. }
            | Event::Disconnected { connection, .. } => Ok((None, Some(connection))),
        }
    }

    /// Hands a packet of the server to a client; answers whether it took it.
    pub(crate) fn tell(&self, client: &mut Client, packet: &[u8]) -> bool {
        let mut packet = packet.to_vec();
        let event = client.receive(self.now.monotonic, server_address(), &mut packet);
        !matches!(event, client::Event::Refused(_))
    }

    /// Runs a handshake; answers the connection, or why there is none.
    pub(crate) fn connect(
        &mut self,
        client: &mut Client,
        from: SocketAddr,
    ) -> Result<Connection, Refusal> {
        loop {
            let Some(packet) = self.say(client) else {
                self.pass(100);
                continue;
            };
            let (reply, connection) = self.hear(from, &packet)?;
            if let Some(reply) = reply {
                self.tell(client, &reply);
            }
            if let Some(connection) = connection {
                return Ok(connection);
            }
            if let client::State::Disconnected(client::Reason::Denied) = client.state() {
                return Err(Refusal::Full);
            }
        }
    }

    /// One round of the server: its packets, and the connections that ended.
    pub(crate) fn poll(&mut self) -> (Sent, Ended) {
        let mut buffer = [0; 64];
        let (mut packets, mut ended) = (Vec::new(), Vec::new());
        while let Some(output) = self.server.poll(self.now, &mut buffer) {
            match output {
                Output::Transmit { to, packet } => packets.push((to, packet.to_vec())),
                Output::Disconnected {
                    connection, reason, ..
                } => ended.push((connection, reason)),
            }
        }
        (packets, ended)
    }

    /// A payload from the client to the server, as the server opens it.
    pub(crate) fn send_up(
        &mut self,
        client: &mut Client,
        from: SocketAddr,
        payload: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let mut packet = [0; MAX_PACKET_BYTES];
        let length = client.seal(payload, &mut packet).unwrap();
        match self.server.receive(self.now, from, &mut packet[..length]) {
            Event::Payload { payload, .. } => Ok(payload.to_vec()),
            Event::Refused(refusal) => Err(refusal),
            other => panic!("not a payload: {other:?}"),
        }
    }

    /// A payload from the server to the client, as the client opens it.
    pub(crate) fn send_down(
        &mut self,
        connection: Connection,
        client: &mut Client,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut packet = [0; MAX_PACKET_BYTES];
        let length = self.server.seal(connection, payload, &mut packet).unwrap();
        let now = self.now.monotonic;
        match client.receive(now, server_address(), &mut packet[..length]) {
            client::Event::Payload { payload, .. } => payload.to_vec(),
            other => panic!("not a payload: {other:?}"),
        }
    }
}
