//! Whatever the ends come to disagree about, the next hash tells.

use proptest::prelude::*;

use super::*;
use crate::entity::PlayerSlot;
use crate::frame::{EntityFlags, WorldFrame};
use crate::interest::Detail;
use crate::snapshot::{ClientView, Encoder, HASH_INTERVAL, OwnState, Recipient, Space};

const PLAYERS: u16 = 12;
/// A player who runs, and a prop that lies still.
const RUNNING: EntityId = EntityId::player(PlayerSlot(4));
const LYING: EntityId = EntityId::prop(2);
/// The first snapshot is a keyframe with a hash.
const NEXT_HASH: u32 = 1 + HASH_INTERVAL;

fn frame(tick: u32) -> WorldFrame {
    let step = u16::try_from(tick).unwrap();
    let state = |id, x| EntityState {
        id,
        x,
        z: 32_700,
        y: 3,
        yaw: 100,
        health: 90,
        flags: EntityFlags::GROUNDED,
    };
    let players = (0..PLAYERS).map(|slot| {
        let id = EntityId::player(PlayerSlot(slot));
        state(id, 32_000 + 50 * slot + 7 * step * (slot % 3))
    });
    let props = (0..4).map(|index| state(EntityId::prop(index), 33_000 + index));
    WorldFrame {
        tick: Tick(tick),
        entities: players.chain(props).collect(),
    }
}

/// A match of one client who gets everything, until the snapshot before the one with a hash.
struct Match {
    encoder: Encoder,
    view: ClientView,
    decoder: Decoder,
}

impl Match {
    /// The server has this opinion of every frame.
    fn new(opinion: impl Fn(&mut WorldFrame)) -> Self {
        // There is room for one more.
        let space = Space::new(PLAYERS + 1, 4);
        let mut new = Self {
            encoder: Encoder::new(space),
            view: ClientView::new(space),
            decoder: Decoder::default(),
        };
        for tick in 1..NEXT_HASH {
            new.encoder.publish(&frame(tick));
            let rest = new.encode();
            new.take(&rest);
        }
        assert_eq!(new.compared(), (1, 0));
        // As if it had had it from the start.
        new.encoder = Encoder::new(space);
        for tick in 1..=NEXT_HASH {
            let mut frame = frame(tick);
            opinion(&mut frame);
            new.encoder.publish(&frame);
        }
        new
    }

    fn encode(&mut self) -> Vec<u8> {
        let recipient = Recipient {
            own: Some(PlayerSlot(0)),
            center: (0.0, 0.0),
            radius: 100.0,
            always: &[],
            detail: Detail::Full,
            budget: 900,
            decompresses: true,
        };
        let header = Header {
            own: Some(OwnState::default()),
            ..Header::default()
        };
        let mut out = [0; 900];
        let encoded = self
            .encoder
            .encode(&mut self.view, &recipient, &header, &mut out);
        out[1..encoded.unwrap()].to_vec()
    }

    fn take(&mut self, rest: &[u8]) {
        self.decoder.decode(rest, &mut Vec::new()).unwrap();
        self.view.acknowledge(self.decoder.ack().unwrap());
    }

    fn compared(&self) -> (u64, u64) {
        let HashCounters {
            compared,
            different,
            ..
        } = self.decoder.hashes();
        (compared, different)
    }

    /// How often the client differed, once the next hash came.
    fn differences(mut self) -> u64 {
        let rest = self.encode();
        assert_ne!(rest[0] & HASH, 0);
        self.take(&rest);
        let (compared, different) = self.compared();
        assert_eq!(compared, 2);
        different
    }

    fn newest(&mut self, id: EntityId) -> &mut Newest {
        let place = self.decoder.place(id).unwrap();
        &mut self.decoder.newest[place]
    }
}

/// Changes one bit of what is sent of a state; there are as many as `BITS`.
fn flip(state: &mut EntityState, bit: u32) {
    match bit {
        0..16 => state.x ^= 1 << bit,
        16..32 => state.z ^= 1 << (bit - 16),
        32..42 => state.y ^= 1 << (bit - 32),
        42..52 => state.yaw ^= 1 << (bit - 42),
        52..60 => state.health ^= 1 << (bit - 52),
        _ => state.flags.0 ^= 1 << (bit - 60),
    }
}

