//! Matches without sockets: what goes in is made up here, and what comes out is looked at.

use netcode::SystemRandom;
use netcode::user_data::SPECTATOR;
use simulation::input::Input;
use simulation::inputs::{InputSender, MAX_PACKET};
use simulation::rules::Rules;
use simulation::snapshot::{Ack, DEFAULT_BUDGET};
use simulation::tick::TICK_RATE;
use tokio::sync::mpsc;

use super::*;
use crate::arena::host::{Control, Host, HostConfig};
use crate::arena::life::AfterMatch;
use crate::arena::metrics::Metrics;
use crate::arena::pace::TICK;
use crate::arena::reconnection::LIFETIME;
use crate::arena::sessions::State;
use crate::arena::sink::NoHistory;

const MATCH: [u8; 16] = [7; 16];

/// What a match wanted to be sent.
#[derive(Default)]
struct Sent {
    payloads: Vec<(Peer, Vec<u8>)>,
    closed: Vec<Peer>,
}

impl Outbox for Sent {
    fn send(&mut self, peer: Peer, payload: &[u8]) {
        self.payloads.push((peer, payload.to_vec()));
    }

    fn disconnect(&mut self, peer: Peer) {
        self.closed.push(peer);
    }
}

impl Sent {
    fn of_kind(&self, peer: Peer, kind: Kind) -> usize {
        let payloads = self.payloads.iter().filter(|(to, _)| *to == peer);
        payloads
            .filter(|(_, payload)| payload::split(payload).is_some_and(|(found, _)| found == kind))
            .count()
    }
}

/// A match of eight, its clients, and the time.
struct World {
    game: Match<SystemRandom>,
    now: Now,
    sent: Sent,
}

fn config(seed: u64) -> MatchConfig {
    MatchConfig {
        arena: ArenaConfig {
            seed,
            capacity: 8,
            props: 4,
            rules: Rules {
                countdown_ticks: 1,
                ..Rules::default()
            },
        },
        spectators: 2,
        teams: 0,
        policy: Policy::default(),
        budget: DEFAULT_BUDGET,
    }
}

fn minter() -> Minter<SystemRandom> {
    Minter {
        protocol_id: 9,
        key: netcode::Key::new([3; 32]).unwrap(),
        addresses: vec!["127.0.0.1:7000".parse().unwrap()],
        lifetime: LIFETIME,
        random: SystemRandom,
    }
}

/// A host without orders, for whoever needs one to run.
pub(crate) fn host_of_nobody(first: Duration) -> (Host<SystemRandom>, Metrics) {
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    let (_, orders) = std::sync::mpsc::channel();
    let (reports, _) = mpsc::channel(1);
    let host = Host::new(
        HostConfig {
            game: config(1),
            after: AfterMatch::Shutdown,
            is_assigned: false,
            drain_timeout: Duration::from_secs(1),
        },
        first,
        minter(),
        Control { orders, reports },
        Box::new(NoHistory),
        metrics.clone(),
    );
    (host, metrics)
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            game: Match::new(MATCH, config(seed), minter()),
            now: Now {
                monotonic: Duration::from_secs(100),
                unix_seconds: 1_800_000_000,
            },
            sent: Sent::default(),
        }
    }

    fn take(&mut self, inbound: Inbound<'_>) {
        let arrival = Arrival {
            next: self.game.next_tick(),
            quarters: 2,
        };
        self.game.receive(self.now, arrival, inbound);
    }

    fn enter(&mut self, player: u8, flags: u16) -> Peer {
        let peer = Peer {
            place: u16::from(player),
            serial: u32::from(player) + 1,
        };
        let presented = Presented {
            client_id: u64::from(player),
            user_data: UserData {
                match_id: MATCH,
                session_id: [player; 16],
                player_id: [player; 16],
                flags,
                ..UserData::default()
            },
        };
        self.take(Inbound::Connected(peer, Box::new(presented)));
        peer
    }

    fn join(&mut self, player: u8) -> Peer {
        self.enter(player, 0)
    }

    /// The client's input for the next tick.
    fn play(&mut self, peer: Peer, input: Input) {
        self.play_with(peer, input, None);
    }

    fn play_with(&mut self, peer: Peer, input: Input, ack: Option<Ack>) {
        let mut sender = InputSender::default();
        sender.record(self.game.next_tick(), input);
        let mut payload = [0; MAX_PACKET];
        let packet = sender.packet(ack, None, 1);
        let length = packet.encode(&mut payload).unwrap();
        self.take(Inbound::Payload(peer, &payload[..length]));
    }

    fn tick(&mut self) {
        self.now.monotonic += TICK;
        self.sent = Sent::default();
        self.game.step(self.now);
        self.game.send(self.now, &mut self.sent);
    }

    fn news(&mut self) -> Vec<News> {
        self.game.drain_news().collect()
    }
}

