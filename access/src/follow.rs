//! Keeps a [`Verifier`] current: follows auth's stream of keys and revocations.
//!
//! When auth is away the verifier goes on with what it has, and [`Status`] says for how long. A
//! stream begins with everything that is true then, so that a new one heals whatever was missed.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proto::muster::auth::v1 as wire;
use runtime::backoff::Backoff;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::metadata::AsciiMetadataValue;
use tonic::metadata::errors::InvalidMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tracing::Instrument as _;
use wire::auth_client::AuthClient;
use wire::watch_response::Event;

use crate::keys::{self, KeySet};
use crate::revocations::Revocation;
use crate::verify::Verifier;
use crate::{PlayerId, SessionId};

/// The longest message of the stream.
const MAX_MESSAGE: usize = 1024 * 1024;

/// How many changes of players are kept for a slow listener.
const CHANGES: usize = 1024;

/// Time limits of a follower.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long auth may take to begin the stream.
    pub open: Duration,
    /// How long auth may take from then on until it has said everything.
    pub sync: Duration,
    /// How long to wait before the next attempt.
    pub backoff: Backoff,
    /// An unknown key opens a new stream, at most this often.
    pub refetch: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            open: Duration::from_secs(5),
            sync: Duration::from_secs(30),
            backoff: Backoff {
                base: Duration::from_millis(100),
                cap: Duration::from_secs(5),
            },
            refetch: Duration::from_secs(10),
        }
    }
}

/// How current the verifier is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The stream is open and has said everything.
    pub is_synced: bool,
    /// When the verifier last was current, as far as is known; none before the first time.
    pub current: Option<Timestamp>,
    /// How many streams have ended.
    pub ended: u64,
    /// How many messages were left out because they made no sense.
    pub malformed: u64,
}

impl Status {
    /// For how long the verifier has not been current; none if it never was.
    pub fn staleness(&self, now: Timestamp) -> Option<SignedDuration> {
        let current = self.current?;
        if self.is_synced {
            return Some(SignedDuration::ZERO);
        }
        Some(now.duration_since(current).max(SignedDuration::ZERO))
    }
}

/// Rights or data of a player changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayerChange {
    /// Who.
    pub player: PlayerId,
    /// What else is known of the player, as JSON.
    pub data: String,
    /// What the player may do.
    pub roles: Vec<String>,
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// Auth does not answer, or refuses.
    #[error("auth refused the stream")]
    Call(#[from] tonic::Status),
    /// Auth did not answer in time.
    #[error("auth did not answer in time")]
    Late,
    /// Auth closed it.
    #[error("auth closed the stream")]
    Closed,
    /// There may be keys that it has not told of.
    #[error("a token names an unknown key")]
    UnknownKey,
}

/// A message that makes no sense.
#[derive(Debug, thiserror::Error)]
enum Malformed {
    #[error("the message says nothing")]
    Empty,
    #[error("the message names no player or session")]
    Id(#[from] uuid::Error),
    #[error("the message has no time")]
    Time,
    #[error("the message has bad keys")]
    Keys(#[from] keys::Error),
}

/// An address of auth, with time limits under which a dead connection is noticed.
pub fn endpoint(address: impl Into<String>) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(address.into())?
        .connect_timeout(Duration::from_secs(3))
        .http2_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true))
}

/// Follows auth for one verifier.
#[derive(Debug)]
pub struct Follower {
    client: AuthClient<Channel>,
    verifier: Arc<Verifier>,
    settings: Settings,
    /// What it shows auth; never in a log.
    authorization: Option<AsciiMetadataValue>,
    status: watch::Sender<Status>,
    changes: broadcast::Sender<Arc<PlayerChange>>,
}

impl Follower {
    /// Follows through a channel that connects by itself ([`Endpoint::connect_lazy`]).
    pub fn new(channel: Channel, verifier: Arc<Verifier>, settings: Settings) -> Self {
        Self {
            client: AuthClient::new(channel).max_decoding_message_size(MAX_MESSAGE),
            verifier,
            settings,
            authorization: None,
            status: watch::Sender::default(),
            changes: broadcast::Sender::new(CHANGES),
        }
    }

    /// Shows auth the token of a service, where it does not know services by certificates. Fails
    /// for a token that no header can hold.
    pub fn with_token(mut self, token: &str) -> Result<Self, InvalidMetadataValue> {
        let mut value: AsciiMetadataValue = format!("Bearer {token}").parse()?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }

