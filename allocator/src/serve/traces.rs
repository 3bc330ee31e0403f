//! One trace over every replica that an allocation passes, and on to the game server.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use proto::muster::allocation::v1::allocator_client::AllocatorClient;
use proto::muster::allocation::v1::{AllocateRequest, Player};
use runtime::serve::Server;
use runtime::trace::collector::{Collector, Span, attribute};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::fake::Fake;
use crate::fake::harness::{BOUNDS, Core, fleet};

const ALLOCATE: &str = "muster.allocation.v1.Allocator/Allocate";

const PLAYER: &str = "11111111-2222-3333-4444-555555555555";

/// The context of a player who has a trace of its own.
const OF_PLAYER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A replica on a port, until the token is cancelled.
async fn replica(fake: &Fake, number: u128, stop: &CancellationToken) -> (Core, SocketAddr) {
    let core = Core::start(fake, BOUNDS, number).await;
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server {
        router: router(
            core.api(tonic::Code::ResourceExhausted),
            core.match_api(),
            health,
        ),
        tls: None,
        connections: 10,
        timeout: Duration::from_secs(10),
        count: core.metrics.clone(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server.serve(listener, stop.clone()));
    (core, address)
}

async fn allocate(address: SocketAddr) -> String {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client: AllocatorClient<Channel> = AllocatorClient::new(endpoint.connect_lazy());
    let span = runtime::trace::client("muster.allocation.v1.Allocator", "Allocate");
    let mut request = Request::new(AllocateRequest {
        namespace: "default".to_owned(),
        request_id: "r".to_owned(),
        players: vec![Player {
            player_id: PLAYER.to_owned(),
            trace_context: OF_PLAYER.to_owned(),
            ..Player::default()
        }],
        ..AllocateRequest::default()
    });
    span.in_scope(|| runtime::trace::inject(request.metadata_mut().as_mut()));
    let answer = client.allocate(request).instrument(span).await.unwrap();
    answer.into_inner().allocation.unwrap().game_server_name
}

#[tokio::test]
async fn an_allocation_through_two_replicas_is_one_trace() {
    let collector = Collector::start().await.unwrap();
    let (layer, exporter) = runtime::trace::pipeline("allocator", &collector.args()).unwrap();
    // For this thread, on which everything is.
    let subscriber = tracing_subscriber::registry().with(layer);
    // One subscriber alone would count as everybody's, and the first thread that comes by a call
    // site, of a test without traces, would turn it off for this one too.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _traced = tracing::subscriber::set_default(subscriber);
    let fake = fleet(2);
    let stop = CancellationToken::new();
    let (_one, first) = replica(&fake, 1, &stop).await;
    let (_two, second) = replica(&fake, 2, &stop).await;
    let matchmaker = runtime::span!("matchmaker");
    exporter
        .during(async move {
            let both = async { [allocate(first).await, allocate(second).await] };
            assert_eq!(both.instrument(matchmaker).await, ["gs-00", "gs-00"]);
        })
        .await;
    stop.cancel();

    let spans = collector.spans();
    let traces: BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len(), 1);
    let root = collector.span("matchmaker").unwrap();
    // Nothing is missing between any span and the matchmaker's.
    for span in spans.iter().filter(|span| **span != root) {
        let is_parent = |other: &&Span| other.span_id == span.parent_span_id;
        assert!(spans.iter().any(|other| is_parent(&other)), "{span:?}");
    }
    let of_kind = |kind| {
        let is_it = move |span: &&Span| span.name == ALLOCATE && span.kind == kind;
        spans.iter().filter(is_it).collect::<Vec<_>>()
    };
    let (served, called) = (of_kind(2), of_kind(3));
    assert_eq!((served.len(), called.len()), (2, 2));
    for (served, called) in served.iter().zip(&called) {
        assert_eq!(served.parent_span_id, called.span_id);
        assert_eq!(called.parent_span_id, root.span_id);
    }
    // The first replica has written; the second has found what is written.
    let written = collector.span("write allocation").unwrap();
    assert_eq!(written.parent_span_id, served[0].span_id);
    assert_eq!(
        attribute(&written.attributes, "muster.outcome"),
        "committed"
    );
    assert_eq!(
        attribute(&written.attributes, "muster.game_server"),
        "gs-00"
    );

    // The game server learns of it with its match.
    let text = &fake.get("gs-00")["metadata"]["annotations"][crds::meta::MATCH_ANNOTATION];
    let of_match: crds::matches::Match = serde_json::from_str(text.as_str().unwrap()).unwrap();
    let hex = |bytes: &[u8]| {
        let number = bytes
            .iter()
            .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        format!("{number:0width$x}", width = bytes.len() * 2)
    };
    let expected = format!("00-{}-{}-01", hex(&root.trace_id), hex(&served[0].span_id));
    assert_eq!(of_match.trace_context, Some(expected));
    assert_eq!(of_match.player_traces[PLAYER], OF_PLAYER);
}
