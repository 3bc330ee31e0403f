//! A server and its clients in one process, tick by tick.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::Sender;
use std::time::Duration;

use gameserver::arena::game::{Match, MatchConfig};
use gameserver::arena::host::{Control, Host, HostConfig, Order, Report};
use gameserver::arena::life::{AfterMatch, Stage};
use gameserver::arena::link::Link as _;
use gameserver::arena::metrics::Metrics;
use gameserver::arena::net::Net;
use gameserver::arena::reconnection::{LIFETIME, Minter, TIMEOUT_SECONDS};
use gameserver::arena::sessions::{PlayerId, Policy};
use gameserver::arena::shell::{Progress, Shell};
use gameserver::arena::sink::NoHistory;
use netcode::client::{Event, Output};
use netcode::packet::{self, CHALLENGE_BYTES, REQUEST_BYTES};
use netcode::server::ServerConfig;
use netcode::{Client, ConnectToken, Grant, Key, Now, SystemRandom, TAG_BYTES, UserData};
use simulation::arena::ArenaConfig;
use simulation::channels::{Channels, Side};
use simulation::entity::PlayerSlot;
use simulation::input::{Buttons, Input};
use simulation::inputs::{InputSender, MAX_PACKET};
use simulation::level::Level;
use simulation::message::{self, Messages, ToClient, ToServer};
use simulation::mover;
use simulation::payload::{self, Kind, Probe};
use simulation::rules::Rules;
use simulation::seeded::Random;
use simulation::snapshot::{DEFAULT_BUDGET, Decoder, Header};
use simulation::tick::{TICK_RATE, Tick};
use tokio::sync::mpsc;

const PROTOCOL: u64 = 0x1234;
const UNIX: u64 = 1_800_000_000;

/// What a test wants of its server.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) after: AfterMatch,
    pub(crate) is_assigned: bool,
    pub(crate) players: u16,
    pub(crate) props: u16,
    /// In seconds.
    pub(crate) time_limit: u32,
    pub(crate) drain_timeout: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            after: AfterMatch::Shutdown,
            is_assigned: false,
            players: 16,
            props: 8,
            time_limit: 300,
            drain_timeout: Duration::from_mins(1),
        }
    }
}

