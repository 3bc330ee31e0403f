//! One player's journey.

use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::session::End;
use proto::muster::lobby::v1 as wire;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use wire::answer::Answer;
use wire::call::Call;
use wire::event::Event;

use super::account::{Account, Auth};
use super::field::{Command, NEWS, News};
use super::lobby::Lobby;
use super::table::{Step, Steps};
use super::{Config, Error};
use crate::profile::{self, Profile};

/// What a region's latency is said to be: everybody is on this machine.
const LATENCY: u32 = 20;

/// Longest wait for what others do at once.
const SOON: Duration = Duration::from_secs(30);

/// Longest match, the way back included.
const MATCH: Duration = Duration::from_mins(3);

/// How long a program that died is away.
const AWAY: Duration = Duration::from_secs(1);

/// What befalls a player in the match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing.
    Plain,
    /// The network is away for two seconds.
    Blackout,
    /// The program dies, and starts again.
    Crash,
}

/// Who brings a party together.
#[derive(Debug)]
pub(super) enum Role {
    /// Makes the party and tells its code to the others.
    Host(Vec<oneshot::Sender<String>>),
    /// Joins it.
    Mate(oneshot::Receiver<String>),
}

/// A player.
#[derive(Debug)]
pub(super) struct Player {
    pub(super) index: usize,
    pub(super) device: String,
    pub(super) fate: Fate,
    pub(super) config: Config,
    pub(super) auth: Auth,
    pub(super) field: SyncSender<Command>,
}

impl Player {
    /// The whole way.
    pub(super) async fn travel(self, role: Role) -> Result<Steps, Error> {
        let mut step = "register";
        let traveled = self.steps(role, &mut step).await;
        traveled.map_err(|source| Error::At {
            player: self.index,
            step,
            source: Box::new(source),
        })
    }

    async fn steps(&self, role: Role, step: &mut &'static str) -> Result<Steps, Error> {
        let mut steps = Steps::default();
        let began = Instant::now();
        let account = self.auth.register(&self.device).await?;
        steps.record(Step::Register, began.elapsed());

        *step = "connect";
        let since = Instant::now();
        let base = &self.config.lobby;
        let (mut lobby, welcome) = Lobby::connect(base, &account.access_token, None).await?;
        tell_profile(&mut lobby).await?;
        steps.record(Step::Connect, since.elapsed());

        *step = "party";
        let since = Instant::now();
        let is_host = matches!(role, Role::Host(_));
        if self.config.party > 1 {
            self.gather(&mut lobby, role).await?;
            steps.record(Step::Party, since.elapsed());
        }

        *step = "queue";
        let since = Instant::now();
        if is_host {
            let ticket = wire::JoinQueue {
                queue: self.config.queue.clone(),
                ..wire::JoinQueue::default()
            };
            lobby.call(Call::JoinQueue(ticket)).await?;
        }
        let ready = self.await_match(&mut lobby).await?;
        if is_host {
            steps.record(Step::Ticket, since.elapsed());
        }

        *step = "join";
        let since = Instant::now();
        let mut news = self.enter(&ready, self.profile())?;
        let playing = next(&mut news, "first snapshot", SOON, |news| match news {
            News::Playing(at) => Some(at),
            _ => None,
        });
        let at = playing.await?;
        steps.record(Step::Join, at.saturating_duration_since(since));
        steps.record(Step::Playing, at.saturating_duration_since(began));

        *step = "chat";
        let game = ready.r#match.unwrap_or_default();
        chat(&mut lobby, &game, &account, &mut steps).await?;

        match self.fate {
            Fate::Plain => {}
            Fate::Blackout => {
                *step = "network lost";
                let resumed = next(
                    &mut news,
                    "snapshot after the blackout",
                    SOON,
                    |news| match news {
                        News::Resumed(after) => Some(after),
                        _ => None,
                    },
                );
                steps.record(Step::Blackout, resumed.await?);
            }
            Fate::Crash => {
                *step = "program lost";
                (lobby, news) = self.crash(lobby, &welcome, &account, &mut steps).await?;
            }
        }

        *step = "end of the match";
        let over = next(&mut news, "end of the match", MATCH, |news| match news {
            News::Over(at, end) => Some((at, end)),
            _ => None,
        });
        let (at, end) = over.await?;
        if end != End::MatchEnded {
            return Err(Error::Ended(end));
        }
        *step = "result";
        self.result(&mut lobby, &game.match_id, &account).await?;
        steps.record(Step::Result, at.elapsed());
        Ok(steps)
    }

