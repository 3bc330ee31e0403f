//! Listening, and serving one connection. Buffers, windows and connections are bounded: a game
//! server has a connection or two, and this process has few MiB.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;

/// Connections per listener; more wait in the backlog.
const MAX_CONNECTIONS: usize = 64;
/// The greatest request head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// After a failed accept, such as when file descriptors are used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens the listeners for a host: `localhost`, an address, a name, or empty for all addresses.
pub(crate) async fn bind(host: &str, port: u16) -> std::io::Result<Vec<TcpListener>> {
    match host {
        "" => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Ok(listener) => Ok(vec![listener]),
            // A machine without IPv6.
            Err(_) => Ok(vec![
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?,
            ]),
        },
        "localhost" => {
            let first = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            // Clients may resolve the name to either; where there is no IPv6, none will.
            let port = first.local_addr()?.port();
            let second = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await.ok();
            Ok([first].into_iter().chain(second).collect())
        }
        host => match host.parse::<IpAddr>() {
            Ok(address) => Ok(vec![
                TcpListener::bind(SocketAddr::new(address, port)).await?,
            ]),
            Err(_) => Ok(vec![TcpListener::bind((host, port)).await?]),
        },
    }
}

/// Where connections go, and when they end.
#[derive(Clone)]
pub(crate) struct Tasks {
    pub(crate) tracker: TaskTracker,
    /// Ends accepting, and connections after the request in hand.
    pub(crate) closing: CancellationToken,
}

impl Tasks {
    /// Accepts connections and gives each to `serve`.
    pub(crate) fn accept<Serving>(
        &self,
        listeners: Vec<TcpListener>,
        serve: impl Fn(TcpStream, CancellationToken) -> Serving + Clone + Send + 'static,
    ) where
        Serving: Future<Output = hyper::Result<()>> + Send + 'static,
    {
        for listener in listeners {
            let tasks = self.clone();
            let serve = serve.clone();
            self.tracker.spawn(async move {
                let closing = tasks.closing.clone();
                tokio::select! {
                    () = closing.cancelled() => {}
                    never = tasks.accept_from(&listener, serve) => match never {},
                }
            });
        }
    }

    async fn accept_from<Serving>(
        &self,
        listener: &TcpListener,
        serve: impl Fn(TcpStream, CancellationToken) -> Serving,
    ) -> Infallible
    where
        Serving: Future<Output = hyper::Result<()>> + Send + 'static,
    {
        let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let seat = Arc::clone(&seats).acquire_owned().await;
            match listener.accept().await {
                Ok((stream, _peer)) => {
                    let serving = serve(stream, self.closing.clone());
                    self.tracker.spawn(async move {
                        let _seat = seat;
                        if let Err(error) = serving.await {
                            tracing::debug!(%error, "Connection ended early");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "Accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Serves HTTP/1.1 on one connection; `idle` ends it when no request head comes within.
pub(crate) async fn http1<Answer>(
    stream: TcpStream,
    closing: CancellationToken,
    idle: Duration,
    respond: impl Fn(Request<Incoming>) -> Answer,
) -> hyper::Result<()>
where
    Answer: Future<Output = Response<Body>>,
{
    let service = service_fn(|request| {
        let answer = respond(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    // Small answers must not wait for the peer's acknowledgment.
    drop(stream.set_nodelay(true));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection.with_upgrades());
    tokio::select! {
        result = &mut connection => return result,
        () = closing.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// Serves HTTP/2 on one connection.
pub(crate) async fn http2<Answer>(
    stream: TcpStream,
    closing: CancellationToken,
    respond: impl Fn(Request<Incoming>) -> Answer,
) -> hyper::Result<()>
where
    Answer: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(|request| {
        let answer = respond(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    drop(stream.set_nodelay(true));
    let connection = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(64 * 1024 - 1)
        .initial_connection_window_size(128 * 1024)
        .max_send_buf_size(64 * 1024)
        .max_concurrent_streams(64)
        .max_header_list_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        result = &mut connection => return result,
        () = closing.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}
