//! How one entity becomes bits: in full, or as what changed since a baseline.
//!
//! Everything here is a pure function of states that both ends have, so that a [`Fragment`] can be
//! encoded once and appended to the packets of all clients with the same baseline.
//!
//! What moves is predicted first: from the baseline and an earlier state that the client has as
//! well, in a straight line to the encoded tick. Only the difference to that is sent. Velocities
//! are never sent at all: one that both ends compute costs no bits.

use crate::bits::{BitReader, BitWriter, Error, Fragment};
use crate::entity::EntityId;
use crate::frame::{EntityFlags, EntityState, HEIGHT_BITS, YAW_BITS};

/// Bits of an entity's id.
pub const ID_BITS: u32 = 11;
/// Ids on the wire are below this; entities with other ids cannot be sent.
pub const ID_LIMIT: u16 = 1 << ID_BITS;

/// How many ticks before the baseline the earlier state of a prediction is, by the number that
/// stands for it on the wire; number 0 is no prediction. The longer, the less rounding it has; the
/// shorter, the sooner it knows of a turn. `tests/sizes.rs` shows what they save.
pub const SPANS: [u32; 4] = [0, 2, 3, 4];

/// Bits of a difference, by class: with a prediction, and without.
const GROUND_CLASSES: [[u32; 4]; 2] = [[5, 7, 9, 16], [0, 3, 6, 16]];
const YAW_CLASSES: [u32; 4] = [0, 4, 7, YAW_BITS];
const HEIGHT_CLASSES: [u32; 4] = [2, 4, 6, HEIGHT_BITS];
/// Bits of what a gap between two ids exceeds 1 by, per class; the first is for neighbors.
const GAP_CLASSES: [u32; 3] = [3, 6, ID_BITS];

/// What an entity is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baseline<'a> {
    /// Its state at the baseline's tick.
    pub state: &'a EntityState,
    /// Ticks from the baseline to the encoded tick.
    pub age: u32,
    /// Its state before the baseline, and the number of its span in [`SPANS`], if the client has
    /// one.
    pub earlier: Option<(&'a EntityState, usize)>,
}

/// Where an entity would be if it had gone on in a straight line.
struct Predicted {
    x: u16,
    z: u16,
    classes: [u32; 4],
}

impl Predicted {
    fn new(baseline: &Baseline<'_>) -> Self {
        let state = baseline.state;
        match baseline.earlier {
            Some((earlier, number)) => Self {
                x: extrapolate(earlier.x, state.x, SPANS[number & 3], baseline.age),
                z: extrapolate(earlier.z, state.z, SPANS[number & 3], baseline.age),
                classes: GROUND_CLASSES[1],
            },
            None => Self {
                x: state.x,
                z: state.z,
                classes: GROUND_CLASSES[0],
            },
        }
    }
}

/// The value `age` ticks after `to`, which was `span` ticks after `from`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "differences wrap around alike on both ends"
)]
fn extrapolate(from: u16, to: u16, span: u32, age: u32) -> u16 {
    let step = i32::from(to.wrapping_sub(from) as i16);
    to.wrapping_add((step * age as i32 / span.max(1) as i32) as u16)
}

/// Encodes all of an entity but its id.
pub fn encode_full(state: &EntityState) -> Fragment {
    let mut fragment = Fragment::default();
    fragment.push(state.x.into(), 16);
    fragment.push(state.z.into(), 16);
    fragment.push(state.y.into(), HEIGHT_BITS);
    fragment.push(state.yaw.into(), YAW_BITS);
    fragment.push(state.health.into(), 8);
    fragment.push(state.flags.0.into(), EntityFlags::BITS);
    fragment
}

/// Decodes what [`encode_full`] has encoded.
pub fn decode_full(reader: &mut BitReader<'_>, id: EntityId) -> Result<EntityState, Error> {
    Ok(EntityState {
        id,
        x: reader.read_u16(16)?,
        z: reader.read_u16(16)?,
        y: reader.read_u16(HEIGHT_BITS)?,
        yaw: reader.read_u16(YAW_BITS)?,
        health: reader.read_u8(8)?,
        flags: EntityFlags(reader.read_u8(EntityFlags::BITS)?),
    })
}

