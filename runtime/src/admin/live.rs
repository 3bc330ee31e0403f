//! A state that a page shows live: server-sent events, each the whole state as JSON.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use futures::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Time between two looks at the state.
const LOOK: Duration = Duration::from_secs(1);

/// Readers at once; more are sent away.
const READERS: usize = 16;

/// Tells the state of now, as JSON.
pub type Tell = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

#[derive(Clone)]
struct Source {
    tell: Tell,
    page: Option<HeaderValue>,
    readers: Arc<Semaphore>,
}

/// One reader, and what it knows.
struct Reader {
    tell: Tell,
    looks: Interval,
    known: String,
    _place: OwnedSemaphorePermit,
}

/// Serves the state at `path`: at once as it is, and then whenever it has changed. Pages of the
/// origin `page` may read it beside its own.
pub fn live(path: &str, tell: Tell, page: Option<&str>) -> Router {
    let source = Source {
        tell,
        page: page.and_then(|page| HeaderValue::from_str(page).ok()),
        readers: Arc::new(Semaphore::new(READERS)),
    };
    Router::new().route(path, get(follow)).with_state(source)
}

async fn follow(State(source): State<Source>) -> Response {
    let Ok(place) = source.readers.try_acquire_owned() else {
        let message = "there are as many readers as may be\n";
        return (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    };
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reader = Reader {
        tell: source.tell,
        looks,
        known: String::new(),
        _place: place,
    };
    let events = stream::unfold(reader, |mut reader| async {
        loop {
            reader.looks.tick().await;
            let state = (reader.tell)().await;
            if state != reader.known {
                reader.known.clone_from(&state);
                return Some((Ok::<_, Infallible>(Event::default().data(state)), reader));
            }
        }
    });
    let mut answer = Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response();
    if let Some(page) = source.page {
        let headers = answer.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, page);
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::{Body, HttpBody as _};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn open(router: &Router) -> Response {
        let request = Request::get("/events").body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    }

    async fn event(body: &mut Body) -> String {
        let frame =
            std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_frame(context));
        let frame = frame.await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn only_changes_are_told_after_the_first_look() {
        let looks = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&looks);
        let tell: Tell = Arc::new(move || {
            // The second look finds what the first one found.
            let state = count.fetch_add(1, Ordering::Relaxed).max(1);
            Box::pin(async move { format!("{{\"state\":{state}}}") })
        });
        let router = live("/events", tell, Some("http://localhost:1"));
        let answer = open(&router).await;
        assert_eq!(
            answer.headers()["access-control-allow-origin"],
            "http://localhost:1"
        );
        let mut body = answer.into_body();
        assert_eq!(event(&mut body).await, "data: {\"state\":1}\n\n");
        assert_eq!(event(&mut body).await, "data: {\"state\":2}\n\n");
        assert_eq!(looks.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn readers_are_bounded_and_leave_their_place() {
        let tell: Tell = Arc::new(|| Box::pin(async { String::new() }));
        let router = live("/events", tell, None);
        let mut readers = Vec::new();
        for _ in 0..READERS {
            readers.push(open(&router).await);
        }
        assert_eq!(
            open(&router).await.status(),
            StatusCode::SERVICE_UNAVAILABLE
        );
        readers.pop();
        assert_eq!(open(&router).await.status(), StatusCode::OK);
    }
}
