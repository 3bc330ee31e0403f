//! What each fuzz target does with its input. `tests/corpus.rs` runs the same functions.
#![expect(clippy::unwrap_used, reason = "a failed step is a finding")]
use std::net::SocketAddr;
use std::time::Duration;

use netcode::client::Client;
use netcode::packet::{Header, Request};
use netcode::random::Error;
use netcode::{
    ConnectToken, Grant, Key, Now, PrivateToken, RandomSource, Server, ServerConfig, UserData,
};

type Decoder = fn(&[u8]);

/// The targets and what they do.
pub(crate) const DECODERS: [(&str, Decoder); 4] = [
    ("connect_token", connect_token),
    ("private_token", private_token),
    ("packet", packet),
    ("user_data", user_data),
];

/// Runs one target on one input.
pub(crate) fn run(target: &str, bytes: &[u8]) {
    let (_, decode) = DECODERS.iter().find(|(name, _)| *name == target).unwrap();
    decode(bytes);
}

pub(crate) const NOW: Now = Now {
    monotonic: Duration::from_secs(1),
    unix_seconds: 1000,
};

/// The same bytes for everybody: a corpus must mean the same tomorrow.
pub(crate) struct Fixed(pub(crate) u8);

impl RandomSource for Fixed {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.0 = self.0.wrapping_add(1);
        bytes.fill(self.0);
        Ok(())
    }
}

pub(crate) fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7000))
}

pub(crate) fn key() -> Key {
    Key::new([9; 32]).unwrap()
}

pub(crate) fn token() -> ConnectToken {
    let grant = Grant {
        protocol_id: 1,
        client_id: 2,
        created: NOW.unix_seconds,
        lifetime: Duration::from_secs(30),
        timeout_seconds: 5,
        servers: &[address(), SocketAddr::from(([1; 8], 7000))],
        user_data: &user_data_sample().encode(),
    };
    ConnectToken::generate(&grant, &key(), &mut Fixed(0)).unwrap()
}

pub(crate) fn user_data_sample() -> UserData {
    UserData {
        match_id: [1; 16],
        session_id: [2; 16],
        player_id: [3; 16],
        epoch: 4,
        team: 5,
        slot: 6,
        flags: 7,
        region: 8,
        skill: -9,
    }
}

pub(crate) fn server() -> Server {
    Server::new(ServerConfig::new(1, key()), NOW, &mut Fixed(100)).unwrap()
}

/// Both forms of a token: whatever is read is written and read again alike, and a client can try it.
fn connect_token(bytes: &[u8]) {
    if let Ok(token) = ConnectToken::read_standard(bytes) {
        let written = token.write_standard().unwrap();
        let again = ConnectToken::read_standard(written.as_slice());
        assert_eq!(again.as_ref(), Ok(&token));
        try_token(token);
    }
    if let Ok((client_id, token)) = ConnectToken::read_renet(bytes) {
        let written = token.write_renet(client_id).unwrap();
        assert_eq!(written.as_slice(), bytes);
    }
}

/// A client presents the token, waits for as long as it is patient, and tries again.
fn try_token(token: ConnectToken) {
    let Ok(mut client) = Client::new(token, NOW.monotonic) else {
        return;
    };
    let mut buffer = [0; 2048];
    for seconds in [0, 1, 60, u64::from(u32::MAX)] {
        let now = NOW.monotonic + Duration::from_secs(seconds);
        while client.poll(now, &mut buffer).is_some() {}
        client.retry(now);
    }
}

/// The part of a token that only the server reads.
fn private_token(bytes: &[u8]) {
    if let Ok(token) = PrivateToken::read(bytes) {
        let sealed = token.seal(1, 2, &[3; 24], &key()).unwrap();
        assert_eq!(
            PrivateToken::open(&sealed, 1, 2, &[3; 24], &key()),
            Ok(token)
        );
    }
}

/// A datagram at a server, before and during a handshake, and at a client.
fn packet(bytes: &[u8]) {
    Header::read(bytes).ok();
    Request::read(bytes).ok();
    let mut server = server();
    server.receive(NOW, address(), &mut bytes.to_vec());
    let mut client = Client::new(token(), NOW.monotonic).unwrap();
    let mut buffer = [0; 2048];
    if let Some(netcode::client::Output::Transmit { packet, .. }) =
        client.poll(NOW.monotonic, &mut buffer)
    {
        server.receive(NOW, address(), &mut packet.to_vec());
    }
    server.receive(NOW, address(), &mut bytes.to_vec());
    client.receive(NOW.monotonic, address(), &mut bytes.to_vec());
    while server.poll(NOW, &mut buffer).is_some() {}
}

/// The platform's layout of user data.
fn user_data(bytes: &[u8]) {
    if let Some(bytes) = bytes.first_chunk()
        && let Ok(data) = UserData::decode(bytes)
    {
        assert_eq!(data.encode(), *bytes);
    }
}
