//! The layer: lets each call through, or does to it what is due.

use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt as _};

use super::call::{Call, Verb};
use super::fault::{Fault, WatchFault};
use super::{Faults, LEASES, Mode, watch};
use crate::status::Status;

/// Whatever went wrong below.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;

type Answer = Result<Response<AnswerBody>, BoxError>;

/// Puts faults around a service.
#[derive(Clone, Debug)]
pub struct FaultLayer(Faults);

impl FaultLayer {
    pub(super) const fn new(faults: Faults) -> Self {
        Self(faults)
    }
}

impl<S> Layer<S> for FaultLayer {
    type Service = FaultService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FaultService {
            faults: self.0.clone(),
            inner,
        }
    }
}

/// A service with faults around it.
#[derive(Clone, Debug)]
pub struct FaultService<S> {
    faults: Faults,
    inner: S,
}

/// The connection broke.
#[derive(Debug, thiserror::Error)]
#[error("the connection was closed")]
struct Disconnected;

impl<S, B> Service<Request<Body>> for FaultService<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The clone takes the place of the service that was found ready.
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next);
        let faults = self.faults.clone();
        Box::pin(async move {
            let call = Call::of(&request);
            faults.wait_until_running().await;
            let wakes = faults.called(&call);
            let due = faults.due(&call);
            if !due.is_empty() {
                let list: Vec<_> = due.iter().map(ToString::to_string).collect();
                faults.note(format!("{call}: {}", list.join(", ")));
            }
            let answer = run(&faults, inner, request, &call, due).await;
            let is_refused = |answer: &Response<AnswerBody>| answer.status().as_u16() >= 400;
            if answer.as_ref().is_ok_and(is_refused) || answer.is_err() {
                faults.count(|traffic| traffic.refuse(wakes));
            }
            // An answer that was on its way reaches nobody who is dead or asleep.
            faults.wait_until_running().await;
            answer
        })
    }
}

/// Does what is due, and otherwise what was asked for.
async fn run<S, B>(
    faults: &Faults,
    mut inner: S,
    mut request: Request<Body>,
    call: &Call,
    due: Vec<Fault>,
) -> Answer
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut after = None;
    let mut late = None;
    let mut of_watch = Vec::new();
    for fault in due {
        match fault {
            Fault::Fail { code, retry_after } => return Ok(failure(code, retry_after)),
            Fault::Disconnect => return Err(Disconnected.into()),
            Fault::Delay(by) => {
                held_back(faults, by).await;
                faults.wait_until_running().await;
            }
            Fault::Late(by) => late = Some(by),
            Fault::CommitThenTimeout
            | Fault::CommitThenDisconnect
            | Fault::CommitThenHang
            | Fault::DelayAnswer(_) => after = Some(fault),
            Fault::Stale(by) => {
                let uri = request.uri().clone();
                let headers = request.headers().clone();
                if let Some((uri, differs)) = older(&mut inner, &uri, &headers, by).await {
                    *request.uri_mut() = uri;
                    faults.count(|traffic| traffic.stale_lists += u64::from(differs));
                }
            }
            Fault::Watch(fault) => of_watch.push(fault),
        }
    }
    if let Some(by) = late {
        return execute_late(faults.clone(), inner, request, call.clone(), by).await;
    }
    let response = execute(faults, &mut inner, request, call).await?;
    match after {
        Some(Fault::CommitThenTimeout) => Ok(failure(504, None)),
        Some(Fault::CommitThenDisconnect) => Err(Disconnected.into()),
        Some(Fault::CommitThenHang) => std::future::pending().await,
        Some(Fault::DelayAnswer(by)) => {
            held_back(faults, by).await;
            Ok(response)
        }
        _ if call.verb == Verb::Watch && response.status().is_success() => {
            Ok(watched(faults, call, response, of_watch))
        }
        _ => Ok(response),
    }
}

/// Calls the API server, and counts what it has written.
async fn execute<S, B>(
    faults: &Faults,
    inner: &mut S,
    request: Request<Body>,
    call: &Call,
) -> Answer
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let ready = inner.ready().await.map_err(Into::into)?;
    let result = ready.call(request).await.map_err(Into::into);
    let response = result?.map(|body| body.map_err(Into::into).boxed_unsync());
    let status = response.status();
    // Renewals and reads that succeed would drown everything else.
    if call.is_write() && call.resource != LEASES || !status.is_success() {
        faults.note(format!("{call} -> {}", status.as_u16()));
    }
    if call.is_write() && status.is_success() && faults.wrote(call) {
        return std::future::pending().await;
    }
    Ok(response)
}

