//! What there is to see at a moment: everything that a picture needs, and nothing of the network.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use client::{Client, Event};
use glam::{Vec2, Vec3Swizzles};
use simulation::combat::RANGE;
use simulation::entity::{EntityId, PlayerSlot};
use simulation::frame::EntityFlags;
use simulation::level::{Solid, VIEW_RADIUS};
use simulation::message::{Member, ToClient};
use simulation::rules::{Standing, Team};
use simulation::snapshot::event::WireEvent;

/// How long a shot is shown.
const SHOT_LASTS: Duration = Duration::from_millis(150);

/// Shots that are shown at the same time, at most.
const MOST_SHOTS: usize = 256;

/// Lines of news that are kept.
const NEWS_LINES: usize = 4;

/// How long a line of news is shown.
const NEWS_LAST: Duration = Duration::from_secs(6);

/// What somebody in the picture is to the one who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The own player.
    Own,
    /// A player of the same team.
    Friend,
    /// Another player.
    Foe,
    /// A ball or crate.
    Prop,
}

/// Somebody or something that moves.
#[derive(Debug, Clone, PartialEq)]
pub struct Actor {
    /// What it is.
    pub kind: Kind,
    /// Its team.
    pub team: Option<Team>,
    /// East and north, in meters.
    pub place: Vec2,
    /// In turns, counterclockwise from east.
    pub yaw: f32,
    /// Hit points; 0 when down.
    pub health: u8,
    /// Whether its connection is lost.
    pub is_lost: bool,
    /// The name of a player.
    pub name: String,
}

/// A shot, from its player to where it ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shot {
    /// East and north, in meters.
    pub from: Vec2,
    /// East and north, in meters.
    pub to: Vec2,
    /// When it was seen.
    pub at: Duration,
}

/// How a player does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose.
    pub name: String,
    /// Others brought down.
    pub score: u16,
    /// Times down.
    pub downs: u16,
    /// Whether it is the own player's.
    pub is_own: bool,
}

/// What there is to see.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scene {
    /// The middle of the picture: the own player, or the middle of the level.
    pub center: Vec2,
    /// Half of the side of the level, in meters.
    pub half: f32,
    /// What stands in the level, near enough to be seen.
    pub solids: Vec<Solid>,
    /// Who and what moves; the own player last.
    pub actors: Vec<Actor>,
    /// Shots of this moment.
    pub shots: Vec<Shot>,
    /// Hit points of the own player; none for those who watch.
    pub health: Option<u8>,
    /// Where the match is: waiting, countdown, playing, ended.
    pub phase: u8,
    /// Seconds until the phase ends.
    pub seconds: u16,
    /// Best first.
    pub scores: Vec<Line>,
    /// The round trip, once it was measured.
    pub ping: Option<Duration>,
    /// Whether the connection is being looked for.
    pub is_away: bool,
    /// What was said and what happened, oldest first.
    pub news: Vec<String>,
}

/// What has to be remembered from event to event to know what there is to see.
#[derive(Debug, Default)]
pub struct Memory {
    members: BTreeMap<PlayerSlot, Member>,
    standings: Vec<Standing>,
    shots: VecDeque<Shot>,
    news: VecDeque<(Duration, String)>,
}

impl Memory {
    /// Takes in what happened.
    pub fn hear(&mut self, now: Duration, client: &Client, event: Event) {
        match event {
            Event::Message(ToClient::Roster(members)) => {
                let members = members.into_iter().map(|member| (member.slot, member));
                self.members = members.collect();
            }
            Event::Message(ToClient::Score(standings)) => self.standings = standings,
            Event::Message(ToClient::Notice(text)) => self.tell(now, &text),
            Event::Message(ToClient::Chat { from, text }) => {
                let line = format!("{}: {text}", self.name(from));
                self.tell(now, &line);
            }
            Event::Message(ToClient::MatchEnded(result)) => {
                self.standings.clone_from(&result.standings);
                self.tell(now, "The match is over.");
            }
            Event::Happened(_, WireEvent::Shot { by, end }) => {
                let from = place_of(client, by);
                if let Some(from) = from {
                    if self.shots.len() == MOST_SHOTS {
                        self.shots.pop_front();
                    }
                    let to = end.position().xz();
                    self.shots.push_back(Shot { from, to, at: now });
                }
            }
            Event::Happened(_, WireEvent::Down { by, target }) => {
                let line = format!("{} got {}", self.name(by), self.name(target));
                self.tell(now, &line);
            }
            Event::Connected
            | Event::Disconnected(_)
            | Event::Message(_)
            | Event::Happened(_, WireEvent::Hit { .. } | WireEvent::Spawned { .. }) => {}
        }
    }

