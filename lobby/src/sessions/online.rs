//! The document that says which lobby has a player's session: [`Key::Player`].
//!
//! Whoever begins a session writes it and learns which one it replaces. So of two sessions that
//! begin at once exactly one remains, whichever lobbies they are at.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use proto::muster::lobby::v1::presence::Status;

use crate::ids::PlayerId;
use crate::live::{self, Key, Live, Written};

/// For how long it is kept without a heartbeat of the lobby: after a lobby died, the player counts
/// as gone.
pub const KEEP: Duration = Duration::from_mins(1);

/// Attempts to write it against others who do.
const ATTEMPTS: usize = 8;

/// Where a player is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Online {
    /// The lobby.
    pub replica: Uuid,
    /// The session there.
    pub session: Uuid,
    /// `Presence.Status` on the wire.
    pub status: i32,
}

impl Online {
    /// A session that has just begun.
    pub fn new(replica: Uuid, session: Uuid) -> Self {
        Self {
            replica,
            session,
            status: Status::Online.into(),
        }
    }

    /// Reads the document; none when a lobby of another version wrote something else.
    pub fn read(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok()
    }

    /// Writes the document.
    pub fn write(&self) -> Vec<u8> {
        // Ids and numbers are always written.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What became of a session's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It has it.
    Kept,
    /// A newer session has it.
    Lost,
}

/// Takes the place of whichever session the player has, and says which that was.
pub async fn claim(
    live: &dyn Live,
    player: PlayerId,
    online: &Online,
) -> Result<Option<Uuid>, live::Error> {
    let key = Key::Player(player);
    for _ in 0..ATTEMPTS {
        let known = live.read(&key).await?;
        let version = known.as_ref().map_or(0, |document| document.version);
        let former = known.and_then(|document| Online::read(&document.value));
        let written = live.write(&key, version, &online.write(), KEEP).await?;
        if matches!(written, Written::Version(_)) {
            let former = former.map(|former| former.session);
            return Ok(former.filter(|former| *former != online.session));
        }
    }
    Err(live::Error(
        "too many sessions of one player begin at once".to_owned(),
    ))
}

/// Keeps the place, or takes it again when the document is gone.
pub async fn keep(
    live: &dyn Live,
    player: PlayerId,
    online: &Online,
) -> Result<Place, live::Error> {
    let key = Key::Player(player);
    let Some(document) = live.read(&key).await? else {
        // Where somebody was faster, the next heartbeat sees who.
        live.write(&key, 0, &online.write(), KEEP).await?;
        return Ok(Place::Kept);
    };
    if Online::read(&document.value).is_some_and(|other| other.session != online.session) {
        return Ok(Place::Lost);
    }
    live.touch(&[key], KEEP).await?;
    Ok(Place::Kept)
}

/// Gives the place up. False when a newer session has it.
pub async fn leave(live: &dyn Live, player: PlayerId, session: Uuid) -> Result<bool, live::Error> {
    let key = Key::Player(player);
    for _ in 0..ATTEMPTS {
        let Some(document) = live.read(&key).await? else {
            return Ok(true);
        };
        if Online::read(&document.value).is_some_and(|other| other.session != session) {
            return Ok(false);
        }
        if live.remove(&key, document.version).await? {
            return Ok(true);
        }
    }
    // It passes by itself.
    Ok(true)
}
