//! What `bots run` does: one profile after another, and a report at the end.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::session::Way;
use simulation::seeded::Random;

use crate::allocation::Order;
use crate::args::{RunArgs, TicketArgs};
use crate::bot::Bot;
use crate::flood::{Flood, Flooded};
use crate::metrics::Sample;
use crate::profile::{FLOOD, Profile, every, named};
use crate::report::{Report, ServerReport, markdown};
use crate::swarm::Swarm;
use crate::tickets::{Mint, Tickets};
use crate::{flood, journey, tickets};

/// Time that bots have to get into the match.
const JOIN: Duration = Duration::from_secs(15);

/// Why nothing was reported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No profile has this name.
    #[error("there is no profile {0:?}; there are: {1}")]
    Profile(String, String),
    /// An argument cannot be used.
    #[error("{0}")]
    Argument(&'static str),
    /// There are no tokens.
    #[error(transparent)]
    Tickets(#[from] tickets::Error),
    /// A player got stuck.
    #[error(transparent)]
    Journey(#[from] journey::Error),
    /// A bot could not be made.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The flood was not let loose.
    #[error(transparent)]
    Flood(#[from] flood::Refused),
    /// The server's metrics could not be read.
    #[error("the metrics of the server could not be read from {0}")]
    Metrics(SocketAddr, #[source] std::io::Error),
    /// Sockets or files failed.
    #[error("input or output failed")]
    Io(#[from] std::io::Error),
    /// The report could not be written.
    #[error("the report could not be written")]
    Json(#[from] serde_json::Error),
}

/// Runs the profiles, prints the table, and answers whether every rule was kept.
pub fn run(args: &RunArgs) -> Result<bool, Error> {
    let profiles = choose(&args.profiles)?;
    let mut tickets = tickets(&args.tickets)?;
    let mut reports = Vec::new();
    for profile in profiles {
        let report = run_profile(args, &mut tickets, &profile)?;
        let verdict = if report.passes() { "pass" } else { "FAIL" };
        writeln!(std::io::stderr(), "{}: {verdict}", profile.name)?;
        reports.push(report);
    }
    if let Some(path) = &args.json {
        let mut text = serde_json::to_vec_pretty(&reports)?;
        text.push(b'\n');
        std::fs::write(path, text)?;
    }
    write!(std::io::stdout(), "{}", markdown(&reports))?;
    Ok(reports.iter().all(Report::passes))
}

fn choose(names: &[String]) -> Result<Vec<Profile>, Error> {
    if names.iter().any(|name| name == "all") {
        return Ok(every().copied().collect());
    }
    names
        .iter()
        .map(|name| {
            named(name).copied().ok_or_else(|| {
                let all: Vec<_> = every().map(|one| one.name).collect();
                Error::Profile(name.clone(), all.join(", "))
            })
        })
        .collect()
}

/// Prints the name of every profile.
pub fn profiles() -> Result<(), Error> {
    let mut output = std::io::stdout().lock();
    for profile in every() {
        writeln!(output, "{}", profile.name)?;
    }
    Ok(())
}

/// Tokens from where the arguments say.
pub fn tickets(args: &TicketArgs) -> Result<Tickets, Error> {
    if let Some(path) = &args.tokens {
        return Ok(if path.as_os_str() == "-" {
            Tickets::Given(tickets::parse(&std::io::read_to_string(std::io::stdin())?)?)
        } else {
            Tickets::read(path)?
        });
    }
    if let Some(url) = &args.allocator {
        return Ok(Tickets::Allocated(Order {
            url: url.clone(),
            namespace: args.namespace.clone(),
            fleet: args.fleet.clone(),
        }));
    }
    let Some(path) = &args.key_file else {
        return Err(Error::Argument(
            "one of --tokens, --key-file and --allocator is needed",
        ));
    };
    let mut mint = Mint {
        key: Mint::read_key(path)?,
        protocol_id: args.protocol_id,
        server: args.server,
        match_id: [0; 16],
        flags: 0,
    };
    match &args.match_id {
        None => mint.new_match()?,
        Some(text) => {
            let digits = text.replace('-', "");
            mint.match_id = u128::from_str_radix(&digits, 16)
                .ok()
                .filter(|_| digits.len() == 32)
                .ok_or(Error::Argument("--match-id must be a UUID"))?
                .to_be_bytes();
        }
    }
    Ok(Tickets::Minted(mint))
}

/// Tokens that a run with a profile takes.
fn needed(profile: &Profile, players: u16) -> usize {
    usize::from(players) + usize::from(profile.witness().is_some())
}

/// Puts bots into a match.
pub fn enter(
    tickets: &mut Tickets,
    profile: &Profile,
    players: u16,
    seed: u64,
) -> Result<Swarm, Error> {
    let mut seeds = Random::new(seed);
    let mut swarm = Swarm::new(seeds.bits());
    let witness = profile.witness();
    let profiles = std::iter::repeat_n(profile, usize::from(players)).chain(&witness);
    let tokens = tickets.take(needed(profile, players), unix_seconds())?;
    for (token, profile) in tokens.iter().zip(profiles) {
        let bot = Bot::new(token, profile, seeds.bits() >> 8, swarm.now())?;
        swarm.add(bot)?;
    }
    let is_in = |bot: &Bot| bot.session().way() != Way::Joining;
    swarm.run(JOIN, |swarm| swarm.bots().all(is_in))?;
    Ok(swarm)
}

/// Lets a bot play with each of these tokens for a while, as in a test of whoever minted them.
/// The server is let go again, and judged by the rules of the profile.
pub fn play(tokens: Vec<Vec<u8>>, profile: &Profile, length: Duration) -> Result<Report, Error> {
    let players = u16::try_from(tokens.len()).map_err(|_| Error::Argument("too many tokens"))?;
    let mut swarm = enter(
        &mut Tickets::Given(tokens),
        profile,
        players,
        unix_seconds(),
    )?;
    swarm.run(length, |_| false)?;
    let report = Report::new(profile, &swarm.records(profile.name), None);
    swarm.leave()?;
    Ok(report)
}

fn run_profile(args: &RunArgs, tickets: &mut Tickets, profile: &Profile) -> Result<Report, Error> {
    let sample = || -> Result<Option<Sample>, Error> {
        args.metrics
            .map(|address| Sample::fetch(address).map_err(|source| Error::Metrics(address, source)))
            .transpose()
    };
    let start = sample()?;
    let mut swarm = enter(tickets, profile, args.players, args.seed)?;
    let joined = sample()?;
    let length = profile
        .least_length()
        .max(Duration::from_secs(args.seconds));
    let mut server: Option<ServerReport> = None;
    let mut flooded: Option<Flooded> = None;
    if profile.name == FLOOD.name {
        swarm.run(length / 2, |_| false)?;
        let quiet = sample()?;
        flooded = Some(flood(args, &mut swarm, length / 2)?);
        let end = sample()?;
        if let (Some(joined), Some(quiet), Some(end)) = (joined, quiet, end) {
            server = Some(ServerReport {
                quiet_tick_p99_ms: Some(quiet.since(&joined).tick_p99_ms),
                ..end.since(&quiet)
            });
        }
    } else {
        swarm.run(length, |_| false)?;
        if let (Some(start), Some(joined), Some(end)) = (start, joined, sample()?) {
            // That all arrive at once is another load than a match: what breaks under it counts,
            // the times of its ticks do not.
            let played = end.since(&joined);
            server = Some(ServerReport {
                ticks: played.ticks,
                tick_p99_ms: played.tick_p99_ms,
                ..end.since(&start)
            });
        }
    }
    let mut report = Report::new(profile, &swarm.records(profile.name), server);
    report.flood = flooded;
    swarm.leave()?;
    Ok(report)
}

/// Lets the bots play on under a flood, which another thread sends.
fn flood(args: &RunArgs, swarm: &mut Swarm, length: Duration) -> Result<Flooded, Error> {
    let server = swarm.bots().next().map(Bot::server);
    let flood = Flood {
        server: server.ok_or(Error::Argument("a flood needs players to look at"))?,
        protocol_id: args.tickets.protocol_id.0,
        junk: args.flood_junk,
        requests: args.flood_requests,
    };
    let stop = AtomicBool::new(false);
    let (played, flooded) = std::thread::scope(|scope| {
        let thread = scope.spawn(|| flood.run(unix_seconds(), &stop));
        let played = swarm.run(length, |_| thread.is_finished());
        stop.store(true, Ordering::Relaxed);
        (played, thread.join())
    });
    played?;
    let Ok(flooded) = flooded else {
        return Err(Error::Argument("the flood broke down"));
    };
    Ok(flooded?)
}

/// The wall clock, in seconds since 1970.
pub fn unix_seconds() -> u64 {
    u64::try_from(runtime::clock::now().as_second()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use clap::Parser as _;

    use super::*;
    use crate::args::{Args, Command};

    /// Tokens are good for half a minute, and the profiles before one's own take longer.
    #[test]
    fn the_platform_is_asked_when_tokens_are_taken_and_not_before() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let url = format!("--allocator=http://{address}");
        let args = Args::parse_from(["bots", "run", &url, "--profile=all"]);
        let Command::Run(args) = args.command else {
            unreachable!("it was said to run");
        };
        let mut tickets = tickets(&args.tickets).unwrap();
        for _ in 0..2 {
            let taken = tickets.take(8, unix_seconds());
            assert!(
                matches!(&taken, Err(tickets::Error::Allocation(_))),
                "{taken:?}"
            );
        }
    }
}
