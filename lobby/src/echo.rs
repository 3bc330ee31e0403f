//! Sends datagrams back, so that clients measure how far away a region is.
//!
//! It is of no use for attacks: what goes back is never larger than what came, at a bounded rate
//! for each address, and never to a port that may be another echo.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::rates::{self, Buckets, Rate};

/// Bytes of a datagram that is sent back.
pub const SIZES: RangeInclusive<usize> = 32..=1200;

/// Addresses that are counted at once.
const ADDRESSES: usize = 100_000;

/// Ports below are services', and none of a client.
const FIRST_CLIENT_PORT: u16 = 1024;

/// A handful of probes for each region, and again after a while.
const RATE: Rate = Rate {
    burst: 50,
    period: std::time::Duration::from_millis(50),
};

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Sent,
    Size,
    Port,
    Throttled,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Size => "size",
            Self::Port => "port",
            Self::Throttled => "throttled",
        }
    }
}

fn judge(
    size: usize,
    from: SocketAddr,
    own_port: u16,
    throttle: impl FnOnce(IpAddr) -> bool,
) -> Outcome {
    if !SIZES.contains(&size) {
        return Outcome::Size;
    }
    // Two echoes would answer each other for ever; others are on the same port as this one.
    if from.port() < FIRST_CLIENT_PORT || from.port() == own_port {
        return Outcome::Port;
    }
    if throttle(from.ip()) {
        return Outcome::Throttled;
    }
    Outcome::Sent
}

/// Sends datagrams back until `stop`.
pub async fn serve(
    socket: UdpSocket,
    metrics: Metrics,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let own_port = socket.local_addr()?.port();
    let mut addresses = Buckets::at_most(ADDRESSES, RATE);
    // One byte more shows what is too large.
    let mut buffer = [0; *SIZES.end() + 1];
    while let Some(received) = stop
        .run_until_cancelled(socket.recv_from(&mut buffer))
        .await
    {
        // What the kernel says of an earlier datagram is no reason to end.
        let Ok((size, from)) = received else { continue };
        let outcome = judge(size, from, own_port, |address| {
            let now = runtime::clock::now();
            addresses.take(now, rates::counted(address)).is_err()
        });
        metrics.echoed(outcome.name());
        if outcome == Outcome::Sent {
            // A full buffer of the kernel loses a probe, as any network does.
            socket.try_send_to(&buffer[..size], from).ok();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_probes_of_clients_are_sent_back() {
        let client = |port: u16| SocketAddr::from(([203, 0, 113, 7], port));
        for (size, from, throttled, outcome) in [
            (31, client(5000), false, Outcome::Size),
            (32, client(5000), false, Outcome::Sent),
            (1200, client(5000), false, Outcome::Sent),
            (1201, client(5000), false, Outcome::Size),
            (32, client(53), false, Outcome::Port),
            (32, client(7000), false, Outcome::Port),
            (32, client(5000), true, Outcome::Throttled),
        ] {
            assert_eq!(
                judge(size, from, 7000, |_| throttled),
                outcome,
                "{size} {from}"
            );
        }
    }

    #[tokio::test]
    async fn datagrams_come_back_as_they_are() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(socket, Metrics::default(), stop.clone()));
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(address).await.unwrap();
        let mut buffer = [0; 2048];
        // What is too small or too large comes first, and no answer to it.
        client.send(&[7; 31]).await.unwrap();
        client.send(&[7; 1201]).await.unwrap();
        for number in 0..RATE.burst {
            let mut probe = [0; 64];
            probe[..4].copy_from_slice(&number.to_be_bytes());
            client.send(&probe).await.unwrap();
            let back = tokio::time::timeout(Duration::from_secs(20), client.recv(&mut buffer));
            let size = back.await.unwrap().unwrap();
            assert_eq!(&buffer[..size], probe);
        }
        stop.cancel();
        serving.await.unwrap().unwrap();
    }
}
