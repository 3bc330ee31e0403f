//! Every decoder: what was written is read, and no bytes whatever make it panic.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netcode::client::{self, Client};
use netcode::packet::{Header, Request};
use netcode::server::Event;
use netcode::token::{Error, PRIVATE_BYTES, TOKEN_BYTES};
use netcode::{
    ConnectToken, Grant, Key, MAX_PACKET_BYTES, Now, PrivateToken, Server, ServerConfig,
    SystemRandom, UserData,
};
use proptest::prelude::*;

fn address() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(SocketAddr::from)
}

fn key() -> impl Strategy<Value = Key> {
    any::<[u8; 32]>().prop_filter_map("a key of zeros is refused", |bytes| Key::new(bytes).ok())
}

fn private_token() -> impl Strategy<Value = PrivateToken> {
    (
        any::<u64>(),
        any::<i32>(),
        prop::collection::vec(address(), 1..=32),
        (key(), key()),
        prop::collection::vec(any::<u8>(), 256),
    )
        .prop_map(
            |(client_id, timeout_seconds, servers, keys, user_data)| PrivateToken {
                client_id,
                timeout_seconds,
                servers,
                client_to_server: keys.0,
                server_to_client: keys.1,
                user_data: user_data.try_into().unwrap(),
            },
        )
}

prop_compose! {
    fn user_data()(
        match_id: [u8; 16],
        session_id: [u8; 16],
        player_id: [u8; 16],
        epoch: u32,
        team: u8,
        slot: u8,
        flags: u16,
        region: u16,
        skill: i16,
    ) -> UserData {
        UserData { match_id, session_id, player_id, epoch, team, slot, flags, region, skill }
    }
}

fn grant<'grant>(servers: &'grant [SocketAddr], user_data: &'grant [u8; 256]) -> Grant<'grant> {
    Grant {
        protocol_id: 1,
        client_id: 2,
        created: 1000,
        lifetime: Duration::from_secs(30),
        timeout_seconds: 5,
        servers,
        user_data,
    }
}

proptest! {
    #[test]
    fn private_tokens_round_trip(
        token in private_token(),
        key in key(),
        protocol_id: u64,
        expires: u64,
        nonce: [u8; 24],
    ) {
        let sealed = token.seal(protocol_id, expires, &nonce, &key).unwrap();
        let open = |expires| PrivateToken::open(&sealed, protocol_id, expires, &nonce, &key);
        prop_assert_eq!(open(expires), Ok(token));
        prop_assert_eq!(open(expires ^ 1), Err(Error::Forged));
    }

    #[test]
    fn connect_tokens_round_trip_in_both_forms(
        servers in prop::collection::vec(address(), 1..=32),
        key in key(),
        client_id: u64,
    ) {
        let grant = Grant { client_id, ..grant(&servers, &[3; 256]) };
        let token = ConnectToken::generate(&grant, &key, &mut SystemRandom).unwrap();
        let standard = token.write_standard().unwrap();
        let renet = token.write_renet(client_id).unwrap();
        prop_assert_eq!(&ConnectToken::read_standard(standard.as_slice()).unwrap(), &token);
        prop_assert_eq!(ConnectToken::read_renet(&renet).unwrap(), (client_id, token));
        prop_assert!(ConnectToken::read_renet(&renet[..renet.len() - 1]).is_err());
        prop_assert_eq!(
            ConnectToken::read_renet(&[renet.as_slice(), &[0]].concat()),
            Err(Error::Length)
        );
    }

    #[test]
    fn user_data_round_trips(data in user_data()) {
        prop_assert_eq!(UserData::decode(&data.encode()), Ok(data));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..2200)) {
        ConnectToken::read_standard(&bytes).ok();
        ConnectToken::read_renet(&bytes).ok();
        PrivateToken::read(&bytes).ok();
        Request::read(&bytes).ok();
        Header::read(&bytes).ok();
        if let Some(data) = bytes.first_chunk() {
            UserData::decode(data).ok();
        }
    }

    /// Past the version there is more to go wrong.
    #[test]
    fn no_token_makes_its_reader_panic(
        mut bytes in prop::collection::vec(any::<u8>(), TOKEN_BYTES),
        servers in 0_u8..40,
        kinds in 0_u8..4,
    ) {
        bytes[..13].copy_from_slice(b"NETCODE 1.02\0");
        bytes[21..29].fill(0);
        let count = 13 + 24 + 24 + PRIVATE_BYTES + 4;
        bytes[count..count + 4].copy_from_slice(&[servers, 0, 0, 0]);
        bytes[count + 4] = kinds;
        ConnectToken::read_standard(&bytes).ok();
        PrivateToken::read(&bytes[count - 12..]).ok();
    }

    #[test]
    fn no_datagram_makes_a_side_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..MAX_PACKET_BYTES + 10),
        prefix in 0_u8..0x90,
    ) {
        let from = SocketAddr::from(([127, 0, 0, 1], 9));
        let key = Key::new([1; 32]).unwrap();
        let token = ConnectToken::generate(&grant(&[from], &[0; 256]), &key, &mut SystemRandom);
        let mut client = Client::new(token.unwrap(), Duration::ZERO).unwrap();
        let now = Now { monotonic: Duration::ZERO, unix_seconds: 1000 };
        let mut server = Server::new(ServerConfig::new(1, key), now, &mut SystemRandom).unwrap();
        let mut packet = bytes;
        if let Some(first) = packet.first_mut() {
            *first = prefix;
        }
        let is_refused = matches!(
            client.receive(Duration::ZERO, from, &mut packet.clone()),
            client::Event::Refused(_)
        );
        prop_assert!(is_refused);
        prop_assert!(matches!(server.receive(now, from, &mut packet), Event::Refused(_)));
        prop_assert_eq!(server.counters().refused.total(), 1);
    }
}

#[test]
fn a_token_lists_one_to_32_servers() {
    let server = SocketAddr::from(([127, 0, 0, 1], 9));
    let key = Key::new([1; 32]).unwrap();
    for count in [0, 33] {
        let servers = vec![server; count];
        assert_eq!(
            ConnectToken::generate(&grant(&servers, &[0; 256]), &key, &mut SystemRandom),
            Err(Error::Servers(count))
        );
    }
    let servers = vec![SocketAddr::from(([1; 8], 9)); 32];
    let token = ConnectToken::generate(&grant(&servers, &[0; 256]), &key, &mut SystemRandom);
    assert_eq!(token.unwrap().servers.len(), 32);
}

#[test]
fn debug_output_shows_no_key() {
    let server = SocketAddr::from(([127, 0, 0, 1], 9));
    let key = Key::new([201; 32]).unwrap();
    let token = ConnectToken::generate(&grant(&[server], &[0; 256]), &key, &mut SystemRandom);
    let config = ServerConfig::new(1, key);
    let now = Now::default();
    let printed = format!(
        "{:?} {:?}",
        token.unwrap(),
        Server::new(config, now, &mut SystemRandom).unwrap()
    );
    assert!(printed.contains("redacted"), "{printed}");
    assert!(!printed.contains("201, 201"), "{printed}");
}
