//! A server and its bots in one thread and in virtual time, over links in memory: the same seed
//! gives the same match, however busy the machine is.

pub(crate) mod rogue;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bots::bot::Bot;
use bots::profile::Profile;
use bots::record::Record;
use bots::tickets::{Mint, Tickets};
use gameserver::arena::game::{Match, MatchConfig};
use gameserver::arena::host::{Control, Host, HostConfig, Order, Report};
use gameserver::arena::life::AfterMatch;
use gameserver::arena::link::{End, Inbound, Link, Outbox, Peer, Statistics};
use gameserver::arena::metrics::Metrics;
use gameserver::arena::reconnection::{LIFETIME, Minter};
use gameserver::arena::sessions::{Policy, Presented};
use gameserver::arena::shell::{Progress, Shell};
use gameserver::arena::sink::NoHistory;
use netcode::server::{Event, Output, ServerConfig};
use netcode::{Connection, Key, MAX_PACKET_BYTES, Now, ProtocolId, Server, SystemRandom, UserData};
use simulation::arena::ArenaConfig;
use simulation::rules::Rules;
use simulation::seeded::Random;
use simulation::snapshot::DEFAULT_BUDGET;

use rogue::{Habit, Rogue};

const PROTOCOL: u64 = 0x1234;
const UNIX: u64 = 1_800_000_000;
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7777);
/// Virtual time between two turns of everybody.
const STEP: Duration = Duration::from_nanos(1_000_000_000 / 240);

