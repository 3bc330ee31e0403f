//! The client over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use kube::Api;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::fake::Fake;
use crate::fake::harness::fleet;
use crate::object::Written;

/// What an API server saw of its clients.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    versions: std::sync::Mutex<Vec<http::Version>>,
}

/// Serves the fake API over TLS with these protocols; the certificate is its own CA.
async fn serve(fake: Fake, protocols: &[&[u8]], seen: Arc<Seen>) -> (Config, JoinSet<()>) {
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], PrivateKeyDer::from(key))
        .unwrap();
    tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let mut config = Config::new(url.parse().unwrap());
    config.root_cert = Some(vec![certificate.to_vec()]);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let (fake, seen) = (fake.clone(), Arc::clone(&seen));
            connections.spawn(async move {
                seen.connections.fetch_add(1, Ordering::Relaxed);
                let service = service_fn(move |request: Request<Incoming>| {
                    seen.versions.lock().unwrap().push(request.version());
                    let fake = fake.clone();
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let request = Request::from_parts(parts, Body::from(body.to_vec()));
                        fake.answer(request).await.map_err(std::io::Error::other)
                    }
                });
                let server = auto::Builder::new(TokioExecutor::new());
                // The client ends connections as it likes.
                server
                    .serve_connection(TokioIo::new(stream), service)
                    .await
                    .ok();
            });
        }
    });
    (config, tasks)
}

#[tokio::test]
async fn a_hundred_calls_share_one_http2_connection() {
    let seen = Arc::new(Seen::default());
    let protocols: [&[u8]; 2] = [b"h2", b"http/1.1"];
    let (config, _server) = serve(fleet(1), &protocols, Arc::clone(&seen)).await;
    let api: Api<Written> = Api::namespaced(connect(&config).unwrap(), "default");
    // The protocol is known from the first call on.
    api.get("gs-00").await.unwrap();
    let servers = join_all((0..100).map(|_| api.get("gs-00"))).await;
    assert!(servers.into_iter().all(|server| server.is_ok()));
    assert_eq!(seen.connections.load(Ordering::Relaxed), 1);
    let versions = seen.versions.lock().unwrap();
    assert_eq!(versions.len(), 101);
    assert!(
        versions
            .iter()
            .all(|version| *version == http::Version::HTTP_2),
        "{versions:?}"
    );
}

#[tokio::test]
async fn an_api_server_without_http2_is_served_too() {
    let seen = Arc::new(Seen::default());
    let (config, _server) = serve(fleet(1), &[b"http/1.1"], Arc::clone(&seen)).await;
    let api: Api<Written> = Api::namespaced(connect(&config).unwrap(), "default");
    api.get("gs-00").await.unwrap();
    assert_eq!(*seen.versions.lock().unwrap(), [http::Version::HTTP_11]);
}
