//! A follower against a server in the same process, in virtual time.

use std::io;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use hyper_util::rt::TokioIo;
use runtime::trace::TraceArgs;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status as Code};
use tracing_subscriber::layer::SubscriberExt as _;
use uuid::Uuid;
use wire::auth_server::{Auth, AuthServer};

use super::*;
use crate::Claims;
use crate::jwk::PublicKey;
use crate::verify::Refusal;

/// One stream as its server holds it.
type Stream = mpsc::Sender<Result<wire::WatchResponse, Code>>;

/// An auth whose streams are written by the test.
struct FakeAuth {
    streams: mpsc::Sender<Stream>,
    /// The trace of the last stream.
    trace: watch::Sender<Option<String>>,
}

macro_rules! fake_auth {
    ($($name:ident($request:ident) -> $response:ident),+ $(,)?) => {
        #[tonic::async_trait]
        impl Auth for FakeAuth {
            type WatchStream = ReceiverStream<Result<wire::WatchResponse, Code>>;

            async fn watch(
                &self,
                request: Request<wire::WatchRequest>,
            ) -> Result<Response<Self::WatchStream>, Code> {
                self.trace
                    .send_replace(runtime::trace::carried(request.metadata().as_ref()));
                let (stream, messages) = mpsc::channel(16);
                match self.streams.try_send(stream) {
                    Ok(()) => Ok(Response::new(ReceiverStream::new(messages))),
                    Err(mpsc::error::TrySendError::Closed(_)) => Err(Code::unavailable("away")),
                    // Nobody takes the call: it hangs.
                    Err(mpsc::error::TrySendError::Full(_)) => std::future::pending().await,
                }
            }

            $(async fn $name(
                &self,
                _: Request<wire::$request>,
            ) -> Result<Response<wire::$response>, Code> {
                Err(Code::unimplemented("only streams"))
            })+
        }
    };
}

fake_auth!(
    register(RegisterRequest) -> SignInResponse,
    login(LoginRequest) -> SignInResponse,
    refresh(RefreshRequest) -> SignInResponse,
    validate(ValidateRequest) -> ValidateResponse,
    introspect(IntrospectRequest) -> IntrospectResponse,
    assign_server(AssignServerRequest) -> AssignServerResponse,
    validate_session(ValidateSessionRequest) -> ValidateSessionResponse,
    revoke(RevokeRequest) -> RevokeResponse,
    issue_reconnection(IssueReconnectionRequest) -> IssueReconnectionResponse,
    reconnect(ReconnectRequest) -> ReconnectResponse,
    set_player(SetPlayerRequest) -> SetPlayerResponse,
    list_audit(ListAuditRequest) -> ListAuditResponse,
);

/// A follower and its auth.
struct World {
    verifier: Arc<Verifier>,
    status: watch::Receiver<Status>,
    changes: broadcast::Receiver<Arc<PlayerChange>>,
    streams: mpsc::Receiver<Stream>,
    trace: watch::Receiver<Option<String>>,
    stop: CancellationToken,
    start: Instant,
    _clock: runtime::clock::Guard,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

const LIMIT: Duration = Duration::from_mins(10);

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

impl World {
    /// Auth takes that many streams before the test has looked at one.
    fn new(waiting: usize) -> Self {
        let clock = runtime::clock::virtual_time(start());
        let (connections, accepted) = mpsc::channel::<io::Result<DuplexStream>>(16);
        let (streams, streams_of_test) = mpsc::channel(waiting);
        let (trace, trace_of_test) = watch::channel(None);
        let server = tonic::transport::Server::builder()
            .add_service(AuthServer::new(FakeAuth { streams, trace }))
            .serve_with_incoming(ReceiverStream::new(accepted));
        tokio::spawn(server);
        let connect = tower::service_fn(move |_: http::Uri| {
            let connections = connections.clone();
            async move {
                let (client, server) = tokio::io::duplex(64 * 1024);
                connections
                    .send(Ok(server))
                    .await
                    .map_err(io::Error::other)?;
                Ok::<_, io::Error>(TokioIo::new(client))
            }
        });
        let channel = Endpoint::from_static("http://auth").connect_with_connector_lazy(connect);
        let verifier = Arc::new(Verifier::new("auth", "game"));
        let follower = Follower::new(channel, Arc::clone(&verifier), Settings::default());
        let stop = CancellationToken::new();
        let world = Self {
            verifier,
            status: follower.status(),
            changes: follower.changes(),
            streams: streams_of_test,
            trace: trace_of_test,
            stop: stop.clone(),
            start: Instant::now(),
            _clock: clock,
        };
        tokio::spawn(follower.run(stop));
        world
    }

