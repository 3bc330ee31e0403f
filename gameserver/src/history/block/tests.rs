//! Tests of the packing.

use proptest::prelude::*;

use super::*;

/// A frame's entities from any, by the rules of frames: ascending, each id once.
fn sorted(mut entities: Vec<EntityState>) -> Vec<EntityState> {
    entities.sort_by_key(|entity| entity.id);
    entities.dedup_by_key(|entity| entity.id);
    entities
}

fn any_entity(ids: u16) -> impl Strategy<Value = EntityState> {
    (0..ids, any::<[u8; PLANES]>()).prop_map(|(id, bytes)| state(EntityId(id), bytes))
}

prop_compose! {
    /// Frames with few ids, so that many of them stay, leave and come back.
    fn any_frames()(
        start in 0..u32::MAX - 100,
        worlds in prop::collection::vec(
            prop::collection::vec(any_entity(40), 0..30), 1..=MOST_FRAMES,
        ),
    ) -> Vec<WorldFrame> {
        let mut tick = Tick(start);
        worlds
            .into_iter()
            .map(|entities| {
                tick = tick.next();
                WorldFrame { tick, entities: sorted(entities) }
            })
            .collect()
    }
}

fn collect(frames: &[WorldFrame]) -> Frames {
    let mut collected = Frames {
        match_id: MatchId([7; 16]),
        taken_at: Timestamp::from_microsecond(1_800_000_000_123_456).unwrap(),
        ..Frames::default()
    };
    for frame in frames {
        assert!(collected.push(frame));
    }
    collected
}

fn pack(frames: &[WorldFrame]) -> Block {
    Encoder::default().encode(&collect(frames)).unwrap()
}

/// A block with this body, whose checksum is right.
fn forged(ticks: u16, encoding: u8, body: &[u8]) -> Block {
    let mut block = Block {
        match_id: MatchId::default(),
        start: Tick(1),
        ticks,
        taken_at: 0,
        format: FORMAT,
        payload: vec![0, 0, 0, 0, encoding],
    };
    block.payload.extend_from_slice(body);
    let checksum = block.checksum(&block.payload[4..]);
    block.payload[..4].copy_from_slice(&checksum.to_le_bytes());
    block
}

proptest! {
    #[test]
    fn what_was_packed_comes_out(one in any_frames(), two in any_frames()) {
        // With contexts and memory that were used before.
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for frames in [one, two] {
            let block = encoder.encode(&collect(&frames)).unwrap();
            prop_assert_eq!(usize::from(block.ticks), frames.len());
            prop_assert_eq!(block.start, frames[0].tick);
            prop_assert!(block.payload.len() <= MOST_PAYLOAD);
            prop_assert_eq!(decoder.decode(&block).unwrap(), frames);
        }
    }

    #[test]
    fn a_changed_bit_is_noticed(frames in any_frames(), place: prop::sample::Index, bit in 0..8) {
        let block = pack(&frames);
        let mut other = block.clone();
        other.payload[place.index(block.payload.len())] ^= 1_u8 << bit;
        prop_assert_eq!(Decoder::default().decode(&other), Err(Error::Checksum));
        // Nor can a block pass for another.
        let others = [
            Block { match_id: MatchId([8; 16]), ..block.clone() },
            Block { start: block.start.next(), ..block.clone() },
            Block { ticks: block.ticks ^ 1, ..block.clone() },
            Block { taken_at: block.taken_at + 1, ..block.clone() },
            Block { format: FORMAT + 1, ..block },
        ];
        for other in others {
            prop_assert_eq!(other.verify(), Err(Error::Checksum));
        }
    }

    #[test]
    fn bytes_of_anybody_are_refused_or_make_sense(
        ticks: u16,
        encoding in 0..3_u8,
        body in prop::collection::vec(prop_oneof![3 => 0..4_u8, 1 => any::<u8>()], 0..400),
    ) {
        if let Ok(frames) = Decoder::default().decode(&forged(ticks, encoding, &body)) {
            prop_assert_eq!(frames.len(), usize::from(ticks));
            // Whatever comes out is sound, and could be packed.
            let _ = pack(&frames);
        }
    }

    #[test]
    fn a_match_is_named_by_its_uuid(bytes: [u8; 16]) {
        let id = MatchId(bytes);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(id.to_string().replace('-', "").to_uppercase().parse(), Ok(id));
    }
}

