//! What commands make of a room.

use jiff::{SignedDuration, Timestamp};
use proto::muster::lobby::v1::room_changed::Reason;

use super::{
    ABSENCE, INVITATION, Invitation, Kind, MAX_INVITATIONS, MAX_KICKED, MAX_TEAMS, Member, Room,
    START, Settings, Starting,
};
use crate::error::{Code, Failure};
use crate::ids::{MatchId, PlayerId, SessionId};
use crate::matchmaking::queue::Teams;

/// What is done to a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Somebody comes in. A member who comes in again is in as before.
    Join {
        /// Who.
        player: PlayerId,
        /// In which session.
        session: SessionId,
        /// By what right.
        by: Entry,
    },
    /// Somebody goes.
    Leave {
        /// Who.
        player: PlayerId,
    },
    /// The host sends somebody away.
    Kick {
        /// The host.
        by: PlayerId,
        /// Whom.
        player: PlayerId,
    },
    /// The host makes another member the host.
    Promote {
        /// The host.
        by: PlayerId,
        /// Whom.
        player: PlayerId,
    },
    /// A member wants to begin, or not yet.
    Ready {
        /// Who.
        player: PlayerId,
        /// In which session.
        session: SessionId,
        /// Whether.
        is_ready: bool,
    },
    /// A member changes sides.
    Team {
        /// Who.
        player: PlayerId,
        /// To which team.
        team: u16,
    },
    /// The host replaces the settings.
    Change {
        /// The host.
        by: PlayerId,
        /// The new ones.
        settings: Settings,
    },
    /// A member asks somebody in.
    Invite {
        /// The member.
        by: PlayerId,
        /// Whom.
        player: PlayerId,
    },
    /// A member's last socket is gone, or there is one again.
    Connection {
        /// Whose.
        player: PlayerId,
        /// Whether there is one.
        is_connected: bool,
    },
    /// The host begins a match of the room's own.
    Start {
        /// The host, who is ready by it.
        by: PlayerId,
        /// The host's session.
        session: SessionId,
        /// The match, unless a former attempt with the same players is continued.
        id: MatchId,
        /// What the match must look like.
        shape: Teams,
    },
    /// The match has a server.
    Begin {
        /// Which.
        id: MatchId,
    },
    /// The match has none, and never will.
    Abandon {
        /// Which.
        id: MatchId,
    },
    /// Whether the match has a server is unknown: who tries again, tries this one.
    Doubt {
        /// Which.
        id: MatchId,
    },
    /// Time passes.
    Pass,
}

/// By what right somebody comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The room is public, or there is an invitation.
    Id,
    /// The room's code.
    Code(String),
}

/// What members hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happening {
    /// What.
    pub reason: Reason,
    /// Who did it, or whom it is about.
    pub player: PlayerId,
}

impl Happening {
    /// Whether the player it is about is not in the room any more.
    pub fn is_departure(&self) -> bool {
        matches!(self.reason, Reason::Left | Reason::Kicked)
    }

    /// Whether it changes who is in the room.
    pub fn is_membership(&self) -> bool {
        self.is_departure() || self.reason == Reason::Joined
    }
}

impl Room {
    /// What a command makes of the room, and what happens by it. Time that has passed counts first.
    pub fn apply(
        &self,
        command: &Command,
        now: Timestamp,
    ) -> Result<(Self, Vec<Happening>), Failure> {
        let mut change = Change {
            room: self.clone(),
            happenings: Vec::new(),
            now,
        };
        change.pass();
        change.command(command)?;
        if !change.happenings.is_empty() {
            change.room.version += 1;
        }
        Ok((change.room, change.happenings))
    }
}

/// A room while it changes.
struct Change {
    room: Room,
    happenings: Vec<Happening>,
    now: Timestamp,
}

impl Change {
    fn command(&mut self, command: &Command) -> Result<(), Failure> {
        match command {
            Command::Join {
                player,
                session,
                by,
            } => self.join(*player, *session, by),
            Command::Leave { player } => {
                self.part(*player, Reason::Left);
                Ok(())
            }
            Command::Kick { by, player } => self.kick(*by, *player),
            Command::Promote { by, player } => self.promote(*by, *player),
            Command::Ready {
                player,
                session,
                is_ready,
            } => self.ready(*player, *session, *is_ready),
            Command::Team { player, team } => self.team(*player, *team),
            Command::Change { by, settings } => self.settings(*by, settings),
            Command::Invite { by, player } => self.invite(*by, *player),
            Command::Connection {
                player,
                is_connected,
            } => {
                self.connection(*player, *is_connected);
                Ok(())
            }
            Command::Start {
                by,
                session,
                id,
                shape,
            } => self.start(*by, *session, *id, *shape),
            Command::Begin { id } => {
                self.begin(*id);
                Ok(())
            }
            Command::Abandon { id } => {
                self.room.starting.take_if(|starting| starting.id == *id);
                Ok(())
            }
            Command::Doubt { id } => {
                let now = self.now;
                if let Some(starting) = self.attempt(*id) {
                    starting.until = now;
                }
                Ok(())
            }
            Command::Pass => Ok(()),
        }
    }

