//! Heartbeats of this lobby for its sessions: their documents are kept, and those that are over are
//! ended even when nobody could tell so.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::online::{self, Online, Place};
use super::{End, Session};
use crate::live::Key;
use crate::service::Service;
use crate::service::profile::PROFILE_KEEP;

/// Between two heartbeats: two may fail before a document passes.
const PERIOD: Duration = Duration::from_secs(15);

/// How many documents are read at once.
const AT_ONCE: usize = 32;

/// Keeps sessions until `stop`.
pub async fn run(service: Service, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let round = round(&service);
        if stop.run_until_cancelled(round).await.is_none() {
            return;
        }
    }
}

/// Looks at every session once.
pub async fn round(service: &Service) {
    let sessions = service.parts().sessions.all();
    futures::stream::iter(sessions)
        .for_each_concurrent(AT_ONCE, |session| keep(service, session))
        .await;
}

async fn keep(service: &Service, session: Arc<Session>) {
    let parts = service.parts();
    let caller = session.caller();
    if parts
        .verifier
        .has_ended(caller.player, caller.session, session.began())
    {
        session.end(End::Revoked);
        return;
    }
    let online = Online::new(parts.replica, session.id());
    match online::keep(parts.live.as_ref(), caller.player, &online).await {
        Ok(Place::Kept) => {
            let profile = [Key::Profile(caller.player)];
            if let Err(error) = parts.live.touch(&profile, PROFILE_KEEP).await {
                tracing::warn!(%error, "A player's profile could not be kept");
            }
        }
        Ok(Place::Lost) => session.end(End::Replaced),
        Err(error) => tracing::warn!(%error, "A player's place could not be kept"),
    }
}
