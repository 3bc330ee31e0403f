//! The world as it goes over the wire: quantized once per tick, equal for every client.

use glam::Vec3;
use serde::{Deserialize, Serialize};

use crate::entity::EntityId;
use crate::tick::Tick;

/// Quantized units per meter on the ground (x and z); 16 bits span 512 m, in steps of 7.8 mm.
pub const GROUND_UNITS: f32 = 128.0;
/// Quantized units per meter of height (y); 10 bits span 16 m.
pub const HEIGHT_UNITS: f32 = 64.0;
/// Bits of a height.
pub const HEIGHT_BITS: u32 = 10;
/// Bits of a direction: 1,024ths of a turn.
pub const YAW_BITS: u32 = 10;

/// What others see of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EntityState {
    /// Who.
    pub id: EntityId,
    /// East, from -256 m, in 1/[`GROUND_UNITS`] m.
    pub x: u16,
    /// North, as `x`.
    pub z: u16,
    /// Height of the feet or of the center of a prop, from 0 m, in 1/[`HEIGHT_UNITS`] m.
    pub y: u16,
    /// Aim of a player, or turn of a prop about the vertical, in 1,024ths of a turn.
    pub yaw: u16,
    /// Hit points of a player, 0 when down; 0 for props.
    pub health: u8,
    /// Bits of [`EntityFlags`].
    pub flags: EntityFlags,
}

/// What else can be seen of an entity, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct EntityFlags(pub u8);

impl EntityFlags {
    /// Stands on something.
    pub const GROUNDED: Self = Self(1);
    /// Fired in this tick.
    pub const FIRING: Self = Self(1 << 1);
    /// Its player's connection is lost; it stays until the session ends.
    pub const LOST: Self = Self(1 << 2);
    /// A prop that sleeps.
    pub const ASLEEP: Self = Self(1 << 3);
    /// Bits in use.
    pub const BITS: u32 = 4;

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// All entities at the end of a tick.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorldFrame {
    /// When.
    pub tick: Tick,
    /// In ascending order of their ids, each id once.
    pub entities: Vec<EntityState>,
}

/// A coordinate on the ground, in meters, as 16 bits; what lies outside is put on the border.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range before"
)]
pub fn quantize_ground(meters: f32) -> u16 {
    (libm::roundf((meters + 256.0) * GROUND_UNITS)).clamp(0.0, 65_535.0) as u16
}

/// The coordinate in meters.
pub fn ground(quantized: u16) -> f32 {
    f32::from(quantized) / GROUND_UNITS - 256.0
}

/// A height in meters as 10 bits; what lies outside is put on the border.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range before"
)]
pub fn quantize_height(meters: f32) -> u16 {
    (libm::roundf(meters * HEIGHT_UNITS)).clamp(0.0, 1_023.0) as u16
}

/// The height in meters.
pub fn height(quantized: u16) -> f32 {
    f32::from(quantized) / HEIGHT_UNITS
}

impl EntityState {
    /// Where it is, in meters.
    pub fn position(&self) -> Vec3 {
        Vec3::new(ground(self.x), height(self.y), ground(self.z))
    }
}