    fn happen(&mut self, reason: Reason, player: PlayerId) {
        self.happenings.push(Happening { reason, player });
    }

    /// Who is not among the members learns nothing, not even that there is such a room.
    fn member(&mut self, player: PlayerId) -> Result<&mut Member, Failure> {
        let mut members = self.room.members.iter_mut();
        members
            .find(|member| member.player == player)
            .ok_or_else(no_room)
    }

    fn must_host(&mut self, player: PlayerId) -> Result<(), Failure> {
        self.member(player)?;
        if self.room.host == player {
            Ok(())
        } else {
            let problem = "only the host does this";
            Err(Failure::new(Code::Forbidden, problem))
        }
    }

    fn attempt(&mut self, id: MatchId) -> Option<&mut Starting> {
        let starting = self.room.starting.as_mut();
        starting.filter(|starting| starting.id == id)
    }

    /// Refused while a match starts: it plays with those who are there, in their teams.
    fn must_be_settled(&self) -> Result<(), Failure> {
        let starting = self.room.starting.as_ref();
        let Some(starting) = starting.filter(|starting| self.now < starting.until) else {
            return Ok(());
        };
        let left = self.now.duration_until(starting.until);
        Err(Failure {
            retry_after: Some(left.unsigned_abs()),
            ..Failure::new(Code::Conflict, "a match of the room is starting")
        })
    }

    /// Ends invitations, and the stay of those who have been gone for too long.
    fn pass(&mut self) {
        let now = self.now;
        let is_good = |invitation: &Invitation| now < invitation.expires_at;
        self.room.invitations.retain(is_good);
        let is_gone = |member: &&Member| member.lost_at.is_some_and(|at| later(at, ABSENCE) <= now);
        let gone: Vec<&Member> = self.room.members.iter().filter(is_gone).collect();
        let gone: Vec<PlayerId> = gone.iter().map(|member| member.player).collect();
        for player in gone {
            self.part(player, Reason::Left);
        }
    }

    fn join(&mut self, player: PlayerId, session: SessionId, entry: &Entry) -> Result<(), Failure> {
        if let Ok(member) = self.member(player) {
            member.session = session;
            return Ok(());
        }
        let room = &self.room;
        let mut invitations = room.invitations.iter();
        let is_invited = invitations.any(|invitation| invitation.player == player);
        let is_welcome = match entry {
            Entry::Id => room.settings.is_public,
            Entry::Code(code) => room.code == *code,
        };
        if room.is_over() || !(is_invited || is_welcome) {
            return Err(no_room());
        }
        // An invitation of the host has taken the player off this list.
        if room.kicked.contains(&player) {
            let problem = "the host has sent you away";
            return Err(Failure::new(Code::Forbidden, problem));
        }
        self.must_be_settled()?;
        if room.settings.is_locked {
            return Err(Failure::new(Code::Conflict, "the room is locked"));
        }
        if !room.is_open() {
            return Err(Failure::new(Code::Full, "the room is full"));
        }
        let team = room.weakest_team();
        self.room.members.push(Member {
            team,
            ..Member::new(player, session)
        });
        self.uninvite(player);
        self.happen(Reason::Joined, player);
        Ok(())
    }

    fn uninvite(&mut self, player: PlayerId) {
        let invitations = &mut self.room.invitations;
        invitations.retain(|invitation| invitation.player != player);
    }

    /// Somebody goes; the longest member who is connected becomes host after the host.
    fn part(&mut self, player: PlayerId, reason: Reason) {
        let members = &mut self.room.members;
        let before = members.len();
        members.retain(|member| member.player != player);
        if members.len() == before {
            return;
        }
        self.happen(reason, player);
        if self.room.host == player {
            let mut members = self.room.members.iter();
            let heir = members
                .find(|member| member.is_connected())
                .or_else(|| self.room.members.first())
                .map(|member| member.player);
            if let Some(heir) = heir {
                self.room.host = heir;
                self.happen(Reason::Promoted, heir);
            }
        }
    }

    fn kick(&mut self, by: PlayerId, player: PlayerId) -> Result<(), Failure> {
        self.must_host(by)?;
        if by == player {
            return Err(Failure::field("player_id", "must be another member"));
        }
        if self.member(player).is_err() {
            return Err(no_member());
        }
        self.uninvite(player);
        let kicked = &mut self.room.kicked;
        if kicked.len() == MAX_KICKED {
            kicked.remove(0);
        }
        kicked.push(player);
        self.part(player, Reason::Kicked);
        Ok(())
    }

    fn promote(&mut self, by: PlayerId, player: PlayerId) -> Result<(), Failure> {
        self.must_host(by)?;
        let member = self.member(player).map_err(|_| no_member())?;
        if !member.is_connected() {
            let problem = "the member is not connected";
            return Err(Failure::new(Code::Conflict, problem));
        }
        if by != player {
            self.room.host = player;
            self.happen(Reason::Promoted, player);
        }
        Ok(())
    }