#[test]
fn an_account_that_comes_and_goes_has_one_row() {
    let mut world = World::new(1);
    for _ in 0..5 {
        let peer = world.join(1);
        world.tick();
        let id = world.game.sessions.of(peer).unwrap().id;
        world.game.end_session(id);
    }
    let left = |world: &World| -> Vec<_> {
        let standings = world.game.standings().into_iter();
        standings
            .map(|(player, standing)| (player.0[0], standing.left))
            .collect()
    };
    assert_eq!(left(&world), [(1, true)]);
    world.join(1);
    world.join(2);
    assert_eq!(left(&world), [(1, false), (2, false)]);
}

#[test]
fn what_an_account_reached_before_counts_on() {
    let standing = |slot, score, left| Standing {
        slot: PlayerSlot(slot),
        team: None,
        score,
        downs: 1,
        left,
    };
    let player = PlayerId([1; 16]);
    let mut standings = BTreeMap::new();
    merge(&mut standings, player, standing(3, 4, true));
    merge(&mut standings, player, standing(5, 2, false));
    let expected = Standing {
        downs: 2,
        ..standing(5, 6, false)
    };
    assert_eq!(
        standings.into_iter().collect::<Vec<_>>(),
        [(player, expected)]
    );
}

#[test]
fn who_takes_no_messages_in_is_lost_at_once_and_gets_nothing_more() {
    let mut world = World::new(1);
    let peer = world.join(1);
    let long = ToClient::Notice("x".repeat(60_000));
    for _ in 0..5 {
        world.game.broadcast(&long);
    }
    world.tick();
    assert_eq!(world.sent.closed, [peer]);
    let session = world.game.sessions.iter().next().unwrap();
    assert_eq!((session.state, session.peer), (State::Lost, None));
    world.tick();
    assert!(world.sent.payloads.is_empty());
    assert!(world.sent.closed.is_empty());
    assert_eq!(world.game.connected(), 0);
}