    /// What there is to see now.
    pub fn scene(&mut self, now: Duration, client: &Client, is_away: bool) -> Scene {
        self.shots.retain(|shot| now <= shot.at + SHOT_LASTS);
        self.news.retain(|(at, _)| now <= *at + NEWS_LAST);
        let me = client.slot();
        let mut scene = Scene {
            scores: self.scores(me),
            shots: self.shots.iter().copied().collect(),
            ping: client.round_trip(),
            is_away,
            news: self.news.iter().map(|(_, line)| line.clone()).collect(),
            ..Scene::default()
        };
        let Some(joined) = client.joined() else {
            return scene;
        };
        let header = joined.newest();
        scene.half = joined.level().half();
        scene.phase = header.clock.phase;
        scene.seconds = header.clock.seconds;
        scene.health = header.own.map(|own| own.health);
        scene.center = joined.own_position().map_or(Vec2::ZERO, Vec3Swizzles::xz);
        let reach = if me.is_some() { VIEW_RADIUS } else { f32::MAX };
        let solids = joined.level().solids().iter();
        scene.solids = solids
            .filter(|solid| solid.overlaps(scene.center, reach))
            .copied()
            .collect();
        let own_team = me.and_then(|slot| self.members.get(&slot)?.team);
        for (state, _) in client.decoder().entities() {
            let slot = state.id.as_player();
            if slot.is_some() && slot == me {
                continue;
            }
            let Some(pose) = joined.pose(client.decoder(), state.id) else {
                continue;
            };
            let member = slot.and_then(|slot| self.members.get(&slot));
            let team = member.and_then(|member| member.team);
            scene.actors.push(Actor {
                kind: match slot {
                    None => Kind::Prop,
                    Some(_) if team.is_some() && team == own_team => Kind::Friend,
                    Some(_) => Kind::Foe,
                },
                team,
                place: pose.position.xz(),
                yaw: pose.yaw,
                health: state.health,
                is_lost: state.flags.contains(EntityFlags::LOST),
                name: slot.map_or_else(String::new, |slot| self.name(slot)),
            });
        }
        if let (Some(slot), Some(own), Some(place)) = (me, header.own, joined.own_position()) {
            scene.actors.push(Actor {
                kind: Kind::Own,
                team: own_team,
                place: place.xz(),
                yaw: 0.0,
                health: own.health,
                is_lost: false,
                name: self.name(slot),
            });
        }
        scene
    }

    fn scores(&self, me: Option<PlayerSlot>) -> Vec<Line> {
        let lines = self.standings.iter().map(|standing| Line {
            name: self.name(standing.slot),
            score: standing.score,
            downs: standing.downs,
            is_own: Some(standing.slot) == me,
        });
        lines.collect()
    }

    fn name(&self, slot: PlayerSlot) -> String {
        let known = self.members.get(&slot).map(|member| member.name.trim());
        match known {
            // What others call themselves must not steer the terminal.
            Some(name) if !name.is_empty() => {
                name.chars().filter(|one| !one.is_control()).collect()
            }
            _ => format!("player {}", slot.0),
        }
    }

    fn tell(&mut self, now: Duration, text: &str) {
        let text = text.chars().filter(|one| !one.is_control()).collect();
        self.news.push_back((now, text));
        if self.news.len() > NEWS_LINES {
            self.news.pop_front();
        }
    }
}

/// Where a player is shown.
fn place_of(client: &Client, slot: PlayerSlot) -> Option<Vec2> {
    let joined = client.joined()?;
    if client.slot() == Some(slot) {
        return joined.own_position().map(Vec3Swizzles::xz);
    }
    let pose = joined.pose(client.decoder(), EntityId::player(slot))?;
    Some(pose.position.xz())
}

const _: () = assert!(RANGE <= VIEW_RADIUS);
