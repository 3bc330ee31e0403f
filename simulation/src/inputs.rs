//! Inputs on the wire: every tick, with all that the server may have missed.
//!
//! A packet is about 20 bytes. It carries the newest inputs, so that a lost packet costs nothing
//! if one of the next ones arrives, and acknowledges snapshots. The server keeps them in an
//! [`InputBuffer`] until their tick; a client keeps its own in an [`InputSender`] until they are
//! executed.
//!
//! ```text
//! u8 payload kind (0) | newest tick 32 | has ack 1 [ack 16 | earlier 32] | count 4 | inputs
//! ```

mod buffer;
mod sender;

pub use buffer::{Arrival, InputBuffer, InputCounters, MAX_LEAD};
pub use sender::InputSender;

use crate::bits::{BitReader, BitWriter, Error, Fragment};
use crate::codec::{push_difference, read_difference};
use crate::input::{Buttons, Input};
use crate::payload;
use crate::snapshot::Ack;
use crate::tick::Tick;

/// Most inputs in one packet.
pub const MAX_REDUNDANCY: usize = 10;

/// No input packet is longer, with the payload kind.
pub const MAX_PACKET: usize = 96;

/// Oldest moment that an input can refer to, in ticks before its own. Far beyond what the server
/// rewinds; what is older is sent as this.
pub const OLDEST_VIEW: u32 = 127;

const VIEW_BITS: u32 = 7;
const AIM_CLASSES: [u32; 4] = [0, 5, 9, 16];

/// What a client sends in every tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InputPacket {
    /// The tick of the first of the inputs.
    pub newest: Tick,
    /// The snapshots that the client has.
    pub ack: Option<Ack>,
    inputs: [Input; MAX_REDUNDANCY],
    count: usize,
}

impl InputPacket {
    /// A packet without inputs, such as a spectator sends.
    pub fn new(newest: Tick, ack: Option<Ack>) -> Self {
        Self {
            newest,
            ack,
            ..Self::default()
        }
    }

    /// Adds the input of the tick before the oldest so far. Returns whether there was room.
    pub fn push_older(&mut self, input: Input) -> bool {
        let room = self.count < MAX_REDUNDANCY.min(self.newest.0 as usize);
        if room {
            self.inputs[self.count] = input;
            self.count += 1;
        }
        room
    }

    /// The inputs with their ticks, the newest first.
    pub fn inputs(&self) -> impl Iterator<Item = (Tick, &Input)> {
        (0..)
            .map(|age| self.newest.before(age))
            .zip(&self.inputs[..self.count])
    }

    /// Encodes the whole payload with its kind. Returns the length.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, Error> {
        let mut writer = BitWriter::new(out);
        writer.write(payload::Kind::Fast.byte().into(), 8)?;
        writer.write(self.newest.0.into(), 32)?;
        writer.flag(self.ack.is_some())?;
        if let Some(ack) = self.ack {
            writer.write(ack.newest.0.into(), 16)?;
            writer.write(ack.earlier.into(), 32)?;
        }
        writer.write(self.count as u64, 4)?;
        let mut newer = None;
        for (tick, input) in self.inputs() {
            writer.append(&encode_input(tick, input, newer))?;
            newer = Some(*input);
        }
        Ok(writer.finish())
    }

    /// Decodes what follows the payload's kind.
    pub fn decode(rest: &[u8]) -> Result<Self, Error> {
        let mut reader = BitReader::new(rest);
        let newest = Tick(reader.read_u32(32)?);
        let ack = if reader.flag()? {
            Some(Ack {
                newest: nearest(newest, reader.read_u16(16)?),
                earlier: reader.read_u32(32)?,
            })
        } else {
            None
        };
        let count = reader.read_u8(4)?;
        if usize::from(count) > MAX_REDUNDANCY.min(newest.0 as usize) {
            return Err(Error::Range);
        }
        let mut packet = Self::new(newest, ack);
        let mut newer = None;
        for age in 0..u32::from(count) {
            let input = decode_input(&mut reader, newest.before(age), newer)?;
            packet.push_older(input);
            newer = Some(input);
        }
        Ok(packet)
    }
}

/// The tick with these lower 16 bits that is nearest to another.
fn nearest(to: Tick, low: u16) -> Tick {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "half of the circle is behind"
    )]
    let ahead = low.wrapping_sub(to.0 as u16) as i16;
    Tick(to.0.saturating_add_signed(ahead.into()))
}

/// How many ticks before its own an input refers to.
fn view_age(tick: Tick, view: Tick) -> u32 {
    tick.0.saturating_sub(view.0).min(OLDEST_VIEW)
}

