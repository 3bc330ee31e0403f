//! Our client and server against other implementations of netcode 1.02, over real sockets on
//! loopback, in all four pairings.
//!
//! `official` is the port of the reference C library by the same author; that our bytes are the C
//! library's own is checked in `src/tests/reference.rs`. `renetcode` is what renet clients speak.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use netcode::client::{self, Client, State};
use netcode::server::{Event, Output};
use netcode::{
    ConnectToken, Connection, Grant, Key, MAX_PACKET_BYTES, Now, Server, ServerConfig, SystemRandom,
};
use renetcode::{
    ClientAuthentication, NetcodeClient, NetcodeServer, ServerAuthentication, ServerResult,
};

const PROTOCOL: u64 = 77;
const CLIENT: u64 = 0x1234;
const KEY: [u8; 32] = [42; 32];
/// Far more than a handshake takes; nothing waits for it unless something is broken.
const PATIENCE: Duration = Duration::from_secs(20);
/// Payloads to see in each direction.
const WANTED: u32 = 5;

fn unix_seconds() -> u64 {
    let now = SystemTime::now();
    now.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// A socket that waits a few milliseconds at most.
fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(5)))
        .unwrap();
    socket
}

/// The next datagram; nothing if none comes in time.
fn receive<'buffer>(
    socket: &UdpSocket,
    buffer: &'buffer mut [u8],
) -> Option<(SocketAddr, &'buffer mut [u8])> {
    match socket.recv_from(buffer) {
        Ok((length, from)) => Some((from, &mut buffer[..length])),
        // A peer whose socket is gone shows as a refused connection.
        Err(error) => {
            let is_quiet = matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused
            );
            assert!(is_quiet, "{error}");
            None
        }
    }
}

fn token(server: SocketAddr) -> ConnectToken {
    let grant = Grant {
        protocol_id: PROTOCOL,
        client_id: CLIENT,
        created: unix_seconds(),
        lifetime: Duration::from_mins(1),
        timeout_seconds: 5,
        servers: &[server],
        user_data: &[6; 256],
    };
    ConnectToken::generate(&grant, &Key::new(KEY).unwrap(), &mut SystemRandom).unwrap()
}

/// Repeats a step of both sides until it is through.
fn until(mut step: impl FnMut() -> bool) {
    let start = Instant::now();
    while !step() {
        assert!(start.elapsed() < PATIENCE, "the two sides do not get on");
    }
}

/// Our server on a socket; it answers every payload with the same.
struct OurServer {
    socket: UdpSocket,
    start: Instant,
    server: Server,
    connection: Option<Connection>,
    echoed: u32,
    has_left: bool,
}

impl OurServer {
    fn new() -> Self {
        let socket = socket();
        let start = Instant::now();
        let config = ServerConfig {
            addresses: vec![socket.local_addr().unwrap()],
            ..ServerConfig::new(PROTOCOL, Key::new(KEY).unwrap())
        };
        let now = Now {
            monotonic: Duration::ZERO,
            unix_seconds: unix_seconds(),
        };
        Self {
            server: Server::new(config, now, &mut SystemRandom).unwrap(),
            socket,
            start,
            connection: None,
            echoed: 0,
            has_left: false,
        }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    fn step(&mut self) {
        let now = Now {
            monotonic: self.start.elapsed(),
            unix_seconds: unix_seconds(),
        };
        let mut buffer = [0; 2048];
        while let Some((from, packet)) = receive(&self.socket, &mut buffer) {
            match self.server.receive(now, from, packet) {
                Event::Refused(_) | Event::Alive(_) => {}
                Event::Reply(reply) => {
                    self.socket.send_to(reply, from).unwrap();
                }
                Event::Connected {
                    connection,
                    client_id,
                    reply,
                } => {
                    assert_eq!(client_id, CLIENT);
                    assert_eq!(self.server.user_data(connection), Some(&[6; 256]));
                    self.socket.send_to(reply, from).unwrap();
                    self.connection = Some(connection);
                }
                Event::Payload {
                    connection,
                    payload,
                    ..
                } => {
                    let mut answer = [0; MAX_PACKET_BYTES];
                    let length = self.server.seal(connection, payload, &mut answer).unwrap();
                    self.socket.send_to(&answer[..length], from).unwrap();
                    self.echoed += 1;
                }
                Event::Disconnected { .. } => self.has_left = true,
            }
        }
        while let Some(output) = self.server.poll(now, &mut buffer) {
            if let Output::Transmit { to, packet } = output {
                self.socket.send_to(packet, to).unwrap();
            }
        }
    }
}

/// Our client on a socket; it sends payloads and counts those that come back.
struct OurClient {
    socket: UdpSocket,
    start: Instant,
    client: Client,
    came_back: u32,
}

impl OurClient {
    fn new(token: ConnectToken) -> Self {
        Self {
            socket: socket(),
            start: Instant::now(),
            client: Client::new(token, Duration::ZERO).unwrap(),
            came_back: 0,
        }
    }

