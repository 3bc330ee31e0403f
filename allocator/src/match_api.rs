//! The API `muster.allocation.v1.Allocator`: allocation by request id, with players and tokens.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crds::matches::Player;
use futures::Stream;
use proto::allocation::allocation_response::GameServerStatusPort;
use proto::muster::allocation::v1 as wire;
use proto::muster::allocation::v1::allocation::State;
use proto::muster::allocation::v1::allocator_server::Allocator as Service;
use proto::muster::allocation::v1::release_request::ReleasePolicy;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use tracing::Instrument as _;

use crate::allocate::once::Had;
use crate::allocate::{self, Allocated, Allocator};
use crate::api::{self, Settings};
use crate::commit::Mark;
use crate::guard::Claim;
use crate::keys::Keys;
use crate::matches::{Allocation, Matches};
use crate::metrics::{Held, Metrics};
use crate::object::Written;
use crate::players::Joining;
use crate::request::Compiler;
use crate::servers::Servers;
use crate::{players, request, status, tokens};

/// Watches at once; more are refused.
const WATCHES: usize = 100;

/// The API.
#[derive(Clone, Debug)]
pub struct MatchApi(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    allocator: Allocator,
    servers: Servers,
    matches: Matches,
    keys: Keys,
    compiler: Compiler,
    metrics: Metrics,
    settings: Settings,
    watches: Arc<Semaphore>,
    closing: CancellationToken,
}

impl MatchApi {
    /// Makes the API of an allocator.
    pub fn new(
        allocator: Allocator,
        servers: Servers,
        matches: Matches,
        keys: Keys,
        metrics: Metrics,
        settings: Settings,
    ) -> Self {
        Self(Arc::new(Inner {
            allocator,
            servers,
            matches,
            keys,
            compiler: Compiler::default(),
            metrics,
            settings,
            watches: Arc::new(Semaphore::new(WATCHES)),
            closing: CancellationToken::new(),
        }))
    }

    /// Ends every watch, which would go on for as long as its caller.
    pub fn end_watches(&self) {
        self.0.closing.cancel();
    }

    fn deadline<T>(&self, request: &Request<T>) -> Instant {
        let longest = self.0.settings.timeout;
        let wanted = api::timeout(request.metadata().as_ref());
        Instant::now() + wanted.map_or(longest, |wanted| wanted.min(longest))
    }

    async fn answer(
        &self,
        message: wire::AllocateRequest,
        deadline: Instant,
    ) -> Result<wire::AllocateResponse, Status> {
        let inner = &self.0;
        let begin = Instant::now();
        let claim = players::claim(&message.namespace, &message.request_id).map_err(invalid)?;
        let joining = players::players(&message.players).map_err(invalid)?;
        let mut of_match =
            players::of_match(&claim, &message.match_id, &joining).map_err(invalid)?;
        // The game server goes on with the trace of this call.
        of_match.trace_context = runtime::trace::current();
        let lifetime = players::lifetime(message.token_lifetime.as_ref()).map_err(invalid)?;
        let request = inner.compiler.compile_match(message).map_err(invalid)?;
        let mark = Mark {
            request_id: claim.request_id.clone(),
            of_match: serde_json::to_string(&of_match).map_err(|error| {
                tracing::error!(%error, "Match could not be written down");
                Status::internal("the match could not be written down")
            })?,
        };
        let scheduling = request.wanted.scheduling;
        let answered = |fleet: &str, code: &'static str| {
            let took = begin.elapsed();
            inner.metrics.answered(fleet, code, scheduling, took);
        };
        let had = inner
            .allocator
            .allocate_once(&request, &mark, deadline)
            .await;
        let server = match had {
            Ok(Had::Now(Allocated { server, tries })) => {
                inner.metrics.won(tries);
                server
            }
            Ok(Had::Before(server)) => server,
            Err(error) => {
                let status = of_allocation(&error);
                answered("", status::name(status.code()));
                api::log(&error, &claim.namespace);
                return Err(status);
            }
        };
        answered(server.fleet().unwrap_or_default(), status::name(Code::Ok));
        tracing::debug!(
            namespace = claim.namespace,
            request_id = claim.request_id,
            game_server = server.metadata.name,
            "Allocated GameServer"
        );
        let allocation = allocation(&server)?;
        // The players of this call: a retry may know more of them than the first one did.
        let tokens = self.mint(&allocation, &joining, lifetime, deadline).await?;
        Ok(wire::AllocateResponse {
            allocation: Some(to_wire(&allocation)),
            tokens,
        })
    }

    async fn mint(
        &self,
        allocation: &Allocation,
        players: &[Joining],
        lifetime: Duration,
        deadline: Instant,
    ) -> Result<Vec<wire::PlayerToken>, Status> {
        if players.is_empty() {
            return Ok(Vec::new());
        }
        let mint = tokens::mint(&self.0.keys, allocation, players, lifetime, deadline);
        let span = runtime::span!("mint connect tokens", muster.tokens = players.len());
        match mint.instrument(span).await {
            Ok(tokens) => {
                self.0.metrics.minted(tokens.len());
                Ok(tokens)
            }
            Err(error) => {
                let chain = runtime::service::chain(&error);
                let server = allocation.server.to_string();
                tracing::warn!(server, error = chain, "Connect tokens were not minted");
                Err(status::of_tokens(&error))
            }
        }
    }

    /// The allocation of a request: as the watch has it, or else as the API server does.
    async fn find(&self, claim: &Claim, deadline: Instant) -> Result<Arc<Allocation>, Status> {
        let inner = &self.0;
        if let Some(known) = inner.matches.find(&claim.namespace, &claim.request_id) {
            return Ok(known);
        }
        let find = tokio::time::timeout_at(deadline, inner.allocator.find(claim));
        let found = find
            .await
            .unwrap_or(Err(allocate::Error::Deadline))
            .map_err(|error| refused(&error, claim))?;
        let Some(server) = found else {
            return Err(Status::not_found("no GameServer has this request id"));
        };
        allocation(&server).map(Arc::new)
    }
}

