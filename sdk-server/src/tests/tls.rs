//! The hub's certificate is checked against the CA file and the host of the address.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use super::TestFile;
use super::fake_hub::FakeHub;
use crate::config::HubConfig;
use crate::hub::{Dial as _, Error, Network};

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca() -> Ca {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Starts a hub whose certificate is for `name`; returns its port.
async fn start(ca: &Ca, name: &str) -> u16 {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    let identity = Identity::from_pem(certificate.pem(), key.serialize_pem());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity))
        .unwrap()
        .add_service(FakeHub::start().service())
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    port
}

async fn dial(port: u16, ca_file: &Path) -> Result<(), Error> {
    let config = HubConfig {
        pod_ips: Vec::new(),
        namespace: "games".into(),
        name: "gs-1".into(),
        address: format!("https://localhost:{port}").parse().unwrap(),
        token_file: None,
        ca_file: Some(ca_file.to_owned()),
        health_port: 0,
    };
    Network.dial(&config).await.map(|_channel| ())
}

#[tokio::test]
async fn a_hub_is_trusted_by_any_ca_of_the_file_as_it_is_now() {
    let (old, new) = (ca(), ca());
    let port = start(&new, "localhost").await;
    let file = TestFile::new(&old.pem());
    let error = dial(port, &file.0).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    file.write(&format!("{}{}", old.pem(), new.pem()));
    dial(port, &file.0).await.unwrap();
}

#[tokio::test]
async fn a_hub_with_a_certificate_for_another_name_is_refused() {
    let ca = ca();
    let port = start(&ca, "elsewhere.example").await;
    let error = dial(port, &TestFile::new(&ca.pem()).0).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn a_missing_ca_file_is_named() {
    let error = dial(1, Path::new("/does/not/exist")).await.unwrap_err();
    assert_eq!(error.to_string(), "could not read /does/not/exist");
}