/// The socket's side of the server, without a socket.
#[derive(Debug)]
struct Memory {
    server: Server,
    peers: Vec<Option<(Connection, Peer)>>,
    serial: u32,
    now: Now,
    incoming: VecDeque<(SocketAddr, Vec<u8>)>,
    outgoing: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl Memory {
    fn take(&mut self, from: SocketAddr, packet: &mut [u8], game: &mut dyn FnMut(Inbound<'_>)) {
        match self.server.receive(self.now, from, packet) {
            Event::Refused(_) => {}
            Event::Reply(reply) => self.outgoing.push_back((from, reply.to_vec())),
            Event::Connected {
                connection,
                client_id,
                reply,
            } => {
                self.outgoing.push_back((from, reply.to_vec()));
                let user_data = self.server.user_data(connection).map(UserData::decode);
                let user_data = user_data.unwrap().unwrap();
                self.serial += 1;
                let place = u16::try_from(connection.slot()).unwrap();
                let serial = self.serial;
                let peer = Peer { place, serial };
                self.peers[peer.place()] = Some((connection, peer));
                let presented = Presented {
                    client_id,
                    user_data,
                };
                game(Inbound::Connected(peer, Box::new(presented)));
            }
            Event::Alive(connection) => {
                if let Some(peer) = self.peer(connection) {
                    game(Inbound::Alive(peer));
                }
            }
            Event::Payload {
                connection,
                payload,
                ..
            } => {
                let peer = self.peers[connection.slot() as usize];
                if let Some((_, peer)) = peer.filter(|(current, _)| *current == connection) {
                    game(Inbound::Payload(peer, payload));
                }
            }
            Event::Disconnected { connection, .. } => self.lose(connection, End::Goodbye, game),
        }
    }

    fn peer(&self, connection: Connection) -> Option<Peer> {
        let (current, peer) = self.peers[connection.slot() as usize]?;
        (current == connection).then_some(peer)
    }

    fn lose(&mut self, connection: Connection, end: End, game: &mut dyn FnMut(Inbound<'_>)) {
        if let Some(peer) = self.peer(connection) {
            self.peers[peer.place()] = None;
            game(Inbound::Disconnected(peer, end));
        }
    }
}

impl Outbox for Memory {
    fn send(&mut self, peer: Peer, payload: &[u8]) {
        let current = self.peers[peer.place()].filter(|(_, current)| *current == peer);
        let Some((connection, _)) = current else {
            return;
        };
        let mut packet = [0; MAX_PACKET_BYTES];
        if let (Some(to), Ok(length)) = (
            self.server.address(connection),
            self.server.seal(connection, payload, &mut packet),
        ) {
            self.outgoing.push_back((to, packet[..length].to_vec()));
        }
    }

    fn disconnect(&mut self, peer: Peer) {
        if let Some((connection, _)) = self.peers[peer.place()].filter(|(_, now)| *now == peer) {
            self.server.disconnect(connection);
            self.peers[peer.place()] = None;
        }
    }
}

impl Link for Memory {
    fn receive(&mut self, now: Now, is_tick: bool, game: &mut dyn FnMut(Inbound<'_>)) {
        self.now = now;
        while let Some((from, mut packet)) = self.incoming.pop_front() {
            self.take(from, &mut packet, game);
        }
        if !is_tick {
            return;
        }
        let mut buffer = [0; MAX_PACKET_BYTES];
        loop {
            match self.server.poll(now, &mut buffer) {
                None => return,
                Some(Output::Transmit { to, packet }) => {
                    self.outgoing.push_back((to, packet.to_vec()));
                }
                Some(Output::Disconnected { connection, .. }) => {
                    self.lose(connection, End::Silence, game);
                }
            }
        }
    }

    fn statistics(&self) -> Statistics {
        Statistics {
            connected: self.server.connected(),
            counters: *self.server.counters(),
            ..Statistics::default()
        }
    }

    fn say_goodbye(&mut self) {
        self.server.disconnect_all();
    }
}

/// A server and its bots.
pub(crate) struct World {
    shell: Shell<Memory, SystemRandom>,
    metrics: Metrics,
    bots: Vec<Bot>,
    rogue: Option<Rogue>,
    tickets: Tickets,
    now: Duration,
    /// Since when the bots should have been at work again, after they hung.
    late_since: Option<Duration>,
    /// Until when the server hangs.
    stalled_until: Duration,
    random: Random,
    /// The other ends of the server's queues; closed ones would mean that the process ends.
    _control: (
        std::sync::mpsc::Sender<Order>,
        tokio::sync::mpsc::Receiver<Report>,
    ),
}

impl World {
    pub(crate) fn new() -> Self {
        let key = Key::new([5; 32]).unwrap();
        let start = Duration::from_secs(1_000);
        let config = ServerConfig {
            max_clients: 64,
            ..ServerConfig::new(PROTOCOL, key.clone())
        };
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let (orders, received) = std::sync::mpsc::channel();
        let (reports, incoming) = tokio::sync::mpsc::channel(1_000);
        let rules = Rules {
            score_limit: u16::MAX,
            ..Rules::default()
        };
        let host = Host::new(
            HostConfig {
                game: MatchConfig {
                    arena: ArenaConfig {
                        seed: 3,
                        capacity: 16,
                        props: 8,
                        rules,
                    },
                    spectators: 2,
                    teams: 0,
                    policy: Policy::default(),
                    budget: DEFAULT_BUDGET,
                },
                after: AfterMatch::Ready,
                is_assigned: false,
                drain_timeout: Duration::from_mins(1),
            },
            start,
            Minter {
                protocol_id: PROTOCOL,
                key: key.clone(),
                addresses: vec![SERVER],
                lifetime: LIFETIME,
                random: SystemRandom,
            },
            Control {
                orders: received,
                reports,
            },
            Box::new(NoHistory),
            metrics.clone(),
        );
        let memory = Memory {
            server: Server::new(config, at(start), &mut SystemRandom).unwrap(),
            peers: vec![None; 64],
            serial: 0,
            now: at(start),
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
        };
        Self {
            shell: Shell::new(memory, host, metrics.clone(), Progress::default()),
            metrics,
            bots: Vec::new(),
            rogue: None,
            tickets: Tickets::Minted(Mint {
                key,
                protocol_id: ProtocolId(PROTOCOL),
                server: SERVER,
                match_id: [1; 16],
                flags: 0,
            }),
            // Not in the moments in which the server ticks.
            now: start + STEP / 4,
            late_since: None,
            stalled_until: Duration::ZERO,
            random: Random::new(7),
            _control: (orders, incoming),
        }
    }

    /// Adds bots, and a witness if the profile has one.
    pub(crate) fn join(&mut self, profile: &Profile, players: usize) {
        let witness = profile.witness();
        for profile in std::iter::repeat_n(profile, players).chain(&witness) {
            let token = self.tickets.take(1, at(self.now).unix_seconds).unwrap();
            let seed = self.random.bits() >> 8;
            self.bots
                .push(Bot::new(&token[0], profile, seed, self.now).unwrap());
        }
    }

    /// Lets a player in who does not play as others do.
    pub(crate) fn let_in(&mut self, habit: Habit) {
        let token = self.tickets.take(1, at(self.now).unix_seconds).unwrap();
        self.rogue = Some(Rogue::new(&token[0], habit, self.now));
    }

    /// Who was let in last.
    pub(crate) const fn rogue(&self) -> Option<&Rogue> {
        self.rogue.as_ref()
    }

    /// Lets time pass; each step begins with what `disturb` sends to the server.
    pub(crate) fn run(
        &mut self,
        length: Duration,
        mut disturb: impl FnMut(&mut dyn FnMut(Vec<u8>)),
    ) {
        let end = self.now + length;
        while self.now < end {
            self.now += STEP;
            let memory = &mut self.shell.link;
            disturb(&mut |datagram| {
                let stranger = SocketAddr::from(([10, 200, 0, 1], 9));
                memory.incoming.push_back((stranger, datagram));
            });
            while let Some((to, packet)) = self.shell.link.outgoing.pop_front() {
                let bot = self
                    .bots
                    .iter_mut()
                    .enumerate()
                    .find(|(index, bot)| address(*index, bot.session().socket()) == to);
                if let Some((_, bot)) = bot {
                    bot.receive(self.now, SERVER, &packet);
                } else if let Some(rogue) = self.rogue.as_mut().filter(|_| to == rogue::ADDRESS) {
                    rogue.receive(self.now, SERVER, packet);
                }
            }
            let intended = self.late_since.take().unwrap_or(self.now);
            let incoming = &mut self.shell.link.incoming;
            for (index, bot) in self.bots.iter_mut().enumerate() {
                bot.step(self.now, intended, |outgoing| {
                    let from = address(index, outgoing.socket);
                    incoming.push_back((from, outgoing.packet.to_vec()));
                });
            }
            if let Some(rogue) = &mut self.rogue {
                rogue.step(self.now, |packet| {
                    incoming.push_back((rogue::ADDRESS, packet.to_vec()));
                });
            }
            if self.now < self.stalled_until {
                continue;
            }
            let host = &mut self.shell.host;
            let now = at(self.now);
            self.shell
                .link
                .receive(now, false, &mut |inbound| host.receive(now, inbound));
            while self.shell.host.deadline() <= self.now + STEP {
                let due = at(self.shell.host.deadline());
                self.shell.turn(due);
            }
        }
    }

    /// The bots hang for a while, and the server goes on.
    pub(crate) fn hang(&mut self, length: Duration) {
        self.late_since = Some(self.now + STEP);
        self.now += length;
        while self.shell.host.deadline() <= self.now {
            let due = at(self.shell.host.deadline());
            self.shell.turn(due);
        }
    }

    /// The server hangs for a while, and the bots go on.
    pub(crate) fn stall(&mut self, length: Duration) {
        self.stalled_until = self.now + length;
        self.run(length, |_| {});
    }

    /// What the bots of a profile measured.
    pub(crate) fn records(&self, profile: &Profile) -> Vec<Record> {
        let bots = self.bots.iter().filter(|bot| bot.profile() == profile);
        bots.map(Bot::record).collect()
    }

    /// Players who were sent away.
    pub(crate) fn kicked(&self) -> u64 {
        self.metrics.kicked.get()
    }

    /// Datagrams that the server refused.
    pub(crate) fn refused(&self) -> u64 {
        self.shell.link.server.counters().refused.total()
    }

    /// Sessions in the match.
    pub(crate) fn sessions(&self) -> usize {
        self.shell
            .host
            .game()
            .map_or(0, |game: &Match<_>| game.sessions().len())
    }
}

/// Every bot is somewhere else, and each of its sockets has another port.
fn address(bot: usize, socket: u32) -> SocketAddr {
    let host = u8::try_from(bot).unwrap();
    let port = u16::try_from(20_000 + socket).unwrap();
    SocketAddr::from(([10, host, 0, 1], port))
}

fn at(monotonic: Duration) -> Now {
    Now {
        monotonic,
        unix_seconds: UNIX + monotonic.as_secs(),
    }
}
