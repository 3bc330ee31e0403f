//! Mints connect tokens: a player's right to join the match of one server process.

use std::time::Duration;

use jiff::Timestamp;
use netcode::ProtocolId;
use netcode::random::{RandomSource as _, SystemRandom};
use netcode::token::{ConnectToken, Grant};
use netcode::user_data::{SPECTATOR, UserData};
use proto::Uuid;
use proto::muster::allocation::v1 as wire;
use tokio::time::Instant;

use crate::ids;
use crate::keys::{self, Keys};
use crate::matches::Allocation;
use crate::players::Joining;
use crate::status::timestamp;

/// Seconds without a packet after which client and server give each other up.
const SILENCE_SECONDS: i32 = 5;

/// Tokens between two chances for other tasks: about half a millisecond.
const BATCH: usize = 64;

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key of the server is not known.
    #[error(transparent)]
    Key(#[from] keys::Error),
    /// The token would lead nowhere.
    #[error("game server {server} has no IP address with a UDP port: {address:?}")]
    Address {
        /// The server.
        server: String,
        /// Its address.
        address: String,
    },
    /// An id of the match or of a player is malformed, which only a hand can have done.
    #[error("the match of game server {0} is malformed")]
    Match(String),
    /// Random numbers or sealing failed.
    #[error("mint a connect token")]
    Mint(#[from] netcode::token::Error),
}

/// Mints a token for each player, in their order. None for a server that takes no tokens.
///
/// Waits for the key until `deadline`.
pub async fn mint(
    keys: &Keys,
    allocation: &Allocation,
    players: &[Joining],
    lifetime: Duration,
    deadline: Instant,
) -> Result<Vec<wire::PlayerToken>, Error> {
    let Some(connect) = &allocation.connect else {
        return Ok(Vec::new());
    };
    let key = keys.server_key(&allocation.uid, connect, deadline).await?;
    let servers = [allocation.game_address.ok_or_else(|| Error::Address {
        server: allocation.server.to_string(),
        address: allocation.address.clone(),
    })?];
    let match_id = uuid(allocation, &allocation.of_match.match_id)?;
    let now = runtime::clock::now();
    let created = u64::try_from(now.as_second()).unwrap_or_default();
    let mut random = SystemRandom;
    let mut tokens = Vec::with_capacity(players.len());
    for (place, joining) in players.iter().enumerate() {
        if place % BATCH == BATCH - 1 {
            tokio::task::yield_now().await;
        }
        let player_id = uuid(allocation, &joining.player.player_id)?;
        let session_id = ids::named("session", &[&match_id.0, &player_id.0]);
        let user_data = UserData {
            match_id: match_id.0,
            session_id: session_id.0,
            player_id: player_id.0,
            team: joining.player.team,
            flags: if joining.is_spectator { SPECTATOR } else { 0 },
            // Places are the game's to give: players may come late. Epoch 0 is the platform's; a
            // game server counts up from it with the tokens that it mints itself.
            ..UserData::default()
        };
        let mut client_id = [0; 8];
        random
            .fill(&mut client_id)
            .map_err(netcode::token::Error::from)?;
        let grant = Grant {
            protocol_id: ProtocolId::MUSTER.0,
            client_id: u64::from_le_bytes(client_id),
            created,
            lifetime,
            timeout_seconds: SILENCE_SECONDS,
            servers: &servers,
            user_data: &user_data.encode(),
        };
        let token = ConnectToken::generate(&grant, &key, &mut random)?;
        let expires = Timestamp::from_second(i64::try_from(token.expires).unwrap_or(i64::MAX));
        tokens.push(wire::PlayerToken {
            player_id: player_id.to_string(),
            session_id: session_id.to_string(),
            connect_token: token.write_standard()?.to_vec(),
            expire_time: expires.ok().map(timestamp),
        });
    }
    Ok(tokens)
}

fn uuid(allocation: &Allocation, text: &str) -> Result<Uuid, Error> {
    ids::parse(text).ok_or_else(|| Error::Match(allocation.server.to_string()))
}

#[cfg(test)]
mod tests;
