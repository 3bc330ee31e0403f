//! The app in which players keep authenticators.

use jiff::Timestamp;
use totp_rs::{Algorithm, Builder, Secret};

/// The code at that time of an authenticator, whose secret is base32 as people type it in.
pub(crate) fn code(secret: &str, at: Timestamp) -> String {
    let totp = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_step_duration(30)
        .with_secret(Secret::new_stack(decode(secret)))
        .build()
        .unwrap();
    totp.generate(u64::try_from(at.as_second()).unwrap())
        .to_string()
}

/// Base32, as people type it in (RFC 4648).
fn decode(text: &str) -> [u8; 20] {
    let mut bits = text.bytes().flat_map(|letter| {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            _ => letter - b'2' + 26,
        };
        (0..5).rev().map(move |bit| value >> bit & 1)
    });
    std::array::from_fn(|_| (0..8).fold(0, |byte, _| byte << 1 | bits.next().unwrap()))
}