fn encode_input(tick: Tick, input: &Input, newer: Option<Input>) -> Fragment {
    let mut fragment = Fragment::default();
    let age = view_age(tick, input.view);
    let movement = [input.east, input.north].map(|part| u64::from(part.cast_unsigned()));
    let movement = movement[0] | movement[1] << 8;
    let view = u64::from(age) | u64::from(input.view_fraction) << VIEW_BITS;
    if let Some(newer) = newer {
        let moved = (input.east, input.north) != (newer.east, newer.north);
        fragment.flag(moved);
        if moved {
            fragment.push(movement, 16);
        }
        push_difference(&mut fragment, input.aim, newer.aim, &AIM_CLASSES);
        fragment.flag(input.buttons != newer.buttons);
        if input.buttons != newer.buttons {
            fragment.push(input.buttons.0.into(), 8);
        }
        // Both clocks run on, so the age mostly stays as it is.
        let same =
            age == view_age(tick.next(), newer.view) && input.view_fraction == newer.view_fraction;
        fragment.flag(!same);
        if !same {
            fragment.push(view, VIEW_BITS + 8);
        }
    } else {
        fragment.push(movement, 16);
        fragment.push(input.aim.into(), 16);
        fragment.push(input.buttons.0.into(), 8);
        fragment.push(view, VIEW_BITS + 8);
    }
    fragment
}

fn decode_input(
    reader: &mut BitReader<'_>,
    tick: Tick,
    newer: Option<Input>,
) -> Result<Input, Error> {
    let mut input = newer.unwrap_or_default();
    let is_first = newer.is_none();
    if is_first || reader.flag()? {
        input.east = reader.read_u8(8)?.cast_signed();
        input.north = reader.read_u8(8)?.cast_signed();
    }
    input.aim = if is_first {
        reader.read_u16(16)?
    } else {
        read_difference(reader, input.aim, &AIM_CLASSES)?
    };
    if is_first || reader.flag()? {
        input.buttons = Buttons(reader.read_u8(8)?);
    }
    if is_first || reader.flag()? {
        input.view = tick.before(reader.read_u32(VIEW_BITS)?);
        input.view_fraction = reader.read_u8(8)?;
    } else {
        input.view = tick.before(view_age(tick.next(), input.view));
    }
    Ok(input)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn input()(
            east: i8, north: i8, aim: u16, buttons: u8, view in 0_u32..=OLDEST_VIEW, view_fraction: u8,
        ) -> Input {
            Input { east, north, aim, buttons: Buttons(buttons), view: Tick(view), view_fraction }
        }
    }

    proptest! {
        #[test]
        fn packets_come_back(
            newest in 200_u32..,
            ack in prop::option::of((-2000_i32..2000, any::<u32>())),
            inputs in prop::collection::vec((input(), any::<bool>()), 0..=MAX_REDUNDANCY),
        ) {
            let ack = ack.map(|(ahead, earlier)| Ack {
                newest: Tick(newest.saturating_add_signed(ahead)),
                earlier,
            });
            let mut packet = InputPacket::new(Tick(newest), ack);
            let mut last: Option<Input> = None;
            for (age, (input, repeats)) in (0..).zip(inputs) {
                let tick = Tick(newest - age);
                let mut input = Input { view: tick.before(input.view.0), ..input };
                if let (true, Some(last)) = (repeats, last) {
                    input = Input { view: last.view.before(1), aim: last.aim ^ 3, ..last };
                }
                prop_assert!(packet.push_older(input));
                last = Some(input);
            }
            let mut buffer = [0; MAX_PACKET];
            let used = packet.encode(&mut buffer).unwrap();
            let (kind, rest) = payload::split(&buffer[..used]).unwrap();
            prop_assert_eq!(kind, payload::Kind::Fast);
            prop_assert_eq!(InputPacket::decode(rest).unwrap(), packet);
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(packet) = InputPacket::decode(&bytes) {
                // What was decoded can be encoded, and means the same.
                let mut buffer = [0; MAX_PACKET];
                let used = packet.encode(&mut buffer).unwrap();
                prop_assert_eq!(InputPacket::decode(&buffer[1..used]).unwrap(), packet);
            }
        }
    }

    #[test]
    fn four_inputs_take_about_twenty_bytes() {
        let ack = Ack {
            newest: Tick(990),
            earlier: u32::MAX,
        };
        let mut packet = InputPacket::new(Tick(1000), Some(ack));
        for age in 0..4_u16 {
            packet.push_older(Input {
                east: 127,
                north: 0,
                aim: 500 + 10 * age,
                buttons: Buttons::FIRE,
                view: Tick(985 - u32::from(age)),
                view_fraction: 7,
            });
        }
        let used = packet.encode(&mut [0; MAX_PACKET]).unwrap();
        assert!(used <= 24, "{used} bytes");
    }
}