    /// How current the verifier is, now and from now on.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Changes of players from now on. Whoever is too slow misses the oldest, and is told.
    pub fn changes(&self) -> broadcast::Receiver<Arc<PlayerChange>> {
        self.changes.subscribe()
    }

    /// Where [`Self::changes`] come from, for who subscribes while the follower runs.
    pub fn change_source(&self) -> broadcast::Sender<Arc<PlayerChange>> {
        self.changes.clone()
    }

    /// Follows until it is told to stop.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow()).await;
    }

    /// Opens one stream after another.
    async fn follow(&self) {
        let mut attempt = 0;
        loop {
            let ended = self.stream().await;
            let was_synced = self.note_end();
            if was_synced {
                attempt = 0;
            }
            if matches!(ended, Ended::UnknownKey) {
                tracing::debug!("A token names an unknown key; asking auth for its keys");
                continue;
            }
            let delay = self.settings.backoff.delay(attempt, share());
            attempt = attempt.saturating_add(1);
            let error = runtime::service::chain(&ended);
            tracing::warn!(error, ?delay, "Auth is away; going on with known keys");
            tokio::time::sleep(delay).await;
        }
    }

    /// Notes that a stream has ended; whether it had said everything.
    fn note_end(&self) -> bool {
        let mut was_synced = false;
        self.status.send_modify(|status| {
            was_synced = status.is_synced;
            status.is_synced = false;
            status.ended += 1;
            if was_synced {
                status.current = Some(runtime::clock::now());
            }
        });
        was_synced
    }

    /// Follows one stream to its end.
    async fn stream(&self) -> Ended {
        let opened = Instant::now();
        let mut request = tonic::Request::new(wire::WatchRequest {});
        let span = runtime::trace::client("muster.auth.v1.Auth", "Watch");
        span.in_scope(|| runtime::trace::inject(request.metadata_mut().as_mut()));
        if let Some(value) = &self.authorization {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        let call = async { self.client.clone().watch(request).await };
        let opened_in_time = tokio::time::timeout(self.settings.open, call);
        let mut stream = match opened_in_time.instrument(span).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return status.into(),
            Err(_) => return Ended::Late,
        };
        let unknown_key = async {
            tokio::time::sleep_until(opened + self.settings.refetch).await;
            self.verifier.unknown_key().await;
        };
        let late = tokio::time::sleep_until(opened + self.settings.sync);
        tokio::pin!(unknown_key, late);
        loop {
            let message = tokio::select! {
                message = stream.message() => message,
                () = &mut late, if !self.status.borrow().is_synced => return Ended::Late,
                () = &mut unknown_key => return Ended::UnknownKey,
            };
            match message {
                Ok(Some(message)) => self.note(message.event),
                Ok(None) => return Ended::Closed,
                Err(status) => return status.into(),
            }
        }
    }

    /// Takes in one message. One that makes no sense is left out: the rest still helps.
    fn note(&self, event: Option<Event>) {
        if let Err(error) = self.take(event) {
            tracing::error!(%error, "Auth sent what makes no sense");
            self.status.send_modify(|status| status.malformed += 1);
        }
    }

    fn take(&self, event: Option<Event>) -> Result<(), Malformed> {
        match event.ok_or(Malformed::Empty)? {
            Event::Keys(document) => self.verifier.set_keys(KeySet::from_jwks(&document)?),
            Event::Revocation(revocation) => self
                .verifier
                .revoke(runtime::clock::now(), read_revocation(&revocation)?),
            Event::PlayerChanged(change) => {
                let change = PlayerChange {
                    player: change.player_id.parse()?,
                    data: change.player_data,
                    roles: change.roles,
                };
                // Nobody needs to listen.
                self.changes.send(Arc::new(change)).ok();
            }
            Event::Synced(_) => self.status.send_modify(|status| {
                status.is_synced = true;
                status.current = Some(runtime::clock::now());
            }),
        }
        Ok(())
    }
}

/// Reads a revocation.
fn read_revocation(revocation: &wire::Revocation) -> Result<Revocation, Malformed> {
    let at = revocation.at.as_ref().ok_or(Malformed::Time)?;
    let session = match revocation.session_id.as_str() {
        "" => None,
        session => Some(session.parse::<SessionId>()?),
    };
    Ok(Revocation {
        player: revocation.player_id.parse()?,
        session,
        at: Timestamp::new(at.seconds, at.nanos).map_err(|_| Malformed::Time)?,
    })
}

/// A random share for the backoff, so that services do not come back in step.
fn share() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness the delay is the shortest of its attempt.
    aws_lc_rs::rand::fill(&mut bytes).ok();
    f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests;
