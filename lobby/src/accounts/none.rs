//! A lobby without auth: nobody is told where players play, and they come back by their login alone.

use async_trait::async_trait;

use super::{Accounts, Error, Playing};
use crate::ids::{PlayerId, SessionId};

/// No auth.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAccounts;

#[async_trait]
impl Accounts for NoAccounts {
    async fn assign(&self, _: PlayerId, _: SessionId, _: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn reconnection_token(
        &self,
        _: PlayerId,
        _: SessionId,
        _: &str,
    ) -> Result<String, Error> {
        Ok(String::new())
    }

    async fn reconnect(&self, _: &str) -> Result<Playing, Error> {
        Err(Error::Refused("there are no accounts".to_owned()))
    }
}
