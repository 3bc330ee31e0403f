//! The allocator over gRPC: `muster.allocation.v1`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use jiff::Timestamp;
use proto::allocation::allocation_response::GameServerStatusPort;
use proto::allocation::{GameServerSelector, MetaPatch};
use proto::muster::allocation::v1 as wire;
use tonic::{Code, Status};
use wire::allocation::State;
use wire::allocator_client::AllocatorClient;
use wire::release_request::ReleasePolicy;

use super::{Allocated, Change, Error, Player, Servers, Token, Wanted};
use crate::ids::MatchId;
use crate::store::Server;
use crate::upstream::Route;

/// The service, by its name in traces.
const SERVICE: &str = "muster.allocation.v1.Allocator";

/// Time for a call that writes a game server: longer than the allocator's own limit, so that its
/// answer is not missed.
const WRITE: Duration = Duration::from_secs(20);

/// Time for a call that reads, and for a watch to begin.
const READ: Duration = Duration::from_secs(5);

/// A port of this name is where players connect, if there is one.
const GAME_PORTS: [&str; 2] = ["game", "game-udp"];

/// Calls the allocator.
#[derive(Clone, Debug)]
pub struct Allocator {
    route: Route,
    token_lifetime: Duration,
}

impl Allocator {
    /// Calls it by this route, for tokens that are good for so long: 1 second to 10 minutes.
    pub const fn new(route: Route, token_lifetime: Duration) -> Self {
        Self {
            route,
            token_lifetime,
        }
    }

    fn lifetime(&self) -> pbjson_types::Duration {
        pbjson_types::Duration {
            seconds: i64::try_from(self.token_lifetime.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(self.token_lifetime.subsec_nanos()).unwrap_or_default(),
        }
    }
}

#[async_trait]
impl Servers for Allocator {
    async fn allocate(&self, wanted: &Wanted) -> Result<Allocated, Error> {
        let request = wire::AllocateRequest {
            namespace: wanted.namespace.clone(),
            request_id: wanted.id.to_string(),
            match_id: wanted.id.to_string(),
            players: wanted.players.iter().map(player_to_wire).collect(),
            selectors: wanted.selectors.iter().map(selector).collect(),
            scheduling: 0,
            metadata: Some(MetaPatch {
                labels: BTreeMap::new(),
                annotations: wanted.annotations.clone(),
            }),
            token_lifetime: Some(self.lifetime()),
        };
        let call = self
            .route
            .call(
                (SERVICE, "Allocate"),
                WRITE,
                request,
                async |channel, request| AllocatorClient::new(channel).allocate(request).await,
            )
            .await;
        let answer = match call {
            Ok(answer) => answer,
            Err(status) if status.code() == Code::FailedPrecondition => {
                // No free server takes tokens yet; or this one was given to the match already, and
                // would stay so without any use.
                tracing::warn!(error = status.message(), "Nobody can join a game server");
                self.release(&wanted.namespace, wanted.id).await?;
                return Err(Error::NoServer);
            }
            Err(status) => return Err(refusal(&status)),
        };
        let allocation = answer.allocation.unwrap_or_default();
        let Some(endpoint) = endpoint(&allocation.address, &allocation.ports) else {
            let problem = format!("{} has no address and port", allocation.game_server_name);
            return Err(Error::Refused(problem));
        };
        Ok(Allocated {
            server: Server {
                namespace: allocation.namespace,
                name: allocation.game_server_name,
                endpoint,
            },
            tokens: tokens(answer.tokens, &wanted.players)?,
        })
    }

    async fn mint(
        &self,
        namespace: &str,
        id: MatchId,
        players: &[Player],
    ) -> Result<Vec<Token>, Error> {
        let request = wire::MintTokensRequest {
            namespace: namespace.to_owned(),
            request_id: id.to_string(),
            players: players.iter().map(player_to_wire).collect(),
            token_lifetime: Some(self.lifetime()),
        };
        let answer: wire::MintTokensResponse = self
            .route
            .call(
                (SERVICE, "MintTokens"),
                READ,
                request,
                async |channel, request| AllocatorClient::new(channel).mint_tokens(request).await,
            )
            .await
            .map_err(|status| refusal(&status))?;
        tokens(answer.tokens, players)
    }

