//! What packets and tokens cost: `cargo bench -p netcode`. Nanoseconds, the best of several runs,
//! since everything else that runs can only add to them.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failed step is a failed measurement, and the figures are for people"
)]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use netcode::client::{self, Client, State};
use netcode::server::Event;
use netcode::token::PRIVATE_BYTES;
use netcode::{
    ConnectToken, Connection, Grant, Key, MAX_PACKET_BYTES, Now, Rate, Server, ServerConfig,
    SystemRandom,
};

/// Short runs, and many: one of them is not interrupted.
const RUNS: u32 = 500;
const STEPS: u32 = 50;
const NOW: Now = Now {
    monotonic: Duration::from_secs(1),
    unix_seconds: 1000,
};

fn server_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7000))
}

fn address(client_id: u32) -> SocketAddr {
    SocketAddr::from((client_id.to_be_bytes(), 5000))
}

fn key() -> Key {
    Key::new([1; 32]).unwrap()
}

fn mint(client_id: u32) -> ConnectToken {
    let grant = Grant {
        protocol_id: 1,
        client_id: u64::from(client_id),
        created: 1000,
        lifetime: Duration::from_secs(30),
        timeout_seconds: 5,
        servers: &[server_address()],
        user_data: &[0; 256],
    };
    ConnectToken::generate(&grant, &key(), &mut SystemRandom).unwrap()
}

fn server(other_key: Option<Key>) -> Server {
    let rate = Rate {
        per_second: 1_000_000_000,
        burst: u32::MAX,
    };
    let config = ServerConfig {
        other_key,
        max_clients: 2_000,
        max_spent_tokens: 1 << 20,
        prefix_rate: rate,
        total_rate: rate,
        ..ServerConfig::new(1, key())
    };
    Server::new(config, NOW, &mut SystemRandom).unwrap()
}

fn connect(server: &mut Server, client: &mut Client, from: SocketAddr) -> Connection {
    let mut packet = [0; MAX_PACKET_BYTES];
    loop {
        let length = poll(client, &mut packet);
        let (length, connected) = match server.receive(NOW, from, &mut packet[..length]) {
            Event::Reply(reply) => (reply.len(), None),
            Event::Connected {
                connection, reply, ..
            } => (reply.len(), Some(connection)),
            other => panic!("{other:?}"),
        };
        client.receive(NOW.monotonic, server_address(), &mut packet[..length]);
        if let Some(connection) = connected {
            assert_eq!(client.state(), State::Connected);
            return connection;
        }
    }
}

fn poll(client: &mut Client, packet: &mut [u8]) -> usize {
    match client.poll(NOW.monotonic, packet) {
        Some(client::Output::Transmit { packet, .. }) => packet.len(),
        other => panic!("{other:?}"),
    }
}

/// Runs `step` several times in a row, several times, and prints the best time of one.
fn measure(name: &str, mut step: impl FnMut()) {
    let best = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            (0..STEPS).for_each(|_| step());
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    let nanoseconds = best.as_nanos() / u128::from(STEPS);
    println!("{nanoseconds:>8} ns  {name}");
}

fn refuse(server: &mut Server, name: &str, from: SocketAddr, packet: &[u8]) {
    let mut buffer = [0; MAX_PACKET_BYTES];
    measure(&format!("refuse: {name}"), || {
        let buffer = &mut buffer[..packet.len()];
        buffer.copy_from_slice(packet);
        assert!(matches!(
            server.receive(NOW, from, buffer),
            Event::Refused(_)
        ));
    });
}

fn main() {
    let mut server = server(None);
    let mut client = Client::new(mint(1), NOW.monotonic).unwrap();
    let connection = connect(&mut server, &mut client, address(1));
    let mut packet = [0; MAX_PACKET_BYTES];

    for size in [64, 256, 1200] {
        let payload = vec![7; size];
        measure(&format!("seal + open {size} B, server to client"), || {
            let length = server.seal(connection, &payload, &mut packet).unwrap();
            let event = client.receive(NOW.monotonic, server_address(), &mut packet[..length]);
            assert!(matches!(event, client::Event::Payload { .. }));
        });
    }
    measure("seal + open 256 B, client to server", || {
        let length = client.seal(&[7; 256], &mut packet).unwrap();
        let event = server.receive(NOW, address(1), &mut packet[..length]);
        assert!(matches!(event, Event::Payload { .. }));
    });
    measure("mint a token", || {
        black_box(mint(black_box(3)));
    });
    measure("mint and write both forms", || {
        let token = mint(black_box(3));
        black_box((
            token.write_standard().unwrap(),
            token.write_renet(3).unwrap(),
        ));
    });
    let mut next = 100;
    measure("handshake, both sides, and goodbye", || {
        next += 1;
        let mut client = Client::new(mint(next), NOW.monotonic).unwrap();
        let connection = connect(&mut server, &mut client, address(next));
        server.disconnect(connection);
    });

    let mut stranger = Client::new(mint(2), NOW.monotonic).unwrap();
    let length = poll(&mut stranger, &mut packet);
    let request = packet[..length].to_vec();
    refuse(
        &mut server,
        "request cut short",
        address(9),
        &request[..500],
    );
    let mut other = request.clone();
    other[14] ^= 1;
    refuse(&mut server, "request for another game", address(9), &other);
    let mut forged = request.clone();
    forged[request.len() - PRIVATE_BYTES] ^= 1;
    refuse(
        &mut server,
        "request with a forged token",
        address(9),
        &forged,
    );
    let mut with_two = self::server(Some(Key::new([2; 32]).unwrap()));
    refuse(
        &mut with_two,
        "the same, with two live keys",
        address(9),
        &forged,
    );
    let mut spent = Client::new(mint(4), NOW.monotonic).unwrap();
    let length = poll(&mut spent, &mut packet);
    let used = packet[..length].to_vec();
    let mut again = Client::new(mint(5), NOW.monotonic).unwrap();
    connect(&mut server, &mut again, address(5));
    server.receive(NOW, address(4), &mut packet[..length]);
    refuse(
        &mut server,
        "request whose token is held elsewhere",
        address(6),
        &used,
    );

    let length = client.seal(&[7; 256], &mut packet).unwrap();
    let sealed = packet[..length].to_vec();
    refuse(
        &mut server,
        "256 B from an unknown address",
        address(9),
        &sealed,
    );
    let mut changed = sealed.clone();
    changed[length - 1] ^= 1;
    refuse(
        &mut server,
        "forged 256 B for a connection",
        address(1),
        &changed,
    );
    assert!(matches!(
        server.receive(NOW, address(1), &mut packet[..length]),
        Event::Payload { .. }
    ));
    refuse(&mut server, "replayed 256 B", address(1), &sealed);

    for client_id in 10_000..11_000 {
        let mut client = Client::new(mint(client_id), NOW.monotonic).unwrap();
        connect(&mut server, &mut client, address(client_id));
    }
    // Ten rounds of goodbyes, and one that ends in silence.
    while server.poll(NOW, &mut packet).is_some() || server.poll(NOW, &mut packet).is_some() {}
    measure("a silent round of poll, 1000 clients", || {
        assert_eq!(server.poll(NOW, &mut packet), None);
    });
}
