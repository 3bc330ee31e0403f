//! Valkey by TLS: every connection believes the same authority.

use lobby::live::valkey::Valkey;
use lobby::live::{Channel, Cursor, Live as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use storage::valkey::{Config, Nodes};
use testing::valkey::{Server, Tls};

use crate::Replica;
use crate::cases::{HOUR, player, ticket};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test]
async fn calls_reading_and_channels_go_by_tls_to_whom_the_authority_knows() {
    let own = authority();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &own).unwrap();
    let tls = Tls {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        authority: own.pem(),
    };
    let server = Server::start_tls(&tls).unwrap();
    let nodes = |authority: &Authority| {
        Nodes::from(vec![server.url()]).with_authority(Some(authority.pem()))
    };
    let stranger = Valkey::new(&Config::new(nodes(&authority()))).unwrap();
    let refused = stranger.load("queue").await.unwrap_err().to_string();
    assert!(refused.contains("certificate"), "{refused}");

    let mut replica = Replica::of(nodes(&own)).await;
    let valkey = std::sync::Arc::clone(&replica.valkey);
    valkey.enter("queue", &ticket()).await.unwrap();
    let news = valkey.news("queue", &mut Cursor::default(), 9, HOUR).await;
    assert_eq!(news.unwrap().unwrap().len(), 1);
    let channel = Channel::Player(player());
    valkey.subscribe(&channel).await.unwrap();
    replica.hears(&valkey, &channel).await;
}
