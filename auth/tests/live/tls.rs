//! A server that takes TLS alone, and who is believed.

use auth::live::valkey::Valkey;
use auth::live::{Key, Live as _, News};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use storage::valkey::Config;
use storage::valkey::Nodes;
use testing::valkey::{Server, Tls};

use super::until;
use crate::{HOUR, Replica};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn start(authority: &Authority) -> Server {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let tls = Tls {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        authority: authority.pem(),
    };
    Server::start_tls(&tls).unwrap()
}

fn nodes(server: &Server, authority: Option<&Authority>) -> Nodes {
    let url = server.url();
    assert!(url.starts_with("rediss://"), "{url}");
    let authority = authority.map(Authority::pem);
    Nodes::from(vec![url]).with_authority(authority)
}

#[tokio::test]
async fn valkey_is_reached_by_tls_and_believed_by_its_authority_alone() {
    let (own, foreign) = (authority(), authority());
    let server = start(&own);
    for stranger in [None, Some(&foreign)] {
        let valkey = Valkey::new(&Config::new(nodes(&server, stranger))).unwrap();
        let refused = valkey.ping().await.unwrap_err().to_string();
        assert!(refused.contains("certificate"), "{refused}");
    }
    // Calls, and news over a connection of their own.
    let one = Replica::of(nodes(&server, Some(&own))).await;
    let other = Replica::of(nodes(&server, Some(&own))).await;
    let key = Key::Step([7; 32]);
    one.valkey.put(&key, b"step", HOUR).await.unwrap();
    let found = other.valkey.take(&key).await.unwrap();
    assert_eq!(found.as_deref(), Some(b"step".as_slice()));
    let mut heard = one.valkey.subscribe();
    other.valkey.publish(&News::KeysChanged).await.unwrap();
    assert_eq!(heard.recv().await, Ok(News::KeysChanged));
}

#[tokio::test]
async fn other_nodes_are_used_without_a_restart() {
    let authority = authority();
    let (first, second) = (start(&authority), Server::start().unwrap());
    let replica = Replica::of(nodes(&first, Some(&authority))).await;
    let key = Key::Step([7; 32]);
    replica.valkey.put(&key, b"first", HOUR).await.unwrap();
    let bad = Nodes::from(vec!["http://host".to_owned()]);
    replica.valkey.renew(&bad).unwrap_err();
    assert!(replica.valkey.get(&key).await.unwrap().is_some());

    let gaps = replica.valkey.gaps();
    replica.valkey.renew(&vec![second.url()].into()).unwrap();
    until("an answer", async || replica.valkey.ping().await.is_ok()).await;
    assert_eq!(replica.valkey.get(&key).await.unwrap(), None);
    until("the other one's news", async || {
        replica.valkey.gaps() > gaps
    })
    .await;
    let other = Replica::of(vec![second.url()]).await;
    let mut heard = replica.valkey.subscribe();
    other.valkey.publish(&News::KeysChanged).await.unwrap();
    assert_eq!(heard.recv().await, Ok(News::KeysChanged));
}