const BITS: u32 = 64;

proptest! {
    #[test]
    fn a_wrong_bit_in_what_a_client_keeps_is_found(bit in 0..BITS) {
        let mut one = Match::new(|_| {});
        flip(&mut one.newest(LYING).state, bit);
        prop_assert_eq!(one.differences(), 1);
    }

    #[test]
    fn a_wrong_bit_in_what_the_server_thinks_is_found(bit in 0..BITS) {
        let one = Match::new(|frame| {
            let lying = frame.entities.iter_mut().find(|state| state.id == LYING);
            flip(lying.unwrap(), bit);
        });
        prop_assert_eq!(one.differences(), 1);
    }

    #[test]
    fn a_wrong_bit_in_the_baseline_of_either_end_is_found(bit in 0_u32..32) {
        let before = Tick(NEXT_HASH - 1);
        let mut one = Match::new(|_| {});
        let frame = &mut one.decoder.frames[(before.0 % REMEMBERED) as usize];
        let place = frame.entities.binary_search_by_key(&RUNNING, |state| state.id);
        flip(&mut frame.entities[place.unwrap()], bit);
        prop_assert_eq!(one.differences(), 1);

        let other = Match::new(|frame| {
            let running = frame.entities.iter_mut().find(|state| state.id == RUNNING);
            if frame.tick == before {
                flip(running.unwrap(), bit);
            }
        });
        prop_assert_eq!(other.differences(), 1);
    }

    /// Bytes of the header that the client cannot check otherwise, and the hash itself.
    #[test]
    fn a_wrong_own_state_is_found(bit in 0_usize..32) {
        let mut one = Match::new(|_| {});
        let mut rest = one.encode();
        // The first coordinate of the own state, after the flags and the rest of the header.
        let place = 8 + 67 + bit;
        rest[place / 8] ^= 1 << (place % 8);
        prop_assume!(one.decoder.decode(&rest, &mut Vec::new()).is_ok());
        prop_assert_eq!(one.compared(), (2, 1));
    }
}

#[test]
fn ends_that_agree_have_the_same_hash() {
    assert_eq!(Match::new(|_| {}).differences(), 0);
}

#[test]
fn who_is_missing_and_who_should_be_gone_is_found() {
    let mut missing = Match::new(|_| {});
    missing.newest(LYING).alive = false;
    assert_eq!(missing.differences(), 1);

    let mut ghost = Match::new(|_| {});
    let gone = EntityId::player(PlayerSlot(PLAYERS));
    let mut state = ghost.newest(LYING).state;
    state.id = gone;
    let place = ghost.decoder.place(gone).unwrap_err();
    let newest = Newest {
        state,
        tick: Tick(5),
        alive: true,
    };
    ghost.decoder.newest.insert(place, newest);
    assert_eq!(ghost.differences(), 1);
}

#[test]
fn a_hash_that_comes_after_a_newer_snapshot_is_not_compared() {
    let mut one = Match::new(|_| {});
    let with_hash = one.encode();
    one.encoder.publish(&frame(NEXT_HASH + 1));
    let newer = one.encode();
    one.take(&newer);
    one.take(&with_hash);
    assert_eq!(one.compared(), (1, 0));
}

#[test]
fn what_is_older_than_the_memory_brings_nobody_back() {
    let mut one = Match::new(|_| {});
    let late = one.encode();
    // All snapshots between them were lost, so the place of the late one is still free.
    for tick in NEXT_HASH + 1..=NEXT_HASH + REMEMBERED + 1 {
        one.encoder.publish(&frame(tick));
        let rest = one.encode();
        if tick > NEXT_HASH + REMEMBERED {
            one.take(&rest);
        }
    }
    let taken = one.decoder.decode(&late, &mut Vec::new());
    assert_eq!(taken, Err(DecodeError::Old));
}
