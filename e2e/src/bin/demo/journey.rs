//! The whole way of players, with auth and the lobby.

use std::time::Duration;

use anyhow::Result;
use bots::journey::{self, Config};
use url::Url;

use crate::account::detail;

/// The queue of examples/lobby.json whose servers are those of examples/skirmish.yaml.
const QUEUE: &str = "skirmish";

/// Players of a party.
const PARTY: usize = 2;

/// How long players wait for a match.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where the services are that players talk to.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    pub(crate) auth: Url,
    pub(crate) lobby: Url,
}

/// Lets players travel, and returns how long each step took, as a table.
pub(crate) async fn travel(services: &Services, players: u16) -> Result<String> {
    detail(&format!(
        "{players} players in parties of {PARTY}; one loses its network, and one its program"
    ));
    let config = Config {
        auth: services.auth.clone(),
        lobby: services.lobby.clone(),
        queue: QUEUE.to_owned(),
        players: players.into(),
        party: PARTY,
        patience: PATIENCE,
    };
    Ok(journey::run(&config).await?.markdown())
}
