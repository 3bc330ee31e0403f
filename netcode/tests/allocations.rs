//! Packets of connected clients, and refused ones, allocate nothing.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::net::SocketAddr;
use std::time::Duration;

use netcode::client::{self, Client};
use netcode::server::{Event, Output};
use netcode::{
    ConnectToken, Connection, Grant, Key, MAX_PACKET_BYTES, Now, Server, ServerConfig, SystemRandom,
};

const CLIENTS: u8 = 20;

struct Peer {
    client: Client,
    connection: Connection,
    address: SocketAddr,
}

fn server_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7000))
}

fn now(ticks: u32) -> Now {
    Now {
        monotonic: Duration::from_millis(16) * ticks,
        unix_seconds: 1000 + u64::from(ticks / 60),
    }
}

fn connect(server: &mut Server, key: &Key, host: u8) -> Peer {
    let grant = Grant {
        protocol_id: 1,
        client_id: u64::from(host),
        created: 1000,
        lifetime: Duration::from_secs(30),
        timeout_seconds: 5,
        servers: &[server_address()],
        user_data: &[0; 256],
    };
    let token = ConnectToken::generate(&grant, key, &mut SystemRandom).unwrap();
    let mut client = Client::new(token, Duration::ZERO).unwrap();
    let address = SocketAddr::from(([127, 0, 0, host], 5000));
    loop {
        let mut packet = [0; MAX_PACKET_BYTES];
        let Some(client::Output::Transmit { packet: sent, .. }) =
            client.poll(Duration::ZERO, &mut packet)
        else {
            panic!("the client has nothing to say");
        };
        let length = sent.len();
        let (reply, connected) = match server.receive(now(0), address, &mut packet[..length]) {
            Event::Reply(reply) => (reply.len(), None),
            Event::Connected {
                connection, reply, ..
            } => (reply.len(), Some(connection)),
            other => panic!("{other:?}"),
        };
        client.receive(Duration::ZERO, server_address(), &mut packet[..reply]);
        if let Some(connection) = connected {
            return Peer {
                client,
                connection,
                address,
            };
        }
    }
}

/// One tick: a payload each way for everybody, junk, and what the server has to say by itself.
fn tick(server: &mut Server, peers: &mut [Peer], ticks: u32) {
    let now = now(ticks);
    let mut packet = [0; MAX_PACKET_BYTES];
    for peer in &mut *peers {
        let length = peer.client.seal(&[1; 100], &mut packet).unwrap();
        let event = server.receive(now, peer.address, &mut packet[..length]);
        assert!(matches!(event, Event::Payload { .. }));
        // A copy of it, changed, and from elsewhere.
        let event = server.receive(now, server_address(), &mut packet[..length]);
        assert!(matches!(event, Event::Refused(_)));
        packet[1] = 255;
        let event = server.receive(now, peer.address, &mut packet[..length]);
        assert!(matches!(event, Event::Refused(_)));
        let length = server
            .seal(peer.connection, &[2; 256], &mut packet)
            .unwrap();
        let event = peer
            .client
            .receive(now.monotonic, server_address(), &mut packet[..length]);
        assert!(matches!(event, client::Event::Payload { .. }));
    }
    while let Some(output) = server.poll(now, &mut packet) {
        assert!(matches!(output, Output::Transmit { .. }));
    }
}

#[test]
fn steady_play_allocates_nothing() {
    let key = Key::new([1; 32]).unwrap();
    let config = ServerConfig::new(1, key.clone());
    let mut server = Server::new(config, now(0), &mut SystemRandom).unwrap();
    let mut peers: Vec<Peer> = (1..=CLIENTS)
        .map(|host| connect(&mut server, &key, host))
        .collect();
    tick(&mut server, &mut peers, 1);
    let measured = allocation_counter::measure(|| {
        for ticks in 2..300 {
            tick(&mut server, &mut peers, ticks);
        }
    });
    assert_eq!(measured.count_total, 0, "{measured:?}");
    assert_eq!(server.counters().opened, 299 * u64::from(CLIENTS));
    // The counter does count.
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(vec![1_u8])));
    assert_eq!(counted.count_total, 1);
}
