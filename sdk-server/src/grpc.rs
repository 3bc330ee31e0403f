//! The SDK over gRPC: translates, and leaves the rest to the [`Api`].
//!
//! Two services share the port: Agones' `agones.dev.sdk.SDK`, and our own `muster.sdk.v1.Sdk`.
//! The services `agones.dev.sdk.beta.SDK` and `agones.dev.sdk.alpha.SDK` are not served: their
//! calls, like every unknown one, get UNIMPLEMENTED.

use std::pin::Pin;

use futures::{Stream, StreamExt as _};
use http::{HeaderValue, Response};
use hyper::body::Incoming;
use proto::Uuid;
use proto::agones::dev::sdk::sdk_server::{Sdk, SdkServer};
use proto::agones::dev::sdk::{Duration, Empty, GameServer, KeyValue};
use proto::muster::sdk::v1::sdk_server as muster;
use proto::muster::sdk::v1::{
    EndMatchRequest, EndMatchResponse, GetConnectKeyRequest, GetConnectKeyResponse,
    PlayerJoinedRequest, PlayerJoinedResponse, PlayerLeftRequest, PlayerLeftResponse,
    WatchMatchRequest, WatchMatchResponse,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::{Code, Request, Status, Streaming};

use crate::MAX_MESSAGE_BYTES;
use crate::backend::{Api, Call};
use crate::serve::{Tasks, http2};

/// Serves the SDK on `listeners`.
pub(crate) fn serve(api: Api, listeners: Vec<TcpListener>, tasks: &Tasks) {
    let ours = muster::SdkServer::new(Grpc { api: api.clone() })
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let agones = SdkServer::new(Grpc { api }).max_decoding_message_size(MAX_MESSAGE_BYTES);
    tasks.accept(
        listeners,
        move |stream: TcpStream, closing: CancellationToken| {
            let (ours, agones) = (ours.clone(), agones.clone());
            let respond = move |request: http::Request<Incoming>| {
                // Both answer what they do not know with UNIMPLEMENTED.
                let answer = if is_ours(request.uri().path()) {
                    ours.clone().call(request)
                } else {
                    agones.clone().call(request)
                };
                async move { as_grpc_go(answer.await.unwrap_or_else(|never| match never {})) }
            };
            http2(stream, closing, respond)
        },
    );
}

fn is_ours(path: &str) -> bool {
    path.strip_prefix('/')
        .and_then(|path| path.strip_prefix(muster::SERVICE_NAME))
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Gives an oversized message the status that grpc-go gives it; tonic says OUT_OF_RANGE, which
/// nothing else here uses.
fn as_grpc_go(mut response: Response<Body>) -> Response<Body> {
    let out_of_range = HeaderValue::from(Code::OutOfRange as i32);
    if let Some(status) = response.headers_mut().get_mut(Status::GRPC_STATUS)
        && *status == out_of_range
    {
        *status = HeaderValue::from(Code::ResourceExhausted as i32);
    }
    response
}

struct Grpc {
    api: Api,
}

impl Grpc {
    async fn call(&self, call: Call) -> Result<tonic::Response<Empty>, Status> {
        self.api.call(call).await?;
        Ok(tonic::Response::new(Empty {}))
    }
}

#[tonic::async_trait]
impl muster::Sdk for Grpc {
    type WatchMatchStream = Pin<Box<dyn Stream<Item = Result<WatchMatchResponse, Status>> + Send>>;

    async fn get_connect_key(
        &self,
        _: Request<GetConnectKeyRequest>,
    ) -> Result<tonic::Response<GetConnectKeyResponse>, Status> {
        Ok(tonic::Response::new(self.api.connect_key().await?))
    }

    async fn watch_match(
        &self,
        _: Request<WatchMatchRequest>,
    ) -> Result<tonic::Response<Self::WatchMatchStream>, Status> {
        let matches = self.api.watch_match()?.into_stream();
        Ok(tonic::Response::new(Box::pin(
            matches.map(|found| Ok(WatchMatchResponse::clone(&found))),
        )))
    }

    async fn player_joined(
        &self,
        request: Request<PlayerJoinedRequest>,
    ) -> Result<tonic::Response<PlayerJoinedResponse>, Status> {
        let player_id = uuid(&request.into_inner().player_id)?;
        self.api.call(Call::PlayerJoined { player_id }).await?;
        Ok(tonic::Response::new(PlayerJoinedResponse {}))
    }

    async fn player_left(
        &self,
        request: Request<PlayerLeftRequest>,
    ) -> Result<tonic::Response<PlayerLeftResponse>, Status> {
        let player_id = uuid(&request.into_inner().player_id)?;
        self.api.call(Call::PlayerLeft { player_id }).await?;
        Ok(tonic::Response::new(PlayerLeftResponse {}))
    }

    async fn end_match(
        &self,
        request: Request<EndMatchRequest>,
    ) -> Result<tonic::Response<EndMatchResponse>, Status> {
        let request = request.into_inner();
        let next = request.next();
        let EndMatchRequest {
            match_id, result, ..
        } = request;
        let call = Call::EndMatch {
            match_id,
            result,
            next,
        };
        self.api.call(call).await?;
        Ok(tonic::Response::new(EndMatchResponse {}))
    }
}

#[tonic::async_trait]
impl Sdk for Grpc {
    type WatchGameServerStream = Pin<Box<dyn Stream<Item = Result<GameServer, Status>> + Send>>;

    async fn ready(&self, _: Request<Empty>) -> Result<tonic::Response<Empty>, Status> {
        self.call(Call::Ready).await
    }

    async fn allocate(&self, _: Request<Empty>) -> Result<tonic::Response<Empty>, Status> {
        self.call(Call::Allocate).await
    }

    async fn shutdown(&self, _: Request<Empty>) -> Result<tonic::Response<Empty>, Status> {
        self.call(Call::Shutdown).await
    }

    async fn health(
        &self,
        request: Request<Streaming<Empty>>,
    ) -> Result<tonic::Response<Empty>, Status> {
        let mut pings = request.into_inner();
        while pings.message().await?.is_some() {
            self.api.ping();
        }
        Ok(tonic::Response::new(Empty {}))
    }

    async fn get_game_server(
        &self,
        _: Request<Empty>,
    ) -> Result<tonic::Response<GameServer>, Status> {
        let object = self.api.game_server().await?;
        Ok(tonic::Response::new(GameServer::clone(&object)))
    }

    async fn watch_game_server(
        &self,
        _: Request<Empty>,
    ) -> Result<tonic::Response<Self::WatchGameServerStream>, Status> {
        let objects = self.api.watch()?.into_stream();
        Ok(tonic::Response::new(Box::pin(
            objects.map(|object| Ok(GameServer::clone(&object))),
        )))
    }

    async fn set_label(
        &self,
        request: Request<KeyValue>,
    ) -> Result<tonic::Response<Empty>, Status> {
        let KeyValue { key, value } = request.into_inner();
        self.call(Call::SetLabel { key, value }).await
    }

    async fn set_annotation(
        &self,
        request: Request<KeyValue>,
    ) -> Result<tonic::Response<Empty>, Status> {
        let KeyValue { key, value } = request.into_inner();
        self.call(Call::SetAnnotation { key, value }).await
    }

    async fn reserve(&self, request: Request<Duration>) -> Result<tonic::Response<Empty>, Status> {
        let Duration { seconds } = request.into_inner();
        self.call(Call::Reserve { seconds }).await
    }
}

/// Reads the name of a player; every spelling of it is the same player.
fn uuid(player_id: &str) -> Result<Uuid, Status> {
    Uuid::parse(player_id).ok_or_else(|| Status::invalid_argument("player_id is not a UUID"))
}
