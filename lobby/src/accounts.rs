//! What the lobby tells and asks auth beside tokens, which it checks by itself.

pub mod grpc;
pub mod none;

use std::fmt;

use async_trait::async_trait;

use crate::ids::{PlayerId, SessionId};

/// Auth failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such session, or the token is not good.
    #[error("auth refuses: {0}")]
    Refused(String),
    /// Auth does not answer.
    #[error("auth does not answer: {0}")]
    Unavailable(String),
}

/// A session that plays somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playing {
    /// Who.
    pub player: PlayerId,
    /// In which session.
    pub session: SessionId,
    /// Where: "203.0.113.7:7012".
    pub game_server: String,
}

/// Auth.
#[async_trait]
pub trait Accounts: fmt::Debug + Send + Sync {
    /// Notes where the player of a session plays; nowhere when `game_server` is empty.
    async fn assign(
        &self,
        player: PlayerId,
        session: SessionId,
        game_server: &str,
    ) -> Result<(), Error>;

    /// A token of 30 seconds by which the player comes back to the game server. It is a secret.
    async fn reconnection_token(
        &self,
        player: PlayerId,
        session: SessionId,
        game_server: &str,
    ) -> Result<String, Error>;

    /// The session behind a reconnection token, once.
    async fn reconnect(&self, reconnection_token: &str) -> Result<Playing, Error>;

    /// Tells auth that a player was lost: the session plays nowhere any more.
    async fn disconnected(&self, player: PlayerId, session: SessionId) -> Result<(), Error> {
        self.assign(player, session, "").await
    }
}
