//! The slow functions, and what they cost.
//!
//! scrypt (RFC 7914) with 128 MiB is the default; argon2id (RFC 9106) with 19 MiB costs an attacker
//! about the same and a server less memory. The profile that the requirements name first (16 MiB)
//! is accepted and replaced at the next login.

use zeroize::Zeroizing;

use crate::secrets::keyring::Key;

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// The most memory that one hash may take, in MiB.
pub const MAX_MEMORY_MIB: u32 = 256;

/// The most work of one hash, in MiB that are gone through: four times the default's.
const MAX_WORK_MIB: u64 = 512;

/// A function with its cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// scrypt: 2^`log_n` blocks of 128 * `block` bytes, `lanes` times one after the other.
    Scrypt {
        /// The logarithm of N.
        log_n: u8,
        /// r.
        block: u32,
        /// p.
        lanes: u32,
    },
    /// argon2id, version 19.
    Argon2id {
        /// m, in KiB.
        memory_kib: u32,
        /// t.
        passes: u32,
        /// p.
        lanes: u32,
    },
}

/// A cost that no stored password of ours has: too small for the function, or so great that one
/// check would stop the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cost is out of bounds")]
pub struct OutOfBounds;

impl Profile {
    /// scrypt with 128 MiB: for new passwords.
    pub const DEFAULT: Self = Self::Scrypt {
        log_n: 17,
        block: 8,
        lanes: 1,
    };

    /// scrypt with 16 MiB: what the requirements name; below what is advised today.
    pub const REQUIRED: Self = Self::Scrypt {
        log_n: 14,
        block: 8,
        lanes: 1,
    };

    /// argon2id with 19 MiB.
    pub const ARGON2ID: Self = Self::Argon2id {
        memory_kib: 19 * 1024,
        passes: 2,
        lanes: 1,
    };

    /// The memory of one hash in MiB, rounded up.
    pub fn memory_mib(self) -> u32 {
        let bytes = match self {
            Self::Scrypt { log_n, block, .. } => 2_u64
                .checked_pow(u32::from(log_n))
                .and_then(|blocks| blocks.checked_mul(u64::from(block) * 128))
                .unwrap_or(u64::MAX),
            Self::Argon2id { memory_kib, .. } => u64::from(memory_kib) * 1024,
        };
        u32::try_from(bytes.div_ceil(1024 * 1024)).unwrap_or(u32::MAX)
    }

    /// Refuses costs that a stranger may have put into a stored string: 2^30 would stop the
    /// service.
    pub fn bounded(self) -> Result<Self, OutOfBounds> {
        let (plausible, rounds) = match self {
            Self::Scrypt {
                log_n,
                block,
                lanes,
            } => (
                (1..=20).contains(&log_n) && (1..=32).contains(&block) && (1..=16).contains(&lanes),
                lanes,
            ),
            Self::Argon2id {
                memory_kib,
                passes,
                lanes,
            } => (
                (1..=16).contains(&passes) && (1..=16).contains(&lanes) && memory_kib >= 8 * lanes,
                passes,
            ),
        };
        let memory = self.memory_mib();
        let work = u64::from(memory) * u64::from(rounds);
        if plausible && memory <= MAX_MEMORY_MIB && work <= MAX_WORK_MIB {
            Ok(self)
        } else {
            Err(OutOfBounds)
        }
    }

    /// Computes the hash; a pepper is a MAC over it.
    pub fn compute(
        self,
        pepper: Option<&Key>,
        salt: &[u8],
        password: &[u8],
    ) -> Result<[u8; HASH_BYTES], OutOfBounds> {
        let mut hash = Zeroizing::new([0; HASH_BYTES]);
        self.derive(salt, password, hash.as_mut_slice())?;
        Ok(pepper.map_or(*hash, |key| crate::crypto::mac(key, hash.as_slice())))
    }

