//! How a client shows the others: between two states that it has, a little in the past.

use glam::Vec3;

use crate::entity::EntityId;
use crate::frame::{EntityState, YAW_BITS};
use crate::snapshot::{Decoder, REMEMBERED};
use crate::tick::Tick;

/// Longest time between two states that is filled with a straight way, in ticks. What was silent
/// for longer stood still, and set out this long before it was heard of again.
const LONGEST_GAP: u32 = 6;
/// Who is this far from where it was, in meters, did not walk.
const LEAP: f32 = 4.0;

/// Where to show an entity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// In meters.
    pub position: Vec3,
    /// In turns, counterclockwise from east; from 0 to 1.
    pub yaw: f32,
}

impl Pose {
    /// The pose of a state as it is.
    pub fn new(state: &EntityState) -> Self {
        Self {
            position: state.position(),
            yaw: f32::from(state.yaw) / TURN,
        }
    }
}

/// Units of a yaw in a whole turn.
const TURN: f32 = 1024.0;
const _: () = assert!(1 << YAW_BITS == 1024);

/// Where an entity was at a moment: a tick, and 256ths of one after it. None if the client does
/// not know it.
pub fn pose(decoder: &Decoder, id: EntityId, (tick, fraction): (Tick, u8)) -> Option<Pose> {
    let (newest, newest_tick) = decoder.entity(id)?;
    if newest_tick <= tick {
        return Some(Pose::new(newest));
    }
    let states = |ticks: &mut dyn Iterator<Item = u32>| {
        ticks
            .map(Tick)
            .find_map(|tick| Some((decoder.state_at(id, tick)?, tick)))
    };
    let ahead = newest_tick.0.min(tick.0.saturating_add(REMEMBERED));
    let (newer, newer_tick) =
        states(&mut (tick.0.saturating_add(1)..=ahead)).unwrap_or((newest, newest_tick));
    let oldest = newest_tick.before(REMEMBERED - 1);
    let Some((older, older_tick)) = states(&mut (oldest.0..=tick.0).rev()) else {
        return Some(Pose::new(newer));
    };
    let from = older_tick.max(newer_tick.before(LONGEST_GAP));
    if tick < from {
        return Some(Pose::new(older));
    }
    // Both are small: at most the longest gap.
    #[expect(clippy::cast_precision_loss, reason = "a few ticks")]
    let (passed, gap) = (tick.since(from) as f32, newer_tick.since(from) as f32);
    let part = (passed + f32::from(fraction) / 256.0) / gap;
    Some(between(older, newer, part))
}

/// A part of the way from one state to another.
fn between(older: &EntityState, newer: &EntityState, part: f32) -> Pose {
    let (from, to) = (older.position(), newer.position());
    if from.distance(to) > LEAP {
        return Pose::new(older);
    }
    let (first, second) = (f32::from(older.yaw) / TURN, f32::from(newer.yaw) / TURN);
    // The shorter way around.
    let turn = (second - first + 1.5).rem_euclid(1.0) - 0.5;
    Pose {
        position: from.lerp(to, part),
        yaw: (first + turn * part).rem_euclid(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{EntityFlags, WorldFrame};
    use crate::interest::Detail;
    use crate::snapshot::{ClientView, Encoder, Header, Recipient, Space};

    /// A decoder that got the snapshots of these ticks, with one entity east by its tick.
    fn decoder(ticks: &[u16]) -> Decoder {
        let space = Space::new(1, 0);
        let mut encoder = Encoder::new(space);
        let mut view = ClientView::new(space);
        let mut decoder = Decoder::default();
        let recipient = Recipient {
            own: None,
            center: (0.0, 0.0),
            radius: 450.0,
            always: &[],
            detail: Detail::Full,
            budget: 900,
            decompresses: true,
        };
        for tick in ticks {
            let tick = *tick;
            encoder.publish(&WorldFrame {
                tick: Tick(tick.into()),
                entities: vec![EntityState {
                    id: EntityId(0),
                    x: 32_768 + 10 * tick,
                    z: 32_768,
                    y: 0,
                    yaw: if tick < 15 { 1020 } else { 4 },
                    health: 100,
                    flags: EntityFlags::GROUNDED,
                }],
            });
            let mut out = [0; 900];
            let used = encoder
                .encode(&mut view, &recipient, &Header::default(), &mut out)
                .unwrap();
            decoder.decode(&out[1..used], &mut Vec::new()).unwrap();
        }
        decoder
    }

    fn east(decoder: &Decoder, tick: u32, fraction: u8) -> f32 {
        pose(decoder, EntityId(0), (Tick(tick), fraction))
            .unwrap()
            .position
            .x
            * 12.8
    }

    #[test]
    fn a_moment_between_two_frames_is_between_their_states() {
        let decoder = decoder(&[10, 11, 12, 14]);
        assert!((east(&decoder, 10, 128) - 10.5).abs() < 1e-4);
        assert!((east(&decoder, 12, 128) - 12.5).abs() < 1e-4);
        assert!((east(&decoder, 13, 128) - 13.5).abs() < 1e-4);
        assert!((east(&decoder, 20, 0) - 14.0).abs() < 1e-4);
        assert!((east(&decoder, 3, 0) - 10.0).abs() < 1e-4);
    }

    #[test]
    fn who_was_silent_sets_out_late() {
        let decoder = decoder(&[10, 40]);
        assert!((east(&decoder, 30, 0) - 10.0).abs() < 1e-4);
        assert!((east(&decoder, 37, 0) - 25.0).abs() < 1e-4);
    }

    #[test]
    fn yaw_takes_the_shorter_way() {
        let decoder = decoder(&[14, 16]);
        let pose = pose(&decoder, EntityId(0), (Tick(15), 0)).unwrap();
        assert!(pose.yaw < 1e-4 || pose.yaw > 1.0 - 1e-4, "{}", pose.yaw);
    }

    #[test]
    fn nobody_knows_who_was_never_sent() {
        assert_eq!(pose(&decoder(&[10]), EntityId(1), (Tick(10), 0)), None);
    }
}
