//! How long connections may idle and dawdle; over pipes, so that time is virtual.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::{Instant, advance};
use tokio_util::sync::CancellationToken;

use super::{Count, HANDSHAKE, KEEP_ALIVE, Peer, Server};

#[derive(Clone, Copy, Debug)]
struct Uncounted;

impl Count for Uncounted {
    type Open = ();

    fn connected(&self) {}

    fn refused(&self) {}
}

/// The client's end of a connection to a server.
fn connect() -> DuplexStream {
    let (client, stream) = tokio::io::duplex(64 * 1024);
    let server = Server {
        router: Router::new()
            .route("/", get(async || "here"))
            .route("/body", post(async |body: String| body)),
        tls: None,
        connections: 1,
        timeout: Duration::from_mins(1),
        count: Uncounted,
    };
    let peer = Peer {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
        is_certified: false,
    };
    tokio::spawn(async move {
        server
            .requests(stream, peer, CancellationToken::new())
            .await;
    });
    client
}

async fn call(client: &mut DuplexStream) {
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        .await
        .unwrap();
    answer(client).await;
}

/// Reads an answer; all of them end alike.
async fn answer(client: &mut DuplexStream) {
    let mut read = Vec::new();
    while !read.ends_with(b"here") {
        assert_ne!(client.read_buf(&mut read).await.unwrap(), 0, "{read:?}");
    }
}

/// How long it is until the server closes the connection.
async fn closes(client: &mut DuplexStream) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    began.elapsed()
}

/// Timers have a resolution of a millisecond.
fn is_about(time: Duration, expected: Duration) -> bool {
    time.abs_diff(expected) <= Duration::from_millis(5)
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_between_requests_and_not_for_ever() {
    let mut client = connect();
    for _ in 0..3 {
        call(&mut client).await;
        advance(KEEP_ALIVE * 9 / 10).await;
    }
    call(&mut client).await;
    let time = closes(&mut client).await;
    assert!(is_about(time, KEEP_ALIVE), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_head_must_come_quickly_once_it_began() {
    // The first one begins with the connection.
    let time = closes(&mut connect()).await;
    assert!(is_about(time, HANDSHAKE), "{time:?}");
    let mut client = connect();
    call(&mut client).await;
    advance(Duration::from_mins(1)).await;
    client.write_all(b"GE").await.unwrap();
    // More of it wins no time.
    tokio::task::yield_now().await;
    advance(Duration::from_secs(9)).await;
    client.write_all(b"T / HTTP").await.unwrap();
    let time = closes(&mut client).await;
    assert!(is_about(time, Duration::from_secs(1)), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_may_take_longer_than_a_head() {
    let mut client = connect();
    let head = b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\n\r\nhe";
    client.write_all(head).await.unwrap();
    tokio::task::yield_now().await;
    advance(HANDSHAKE * 2).await;
    client.write_all(b"re").await.unwrap();
    answer(&mut client).await;
    call(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn http2_waits_longer_for_its_first_request() {
    let mut client = connect();
    // In two parts: the first could begin a request to publish something.
    client.write_all(b"P").await.unwrap();
    tokio::task::yield_now().await;
    client
        .write_all(b"RI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let open = tokio::time::timeout(HANDSHAKE * 3, closes(&mut client)).await;
    assert!(open.is_err(), "{open:?}");
}