    fn profile(&self) -> &'static Profile {
        let name = match self.fate {
            Fate::Blackout => "blackout-2",
            Fate::Plain | Fate::Crash => "clean",
        };
        profile::named(name).unwrap_or(&profile::PROFILES[0])
    }

    /// Brings the party together.
    async fn gather(&self, lobby: &mut Lobby, role: Role) -> Result<(), Error> {
        let room = match role {
            Role::Host(mates) => {
                let settings = wire::RoomSettings {
                    capacity: u32::try_from(self.config.party).unwrap_or(u32::MAX),
                    ..wire::RoomSettings::default()
                };
                let create = wire::CreateRoom {
                    kind: wire::RoomKind::Party.into(),
                    settings: Some(settings),
                };
                let room = room_of(lobby.call(Call::CreateRoom(create)).await?)?;
                for mate in mates {
                    // A mate that is gone ends the journey by itself.
                    mate.send(room.code.clone()).ok();
                }
                room
            }
            Role::Mate(code) => {
                let code = timeout(SOON, code).await;
                let code = code.map_err(|_| Error::Late("code of the party"))?;
                let code = code.map_err(|_| Error::Late("code of the party"))?;
                let join = wire::JoinRoom {
                    by: Some(wire::join_room::By::Code(code)),
                };
                room_of(lobby.call(Call::JoinRoom(join)).await?)?
            }
        };
        if room.members.len() == self.config.party {
            return Ok(());
        }
        let size = self.config.party;
        let complete = lobby.event("whole party", SOON, |event| match event {
            Event::RoomChanged(changed) => {
                let room = changed.room.as_ref()?;
                (room.members.len() == size).then_some(())
            }
            _ => None,
        });
        complete.await
    }

    /// Waits for the match, and accepts it where the queue asks.
    async fn await_match(&self, lobby: &mut Lobby) -> Result<wire::MatchReady, Error> {
        loop {
            let event = lobby.event("match", self.config.patience, |event| match event {
                Event::Proposed(_) | Event::MatchReady(_) => Some(event.clone()),
                _ => None,
            });
            match event.await? {
                Event::MatchReady(ready) => return Ok(ready),
                Event::Proposed(proposed) => {
                    let answer = wire::AnswerProposal {
                        match_id: proposed.match_id,
                        accept: true,
                    };
                    lobby.call(Call::AnswerProposal(answer)).await?;
                }
                _ => {}
            }
        }
    }

    /// Sends the bot into the match.
    fn enter(
        &self,
        ready: &wire::MatchReady,
        profile: &'static Profile,
    ) -> Result<mpsc::Receiver<News>, Error> {
        let (sender, news) = mpsc::channel(NEWS);
        let token = STANDARD.decode(&ready.connect_token);
        let command = Command::Enter {
            player: self.index,
            token: token.map_err(|_| Error::Token)?,
            profile,
            news: sender,
        };
        self.field.try_send(command).map_err(|_| Error::Field)?;
        Ok(news)
    }

    /// The program dies with all that it knew but its account and what it stored of the session, and
    /// starts again.
    async fn crash(
        &self,
        lobby: Lobby,
        welcome: &wire::Welcome,
        account: &Account,
        steps: &mut Steps,
    ) -> Result<(Lobby, mpsc::Receiver<News>), Error> {
        let way_back = lobby.way_back(welcome);
        let command = Command::Lose { player: self.index };
        self.field.try_send(command).map_err(|_| Error::Field)?;
        drop(lobby);
        tokio::time::sleep(AWAY).await;
        let since = Instant::now();
        let token = &account.access_token;
        let connected = Lobby::connect(&self.config.lobby, token, Some(way_back));
        let (mut lobby, _) = connected.await?;
        let rejoin = Call::RejoinMatch(wire::RejoinMatch::default());
        let Answer::MatchReady(ready) = lobby.call(rejoin).await? else {
            return Err(Error::Unexpected("match"));
        };
        let mut news = self.enter(&ready, self.profile())?;
        let playing = next(
            &mut news,
            "snapshot after the way back",
            SOON,
            |news| match news {
                News::Playing(at) => Some(at),
                _ => None,
            },
        );
        let at = playing.await?;
        steps.record(Step::Rejoin, at.saturating_duration_since(since));
        Ok((lobby, news))
    }

    /// Waits until the match has its result, and looks at the rating.
    async fn result(&self, lobby: &mut Lobby, id: &str, account: &Account) -> Result<(), Error> {
        let seat = lobby.event("result", SOON, |event| match event {
            Event::MatchChanged(changed) => {
                let game = changed.r#match.as_ref()?;
                let is_it = game.match_id == id && game.ended_at.is_some();
                let mut seats = game.seats.iter();
                let own = seats.find(|seat| seat.player_id == account.player_id);
                is_it.then(|| own.cloned())
            }
            _ => None,
        });
        let seat = seat.await?.ok_or(Error::Unexpected("the player's seat"))?;
        if seat.rank == 0 {
            return Err(Error::Unexpected("the player's rank"));
        }
        let ask = Call::GetRatings(wire::GetRatings::default());
        let Answer::Ratings(ratings) = lobby.call(ask).await? else {
            return Err(Error::Unexpected("ratings"));
        };
        let mut ratings = ratings.ratings.iter();
        let has_rating =
            ratings.any(|rating| rating.queue == self.config.queue && rating.matches > 0);
        has_rating
            .then_some(())
            .ok_or(Error::Unexpected("a rating of the queue"))
    }
}

