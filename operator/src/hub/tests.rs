//! The hub against a fake API server, its streams over memory.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crds::meta::CONNECT_KEYS_SECRET;
use http::Method;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use netcode::Key;
use proto::muster::hub::v1::connect_request::Message as Up;
use proto::muster::hub::v1::connect_response::Message as Down;
use proto::muster::hub::v1::hub_client::HubClient;
use proto::muster::hub::v1::state_change::State as Wanted;
use proto::muster::hub::v1::{
    Change, ConnectKeys, ConnectRequest, ConnectResponse, Hello, KeyRequest, StateChange,
};
use runtime::trace::collector::Collector;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Status, Streaming};
use tracing_subscriber::layer::SubscriberExt as _;

use super::master_keys::Stored;
use super::session::Peer;
use super::{keys, serve};
use crate::fake::NAMESPACE;
use crate::world::World;

/// An API server with one game server, its pod, and the Secret of the master keys.
#[derive(Clone, Default)]
struct FakeApi(Arc<Mutex<Objects>>);

#[derive(Default)]
struct Objects {
    secret: Option<Value>,
    /// Every write: method, path, body.
    writes: Vec<(Method, String, Value)>,
}

impl FakeApi {
    fn world(&self) -> Arc<World> {
        let fake = self.clone();
        crate::fake::world(move |method: &Method, path: &str, body| fake.answer(method, path, body))
    }

    fn answer(&self, method: &Method, path: &str, body: Value) -> (u16, Value) {
        let mut objects = self.0.lock().unwrap();
        let is_review = path.ends_with("/tokenreviews");
        if *method != Method::GET && !is_review {
            let write = (method.clone(), path.to_owned(), body.clone());
            objects.writes.push(write);
        }
        let missing =
            json!({ "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404 });
        let last = path.rsplit('/').next().unwrap_or_default();
        match (method, last) {
            (_, "tokenreviews") => (201, review()),
            (&Method::GET, CONNECT_KEYS_SECRET) => match &objects.secret {
                Some(secret) => (200, secret.clone()),
                None => (404, missing),
            },
            (&Method::POST, "secrets") | (&Method::PUT, CONNECT_KEYS_SECRET) => {
                objects.secret = Some(body.clone());
                (201, body)
            }
            (&Method::GET, "gs-1") if path.contains("/pods/") => (200, pod()),
            (&Method::GET, "gs-1") => (200, game_server("1")),
            (&Method::PATCH, "gs-1") => {
                let mut changed = game_server("2");
                changed["status"]["state"] = body["status"]["state"].clone();
                (200, changed)
            }
            _ => (404, missing),
        }
    }

    fn secret(&self) -> Option<Secret> {
        let secret = self.0.lock().unwrap().secret.clone()?;
        Some(serde_json::from_value(secret).unwrap())
    }

    fn set_secret(&self, stored: &Stored) -> Secret {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": CONNECT_KEYS_SECRET, "namespace": NAMESPACE, "resourceVersion": "5" },
            "data": stored.to_data(),
        });
        self.0.lock().unwrap().secret = Some(secret.clone());
        serde_json::from_value(secret).unwrap()
    }

    fn writes(&self) -> Vec<(Method, String, Value)> {
        std::mem::take(&mut self.0.lock().unwrap().writes)
    }
}

fn review() -> Value {
    let user = json!({
        "username": "system:serviceaccount:games:default",
        "extra": {
            "authentication.kubernetes.io/pod-name": ["gs-1"],
            "authentication.kubernetes.io/pod-uid": ["pod-uid"],
        },
    });
    json!({
        "spec": { "token": "secret" },
        "status": { "authenticated": true, "audiences": [crds::meta::TOKEN_AUDIENCE], "user": user },
    })
}

fn game_server(version: &str) -> Value {
    json!({
        "apiVersion": "muster.dev/v1", "kind": "GameServer",
        "metadata": { "name": "gs-1", "namespace": "games", "uid": "server-uid", "resourceVersion": version },
        "spec": { "template": { "spec": { "containers": [{ "name": "game" }] } } },
        "status": { "state": "Scheduled", "address": "203.0.113.7" },
    })
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "gs-1", "namespace": "games", "uid": "pod-uid", "resourceVersion": "1",
            "ownerReferences": [{
                "apiVersion": "muster.dev/v1", "kind": "GameServer", "name": "gs-1",
                "uid": "server-uid", "controller": true,
            }],
        },
    })
}

fn days_ago(days: i64) -> Timestamp {
    runtime::clock::now() - jiff::SignedDuration::from_hours(24 * days)
}

fn stored(age: i64) -> Stored {
    Stored::first(days_ago(age), Key::new([1; 32]).unwrap(), &BTreeSet::new())
}

