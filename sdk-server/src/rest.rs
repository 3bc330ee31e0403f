//! The SDK over REST, as Agones' grpc-gateway serves it: the same paths, JSON and errors.
//!
//! Translates, and leaves the rest to the [`Api`].

use std::time::Duration;

use futures::StreamExt as _;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming};
use proto::agones::dev::sdk::{self, Empty, GameServer, KeyValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::MAX_MESSAGE_BYTES;
use crate::backend::{Api, Call, Watch};
use crate::serve::{Tasks, http1};

#[cfg(test)]
mod tests;
mod websocket;

/// Clients keep connections for later requests; an unused one ends after this time.
const IDLE: Duration = Duration::from_mins(5);
/// An oversized body is read up to here, so that the client gets to the answer.
const MAX_DISCARDED_BYTES: usize = 64 * 1024 * 1024;

/// Serves the SDK on `listeners`.
pub(crate) fn serve(api: Api, listeners: Vec<TcpListener>, tasks: &Tasks) {
    let rest = Rest {
        api,
        tasks: tasks.clone(),
    };
    tasks.accept(
        listeners,
        move |stream: TcpStream, closing: CancellationToken| {
            let rest = rest.clone();
            async move {
                http1(stream, closing, IDLE, |request: Request<Incoming>| {
                    rest.respond(request)
                })
                .await
            }
        },
    );
}

#[derive(Clone)]
struct Rest {
    api: Api,
    tasks: Tasks,
}

/// What a path and verb ask for.
enum Route {
    Ready,
    Allocate,
    Shutdown,
    Health,
    GameServer,
    Watch,
    SetLabel,
    SetAnnotation,
    Reserve,
}

impl Route {
    fn find(method: &Method, path: &str) -> Result<Self, Status> {
        let (verb, route) = match path {
            "/ready" => (Method::POST, Self::Ready),
            "/allocate" => (Method::POST, Self::Allocate),
            "/shutdown" => (Method::POST, Self::Shutdown),
            "/health" => (Method::POST, Self::Health),
            "/gameserver" => (Method::GET, Self::GameServer),
            "/watch/gameserver" => (Method::GET, Self::Watch),
            "/metadata/label" => (Method::PUT, Self::SetLabel),
            "/metadata/annotation" => (Method::PUT, Self::SetAnnotation),
            "/reserve" => (Method::POST, Self::Reserve),
            path if path.starts_with("/v1beta1/") => {
                return Err(Status::unimplemented(
                    "counters and lists are not supported",
                ));
            }
            path if path.starts_with("/alpha/") => {
                return Err(Status::unimplemented("player tracking is not supported"));
            }
            _ => return Err(Status::not_found("Not Found")),
        };
        // grpc-gateway's answer, code and all.
        if method == verb {
            Ok(route)
        } else {
            Err(Status::unimplemented("Method Not Allowed"))
        }
    }
}

impl Rest {
    async fn respond<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        self.answer(request)
            .await
            .unwrap_or_else(|status| failure(&status))
    }

    async fn answer<B>(&self, mut request: Request<B>) -> Result<Response<Body>, Status>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let route = Route::find(request.method(), request.uri().path())?;
        let call = match route {
            Route::GameServer => return Ok(json(&*self.api.game_server().await?)),
            Route::Watch if websocket::is_asked_for(request.headers()) => {
                return websocket::accept(&mut request, self.api.watch()?, &self.tasks);
            }
            Route::Watch => return Ok(lines(self.api.watch()?)),
            Route::Health => {
                let body = read(request.into_body()).await?;
                return self.health(&body);
            }
            Route::Ready => self.empty(request, Call::Ready).await?,
            Route::Allocate => self.empty(request, Call::Allocate).await?,
            Route::Shutdown => self.empty(request, Call::Shutdown).await?,
            Route::SetLabel => {
                let KeyValue { key, value } = parse(&read(request.into_body()).await?)?;
                Call::SetLabel { key, value }
            }
            Route::SetAnnotation => {
                let KeyValue { key, value } = parse(&read(request.into_body()).await?)?;
                Call::SetAnnotation { key, value }
            }
            Route::Reserve => {
                let sdk::Duration { seconds } = parse(&read(request.into_body()).await?)?;
                Call::Reserve { seconds }
            }
        };
        self.api.call(call).await?;
        Ok(json(&Empty {}))
    }

    async fn empty<B>(&self, request: Request<B>, call: Call) -> Result<Call, Status>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let Empty {} = parse(&read(request.into_body()).await?)?;
        Ok(call)
    }

    /// A body is a stream of JSON objects, one per ping; that they come together makes them one.
    fn health(&self, body: &[u8]) -> Result<Response<Body>, Status> {
        let pings = serde_json::Deserializer::from_slice(body).into_iter::<Empty>();
        let pings = pings
            .collect::<Result<Vec<Empty>, _>>()
            .map_err(|error| malformed(&error))?;
        if pings.is_empty() {
            return Err(Status::invalid_argument(
                "the body is empty: send {} for a health ping",
            ));
        }
        self.api.ping();
        Ok(json(&Empty {}))
    }
}

/// Reads a whole body of bounded size.
async fn read<B>(mut body: B) -> Result<Vec<u8>, Status>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut bytes = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Status::cancelled(error.to_string()))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        length += data.len();
        if length <= MAX_MESSAGE_BYTES {
            bytes.extend_from_slice(data);
        } else {
            bytes = Vec::new();
        }
        if length > MAX_DISCARDED_BYTES {
            break;
        }
    }
    if length > MAX_MESSAGE_BYTES {
        return Err(Status::resource_exhausted(format!(
            "the body is larger than the allowed {MAX_MESSAGE_BYTES} bytes"
        )));
    }
    Ok(bytes)
}

/// Parses the first JSON value of a body; an empty body means all defaults, as for grpc-gateway.
fn parse<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Status> {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<T>();
    values
        .next()
        .transpose()
        .map_err(|error| malformed(&error))
        .map(Option::unwrap_or_default)
}

fn malformed(error: &serde_json::Error) -> Status {
    Status::invalid_argument(format!("malformed JSON: {error}"))
}

fn json(message: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(message) {
        Ok(bytes) => with_json(StatusCode::OK, Body::new(Full::new(bytes.into()))),
        Err(error) => failure(&Status::internal(error.to_string())),
    }
}

/// Answers with one line per object, for as long as the client listens.
fn lines(watch: Watch) -> Response<Body> {
    let frames = watch.into_stream().map(|object| {
        let mut line = result(&object)?;
        line.push('\n');
        Ok::<_, Status>(Frame::data(Bytes::from(line)))
    });
    with_json(StatusCode::OK, Body::new(StreamBody::new(frames)))
}

/// One message of a stream.
fn result(object: &GameServer) -> Result<String, Status> {
    #[derive(Serialize)]
    struct Message<'a> {
        result: &'a GameServer,
    }
    serde_json::to_string(&Message { result: object })
        .map_err(|error| Status::internal(error.to_string()))
}

fn failure(status: &Status) -> Response<Body> {
    #[derive(Serialize)]
    struct Failure<'a> {
        code: i32,
        message: &'a str,
        details: [(); 0],
    }
    let body = Failure {
        code: status.code().into(),
        message: status.message(),
        details: [],
    };
    let bytes = serde_json::to_vec(&body).unwrap_or_default();
    with_json(
        http_status(status.code()),
        Body::new(Full::new(bytes.into())),
    )
}

fn with_json(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// grpc-gateway's table.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        // 499, "client closed request", has no name of its own.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