/// A server and its clients.
pub(crate) struct World {
    shell: Shell<Net, SystemRandom>,
    address: SocketAddr,
    key: Key,
    match_id: [u8; 16],
    clients: BTreeMap<u8, TestClient>,
    orders: Sender<Order>,
    incoming: mpsc::Receiver<Report>,
    reports: Vec<Report>,
    stranger: UdpSocket,
    random: Random,
    client_ids: u64,
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let key = Key::new([5; 32]).unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let start = Duration::from_secs(1_000);
        let config = ServerConfig {
            max_clients: 64,
            ..ServerConfig::new(PROTOCOL, key.clone())
        };
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let net = Net::new(socket, config, at(start), &mut SystemRandom).unwrap();
        let (orders, received) = std::sync::mpsc::channel();
        let (reports, incoming) = mpsc::channel(1_000);
        let rules = Rules {
            time_limit_ticks: setup.time_limit * TICK_RATE,
            ..Rules::default()
        };
        let config = HostConfig {
            game: MatchConfig {
                arena: ArenaConfig {
                    seed: 3,
                    capacity: setup.players,
                    props: setup.props,
                    rules,
                },
                spectators: 2,
                teams: 0,
                policy: Policy::default(),
                budget: DEFAULT_BUDGET,
            },
            after: setup.after,
            is_assigned: setup.is_assigned,
            drain_timeout: setup.drain_timeout,
        };
        let minter = Minter {
            protocol_id: PROTOCOL,
            key: key.clone(),
            addresses: vec![address],
            lifetime: LIFETIME,
            random: SystemRandom,
        };
        let control = Control {
            orders: received,
            reports,
        };
        let host = Host::new(
            config,
            start,
            minter,
            control,
            Box::new(NoHistory),
            metrics.clone(),
        );
        Self {
            shell: Shell::new(net, host, metrics, Progress::default()),
            address,
            key,
            match_id: [1; 16],
            clients: BTreeMap::new(),
            orders,
            incoming,
            reports: Vec::new(),
            stranger: socket_of_client(),
            random: Random::new(11),
            client_ids: 0,
        }
    }

    /// Executes ticks: clients send, the server works, clients receive.
    pub(crate) fn run_ticks(&mut self, ticks: u32) {
        for _ in 0..ticks {
            let now = at(self.shell.host.deadline());
            for client in self.clients.values_mut() {
                client.send(now.monotonic, &mut self.random);
            }
            self.shell.turn(now);
            for client in self.clients.values_mut() {
                client.receive(now.monotonic);
            }
            while let Ok(report) = self.incoming.try_recv() {
                self.reports.push(report);
            }
        }
    }

    /// Executes ticks and counts the allocations of the server, each tick's by itself.
    pub(crate) fn count_allocations(&mut self, ticks: u32) -> Vec<u64> {
        let counts = (0..ticks).map(|_| {
            let now = at(self.shell.host.deadline());
            for client in self.clients.values_mut() {
                client.send(now.monotonic, &mut self.random);
            }
            let counted = allocation_counter::measure(|| {
                self.shell.turn(now);
            });
            for client in self.clients.values_mut() {
                client.receive(now.monotonic);
            }
            counted.count_total
        });
        counts.collect()
    }

    /// Runs until something is true of a client; answers after how many ticks.
    pub(crate) fn ticks_until(&mut self, player: u8, is_so: impl Fn(&TestClient) -> bool) -> u32 {
        let mut ticks = 0;
        while !is_so(self.client(player)) {
            assert!(ticks < 600, "it never became true of player {player}");
            self.run_ticks(1);
            ticks += 1;
        }
        ticks
    }

    /// A player with a token of the platform.
    pub(crate) fn join(&mut self, player: u8) {
        self.client_ids += 1;
        let user_data = UserData {
            match_id: self.match_id,
            session_id: [player; 16],
            player_id: account(player).0,
            ..UserData::default()
        };
        let grant = Grant {
            protocol_id: PROTOCOL,
            client_id: self.client_ids,
            created: self.now().unix_seconds,
            lifetime: LIFETIME,
            timeout_seconds: TIMEOUT_SECONDS,
            servers: &[self.address],
            user_data: &user_data.encode(),
        };
        let token = ConnectToken::generate(&grant, &self.key, &mut SystemRandom).unwrap();
        let token = token.write_standard().unwrap().to_vec();
        self.present(player, &token);
    }

    /// A client with this token, on a socket of its own.
    pub(crate) fn present(&mut self, player: u8, token: &[u8]) {
        let client = TestClient::new(token, self.now().monotonic);
        self.clients.insert(player, client);
    }

    /// The player presents its newest reconnection token on a new socket.
    pub(crate) fn reconnect(&mut self, player: u8) {
        let token = self.client(player).reconnection();
        self.present(player, &token);
    }

    /// The player's packets reach nobody any more, and none reach the player.
    pub(crate) fn drop_socket(&mut self, player: u8) {
        self.client_mut(player).socket = None;
    }

    /// Sends from a stranger's address, each a third: random bytes, random bytes in the shape of a
    /// packet, and requests with forged tokens.
    pub(crate) fn flood(&mut self, packets: usize) {
        let mut bytes = [0; REQUEST_BYTES];
        for number in 0..packets {
            for chunk in bytes.chunks_mut(8) {
                let random = self.random.bits().to_le_bytes();
                chunk.copy_from_slice(&random[..chunk.len()]);
            }
            let length = match number % 3 {
                0 => {
                    bytes[0] = 0;
                    bytes[1..14].copy_from_slice(b"NETCODE 1.02\0");
                    bytes[14..22].copy_from_slice(&PROTOCOL.to_le_bytes());
                    let expires = self.now().unix_seconds + 30;
                    bytes[22..30].copy_from_slice(&expires.to_le_bytes());
                    bytes.len()
                }
                1 => usize::from(self.random.below(1_078)),
                _ => {
                    let bodies = [
                        (packet::Kind::Response, 8 + CHALLENGE_BYTES),
                        (packet::Kind::KeepAlive, 8),
                        (packet::Kind::Payload, 100),
                        (packet::Kind::Disconnect, 0),
                    ];
                    let (kind, body) = bodies[usize::from(self.random.below(4))];
                    bytes[0] = 4 << 4 | kind as u8;
                    1 + 4 + body + TAG_BYTES
                }
            };
            self.stranger
                .send_to(&bytes[..length], self.address)
                .unwrap();
        }
    }

    /// Datagrams of clients that sent more than they may.
    pub(crate) fn excess(&self) -> u64 {
        self.shell.link.statistics().traffic.excess
    }

    /// Datagrams that the server refused.
    pub(crate) fn refused(&self) -> u64 {
        self.shell.link.statistics().counters.refused.total()
    }

    pub(crate) fn order(&self, order: Order) {
        self.orders.send(order).unwrap();
    }

    pub(crate) fn assign(&self, players: &[u8]) {
        self.order(Order::Assigned {
            match_id: self.match_id,
            players: players.iter().copied().map(account).collect(),
        });
    }

    /// Tokens are for another match from now on.
    pub(crate) fn next_match(&mut self) {
        self.match_id[0] += 1;
    }

    pub(crate) fn reports(&self) -> &[Report] {
        &self.reports
    }

    pub(crate) fn stage(&self) -> Stage {
        self.shell.host.stage()
    }

    pub(crate) fn game(&self) -> &Match<SystemRandom> {
        self.shell.host.game().unwrap()
    }

    pub(crate) fn client(&self, player: u8) -> &TestClient {
        &self.clients[&player]
    }

    pub(crate) fn client_mut(&mut self, player: u8) -> &mut TestClient {
        self.clients.get_mut(&player).unwrap()
    }

    /// Where the player is, to the last bit.
    pub(crate) fn place(&self, player: u8) -> [u32; 3] {
        let slot = self.client(player).slot();
        let player = self.game().arena().player(slot).unwrap();
        player.motion.position.to_array().map(f32::to_bits)
    }

    fn now(&self) -> Now {
        at(self.shell.host.deadline())
    }
}