/// Says how far regions are.
async fn tell_profile(lobby: &mut Lobby) -> Result<(), Error> {
    let ask = Call::ListRegions(wire::ListRegions {});
    let Answer::Regions(regions) = lobby.call(ask).await? else {
        return Err(Error::Unexpected("regions"));
    };
    let names = regions.regions.into_iter().map(|region| region.name);
    let profile = wire::SetProfile {
        latencies: names.map(|name| (name, LATENCY)).collect(),
        ..wire::SetProfile::default()
    };
    lobby.call(Call::SetProfile(profile)).await.map(drop)
}

/// The first seat of the match greets, and everybody hears it.
async fn chat(
    lobby: &mut Lobby,
    game: &wire::Match,
    account: &Account,
    steps: &mut Steps,
) -> Result<(), Error> {
    let channel = format!("match:{}", game.match_id);
    let first = game.seats.first();
    if first.is_some_and(|seat| seat.player_id == account.player_id) {
        let message = wire::SendChat {
            channel: channel.clone(),
            text: "good luck and have fun".to_owned(),
        };
        let since = Instant::now();
        lobby.call(Call::SendChat(message)).await?;
        steps.record(Step::Chat, since.elapsed());
    }
    let heard = lobby.event("greeting", SOON, |event| match event {
        Event::ChatMessage(message) if message.channel == channel => Some(()),
        _ => None,
    });
    heard.await
}

fn room_of(answer: Answer) -> Result<wire::Room, Error> {
    match answer {
        Answer::Room(room) => Ok(room),
        _ => Err(Error::Unexpected("the party")),
    }
}

/// The next news that `pick` takes.
async fn next<T>(
    news: &mut mpsc::Receiver<News>,
    what: &'static str,
    patience: Duration,
    pick: impl Fn(News) -> Option<T>,
) -> Result<T, Error> {
    let awaited = timeout(patience, async {
        while let Some(news) = news.recv().await {
            if let Some(picked) = pick(news) {
                return Ok(picked);
            }
            if let News::Over(_, end) = news {
                return Err(Error::Ended(end));
            }
        }
        Err(Error::Field)
    });
    awaited.await.map_err(|_| Error::Late(what))?
}
