//! Snapshots from end to end: what a client decodes is what the server encoded, whatever the link
//! does to the datagrams between them.

#![expect(clippy::unwrap_used, reason = "a failed test shall say where")]

mod crowd;

use std::collections::BTreeMap;

use simulation::entity::{EntityId, PlayerSlot};
use simulation::frame::WorldFrame;
use simulation::interest::Detail;
use simulation::payload::{Kind, split};
use simulation::seeded::Random;
use simulation::snapshot::event::{EncodedEvent, WireEvent};
use simulation::snapshot::{
    ClientView, DecodeError, Decoder, Encoder, HASH_INTERVAL, HashCounters, Header, Recipient,
    Space,
};
use simulation::tick::Tick;

use crowd::Crowd;

/// What a link does to datagrams, in percent.
struct Link {
    loss: u16,
    double: u16,
    delay: u32,
    jitter: u16,
}

/// Datagrams under way, by the tick of their arrival.
#[derive(Default)]
struct Pipe(BTreeMap<u32, Vec<Vec<u8>>>);

impl Pipe {
    fn send(&mut self, link: &Link, dice: &mut Random, now: u32, datagram: &[u8]) {
        let copies = if dice.below(100) < link.double { 2 } else { 1 };
        for _ in 0..copies {
            if dice.below(100) >= link.loss {
                let at = now + link.delay + u32::from(dice.below(link.jitter + 1));
                self.0.entry(at).or_default().push(datagram.to_vec());
            }
        }
    }

    fn receive(&mut self, now: u32) -> Vec<Vec<u8>> {
        let later = self.0.split_off(&(now + 1));
        let arrived = std::mem::replace(&mut self.0, later);
        arrived.into_values().flatten().collect()
    }
}

struct Outcome {
    decoded: u32,
    hashes: HashCounters,
    missing: u32,
    events: Vec<(Tick, WireEvent)>,
    sent_events: Vec<(Tick, WireEvent)>,
}

/// Plays a match over a link, and checks every snapshot that arrives.
fn play(link: &Link, ticks: u32, players: u16, budget: usize, seed: u64) -> Outcome {
    let mut crowd = Crowd::new(players, 20, seed);
    let mut dice = Random::new(seed ^ 0xd1ce);
    let space = Space::new(players, 20);
    let mut encoder = Encoder::new(space);
    let mut view = ClientView::new(space);
    let mut decoder = Decoder::default();
    let (mut down, mut up) = (Pipe::default(), BTreeMap::<u32, Vec<_>>::new());
    let mut frames: BTreeMap<u32, WorldFrame> = BTreeMap::new();
    let mut outcome = Outcome {
        decoded: 0,
        hashes: HashCounters::default(),
        missing: 0,
        events: Vec::new(),
        sent_events: Vec::new(),
    };
    let mut out = [0; 1200];
    for now in 1..=ticks {
        let frame = crowd.step();
        encoder.publish(&frame);
        frames.insert(now, frame.clone());
        let quiet = now + 200 > ticks;
        if !quiet && dice.below(10) == 0 {
            let event = WireEvent::Hit {
                by: PlayerSlot(1),
                target: PlayerSlot(u16::try_from(now % 1024).unwrap()),
                health: 5,
            };
            view.push_event(EncodedEvent::new(Tick(now), &event));
            outcome.sent_events.push((Tick(now), event));
        }
        let middle = frame.entities[0].position();
        let recipient = Recipient {
            own: Some(PlayerSlot(0)),
            center: (middle.x, middle.z),
            radius: 60.0,
            always: &[EntityId(3)],
            detail: Detail::Full,
            budget,
            decompresses: true,
        };
        let header = Header::default();
        let length = encoder
            .encode(&mut view, &recipient, &header, &mut out)
            .unwrap();
        assert!(length <= budget);
        down.send(link, &mut dice, now, &out[..length]);

        for datagram in down.receive(now) {
            let (kind, rest) = split(&datagram).unwrap();
            assert_eq!(kind, Kind::Fast);
            match decoder.decode(rest, &mut outcome.events) {
                Ok(header) => {
                    outcome.decoded += 1;
                    let frame = &frames[&header.tick.0];
                    for state in decoder.snapshot(header.tick).unwrap() {
                        let place = frame
                            .entities
                            .binary_search_by_key(&state.id, |state| state.id)
                            .unwrap();
                        assert_eq!(&frame.entities[place], state);
                        assert_ne!(state.id, EntityId(0));
                    }
                }
                Err(DecodeError::Double) => {}
                Err(_) => outcome.missing += 1,
            }
            let at = now + link.delay + u32::from(dice.below(link.jitter + 1));
            if dice.below(100) >= link.loss {
                up.entry(at).or_default().push(decoder.ack());
            }
        }
        let later = up.split_off(&(now + 1));
        for ack in std::mem::replace(&mut up, later).into_values().flatten() {
            view.acknowledge(ack.unwrap());
        }
        // What the client shows was true at the tick that it shows.
        for (state, tick) in decoder.entities() {
            let frame = &frames[&tick.0];
            assert!(frame.entities.contains(state));
        }
    }
    outcome.hashes = decoder.hashes();
    outcome
}