#[test]
fn what_everybody_is_told_goes_out_over_several_ticks() {
    let mut world = World::new(1);
    let peers = [0, 1, 2, 3, 4, 5, 6, 7].map(|player| world.join(player));
    // The welcome and the phases of the start are not to wait.
    for _ in 0..10 {
        world.tick();
    }
    let mut told = [0; 8];
    for _ in 0..TICK_RATE {
        world.tick();
        let counts = peers.map(|peer| world.sent.of_kind(peer, Kind::Channels));
        let busy = counts.iter().filter(|count| **count > 0).count();
        assert!(busy <= 2, "{counts:?}");
        for (sum, count) in told.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    assert!(told.iter().all(|count| *count > 0), "{told:?}");
}

#[test]
fn chat_and_new_tokens_go_out_over_several_ticks() {
    let mut world = World::new(1);
    let peers = [0, 1, 2, 3, 4, 5, 6, 7].map(|player| world.join(player));
    for _ in 0..10 {
        world.tick();
    }
    let chat = ToClient::Chat {
        from: PlayerSlot(0),
        text: "hello".to_owned(),
    };
    world.game.broadcast(&chat);
    let mut told = [0; 8];
    // Every one of them gets a new token in the same tick, twenty seconds after the first.
    for tick in 0..21 * TICK_RATE {
        for peer in peers {
            world.take(Inbound::Alive(peer));
        }
        world.tick();
        let counts = peers.map(|peer| world.sent.of_kind(peer, Kind::Channels));
        let busy = counts.iter().filter(|count| **count > 0).count();
        assert!(busy <= 2, "{tick}: {counts:?}");
        for (sum, count) in told.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    assert!(told.iter().all(|count| *count > 1), "{told:?}");
}

/// What a client acknowledges is on its way for 700 ms, and then comes at once.
#[test]
fn a_stall_makes_no_snapshot_lost_that_was_acknowledged() {
    let mut world = World::new(1);
    let peer = world.join(1);
    let ack = |newest: u32| Ack {
        newest: Tick(newest),
        earlier: u32::MAX,
    };
    let lost = |world: &World| world.game.clients[0].as_ref().unwrap().view.lost();
    for _ in 0..60 {
        let newest = world.game.arena.tick().0;
        world.play_with(peer, Input::default(), Some(ack(newest)));
        world.tick();
    }
    let before = world.game.arena.tick().0;
    for _ in 0..42 {
        world.tick();
    }
    for newest in before..=before + 42 {
        world.play_with(peer, Input::default(), Some(ack(newest)));
    }
    world.tick();
    assert_eq!(lost(&world), 0);
    // Those that nobody acknowledged are.
    for _ in 0..10 {
        world.tick();
    }
    let nothing_between = Ack {
        newest: world.game.arena.tick(),
        earlier: 0,
    };
    world.play_with(peer, Input::default(), Some(nothing_between));
    world.tick();
    assert!(lost(&world) > 0);
}

#[test]
fn everybody_who_claims_the_impossible_is_sent_away_whoever_is_lost() {
    let mut world = World::new(1);
    let peers = [1, 2, 3, 4].map(|player| world.join(player));
    let wild = Input {
        east: -128,
        ..Input::default()
    };
    for tick in 0..2 * MOST_OUT_OF_RANGE {
        for peer in &peers[..3] {
            world.play(*peer, wild);
        }
        world.play(peers[3], Input::default());
        if tick == MOST_OUT_OF_RANGE - 2 {
            // Whoever has the last slot of them comes last in the search.
            world.take(Inbound::Disconnected(peers[2], End::Silence));
        }
        world.tick();
    }
    let kicked: Vec<_> = world
        .news()
        .into_iter()
        .filter_map(|news| match news {
            News::Kicked(player) => Some(player.0[0]),
            _ => None,
        })
        .collect();
    assert_eq!(kicked, [1, 2]);
    assert_eq!(world.game.sessions.len(), 2);
}

#[test]
fn each_client_has_one_answer_in_a_tick() {
    let mut world = World::new(1);
    let [greedy, other] = [1, 2].map(|player| world.join(player));
    world.tick();
    let ask = Probe {
        answer: false,
        stamp: 5,
    };
    for _ in 0..50 {
        world.take(Inbound::Payload(greedy, &ask.encode()));
    }
    world.take(Inbound::Payload(other, &ask.encode()));
    world.tick();
    for peer in [greedy, other] {
        assert_eq!(world.sent.of_kind(peer, Kind::Probe), 1, "{peer:?}");
    }
    world.tick();
    assert_eq!(world.sent.of_kind(other, Kind::Probe), 0);
}

#[test]
fn a_flood_of_keep_alives_is_an_offence() {
    let mut world = World::new(1);
    let [flooding, quiet] = [1, 2].map(|player| world.join(player));
    for _ in 0..120 {
        world.take(Inbound::Alive(quiet));
        for _ in 0..20 {
            world.take(Inbound::Alive(flooding));
        }
        world.tick();
    }
    assert!(world.news().contains(&News::Kicked(PlayerId([1; 16]))));
    assert!(world.game.sessions.of(quiet).is_some());
}

#[test]
fn spectators_are_no_players_to_the_platform() {
    let mut world = World::new(1);
    let spectator = world.enter(1, SPECTATOR);
    let player = world.join(2);
    for peer in [spectator, player] {
        let id = world.game.sessions.of(peer).unwrap().id;
        world.game.end_session(id);
    }
    let player = PlayerId([2; 16]);
    let expected = [
        News::Joined(player),
        News::SpectatorLeft,
        News::Left(player),
    ];
    assert_eq!(world.news(), expected);
}

/// What four players do in a tick of a match.
fn play_a_tick(world: &mut World, seed: u64) -> u64 {
    let tick = world.game.next_tick().0;
    for player in 0..4 {
        if tick == 1 + u32::from(player) {
            world.join(player);
        }
        let [east, north, aim, fire, ..] = (seed + 1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_mul(u64::from(tick) * 8 + u64::from(player))
            .to_be_bytes();
        let input = Input {
            east: east.cast_signed().max(-127),
            north: north.cast_signed().max(-127),
            aim: u16::from_le_bytes([0, aim]),
            buttons: simulation::input::Buttons(fire & 1),
            ..Input::default()
        };
        let peer = Peer {
            place: u16::from(player),
            serial: u32::from(player) + 1,
        };
        world.play(peer, input);
    }
    world.tick();
    world.game.arena.hash()
}

#[test]
fn matches_side_by_side_go_as_each_alone() {
    let alone = |seed| -> Vec<u64> {
        let mut world = World::new(seed);
        (0..300).map(|_| play_a_tick(&mut world, seed)).collect()
    };
    let [mut first, mut second] = [1, 2].map(World::new);
    let together: Vec<_> = (0..300)
        .map(|_| (play_a_tick(&mut first, 1), play_a_tick(&mut second, 2)))
        .collect();
    let (one, other): (Vec<_>, Vec<_>) = together.into_iter().unzip();
    assert_ne!(one, other);
    assert_eq!(one, alone(1));
    assert_eq!(other, alone(2));
}
