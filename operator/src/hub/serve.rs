//! The hub's listener: TLS with a certificate that is renewed while it runs.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use proto::muster::hub::v1::hub_server::{Hub, HubServer};
use proto::muster::hub::v1::{ConnectRequest, ConnectResponse};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::certificates::Certificates;
use super::session;
use crate::world::World;

/// A handshake takes no longer than this.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Handshakes at once; further connections wait in the listener.
const HANDSHAKES: usize = 256;
/// Connections that wait for the server to take them.
const ACCEPTED: usize = 64;
/// Largest message of an SDK server.
const MESSAGE_LIMIT: usize = 256 * 1024;
/// Dead peers are noticed within twice this time.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Streams are given this time to end when the hub stops.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves until the token is cancelled.
pub(crate) async fn serve(
    world: Arc<World>,
    certificates: Arc<Certificates>,
    listener: TcpListener,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let tasks = TaskTracker::new();
    let service = service(world, tasks.clone(), stop.clone());
    let (sender, accepted) = mpsc::channel(ACCEPTED);
    let accepting = tokio::spawn(accept(listener, certificates, sender, stop.clone()));
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(64 * 1024)
        .add_service(service)
        .serve_with_incoming_shutdown(ReceiverStream::new(accepted), stop.cancelled_owned());
    let result = server.await.map_err(std::io::Error::other);
    tasks.close();
    if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
        tracing::warn!(streams = tasks.len(), "Streams did not end in time");
    }
    accepting.abort();
    result
}

/// The hub as a gRPC service, whatever carries it.
pub(super) fn service(
    world: Arc<World>,
    tasks: TaskTracker,
    stop: CancellationToken,
) -> HubServer<impl Hub> {
    HubServer::new(Service { world, tasks, stop }).max_decoding_message_size(MESSAGE_LIMIT)
}

type Accepted = std::io::Result<TlsStream<TcpStream>>;

async fn accept(
    listener: TcpListener,
    certificates: Arc<Certificates>,
    sender: mpsc::Sender<Accepted>,
    stop: CancellationToken,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else {
            return;
        };
        let Some(connection) = stop.run_until_cancelled(listener.accept()).await else {
            return;
        };
        let stream = match connection {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Most often too many open files: a pause, not an end.
                tracing::warn!(%error, "Connection could not be accepted");
                stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(100)))
                    .await;
                continue;
            }
        };
        let acceptor = TlsAcceptor::from(certificates.server_config());
        let sender = sender.clone();
        tokio::spawn(async move {
            let _permit = permit;
            drop(stream.set_nodelay(true));
            match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => drop(sender.send(Ok(stream)).await),
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake took too long"),
            }
        });
    }
}

struct Service {
    world: Arc<World>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[tonic::async_trait]
impl Hub for Service {
    type ConnectStream =
        Pin<Box<dyn Stream<Item = Result<ConnectResponse, Status>> + Send + 'static>>;

    async fn connect(
        &self,
        request: Request<Streaming<ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (metadata, _, mut inbound) = request.into_parts();
        let peer = session::greet(&self.world, &metadata, &mut inbound).await?;
        let (outbox, messages) = mpsc::channel(session::OUTBOX);
        self.tasks.spawn(session::run(
            Arc::clone(&self.world),
            peer,
            inbound,
            outbox,
            self.stop.clone(),
        ));
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }
}
