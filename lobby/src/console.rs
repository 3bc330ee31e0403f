//! How queues are, live, for the page that the operator serves: whatever lobby is asked, it knows of
//! all queues, because their owners write it down.

use std::sync::{Arc, OnceLock};

use axum::Router;
use jiff::{SignedDuration, Timestamp};
use runtime::admin::live::{Tell, live};
use serde::Serialize;

use crate::documents;
use crate::live::Key;
use crate::service::Service;
use crate::service::queues::Waits;

/// Owners write each second: what is older is nobody's word any more.
const FRESH: SignedDuration = SignedDuration::from_secs(10);

/// What the page shows.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Snapshot {
    queues: Vec<QueueRow>,
}

#[derive(Debug, PartialEq, Serialize)]
struct QueueRow {
    name: String,
    tickets: usize,
    players: usize,
    pending: usize,
    longest_seconds: i64,
    /// What a player alone may expect.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate_seconds: Option<u64>,
}

/// Served from the start on; there is nothing to tell until the service is there. `page` is the origin
/// of the page that may read it.
pub fn routes(service: Arc<OnceLock<Service>>, page: Option<&str>) -> Router {
    let tell: Tell = Arc::new(move || {
        let service = Arc::clone(&service);
        Box::pin(async move {
            let snapshot = match service.get() {
                Some(service) => snapshot(service, runtime::clock::now()).await,
                None => Snapshot::default(),
            };
            serde_json::to_string(&snapshot).unwrap_or_else(|error| {
                tracing::error!(%error, "The console has no snapshot");
                String::new()
            })
        })
    });
    live("/console/events", tell, page)
}

async fn snapshot(service: &Service, now: Timestamp) -> Snapshot {
    let parts = service.parts();
    let mut queues = Vec::with_capacity(parts.queues.len());
    for name in parts.queues.keys() {
        let key = Key::Queue(name.clone());
        let waits = documents::read::<Waits>(&*parts.live, &key).await;
        let waits = waits.ok().and_then(|(waits, _)| waits);
        // Without an owner, or while the live state is away, nobody is known to wait.
        let waits = waits.filter(|waits| waits.at.is_some_and(|at| now.duration_since(at) < FRESH));
        let waits = waits.unwrap_or_default();
        queues.push(row(name, &waits, now));
    }
    Snapshot { queues }
}

fn row(name: &str, waits: &Waits, now: Timestamp) -> QueueRow {
    let longest = waits.oldest.map(|oldest| now.duration_since(oldest));
    QueueRow {
        name: name.to_owned(),
        tickets: waits.tickets,
        players: waits.players,
        pending: waits.pending,
        longest_seconds: longest.map_or(0, |waited| waited.as_secs().max(0)),
        estimate_seconds: waits.estimates.of(1).map(|estimate| estimate.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::matchmaking::estimate::Estimates;

    #[test]
    fn a_row_counts_from_the_oldest_ticket() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let empty = row("duel", &Waits::default(), now);
        assert_eq!((empty.longest_seconds, empty.estimate_seconds), (0, None));
        let mut estimates = Estimates::default();
        estimates.observe(1, Duration::from_secs(9));
        let waits = Waits {
            tickets: 2,
            players: 3,
            oldest: Timestamp::from_second(1_699_999_990).ok(),
            pending: 1,
            at: Some(now),
            estimates,
        };
        let row = row("duel", &waits, now);
        assert_eq!((row.longest_seconds, row.estimate_seconds), (10, Some(9)));
        assert_eq!((row.tickets, row.players, row.pending), (2, 3, 1));
    }
}
