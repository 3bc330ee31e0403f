//! The game in a terminal, for a person: the same client as the bots', with keys and a picture.
//!
//! What there is to see is a [`scene`]; [`view`] draws it into the cells of a terminal and
//! [`picture`] as SVG. Only [`terminal`] touches a terminal.

pub mod keys;
pub mod picture;
pub mod scene;
pub mod terminal;
pub mod view;

use std::io::Write as _;
use std::time::{Duration, Instant};

use client::session::{End, Way};
use client::udp::Sockets;
use client::{Client, Session};
use netcode::user_data::SPECTATOR;
use simulation::input::Input;
use simulation::message::MAX_NAME;

use self::keys::Keys;
use self::scene::{Memory, Scene};
use self::terminal::{Screen, Wish};
use self::view::Look;
use crate::args::{PictureArgs, PlayArgs};
use crate::command::{Error, enter, tickets, unix_seconds};
use crate::profile;
use crate::tickets::Tickets;

/// From one look at keys and socket to the next.
const TURN: Duration = Duration::from_millis(4);

/// From one picture to the next.
const FRAME: Duration = Duration::from_millis(33);

/// How long the result is shown.
const LAST_LOOK: Duration = Duration::from_secs(4);

/// How long a player who leaves goes on, so that the server hears of it.
const FAREWELL: Duration = Duration::from_millis(200);

/// A person's client and its sockets.
#[derive(Debug)]
struct Player {
    origin: Instant,
    session: Session,
    sockets: Sockets,
    memory: Memory,
    takes_part: bool,
}

impl Player {
    fn new(token: &[u8], name: &str, watches: bool) -> Result<Self, Error> {
        let mut name = name.to_owned();
        while name.len() > MAX_NAME {
            name.pop();
        }
        let client = Client::new(token, name, Duration::ZERO)?;
        Ok(Self {
            origin: Instant::now(),
            sockets: Sockets::open(client.server())?,
            session: Session::new(client, Duration::ZERO),
            memory: Memory::default(),
            takes_part: !watches,
        })
    }

    fn turn(&mut self, wanted: Input) -> Result<(), Error> {
        let now = self.origin.elapsed();
        let session = &mut self.session;
        self.sockets
            .receive(|from, packet| session.receive(now, from, packet));
        let mut outgoing = Vec::new();
        session.advance(
            now,
            |_, _, _| wanted,
            |to, packet| outgoing.push((to, packet.to_vec())),
        );
        for (to, packet) in outgoing {
            self.sockets.send(session.socket(), to, &packet)?;
        }
        for event in session.take_events() {
            self.memory.hear(now, session.client(), event);
        }
        Ok(())
    }

    fn scene(&mut self) -> Scene {
        let now = self.origin.elapsed();
        let is_away = !matches!(self.session.way(), Way::Playing);
        self.memory.scene(now, self.session.client(), is_away)
    }
}

/// Plays in this terminal until the person or the match ends it.
pub fn run(args: &PlayArgs) -> Result<(), Error> {
    // Before anything else: a token is used only once.
    let screen = Screen::take()?;
    let mut tickets = tickets(&args.tickets)?;
    if let Tickets::Minted(mint) = &mut tickets {
        mint.flags = if args.watch { SPECTATOR } else { 0 };
    }
    let token = tickets.take(1, unix_seconds())?;
    let token = token.first().ok_or(Error::Argument("there is no token"))?;
    show(screen, Player::new(token, &args.name, args.watch)?)
}

/// Plays in this terminal with a token that is at hand.
pub fn run_with(token: &[u8], name: &str) -> Result<(), Error> {
    let screen = Screen::take()?;
    show(screen, Player::new(token, name, false)?)
}

fn show(mut screen: Screen, mut player: Player) -> Result<(), Error> {
    let mut keys = Keys::new(screen.tells_releases());
    let mut look = Look::default();
    let mut scene = Scene::default();
    let mut next_frame = Duration::ZERO;
    let mut over: Option<Duration> = None;
    loop {
        let now = player.origin.elapsed();
        if screen.listen(now, TURN, &scene, &mut keys, &mut look)? == Wish::Leave {
            break;
        }
        keys.advance(now);
        let wanted = if player.takes_part {
            keys.input()
        } else {
            Input::default()
        };
        player.turn(wanted)?;
        if now >= next_frame {
            next_frame = now + FRAME;
            scene = player.scene();
            look.aim = keys.aim();
            screen.show(&scene, &look, now)?;
        }
        if let Way::Over(_) = player.session.way() {
            let since = *over.get_or_insert(now);
            if now >= since + LAST_LOOK {
                break;
            }
        }
    }
    let end = player.session.way();
    player.session.leave();
    let farewell = player.origin.elapsed() + FAREWELL;
    while player.origin.elapsed() < farewell {
        player.turn(Input::default())?;
        std::thread::park_timeout(TURN);
    }
    player.session.hang_up();
    player.turn(Input::default())?;
    drop(screen);
    let last = match end {
        Way::Over(End::MatchEnded) => "The match is over.",
        Way::Over(End::Refused) => "The server did not let this token in.",
        Way::Over(End::Expired) => "The server ended the session.",
        Way::Over(End::GaveUp) => "The server does not answer.",
        Way::Over(End::Left) | Way::Joining | Way::Playing | Way::Away(_) => "You left.",
    };
    writeln!(std::io::stdout(), "{last}")?;
    Ok(())
}

/// Lets bots play, and draws what one of them sees, with the most shots in the picture.
pub fn draw(args: &PictureArgs) -> Result<(), Error> {
    let players = args.players.saturating_add(1);
    let mut tickets = tickets(&args.tickets)?;
    let mut swarm = enter(&mut tickets, &profile::PROFILES[0], players, args.seed)?;
    let mut memory = Memory::default();
    let mut best: Option<Scene> = None;
    let start = swarm.now();
    let length = Duration::from_secs(args.seconds);
    swarm.run(length, |swarm| {
        let now = swarm.now();
        if let Some(bot) = swarm.bots().next() {
            let client = bot.session().client();
            for event in bot.news() {
                memory.hear(now, client, event.clone());
            }
            let scene = memory.scene(now, client, false);
            let is_late = now >= start + length / 2;
            if is_late
                && best
                    .as_ref()
                    .is_none_or(|best| interest(&scene) >= interest(best))
            {
                best = Some(scene);
            }
        }
        false
    })?;
    swarm.leave()?;
    let scene = best.ok_or(Error::Argument("there was nothing to see"))?;
    std::fs::write(&args.out, picture::svg(&scene))?;
    Ok(())
}

/// How much there is to see.
fn interest(scene: &Scene) -> usize {
    let up = scene.health.is_some_and(|health| health > 0);
    usize::from(up) * (4 * scene.shots.len() + scene.actors.len())
}
