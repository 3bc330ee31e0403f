//! Traces as a collector gets them, over a real connection.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use tower::ServiceExt as _;
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::collector::{Collector, attribute};
use super::{Endpoint, Exporter, ServerSpans, TraceArgs, adopt, continue_from, current, inject};

/// A context of somebody else, whose trace is taken.
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The same, whose trace is not taken.
const UNTAKEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn head(traceparent: &'static str) -> HeaderMap {
    let value = HeaderValue::from_static(traceparent);
    HeaderMap::from_iter([(http::HeaderName::from_static("traceparent"), value)])
}

/// Traces of this thread go to the collector, while the guard lives.
fn tracing_to(collector: &Collector) -> (tracing::subscriber::DefaultGuard, Exporter) {
    let (layer, exporter) = super::pipeline("test", &collector.args()).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    (tracing::subscriber::set_default(subscriber), exporter)
}

#[test]
fn an_address_is_one_or_none() {
    assert_eq!("".parse(), Ok(Endpoint(None)));
    assert!(
        "http://collector:4317"
            .parse::<Endpoint>()
            .is_ok_and(|it| it.0.is_some())
    );
    for bad in ["collector:4317", "ftp://collector", "http://", " "] {
        assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
    }
}

#[test]
fn without_a_collector_there_are_no_spans() {
    let pipeline = super::pipeline::<tracing_subscriber::Registry>("test", &TraceArgs::default());
    assert!(pipeline.is_none());
    let log = crate::telemetry::LogArgs {
        log_level: "trace".to_owned(),
    };
    // Not even where everything is logged.
    let subscriber = tracing_subscriber::registry().with(crate::telemetry::filter(&log));
    tracing::subscriber::with_default(subscriber, || {
        let span = crate::span!("work");
        assert!(span.is_disabled() && !super::is_on());
        adopt(&span, &head(PARENT));
        let _entered = span.enter();
        assert_eq!(current(), None);
        let mut headers = HeaderMap::new();
        inject(&mut headers);
        assert!(headers.is_empty());
    });
}

#[tokio::test]
async fn a_context_goes_from_head_to_head() {
    let collector = Collector::start().await.unwrap();
    let (_guard, exporter) = tracing_to(&collector);
    exporter
        .during(async {
            assert!(super::is_on());
            let span = crate::span!("work");
            adopt(&span, &head(PARENT));
            let text = async { current() }.instrument(span).await.unwrap();
            assert!(
                text.starts_with("00-0af7651916cd43dd8448eb211c80319c-"),
                "{text}"
            );
            assert!(text.ends_with("-01") && text != PARENT, "{text}");
            let next = crate::span!("next");
            continue_from(&next, &text);
            for nonsense in ["", "00-0-0-01", "\n"] {
                continue_from(&next, nonsense);
            }
        })
        .await;
    let [work, next] = ["work", "next"].map(|name| collector.span(name).unwrap());
    assert_eq!(work.trace_id, next.trace_id);
    assert_eq!(work.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert_eq!(next.parent_span_id, work.span_id);
}

#[tokio::test]
async fn the_decision_of_the_caller_holds() {
    let collector = Collector::start().await.unwrap();
    let (_guard, exporter) = tracing_to(&collector);
    exporter
        .during(async {
            let span = crate::span!("untaken");
            adopt(&span, &head(UNTAKEN));
            // It goes on to whoever is called.
            let text = async { current() }.instrument(span).await.unwrap();
            assert!(text.ends_with("-00"), "{text}");
            drop(crate::span!("taken"));
        })
        .await;
    let names: Vec<_> = collector
        .spans()
        .into_iter()
        .map(|span| span.name)
        .collect();
    assert_eq!(names, ["taken"]);
}

#[tokio::test]
async fn requests_have_spans_with_their_routes() {
    let collector = Collector::start().await.unwrap();
    let (_guard, exporter) = tracing_to(&collector);
    let router = Router::new()
        .route("/players/{id}", get(async || StatusCode::NOT_FOUND))
        .route("/broken", get(async || StatusCode::BAD_GATEWAY))
        .route(
            "/game.Arena/{*method}",
            axum::routing::post(async || [("grpc-status", "14")]),
        )
        .layer(ServerSpans);
    let ask = async |method: &str, path: &str, kind: &'static str| {
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("traceparent", PARENT)
            .header("content-type", kind);
        let request = request.body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap();
    };
    exporter
        .during(async {
            ask("GET", "/players/ada?token=secret", "text/plain").await;
            ask("GET", "/broken", "text/plain").await;
            ask("BREW", "/nowhere", "text/plain").await;
            ask("POST", "/game.Arena/Join", "application/grpc").await;
            ask("POST", "/made.Up/Name", "application/grpc+proto").await;
        })
        .await;
    let shown: Vec<_> = collector
        .spans()
        .iter()
        .map(|span| {
            let of = |key| attribute(&span.attributes, key);
            let is_error = span.status.as_ref().is_some_and(|status| status.code == 2);
            assert_eq!(span.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
            assert_eq!(span.kind, 2);
            format!(
                "{} | {} {} | {} {} {} | {is_error}",
                span.name,
                of("http.route"),
                of("http.response.status_code"),
                of("rpc.service"),
                of("rpc.method"),
                of("rpc.grpc.status_code"),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "GET /players/{id} | /players/{id} 404 |    | false",
            "GET /broken | /broken 502 |    | true",
            "_OTHER |  404 |    | false",
            "game.Arena/Join |   | game.Arena Join 14 | true",
            "_OTHER/_OTHER |   | _OTHER _OTHER 0 | false",
        ]
    );
    assert!(!String::from_utf8_lossy(&collector.bytes()).contains("secret"));
}

#[tokio::test]
async fn spans_say_who_made_them() {
    let collector = Collector::start().await.unwrap();
    let (_guard, exporter) = tracing_to(&collector);
    exporter.during(async { drop(crate::span!("work")) }).await;
    let resources = collector.resources();
    let of = |key| attribute(&resources[0], key);
    assert_eq!(
        (of("service.name"), of("service.namespace")),
        ("test".into(), "muster".into())
    );
    assert_eq!(of("service.instance.id").len(), 32);
}

#[tokio::test]
async fn what_the_queue_has_no_room_for_is_dropped_and_counted() {
    let dropped = || {
        let counts = super::counts().unwrap();
        counts.with_label_values(&["dropped"]).get()
    };
    let collector = Collector::start().await.unwrap();
    let (_guard, exporter) = tracing_to(&collector);
    let before = dropped();
    // Nobody sends yet.
    for _ in 0..super::export::QUEUE + 7 {
        drop(crate::span!("work"));
    }
    assert_eq!(dropped() - before, 7);
    exporter.during(async {}).await;
    assert_eq!(collector.spans().len(), super::export::QUEUE);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_away_holds_nobody_up() {
    // Nobody listens on a port that was just closed.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let args = TraceArgs {
        otlp_endpoint: format!("http://{address}").parse().unwrap(),
        ..TraceArgs::default()
    };
    let (layer, exporter) = super::pipeline("test", &args).unwrap();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let begin = tokio::time::Instant::now();
    exporter.during(async { drop(crate::span!("work")) }).await;
    assert!(begin.elapsed() <= super::export::FLUSH + Duration::from_secs(1));
}
