//! Tokens as a game server opens them.

use std::collections::BTreeMap;

use crds::gameserver::ConnectStatus;
use crds::matches::{Match, Player};
use k8s_openapi::ByteString;
use netcode::token::PrivateToken;
use netcode::{Key, MasterKey};

use super::*;
use crate::index;

const MATCH: &str = "0190a5b2-7c1e-7d3a-9f00-1234567890ab";
const PLAYERS: [&str; 2] = [
    "11111111-2222-3333-4444-555555555555",
    "66666666-7777-8888-9999-aaaaaaaaaaaa",
];

fn allocation(address: &str, key_version: Option<i64>) -> Allocation {
    Allocation {
        server: index::Key::new("games", "a"),
        uid: "uid-a".to_owned(),
        of_match: Match {
            match_id: MATCH.to_owned(),
            ..Match::default()
        },
        is_live: true,
        since: Some(runtime::clock::now()),
        result: String::new(),
        node: String::new(),
        address: address.to_owned(),
        ports: Vec::new(),
        game_address: format!("{address}:7012").parse().ok(),
        connect: key_version.map(|key_version| ConnectStatus {
            boot_id: "00112233445566778899aabbccddeeff".to_owned(),
            key_version,
        }),
    }
}

/// The second one watches.
fn players() -> Vec<Joining> {
    let player = |(team, id): (u8, &&str)| Joining {
        player: Player {
            player_id: (*id).to_owned(),
            team,
        },
        is_spectator: team == 1,
        trace: None,
    };
    (0..).zip(&PLAYERS).map(player).collect()
}

fn keys() -> Keys {
    let keys = Keys::default();
    let data = [("key-4".to_owned(), ByteString(vec![4; 32]))];
    keys.replace(BTreeMap::from(data));
    keys
}

async fn minted(allocation: &Allocation) -> Result<Vec<wire::PlayerToken>, Error> {
    let deadline = Instant::now() + Duration::from_secs(1);
    let lifetime = Duration::from_secs(30);
    mint(&keys(), allocation, &players(), lifetime, deadline).await
}

#[tokio::test(start_paused = true)]
async fn each_player_has_a_token_that_the_server_process_opens() {
    let allocation = allocation("203.0.113.7", Some(4));
    let tokens = minted(&allocation).await.unwrap();
    let again = minted(&allocation).await.unwrap();
    let master = MasterKey {
        version: 4,
        key: Key::new([4; 32]).unwrap(),
    };
    let boot_id = &allocation.connect.as_ref().unwrap().boot_id;
    let key = master.server_key("uid-a", boot_id).unwrap();
    for (place, token) in tokens.iter().enumerate() {
        assert_eq!(token.connect_token.len(), 2048);
        assert_eq!(token.player_id, PLAYERS[place]);
        assert_eq!(token.session_id, again[place].session_id);
        assert_ne!(token.connect_token, again[place].connect_token);
        let read = ConnectToken::read_standard(&token.connect_token).unwrap();
        assert_eq!(read.servers, ["203.0.113.7:7012".parse().unwrap()]);
        assert_eq!(read.expires - read.created, 30);
        let private = PrivateToken::open(
            &read.private,
            read.protocol_id,
            read.expires,
            &read.nonce,
            &key,
        )
        .unwrap();
        let data = UserData::decode(&private.user_data).unwrap();
        assert_eq!(Uuid(data.match_id).to_string(), MATCH);
        assert_eq!(Uuid(data.player_id).to_string(), PLAYERS[place]);
        assert_eq!(Uuid(data.session_id).to_string(), token.session_id);
        assert_eq!(usize::from(data.team), place);
        assert_eq!(data.flags, if place == 1 { SPECTATOR } else { 0 });
    }
    assert_ne!(tokens[0].session_id, tokens[1].session_id);
}

#[tokio::test(start_paused = true)]
async fn servers_without_a_key_or_an_address_get_no_tokens() {
    let open = allocation("203.0.113.7", None);
    assert_eq!(minted(&open).await.unwrap(), []);
    let unknown = minted(&allocation("203.0.113.7", Some(5))).await;
    assert!(matches!(unknown, Err(Error::Key(_))), "{unknown:?}");
    let named = minted(&allocation("game.example.com", Some(4))).await;
    assert!(matches!(named, Err(Error::Address { .. })), "{named:?}");
}
