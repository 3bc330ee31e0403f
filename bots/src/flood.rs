//! A flood of datagrams that no player sends: junk, and requests with forged tokens.
//!
//! Half of the junk is random bytes, nearly all of which a server's kernel may drop before anybody
//! looks at them. The other half has the first byte and the length of a packet, as whoever knows the
//! protocol would send it, and so it reaches the server.
//!
//! It is aimed at the host it runs on and at no other, at a bounded rate and for a bounded time.

use std::io::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use netcode::TAG_BYTES;
use netcode::packet::{CHALLENGE_BYTES, Kind, MAX_PACKET_BYTES, REQUEST_BYTES};
use serde::Serialize;
use simulation::seeded::Random;

/// Most datagrams per second.
pub const MOST_PER_SECOND: u32 = 400_000;

/// Longest flood.
pub const LONGEST: Duration = Duration::from_mins(2);

/// Time between two bursts.
const INTERVAL: Duration = Duration::from_millis(1);

/// Sockets that it comes from.
const SOCKETS: usize = 16;

/// Longest junk.
const LONGEST_JUNK: u16 = 1_200;

/// Seconds that a forged token is still good for, by its own words.
const LIFETIME: u64 = 30;

/// What a flood is made of.
#[derive(Debug, Clone, Copy)]
pub struct Flood {
    /// Where it goes: a loopback address.
    pub server: SocketAddr,
    /// What requests claim to be for.
    pub protocol_id: u64,
    /// Junk, in datagrams per second: half random bytes, half shaped like packets.
    pub junk: u32,
    /// Forged requests per second.
    pub requests: u32,
}

/// What a flood sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Datagram {
    /// Random bytes.
    Random,
    /// Random bytes behind the first byte and in the length of a packet of a client.
    Shaped,
    /// A request with a forged token.
    Request,
}

/// How many datagrams of each kind were sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Flooded {
    /// Random bytes.
    pub random: u64,
    /// Those in the shape of packets.
    pub shaped: u64,
    /// Requests with forged tokens.
    pub requests: u64,
}

impl Flooded {
    const fn add(&mut self, datagram: Datagram) {
        match datagram {
            Datagram::Random => self.random += 1,
            Datagram::Shaped => self.shaped += 1,
            Datagram::Request => self.requests += 1,
        }
    }
}

/// Why a flood is not let loose.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Its target is another host.
    #[error("{0} is not on this host: a flood is for loopback alone")]
    NotLoopback(SocketAddr),
    /// There is too much of it.
    #[error("a flood has at most {MOST_PER_SECOND} datagrams per second")]
    TooMuch,
    /// No sockets for it.
    #[error("the flood has no sockets")]
    Socket(#[from] Error),
}

impl Flood {
    /// What it is made of, in datagrams per second.
    const fn rates(&self) -> [(Datagram, u32); 3] {
        [
            (Datagram::Random, self.junk.div_ceil(2)),
            (Datagram::Shaped, self.junk / 2),
            (Datagram::Request, self.requests),
        ]
    }

    /// Sends until `stop` is set or the longest time is over. Returns what the network took.
    pub fn run(&self, unix_seconds: u64, stop: &AtomicBool) -> Result<Flooded, Refused> {
        if !self.server.ip().is_loopback() {
            return Err(Refused::NotLoopback(self.server));
        }
        if self.junk.saturating_add(self.requests) > MOST_PER_SECOND {
            return Err(Refused::TooMuch);
        }
        let any: SocketAddr = if self.server.is_ipv4() {
            (Ipv4Addr::LOCALHOST, 0).into()
        } else {
            (Ipv6Addr::LOCALHOST, 0).into()
        };
        let sockets: Vec<UdpSocket> = (0..SOCKETS)
            .map(|_| {
                let socket = UdpSocket::bind(any)?;
                socket.set_nonblocking(true)?;
                Ok::<_, Error>(socket)
            })
            .collect::<Result<_, _>>()?;
        let mut random = Random::new(unix_seconds);
        let start = Instant::now();
        let mut begun = [0; 3];
        let mut flooded = Flooded::default();
        while !stop.load(Ordering::Relaxed) {
            let passed = start.elapsed();
            if passed >= LONGEST {
                break;
            }
            for ((datagram, rate), begun) in self.rates().into_iter().zip(&mut begun) {
                let due = passed.as_micros() * u128::from(rate) / 1_000_000;
                // What a burst cannot make up for is given up.
                let late = due.saturating_sub(*begun).min(u128::from(rate / 100 + 1));
                *begun = due;
                for _ in 0..late {
                    let mut bytes = [0; MAX_PACKET_BYTES];
                    let length = self.write(datagram, unix_seconds, &mut random, &mut bytes);
                    let socket = &sockets[usize::from(random.below(16)) % SOCKETS];
                    // A full buffer swallows what is too much.
                    if socket.send_to(&bytes[..length], self.server).is_ok() {
                        flooded.add(datagram);
                    }
                }
            }
            std::thread::park_timeout(INTERVAL);
        }
        Ok(flooded)
    }

