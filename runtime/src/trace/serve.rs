//! A span for each request that is served, over HTTP and gRPC alike.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::MatchedPath;
use futures::future::Either;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tower::{Layer, Service};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::adopt;

/// Longest path of a gRPC method that is told.
const LONGEST_PATH: usize = 128;

/// Opens a span for each request of a router: a part of its caller's trace if the request says so.
///
/// A request over HTTP is known by its method and its route, never by its path, which may hold what
/// is a player's. The span ends with the head of the answer, so that a stream has a short one.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerSpans;

impl<S> Layer<S> for ServerSpans {
    type Service = Spanned<S>;

    fn layer(&self, inner: S) -> Spanned<S> {
        Spanned { inner }
    }
}

/// A service with a span for each request.
#[derive(Clone, Debug)]
pub struct Spanned<S> {
    inner: S,
}

/// The answer of a traced request.
type Answer<R, E> = Pin<Box<dyn Future<Output = Result<Response<R>, E>> + Send>>;

impl<S, B, R> Service<Request<B>> for Spanned<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Either<S::Future, Answer<R, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_grpc = is_grpc(request.headers());
        let span = if is_grpc {
            of_grpc(&request)
        } else {
            of_http(&request)
        };
        if span.is_disabled() {
            return Either::Left(self.inner.call(request));
        }
        adopt(&span, request.headers());
        let answer = span.in_scope(|| self.inner.call(request));
        Either::Right(Box::pin(async move {
            let answer = answer.instrument(span.clone()).await;
            if let Ok(response) = &answer {
                if is_grpc {
                    note_code(&span, response.headers());
                } else {
                    note_status(&span, response.status());
                }
            }
            answer
        }))
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn of_http<B>(request: &Request<B>) -> Span {
    crate::span!(
        "request",
        otel.name = name(request),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method(request.method()),
        http.route = route(request),
        http.response.status_code = Empty,
    )
}

/// The route, if the request has found one.
fn route<B>(request: &Request<B>) -> Option<&str> {
    let matched = request.extensions().get::<MatchedPath>();
    matched.map(MatchedPath::as_str)
}

fn name<B>(request: &Request<B>) -> String {
    let method = method(request.method());
    route(request).map_or_else(|| method.to_owned(), |route| format!("{method} {route}"))
}

/// Names that callers make up are none.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::CONNECT => "CONNECT",
        Method::DELETE => "DELETE",
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::TRACE => "TRACE",
        _ => "_OTHER",
    }
}

fn note_status(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

fn of_grpc<B>(request: &Request<B>) -> Span {
    // `/package.Service/Method`; what found no service is whatever its caller made up.
    let path = request.uri().path().trim_start_matches('/');
    let is_known = route(request).is_some() && path.len() <= LONGEST_PATH;
    let (service, method) = Some(path)
        .filter(|_| is_known)
        .and_then(|path| path.split_once('/'))
        .unwrap_or(("_OTHER", "_OTHER"));
    crate::span!(
        "call",
        otel.name = format_args!("{service}/{method}"),
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = Empty,
    )
}

/// The codes of gRPC that are the server's fault, as the conventions of OpenTelemetry have it:
/// UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
const FAULTS: [i64; 6] = [2, 4, 12, 13, 14, 15];

fn note_code(span: &Span, headers: &HeaderMap) {
    // A refusal has its code in the head; what has none there has begun to answer.
    let code = headers
        .get("grpc-status")
        .and_then(|code| code.to_str().ok()?.parse::<i64>().ok())
        .unwrap_or_default();
    span.record("rpc.grpc.status_code", code);
    if FAULTS.contains(&code) {
        span.record("otel.status_code", "ERROR");
    }
}
