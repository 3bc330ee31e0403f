//! Inputs as differences to what was expected of a player: the last input, one tick later.

use super::Error;
use super::bytes::{Reader, Writer};
use crate::arena::Inputs;
use crate::entity::PlayerSlot;
use crate::input::{Buttons, Input};
use crate::tick::Tick;

/// What differs from what was expected, one bit each. With none there is no input.
const PRESENT: u8 = 1;
const MOVE: u8 = 1 << 1;
const AIM: u8 = 1 << 2;
const BUTTONS: u8 = 1 << 3;
const VIEW: u8 = 1 << 4;
const FRACTION: u8 = 1 << 5;

/// What is expected of every slot.
#[derive(Debug)]
pub(super) struct Deltas(Vec<Expected>);

#[derive(Debug, Clone, Copy, Default)]
struct Expected {
    input: Input,
    present: bool,
}

impl Deltas {
    pub(super) fn new(capacity: u16) -> Self {
        Self(vec![Expected::default(); usize::from(capacity)])
    }

    /// Writes how many slots are not as expected, and then each: how many slots further it is, what
    /// differs, and that.
    pub(super) fn write(&mut self, writer: &mut Writer, inputs: &Inputs) {
        let entries = || inputs.iter().zip(&self.0);
        let differ = entries().filter(|((_, input), expected)| expected.differs(*input));
        writer.number(u32::try_from(differ.count()).unwrap_or(u32::MAX));
        let mut next = 0;
        for ((slot, input), expected) in inputs.iter().zip(&mut self.0) {
            if expected.differs(input) {
                writer.number(u32::from(slot.0 - next));
                expected.write(writer, input);
                next = slot.0 + 1;
            }
            expected.follow(input);
        }
    }

    pub(super) fn read(
        &mut self,
        reader: &mut Reader<'_>,
        inputs: &mut Inputs,
    ) -> Result<(), Error> {
        for (index, expected) in (0..).zip(&self.0) {
            inputs.set(
                PlayerSlot(index),
                expected.present.then_some(expected.input),
            );
        }
        let mut next = 0_u16;
        for _ in 0..reader.small()? {
            let slot = next.checked_add(reader.small()?);
            let expected = slot.and_then(|slot| self.0.get(usize::from(slot)));
            let (slot, expected) = slot.zip(expected).ok_or_else(|| reader.malformed())?;
            inputs.set(PlayerSlot(slot), expected.read(reader)?);
            next = slot + 1;
        }
        for (index, expected) in (0..).zip(&mut self.0) {
            expected.follow(inputs.get(PlayerSlot(index)));
        }
        Ok(())
    }
}

impl Expected {
    fn differs(&self, input: Option<Input>) -> bool {
        self.present.then_some(self.input) != input
    }

    /// Takes over the input of a tick, and expects the same one tick later.
    fn follow(&mut self, input: Option<Input>) {
        self.present = input.is_some();
        if let Some(input) = input {
            self.input = Input {
                view: input.view.next(),
                ..input
            };
        }
    }

    fn write(&self, writer: &mut Writer, input: Option<Input>) {
        let Some(input) = input else {
            writer.byte(0);
            return;
        };
        let old = self.input;
        let moved = (input.east, input.north) != (old.east, old.north);
        let mask = [
            (moved, MOVE),
            (input.aim != old.aim, AIM),
            (input.buttons != old.buttons, BUTTONS),
            (input.view != old.view, VIEW),
            (input.view_fraction != old.view_fraction, FRACTION),
        ];
        let set = mask.iter().filter(|(differs, _)| *differs);
        let mask = set.fold(PRESENT, |mask, (_, bit)| mask | bit);
        writer.byte(mask);
        if mask & MOVE != 0 {
            writer.raw(&input.east.to_le_bytes());
            writer.raw(&input.north.to_le_bytes());
        }
        if mask & AIM != 0 {
            writer.raw(&input.aim.to_le_bytes());
        }
        if mask & BUTTONS != 0 {
            writer.byte(input.buttons.0);
        }
        if mask & VIEW != 0 {
            let ahead = input.view.0.wrapping_sub(old.view.0);
            // The lowest bit is the sign, so that both small steps back and forth are short.
            writer.number((ahead << 1) ^ 0_u32.wrapping_sub(ahead >> 31));
        }
        if mask & FRACTION != 0 {
            writer.byte(input.view_fraction);
        }
    }

    fn read(&self, reader: &mut Reader<'_>) -> Result<Option<Input>, Error> {
        let mask = reader.byte()?;
        if mask & PRESENT == 0 {
            return Ok(None);
        }
        let mut input = self.input;
        if mask & MOVE != 0 {
            input.east = i8::from_le_bytes([reader.byte()?]);
            input.north = i8::from_le_bytes([reader.byte()?]);
        }
        if mask & AIM != 0 {
            input.aim = u16::from_le_bytes([reader.byte()?, reader.byte()?]);
        }
        if mask & BUTTONS != 0 {
            input.buttons = Buttons(reader.byte()?);
        }
        if mask & VIEW != 0 {
            let coded = reader.number()?;
            let ahead = (coded >> 1) ^ 0_u32.wrapping_sub(coded & 1);
            input.view = Tick(input.view.0.wrapping_add(ahead));
        }
        if mask & FRACTION != 0 {
            input.view_fraction = reader.byte()?;
        }
        Ok(Some(input))
    }
}
