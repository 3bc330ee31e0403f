//! One port for everything: gRPC, HTTP and WebSockets, HTTP/2 and HTTP/1.1, plain, TLS or mutual TLS.
//!
//! Connections are bounded in number, in the time of their handshake, and in the time that they may
//! idle; requests in time. Certificates are taken anew for each connection, so that new files are in
//! use at once and old connections live on.

pub mod address;
mod head;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use self::head::{Head, Timed};
use crate::tls::Reloading;

/// Time for a TLS handshake, and for the head of an HTTP/1.1 request from its first byte.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// An HTTP/1.1 connection without requests is closed after this time: proxies, which use theirs
/// again for a minute, must be the ones to close.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// An HTTP/2 connection without requests is closed after this time; Agones' `MaxConnectionIdle`.
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
pub struct Server<C> {
    /// The routes.
    pub router: Router,
    /// Certificates; none to serve without TLS.
    pub tls: Option<Reloading>,
    /// Connections at once; more are closed at once.
    pub connections: usize,
    /// Time for one request.
    pub timeout: Duration,
    /// Where is counted.
    pub count: C,
}

/// Who sent a request: an extension of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The other end of the connection: perhaps a proxy.
    pub address: SocketAddr,
    /// It showed a certificate of a client CA.
    pub is_certified: bool,
}

/// Counts connections.
pub trait Count: Clone + Send + Sync + 'static {
    /// Lives as long as its connection.
    type Open: Send;

    /// A connection was taken.
    fn connected(&self) -> Self::Open;

    /// A connection was closed at once: there are as many as may be.
    fn refused(&self);
}

impl<C: Count> Server<C> {
    /// Serves until `stop` is cancelled, and then until every connection has come to its end.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.connections));
        let connections = TaskTracker::new();
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "Connection was not accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                self.count.refused();
                continue;
            };
            let server = self.clone();
            let stop = stop.clone();
            connections.spawn(async move {
                let _place = place;
                let _open = server.count.connected();
                server.connection(stream, address, stop).await;
            });
        }
        // New callers are refused by the kernel from here on.
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    async fn connection(&self, stream: TcpStream, address: SocketAddr, stop: CancellationToken) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "Connection ended");
            return;
        }
        let Some(tls) = &self.tls else {
            let peer = Peer {
                address,
                is_certified: false,
            };
            return self.requests(stream, peer, stop).await;
        };
        let handshake = TlsAcceptor::from(tls.current()).accept(stream);
        let handshake = tokio::time::timeout(HANDSHAKE, handshake);
        match stop.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => {
                let peer = Peer {
                    address,
                    is_certified: stream.get_ref().1.peer_certificates().is_some(),
                };
                self.requests(stream, peer, stop).await;
            }
            Some(Ok(Err(error))) => tracing::info!(%error, "TLS handshake failed"),
            Some(Err(_)) => tracing::info!("TLS handshake took too long"),
            None => {}
        }
    }

    async fn requests(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        stop: CancellationToken,
    ) {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // hyper counts from the end of the last request; the head itself is watched by `Timed`.
            .header_read_timeout(KEEP_ALIVE);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_SIZE);
        let activity = Arc::new(Activity::default());
        let head = Head::new(HANDSHAKE);
        let timed = Timed::new(stream, Arc::clone(&head));
        let limit = self.timeout + SLACK;
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            head.is_whole();
            let request_is_open = Open::new(Arc::clone(&activity));
            let answer = self.router.clone().oneshot(request);
            let head = Arc::clone(&head);
            async move {
                let _open = request_is_open;
                let response = match tokio::time::timeout(limit, answer).await {
                    Ok(Ok(response)) => response,
                    Ok(Err(never)) => match never {},
                    Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
                };
                head.is_answered(response.status());
                Ok::<_, Infallible>(response)
            }
        });
        let mut connection =
            pin!(builder.serve_connection_with_upgrades(TokioIo::new(timed), service));
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
