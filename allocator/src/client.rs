//! The client of the API server.
//!
//! kube's own speaks HTTP/1.1 only, so a hundred writes in flight would need a hundred TLS
//! connections. This one speaks HTTP/2 where the server offers it: watches and writes share one
//! connection. A silent peer is found by pings, since a watch has no time limit of its own and a
//! write must not wait for a connection that is dead.
//!
//! There is no retry in it: a repeated write must be known to `commit`.

use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use tower::ServiceBuilder;
use tower::util::{BoxService, option_layer};

/// Time to open a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Time between pings, and for an answer to one.
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(5);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a kubeconfig nor a service account was found.
    #[error("find out how to reach the API server")]
    Infer(#[source] Box<kube::config::InferConfigError>),
    /// The configuration cannot be used.
    #[error("use the configuration of the API server")]
    Use(#[source] Box<kube::Error>),
}

/// Connects as the environment says: KUBECONFIG, `~/.kube/config`, or the service account of the
/// pod. Nothing is sent before the first call.
pub async fn infer() -> Result<Client, Error> {
    let config = Config::infer()
        .await
        .map_err(|error| Error::Infer(Box::new(error)))?;
    connect(&config).map_err(|error| Error::Use(Box::new(error)))
}

/// Makes a client from a configuration.
pub fn connect(config: &Config) -> Result<Client, kube::Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT));
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(http);
    let client: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PONG)
        .http2_keep_alive_while_idle(true)
        .build(https);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(option_layer(config.auth_layer()?))
        .layer(config.extra_headers_layer()?)
        .map_err(Into::into)
        .service(client);
    let service: BoxService<Request<Body>, Response<Incoming>, tower::BoxError> =
        BoxService::new(service);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

#[cfg(test)]
mod tests;
