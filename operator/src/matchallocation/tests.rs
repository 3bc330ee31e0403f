//! Requests against a fake API server and a fake allocator.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crds::MatchAllocation;
use http::Method;
use hyper_util::rt::TokioIo;
use proto::muster::allocation::v1 as wire;
use proto::muster::allocation::v1::allocator_server::{self, AllocatorServer};
use proto::muster::allocation::v1::release_request::ReleasePolicy;
use serde_json::{Value, json};
use tokio_stream::Empty;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request, Response, Status};

use super::*;

/// An allocator that answers releases with these codes, then with OK; returns what it was asked.
#[derive(Clone, Default)]
struct FakeAllocator(Arc<Mutex<Releases>>);

#[derive(Default)]
struct Releases {
    answers: VecDeque<Code>,
    asked: Vec<wire::ReleaseRequest>,
}

#[tonic::async_trait]
impl allocator_server::Allocator for FakeAllocator {
    type WatchStream = Empty<Result<wire::WatchResponse, Status>>;

    async fn release(
        &self,
        request: Request<wire::ReleaseRequest>,
    ) -> Result<Response<wire::ReleaseResponse>, Status> {
        let mut releases = self.0.lock().unwrap();
        releases.asked.push(request.into_inner());
        match releases.answers.pop_front() {
            Some(code) => Err(Status::new(code, "not now")),
            None => Ok(Response::new(wire::ReleaseResponse {})),
        }
    }

    async fn allocate(
        &self,
        _: Request<wire::AllocateRequest>,
    ) -> Result<Response<wire::AllocateResponse>, Status> {
        Err(Status::unimplemented("nobody allocates here"))
    }

    async fn get(
        &self,
        _: Request<wire::GetRequest>,
    ) -> Result<Response<wire::GetResponse>, Status> {
        Err(Status::unimplemented("nobody asks here"))
    }

    async fn mint_tokens(
        &self,
        _: Request<wire::MintTokensRequest>,
    ) -> Result<Response<wire::MintTokensResponse>, Status> {
        Err(Status::unimplemented("nobody joins here"))
    }

    async fn watch(
        &self,
        _: Request<wire::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("nobody watches here"))
    }
}

impl FakeAllocator {
    fn answering(codes: &[Code]) -> Self {
        let fake = Self::default();
        fake.0.lock().unwrap().answers.extend(codes);
        fake
    }

    async fn connect(&self) -> Arc<Allocator> {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let accepted = futures::stream::iter([Ok::<_, std::io::Error>(server)]);
        let service = AllocatorServer::new(self.clone());
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(accepted),
        );
        let mut client = Some(client);
        let connect = tower::service_fn(move |_: http::Uri| {
            let client = client.take().map(TokioIo::new);
            async move { client.ok_or_else(|| std::io::Error::other("connects once")) }
        });
        let channel = Endpoint::from_static("http://allocator")
            .connect_with_connector(connect)
            .await
            .unwrap();
        Arc::new(Allocator::over(channel))
    }

    fn asked(&self) -> Vec<wire::ReleaseRequest> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }
}

/// A request as the API server has it.
fn request(changes: &Value) -> Value {
    let mut request = json!({
        "apiVersion": "muster.dev/v1", "kind": "MatchAllocation",
        "metadata": {
            "name": "duel", "namespace": "games", "uid": "request-uid", "resourceVersion": "1",
            "finalizers": [crds::meta::RELEASE_FINALIZER],
        },
        "spec": { "releasePolicy": "ReturnToReady" },
    });
    for (part, fields) in changes.as_object().unwrap() {
        for (field, value) in fields.as_object().unwrap() {
            request[part][field] = value.clone();
        }
    }
    request
}

/// What was written to the request; events are no part of it.
type Writes = Arc<Mutex<Vec<Value>>>;

