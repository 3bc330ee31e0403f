//! A Valkey that takes TLS alone, that is busy, that goes and comes back; and what is heard of it.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says where"
)]

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use redis::{RedisResult, Value, cmd};
use storage::valkey::{Client, Config, Error, Listener, Nodes, Script};
use testing::valkey::{Server, Tls};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// The longest wait for anything that must happen at some time.
const LIMIT: Duration = Duration::from_secs(30);

/// A busy machine takes its time.
fn config(nodes: impl Into<Nodes>) -> Config {
    Config {
        limit: Duration::from_secs(5),
        ..Config::new(nodes)
    }
}

/// What a listener hears.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Connected,
    Message(String),
}

struct Ear(mpsc::UnboundedSender<Heard>);

impl Listener for Ear {
    fn connected(&self) {
        self.0.send(Heard::Connected).unwrap();
    }

    fn message(&self, payload: &[u8]) {
        let text = String::from_utf8(payload.to_vec()).unwrap();
        self.0.send(Heard::Message(text)).unwrap();
    }
}

/// A client that hears `news`.
struct Hearing {
    client: Arc<Client>,
    heard: mpsc::UnboundedReceiver<Heard>,
    _listens: AbortOnDropHandle<()>,
}

impl Hearing {
    async fn of(nodes: impl Into<Nodes>) -> Self {
        let client = Arc::new(Client::new(&config(nodes)).unwrap());
        let (sender, heard) = mpsc::unbounded_channel();
        let listens = {
            let client = Arc::clone(&client);
            async move {
                let stop = CancellationToken::new();
                client.listen(&["news"], &Ear(sender), &stop).await;
            }
        };
        let mut this = Self {
            client,
            heard,
            _listens: AbortOnDropHandle::new(tokio::spawn(listens)),
        };
        assert_eq!(this.next().await, Heard::Connected);
        until("an answer", async || ping(&this.client).await.is_ok()).await;
        this
    }

    async fn next(&mut self) -> Heard {
        let next = tokio::time::timeout(LIMIT, self.heard.recv()).await;
        next.unwrap().unwrap()
    }
}

/// Waits until it is so; fails when that takes absurdly long.
async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    let waiting = async {
        while !so().await {
            looks.tick().await;
        }
    };
    let waited = tokio::time::timeout(LIMIT, waiting).await;
    assert!(waited.is_ok(), "waited in vain for {what}");
}

async fn ping(client: &Client) -> Result<(), Error> {
    client.call::<Value>(&cmd("PING")).await.map(|_| ())
}

async fn set(client: &Client, key: &str, value: &str) {
    let () = client.call(cmd("SET").arg(key).arg(value)).await.unwrap();
}

async fn get(client: &Client, key: &str) -> Option<String> {
    client.call(cmd("GET").arg(key)).await.unwrap()
}

/// Tells, and returns how many heard it.
async fn publish(client: &Client, channel: &str, text: &str) -> u64 {
    let mut publish = cmd("PUBLISH");
    client.call(publish.arg(channel).arg(text)).await.unwrap()
}

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
        let client = Client::new(&config(nodes(&server, stranger))).unwrap();
        let refused = ping(&client).await.unwrap_err().to_string();
        assert!(refused.contains("certificate"), "{refused}");
    }
    // Calls, and messages over a connection of their own.
    let mut one = Hearing::of(nodes(&server, Some(&own))).await;
    let other = Hearing::of(nodes(&server, Some(&own))).await;
    set(&one.client, "step", "one").await;
    assert_eq!(get(&other.client, "step").await.as_deref(), Some("one"));
    assert_eq!(publish(&other.client, "news", "here").await, 2);
    assert_eq!(one.next().await, Heard::Message("here".to_owned()));
}

#[tokio::test]
async fn other_nodes_are_used_without_a_restart() {
    let authority = authority();
    let (first, second) = (start(&authority), Server::start().unwrap());
    let mut one = Hearing::of(nodes(&first, Some(&authority))).await;
    set(&one.client, "step", "first").await;
    let bad = Nodes::from(vec!["http://host".to_owned()]);
    one.client.renew(&bad).unwrap_err();
    assert!(get(&one.client, "step").await.is_some());

    one.client.renew(&vec![second.url()].into()).unwrap();
    until("an answer", async || ping(&one.client).await.is_ok()).await;
    assert_eq!(get(&one.client, "step").await, None);
    assert_eq!(one.next().await, Heard::Connected);
    let other = Hearing::of(vec![second.url()]).await;
    publish(&other.client, "news", "here").await;
    assert_eq!(one.next().await, Heard::Message("here".to_owned()));
}

#[tokio::test]
async fn calls_beyond_the_bound_fail_at_once() {
    let server = Server::start().unwrap();
    let mut config = Config::new(vec![server.url()]);
    config.in_flight = 2;
    let client = Client::new(&config).unwrap();
    ping(&client).await.unwrap();
    server.pause();
    let calls = join_all((0..10).map(|_| ping(&client))).await;
    server.resume();
    let told = |what: &str| {
        let errors = calls.iter().map(|call| call.as_ref().unwrap_err());
        errors
            .filter(|error| error.to_string().contains(what))
            .count()
    };
    assert_eq!(told("too many calls"), 8);
    until("room again", async || ping(&client).await.is_ok()).await;
}

#[tokio::test]
async fn messages_are_heard_again_after_the_server_was_gone() {
    let mut server = Server::start().unwrap();
    let mut one = Hearing::of(vec![server.url()]).await;
    for text in ["first", "second"] {
        assert_eq!(publish(&one.client, "news", text).await, 1);
        assert_eq!(publish(&one.client, "others", text).await, 0);
        assert_eq!(one.next().await, Heard::Message(text.to_owned()));
        server.kill();
        server.run().unwrap();
        assert_eq!(one.next().await, Heard::Connected);
        until("an answer", async || ping(&one.client).await.is_ok()).await;
    }
}

#[tokio::test]
async fn a_script_is_sent_to_a_server_that_does_not_know_it() {
    let mut server = Server::start().unwrap();
    let client = Client::new(&config(vec![server.url()])).unwrap();
    let script = Script::new("return {KEYS[1], ARGV[1]}");
    let run = async || -> RedisResult<(String, String)> {
        client.run(&script, &["key"], &[b"value"]).await
    };
    let expected = ("key".to_owned(), "value".to_owned());
    assert_eq!(run().await.unwrap(), expected);
    server.kill();
    server.run().unwrap();
    until("an answer", async || ping(&client).await.is_ok()).await;
    assert_eq!(run().await.unwrap(), expected);
}
