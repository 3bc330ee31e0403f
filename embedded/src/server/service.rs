//! The API server as a tower service: what a `kube::Client` in the process talks to.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Bytes;
use kube::client::Body;
use tower::Service;

use super::answer::refuse;
use super::negotiate::Encoding;
use super::{Api, Payload};
use crate::access::User;
use crate::status::Status;

/// The largest body of a request.
pub(crate) const LARGEST_BODY: usize = 3 * 1024 * 1024;

/// Who makes the requests of a client.
#[derive(Clone, Debug)]
pub enum Identity {
    /// This user, whatever the request says.
    User(User),
    /// Whoever the token in the request belongs to; nobody known without one.
    Bearer,
    /// The same, but this user without a token. Clients send no tokens over plain HTTP.
    BearerOr(User),
}

/// The API server as one client sees it. Works without sockets and under paused time.
#[derive(Clone, Debug)]
pub struct ApiService {
    api: Arc<Api>,
    identity: Identity,
}

impl ApiService {
    /// A way in for one identity.
    pub fn new(api: Arc<Api>, identity: Identity) -> Self {
        Self { api, identity }
    }

    /// Answers a request whose body is read.
    pub(super) async fn answer(&self, request: Request<Bytes>) -> Response<Payload> {
        self.api.handle(request, &self.identity).await
    }
}

impl Service<Request<Body>> for ApiService {
    type Response = Response<Payload>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect_bytes().await else {
                let status = Status::bad_request("the body cannot be read");
                return Ok(refuse(&status, Encoding::Json, Vec::new()));
            };
            if body.len() > LARGEST_BODY {
                return Ok(refuse(&too_large(), Encoding::Json, Vec::new()));
            }
            let request = Request::from_parts(parts, body);
            Ok(service.answer(request).await)
        })
    }
}

/// 413.
pub(crate) fn too_large() -> Status {
    Status::new(
        413,
        "RequestEntityTooLarge",
        format!("Request entity too large: limit is {LARGEST_BODY}"),
    )
}
