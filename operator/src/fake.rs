//! An API server for tests: a function that answers every call.

use std::convert::Infallible;
use std::sync::Arc;

use clap::Parser as _;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use crate::Args;
use crate::metrics::Metrics;
use crate::world::World;

/// The operator's own namespace.
pub(crate) const NAMESPACE: &str = "muster-system";

/// A world whose API server is `answer`: from method, path and body to status code and body.
pub(crate) fn world<Answer>(answer: Answer) -> Arc<World>
where
    Answer: Fn(&Method, &str, Value) -> (u16, Value) + Clone + Send + Sync + 'static,
{
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = answer.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap_or_default();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let (code, body) = answer(&head.method, head.uri.path(), body);
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
        }
    });
    let client = Client::new(service, "default");
    let config = Args::parse_from(["operator", "--pod-namespace", NAMESPACE])
        .try_into()
        .unwrap();
    let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
    World::new(config, &client, metrics)
}