    fn step(&mut self) {
        let now = self.start.elapsed();
        let mut buffer = [0; 2048];
        while let Some((from, packet)) = receive(&self.socket, &mut buffer) {
            if let client::Event::Payload { payload, .. } = self.client.receive(now, from, packet) {
                assert_eq!(payload, [8; 1200]);
                self.came_back += 1;
            }
        }
        if self.client.state() == State::Connected {
            let length = self.client.seal(&[8; 1200], &mut buffer).unwrap();
            let server = self.client.server();
            self.socket.send_to(&buffer[..length], server).unwrap();
        }
        while let Some(output) = self.client.poll(now, &mut buffer) {
            if let client::Output::Transmit { to, packet } = output {
                self.socket.send_to(packet, to).unwrap();
            }
        }
    }
}

#[test]
fn our_client_plays_on_our_server() {
    let mut server = OurServer::new();
    let mut client = OurClient::new(token(server.address()));
    until(|| {
        client.step();
        server.step();
        client.came_back >= WANTED
    });
    client.client.disconnect();
    until(|| {
        client.step();
        server.step();
        server.has_left
    });
}

#[test]
fn the_official_client_plays_on_our_server() {
    let mut server = OurServer::new();
    let start = Instant::now();
    let mut client = official::Client::new((Ipv4Addr::LOCALHOST, 0).into(), 0.0).unwrap();
    let token = token(server.address()).write_standard().unwrap();
    client.connect(&token).unwrap();
    let mut came_back = 0;
    until(|| {
        client.update(start.elapsed().as_secs_f64());
        server.step();
        assert!(!client.state().is_error(), "{}", client.state());
        if client.state() == official::ClientState::Connected {
            client.send_packet(&[8; 1200]).unwrap();
        }
        while let Some((payload, _)) = client.receive_packet() {
            assert_eq!(payload, [8; 1200]);
            came_back += 1;
        }
        came_back >= WANTED
    });
    let connection = server.connection.unwrap();
    assert_eq!(
        client.client_index(),
        usize::try_from(connection.slot()).unwrap()
    );
    assert_eq!(client.max_clients(), 64);
    client.disconnect();
    until(|| {
        server.step();
        server.has_left
    });
}

#[test]
fn our_server_tells_the_official_client_goodbye() {
    let mut server = OurServer::new();
    let start = Instant::now();
    let mut client = official::Client::new((Ipv4Addr::LOCALHOST, 0).into(), 0.0).unwrap();
    let token = token(server.address()).write_standard().unwrap();
    client.connect(&token).unwrap();
    until(|| {
        client.update(start.elapsed().as_secs_f64());
        server.step();
        client.state() == official::ClientState::Connected
    });
    server.server.disconnect(server.connection.unwrap());
    until(|| {
        client.update(start.elapsed().as_secs_f64());
        server.step();
        client.state() == official::ClientState::Disconnected
    });
}

#[test]
fn our_client_plays_on_the_official_server() {
    let start = Instant::now();
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    let mut server = official::Server::new(address, PROTOCOL, &KEY, 0.0).unwrap();
    server.start(4).unwrap();
    let mut client = OurClient::new(token(server.address()));
    until(|| {
        client.step();
        server.update(start.elapsed().as_secs_f64());
        while let Some((payload, _)) = server.receive_packet(0) {
            server.send_packet(0, &payload).unwrap();
        }
        client.came_back >= WANTED
    });
    assert_eq!(server.client_id(0), CLIENT);
    assert_eq!(server.client_user_data(0), Some(&[6; 256]));
    client.client.disconnect();
    until(|| {
        client.step();
        server.update(start.elapsed().as_secs_f64());
        !server.client_connected(0)
    });
}

#[test]
fn our_server_takes_tokens_that_the_official_backend_mints() {
    let mut server = OurServer::new();
    let servers = [server.address()];
    let bytes = official::generate_connect_token(
        &servers, &servers, 60, 5, CLIENT, PROTOCOL, &KEY, &[6; 256],
    )
    .unwrap();
    let mut client = OurClient::new(ConnectToken::read_standard(&bytes).unwrap());
    until(|| {
        client.step();
        server.step();
        client.came_back >= WANTED
    });
}

/// renet's client, on a token that came in renet's form.
fn renet_client(token: &ConnectToken) -> NetcodeClient {
    let bytes = token.write_renet(CLIENT).unwrap();
    let connect_token = renetcode::ConnectToken::read(&mut bytes.as_slice()).unwrap();
    assert_eq!(connect_token.client_id, CLIENT);
    NetcodeClient::new(
        Duration::from_secs(unix_seconds()),
        ClientAuthentication::Secure { connect_token },
    )
    .unwrap()
}

#[test]
fn the_renet_client_plays_on_our_server() {
    let mut server = OurServer::new();
    let socket = socket();
    let mut client = renet_client(&token(server.address()));
    let mut last = Instant::now();
    let mut came_back = 0;
    let mut buffer = [0; 2048];
    until(|| {
        server.step();
        while let Some((_, packet)) = receive(&socket, &mut buffer) {
            if let Some(payload) = client.process_packet(packet) {
                assert_eq!(payload, [8; 1300]);
                came_back += 1;
            }
        }
        let passed = last.elapsed();
        last += passed;
        if let Some((packet, to)) = client.update(passed) {
            socket.send_to(packet, to).unwrap();
        }
        assert_eq!(client.disconnect_reason(), None);
        if client.is_connected() {
            let (to, packet) = client.generate_payload_packet(&[8; 1300]).unwrap();
            socket.send_to(packet, to).unwrap();
        }
        came_back >= WANTED
    });
    let (to, packet) = client.disconnect().unwrap();
    socket.send_to(packet, to).unwrap();
    until(|| {
        server.step();
        server.has_left
    });
}

#[test]
fn our_client_plays_on_the_renet_server() {
    let socket = socket();
    let mut server = NetcodeServer::new(renetcode::ServerConfig {
        current_time: Duration::from_secs(unix_seconds()),
        max_clients: 4,
        protocol_id: PROTOCOL,
        public_addresses: vec![socket.local_addr().unwrap()],
        authentication: ServerAuthentication::Secure { private_key: KEY },
    });
    let mut client = OurClient::new(token(socket.local_addr().unwrap()));
    let mut has_left = false;
    let mut last = Instant::now();
    let mut buffer = [0; 2048];
    let mut step = |client: &mut OurClient| {
        client.step();
        let passed = last.elapsed();
        last += passed;
        server.update(passed);
        while let Some((from, packet)) = receive(&socket, &mut buffer) {
            let (answer, payload) = match server.process_packet(from, packet) {
                ServerResult::PacketToSend { payload, .. }
                | ServerResult::ClientConnected { payload, .. } => (Some(payload.to_vec()), None),
                ServerResult::Payload { payload, .. } => (None, Some(payload.to_vec())),
                ServerResult::ClientDisconnected { .. } => {
                    has_left = true;
                    (None, None)
                }
                ServerResult::None => (None, None),
            };
            if let Some(packet) = answer {
                socket.send_to(&packet, from).unwrap();
            }
            if let Some(payload) = payload {
                let (to, packet) = server.generate_payload_packet(CLIENT, &payload).unwrap();
                socket.send_to(packet, to).unwrap();
            }
        }
        if let ServerResult::PacketToSend { addr, payload } = server.update_client(CLIENT) {
            socket.send_to(payload, addr).unwrap();
        }
        has_left
    };
    until(|| {
        step(&mut client);
        client.came_back >= WANTED
    });
    client.client.disconnect();
    until(|| step(&mut client));
}

#[test]
fn renet_reads_our_tokens_with_addresses_of_both_families() {
    let servers: [SocketAddr; 2] =
        ["127.0.0.1:7000", "[2001:db8::1]:7000"].map(|text| text.parse().unwrap());
    let grant = Grant {
        protocol_id: PROTOCOL,
        client_id: CLIENT,
        created: 1000,
        lifetime: Duration::from_mins(1),
        timeout_seconds: 5,
        servers: &servers,
        user_data: &[6; 256],
    };
    let token = ConnectToken::generate(&grant, &Key::new(KEY).unwrap(), &mut SystemRandom).unwrap();
    let bytes = token.write_renet(CLIENT).unwrap();
    let read = renetcode::ConnectToken::read(&mut bytes.as_slice()).unwrap();
    let listed: Vec<_> = read.server_addresses.into_iter().flatten().collect();
    assert_eq!(listed, servers);
    assert_eq!(read.expire_timestamp, 1060);
    assert_eq!(read.client_to_server_key, *token.client_to_server.expose());
    let mut written = Vec::new();
    read.write(&mut written).unwrap();
    assert_eq!(ConnectToken::read_renet(&written), Ok((CLIENT, token)));
}
