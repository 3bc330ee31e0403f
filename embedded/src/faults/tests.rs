use std::convert::Infallible;
use std::time::Duration;

use futures::StreamExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::client::Body;
use serde_json::json;
use tokio::time::Instant;
use tower::{Layer as _, Service as _, ServiceExt as _};

use super::service::{AnswerBody, BoxError};
use super::*;

/// An API server with a counter: every write raises it, every answer tells it.
#[derive(Clone, Debug, Default)]
struct Counter(Arc<Mutex<u64>>);

impl Counter {
    fn value(&self) -> u64 {
        *self.0.lock().unwrap()
    }

    fn service(
        &self,
    ) -> impl tower::Service<
        Request<Body>,
        Response = Response<AnswerBody>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + 'static {
        let counter = self.clone();
        tower::service_fn(move |request: Request<Body>| {
            let counter = counter.clone();
            async move { Ok(counter.answer(&request)) }
        })
    }

    fn answer(&self, request: &Request<Body>) -> Response<AnswerBody> {
        let call = Call::of(request);
        if call.is_write() {
            *self.0.lock().unwrap() += 1;
        }
        if call.verb == Verb::Watch {
            let lines = ["a 1", "b 2", "a 3", "c 4"].map(|text| {
                let (name, version) = text.split_once(' ').unwrap();
                let object = json!({ "metadata": { "name": name, "resourceVersion": version } });
                let event = json!({ "type": "MODIFIED", "object": object });
                Ok::<_, BoxError>(Frame::data(Bytes::from(format!("{event}\n"))))
            });
            let lines = futures::stream::iter(lines).chain(futures::stream::pending());
            return Response::new(StreamBody::new(lines).boxed_unsync());
        }
        let shown = request.uri().query().and_then(|query| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix("resourceVersion="))
        });
        let version = shown.map_or_else(|| self.value().to_string(), ToOwned::to_owned);
        let body = json!({ "metadata": { "resourceVersion": version }, "items": [version] });
        let body = body.to_string();
        let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
        Response::new(body.boxed_unsync())
    }
}

fn faults(rules: &[&str]) -> Faults {
    let faults = Faults::new("a", Journal::default());
    for rule in rules {
        faults.add(rule.parse().unwrap());
    }
    faults
}

/// Sends one request and says what came back.
async fn send(faults: &Faults, counter: &Counter, text: &str) -> String {
    let (method, uri) = text.split_once(' ').unwrap();
    let request = Request::builder().method(method).uri(uri);
    let request = request.body(Body::empty()).unwrap();
    let mut service = faults.layer().layer(counter.service());
    let answer = service.ready().await.unwrap().call(request).await;
    match answer {
        Ok(answer) => {
            let retry = answer.headers().get("retry-after").cloned();
            let code = answer.status().as_u16();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let version = body.pointer("/metadata/resourceVersion");
            let version = version.and_then(serde_json::Value::as_str);
            let retry = retry.map(|retry| format!(" after {}", retry.to_str().unwrap()));
            format!(
                "{code} {}{}",
                version.unwrap_or_else(|| body["reason"].as_str().unwrap_or_default()),
                retry.unwrap_or_default()
            )
        }
        Err(error) => error.to_string(),
    }
}

const PODS: &str = "/api/v1/namespaces/n/pods";

