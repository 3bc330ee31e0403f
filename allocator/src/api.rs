//! The allocation API: one operation behind gRPC and REST.

use std::sync::Arc;
use std::time::Duration;

use crds::gameserver::Scheduling;
use http::HeaderMap;
use proto::allocation::allocation_response::{
    GameServerMetadata, GameServerStatusAddress, GameServerStatusPort,
};
use proto::allocation::allocation_service_server::AllocationService;
use proto::allocation::{AllocationRequest, AllocationResponse};
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};

use crate::allocate::{self, Allocated, Allocator};
use crate::metrics::Metrics;
use crate::object::Written;
use crate::request::Compiler;
use crate::servers::Servers;
use crate::status;

/// `source` of an answer that came from this cluster.
const LOCAL: &str = "local";

/// The allocation API.
#[derive(Clone, Debug)]
pub struct Api(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    allocator: Allocator,
    servers: Servers,
    compiler: Compiler,
    metrics: Metrics,
    settings: Settings,
}

/// Settings of the API.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The code for "no capacity".
    pub unallocated: Code,
    /// Longest time for one request; a caller may ask for less.
    pub timeout: Duration,
}

impl Api {
    /// Makes the API of an allocator.
    pub fn new(
        allocator: Allocator,
        servers: Servers,
        metrics: Metrics,
        settings: Settings,
    ) -> Self {
        let compiler = Compiler::default();
        Self(Arc::new(Inner {
            allocator,
            servers,
            compiler,
            metrics,
            settings,
        }))
    }

    /// Longest time for one request.
    pub fn timeout(&self) -> Duration {
        self.0.settings.timeout
    }

    /// Answers one request. `timeout` is what the caller asked for.
    pub async fn answer(
        &self,
        message: AllocationRequest,
        timeout: Option<Duration>,
    ) -> Result<AllocationResponse, Status> {
        let inner = &self.0;
        let begin = Instant::now();
        let limit = inner.settings.timeout;
        let deadline = begin + timeout.map_or(limit, |timeout| timeout.min(limit));
        let request = match inner.compiler.compile(message) {
            Ok(request) => request,
            Err(error) => {
                let status = Status::from(&error);
                let name = status::name(status.code());
                inner
                    .metrics
                    .answered("", name, Scheduling::Packed, begin.elapsed());
                return Err(status);
            }
        };
        let namespace = request.wanted.namespace.clone();
        let scheduling = request.wanted.scheduling;
        let fleet = self.known_fleet(&request.wanted);
        let result = inner.allocator.allocate(request, deadline).await;
        let took = begin.elapsed();
        match result {
            Ok(Allocated { server, tries }) => {
                let fleet = server.fleet().unwrap_or_default();
                inner
                    .metrics
                    .answered(fleet, status::name(Code::Ok), scheduling, took);
                inner.metrics.won(tries);
                tracing::debug!(
                    namespace,
                    game_server = server.metadata.name,
                    allocation_id = server.allocation_id(),
                    tries,
                    "Allocated GameServer"
                );
                Ok(response(*server))
            }
            Err(error) => {
                let status = status::of(&error, inner.settings.unallocated);
                let name = match error {
                    allocate::Error::Capacity { .. } => "UnAllocated",
                    _ => status::name(status.code()),
                };
                inner.metrics.answered(&fleet, name, scheduling, took);
                log(&error, &namespace);
                // As in Agones: a chosen 200 turns "no capacity" into an empty answer.
                if status.code() == Code::Ok {
                    return Ok(AllocationResponse::default());
                }
                Err(status)
            }
        }
    }

    /// The fleet that is asked for, if it exists: names that callers make up are no labels.
    fn known_fleet(&self, wanted: &crate::select::Wanted) -> String {
        let mut fleets = wanted
            .selectors
            .iter()
            .filter_map(|selector| selector.fleet());
        let known = self.0.servers.read(|index| {
            fleets
                .find(|fleet| index.has_fleet(&wanted.namespace, fleet))
                .map(str::to_owned)
        });
        known.unwrap_or_default()
    }
}

pub(crate) fn log(error: &allocate::Error, namespace: &str) {
    let chain = runtime::service::chain(error);
    match error {
        allocate::Error::Capacity { .. }
        | allocate::Error::Unjoinable { .. }
        | allocate::Error::Ended
        | allocate::Error::NotReady => {
            tracing::debug!(namespace, error = chain, "Did not allocate");
        }
        allocate::Error::Contention
        | allocate::Error::Claimed
        | allocate::Error::Deadline
        | allocate::Error::Busy(_)
        | allocate::Error::Commit(
            crate::commit::Error::Unavailable { .. } | crate::commit::Error::Abandoned { .. },
        )
        | allocate::Error::Guard(crate::guard::Error::Unavailable { .. }) => {
            tracing::warn!(namespace, error = chain, "Did not allocate");
        }
        allocate::Error::Commit(crate::commit::Error::Refused { .. })
        | allocate::Error::Guard(crate::guard::Error::Refused { .. })
        | allocate::Error::Interrupted => {
            tracing::error!(namespace, error = chain, "Did not allocate");
        }
    }
}

fn response(server: Written) -> AllocationResponse {
    let status = server.status.unwrap_or_default();
    AllocationResponse {
        game_server_name: server.metadata.name.unwrap_or_default(),
        ports: status
            .ports
            .into_iter()
            .map(|port| GameServerStatusPort {
                name: port.name,
                port: port.port,
            })
            .collect(),
        address: status.address,
        node_name: status.node_name,
        source: LOCAL.to_owned(),
        metadata: Some(GameServerMetadata {
            labels: server.metadata.labels.unwrap_or_default(),
            annotations: server.metadata.annotations.unwrap_or_default(),
        }),
        addresses: status
            .addresses
            .into_iter()
            .map(|item| GameServerStatusAddress {
                r#type: item.type_,
                address: item.address,
            })
            .collect(),
        ..AllocationResponse::default()
    }
}

#[tonic::async_trait]
impl AllocationService for Api {
    async fn allocate(
        &self,
        request: Request<AllocationRequest>,
    ) -> Result<Response<AllocationResponse>, Status> {
        let timeout = timeout(request.metadata().as_ref());
        self.answer(request.into_inner(), timeout)
            .await
            .map(Response::new)
    }
}

/// The header by which a caller gives less time, over gRPC and, as in grpc-gateway, over REST.
pub const TIMEOUT_HEADER: &str = "grpc-timeout";

/// The time that a caller gives: at most eight digits and a unit. What is malformed is ignored.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT_HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_hours(number),
        "M" => Duration::from_mins(number),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_may_give_less_time() {
        let table = [
            ("5S", Some(Duration::from_secs(5))),
            ("250m", Some(Duration::from_millis(250))),
            ("99999999H", Some(Duration::from_hours(99_999_999))),
            ("1u", Some(Duration::from_micros(1))),
            ("1n", Some(Duration::from_nanos(1))),
            ("2M", Some(Duration::from_mins(2))),
            ("999999999S", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("5x", None),
        ];
        for (text, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT_HEADER, text.parse().unwrap());
            assert_eq!(timeout(&headers), expected, "{text}");
        }
    }
}
