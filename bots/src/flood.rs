//! A flood of datagrams that no player sends: junk, and requests with forged tokens.
//!
//! It is aimed at the host it runs on and at no other, at a bounded rate and for a bounded time.

use std::io::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use netcode::packet::REQUEST_BYTES;
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
    /// Random bytes, in datagrams per second.
    pub junk: u32,
    /// Forged requests per second.
    pub requests: u32,
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
    /// Sends until `stop` is set or the longest time is over. Returns how many datagrams it was.
    pub fn run(&self, unix_seconds: u64, stop: &AtomicBool) -> Result<u64, Refused> {
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
        let mut sent = [0, 0];
        while !stop.load(Ordering::Relaxed) {
            let passed = start.elapsed();
            if passed >= LONGEST {
                break;
            }
            for (kind, rate) in [self.junk, self.requests].into_iter().enumerate() {
                let due = passed.as_micros() * u128::from(rate) / 1_000_000;
                // What a burst cannot make up for is given up.
                let late = due
                    .saturating_sub(sent[kind])
                    .min(u128::from(rate / 100 + 1));
                sent[kind] = due;
                for _ in 0..late {
                    let mut datagram = [0; REQUEST_BYTES];
                    let length = self.write(kind == 1, unix_seconds, &mut random, &mut datagram);
                    let socket = &sockets[usize::from(random.below(16)) % SOCKETS];
                    // A full buffer swallows what is too much.
                    socket.send_to(&datagram[..length], self.server).ok();
                }
            }
            std::thread::park_timeout(INTERVAL);
        }
        Ok(sent.iter().sum::<u128>().try_into().unwrap_or(u64::MAX))
    }

    /// Writes one datagram; returns its length.
    fn write(
        &self,
        is_request: bool,
        unix_seconds: u64,
        random: &mut Random,
        datagram: &mut [u8; REQUEST_BYTES],
    ) -> usize {
        for word in datagram.chunks_mut(8) {
            let bits = random.bits().to_le_bytes();
            word.copy_from_slice(&bits[..word.len()]);
        }
        if !is_request {
            return usize::from(random.below(LONGEST_JUNK)).min(REQUEST_BYTES);
        }
        let expires = unix_seconds + LIFETIME;
        datagram[0] = 0;
        datagram[1..14].copy_from_slice(b"NETCODE 1.02\0");
        datagram[14..22].copy_from_slice(&self.protocol_id.to_le_bytes());
        datagram[22..30].copy_from_slice(&expires.to_le_bytes());
        REQUEST_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(flood.run(0, &stop).unwrap(), 0);
    }
}