#[tokio::test(start_paused = true)]
async fn the_nth_call_fails_and_no_other() {
    let faults = faults(&[
        "create pods #2: fail 429 retry 7",
        "create pods #3: disconnect",
    ]);
    let counter = Counter::default();
    let create = format!("POST {PODS}");
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(send(&faults, &counter, &create).await);
    }
    assert_eq!(
        seen,
        [
            "200 1",
            "429 TooManyRequests after 7",
            "the connection was closed",
            "200 2"
        ]
    );
    assert_eq!(faults.writes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_write_may_be_committed_without_an_answer() {
    let faults = faults(&[
        "create pods #1: commit-timeout",
        "create pods #2: commit-disconnect",
        "create pods #3: commit-hang",
    ]);
    let counter = Counter::default();
    let create = format!("POST {PODS}");
    assert_eq!(send(&faults, &counter, &create).await, "504 Timeout");
    assert_eq!(
        send(&faults, &counter, &create).await,
        "the connection was closed"
    );
    let hanging = send(&faults, &counter, &create);
    assert!(
        tokio::time::timeout(Duration::from_hours(1), hanging)
            .await
            .is_err()
    );
    assert_eq!(counter.value(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_late_write_lands_after_its_sender_has_given_up() {
    let faults = faults(&["create pods #1: late 12s"]);
    let counter = Counter::default();
    let create = format!("POST {PODS}");
    let sent = send(&faults, &counter, &create);
    let given_up = tokio::time::timeout(Duration::from_secs(10), sent).await;
    assert!(given_up.is_err());
    assert_eq!(counter.value(), 0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(counter.value(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_and_answers_are_delayed() {
    let faults = faults(&["get pods #1: delay 1.5s", "get pods #2: delay-answer 2s"]);
    let counter = Counter::default();
    let get = format!("GET {PODS}/p");
    let begin = Instant::now();
    send(&faults, &counter, &get).await;
    assert_eq!(begin.elapsed(), Duration::from_millis(1500));
    send(&faults, &counter, &get).await;
    assert_eq!(begin.elapsed(), Duration::from_millis(3500));
}

#[tokio::test(start_paused = true)]
async fn a_list_is_answered_as_it_was() {
    let faults = faults(&["list pods #1: stale 2"]);
    let counter = Counter::default();
    let (create, list) = (format!("POST {PODS}"), format!("GET {PODS}?limit=500"));
    for _ in 0..5 {
        send(&faults, &counter, &create).await;
    }
    // A list that is not asked for in pages fills no cache.
    assert_eq!(
        send(&faults, &counter, &format!("GET {PODS}")).await,
        "200 5"
    );
    assert_eq!(faults.traffic().borrow().stale_lists, 0);
    assert_eq!(send(&faults, &counter, &list).await, "200 3");
    assert_eq!(send(&faults, &counter, &list).await, "200 5");
    assert_eq!(faults.traffic().borrow().stale_lists, 1);
}

#[tokio::test(start_paused = true)]
async fn what_has_begun_is_pending_until_it_is_over() {
    let faults = faults(&[
        "create pods #1: late 20s",
        "get pods #1: delay 9s",
        "watch pods #1: lag 2 5s",
    ]);
    let counter = Counter::default();
    let mut lines = open(&faults).await;
    assert_eq!(faults.pending(), 0);
    assert!(lines.next().await.is_some());
    // Four events came, and two of them wait.
    assert!(lines.next().await.is_some());
    assert_eq!(faults.pending(), 2);
    for _ in 0..2 {
        assert!(lines.next().await.is_some());
    }
    assert_eq!(faults.pending(), 0);
    let (create, get) = (format!("POST {PODS}"), format!("GET {PODS}/p"));
    let sent = send(&faults, &counter, &create);
    drop(tokio::time::timeout(Duration::from_secs(1), sent).await);
    let sent = send(&faults, &counter, &get);
    // Whoever gives up waits for nothing more; the late write comes all the same.
    drop(tokio::time::timeout(Duration::from_secs(1), sent).await);
    assert_eq!(faults.pending(), 1);
    faults.pause();
    assert_eq!(faults.pending(), 2);
    faults.crash();
    assert_eq!(faults.pending(), 1);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!((faults.pending(), counter.value()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn traffic_is_counted() {
    let (faults, counter) = (
        faults(&[
            "create pods #2: fail 409",
            "create pods #4: disconnect",
            "create pods #6: commit-timeout",
        ]),
        Counter::default(),
    );
    let create = format!("POST {PODS}");
    let send_all = async |count: usize| {
        for _ in 0..count {
            send(&faults, &counter, &create).await;
        }
    };
    send_all(3).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    send_all(1).await;
    faults.pause_after(3, Duration::from_secs(30));
    send_all(2).await;
    // A second later it is awake.
    tokio::time::sleep(Duration::from_secs(1)).await;
    send_all(1).await;
    let traffic = *faults.traffic().borrow();
    assert_eq!((traffic.calls, traffic.refused, traffic.busiest), (7, 3, 3));
    assert_eq!((traffic.pauses, traffic.wakings), (1, 1));
    assert_eq!((traffic.woken_writes, traffic.woken_refused), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_dead_write_nothing_more() {
    let (faults, counter) = (faults(&[]), Counter::default());
    faults.crash_after(2);
    let lease = "PUT /apis/coordination.k8s.io/v1/namespaces/n/leases/l";
    let create = format!("POST {PODS}");
    send(&faults, &counter, lease).await;
    send(&faults, &counter, &create).await;
    for _ in 0..2 {
        let sent = send(&faults, &counter, &create);
        let answered = tokio::time::timeout(Duration::from_mins(10), sent).await;
        assert!(answered.is_err());
    }
    assert_eq!(*faults.mode().borrow(), Mode::Crashed);
    faults.resume();
    assert_eq!(*faults.mode().borrow(), Mode::Crashed);
    // The lease's write and two others.
    assert_eq!(counter.value(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_pause_after_writes_delays_the_answer() {
    let (faults, counter) = (faults(&[]), Counter::default());
    faults.pause_after(2, Duration::from_secs(30));
    let create = format!("POST {PODS}");
    let begin = Instant::now();
    let mut answered = Vec::new();
    for _ in 0..3 {
        send(&faults, &counter, &create).await;
        answered.push((begin.elapsed().as_secs(), counter.value()));
    }
    assert_eq!(answered, [(0, 1), (30, 2), (30, 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_requests_and_loses_none() {
    let (faults, counter) = (faults(&[]), Counter::default());
    faults.pause();
    let waker = faults.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        waker.resume();
    });
    let begin = Instant::now();
    assert_eq!(
        send(&faults, &counter, &format!("POST {PODS}")).await,
        "200 1"
    );
    assert_eq!(begin.elapsed(), Duration::from_secs(20));
}

/// What a watch delivers, as `a1 b2 …`, with the seconds at which it came if that is not at once.
async fn watched(rules: &[&str]) -> String {
    let (faults, counter) = (faults(rules), Counter::default());
    let request = Request::get(format!("{PODS}?watch=true"));
    let request = request.body(Body::empty()).unwrap();
    let mut service = faults.layer().layer(counter.service());
    let answer = service.ready().await.unwrap().call(request).await.unwrap();
    let mut lines = answer.into_body().into_data_stream();
    let begin = Instant::now();
    let mut seen = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_mins(10), lines.next()).await {
            Err(_) => break,
            Ok(None) => {
                seen.push("end".to_owned());
                break;
            }
            Ok(Some(line)) => {
                let event: serde_json::Value = serde_json::from_slice(&line.unwrap()).unwrap();
                let object = &event["object"];
                let name = object["metadata"]["name"].as_str();
                let version = object["metadata"]["resourceVersion"].as_str();
                let text = match (name, version) {
                    (Some(name), Some(version)) => format!("{name}{version}"),
                    _ => format!("{}{}", event["type"], object["code"]),
                };
                let late = begin.elapsed().as_secs();
                let late = if late > 0 {
                    format!("@{late}")
                } else {
                    String::new()
                };
                seen.push(text + &late);
            }
        }
    }
    seen.join(" ")
}

#[tokio::test(start_paused = true)]
async fn streams_are_disturbed_as_the_script_says() {
    let table: [(&[&str], &str); 9] = [
        (&[], "a1 b2 a3 c4"),
        (&["watch pods #1: drop 2"], "a1 b2 end"),
        (&["watch pods #1: expire 1"], r#"a1 "ERROR"410 end"#),
        (&["watch pods #1: stall 1 30s"], "a1 b2@30 a3@30 c4@30"),
        (&["watch pods #1: lag 2 5s"], "a1 b2 a3@5 c4@5"),
        (&["watch pods #1: duplicate 2"], "a1 b2 b2 a3 c4"),
        (&["watch pods #1: swap 1"], "b2 a1 a3 c4"),
        // The next event is about the same object.
        (
            &["watch pods #1: swap 3", "watch pods #1: drop 3"],
            "a1 b2 c4 a3 end",
        ),
        (&["watch pods #1: swap 4"], "a1 b2 a3 c4@2"),
    ];
    for (rules, expected) in table {
        assert_eq!(watched(rules).await, expected, "{rules:?}");
    }
}

async fn open(faults: &Faults) -> http_body_util::BodyDataStream<AnswerBody> {
    let request = Request::get(format!("{PODS}?watch=true"));
    let request = request.body(Body::empty()).unwrap();
    let mut service = faults.layer().layer(Counter::default().service());
    let answer = service.ready().await.unwrap().call(request).await.unwrap();
    answer.into_body().into_data_stream()
}

#[tokio::test(start_paused = true)]
async fn watches_can_be_cut() {
    let faults = faults(&[]);
    let mut lines = open(&faults).await;
    for _ in 0..4 {
        assert!(lines.next().await.is_some());
    }
    faults.cut_watches();
    assert!(lines.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn faults_reach_watches_that_are_open() {
    let faults = faults(&[]);
    let (mut first, mut second) = (open(&faults).await, open(&faults).await);
    assert!(first.next().await.is_some());
    faults.add("watch pods #1: drop 1".parse().unwrap());
    faults.add("watch pods #3: drop 0".parse().unwrap());
    assert!(first.next().await.is_some());
    assert!(first.next().await.is_none());
    for _ in 0..4 {
        assert!(second.next().await.is_some());
    }
    assert!(open(&faults).await.next().await.is_none());
}