    fn ready(
        &mut self,
        player: PlayerId,
        session: SessionId,
        is_ready: bool,
    ) -> Result<(), Failure> {
        let member = self.member(player)?;
        member.session = session;
        if member.is_ready != is_ready {
            member.is_ready = is_ready;
            self.happen(Reason::Ready, player);
        }
        Ok(())
    }

    fn team(&mut self, player: PlayerId, team: u16) -> Result<(), Failure> {
        let shape = self.room.settings.teams;
        let teams = shape.map_or(MAX_TEAMS, |shape| shape.count);
        let member = self.member(player)?;
        if team >= teams {
            let problem = format!("must be 0 to {}", teams - 1);
            return Err(Failure::field("team", problem));
        }
        if member.team == team {
            return Ok(());
        }
        self.must_be_settled()?;
        let member = self.member(player)?;
        member.team = team;
        // Who was ready to play on the other side says it again.
        member.is_ready = false;
        self.happen(Reason::Ready, player);
        Ok(())
    }

    fn settings(&mut self, by: PlayerId, settings: &Settings) -> Result<(), Failure> {
        self.must_host(by)?;
        if *settings == self.room.settings {
            return Ok(());
        }
        self.must_be_settled()?;
        let members = self.room.members.len();
        if members > usize::from(settings.capacity) {
            let problem = format!("must be {members} or more, which is how many are here");
            return Err(Failure::field("settings.capacity", problem));
        }
        let is_same_game = settings.is_same_game(&self.room.settings);
        self.room.settings = settings.clone();
        if !is_same_game {
            self.room.unready();
        }
        self.room.reseat();
        self.happen(Reason::Settings, by);
        Ok(())
    }

    fn invite(&mut self, by: PlayerId, player: PlayerId) -> Result<(), Failure> {
        self.member(by)?;
        if self.member(player).is_ok() {
            return Err(Failure::new(Code::Conflict, "the player is here already"));
        }
        if self.room.settings.is_locked {
            return Err(Failure::new(Code::Conflict, "the room is locked"));
        }
        if self.room.kicked.contains(&player) && by != self.room.host {
            let problem = "only the host invites whom he has sent away";
            return Err(Failure::new(Code::Forbidden, problem));
        }
        self.uninvite(player);
        if self.room.invitations.len() == MAX_INVITATIONS {
            return Err(Failure::new(Code::Full, "too many invitations are open"));
        }
        self.room.kicked.retain(|kicked| *kicked != player);
        self.room.invitations.push(Invitation {
            player,
            expires_at: later(self.now, INVITATION),
        });
        Ok(())
    }

    fn connection(&mut self, player: PlayerId, is_connected: bool) {
        let now = self.now;
        let Ok(member) = self.member(player) else {
            return;
        };
        if member.is_connected() == is_connected {
            return;
        }
        member.lost_at = (!is_connected).then_some(now);
        // Nobody begins without those who are gone. Who comes back may do so in another session,
        // which being ready tells.
        member.is_ready = false;
        self.happen(Reason::Connection, player);
    }

    fn start(
        &mut self,
        by: PlayerId,
        session: SessionId,
        id: MatchId,
        shape: Teams,
    ) -> Result<(), Failure> {
        self.must_host(by)?;
        if self.room.kind == Kind::Party {
            let problem = "a party plays by a queue";
            return Err(Failure::new(Code::Conflict, problem));
        }
        self.must_be_settled()?;
        let is_waiting = |member: &&Member| member.player != by && !member.is_ready;
        if let Some(member) = self.room.members.iter().find(is_waiting) {
            let problem = format!("{} is not ready", member.player);
            return Err(Failure::new(Code::Conflict, problem));
        }
        self.room.teams(shape)?;
        self.member(by)?.session = session;
        let players = self.room.players();
        let former = self.room.starting.take();
        let former = former.filter(|former| former.players == players);
        self.room.starting = Some(Starting {
            id: former.map_or(id, |former| former.id),
            players,
            until: later(self.now, START),
        });
        Ok(())
    }

    fn begin(&mut self, id: MatchId) {
        if self.attempt(id).is_none() {
            return;
        }
        self.room.starting = None;
        self.room.unready();
        self.happen(Reason::MatchStarted, self.room.host);
    }
}

impl Room {
    fn unready(&mut self) {
        for member in &mut self.members {
            member.is_ready = false;
        }
    }

    /// Moves those whose team is no more.
    fn reseat(&mut self) {
        let Some(shape) = self.settings.teams else {
            return;
        };
        for index in 0..self.members.len() {
            if self.members[index].team >= shape.count {
                self.members[index].team = self.weakest_team();
                self.members[index].is_ready = false;
            }
        }
    }
}

fn later(at: Timestamp, span: std::time::Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}

fn no_room() -> Failure {
    Failure::new(Code::NotFound, "there is no such room")
}

fn no_member() -> Failure {
    Failure::field("player_id", "must be a member of the room")
}