    /// Writes one datagram; returns its length.
    fn write(
        &self,
        datagram: Datagram,
        unix_seconds: u64,
        random: &mut Random,
        bytes: &mut [u8; MAX_PACKET_BYTES],
    ) -> usize {
        for word in bytes.chunks_mut(8) {
            let bits = random.bits().to_le_bytes();
            word.copy_from_slice(&bits[..word.len()]);
        }
        match datagram {
            Datagram::Random => usize::from(random.below(LONGEST_JUNK)),
            Datagram::Shaped => {
                let (kind, body) = match random.below(4) {
                    0 => (Kind::Response, 8 + CHALLENGE_BYTES),
                    1 => (Kind::KeepAlive, 8),
                    2 => (Kind::Payload, 1 + usize::from(random.below(LONGEST_JUNK))),
                    _ => (Kind::Disconnect, 0),
                };
                let number = 1 + bytes[0] % 8;
                bytes[0] = kind as u8 | number << 4;
                1 + usize::from(number) + body + TAG_BYTES
            }
            Datagram::Request => {
                let expires = unix_seconds + LIFETIME;
                bytes[0] = 0;
                bytes[1..14].copy_from_slice(b"NETCODE 1.02\0");
                bytes[14..22].copy_from_slice(&self.protocol_id.to_le_bytes());
                bytes[22..30].copy_from_slice(&expires.to_le_bytes());
                REQUEST_BYTES
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use netcode::packet::Header;

    use super::*;

    #[test]
    fn half_of_the_junk_is_what_a_server_has_to_look_into() {
        let flood = Flood {
            server: "127.0.0.1:9".parse().unwrap(),
            protocol_id: 1,
            junk: 201,
            requests: 20,
        };
        let [(random, half), (shaped, rest), (request, requests)] = flood.rates();
        assert_eq!((half, rest, requests), (101, 100, 20));
        let mut seeded = Random::new(1);
        let mut bytes = [0; MAX_PACKET_BYTES];
        let mut write = |datagram| {
            let length = flood.write(datagram, 1_800_000_000, &mut seeded, &mut bytes);
            Header::read(&bytes[..length]).map(|header| header.kind)
        };
        let kinds: Vec<_> = (0..1_000).map(|_| write(shaped).unwrap()).collect();
        for kind in [
            Kind::Response,
            Kind::KeepAlive,
            Kind::Payload,
            Kind::Disconnect,
        ] {
            let count = kinds.iter().filter(|found| **found == kind).count();
            assert!((200..300).contains(&count), "{kind:?}: {count}");
        }
        // Of random bytes few happen to be like that, and a request is another matter.
        let like_packets = (0..1_000).filter(|_| write(random).is_ok()).count();
        assert!(like_packets < 100, "{like_packets}");
        assert!(write(request).is_err());
    }

    #[test]
    fn other_hosts_are_never_flooded() {
        let stop = AtomicBool::new(true);
        let mut flood = Flood {
            server: "192.0.2.1:7777".parse().unwrap(),
            protocol_id: 1,
            junk: 1,
            requests: 1,
        };
        assert!(matches!(flood.run(0, &stop), Err(Refused::NotLoopback(_))));
        flood.server = "127.0.0.1:9".parse().unwrap();
        flood.junk = MOST_PER_SECOND;
        assert!(matches!(flood.run(0, &stop), Err(Refused::TooMuch)));
        flood.junk = 0;
        assert_eq!(flood.run(0, &stop).unwrap(), Flooded::default());
    }
}
