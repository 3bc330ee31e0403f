//! gRPC with certificates on both ends.

use proto::muster::auth::v1 as wire;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use wire::auth_client::AuthClient;
use wire::watch_response::Event;

use crate::world::{World, folder};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate with its key.
fn issued(by: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, by).unwrap();
    (certificate.pem(), key.serialize_pem())
}

async fn connect(
    world: &World,
    server: &Authority,
    client: Option<(String, String)>,
) -> Result<Channel, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(server.pem()))
        .domain_name("localhost");
    if let Some((certificate, key)) = client {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    Endpoint::from_shared(format!("https://{}", world.grpc))?
        .tls_config(tls)?
        .connect()
        .await
}

/// Whether the stream of a channel begins.
async fn is_served(channel: Result<Channel, tonic::transport::Error>) -> bool {
    let Ok(channel) = channel else {
        return false;
    };
    let watch = AuthClient::new(channel).watch(wire::WatchRequest {}).await;
    let Ok(stream) = watch else {
        return false;
    };
    let first = stream.into_inner().message().await;
    matches!(
        first,
        Ok(Some(wire::WatchResponse {
            event: Some(Event::Keys(_))
        }))
    )
}

#[tokio::test]
async fn a_certificate_of_the_authority_makes_a_service() {
    let folder = folder();
    let (server, services, strangers) = (authority(), authority(), authority());
    let (tls, clients) = (folder.join("tls"), folder.join("clients"));
    std::fs::create_dir_all(&tls).unwrap();
    std::fs::create_dir_all(&clients).unwrap();
    let (certificate, key) = issued(&server);
    std::fs::write(tls.join("tls.crt"), certificate).unwrap();
    std::fs::write(tls.join("tls.key"), key).unwrap();
    std::fs::write(clients.join("ca.crt"), services.pem()).unwrap();
    let arguments = [
        format!("--tls-dir={}", tls.display()),
        format!("--client-ca-dir={}", clients.display()),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let world = World::in_folder(folder, &json!({}), &[], &arguments).await;
    let client = Some(issued(&services));
    assert!(is_served(connect(&world, &server, client).await).await);
    let stranger = Some(issued(&strangers));
    assert!(!is_served(connect(&world, &server, stranger).await).await);
    assert!(!is_served(connect(&world, &server, None).await).await);
}