    fn derive(self, salt: &[u8], password: &[u8], output: &mut [u8]) -> Result<(), OutOfBounds> {
        match self.bounded()? {
            Self::Scrypt {
                log_n,
                block,
                lanes,
            } => {
                let params = scrypt::Params::new(log_n, block, lanes).map_err(|_| OutOfBounds)?;
                scrypt::scrypt(password, salt, &params, output).map_err(|_| OutOfBounds)
            }
            Self::Argon2id {
                memory_kib,
                passes,
                lanes,
            } => {
                let params = argon2::Params::new(memory_kib, passes, lanes, Some(output.len()))
                    .map_err(|_| OutOfBounds)?;
                argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
                    .hash_password_into(password, salt, output)
                    .map_err(|_| OutOfBounds)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::tests::hex;

    const fn scrypt(log_n: u8, block: u32, lanes: u32) -> Profile {
        Profile::Scrypt {
            log_n,
            block,
            lanes,
        }
    }

    const fn argon2id(memory_kib: u32, passes: u32, lanes: u32) -> Profile {
        Profile::Argon2id {
            memory_kib,
            passes,
            lanes,
        }
    }

    #[test]
    fn scrypt_is_that_of_rfc_7914() {
        // Section 12; the fourth vector takes a gibibyte and is out of bounds on purpose.
        for (password, salt, profile, expected) in [
            (
                "",
                "",
                scrypt(4, 1, 1),
                "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906",
            ),
            (
                "password",
                "NaCl",
                scrypt(10, 8, 16),
                "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
            ),
            (
                "pleaseletmein",
                "SodiumChloride",
                scrypt(14, 8, 1),
                "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
            ),
        ] {
            let mut output = [0; 64];
            profile
                .derive(salt.as_bytes(), password.as_bytes(), &mut output)
                .unwrap();
            assert_eq!(hex(&output), expected);
        }
        assert_eq!(scrypt(20, 8, 1).bounded(), Err(OutOfBounds));
    }

    #[test]
    fn argon2id_is_that_of_the_reference() {
        // The test of the reference implementation (version 19, 2 passes, 64 MiB, 1 lane); that of
        // RFC 9106 itself has a secret and associated data, which stored passwords have not, and
        // is run below against the same library.
        let mut output = [0; 32];
        argon2id(65_536, 2, 1)
            .derive(b"somesalt", b"password", &mut output)
            .unwrap();
        assert_eq!(
            hex(&output),
            "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"
        );
    }

    #[test]
    fn the_library_computes_the_vector_of_rfc_9106() {
        // Section 5.3.
        let params = argon2::ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .output_len(32)
            .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let secret = [3; 8];
        let function = argon2::Argon2::new_with_secret(
            &secret,
            argon2::Algorithm::Argon2id,
            argon2::Version::V0x13,
            params,
        )
        .unwrap();
        let mut output = [0; 32];
        function
            .hash_password_into(&[1; 32], &[2; 16], &mut output)
            .unwrap();
        assert_eq!(
            hex(&output),
            "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
        );
    }

    #[test]
    fn a_pepper_is_a_mac_over_the_hash() {
        let key = Key::new([7; 32]);
        let profile = scrypt(4, 1, 1);
        let plain = profile.compute(None, b"salt", b"password").unwrap();
        let peppered = profile.compute(Some(&key), b"salt", b"password").unwrap();
        assert_eq!(peppered, crate::crypto::mac(&key, &plain));
        assert_ne!(peppered, plain);
    }

    #[test]
    fn costs_are_bounded() {
        for (profile, memory, good) in [
            (Profile::DEFAULT, 128, true),
            (Profile::REQUIRED, 16, true),
            (Profile::ARGON2ID, 19, true),
            (scrypt(18, 8, 1), 256, true),
            (scrypt(15, 8, 3), 32, true),
            (scrypt(17, 8, 4), 128, true),
            (scrypt(17, 8, 5), 128, false),
            (scrypt(19, 8, 1), 512, false),
            (scrypt(30, 8, 1), 1_048_576, false),
            (scrypt(255, 8, 1), u32::MAX, false),
            (scrypt(10, u32::MAX, 1), 536_870_912, false),
            (scrypt(14, 8, 17), 16, false),
            (scrypt(0, 8, 1), 1, false),
            (scrypt(14, 0, 1), 0, false),
            (scrypt(14, 8, 0), 16, false),
            (argon2id(262_144, 2, 1), 256, true),
            (argon2id(262_144, 3, 1), 256, false),
            (argon2id(262_145, 1, 1), 257, false),
            (argon2id(u32::MAX, 1, 1), 4_194_304, false),
            (argon2id(19_456, 17, 1), 19, false),
            (argon2id(19_456, 0, 1), 19, false),
            (argon2id(8, 1, 2), 1, false),
        ] {
            assert_eq!(profile.memory_mib(), memory, "{profile:?}");
            assert_eq!(profile.bounded().is_ok(), good, "{profile:?}");
        }
    }
}
