//! Hands what comes over channels to the sessions that hear them.

use std::sync::Arc;

use futures::StreamExt as _;
use prost::Message as _;
use proto::muster::lobby::v1 as wire;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::notice::Notice;
use super::{End, Session, Sessions};
use crate::live::{Channel, Delivery};
use crate::service::Service;

/// How many players' states are read at once when news were missed.
const AT_ONCE: usize = 16;

impl Sessions {
    /// Takes in what came over a channel.
    pub fn deliver(&self, channel: &Channel, bytes: &[u8]) {
        match Notice::decode(bytes) {
            Ok(Notice::Event(event)) => {
                let size = bytes.len();
                let event = Arc::new(event);
                for session in self.listeners(channel) {
                    session.push(Arc::clone(&event), size);
                }
            }
            Ok(Notice::Superseded { session }) => {
                for listener in self.listeners(channel) {
                    if listener.id() == session {
                        listener.end(End::Replaced);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, %channel, "Another lobby sent what nobody reads"),
        }
    }
}

/// Delivers until `stop`.
pub async fn run(service: Service, stop: CancellationToken) {
    let mut deliveries = service.parts().live.deliveries();
    let (missed, mut catch_up) = tokio::sync::watch::channel(());
    let deliver = async {
        loop {
            match deliveries.recv().await {
                Ok(Delivery::Message { channel, bytes }) => {
                    service.parts().sessions.deliver(&channel, &bytes);
                }
                Ok(Delivery::Missed) | Err(RecvError::Lagged(_)) => {
                    tracing::warn!("News were missed; sessions get the state as it is");
                    missed.send_replace(());
                }
                Err(RecvError::Closed) => return,
            }
        }
    };
    // Beside deliveries, which go on meanwhile; what is missed during one round makes another.
    let tell_states = async {
        while catch_up.changed().await.is_ok() {
            let sessions = service.parts().sessions.all();
            futures::stream::iter(sessions)
                .for_each_concurrent(AT_ONCE, |session| tell_state(&service, session))
                .await;
        }
    };
    let both = async { tokio::join!(deliver, tell_states) };
    stop.run_until_cancelled(both).await;
}

/// Sends a session the state as it is.
async fn tell_state(service: &Service, session: Arc<Session>) {
    match service.state(session.caller().player).await {
        Ok(state) => {
            service.presence_state(session.caller().player, &state);
            let event = wire::Event {
                event: Some(wire::event::Event::State(state)),
            };
            let bytes = event.encoded_len();
            session.push(Arc::new(event), bytes);
        }
        Err(failure) => tracing::warn!(%failure, "A player could not be told the state"),
    }
}
