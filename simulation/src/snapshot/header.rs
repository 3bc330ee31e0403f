//! What stands before the entities of a snapshot, and how a client acknowledges one.

use glam::Vec3;

use super::REMEMBERED;
use crate::bits::{BitReader, BitWriter, Error};
use crate::mover::MoveState;
use crate::rules::Phase;
use crate::tick::Tick;

/// The state of a player as only that player gets it: all that prediction starts from.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct OwnState {
    /// Where it is and how it moves, bit for bit as the server has it.
    pub movement: MoveState,
    /// Hit points, 0 when down.
    pub health: u8,
    /// Ticks until the weapon is ready, and whatever else the rules count down. The wire does not
    /// look into it.
    pub cooldowns: [u8; 4],
}

/// Where the match is in its course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MatchClock {
    /// The phase, below 8; see [`Self::new`].
    pub phase: u8,
    /// Seconds until the phase ends, or since it began; the rules say which.
    pub seconds: u16,
}

impl MatchClock {
    /// The clock of a phase: 0 for waiting, 1 for the countdown, 2 for playing, 3 for ended.
    pub const fn new(phase: Phase, seconds: u16) -> Self {
        let phase = match phase {
            Phase::WaitingForPlayers => 0,
            Phase::Countdown => 1,
            Phase::Playing => 2,
            Phase::Ended(_) => 3,
        };
        Self { phase, seconds }
    }
}

/// What stands before the entities of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Header {
    /// The tick whose end the snapshot shows.
    pub tick: Tick,
    /// The newest tick whose input came in time and was executed.
    pub input: Option<Tick>,
    /// How early the client's newest input came, in quarters of a tick; negative if too late.
    pub margin: i8,
    /// Where the match is in its course.
    pub clock: MatchClock,
    /// The player's own state at the end of the tick; none for spectators.
    pub own: Option<OwnState>,
}

/// Which snapshots a client has decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ack {
    /// The newest.
    pub newest: Tick,
    /// Earlier ones: bit 0 is the tick before the newest.
    pub earlier: u32,
}

impl Ack {
    /// Whether the snapshot of a tick is among them.
    pub const fn contains(&self, tick: Tick) -> bool {
        match self.newest.since(tick) {
            0 => true,
            age @ 1..=32 => self.earlier >> (age - 1) & 1 == 1,
            _ => false,
        }
    }

    /// Adds the snapshot of a tick; what is older than 32 ticks does not fit any more.
    pub const fn insert(&mut self, tick: Tick) {
        match tick.since(self.newest) {
            ahead @ 1.. => {
                self.earlier = match ahead {
                    1..=31 => self.earlier << ahead | 1 << (ahead - 1),
                    32 => 1 << 31,
                    _ => 0,
                };
                self.newest = tick;
            }
            behind @ -32..=-1 => self.earlier |= 1 << (-behind - 1),
            _ => {}
        }
    }
}

/// What several acknowledgments of a client say together, for as long as snapshots are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acks {
    newest: Tick,
    /// As in [`Ack`].
    earlier: u64,
}

const _: () = assert!(u64::BITS == REMEMBERED);

impl From<Ack> for Acks {
    fn from(ack: Ack) -> Self {
        Self {
            newest: ack.newest,
            earlier: ack.earlier.into(),
        }
    }
}

impl Acks {
    /// The newest snapshot that was decoded.
    pub const fn newest(&self) -> Tick {
        self.newest
    }

    /// Adds what another one says. They may come in any order.
    pub fn merge(&mut self, ack: Ack) {
        let other = Self::from(ack);
        let (newer, older) = if other.newest > self.newest {
            (other, *self)
        } else {
            (*self, other)
        };
        let behind = newer.newest.0 - older.newest.0;
        let newest_of_older = behind.checked_sub(1);
        let newest_of_older = newest_of_older.and_then(|bit| 1_u64.checked_shl(bit));
        let earlier_of_older = older.earlier.checked_shl(behind).unwrap_or(0);
        *self = Self {
            newest: newer.newest,
            earlier: newer.earlier | earlier_of_older | newest_of_older.unwrap_or(0),
        };
    }

    /// Every snapshot that was decoded, the oldest first.
    pub fn ticks(&self) -> impl Iterator<Item = Tick> {
        let Self { newest, earlier } = *self;
        let oldest = (u64::BITS - earlier.leading_zeros()).min(newest.0);
        let is_there = move |age: &u32| *age == 0 || earlier >> (age - 1) & 1 == 1;
        (0..=oldest)
            .rev()
            .filter(is_there)
            .map(move |age| newest.before(age))
    }
}

/// Says that no input was executed, or that it is longer ago.
const NO_INPUT: u32 = 255;

