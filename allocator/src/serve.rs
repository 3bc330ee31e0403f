//! What the allocator's port serves: both allocation APIs over gRPC, one over REST, and health.

use axum::Router;
use proto::allocation::allocation_service_server::AllocationServiceServer;
use proto::muster::allocation::v1::allocator_server::AllocatorServer;
use runtime::serve::Count;
use runtime::trace::ServerSpans;
use tonic::server::NamedService;
use tonic_health::pb::health_server::{Health, HealthServer};

use crate::api::Api;
use crate::match_api::MatchApi;
use crate::metrics::{Held, Metrics};

/// Largest request, over gRPC and REST.
pub const BODY_SIZE: usize = 1024 * 1024;

impl Count for Metrics {
    type Open = Held;

    fn connected(&self) -> Held {
        Self::connected(self)
    }

    fn refused(&self) {
        Self::refused(self, "connections");
    }
}

/// The routes of both allocation APIs, with `grpc.health.v1.Health` beside them.
pub fn router(api: Api, matches: MatchApi, health: HealthServer<impl Health>) -> Router {
    fn path<S: NamedService>(_: &S) -> String {
        format!("/{}/{{*method}}", S::NAME)
    }
    let grpc = AllocationServiceServer::new(api.clone()).max_decoding_message_size(BODY_SIZE);
    let matches = AllocatorServer::new(matches).max_decoding_message_size(BODY_SIZE);
    crate::rest::router(api)
        .route_service(&path(&grpc), grpc)
        .route_service(&path(&matches), matches)
        .layer(ServerSpans)
        // Health is asked for all the time, and no part of anybody's trace.
        .route_service(&path(&health), health)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod traces;