/// Encodes what changed since a baseline of the same entity. What is equal to it takes one bit.
pub fn encode_delta(state: &EntityState, baseline: &Baseline<'_>) -> Fragment {
    let base = baseline.state;
    let mut fragment = Fragment::default();
    fragment.flag(state != base);
    if state == base {
        return fragment;
    }
    let number = baseline.earlier.map_or(0, |(_, number)| number & 3);
    fragment.push(number as u64, 2);
    let predicted = Predicted::new(baseline);
    push_difference(&mut fragment, state.x, predicted.x, &predicted.classes);
    push_difference(&mut fragment, state.z, predicted.z, &predicted.classes);
    push_difference(&mut fragment, state.yaw, base.yaw, &YAW_CLASSES);
    let rest = (state.y, state.health, state.flags) != (base.y, base.health, base.flags);
    fragment.flag(rest);
    if rest {
        fragment.flag(state.y != base.y);
        if state.y != base.y {
            push_difference(&mut fragment, state.y, base.y, &HEIGHT_CLASSES);
        }
        fragment.flag(state.health != base.health);
        if state.health != base.health {
            fragment.push(state.health.into(), 8);
        }
        fragment.flag(state.flags != base.flags);
        if state.flags != base.flags {
            fragment.push(state.flags.0.into(), EntityFlags::BITS);
        }
    }
    fragment
}

/// What a decoder knows of an entity; see [`decode_delta`].
pub trait Past {
    /// The state at the baseline's tick.
    fn state(&self) -> EntityState;
    /// The state this many ticks before the baseline, if it is there.
    fn earlier(&self, span: u32) -> Option<EntityState>;
}

/// Why an entity could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// The data ends too early.
    #[error("a delta could not be read")]
    Bits(#[from] Error),
    /// A state that the delta builds on is not there.
    #[error("a state that a prediction needs is not there")]
    MissingEarlier,
}

/// Decodes what [`encode_delta`] has encoded against a baseline that is `age` ticks old.
pub fn decode_delta(
    reader: &mut BitReader<'_>,
    past: &impl Past,
    age: u32,
) -> Result<EntityState, DeltaError> {
    let base = past.state();
    if !reader.flag()? {
        return Ok(base);
    }
    let number = usize::from(reader.read_u8(2)?);
    let earlier = match SPANS[number] {
        0 => None,
        span => Some(past.earlier(span).ok_or(DeltaError::MissingEarlier)?),
    };
    let predicted = Predicted::new(&Baseline {
        state: &base,
        age,
        earlier: earlier.as_ref().map(|earlier| (earlier, number)),
    });
    let mut state = base;
    state.x = read_difference(reader, predicted.x, &predicted.classes)?;
    state.z = read_difference(reader, predicted.z, &predicted.classes)?;
    state.yaw = read_difference(reader, base.yaw, &YAW_CLASSES)?;
    if reader.flag()? {
        if reader.flag()? {
            state.y = read_difference(reader, base.y, &HEIGHT_CLASSES)?;
        }
        if reader.flag()? {
            state.health = reader.read_u8(8)?;
        }
        if reader.flag()? {
            state.flags = EntityFlags(reader.read_u8(EntityFlags::BITS)?);
        }
    }
    Ok(state)
}

/// Small differences of either sign as small numbers: 0, -1, 1, -2, 2 ... as 0, 1, 2, 3, 4 ...,
/// around the circle of `bits`.
fn fold(value: u16, from: u16, bits: u32) -> u16 {
    let up = 16 - bits;
    #[expect(clippy::cast_possible_wrap, reason = "half of the circle is negative")]
    let difference = ((value.wrapping_sub(from) << up) as i16) >> up;
    #[expect(clippy::cast_sign_loss, reason = "the sign was folded in")]
    let folded = ((difference << 1) ^ (difference >> 15)) as u16;
    folded
}

/// The value that [`fold`] has folded.
fn unfold(folded: u16, from: u16, bits: u32) -> u16 {
    let difference = (folded >> 1) ^ (folded & 1).wrapping_neg();
    from.wrapping_add(difference) & (u16::MAX >> (16 - bits))
}

/// Appends a value by its difference to another one; the last class covers the whole circle.
pub(crate) fn push_difference(fragment: &mut Fragment, value: u16, from: u16, classes: &[u32; 4]) {
    let folded = fold(value, from, classes[3]);
    let class = (0..3)
        .find(|class| u32::from(folded) < 1 << classes[*class])
        .unwrap_or(3);
    let both = (class as u64) | u64::from(folded) << 2;
    fragment.push(both, 2 + classes[class]);
}

/// Reads what [`push_difference`] has appended.
pub(crate) fn read_difference(
    reader: &mut BitReader<'_>,
    from: u16,
    classes: &[u32; 4],
) -> Result<u16, Error> {
    let class = usize::from(reader.read_u8(2)?);
    let folded = reader.read_u16(classes[class])?;
    Ok(unfold(folded, from, classes[3]))
}

/// Writes the next id of an ascending list, after `last`: neighbors take one bit.
pub fn write_next_id(
    writer: &mut BitWriter<'_>,
    last: Option<u16>,
    next: u16,
) -> Result<(), Error> {
    let gap = u64::from(next.wrapping_sub(last.map_or(0, |last| last + 1)));
    let (prefix, prefix_bits, bits) = match gap {
        0 => return writer.flag(false),
        _ if gap < 1 << GAP_CLASSES[0] => (0b01, 2, GAP_CLASSES[0]),
        _ if gap < 1 << GAP_CLASSES[1] => (0b011, 3, GAP_CLASSES[1]),
        _ => (0b111, 3, GAP_CLASSES[2]),
    };
    writer.write(prefix | gap << prefix_bits, prefix_bits + bits)
}

