//! Tokens from the platform: an allocation by `muster.allocation.v1`.

use std::time::Duration;

use netcode::{RandomSource as _, SystemRandom};
use proto::allocation::GameServerSelector;
use proto::muster::allocation::v1::allocator_client::AllocatorClient;
use proto::muster::allocation::v1::{AllocateRequest, Player};
use tonic::transport::Endpoint;

/// The label that names the fleet of a game server.
const FLEET_LABEL: &str = "muster.dev/fleet";

/// Longest wait for an allocation.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What is to be allocated.
#[derive(Clone, Debug)]
pub struct Order {
    /// Where the allocator serves gRPC.
    pub url: String,
    /// The namespace of the game servers.
    pub namespace: String,
    /// Their fleet; any without.
    pub fleet: Option<String>,
}

/// A server and its players' tokens.
#[derive(Clone, Debug)]
pub struct Allocation {
    /// The name of the server.
    pub game_server: String,
    /// A connect token for each player.
    pub tokens: Vec<Vec<u8>>,
}

/// Why there is no allocation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none.
    #[error("the allocator's URL cannot be used")]
    Url(#[source] tonic::transport::Error),
    /// The allocator is not to be reached.
    #[error("the allocator does not answer")]
    Connect(#[source] tonic::transport::Error),
    /// The allocator refused.
    #[error("the allocator refused: {}", .0.message())]
    Refused(#[source] Box<tonic::Status>),
    /// The server was allocated without a token for each player.
    #[error("the allocation came with {found} tokens for {wanted} players: its server takes none")]
    NoTokens {
        /// Players.
        wanted: usize,
        /// Tokens.
        found: usize,
    },
    /// No random bytes for the request.
    #[error("the request has no id")]
    Random(#[from] netcode::random::Error),
    /// No thread or socket to ask with.
    #[error("the client of the allocator could not be started")]
    Runtime(#[source] std::io::Error),
}

/// Allocates a server for so many players. Their tokens are good for half a
/// minute by default, so whoever plays later asks later.
pub fn allocate(order: &Order, players: usize) -> Result<Allocation, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    runtime.block_on(ask(order, players))
}

async fn ask(order: &Order, players: usize) -> Result<Allocation, Error> {
    let endpoint = Endpoint::from_shared(order.url.clone())
        .map_err(Error::Url)?
        .timeout(TIMEOUT);
    let channel = endpoint.connect().await.map_err(Error::Connect)?;
    let request = request(order, players)?;
    let answer = AllocatorClient::new(channel)
        .allocate(request)
        .await
        .map_err(|status| Error::Refused(Box::new(status)))?;
    let answer = answer.into_inner();
    let tokens = answer.tokens;
    if tokens.len() == players {
        Ok(Allocation {
            game_server: answer.allocation.unwrap_or_default().game_server_name,
            tokens: tokens
                .into_iter()
                .map(|token| token.connect_token)
                .collect(),
        })
    } else {
        Err(Error::NoTokens {
            wanted: players,
            found: tokens.len(),
        })
    }
}

fn request(order: &Order, players: usize) -> Result<AllocateRequest, Error> {
    let players = (0..players)
        .map(|_| {
            Ok(Player {
                player_id: uuid()?,
                team: 0,
                spectator: false,
                trace_context: String::new(),
            })
        })
        .collect::<Result<_, Error>>()?;
    let selectors = order.fleet.iter().map(|fleet| GameServerSelector {
        match_labels: [(FLEET_LABEL.to_owned(), fleet.clone())].into(),
        ..GameServerSelector::default()
    });
    Ok(AllocateRequest {
        namespace: order.namespace.clone(),
        request_id: uuid()?,
        players,
        selectors: selectors.collect(),
        ..AllocateRequest::default()
    })
}

/// A random UUID.
fn uuid() -> Result<String, Error> {
    let mut bytes = [0; 16];
    SystemRandom.fill(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    Ok(parts
        .map(|part| hex.get(part).unwrap_or_default().to_owned())
        .join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_each_player_once() {
        let order = Order {
            url: "http://localhost".to_owned(),
            namespace: "games".to_owned(),
            fleet: Some("arena".to_owned()),
        };
        let request = request(&order, 3).unwrap();
        let mut ids: Vec<_> = request
            .players
            .iter()
            .map(|player| &player.player_id)
            .collect();
        assert!(
            ids.iter()
                .all(|id| id.len() == 36 && id.as_bytes()[14] == b'4')
        );
        ids.dedup();
        assert_eq!(ids.len(), 3);
        assert_eq!(
            request.selectors[0].match_labels["muster.dev/fleet"],
            "arena"
        );
    }
}