/// As many snapshots until one has a hash that covers what its client knew before, when nothing is
/// lost.
fn until_listed_hash(number: u16) -> u32 {
    let mut crowd = Crowd::new(8, 0, 5);
    let space = Space::new(8, 0);
    let mut encoder = Encoder::new(space);
    let mut view = ClientView::new(space).in_turn(number);
    let mut decoder = Decoder::default();
    let recipient = Recipient {
        own: None,
        center: (0.0, 0.0),
        radius: 100.0,
        always: &[],
        detail: Detail::Full,
        budget: 900,
        decompresses: true,
    };
    let mut out = [0; 1200];
    let mut listed = |_: &u32| {
        encoder.publish(&crowd.step());
        let length = encoder
            .encode(&mut view, &recipient, &Header::default(), &mut out)
            .unwrap();
        decoder.decode(&out[1..length], &mut Vec::new()).unwrap();
        view.acknowledge(decoder.ack().unwrap());
        decoder.hashes().listed
    };
    (1..=2 * HASH_INTERVAL)
        .find(|tick| listed(tick) > 0)
        .unwrap()
}

#[test]
fn clients_that_come_together_have_their_hashes_at_different_times() {
    let last = u16::try_from(HASH_INTERVAL).unwrap() - 1;
    let ticks: Vec<_> = [0, 1, 2, last, last + 1].map(until_listed_hash).into();
    assert_eq!(
        ticks,
        [
            HASH_INTERVAL + 1,
            HASH_INTERVAL,
            HASH_INTERVAL - 1,
            2,
            HASH_INTERVAL + 1
        ]
    );
}

#[test]
fn a_clean_link_decodes_everything() {
    let link = Link {
        loss: 0,
        double: 0,
        delay: 3,
        jitter: 0,
    };
    let outcome = play(&link, 3000, 64, 900, 1);
    assert_eq!(outcome.decoded, 2997);
    assert_eq!(outcome.missing, 0);
    // Two keyframes until the first acknowledgment is there, and every 64th snapshot after them.
    let compared = 2 + (2997 - 7) / u64::from(HASH_INTERVAL);
    let expected = HashCounters {
        compared,
        listed: compared - 2,
        different: 0,
    };
    assert_eq!(outcome.hashes, expected);
    assert_eq!(outcome.events, outcome.sent_events);
}

#[test]
fn loss_doubles_and_disorder_never_decode_to_something_else() {
    // The last ones have no room for all, so that much is sent late or in its turn.
    let cases = [
        (2, 1, 900),
        (3, 10, 900),
        (4, 40, 900),
        (5, 10, 160),
        (6, 40, 120),
    ];
    for (seed, loss, budget) in cases {
        let link = Link {
            loss,
            double: 5,
            delay: 4,
            jitter: 5,
        };
        let outcome = play(&link, 3000, 64, budget, seed);
        assert!(outcome.decoded > 3000 * (95 - u32::from(loss)) / 100);
        assert_eq!(outcome.missing, 0, "{loss} % loss");
        assert_eq!(outcome.hashes.different, 0, "{seed}");
        assert!(outcome.hashes.compared > 10, "{seed}");
        assert_eq!(outcome.events, outcome.sent_events);
    }
}

