//! A simulated game against a hub that refuses, closes and comes back.

use std::pin::Pin;
use std::time::Duration;

use embedded::Embedded;
use embedded::access::{MASTERS, User};
use futures::Stream;
use k8s_openapi::api::core::v1::Pod;
use proto::agones::dev::sdk::{GameServer, game_server};
use proto::muster::hub::v1::Ack;
use proto::muster::hub::v1::hub_server::{Hub, HubServer};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use super::*;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

type Answers = mpsc::Sender<Result<ConnectResponse, Status>>;

/// One stream as the hub sees it.
struct Link {
    requests: Streaming<ConnectRequest>,
    answers: Answers,
}

impl Link {
    async fn next(&mut self) -> Option<Up> {
        let next = tokio::time::timeout(PATIENCE, self.requests.message());
        next.await.unwrap().ok().flatten()?.message
    }

    async fn send(&self, message: Down) {
        let answer = ConnectResponse {
            message: Some(message),
        };
        self.answers.send(Ok(answer)).await.unwrap();
    }

    async fn snapshot(&self, state: &str) {
        let status = game_server::Status {
            state: state.to_owned(),
            ..game_server::Status::default()
        };
        let snapshot = Snapshot {
            game_server: Some(GameServer {
                status: Some(status),
                ..GameServer::default()
            }),
            reserved_until: 0,
            r#match: String::new(),
        };
        self.send(Down::Snapshot(snapshot)).await;
    }
}

/// Hands every stream to the test.
struct FakeHub(mpsc::Sender<Link>);

#[tonic::async_trait]
impl Hub for FakeHub {
    type ConnectStream = Pin<Box<dyn Stream<Item = Result<ConnectResponse, Status>> + Send>>;

    async fn connect(
        &self,
        request: Request<Streaming<ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (answers, stream) = mpsc::channel(8);
        let link = Link {
            requests: request.into_inner(),
            answers,
        };
        self.0.send(link).await.unwrap();
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// Serves a hub; its address, its certificate and its streams.
async fn hub() -> (SocketAddr, String, mpsc::Receiver<Link>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let identity = Identity::from_pem(&certificate, key.serialize_pem());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, links) = mpsc::channel(8);
    let server = Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity))
        .unwrap()
        .add_service(HubServer::new(FakeHub(sender)))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    (address, certificate, links)
}

/// An API server with the hub's certificate and a pod.
async fn cluster(certificate: &str) -> (Client, RunningPod) {
    let uids = Arc::new(|| uuid::Uuid::new_v4().to_string());
    let embedded = Embedded::builder(Arc::new(runtime::clock::now), uids);
    let client = embedded
        .start()
        .unwrap()
        .client(User::authenticated("tester", &[MASTERS]));
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": { "name": CA_CONFIG_MAP },
        "data": { CA_KEY: certificate },
    }))
    .unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    maps.create(&PostParams::default(), &map).await.unwrap();
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "game" },
        "spec": { "containers": [{ "name": "game", "image": "none" }] },
    }))
    .unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let pod = pods.create(&PostParams::default(), &pod).await.unwrap();
    let role = (
        meta::ROLE_LABEL.to_owned(),
        meta::ROLE_GAMESERVER.to_owned(),
    );
    let pod = RunningPod {
        namespace: "default".to_owned(),
        name: "game".to_owned(),
        uid: pod.metadata.uid.unwrap(),
        node: "simulated-0".to_owned(),
        labels: [role].into(),
    };
    (client, pod)
}

#[tokio::test]
async fn a_game_connects_again_until_its_pod_is_gone_and_says_ready_once() {
    let (address, certificate, mut links) = hub().await;
    let (client, pod) = cluster(&certificate).await;
    let game = tokio::spawn(Games::new(client, address).play(pod));
    let mut next = async || {
        let link = tokio::time::timeout(PATIENCE, links.recv()).await;
        let mut link = link.unwrap().unwrap();
        let hello = link.next().await;
        assert!(
            matches!(&hello, Some(Up::Hello(hello)) if hello.name == "game"),
            "{hello:?}"
        );
        link
    };

    // Refused, in both ways: it comes again, however often.
    for status in [
        Status::unavailable("the hub is busy"),
        Status::not_found("the game server does not exist yet"),
    ] {
        let link = next().await;
        link.answers.send(Err(status)).await.unwrap();
    }

    let mut link = next().await;
    link.snapshot("Scheduled").await;
    let Some(Up::Change(change)) = link.next().await else {
        panic!("nobody said Ready");
    };
    assert_eq!(change.state.unwrap().state, i32::from(State::Ready));
    let ack = Ack {
        id: change.id,
        ..Ack::default()
    };
    link.send(Down::Ack(ack)).await;
    link.snapshot("Ready").await;
    drop(link);

    // The stream ended: the game is back, and an allocated server stays allocated.
    let mut link = next().await;
    link.snapshot("Allocated").await;
    game.abort();
    assert!(link.next().await.is_none());
    assert!(game.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_pod_without_a_game_is_left_alone() {
    let (address, certificate, mut links) = hub().await;
    let (client, mut pod) = cluster(&certificate).await;
    pod.labels.clear();
    Games::new(client, address).play(pod).await;
    assert!(links.try_recv().is_err());
}
