//! The end of a player's way: an allocation with players, and a match that they play.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use bots::allocation::{self, Allocation, Order};
use bots::command;
use bots::metrics::Sample;
use bots::profile::{self, Profile};
use bots::report::{Report, markdown};
use bots::tickets::Tickets;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;

use crate::account::detail;
use crate::metrics;

/// How long the bots play.
const LENGTH: Duration = Duration::from_secs(10);

/// What is played, and by whom.
pub(crate) struct Game<'a> {
    pub(crate) allocator: SocketAddr,
    pub(crate) namespace: &'a str,
    pub(crate) fleet: &'a str,
    pub(crate) pods: Api<Pod>,
    pub(crate) bots: u16,
    /// Whether the person at this terminal plays too.
    pub(crate) person: bool,
}

/// Allocates a server for the players, lets them play, and returns what they saw.
pub(crate) async fn play(game: &Game<'_>) -> Result<String> {
    let profile = profile::named("clean").context("there is no profile clean")?;
    let order = Order {
        url: format!("http://{}", game.allocator),
        namespace: game.namespace.to_owned(),
        fleet: Some(game.fleet.to_owned()),
    };
    let (bots, person) = (game.bots, game.person);
    let players = usize::from(bots) + usize::from(person);
    let allocation =
        tokio::task::spawn_blocking(move || allocation::allocate(&order, players)).await??;
    let server = &allocation.game_server;
    detail(&format!("{server}, {players} connect tokens"));
    let metrics = match metrics::find(&game.pods, server).await {
        Ok(address) => Some(address),
        Err(error) => {
            detail(&format!(
                "its metrics are out of reach of this host: {error:#}"
            ));
            None
        }
    };
    // Bots own their thread: they keep time.
    tokio::task::spawn_blocking(move || run(allocation, profile, bots, person, metrics)).await?
}

fn run(
    allocation: Allocation,
    profile: &Profile,
    bots: u16,
    person: bool,
    metrics: Option<SocketAddr>,
) -> Result<String> {
    let mut tokens = allocation.tokens;
    let own = person.then(|| tokens.pop()).flatten();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut swarm = command::enter(&mut Tickets::Given(tokens), profile, bots, seed)?;
    detail(&format!("{bots} bots are in the match"));
    let sample = || metrics.map(Sample::fetch).transpose();
    let before = sample()?;
    if let Some(token) = own {
        let played = std::thread::spawn(move || bots::play::run_with(&token, "you"));
        swarm.run(Duration::from_mins(10), |_| played.is_finished())?;
        played
            .join()
            .map_err(|_| anyhow::anyhow!("the terminal client failed"))??;
    } else {
        swarm.run(LENGTH, |_| false)?;
    }
    let server = before
        .zip(sample()?)
        .map(|(before, after)| after.since(&before));
    let report = Report::new(profile, &swarm.records(profile.name), server);
    swarm.leave()?;
    let text = markdown(std::slice::from_ref(&report));
    // On a busy machine bots are late, and what they break then says nothing about the server.
    ensure!(
        report.broken.is_empty(),
        "the match broke rules of its network:\n{text}"
    );
    Ok(text)
}