    async fn release(&self, namespace: &str, id: MatchId) -> Result<(), Error> {
        let request = wire::ReleaseRequest {
            namespace: namespace.to_owned(),
            request_id: id.to_string(),
            policy: ReleasePolicy::Shutdown.into(),
        };
        let released: Result<wire::ReleaseResponse, Status> = self
            .route
            .call(
                (SERVICE, "Release"),
                WRITE,
                request,
                async |channel, request| AllocatorClient::new(channel).release(request).await,
            )
            .await;
        match released {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::NotFound => Ok(()),
            Err(status) => Err(refusal(&status)),
        }
    }

    async fn watch(
        &self,
        namespace: &str,
    ) -> Result<BoxStream<'static, Result<Change, Error>>, Error> {
        let request = wire::WatchRequest {
            namespace: namespace.to_owned(),
        };
        let stream: tonic::Streaming<wire::WatchResponse> = self
            .route
            .call(
                (SERVICE, "Watch"),
                READ,
                request,
                async |channel, request| AllocatorClient::new(channel).watch(request).await,
            )
            .await
            .map_err(|status| refusal(&status))?;
        let changes = stream.filter_map(async |response| match response {
            Ok(response) => change(response).map(Ok),
            Err(status) => Some(Err(refusal(&status))),
        });
        Ok(changes.boxed())
    }

    fn token_lifetime(&self) -> Duration {
        self.token_lifetime
    }
}

/// What a status of the allocator means for whoever asked.
fn refusal(status: &Status) -> Error {
    let message = status.message().to_owned();
    match status.code() {
        Code::ResourceExhausted => Error::NoServer,
        // The request has had its server; the allocation is not there, or over.
        Code::AlreadyExists | Code::NotFound | Code::FailedPrecondition => Error::Unknown,
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => Error::Refused(message),
        // Permissions too: an operator mends them, and nothing is lost meanwhile.
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::PermissionDenied
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => Error::Unavailable(format!("{}: {message}", status.code())),
    }
}

fn player_to_wire(player: &Player) -> wire::Player {
    wire::Player {
        player_id: player.id.to_string(),
        team: player.team.into(),
        spectator: false,
        trace_context: player.trace_context.clone(),
    }
}

fn selector(labels: &BTreeMap<String, String>) -> GameServerSelector {
    GameServerSelector {
        match_labels: labels.clone(),
        ..GameServerSelector::default()
    }
}

/// The tokens of these players, in their order; none where the server takes none.
fn tokens(minted: Vec<wire::PlayerToken>, players: &[Player]) -> Result<Vec<Token>, Error> {
    if minted.is_empty() {
        return Ok(Vec::new());
    }
    let strange = || Error::Unavailable("it answered with tokens of other players".to_owned());
    if minted.len() != players.len() {
        return Err(strange());
    }
    let each = minted.into_iter().zip(players);
    each.map(|(token, player)| {
        if token.player_id.parse() != Ok(player.id) {
            return Err(strange());
        }
        let expires_at = token.expire_time.unwrap_or_default();
        Ok(Token {
            player: player.id,
            connect_token: token.connect_token,
            expires_at: Timestamp::new(expires_at.seconds, expires_at.nanos)
                .map_err(|_| strange())?,
        })
    })
    .collect()
}

/// Where players connect: the port that is called `game`, or else the first that is not TCP's half
/// of one.
fn endpoint(address: &str, ports: &[GameServerStatusPort]) -> Option<String> {
    let game = ports.iter().find(|port| GAME_PORTS.contains(&&*port.name));
    let other = || ports.iter().find(|port| !port.name.ends_with("-tcp"));
    let port = u16::try_from(game.or_else(other)?.port).ok()?;
    match address.parse::<IpAddr>() {
        Ok(address) => Some(SocketAddr::new(address, port).to_string()),
        Err(_) if address.is_empty() => None,
        Err(_) => Some(format!("{address}:{port}")),
    }
}

/// What a message of a watch says; none for requests that are no match of a lobby's.
fn change(response: wire::WatchResponse) -> Option<Change> {
    if response.synced {
        return Some(Change::Synced);
    }
    let allocation = response.allocation?;
    Some(Change::Allocation {
        id: allocation.request_id.parse().ok()?,
        has_ended: allocation.state() == State::Ended,
        result: allocation.result,
    })
}

#[cfg(test)]
mod tests;