/// One SDK server's stream.
struct Link {
    up: mpsc::Sender<ConnectRequest>,
    down: Streaming<ConnectResponse>,
    stop: CancellationToken,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Link {
    async fn open(world: &Arc<World>) -> Self {
        let stop = CancellationToken::new();
        let service = serve::service(Arc::clone(world), TaskTracker::new(), stop.clone());
        let (client, server) = tokio::io::duplex(64 * 1024);
        let accepted = futures::stream::iter([Ok::<_, std::io::Error>(server)]);
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming(accepted);
        tokio::spawn(serving);
        let mut client = Some(client);
        let connect = tower::service_fn(move |_: http::Uri| {
            let client = client.take().map(TokioIo::new);
            async move { client.ok_or_else(|| std::io::Error::other("connects once")) }
        });
        let channel = Endpoint::from_static("http://hub")
            .connect_with_connector(connect)
            .await
            .unwrap();
        let (up, requests) = mpsc::channel(8);
        let hello = Hello {
            namespace: "games".to_owned(),
            name: "gs-1".to_owned(),
            ..Hello::default()
        };
        let message = Some(Up::Hello(hello));
        up.send(ConnectRequest { message }).await.unwrap();
        let mut request = tonic::Request::new(ReceiverStream::new(requests));
        let token = "Bearer secret".parse().unwrap();
        request.metadata_mut().insert("authorization", token);
        let answer = HubClient::new(channel).connect(request).await.unwrap();
        let down = answer.into_inner();
        let mut link = Self { up, down, stop };
        let Down::Snapshot(_) = link.next().await.unwrap() else {
            panic!("no snapshot")
        };
        link
    }

    async fn send(&self, message: Up) {
        let message = Some(message);
        self.up.send(ConnectRequest { message }).await.unwrap();
    }

    async fn next(&mut self) -> Result<Down, Status> {
        Ok(self.down.message().await?.unwrap().message.unwrap())
    }

    async fn keys(&mut self) -> ConnectKeys {
        let Down::ConnectKeys(keys) = self.next().await.unwrap() else {
            panic!("no keys")
        };
        keys
    }
}

#[tokio::test]
async fn the_leader_makes_master_keys_once_and_rotates_them_in_time() {
    let fake = FakeApi::default();
    let world = fake.world();
    keys::rotate(&world).await.unwrap();
    let [(Method::POST, path, _)] = &fake.writes()[..] else {
        panic!("no creation")
    };
    assert_eq!(path, "/api/v1/namespaces/muster-system/secrets");
    let made = fake.secret().unwrap();
    let data = made.data.unwrap();
    assert_eq!(Stored::from_data(data).unwrap().given().len(), 1);
    keys::rotate(&world).await.unwrap();
    assert!(fake.writes().is_empty());

    fake.set_secret(&stored(31));
    keys::rotate(&world).await.unwrap();
    let [(Method::PUT, _, body)] = &fake.writes()[..] else {
        panic!("no rotation")
    };
    // Guarded by the version that was read.
    assert_eq!(body["metadata"]["resourceVersion"], "5");
    let data = fake.secret().unwrap().data.unwrap();
    assert_eq!(Stored::from_data(data).unwrap().given().len(), 2);
}

#[tokio::test]
async fn keys_that_were_deleted_give_their_versions_to_no_others() {
    let fake = FakeApi::default();
    let world = fake.world();
    let version = |secret: Secret| {
        let stored = Stored::from_data(secret.data.unwrap()).unwrap();
        stored.given()[0].version
    };
    let mut versions = BTreeSet::new();
    // All within one minute or two, which alone would give the same version again.
    for _ in 0..4 {
        keys::rotate(&world).await.unwrap();
        let made = fake.secret().unwrap();
        world.keys.take(made.clone());
        versions.insert(version(made));
        fake.0.lock().unwrap().secret = None;
        world.keys.lose();
    }
    assert_eq!(versions.len(), 4);

    // Another leader has not seen them, but the game server that names one of them.
    let named = versions.last().unwrap() + 5;
    let mut server = game_server("2");
    server["status"]["connect"] = json!({ "bootId": "ab".repeat(16), "keyVersion": named });
    let world = fake.world();
    world
        .servers
        .wrote(&serde_json::from_value(server).unwrap());
    keys::rotate(&world).await.unwrap();
    assert_eq!(version(fake.secret().unwrap()), named + 1);
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_is_left_alone() {
    let fake = FakeApi::default();
    let world = fake.world();
    let mut secret = serde_json::to_value(fake.set_secret(&stored(0))).unwrap();
    secret["data"] = json!({ "current": "MQ==" });
    fake.0.lock().unwrap().secret = Some(secret);
    keys::rotate(&world).await.unwrap_err();
    assert!(fake.writes().is_empty());
}

#[tokio::test]
async fn keys_come_when_they_are_there_and_a_rotation_sends_none() {
    let fake = FakeApi::default();
    let world = fake.world();
    let mut link = Link::open(&world).await;
    let boot_id = vec![171; 16];
    link.send(Up::KeyRequest(KeyRequest {
        boot_id: boot_id.clone(),
    }))
    .await;
    let first = stored(31);
    world.keys.take(fake.set_secret(&first));
    let given = link.keys().await;
    assert_eq!(given.boot_id, boot_id);
    let [key] = &given.keys[..] else {
        panic!("{} keys", given.keys.len())
    };
    let master = &first.given()[0];
    // The allocator derives the same from what the object says.
    let expected = master.server_key("server-uid", &"ab".repeat(16)).unwrap();
    assert_eq!(
        (key.version, &key.key[..]),
        (master.version, &expected.expose()[..])
    );

    let fresh = Key::new([2; 32]).unwrap();
    let rotated = first.rotate(days_ago(0), &BTreeSet::new(), &fresh).unwrap();
    world.keys.take(fake.set_secret(&rotated));
    // Whatever else comes, these keys stay; a life that begins now gets both.
    let later = vec![1; 16];
    link.send(Up::KeyRequest(KeyRequest {
        boot_id: later.clone(),
    }))
    .await;
    let given = link.keys().await;
    assert_eq!(given.boot_id, later);
    let versions: Vec<_> = given.keys.iter().map(|key| key.version).collect();
    assert_eq!(versions, [master.version, master.version + 1]);
    assert!(fake.writes().is_empty());
}

#[tokio::test]
async fn a_boot_id_is_committed_with_ready() {
    let fake = FakeApi::default();
    let world = fake.world();
    let mut link = Link::open(&world).await;
    let state = StateChange {
        state: Wanted::Ready.into(),
        ..StateChange::default()
    };
    link.send(Up::Change(Change {
        id: 1,
        state: Some(state),
        boot_id: Some(vec![171; 16]),
        key_version: 7,
        ..Change::default()
    }))
    .await;
    let Down::Snapshot(_) = link.next().await.unwrap() else {
        panic!("no snapshot of what was written")
    };
    let Down::Ack(ack) = link.next().await.unwrap() else {
        panic!("no acknowledgment")
    };
    assert_eq!((ack.id, ack.code), (1, i32::from(Code::Ok)));
    let [(Method::PATCH, _, patch)] = &fake.writes()[..] else {
        panic!("not one write")
    };
    assert_eq!(patch["metadata"]["resourceVersion"], "1");
    let expected = json!({ "bootId": "ab".repeat(16), "keyVersion": 7 });
    assert_eq!(patch["status"]["connect"], expected);
    assert_eq!(patch["status"]["state"], "Ready");
}

#[tokio::test]
async fn a_short_boot_id_ends_the_stream() {
    let fake = FakeApi::default();
    let world = fake.world();
    let mut link = Link::open(&world).await;
    link.send(Up::KeyRequest(KeyRequest {
        boot_id: vec![1; 15],
    }))
    .await;
    assert_eq!(link.next().await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_state_change_is_a_part_of_the_trace_of_its_match() {
    let collector = Collector::start().await.unwrap();
    let (layer, exporter) = runtime::trace::pipeline("operator", &collector.args()).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    // One subscriber alone would count as everybody's, and the first thread that comes by a call
    // site, of a test without traces, would turn it off for this one too.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _traced = tracing::subscriber::set_default(subscriber);
    let world = FakeApi::default().world();
    let peer = Peer {
        key: ("games".to_owned(), "gs-1".to_owned()),
        pod_ips: Vec::new(),
    };
    let change = Change {
        id: 1,
        state: Some(StateChange {
            state: Wanted::Shutdown.into(),
            ..StateChange::default()
        }),
        ..Change::default()
    };
    let of_match = crds::matches::Match {
        trace_context: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        ..crds::matches::Match::default()
    };
    exporter
        .during(async {
            // At first it is in no match, and nobody's trace is written on.
            let annotation = serde_json::to_string(&of_match).unwrap();
            for (version, annotation) in [("1", None), ("3", Some(annotation))] {
                let mut server = game_server(version);
                server["status"]["state"] = "Allocated".into();
                server["metadata"]["annotations"][crds::meta::MATCH_ANNOTATION] =
                    annotation.unwrap_or_default().into();
                world
                    .servers
                    .wrote(&serde_json::from_value(server).unwrap());
                let ack = Box::pin(super::commit::commit(&world, &peer, &change)).await;
                assert_eq!(ack.code, i32::from(Code::Ok), "{}", ack.message);
            }
        })
        .await;
    let span = collector.span("write state change").unwrap();
    assert_eq!(span.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
}
