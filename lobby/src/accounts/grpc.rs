//! Auth over gRPC: `muster.auth.v1`.

use std::time::Duration;

use async_trait::async_trait;
use proto::muster::auth::v1 as wire;
use tonic::{Code, Status};
use wire::auth_client::AuthClient;

use super::{Accounts, Error, Playing};
use crate::ids::{PlayerId, SessionId};
use crate::upstream::Route;

/// The service, by its name in traces.
const SERVICE: &str = "muster.auth.v1.Auth";

/// Time for one call. Players wait for their tokens that long at most when auth hangs.
const LIMIT: Duration = Duration::from_secs(2);

/// Calls auth.
#[derive(Clone, Debug)]
pub struct Auth {
    route: Route,
}

impl Auth {
    /// Calls it by this route, as a service of ours.
    pub const fn new(route: Route) -> Self {
        Self { route }
    }
}

#[async_trait]
impl Accounts for Auth {
    async fn assign(
        &self,
        player: PlayerId,
        session: SessionId,
        game_server: &str,
    ) -> Result<(), Error> {
        let request = wire::AssignServerRequest {
            player_id: player.to_string(),
            session_id: session.to_string(),
            game_server: game_server.to_owned(),
        };
        let _: wire::AssignServerResponse = self
            .route
            .call(
                (SERVICE, "AssignServer"),
                LIMIT,
                request,
                async |channel, request| AuthClient::new(channel).assign_server(request).await,
            )
            .await
            .map_err(|status| refusal(&status))?;
        Ok(())
    }

    async fn reconnection_token(
        &self,
        player: PlayerId,
        session: SessionId,
        game_server: &str,
    ) -> Result<String, Error> {
        let request = wire::IssueReconnectionRequest {
            player_id: player.to_string(),
            session_id: session.to_string(),
            game_server: game_server.to_owned(),
        };
        let answer: wire::IssueReconnectionResponse = self
            .route
            .call(
                (SERVICE, "IssueReconnection"),
                LIMIT,
                request,
                async |channel, request| AuthClient::new(channel).issue_reconnection(request).await,
            )
            .await
            .map_err(|status| refusal(&status))?;
        Ok(answer.reconnection_token)
    }

    async fn reconnect(&self, reconnection_token: &str) -> Result<Playing, Error> {
        let request = wire::ReconnectRequest {
            reconnection_token: reconnection_token.to_owned(),
        };
        let answer: wire::ReconnectResponse = self
            .route
            .call(
                (SERVICE, "Reconnect"),
                LIMIT,
                request,
                async |channel, request| AuthClient::new(channel).reconnect(request).await,
            )
            .await
            .map_err(|status| refusal(&status))?;
        let strange = |_| Error::Unavailable("it answered with a malformed id".to_owned());
        Ok(Playing {
            player: answer.player_id.parse().map_err(strange)?,
            session: answer.session_id.parse().map_err(strange)?,
            game_server: answer.game_server,
        })
    }
}

/// What a status of auth means for whoever asked.
fn refusal(status: &Status) -> Error {
    let message = status.message().to_owned();
    match status.code() {
        // There is no such session, the token is not good, or the address is none.
        Code::NotFound
        | Code::Unauthenticated
        | Code::InvalidArgument
        | Code::OutOfRange
        | Code::FailedPrecondition => Error::Refused(message),
        // That auth does not know the lobby too: an operator mends it.
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Error::Unavailable(format!("{}: {message}", status.code())),
    }
}

#[cfg(test)]
mod tests;
