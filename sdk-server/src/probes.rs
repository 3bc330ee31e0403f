//! The kubelet's probes: `/gshealthz` asks for the game server's health, `/healthz` for ours.

use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use crate::remote::Remote;
use crate::serve::{Tasks, http1};

/// The kubelet opens a connection per probe.
const IDLE: Duration = Duration::from_secs(10);

/// Serves the probes on `listeners`.
pub(crate) fn serve(remote: Arc<Remote>, listeners: Vec<TcpListener>, tasks: &Tasks) {
    tasks.accept(
        listeners,
        move |stream: TcpStream, closing: CancellationToken| {
            let remote = Arc::clone(&remote);
            async move {
                http1(
                    stream,
                    closing,
                    IDLE,
                    |request: http::Request<hyper::body::Incoming>| {
                        std::future::ready(respond(&remote, request.uri().path()))
                    },
                )
                .await
            }
        },
    );
}

fn respond(remote: &Remote, path: &str) -> Response<Body> {
    let (status, text) = match path {
        "/gshealthz" if remote.probe() => (StatusCode::OK, "ok"),
        "/gshealthz" => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the game server sends no health pings",
        ),
        "/healthz" | "/livez" | "/health" | "/live" => (StatusCode::OK, "ok"),
        "/readyz" | "/ready" if remote.is_informed() => (StatusCode::OK, "ok"),
        "/readyz" | "/ready" => (StatusCode::SERVICE_UNAVAILABLE, "waiting for: hub"),
        _ => (StatusCode::NOT_FOUND, "not found"),
    };
    let mut response = Response::new(Body::new(Full::new(text.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