#[test]
fn a_client_that_was_away_gets_a_keyframe_and_catches_up() {
    let mut crowd = Crowd::new(32, 0, 9);
    let space = Space::new(32, 0);
    let mut encoder = Encoder::new(space);
    let mut view = ClientView::new(space);
    let mut decoder = Decoder::default();
    let recipient = Recipient {
        own: None,
        center: (0.0, 0.0),
        radius: 100.0,
        always: &[],
        detail: Detail::Full,
        budget: 900,
        decompresses: true,
    };
    let mut out = [0; 1200];
    let mut keyframes = 0;
    for now in 1..=400_u32 {
        encoder.publish(&crowd.step());
        let length = encoder
            .encode(&mut view, &recipient, &Header::default(), &mut out)
            .unwrap();
        keyframes += u32::from(out[1] & 2 != 0);
        if (100..200).contains(&now) {
            continue;
        }
        decoder.decode(&out[1..length], &mut Vec::new()).unwrap();
        view.acknowledge(decoder.ack().unwrap());
    }
    // One to join, and while it was away one every six ticks after the baseline was too old.
    assert_eq!(keyframes, 1 + (200 - 148_u32).div_ceil(6));
    assert!(view.lost() > 0);
    for (state, _) in decoder.entities() {
        assert_eq!(encoder.frames().get(Tick(400), state.id.0), Some(state));
    }
    // A new connection starts from nothing on both ends.
    view.reset();
    decoder.reset();
    encoder.publish(&crowd.step());
    let length = encoder
        .encode(&mut view, &recipient, &Header::default(), &mut out)
        .unwrap();
    decoder.decode(&out[1..length], &mut Vec::new()).unwrap();
    assert_eq!(decoder.entities().count(), 32);
    assert_eq!(decoder.hashes().different, 0);
}

#[test]
fn who_leaves_the_view_is_forgotten_and_not_seen() {
    let mut crowd = Crowd::new(64, 0, 11);
    let space = Space::new(64, 0);
    let mut encoder = Encoder::new(space);
    let mut view = ClientView::new(space);
    let mut decoder = Decoder::default();
    let radius = 25.0;
    for now in 1..=2000 {
        let frame = crowd.step();
        encoder.publish(&frame);
        let center = frame.entities[0].position();
        let recipient = Recipient {
            own: Some(PlayerSlot(0)),
            center: (center.x, center.z),
            radius,
            always: &[EntityId(5)],
            detail: Detail::Reduced,
            budget: 900,
            decompresses: true,
        };
        let mut out = [0; 1200];
        let length = encoder
            .encode(&mut view, &recipient, &Header::default(), &mut out)
            .unwrap();
        // One of three is lost.
        if now % 3 != 0 {
            decoder.decode(&out[1..length], &mut Vec::new()).unwrap();
            view.acknowledge(decoder.ack().unwrap());
        }
        for state in decoder.snapshot(Tick(now)).unwrap_or_default() {
            let distance = state.position().distance(center);
            assert!(distance < radius * 1.13 || state.id == EntityId(5));
            assert_ne!(state.id, EntityId(0));
        }
        if now > 10 && now % 3 == 2 {
            for state in &frame.entities[1..] {
                let distance = state.position().distance(center);
                let known = decoder.entity(state.id).is_some();
                assert!(
                    known || distance > radius * 0.98,
                    "{:?} is missing",
                    state.id
                );
                assert!(!known || distance < radius * 1.16 || state.id == EntityId(5));
            }
        }
    }
    // The list of whom the client knows is a part of what was compared.
    assert_eq!(decoder.hashes().different, 0);
    assert!(decoder.hashes().listed > 15);
}
