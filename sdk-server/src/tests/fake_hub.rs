//! A hub that does what its test says, over in-memory connections, so that virtual time holds.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::Stream;
use hyper_util::rt::TokioIo;
use proto::agones::dev::sdk::GameServer;
use proto::muster::hub::v1::hub_server::{Hub, HubServer};
use proto::muster::hub::v1::{
    Ack, Change, ConnectKey, ConnectKeys, ConnectRequest, ConnectResponse, Hello, Snapshot,
    connect_request, connect_response,
};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::config::HubConfig;
use crate::hub::{Dial, Error};

/// The hub, as its test sees it.
pub(super) struct FakeHub {
    links: mpsc::Receiver<Link>,
    accept: mpsc::Sender<Link>,
    dialer: Dialer,
}

/// Opens connections to the fake hub.
#[derive(Clone)]
pub(super) struct Dialer {
    connections: mpsc::Sender<Result<DuplexStream, std::io::Error>>,
    is_away: Arc<AtomicBool>,
}

/// One stream of an SDK server.
pub(super) struct Link {
    pub(super) token: String,
    requests: Streaming<ConnectRequest>,
    responses: mpsc::Sender<Result<ConnectResponse, Status>>,
}

impl FakeHub {
    pub(super) fn start() -> Self {
        let (connections, accepted) = mpsc::channel(8);
        let (accept, links) = mpsc::channel(8);
        let dialer = Dialer {
            connections,
            is_away: Arc::default(),
        };
        let hub = Self {
            links,
            accept,
            dialer,
        };
        let server = Server::builder()
            .add_service(hub.service())
            .serve_with_incoming(ReceiverStream::new(accepted));
        tokio::spawn(server);
        hub
    }

    pub(super) fn service(&self) -> HubServer<impl Hub> {
        HubServer::new(Service {
            accept: self.accept.clone(),
        })
    }

    pub(super) fn dialer(&self) -> Dialer {
        self.dialer.clone()
    }

    /// Refuses new connections; the open ones stay.
    pub(super) fn set_away(&self, is_away: bool) {
        self.dialer.is_away.store(is_away, Ordering::Relaxed);
    }

    /// Waits for the next stream and its greeting.
    pub(super) async fn accept(&mut self) -> Link {
        let mut link = self.links.recv().await.unwrap();
        let hello = link.hello().await;
        assert_eq!(
            (hello.namespace.as_str(), hello.name.as_str()),
            ("games", "gs-1")
        );
        link
    }

    /// Waits for the next stream, and sends the object.
    pub(super) async fn accept_with(&mut self, game_server: GameServer) -> Link {
        let link = self.accept().await;
        link.snapshot(game_server).await;
        link
    }
}

impl Dial for Dialer {
    async fn dial(&self, config: &HubConfig) -> Result<Channel, Error> {
        let this = self.clone();
        let connect = Connector(move || {
            let this = this.clone();
            async move {
                if this.is_away.load(Ordering::Relaxed) {
                    return Err(std::io::ErrorKind::ConnectionRefused.into());
                }
                let (client, server) = tokio::io::duplex(64 * 1024);
                this.connections
                    .send(Ok(server))
                    .await
                    .map_err(std::io::Error::other)?;
                Ok(TokioIo::new(client))
            }
        });
        let endpoint = Endpoint::from(config.address.clone());
        endpoint
            .connect_with_connector(connect)
            .await
            .map_err(Error::Connect)
    }
}

impl Link {
    async fn request(&mut self) -> Option<connect_request::Message> {
        self.requests
            .message()
            .await
            .unwrap()
            .and_then(|request| request.message)
    }

    async fn hello(&mut self) -> Hello {
        let Some(connect_request::Message::Hello(hello)) = self.request().await else {
            panic!("no hello")
        };
        hello
    }

    /// Waits for the next change.
    pub(super) async fn change(&mut self) -> Change {
        let Some(connect_request::Message::Change(change)) = self.request().await else {
            panic!("no change")
        };
        change
    }

    /// Waits for the request of keys, and answers with one.
    pub(super) async fn give_key(&mut self, key: [u8; 32]) -> Vec<u8> {
        let Some(connect_request::Message::KeyRequest(request)) = self.request().await else {
            panic!("no key request")
        };
        let keys = ConnectKeys {
            boot_id: request.boot_id.clone(),
            keys: vec![ConnectKey {
                version: 7,
                key: key.to_vec(),
            }],
        };
        self.send(connect_response::Message::ConnectKeys(keys))
            .await;
        request.boot_id
    }

    /// Sends the object with its match.
    pub(super) async fn in_match(&self, game_server: GameServer, text: &str) {
        let snapshot = Snapshot {
            game_server: Some(game_server),
            reserved_until: 0,
            r#match: text.to_owned(),
        };
        self.send(connect_response::Message::Snapshot(snapshot))
            .await;
    }

    pub(super) async fn snapshot(&self, game_server: GameServer) {
        self.reserved(game_server, 0).await;
    }

    pub(super) async fn reserved(&self, game_server: GameServer, reserved_until: i64) {
        let snapshot = Snapshot {
            game_server: Some(game_server),
            reserved_until,
            r#match: String::new(),
        };
        self.send(connect_response::Message::Snapshot(snapshot))
            .await;
    }

    pub(super) async fn ack(&self, id: u64, code: Code, message: &str) {
        let ack = Ack {
            id,
            code: code.into(),
            message: message.into(),
        };
        self.send(connect_response::Message::Ack(ack)).await;
    }

    /// Ends the stream with an error.
    pub(super) async fn refuse(self, status: Status) {
        self.responses.send(Err(status)).await.unwrap();
    }

    async fn send(&self, message: connect_response::Message) {
        self.responses
            .send(Ok(ConnectResponse {
                message: Some(message),
            }))
            .await
            .unwrap();
    }
}

struct Service {
    accept: mpsc::Sender<Link>,
}

#[tonic::async_trait]
impl Hub for Service {
    type ConnectStream = Pin<Box<dyn Stream<Item = Result<ConnectResponse, Status>> + Send>>;

    async fn connect(
        &self,
        request: Request<Streaming<ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let token = request
            .metadata()
            .get("authorization")
            .map_or("", |it| it.to_str().unwrap());
        let token = token.to_owned();
        let (responses, stream) = mpsc::channel(8);
        let link = Link {
            token,
            requests: request.into_inner(),
            responses,
        };
        self.accept
            .send(link)
            .await
            .map_err(|_gone| Status::unavailable("test is over"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// A connector that ignores the address.
#[derive(Clone)]
struct Connector<C>(C);

impl<C, F, Io> tonic::codegen::Service<http::Uri> for Connector<C>
where
    C: Fn() -> F,
    F: Future<Output = std::io::Result<Io>> + Send + 'static,
{
    type Response = Io;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Io>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        Box::pin((self.0)())
    }
}