/// Ends a list of ids.
pub fn write_list_end(writer: &mut BitWriter<'_>) -> Result<(), Error> {
    // A gap of zero in its longest form, which no id takes.
    writer.write(0b111, 3 + ID_BITS)
}

/// Reads the next id of a list, or its end.
pub fn read_next_id(reader: &mut BitReader<'_>, last: Option<u16>) -> Result<Option<u16>, Error> {
    let bits = match reader.ones(3)? {
        0 => 0,
        class => GAP_CLASSES[class as usize - 1],
    };
    let gap = reader.read_u16(bits)?;
    if bits == ID_BITS && gap == 0 {
        return Ok(None);
    }
    let next = last.map_or(0, |last| last + 1) + gap;
    if next < ID_LIMIT {
        Ok(Some(next))
    } else {
        Err(Error::Range)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Known(EntityState, [EntityState; 4]);

    impl Past for Known {
        fn state(&self) -> EntityState {
            self.0
        }

        fn earlier(&self, span: u32) -> Option<EntityState> {
            SPANS
                .iter()
                .position(|known| *known == span)
                .map(|number| self.1[number])
        }
    }

    prop_compose! {
        fn state()(
            x in any::<u16>(), z in any::<u16>(), y in 0_u16..1024, yaw in 0_u16..1024,
            health in any::<u8>(), flags in 0_u8..16,
        ) -> EntityState {
            EntityState { id: EntityId(7), x, z, y, yaw, health, flags: EntityFlags(flags) }
        }
    }

    proptest! {
        #[test]
        fn states_come_back(
            now in state(), near in any::<bool>(), base in state(), earlier in state(),
            age in 0_u32..64, number in 0_usize..4,
        ) {
            let base = if near { EntityState { x: now.x ^ 3, yaw: now.yaw ^ 1, ..now } } else { base };
            let baseline = Baseline {
                state: &base,
                age,
                earlier: (number > 0).then_some((&earlier, number)),
            };
            let mut buffer = [0; 64];
            let mut writer = BitWriter::new(&mut buffer);
            writer.append(&encode_full(&now)).unwrap();
            writer.append(&encode_delta(&now, &baseline)).unwrap();
            writer.append(&encode_delta(&base, &baseline)).unwrap();
            let used = writer.finish();
            let mut reader = BitReader::new(&buffer[..used]);
            prop_assert_eq!(decode_full(&mut reader, now.id).unwrap(), now);
            let known = Known(base, [earlier; 4]);
            prop_assert_eq!(decode_delta(&mut reader, &known, age).unwrap(), now);
            prop_assert_eq!(decode_delta(&mut reader, &known, age).unwrap(), base);
        }

        #[test]
        fn folding_keeps_every_value(value in any::<u16>(), from in any::<u16>(), bits in 1_u32..=16) {
            let circle = u16::MAX >> (16 - bits);
            let folded = fold(value & circle, from & circle, bits);
            prop_assert!(folded <= circle);
            prop_assert_eq!(unfold(folded, from & circle, bits), value & circle);
        }

        #[test]
        fn lists_of_ids_come_back(ids in prop::collection::btree_set(0..ID_LIMIT, 0..100)) {
            let mut buffer = [0; 400];
            let mut writer = BitWriter::new(&mut buffer);
            let mut last = None;
            for id in &ids {
                write_next_id(&mut writer, last, *id).unwrap();
                last = Some(*id);
            }
            write_list_end(&mut writer).unwrap();
            let used = writer.finish();
            let mut reader = BitReader::new(&buffer[..used]);
            let mut last = None;
            for id in &ids {
                last = read_next_id(&mut reader, last).unwrap();
                prop_assert_eq!(last, Some(*id));
            }
            prop_assert_eq!(read_next_id(&mut reader, last).unwrap(), None);
        }
    }

    #[test]
    fn a_straight_run_costs_few_bits() {
        let at = |x| EntityState {
            id: EntityId(1),
            x,
            z: 500,
            y: 0,
            yaw: 3,
            health: 100,
            flags: EntityFlags::GROUNDED,
        };
        let (now, base, earlier) = (at(1060), at(1000), at(980));
        let predicted = Baseline {
            state: &base,
            age: 6,
            earlier: Some((&earlier, 1)),
        };
        assert_eq!(encode_delta(&now, &predicted).count(), 10);
        let plain = Baseline {
            earlier: None,
            ..predicted
        };
        assert_eq!(encode_delta(&now, &plain).count(), 22);
    }
}