/// Brings the request one step further; returns the pause before the next look.
async fn step(allocator: &Arc<Allocator>, request: &Value, writes: &Writes) -> Option<Duration> {
    let (written, object) = (Arc::clone(writes), request.clone());
    let answer = move |method: &Method, path: &str, body: Value| {
        if *method == Method::PATCH && path.contains("/matchallocations/") {
            written.lock().unwrap().push(body);
            return (200, object.clone());
        }
        if *method == Method::GET {
            return (
                200,
                json!({ "kind": "GameServerList", "metadata": {}, "items": [held()] }),
            );
        }
        (201, body)
    };
    let world = crate::fake::world(answer);
    let request: MatchAllocation = serde_json::from_value(request.clone()).unwrap();
    let reconciled = reconcile(world, Arc::clone(allocator), Arc::new(request)).await;
    reconciled.unwrap().1
}

/// The server that the request holds.
fn held() -> Value {
    json!({
        "apiVersion": "muster.dev/v1", "kind": "GameServer",
        "metadata": {
            "name": "gs-1", "namespace": "games", "uid": "server-uid", "resourceVersion": "1",
            "labels": { crds::meta::REQUEST_LABEL: "request-uid" },
        },
        "spec": { "template": { "spec": { "containers": [{ "name": "game" }] } } },
        "status": { "state": "Allocated" },
    })
}

#[tokio::test]
async fn a_request_stays_until_the_allocator_has_released_its_server() {
    let fake = FakeAllocator::answering(&[Code::Aborted, Code::Unavailable, Code::Unauthenticated]);
    let allocator = fake.connect().await;
    let writes = Writes::default();
    // Nobody has told it of a server: an allocation may be under way.
    let deleted = request(&json!({
        "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" },
    }));
    for _ in 0..3 {
        let pause = step(&allocator, &deleted, &writes).await.unwrap();
        assert!(pause >= Duration::from_secs(1), "{pause:?}");
        assert!(pause <= Duration::from_secs(30), "{pause:?}");
        assert_eq!(writes.lock().unwrap().len(), 0);
    }
    step(&allocator, &deleted, &writes).await;
    let asked = fake.asked();
    assert_eq!(asked.len(), 4);
    let expected = wire::ReleaseRequest {
        namespace: "games".to_owned(),
        request_id: "request-uid".to_owned(),
        policy: ReleasePolicy::ReturnToReady.into(),
    };
    assert!(asked.iter().all(|one| *one == expected), "{asked:?}");
    let writes = writes.lock().unwrap();
    let [freed] = &writes[..] else {
        panic!("{writes:?}")
    };
    assert_eq!(freed["metadata"]["finalizers"], json!([]));
}

#[tokio::test]
async fn a_request_whose_server_is_gone_needs_no_allocator_to_go() {
    for state in ["Released", "Lost"] {
        let fake = FakeAllocator::answering(&[Code::Unavailable]);
        let allocator = fake.connect().await;
        let writes = Writes::default();
        let deleted = request(&json!({
            "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" },
            "status": { "state": state },
        }));
        step(&allocator, &deleted, &writes).await;
        assert_eq!(fake.asked(), []);
        assert_eq!(writes.lock().unwrap().len(), 1, "{state}");
    }
}

#[tokio::test]
async fn the_end_of_its_time_is_reported_when_the_server_is_released() {
    let fake = FakeAllocator::answering(&[Code::Unavailable]);
    let allocator = fake.connect().await;
    let writes = Writes::default();
    let due = request(&json!({
        "status": {
            "state": "Allocated", "gameServerName": "gs-1",
            "expirationTime": "2026-01-01T00:00:00Z",
        },
    }));
    let pause = step(&allocator, &due, &writes).await;
    assert!(pause.is_some());
    assert_eq!(writes.lock().unwrap().len(), 0);
    step(&allocator, &due, &writes).await;
    assert_eq!(fake.asked().len(), 2);
    let writes = writes.lock().unwrap();
    assert_eq!(writes[0]["status"]["state"], "Released");
}
