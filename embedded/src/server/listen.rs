//! The API server over HTTP/1.1 and HTTP/2, with or without TLS.
//!
//! Connections, headers, bodies and waiting are bounded, so that no client can hold the server.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::answer::refuse;
use super::negotiate::Encoding;
use super::service::{ApiService, LARGEST_BODY, too_large};
use super::{Api, Identity, Payload};
use crate::status::Status;

/// Connections at once.
const CONNECTIONS: usize = 4096;
/// Bytes of headers.
const LARGEST_HEADERS: usize = 64 * 1024;
/// Streams at once on one HTTP/2 connection.
const STREAMS: u32 = 1000;
/// How long a client may take for the TLS handshake and for headers.
const OPENING: Duration = Duration::from_secs(30);
/// How long a client may take for a body.
const BODY: Duration = Duration::from_mins(1);
/// How long requests get to end at shutdown.
const DRAIN: Duration = Duration::from_secs(5);
/// Pause after a failed accept, such as for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the API server stops.
pub(crate) async fn serve(
    api: Arc<Api>,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    identity: Identity,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let connections = tokio_util::task::TaskTracker::new();
    let stop = api.stop.clone();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = connect(
            ApiService::new(Arc::clone(&api), identity.clone()),
            stream,
            acceptor.clone(),
            graceful.watcher(),
        );
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    connections.close();
    // Watches have ended with the API server; what is left are short requests.
    let drained = async {
        graceful.shutdown().await;
        connections.wait().await;
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("connections were open when the API server stopped");
    }
}

async fn connect(
    service: ApiService,
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    graceful: Watcher,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set an option of a connection");
    }
    match acceptor {
        None => converse(service, stream, graceful).await,
        Some(acceptor) => match tokio::time::timeout(OPENING, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => converse(service, stream, graceful).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

async fn converse<S>(service: ApiService, stream: S, graceful: Watcher)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(answer(&service, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(OPENING)
        .max_buf_size(LARGEST_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(LARGEST_HEADERS).unwrap_or(u32::MAX));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = graceful.watch(connection.into_owned()).await {
        tracing::debug!(%error, "a connection broke");
    }
}

async fn answer(service: &ApiService, request: Request<Incoming>) -> Response<Payload> {
    let (parts, body) = request.into_parts();
    let collected = tokio::time::timeout(BODY, Limited::new(body, LARGEST_BODY).collect()).await;
    let body: Bytes = match collected {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return refuse(&too_large(), Encoding::Json, Vec::new());
        }
        Ok(Err(error)) => {
            let status = Status::bad_request(error.to_string());
            return refuse(&status, Encoding::Json, Vec::new());
        }
        Err(_) => {
            let status = Status::new(408, "Timeout", "Timeout: the body did not come");
            return refuse(&status, Encoding::Json, Vec::new());
        }
    };
    service.answer(Request::from_parts(parts, body)).await
}
