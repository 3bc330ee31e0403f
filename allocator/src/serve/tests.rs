//! The API from outside: REST as text, gRPC, health, TLS, limits and the end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::body::Body;
use expect_test::{Expect, expect};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::allocation::AllocationRequest;
use proto::allocation::allocation_service_client::AllocationServiceClient;
use runtime::serve::Server;
use runtime::tls::{Files, Reloading};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use http::{Request, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::fake::Fake;
use crate::fake::harness::{BOUNDS, Core, fleet};

async fn routes(fake: &Fake, unallocated: Code) -> (Core, Router) {
    let core = Core::start(fake, BOUNDS, 1).await;
    let (_, health) = tonic_health::server::health_reporter();
    let router = router(core.api(unallocated), core.match_api(), health);
    (core, router)
}

/// Status line, and body without what differs between runs.
async fn send(router: &Router, request: Request<Body>) -> String {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let text = match text.find("last-allocated\":\"") {
        Some(start) => {
            let time = start + "last-allocated\":\"".len();
            let end = time + text[time..].find('"').unwrap();
            format!("{}TIME{}", &text[..time], &text[end..])
        }
        None => text,
    };
    format!("{status}\n{text}")
}

fn post(body: impl Into<Body>) -> Request<Body> {
    Request::post("/gameserverallocation")
        .body(body.into())
        .unwrap()
}

async fn check(router: &Router, body: &'static str, expected: Expect) {
    expected.assert_eq(&send(router, post(body)).await);
}

#[tokio::test(start_paused = true)]
async fn rest_answers() {
    let fake = fleet(1);
    let (_core, router) = routes(&fake, Code::ResourceExhausted).await;
    check(
        &router,
        r#"{"namespace":"default","metadata":{"labels":{"mode":"ctf"}},"unknown":1}"#,
        expect![[r#"
            200 OK
            {"gameServerName":"gs-00","ports":[{"name":"default","port":7012}],"address":"203.0.113.7","nodeName":"n","source":"local","metadata":{"labels":{"mode":"ctf","muster.dev/fleet":"f"},"annotations":{"muster.dev/allocation-id":"00000000000000000000000000000001-0","muster.dev/last-allocated":"TIME"}},"addresses":[{"type":"InternalIP","address":"10.0.0.7"}],"counters":{},"lists":{}}"#]],
    )
    .await;
    check(
        &router,
        r#"{"namespace":"default"}"#,
        expect![[r#"
            429 Too Many Requests
            {"code":8,"message":"there is no available GameServer to allocate in namespace \"default\"","details":[]}"#]],
    )
    .await;
    check(
        &router,
        "",
        expect![[r#"
            429 Too Many Requests
            {"code":8,"message":"there is no available GameServer to allocate in namespace \"\"","details":[]}"#]],
    )
    .await;
    check(
        &router,
        r#"{"namespace":"default","metadata":{"labels":{"bad key!":"x"}}}"#,
        expect![[r#"
            400 Bad Request
            {"code":3,"message":"metadata.labels[bad key!]: the name part of a key must be 1 to 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit","details":[]}"#]],
    )
    .await;
    check(
        &router,
        r#"{"namespace":"default","priorities":[{"type":"List","key":"players"}]}"#,
        expect![[r#"
            501 Not Implemented
            {"code":12,"message":"priorities is not supported by this version of Muster","details":[]}"#]],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn rest_refuses_what_is_no_request() {
    let fake = fleet(1);
    let (_core, router) = routes(&fake, Code::ResourceExhausted).await;
    check(
        &router,
        "{\"namespace\":",
        expect![[r#"
            400 Bad Request
            {"code":3,"message":"the body is not an AllocationRequest: EOF while parsing a value at line 1 column 13","details":[]}"#]],
    )
    .await;
    check(
        &router,
        r#"{"namespace":7}"#,
        expect![[r#"
            400 Bad Request
            {"code":3,"message":"the body is not an AllocationRequest: invalid type: integer `7`, expected a string at line 1 column 14","details":[]}"#]],
    )
    .await;
    check(
        &router,
        r#"{"scheduling":"Sideways"}"#,
        expect![[r#"
            400 Bad Request
            {"code":3,"message":"the body is not an AllocationRequest: unknown variant `Sideways`, expected `Packed` or `Distributed` at line 1 column 24","details":[]}"#]],
    )
    .await;
    let large = send(&router, post(vec![b' '; BODY_SIZE + 1])).await;
    expect![[r#"
        413 Payload Too Large
        {"code":8,"message":"Failed to buffer the request body: length limit exceeded","details":[]}"#]]
    .assert_eq(&large);
    let get = Request::get("/gameserverallocation")
        .body(Body::empty())
        .unwrap();
    expect![[r#"
        501 Not Implemented
        {"code":12,"message":"Method Not Allowed","details":[]}"#]]
    .assert_eq(&send(&router, get).await);
    let elsewhere = Request::post("/").body(Body::empty()).unwrap();
    expect![[r#"
        404 Not Found
        {"code":5,"message":"Not Found","details":[]}"#]]
    .assert_eq(&send(&router, elsewhere).await);
}

#[tokio::test(start_paused = true)]
async fn the_answer_without_capacity_is_the_users_choice() {
    let fake = fleet(0);
    let body = r#"{"namespace":"default"}"#;
    let (_core, router_404) = routes(&fake, crate::status::unallocated(404).unwrap()).await;
    assert!(
        send(&router_404, post(body))
            .await
            .starts_with("404 Not Found\n{\"code\":5")
    );
    let (_core, router_200) = routes(&fake, crate::status::unallocated(200).unwrap()).await;
    assert!(
        send(&router_200, post(body))
            .await
            .starts_with("200 OK\n{\"gameServerName\":\"\"")
    );
    assert_eq!(crate::status::unallocated(418), None);
}

/// A server on a port of its own.
struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<()>,
    _core: Core,
}

async fn serve(fake: &Fake, tls: Option<Reloading>, connections: usize) -> Running {
    let (core, router) = routes(fake, Code::ResourceExhausted).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let timeout = Duration::from_secs(10);
    let server = Server {
        router,
        tls,
        connections,
        timeout,
        count: core.metrics.clone(),
    };
    let ended = tokio::spawn(server.serve(listener, stop.clone()));
    Running {
        address,
        stop,
        ended,
        _core: core,
    }
}

fn allocation() -> AllocationRequest {
    AllocationRequest {
        namespace: "default".to_owned(),
        ..AllocationRequest::default()
    }
}

async fn plain(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

#[tokio::test]
async fn grpc_rest_and_health_share_one_port() {
    let fake = fleet(2);
    let running = serve(&fake, None, 10).await;
    let mut grpc = AllocationServiceClient::new(plain(running.address).await);
    let answer = grpc.allocate(allocation()).await.unwrap().into_inner();
    assert_eq!(
        (answer.game_server_name.as_str(), answer.source.as_str()),
        ("gs-00", "local")
    );

    let http = legacy::Client::builder(TokioExecutor::new()).build_http::<Body>();
    let request = Request::post(format!("http://{}/gameserverallocation", running.address));
    let request = request
        .body(Body::from(r#"{"namespace":"default"}"#))
        .unwrap();
    let response = http.request(request).await.unwrap();
    assert_eq!(
        (response.status(), response.version()),
        (StatusCode::OK, http::Version::HTTP_11)
    );

    let status = grpc.allocate(allocation()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let mut large = allocation();
    large.namespace = "x".repeat(BODY_SIZE);
    assert_eq!(
        grpc.allocate(large).await.unwrap_err().code(),
        Code::OutOfRange
    );

    let mut health = HealthClient::new(plain(running.address).await);
    health.check(HealthCheckRequest::default()).await.unwrap();
    let unknown = HealthCheckRequest {
        service: "other".to_owned(),
    };
    assert_eq!(
        health.check(unknown).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn the_end_waits_for_what_is_in_flight() {
    let fake = fleet(1);
    let running = serve(&fake, None, 10).await;
    let gate = fake.hold_patches();
    let mut grpc = AllocationServiceClient::new(plain(running.address).await);
    let call = tokio::spawn(async move { grpc.allocate(allocation()).await });
    fake.patches_arrive(1).await;
    running.stop.cancel();
    gate.add_permits(1);
    assert_eq!(
        call.await.unwrap().unwrap().into_inner().game_server_name,
        "gs-00"
    );
    running.ended.await.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let fake = fleet(0);
    let running = serve(&fake, None, 1).await;
    let mut first = AllocationServiceClient::new(plain(running.address).await);
    assert_eq!(
        first.allocate(allocation()).await.unwrap_err().code(),
        Code::ResourceExhausted
    );
    let second = plain(running.address).await;
    let refused = AllocationServiceClient::new(second)
        .allocate(allocation())
        .await
        .unwrap_err();
    assert_ne!(refused.code(), Code::ResourceExhausted);
}

/// A CA, and a directory for certificates of it.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: rcgen::Issuer::new(params, key),
            pem,
        }
    }

    /// A certificate and its key, as PEM.
    fn issue(&self, usage: rcgen::ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = rcgen::CertificateParams::new(vec!["allocator".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = rcgen::KeyPair::generate().unwrap();
        (
            params.signed_by(&key, &self.issuer).unwrap().pem(),
            key.serialize_pem(),
        )
    }

    fn install(&self, directory: &Path) {
        let (certificate, key) = self.issue(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
        std::fs::write(directory.join("tls.crt"), certificate).unwrap();
        std::fs::write(directory.join("tls.key"), key).unwrap();
    }
}

/// A directory that is removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("allocator-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Allocates over TLS with these roots and this identity.
async fn allocate_over_tls(
    address: SocketAddr,
    server: &Authority,
    identity: Option<(String, String)>,
) -> Result<String, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(server.pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let connect = tower::service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from("allocator").map_err(std::io::Error::other)?;
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    });
    let endpoint = Endpoint::from_static("http://allocator");
    let channel = endpoint.connect_with_connector(connect).await;
    let channel = channel.map_err(|error| runtime::service::chain(&error))?;
    let answer = AllocationServiceClient::new(channel)
        .allocate(allocation())
        .await;
    answer
        .map(|answer| answer.into_inner().game_server_name)
        .map_err(|status| status.to_string())
}

#[tokio::test]
async fn tls_needs_no_client_certificate_without_client_ca() {
    let fake = fleet(1);
    let directory = Directory::new("tls");
    let authority = Authority::new();
    authority.install(&directory.0);
    let files = Files {
        server: directory.0.clone(),
        client_ca: None,
    };
    let running = serve(&fake, Some(Reloading::load(files).unwrap()), 10).await;
    let name = allocate_over_tls(running.address, &authority, None).await;
    assert_eq!(name.as_deref(), Ok("gs-00"));
    let other = allocate_over_tls(running.address, &Authority::new(), None)
        .await
        .unwrap_err();
    assert!(other.contains("certificate"), "{other}");
}

#[tokio::test]
async fn mutual_tls_follows_the_files() {
    let fake = fleet(3);
    let (server_files, client_files) = (Directory::new("mtls"), Directory::new("client-ca"));
    let (server, clients) = (Authority::new(), Authority::new());
    server.install(&server_files.0);
    std::fs::write(client_files.0.join("ca.crt"), &clients.pem).unwrap();
    let files = Files {
        server: server_files.0.clone(),
        client_ca: Some(client_files.0.clone()),
    };
    let reloading = Reloading::load(files).unwrap();
    let running = serve(&fake, Some(reloading.clone()), 10).await;
    let address = running.address;
    let client =
        |authority: &Authority| Some(authority.issue(rcgen::ExtendedKeyUsagePurpose::ClientAuth));

    let known = allocate_over_tls(address, &server, client(&clients)).await;
    assert_eq!(known.as_deref(), Ok("gs-00"));
    allocate_over_tls(address, &server, None).await.unwrap_err();
    let strangers = Authority::new();
    allocate_over_tls(address, &server, client(&strangers))
        .await
        .unwrap_err();
    let wrong_use = Some(clients.issue(rcgen::ExtendedKeyUsagePurpose::ServerAuth));
    allocate_over_tls(address, &server, wrong_use)
        .await
        .unwrap_err();
    assert_eq!(fake.patches(), 1, "who is not let in allocates nothing");

    // New certificates on both sides.
    let follow = tokio::spawn(reloading.follow(running.stop.clone()));
    // It compares with what it sees at its start.
    tokio::task::yield_now().await;
    let renewed = Authority::new();
    std::fs::write(client_files.0.join("strangers.pem"), &strangers.pem).unwrap();
    renewed.install(&server_files.0);
    let changed = async {
        loop {
            if let Ok(name) = allocate_over_tls(address, &renewed, client(&strangers)).await {
                return name;
            }
        }
    };
    let name = tokio::time::timeout(Duration::from_mins(1), changed)
        .await
        .unwrap();
    assert_eq!(name, "gs-01");
    let old = allocate_over_tls(address, &renewed, client(&clients)).await;
    assert_eq!(
        old.as_deref(),
        Ok("gs-02"),
        "the first client CA still counts"
    );
    allocate_over_tls(address, &server, client(&clients))
        .await
        .unwrap_err();
    running.stop.cancel();
    follow.await.unwrap();
    running.ended.await.unwrap();
}