impl Header {
    pub(super) fn write(&self, writer: &mut BitWriter<'_>) -> Result<(), Error> {
        writer.write(self.tick.0.into(), 32)?;
        let input_age = self
            .input
            .filter(|input| *input <= self.tick)
            .map_or(NO_INPUT, |input| (self.tick.0 - input.0).min(NO_INPUT));
        writer.write(input_age.into(), 8)?;
        writer.write(u64::from(self.margin.cast_unsigned()), 8)?;
        writer.write(self.clock.phase.into(), 3)?;
        writer.write(self.clock.seconds.into(), 16)?;
        if let Some(own) = &self.own {
            for part in [own.movement.position, own.movement.velocity] {
                for value in part.to_array() {
                    writer.write(value.to_bits().into(), 32)?;
                }
            }
            writer.flag(own.movement.grounded)?;
            writer.write(own.health.into(), 8)?;
            writer.write(u32::from_le_bytes(own.cooldowns).into(), 32)?;
        }
        Ok(())
    }

    pub(super) fn read(reader: &mut BitReader<'_>, has_own: bool) -> Result<Self, Error> {
        let tick = Tick(reader.read_u32(32)?);
        let input_age = reader.read_u32(8)?;
        let input = (input_age < NO_INPUT && input_age <= tick.0).then(|| tick.before(input_age));
        Ok(Self {
            tick,
            input,
            margin: reader.read_u8(8)?.cast_signed(),
            clock: MatchClock {
                phase: reader.read_u8(3)?,
                seconds: reader.read_u16(16)?,
            },
            own: has_own.then(|| read_own(reader)).transpose()?,
        })
    }
}

fn read_own(reader: &mut BitReader<'_>) -> Result<OwnState, Error> {
    let mut vector = || -> Result<Vec3, Error> {
        let mut values = [0.0; 3];
        for value in &mut values {
            *value = f32::from_bits(reader.read_u32(32)?);
        }
        Ok(Vec3::from_array(values))
    };
    let (position, velocity) = (vector()?, vector()?);
    // A server that sends these is broken; nothing that is computed from them would be finite.
    if !position.is_finite() || !velocity.is_finite() {
        return Err(Error::Range);
    }
    Ok(OwnState {
        movement: MoveState {
            position,
            velocity,
            grounded: reader.flag()?,
        },
        health: reader.read_u8(8)?,
        cooldowns: reader.read_u32(32)?.to_le_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn acks_hold_what_was_inserted(ticks in prop::collection::vec(100_u32..200, 1..50)) {
            let mut ack = Ack { newest: Tick(ticks[0]), earlier: 0 };
            for tick in &ticks {
                ack.insert(Tick(*tick));
            }
            let newest = ticks.iter().copied().max().unwrap();
            prop_assert_eq!(ack.newest, Tick(newest));
            for tick in 50..250 {
                if newest.abs_diff(tick) <= 32 {
                    // A tick is forgotten if it came when it was too old already, and only then.
                    let mut highest = ticks[0];
                    let mut inserted = tick == ticks[0];
                    for other in &ticks {
                        highest = highest.max(*other);
                        inserted |= *other == tick && highest - tick <= 32;
                    }
                    prop_assert_eq!(ack.contains(Tick(tick)), inserted);
                } else {
                    prop_assert!(!ack.contains(Tick(tick)));
                }
            }
        }

        #[test]
        fn merged_acks_say_what_each_of_them_says(
            acks in prop::collection::vec((0_u32..200, any::<u32>()), 1..50),
        ) {
            let acks: Vec<_> = acks.into_iter().map(|(newest, earlier)| Ack {
                newest: Tick(newest),
                earlier,
            }).collect();
            let mut merged = Acks::from(acks[0]);
            for ack in &acks {
                merged.merge(*ack);
            }
            let newest = acks.iter().map(|ack| ack.newest.0).max().unwrap();
            prop_assert_eq!(merged.newest(), Tick(newest));
            let remembered = newest.saturating_sub(REMEMBERED)..=newest;
            let expected: Vec<_> = remembered
                .map(Tick)
                .filter(|tick| acks.iter().any(|ack| ack.contains(*tick)))
                .collect();
            prop_assert_eq!(merged.ticks().collect::<Vec<_>>(), expected);
        }

        #[test]
        fn headers_come_back(
            tick in 300_u32.., age in prop::option::of(0_u32..255), margin in any::<i8>(),
            phase in 0_u8..8, seconds in any::<u16>(), health in prop::option::of(any::<u8>()),
            place in prop::array::uniform6(-300.0_f32..300.0), cooldowns in any::<[u8; 4]>(),
        ) {
            let header = Header {
                tick: Tick(tick),
                input: age.map(|age| Tick(tick - age)),
                margin,
                clock: MatchClock { phase, seconds },
                own: health.map(|health| OwnState {
                    movement: MoveState {
                        position: Vec3::new(place[0], place[1], place[2]),
                        velocity: Vec3::new(place[3], place[4], place[5]),
                        grounded: health % 2 == 0,
                    },
                    health,
                    cooldowns,
                }),
            };
            let mut buffer = [0; 64];
            let mut writer = BitWriter::new(&mut buffer);
            header.write(&mut writer).unwrap();
            let used = writer.finish();
            let mut reader = BitReader::new(&buffer[..used]);
            prop_assert_eq!(Header::read(&mut reader, header.own.is_some()).unwrap(), header);
        }
    }
}
