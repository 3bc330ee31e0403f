//! The reference C library's own bytes, by their SHA-256.
//!
//! The library's author publishes what it writes for fixed inputs, as test vectors of the crate
//! `netcode-official` 1.0.0. Sealing is deterministic: whoever makes these bytes from these inputs
//! agrees with the library in every layout, nonce and associated byte.

use std::fmt::Write;

use aws_lc_rs::digest;

use super::*;
use crate::aead::PacketKey;
use crate::packet::{Kind, Request, Sealer};
use crate::server::seal_challenge;
use crate::token::PrivateToken;

const PROTOCOL: u64 = 0x1122_3344_5566_7788;
const CLIENT: u64 = 0x0102_0304_0506_0708;
const EXPIRES: u64 = 1_720_000_100;
const SEQUENCE: u64 = 0x11_2233_4455;
const CHALLENGE_SEQUENCE: u64 = 1000;
const SERVER_KEY: [u8; 32] = [
    0x60, 0x6a, 0xbe, 0x6e, 0xc9, 0x19, 0x10, 0xea, 0x9a, 0x65, 0x62, 0xf6, 0x6f, 0x2b, 0x30, 0xe4,
    0x43, 0x71, 0xd6, 0x2c, 0xd1, 0x99, 0x27, 0x26, 0x6b, 0x3c, 0x60, 0xf4, 0xb7, 0x15, 0xab, 0xa1,
];

fn bytes<const LENGTH: usize>(value: impl Fn(usize) -> usize) -> [u8; LENGTH] {
    std::array::from_fn(|place| value(place).to_le_bytes()[0])
}

fn digest(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest::digest(&digest::SHA256, bytes).as_ref() {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

fn token() -> ConnectToken {
    let private = PrivateToken {
        client_id: CLIENT,
        timeout_seconds: 15,
        servers: vec![
            "127.0.0.1:40000".parse().unwrap(),
            "[::1]:50000".parse().unwrap(),
        ],
        client_to_server: Key::new(bytes(|place| place)).unwrap(),
        server_to_client: Key::new(bytes(|place| 255 - place)).unwrap(),
        user_data: bytes(|place| place),
    };
    let nonce = bytes(|place| 100 + place);
    let key = Key::new(SERVER_KEY).unwrap();
    let sealed = private.seal(PROTOCOL, EXPIRES, &nonce, &key).unwrap();
    assert_eq!(
        PrivateToken::open(&sealed, PROTOCOL, EXPIRES, &nonce, &key),
        Ok(private.clone())
    );
    ConnectToken {
        protocol_id: PROTOCOL,
        created: 1_720_000_000,
        expires: EXPIRES,
        nonce,
        private: sealed,
        timeout_seconds: 15,
        servers: private.servers,
        client_to_server: private.client_to_server,
        server_to_client: private.server_to_client,
    }
}

#[test]
fn tokens_are_the_reference_librarys() {
    let token = token();
    assert_eq!(
        digest(token.private.as_slice()),
        "3fc190a87b816c4340e0894a16d5b0d9c55507bab095d77da9c07daf7e3bf98a"
    );
    let written = token.write_standard().unwrap();
    assert_eq!(
        digest(written.as_slice()),
        "12cd58f0e2d17b002b629359f207018eac54e8cff2064382e600df738cfd4410"
    );
    assert_eq!(ConnectToken::read_standard(written.as_slice()), Ok(token));
}

#[test]
fn packets_are_the_reference_librarys() {
    let key = PacketKey::new(&Key::new(bytes(|place| place + 17)).unwrap()).unwrap();
    let challenge_key = PacketKey::new(&Key::new(bytes(|place| place * 2)).unwrap()).unwrap();
    let sealer = Sealer::new(PROTOCOL);
    let mut challenge = CHALLENGE_SEQUENCE.to_le_bytes().to_vec();
    challenge.resize(308, 0);
    let user_data = bytes(|place| place);
    seal_challenge(
        &challenge_key,
        CHALLENGE_SEQUENCE,
        CLIENT,
        &user_data,
        &mut challenge[8..],
    )
    .unwrap();
    assert_eq!(
        digest(&challenge[8..]),
        "33c5560aaed4192fc714fbba4910c38f235a4298f9121901c0d47549cc0a62e0"
    );
    let check = |kind, body: &[u8], expected: &str| {
        let mut packet = [0; MAX_PACKET_BYTES];
        let length = sealer
            .seal(&key, kind, SEQUENCE, body, &mut packet)
            .unwrap();
        assert_eq!(digest(&packet[..length]), expected, "{kind:?}");
    };
    check(
        Kind::Denied,
        &[],
        "ecc44891ea58f39f107287bfbbe90e6be82ba6e9b0b53b2b5da1dffa007c2fc8",
    );
    check(
        Kind::Challenge,
        &challenge,
        "22fc408d3ab1e8655d9edf9dd9bdad69b06978ff85323a564c0563fc7dfbf6a7",
    );
    check(
        Kind::Response,
        &challenge,
        "d7f8965bb2961ae0c355f50ecedc13347575d38832668b6e4b7c5f6ae49973e9",
    );
    check(
        Kind::KeepAlive,
        &[7, 0, 0, 0, 32, 0, 0, 0],
        "c96b56dbef593cab4e6c2ef9cbce7c44132d8240fbfeb4958d0c4ac22390d9c3",
    );
    check(
        Kind::Payload,
        &bytes::<1200>(|place| place),
        "e991282ba33dae3d19f4a9ecd0577f876a8175cf399180af5e3b21a33a4c6377",
    );
    check(
        Kind::Disconnect,
        &[],
        "e79e7c56a01a8c066aa90236fe71ba74fdc5d29249472150d96aea42c1d3357e",
    );
    let mut request = [0; MAX_PACKET_BYTES];
    let length = Request::write(&token(), &mut request).unwrap();
    assert_eq!(
        digest(&request[..length]),
        "fc7d9221a4b2d74dfaa7accd870730d434caa2315724cce1141c91ad47969968"
    );
}