#[test]
fn only_uuids_name_matches() {
    let id: MatchId = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
    assert_eq!(id.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    for bad in [
        "",
        "00112233",
        "+0112233445566778899aabbccddeeff",
        "../../etc",
    ] {
        assert_eq!(bad.parse::<MatchId>(), Err(NotAMatch), "{bad}");
    }
}

#[test]
fn frames_are_those_of_one_second_without_a_gap() {
    let frame = |tick| WorldFrame {
        tick: Tick(tick),
        entities: Vec::new(),
    };
    let mut frames = Frames::default();
    assert!(frames.push(&frame(100)));
    for gap in [99, 100, 102] {
        assert!(!frames.push(&frame(gap)));
    }
    for tick in 101..160 {
        assert!(frames.push(&frame(tick)));
    }
    assert!(frames.is_full());
    assert!(!frames.push(&frame(160)));
    assert_eq!(Encoder::default().encode(&frames).unwrap().ticks, 60);
    frames.clear();
    assert!(Encoder::default().encode(&frames).is_none());
}

#[test]
fn frames_that_no_match_has_are_refused() {
    let entities = |ids: &[u16]| WorldFrame {
        tick: Tick(1),
        entities: ids.iter().map(|&id| state(EntityId(id), [1; 10])).collect(),
    };
    let mut frames = Frames::default();
    assert!(!frames.push(&entities(&[2, 1])));
    assert!(!frames.push(&entities(&[1, 1])));
    let many: Vec<u16> = (0..=ID_LIMIT).collect();
    assert!(!frames.push(&entities(&many)));
    assert!(frames.push(&entities(&many[..MOST_ENTITIES])));
}

#[test]
fn the_fullest_block_fits() {
    // Every entity is replaced in every frame, by bytes that do not compress.
    let mut random = simulation::seeded::Random::new(1);
    let frames: Vec<_> = (0..u32::try_from(MOST_FRAMES).unwrap())
        .map(|tick| WorldFrame {
            tick: Tick(tick),
            entities: (0..ID_LIMIT)
                .map(|id| {
                    let mut bytes = [0; PLANES];
                    for byte in &mut bytes {
                        *byte = random.bits().to_le_bytes()[0];
                    }
                    state(EntityId(id * 2 + u16::from(tick % 2 == 1)), bytes)
                })
                .collect(),
        })
        .collect();
    let block = pack(&frames);
    assert!(block.payload.len() <= MOST_PAYLOAD);
    assert_eq!(Decoder::default().decode(&block).unwrap(), frames);
}

#[test]
fn a_bomb_does_not_go_off() {
    // Far longer than any body, from few bytes.
    let mut compressed = vec![0; 1 << 20];
    let long = vec![0; 4 * MOST_BODY];
    let length = Compressor::default()
        .compress(&long, &mut compressed)
        .unwrap();
    assert!(length < 1_000);
    let block = forged(60, COMPRESSED, &compressed[..length]);
    assert_eq!(Decoder::default().decode(&block), Err(Error::Malformed));
    // More ids than there can be, in a body that could hold them.
    let mut body = Vec::new();
    for number in [0, ID_LIMIT + 1] {
        body.extend_from_slice(&number.to_le_bytes());
    }
    body.resize(100_000, 1);
    let block = forged(1, AS_IT_IS, &body);
    assert_eq!(Decoder::default().decode(&block), Err(Error::Malformed));
}

#[test]
fn later_formats_are_named() {
    let mut block = forged(1, AS_IT_IS, &[0; 4]);
    assert_eq!(Decoder::default().decode(&block).unwrap().len(), 1);
    block.format = FORMAT + 1;
    let checksum = block.checksum(&block.payload[4..]);
    block.payload[..4].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(block.verify(), Ok(()));
    assert_eq!(Decoder::default().decode(&block), Err(Error::Format(2)));
}
