//! One port for everything: gRPC and REST, HTTP/2 and HTTP/1.1, plain, TLS or mutual TLS.
//!
//! Connections are bounded in number, in the time of their handshake, and in the time that they may
//! idle; requests in size and time. Certificates are taken anew for each connection, so that new
//! files are in use at once and old connections live on.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse as _;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use proto::allocation::allocation_service_server::AllocationServiceServer;
use proto::muster::allocation::v1::allocator_server::AllocatorServer;
use runtime::tls::Reloading;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::server::NamedService;
use tonic_health::pb::health_server::{Health, HealthServer};
use tower::ServiceExt as _;

use crate::api::Api;
use crate::match_api::MatchApi;
use crate::metrics::Metrics;

/// Largest request, over gRPC and REST.
pub const BODY_SIZE: usize = 1024 * 1024;

/// Time for a TLS handshake, and for the head of an HTTP/1.1 request.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A connection without requests is closed after this time; Agones' `MaxConnectionIdle`.
const IDLE: Duration = Duration::from_mins(5);

/// Time between pings to a silent peer, and for its answer.
const PING: Duration = Duration::from_mins(1);
const PONG: Duration = Duration::from_secs(20);

/// Requests at once on one connection; more wait at the caller's.
const STREAMS: u32 = 1024;

/// Largest head of a request.
const HEAD_SIZE: u32 = 16 * 1024;

/// Pause after `accept` failed, as when no file descriptor is free.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Time beyond that of the request itself, to read it and to write the answer.
const SLACK: Duration = Duration::from_secs(5);

/// What is served, and within which bounds.
#[derive(Clone, Debug)]
pub struct Server {
    /// The routes.
    pub router: Router,
    /// Certificates; none to serve without TLS.
    pub tls: Option<Reloading>,
    /// Connections at once; more are closed at once.
    pub connections: usize,
    /// Time for one request.
    pub timeout: Duration,
    /// Where is counted.
    pub metrics: Metrics,
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
        .route_service(&path(&health), health)
}

impl Server {
    /// Serves until `stop` is cancelled, and then until every connection has come to its end.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.connections));
        let connections = TaskTracker::new();
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "Connection was not accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                self.metrics.refused("connections");
                continue;
            };
            let server = self.clone();
            let stop = stop.clone();
            connections.spawn(async move {
                let _place = place;
                let _open = server.metrics.connected();
                server.connection(stream, stop).await;
            });
        }
        // New callers are refused by the kernel from here on.
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    async fn connection(&self, stream: TcpStream, stop: CancellationToken) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "Connection ended");
            return;
        }
        let Some(tls) = &self.tls else {
            return self.requests(stream, stop).await;
        };
        let handshake = TlsAcceptor::from(tls.current()).accept(stream);
        let handshake = tokio::time::timeout(HANDSHAKE, handshake);
        match stop.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => self.requests(stream, stop).await,
            Some(Ok(Err(error))) => tracing::info!(%error, "TLS handshake failed"),
            Some(Err(_)) => tracing::info!("TLS handshake took too long"),
            None => {}
        }
    }

    async fn requests(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        stop: CancellationToken,
    ) {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HANDSHAKE);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_SIZE);
        let activity = Arc::new(Activity::default());
        let limit = self.timeout + SLACK;
        let service = service_fn(|request: Request<Incoming>| {
            let request_is_open = Open::new(Arc::clone(&activity));
            let answer = self.router.clone().oneshot(request);
            async move {
                let _open = request_is_open;
                Ok::<_, Infallible>(match tokio::time::timeout(limit, answer).await {
                    Ok(Ok(response)) => response,
                    Ok(Err(never)) => match never {},
                    Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
                })
            }
        });
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut is_closing = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error, "Connection ended");
                    }
                    return;
                }
                () = stop.cancelled(), if !is_closing => {}
                () = tokio::time::sleep_until(activity.idle_at()), if !is_closing => {
                    if activity.idle_at() > Instant::now() {
                        continue;
                    }
                }
            }
            is_closing = true;
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// When a connection had its last request.
#[derive(Debug)]
struct Activity {
    open: AtomicUsize,
    last: Mutex<Instant>,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            open: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
        }
    }
}

impl Activity {
    /// When the connection will have idled for too long, as far as is known now.
    fn idle_at(&self) -> Instant {
        if self.open.load(Ordering::Acquire) > 0 {
            return Instant::now() + IDLE;
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) + IDLE
    }
}

/// A request that is being served.
struct Open(Arc<Activity>);

impl Open {
    fn new(activity: Arc<Activity>) -> Self {
        activity.open.fetch_add(1, Ordering::AcqRel);
        Self(activity)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
