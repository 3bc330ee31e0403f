//! A player with a good token who does not play as others do.

use std::net::SocketAddr;
use std::time::Duration;

use netcode::client::State;
use netcode::{ConnectToken, MAX_PACKET_BYTES};
use simulation::channels::{Channels, Side};
use simulation::message::{self, ToServer};
use simulation::payload::Probe;

/// Where it is.
pub(crate) const ADDRESS: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 250, 0, 1)),
    9,
);

/// Packets of a flood in one step: some thousands a second.
const FLOOD: u64 = 20;

/// What it does instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// It sends sound packets, sealed as they should be, and far too many.
    Flood,
    /// It keeps its connection, and reads and acknowledges nothing that the game says.
    Deaf,
}

/// Such a player.
pub(crate) struct Rogue {
    habit: Habit,
    connection: netcode::Client,
    channels: Channels,
    sent: u64,
    heard_bytes: u64,
}

impl Rogue {
    pub(crate) fn new(token: &[u8], habit: Habit, now: Duration) -> Self {
        let token = ConnectToken::read_standard(token).unwrap();
        let mut channels = Channels::new(Side::Client, now);
        let hello = message::encode_to_server(&ToServer::hello("rogue".to_owned())).unwrap();
        channels.send(hello).unwrap();
        Self {
            habit,
            connection: netcode::Client::new(token, now).unwrap(),
            channels,
            sent: 0,
            heard_bytes: 0,
        }
    }

    /// Whether it has a connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.state() == State::Connected
    }

    /// Bytes that came until now.
    pub(crate) const fn heard_bytes(&self) -> u64 {
        self.heard_bytes
    }

    pub(crate) fn receive(&mut self, now: Duration, from: SocketAddr, mut packet: Vec<u8>) {
        self.heard_bytes += packet.len() as u64;
        self.connection.receive(now, from, &mut packet);
    }

    pub(crate) fn step(&mut self, now: Duration, mut transmit: impl FnMut(&[u8])) {
        let mut buffer = [0; MAX_PACKET_BYTES];
        while let Some(output) = self.connection.poll(now, &mut buffer) {
            if let netcode::client::Output::Transmit { packet, .. } = output {
                transmit(packet);
            }
        }
        if !self.is_connected() {
            return;
        }
        let connection = &mut self.connection;
        let mut seal = |payload: &[u8]| {
            let length = connection.seal(payload, &mut buffer).unwrap();
            transmit(&buffer[..length]);
        };
        // Nobody acknowledges to who does not listen, so the hello is said again and again.
        self.channels.flush(now, &mut seal).unwrap();
        if self.habit == Habit::Flood {
            for _ in 0..FLOOD {
                self.sent += 1;
                let probe = Probe {
                    answer: false,
                    stamp: self.sent,
                };
                seal(&probe.encode());
            }
        }
    }
}