/// Executes a request in a task of its own, which its sender's end does not stop.
async fn execute_late<S, B>(
    faults: Faults,
    mut inner: S,
    request: Request<Body>,
    call: Call,
    by: Duration,
) -> Answer
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (sender, never) = oneshot::channel::<()>();
    let pending = faults.postpone();
    tokio::spawn(async move {
        tokio::time::sleep(by).await;
        // An execution by which the replica crashes never returns.
        drop(pending);
        let executed = execute(&faults, &mut inner, request, &call);
        // The journal tells; nobody waits for the answer.
        drop(executed.await);
        drop(sender);
    });
    // Even when it is executed, the answer finds nobody.
    drop(never.await);
    std::future::pending().await
}

/// The address of the same list as it was so many changes ago, and whether it was another then.
async fn older<S, B>(inner: &mut S, uri: &Uri, headers: &HeaderMap, by: u64) -> Option<(Uri, bool)>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    if query.contains("continue=") || query.contains("resourceVersion=") {
        return None;
    }
    let now = read(inner, uri.clone(), headers).await?;
    let version = now.pointer("/metadata/resourceVersion")?.as_str()?;
    let then = version.parse::<u64>().ok()?.saturating_sub(by).max(1);
    let exact = format!("resourceVersion={then}&resourceVersionMatch=Exact");
    let uri: Uri = format!("{path}?{query}&{exact}").parse().ok()?;
    // What is no longer kept, or was not yet, is answered as it is now.
    let then = read(inner, uri.clone(), headers).await?;
    Some((uri, then.get("items") != now.get("items")))
}

/// Reads a document; none if it was refused.
async fn read<S, B>(inner: &mut S, uri: Uri, headers: &HeaderMap) -> Option<Value>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut request = Request::get(uri).body(Body::empty()).ok()?;
    request.headers_mut().clone_from(headers);
    let ready = inner.ready().await.map_err(Into::into).ok()?;
    let answer = ready.call(request).await.map_err(Into::into).ok()?;
    if !answer.status().is_success() {
        return None;
    }
    let body = answer
        .into_body()
        .collect()
        .await
        .map_err(Into::into)
        .ok()?;
    serde_json::from_slice(&body.to_bytes()).ok()
}

/// Puts the faults of a watch around its stream.
fn watched(
    faults: &Faults,
    call: &Call,
    response: Response<AnswerBody>,
    of_watch: Vec<WatchFault>,
) -> Response<AnswerBody> {
    response.map(|body| watch::filter(faults.clone(), call, body, of_watch))
}

/// An error in the API server's words.
fn failure(code: u16, retry_after: Option<u32>) -> Response<AnswerBody> {
    let (reason, message) = match code {
        400 => ("BadRequest", "the request was bad"),
        403 => ("Forbidden", "forbidden"),
        404 => ("NotFound", "not found"),
        409 => (
            "Conflict",
            "Operation cannot be fulfilled: the object has been modified; please apply your changes to the latest version and try again",
        ),
        410 => ("Expired", "too old resource version"),
        422 => ("Invalid", "invalid"),
        429 => (
            "TooManyRequests",
            "too many requests, please try again later",
        ),
        500 => ("InternalError", "Internal error occurred"),
        503 => (
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        ),
        504 => (
            "Timeout",
            "request did not complete within the allotted timeout",
        ),
        _ => ("", "injected fault"),
    };
    let mut status = Status::new(code, reason, message);
    if let Some(seconds) = retry_after {
        let details = status.details.get_or_insert_default();
        details.retry_after_seconds = seconds;
    }
    let body = Bytes::from(status.to_value().to_string());
    let body = Full::new(body)
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    // An unknown code can only come from the script.
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Waits for a time that nobody takes for the end.
async fn held_back(faults: &Faults, by: Duration) {
    let pending = faults.hold();
    tokio::time::sleep(by).await;
    drop(pending);
}

impl Faults {
    /// Counts a call that begins; returns whether the replica woke up with it.
    fn called(&self, call: &Call) -> bool {
        let mut wakes = false;
        self.count(|traffic| wakes = traffic.begin(Instant::now(), call));
        wakes
    }

    /// Waits out a pause; for ever after a crash.
    pub(super) async fn wait_until_running(&self) {
        let mut mode = self.0.mode.subscribe();
        // The sender lives as long as we do.
        drop(mode.wait_for(|mode| *mode == Mode::Running).await);
    }
}