fn allocation(server: &Written) -> Result<Allocation, Status> {
    // What is found by its request id has one.
    Allocation::written(server).ok_or_else(|| Status::internal("the GameServer has no request id"))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn invalid(error: request::Error) -> Status {
    Status::from(&error)
}

fn of_allocation(error: &allocate::Error) -> Status {
    status::of(error, Code::ResourceExhausted)
}

fn refused(error: &allocate::Error, claim: &Claim) -> Status {
    api::log(error, &claim.namespace);
    of_allocation(error)
}

fn to_wire(allocation: &Allocation) -> wire::Allocation {
    let state = if allocation.is_live {
        State::Allocated
    } else {
        State::Ended
    };
    let of_match = allocation.of_match.clone();
    let player = |player: Player| wire::Player {
        player_id: player.player_id,
        team: player.team.into(),
        // Those are not among its players: the server learns of them from their tokens alone.
        spectator: false,
        // Whoever asks has traces of its own.
        trace_context: String::new(),
    };
    let ports = allocation.ports.iter().map(|port| GameServerStatusPort {
        name: port.name.clone(),
        port: port.port,
    });
    wire::Allocation {
        namespace: allocation.server.namespace.to_string(),
        request_id: of_match.request_id,
        match_id: of_match.match_id,
        game_server_name: allocation.server.name.to_string(),
        game_server_uid: allocation.uid.clone(),
        address: allocation.address.clone(),
        ports: ports.collect(),
        node_name: allocation.node.clone(),
        state: state.into(),
        allocation_time: allocation.since.map(status::timestamp),
        result: allocation.result.clone(),
        players: of_match.players.into_iter().map(player).collect(),
    }
}

#[tonic::async_trait]
impl Service for MatchApi {
    async fn allocate(
        &self,
        request: Request<wire::AllocateRequest>,
    ) -> Result<Response<wire::AllocateResponse>, Status> {
        let deadline = self.deadline(&request);
        let answer = self.answer(request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    async fn get(
        &self,
        request: Request<wire::GetRequest>,
    ) -> Result<Response<wire::GetResponse>, Status> {
        let deadline = self.deadline(&request);
        let message = request.into_inner();
        let claim = players::claim(&message.namespace, &message.request_id).map_err(invalid)?;
        let allocation = self.find(&claim, deadline).await?;
        Ok(Response::new(wire::GetResponse {
            allocation: Some(to_wire(&allocation)),
        }))
    }

    async fn release(
        &self,
        request: Request<wire::ReleaseRequest>,
    ) -> Result<Response<wire::ReleaseResponse>, Status> {
        let deadline = self.deadline(&request);
        let message = request.into_inner();
        let claim = players::claim(&message.namespace, &message.request_id).map_err(invalid)?;
        let Ok(policy) = ReleasePolicy::try_from(message.policy) else {
            let rule = request::Rule::OneOf("SHUTDOWN (1), RETURN_TO_READY (2)");
            return request::invalid("policy", rule).map_err(invalid);
        };
        let is_reused = policy == ReleasePolicy::ReturnToReady;
        let release = self.0.allocator.release(&claim, is_reused);
        let released = tokio::time::timeout_at(deadline, release).await;
        released
            .unwrap_or(Err(allocate::Error::Deadline))
            .map_err(|error| refused(&error, &claim))?;
        Ok(Response::new(wire::ReleaseResponse {}))
    }

    async fn mint_tokens(
        &self,
        request: Request<wire::MintTokensRequest>,
    ) -> Result<Response<wire::MintTokensResponse>, Status> {
        let deadline = self.deadline(&request);
        let message = request.into_inner();
        let claim = players::claim(&message.namespace, &message.request_id).map_err(invalid)?;
        let players = players::some_players(&message.players).map_err(invalid)?;
        let lifetime = players::lifetime(message.token_lifetime.as_ref()).map_err(invalid)?;
        let allocation = self.find(&claim, deadline).await?;
        if !allocation.is_live {
            return Err(Status::failed_precondition("the match has ended"));
        }
        let tokens = self.mint(&allocation, &players, lifetime, deadline).await?;
        Ok(Response::new(wire::MintTokensResponse { tokens }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<wire::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<wire::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let inner = &self.0;
        let namespace = request.into_inner().namespace;
        if !crate::validate::is_namespace(&namespace) {
            return request::invalid("namespace", request::Rule::Namespace).map_err(invalid);
        }
        if !inner.servers.is_synced() {
            return Err(of_allocation(&allocate::Error::NotReady));
        }
        let Ok(place) = Arc::clone(&inner.watches).try_acquire_owned() else {
            inner.metrics.refused("watches");
            let message = format!("too many watches at once: at most {WATCHES}, retry later");
            return Err(Status::resource_exhausted(message));
        };
        let (known, changes) = inner.matches.subscribe(&namespace);
        let watch = Watch {
            known: Some(known.into_iter()),
            changes,
            namespace,
            closing: inner.closing.clone(),
            metrics: inner.metrics.clone(),
            _place: place,
            _watching: inner.metrics.watching(),
        };
        let stream = futures::stream::unfold(Some(watch), async |watch| {
            let mut watch = watch?;
            Some(match watch.next().await {
                Ok(told) => {
                    let response = wire::WatchResponse {
                        synced: told.is_none(),
                        allocation: told.as_deref().map(to_wire),
                    };
                    (Ok(response), Some(watch))
                }
                Err(status) => (Err(status), None),
            })
        });
        Ok(Response::new(Box::pin(stream)))
    }
}

/// One caller's watch.
struct Watch {
    /// What was known at its begin, and has not been told yet; none once it is said that this was
    /// all.
    known: Option<std::vec::IntoIter<Arc<Allocation>>>,
    changes: Receiver<Arc<Allocation>>,
    namespace: String,
    closing: CancellationToken,
    metrics: Metrics,
    _place: OwnedSemaphorePermit,
    _watching: Held,
}

impl Watch {
    /// The next allocation to tell of; none where the first list ends.
    async fn next(&mut self) -> Result<Option<Arc<Allocation>>, Status> {
        if let Some(known) = &mut self.known {
            let next = known.next();
            if next.is_none() {
                self.known = None;
            }
            return Ok(next);
        }
        let ending = || Status::unavailable("the allocator is ending: watch again");
        loop {
            let change = tokio::select! {
                biased;
                () = self.closing.cancelled() => return Err(ending()),
                change = self.changes.recv() => change,
            };
            match change {
                Ok(change) if *change.server.namespace == *self.namespace => {
                    return Ok(Some(change));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => {
                    self.metrics.watcher_ended();
                    let message = format!("too slow: {missed} changes were missed, watch again");
                    return Err(Status::resource_exhausted(message));
                }
                Err(RecvError::Closed) => return Err(ending()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
