//! A lobby without an allocator: players meet and talk, and no match gets a server.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{Allocated, Change, Error, Player, Servers, Token, Wanted};
use crate::ids::MatchId;

/// No allocator.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoServers;

#[async_trait]
impl Servers for NoServers {
    async fn allocate(&self, _: &Wanted) -> Result<Allocated, Error> {
        Err(Error::NoServer)
    }

    async fn mint(&self, _: &str, _: MatchId, _: &[Player]) -> Result<Vec<Token>, Error> {
        Err(Error::Unknown)
    }

    async fn release(&self, _: &str, _: MatchId) -> Result<(), Error> {
        Ok(())
    }

    async fn watch(&self, _: &str) -> Result<BoxStream<'static, Result<Change, Error>>, Error> {
        Err(Error::Unavailable("there is no allocator".to_owned()))
    }

    fn token_lifetime(&self) -> Duration {
        Duration::ZERO
    }
}
