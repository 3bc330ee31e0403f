//! The end of a player's way: an allocation with players, and a match that they play.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use bots::allocation::{self, Order};
use bots::command;
use bots::profile::{self, Profile};
use bots::report::{Report, markdown};
use bots::tickets::Tickets;

use crate::account::detail;

/// How long the bots play.
const LENGTH: Duration = Duration::from_secs(10);

/// What is played, and by whom.
pub(crate) struct Game<'a> {
    pub(crate) allocator: SocketAddr,
    pub(crate) namespace: &'a str,
    pub(crate) fleet: &'a str,
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
    let bots = game.bots;
    let person = game.person;
    // Bots own their thread: they keep time.
    tokio::task::spawn_blocking(move || run(&order, profile, bots, person)).await?
}

fn run(order: &Order, profile: &Profile, bots: u16, person: bool) -> Result<String> {
    let mut tokens = allocation::allocate(order, usize::from(bots) + usize::from(person))?;
    detail(&format!("{} connect tokens", tokens.len()));
    let own = person.then(|| tokens.pop()).flatten();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut swarm = command::enter(&mut Tickets::Given(tokens), profile, bots, seed)?;
    detail(&format!("{bots} bots are in the match"));
    if let Some(token) = own {
        let played = std::thread::spawn(move || bots::play::run_with(&token, "you"));
        swarm.run(Duration::from_mins(10), |_| played.is_finished())?;
        played
            .join()
            .map_err(|_| anyhow::anyhow!("the terminal client failed"))??;
    } else {
        swarm.run(LENGTH, |_| false)?;
    }
    let report = Report::new(profile, &swarm.records(profile.name), None);
    swarm.leave()?;
    let text = markdown(std::slice::from_ref(&report));
    ensure!(
        report.playing == usize::from(bots),
        "only {} of {bots} bots were in the match at the end:\n{text}",
        report.playing
    );
    Ok(text)
}
