//! Randomness from a seed and the hash of a state: both must be equal on every machine.
//!
//! Neither is for secrets. They are written here because a generator or a hash of the standard
//! library may change with its version, and with it every recorded match.

use glam::{Quat, Vec2, Vec3};

/// A generator of pseudo-random numbers (`SplitMix64`), from its seed alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Random(u64);

impl Random {
    /// The generator of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `bound`, or 0 if that is 0. It is not perfectly even: a bound is small here.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the upper half of a product"
    )]
    pub const fn below(&mut self, bound: u16) -> u16 {
        (((self.bits() >> 32) * bound as u64) >> 32) as u16
    }

    /// Where it is, for the hash of a state.
    pub const fn state(&self) -> u64 {
        self.0
    }
}

/// Folds a state into 64 bits. The order of the calls is part of the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateHash(u64);

impl Default for StateHash {
    fn default() -> Self {
        Self(0x6A09_E667_F3BC_C908)
    }
}

impl StateHash {
    /// Folds in a word.
    pub const fn word(&mut self, word: u64) {
        self.0 = mix(self.0.rotate_left(5) ^ word);
    }

    /// Folds in the bits of a number, so that -0 is not 0.
    pub const fn float(&mut self, float: f32) {
        self.word(float.to_bits() as u64);
    }

    /// Folds in a point on the ground.
    pub const fn vec2(&mut self, vector: Vec2) {
        self.word((vector.x.to_bits() as u64) << 32 | vector.y.to_bits() as u64);
    }

    /// Folds in a point.
    pub const fn vec3(&mut self, vector: Vec3) {
        self.word((vector.x.to_bits() as u64) << 32 | vector.y.to_bits() as u64);
        self.float(vector.z);
    }

    /// Folds in a rotation.
    pub fn quat(&mut self, quat: Quat) {
        let [x, y, z, w] = quat.to_array().map(|part| u64::from(part.to_bits()));
        self.word(x << 32 | y);
        self.word(z << 32 | w);
    }

    /// The hash of all that was folded in.
    pub const fn finish(&self) -> u64 {
        self.0
    }
}

const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}