    /// The next stream that the follower opens.
    async fn stream(&mut self) -> Stream {
        let next = tokio::time::timeout(LIMIT, self.streams.recv());
        next.await.unwrap().unwrap()
    }

    /// Waits for a status.
    async fn until(&mut self, is_so: impl FnMut(&Status) -> bool) -> Status {
        let waiting = tokio::time::timeout(LIMIT, self.status.wait_for(is_so));
        *waiting.await.unwrap().unwrap()
    }

    fn check(&self, seed: u8) -> Result<(), Refusal> {
        let now = runtime::clock::now();
        self.verifier.check(now, &token(seed, now)).map(|_| ())
    }
}

async fn send(stream: &Stream, event: Event) {
    let message = wire::WatchResponse { event: Some(event) };
    stream.send(Ok(message)).await.unwrap();
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn keys(seeds: &[u8]) -> Event {
    let public = |seed: &u8| PublicKey::ed25519(pair(*seed).public_key().as_ref()).unwrap();
    let set: KeySet = seeds.iter().map(public).collect();
    Event::Keys(set.to_jwks())
}

fn synced() -> Event {
    Event::Synced(wire::Synced {})
}

const PLAYER: Uuid = Uuid::from_u128(1);

fn revocation() -> wire::Revocation {
    wire::Revocation {
        player_id: PLAYER.to_string(),
        session_id: Uuid::from_u128(2).to_string(),
        at: Some(start().as_second()).map(|seconds| pbjson_types::Timestamp { seconds, nanos: 0 }),
    }
}

fn token(seed: u8, now: Timestamp) -> String {
    let claims = Claims {
        iss: "auth".to_owned(),
        sub: PlayerId(PLAYER),
        aud: vec!["game".to_owned()],
        exp: now.as_second() + 300,
        iat: now.as_second(),
        jti: Uuid::from_u128(3),
        sid: SessionId(Uuid::from_u128(2)),
        cnf: None,
        roles: Vec::new(),
    };
    let pair = pair(seed);
    let kid = PublicKey::ed25519(pair.public_key().as_ref()).unwrap();
    let header = serde_json::json!({"typ": "at+jwt", "alg": "EdDSA", "kid": kid.thumbprint()});
    crate::jws::encode(&header, &claims, |message| {
        Ok::<_, serde_json::Error>(pair.sign(message).as_ref().try_into().unwrap())
    })
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn keys_revocations_and_changes_arrive() {
    let mut world = World::new(1);
    assert_eq!(world.status.borrow().staleness(start()), None);
    let stream = world.stream().await;
    send(&stream, keys(&[1])).await;
    send(&stream, synced()).await;
    let status = world.until(|status| status.is_synced).await;
    assert_eq!(status.staleness(start()), Some(SignedDuration::ZERO));
    assert_eq!(world.check(1), Ok(()));
    assert_eq!(world.check(2), Err(Refusal::UnknownKey));
    send(&stream, Event::Revocation(revocation())).await;
    let change = wire::PlayerChanged {
        player_id: PLAYER.to_string(),
        player_data: r#"{"level":2}"#.to_owned(),
        roles: vec!["admin".to_owned()],
    };
    send(&stream, Event::PlayerChanged(change)).await;
    let change = tokio::time::timeout(LIMIT, world.changes.recv()).await;
    let expected = PlayerChange {
        player: PlayerId(PLAYER),
        data: r#"{"level":2}"#.to_owned(),
        roles: vec!["admin".to_owned()],
    };
    assert_eq!(*change.unwrap().unwrap(), expected);
    assert_eq!(world.check(1), Err(Refusal::Revoked));
}

#[tokio::test(start_paused = true)]
async fn a_lost_stream_leaves_what_was_known_and_the_next_one_heals() {
    let mut world = World::new(1);
    let stream = world.stream().await;
    send(&stream, keys(&[1])).await;
    send(&stream, synced()).await;
    world.until(|status| status.is_synced).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    drop(stream);
    let status = world.until(|status| !status.is_synced).await;
    assert_eq!(status.ended, 1);
    assert_eq!(world.check(1), Ok(()));
    let lost = start() + SignedDuration::from_mins(1);
    let later = lost + SignedDuration::from_secs(7);
    assert_eq!(status.staleness(later), Some(SignedDuration::from_secs(7)));
    assert_eq!(status.staleness(start()), Some(SignedDuration::ZERO));
    let stream = world.stream().await;
    send(&stream, keys(&[2])).await;
    send(&stream, Event::Revocation(revocation())).await;
    send(&stream, synced()).await;
    world.until(|status| status.is_synced).await;
    assert_eq!(world.check(1), Err(Refusal::UnknownKey));
    assert_eq!(world.check(2), Err(Refusal::Revoked));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_asks_anew_at_a_bounded_rate() {
    let mut world = World::new(1);
    let stream = world.stream().await;
    send(&stream, keys(&[1])).await;
    send(&stream, synced()).await;
    world.until(|status| status.is_synced).await;
    // Forged names come all the time, a hundred in a second.
    let mut opened = 0;
    for _ in 0..6000 {
        assert_eq!(world.check(9), Err(Refusal::UnknownKey));
        tokio::time::sleep(Duration::from_millis(10)).await;
        if let Ok(next) = world.streams.try_recv() {
            opened += 1;
            send(&next, keys(&[1, 2])).await;
            send(&next, synced()).await;
            // The stream must not end by itself.
            tokio::spawn(async move { next.closed().await });
        }
    }
    assert!((5..=6).contains(&opened), "{opened} streams in a minute");
    assert_eq!(world.check(2), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_auth_that_hangs_is_given_up() {
    let mut world = World::new(1);
    // The first stream begins and never says everything.
    let stream = world.stream().await;
    send(&stream, keys(&[1])).await;
    world.until(|status| status.ended == 1).await;
    assert_eq!(world.start.elapsed().as_secs(), 30);
    assert_eq!(world.check(1), Ok(()));
    // The second waits unseen, and the calls after it are not answered.
    let before = Instant::now();
    world.until(|status| status.ended == 3).await;
    let took = before.elapsed().as_secs();
    assert!((35..=36).contains(&took), "{took} s");
    let status = *world.status.borrow();
    assert_eq!((status.is_synced, status.current), (false, None));
}

#[tokio::test(start_paused = true)]
async fn an_auth_that_refuses_is_asked_ever_less_often() {
    let mut world = World::new(1);
    world.streams.close();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let ended = world.status.borrow().ended;
    // At least 2.5 and at most 5 seconds apart, but for the first six.
    assert!((15..=30).contains(&ended), "{ended} attempts in a minute");
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_counted_and_harms_nothing() {
    let mut world = World::new(1);
    let stream = world.stream().await;
    send(&stream, keys(&[1])).await;
    let bad = |change: &dyn Fn(&mut wire::Revocation)| {
        let mut revocation = revocation();
        change(&mut revocation);
        Event::Revocation(revocation)
    };
    for event in [
        Event::Keys("{}".to_owned()),
        Event::Keys(r#"{"keys":[]}"#.to_owned()),
        bad(&|revocation| revocation.player_id.clear()),
        bad(&|revocation| revocation.session_id = "x".to_owned()),
        bad(&|revocation| revocation.at = None),
        bad(&|revocation| revocation.at.as_mut().unwrap().seconds = i64::MAX),
        Event::PlayerChanged(wire::PlayerChanged::default()),
    ] {
        send(&stream, event).await;
    }
    stream
        .send(Ok(wire::WatchResponse::default()))
        .await
        .unwrap();
    send(&stream, synced()).await;
    let status = world.until(|status| status.is_synced).await;
    assert_eq!(status.malformed, 8);
    assert_eq!(world.check(1), Ok(()));
    assert_eq!(world.verifier.revocations(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_it_is_told() {
    let mut world = World::new(1);
    let stream = world.stream().await;
    world.stop.cancel();
    tokio::time::timeout(LIMIT, stream.closed()).await.unwrap();
    tokio::time::timeout(LIMIT, world.status.wait_for(|_| false))
        .await
        .unwrap()
        .unwrap_err();
}

#[test]
fn an_address_has_time_limits() {
    assert!(endpoint("http://auth:9000").is_ok());
    assert!(endpoint("not an address").is_err());
}

#[tokio::test(start_paused = true)]
async fn auth_hears_of_the_trace_that_a_stream_is_a_part_of() {
    let mut world = World::new(1);
    world.stream().await;
    assert_eq!(*world.trace.borrow(), None);
    drop(world);

    let args = TraceArgs {
        // Nothing is sent: there is nobody who does it.
        otlp_endpoint: "http://localhost:4317".parse().unwrap(),
        ..TraceArgs::default()
    };
    let (layer, _exporter) = runtime::trace::pipeline("test", &args).unwrap();
    // One subscriber alone would count as everybody's, and the first thread that comes by a call
    // site, of a test without traces, would turn it off for this one too.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _traced = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let mut world = World::new(1);
    world.stream().await;
    assert!(world.trace.borrow().is_some());
}