/// The account of a player.
fn account(player: u8) -> PlayerId {
    PlayerId([player | 0x80; 16])
}

fn at(monotonic: Duration) -> Now {
    Now {
        monotonic,
        unix_seconds: UNIX + monotonic.as_secs(),
    }
}

fn socket_of_client() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// A client that verifies all that it gets.
pub(crate) struct TestClient {
    socket: Option<UdpSocket>,
    netcode: Client,
    is_connected: bool,
    channels: Channels,
    decoder: Decoder,
    level: Option<Level>,
    sender: InputSender,
    inputs: BTreeMap<Tick, Input>,
    last: Option<Header>,
    slot: Option<PlayerSlot>,
    token: Vec<u8>,
    pub(crate) messages: Vec<ToClient>,
    /// Snapshots that were decoded.
    pub(crate) snapshots: u32,
    /// Snapshots and messages that were not.
    pub(crate) undecodable: u32,
    /// Own states that are not what the mover makes of the one before and the input.
    pub(crate) mispredicted: u32,
    /// Other entities in the newest snapshot.
    pub(crate) seen: usize,
}

impl TestClient {
    fn new(token: &[u8], now: Duration) -> Self {
        let connect = ConnectToken::read_standard(token).unwrap();
        let mut channels = Channels::new(Side::Client, now);
        let hello = message::encode_to_server(&ToServer::hello("tester".to_owned())).unwrap();
        channels.send(hello).unwrap();
        Self {
            socket: Some(socket_of_client()),
            netcode: Client::new(connect, now).unwrap(),
            is_connected: false,
            channels,
            decoder: Decoder::default(),
            level: None,
            sender: InputSender::default(),
            inputs: BTreeMap::new(),
            last: None,
            slot: None,
            token: token.to_vec(),
            messages: Vec::new(),
            snapshots: 0,
            undecodable: 0,
            mispredicted: 0,
            seen: 0,
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected
    }

    pub(crate) fn is_welcome(&self) -> bool {
        self.slot.is_some()
    }

    pub(crate) fn slot(&self) -> PlayerSlot {
        self.slot.unwrap()
    }

    /// The newest token to come back with.
    pub(crate) fn reconnection(&self) -> Vec<u8> {
        self.token.clone()
    }

    /// Something that means nothing, in a packet that is sealed as it should be.
    pub(crate) fn send_garbage(&mut self) {
        self.transmit(&[9, 9, 9]);
    }

    /// Asks for the round trip, again and again.
    pub(crate) fn flood(&mut self, packets: usize) {
        let question = Probe {
            answer: false,
            stamp: 0,
        };
        for _ in 0..packets {
            self.transmit(&question.encode());
        }
    }

    fn send(&mut self, now: Duration, random: &mut Random) {
        let Some(socket) = &self.socket else {
            return;
        };
        let mut buffer = [0; 1_400];
        while let Some(Output::Transmit { to, packet }) = self.netcode.poll(now, &mut buffer) {
            socket.send_to(packet, to).unwrap();
        }
        let Some(last) = self.last.filter(|_| self.is_connected) else {
            return;
        };
        let tick = last.tick.next();
        let input = Input {
            east: random.bits().to_le_bytes()[0].cast_signed().max(-127),
            north: 90,
            aim: u16::from_le_bytes([0, random.bits().to_le_bytes()[1]]),
            buttons: Buttons::SPRINT,
            view: last.tick,
            view_fraction: 0,
        };
        self.sender.record(tick, input);
        self.inputs.insert(tick, input);
        let packet = self.sender.packet(self.decoder.ack(), last.input, 4);
        let mut payload = [0; MAX_PACKET];
        let length = packet.encode(&mut payload).unwrap();
        self.transmit(&payload[..length]);
        if tick.0.is_multiple_of(4) {
            let mut payloads = Vec::new();
            self.channels
                .flush(now, |payload| payloads.push(payload.to_vec()))
                .unwrap();
            for payload in payloads {
                self.transmit(&payload);
            }
        }
    }

    fn transmit(&mut self, payload: &[u8]) {
        let mut packet = [0; 1_400];
        let Ok(length) = self.netcode.seal(payload, &mut packet) else {
            return;
        };
        if let Some(socket) = &self.socket {
            socket
                .send_to(&packet[..length], self.netcode.server())
                .unwrap();
        }
    }

    fn receive(&mut self, now: Duration) {
        let mut buffer = [0; 1_400];
        loop {
            let Some(socket) = &self.socket else {
                return;
            };
            let (length, from) = match socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                    continue;
                }
            };
            match self.netcode.receive(now, from, &mut buffer[..length]) {
                Event::Connected { .. } => self.is_connected = true,
                Event::Disconnected(_) => self.is_connected = false,
                Event::Payload { payload, .. } => {
                    let payload = payload.to_vec();
                    self.take(now, &payload);
                }
                Event::Refused(_) | Event::Progress | Event::Alive => {}
            }
        }
        while let Some(message) = self.channels.take_message() {
            match Messages::default().decode_to_client(&message) {
                Ok(message) => self.hear(message),
                Err(_) => self.undecodable += 1,
            }
        }
    }

    fn take(&mut self, now: Duration, payload: &[u8]) {
        match payload::split(payload) {
            Some((Kind::Fast, rest)) => match self.decoder.decode(rest, &mut Vec::new()) {
                Ok(header) => self.verify(header),
                Err(_) => self.undecodable += 1,
            },
            Some((Kind::Channels, rest)) => self.channels.receive(now, rest).unwrap(),
            Some((Kind::Probe, rest)) => {
                let probe = Probe::decode(rest).unwrap();
                let answer = true;
                self.transmit(&Probe { answer, ..probe }.encode());
            }
            None => self.undecodable += 1,
        }
    }

    /// Compares the server's state of the own player with the mover's.
    fn verify(&mut self, header: Header) {
        self.snapshots += 1;
        self.seen = self.decoder.entities().count();
        let before = self
            .last
            .replace(header)
            .and_then(|last| Some((last.tick, last.own?)));
        let (Some((tick, before)), Some(own), Some(level)) = (before, header.own, &self.level)
        else {
            return;
        };
        let input = self.inputs.get(&header.tick);
        let is_comparable = tick.next() == header.tick
            && header.input == Some(header.tick)
            && before.cooldowns[1] == own.cooldowns[1]
            && before.health > 0;
        if let Some(input) = input.filter(|_| is_comparable) {
            let expected = mover::step(level, &before.movement, input);
            self.mispredicted += u32::from(expected != own.movement);
        }
    }

    fn hear(&mut self, message: ToClient) {
        match &message {
            ToClient::Welcome(welcome) => {
                self.slot = welcome.slot;
                self.level = Some(Level::generate(welcome.seed, welcome.capacity));
                self.token.clone_from(&welcome.reconnection.0);
            }
            ToClient::Reconnection(token) => self.token.clone_from(&token.0),
            _ => {}
        }
        self.messages.push(message);
    }
}
