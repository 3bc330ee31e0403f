//! A page on the admin server that shows fleets, game servers and matches live, for who has the
//! admin address. It changes nothing.
//!
//! Queues are the lobby's: the page asks its admin server itself, by the address that operators give.

mod snapshot;

use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse as _;
use axum::routing::get;
use runtime::admin::live::{Tell, live};

use crate::console::snapshot::Snapshot;
use crate::world::World;

const PAGE: &str = include_str!("console/page.html");

/// What the page has in place of the lobby's address.
const PLACE: &str = "LOBBY_URL";

/// The page and what it follows.
pub(crate) fn routes(world: &Arc<World>) -> Router {
    let lobby = world.config.console_lobby.clone().unwrap_or_default();
    let page = page(&lobby);
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
         connect-src 'self' {lobby}"
    );
    let page = move || async move {
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
            (CONTENT_SECURITY_POLICY, policy),
            (CACHE_CONTROL, "no-cache".to_owned()),
        ];
        (headers, page).into_response()
    };
    let world = Arc::clone(world);
    let tell: Tell = Arc::new(move || {
        let world = Arc::clone(&world);
        Box::pin(async move { snapshot(&world) })
    });
    Router::new()
        .route("/console", get(page))
        .merge(live("/console/events", tell, None))
}

fn snapshot(world: &World) -> String {
    let (fleets, servers) = (world.fleets.all(), world.servers.all());
    let snapshot = Snapshot::new(&fleets, &servers);
    serde_json::to_string(&snapshot).unwrap_or_else(|error| {
        tracing::error!(%error, "The console has no snapshot");
        String::new()
    })
}

/// The page with the lobby's address, which validation has seen to be a URL without quotes.
fn page(lobby: &str) -> String {
    PAGE.replace(PLACE, &lobby.replace('&', "&amp;"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_knows_the_lobby_and_nobody_without_one() {
        assert!(page("http://localhost:16452").contains("data-lobby=\"http://localhost:16452\""));
        assert!(page("").contains("data-lobby=\"\""));
        assert!(!page("").contains(PLACE));
    }
}
