//! Calls of the chat.
//!
//! A line is written when the store has it; who hears of it at once, hears of it by news, and who
//! missed them asks for the lines after the last number that it has.

use jiff::Timestamp;
use proto::muster::lobby::v1 as wire;
use serde_json::json;

use super::{Caller, Service, timestamp};
use crate::chat::channel::{self, Channel};
use crate::chat::moderation::{Reason, Verdict};
use crate::chat::permit::{self, Strikes};
use crate::documents::{self, Next};
use crate::error::{Code, Failure};
use crate::ids::{MatchId, PlayerId, RoomId};
use crate::live::{self, Key};
use crate::rooms::Kind;
use crate::store::{AuditLine, ChatLine, Mute, Report};

/// Lines that are listed at most, and when a client does not say how many.
const LISTED: u32 = 100;

/// Global channels that a player hears at once.
const JOINED: usize = 8;

/// How many lines before and after it a report has at least, where there are so many.
const AROUND: u64 = 5;

/// A channel, and who is in it.
#[derive(Debug)]
struct Place {
    channel: Channel,
    /// What the store calls it.
    key: String,
    hearers: Hearers,
    /// Whether lines are still written.
    is_open: bool,
}

/// Who hears a channel.
#[derive(Debug)]
enum Hearers {
    /// Whoever joined the global channel of this name.
    Joined(String),
    /// These players.
    Players(Vec<PlayerId>),
}

impl Place {
    /// Refuses who is not in it, as if it were not there.
    fn admit(&self, caller: &Caller) -> Result<(), Failure> {
        match &self.hearers {
            Hearers::Players(players) if !players.contains(&caller.player) => Err(no_channel()),
            Hearers::Players(_) | Hearers::Joined(_) => Ok(()),
        }
    }

    /// Refuses who may not write a line in it.
    fn admit_writer(&self, caller: &Caller) -> Result<(), Failure> {
        self.admit(caller)?;
        if self.is_open {
            Ok(())
        } else {
            Err(Failure::new(Code::Conflict, "the match is over"))
        }
    }
}

impl Service {
    /// Says something in a channel.
    pub async fn send_chat(
        &self,
        caller: &Caller,
        call: wire::SendChat,
    ) -> Result<wire::ChatMessage, Failure> {
        let now = runtime::clock::now();
        self.admit_line(now, caller).await?;
        let place = self.channel_named(now, caller, &call.channel).await?;
        place.admit_writer(caller)?;
        let text = self.judge_text(now, caller, &call.text).await?;
        self.slow_mode(caller, &place).await?;
        let store = &self.parts.store;
        let line = store.add_line(&place.key, caller.player, &text, now);
        let line = line.await?;
        self.tell_line(caller, &place, &line).await;
        Ok(message(&place.channel, &line))
    }

    /// Replaces the text of a line that the caller wrote a moment ago.
    pub async fn edit_chat(
        &self,
        caller: &Caller,
        call: wire::EditChat,
    ) -> Result<wire::ChatMessage, Failure> {
        let now = runtime::clock::now();
        self.admit_line(now, caller).await?;
        let place = self.channel_named(now, caller, &call.channel).await?;
        place.admit_writer(caller)?;
        let line = self.chat_line(&place, call.number).await?;
        permit::may_edit(now, caller.player, &line)?;
        let text = self.judge_text(now, caller, &call.text).await?;
        let store = &self.parts.store;
        let line = store.change_line(&place.key, line.number, Some(&text), now);
        let line = line.await?.ok_or_else(no_line)?;
        self.tell_line(caller, &place, &line).await;
        Ok(message(&place.channel, &line))
    }

    /// Takes the text of a line away: the caller's own, or anybody's by a moderator, who need not
    /// be in the channel. Its number stays.
    pub async fn delete_chat(
        &self,
        caller: &Caller,
        call: wire::DeleteChat,
    ) -> Result<(), Failure> {
        let now = runtime::clock::now();
        self.at_most(permit::LINES, "chat", caller.player).await?;
        let place = self.channel_named(now, caller, &call.channel).await?;
        if !caller.is_moderator() {
            place.admit(caller)?;
        }
        let line = self.chat_line(&place, call.number).await?;
        if line.player != caller.player && !caller.is_moderator() {
            let problem = "only who wrote a line and moderators may delete it";
            return Err(Failure::new(Code::Forbidden, problem));
        }
        let store = &self.parts.store;
        let deleted = store.change_line(&place.key, line.number, None, now);
        let deleted = deleted.await?.ok_or_else(no_line)?;
        self.tell_line(caller, &place, &deleted).await;
        if line.player != caller.player {
            let audit = AuditLine {
                at: now,
                actor: Some(caller.player),
                subject: Some(line.player),
                event: "delete_chat",
                detail: json!({ "channel": place.key, "number": line.number }),
            };
            store.audit(&audit).await?;
        }
        Ok(())
    }

    /// Lines of a channel, oldest first.
    pub async fn list_chat(
        &self,
        caller: &Caller,
        call: wire::ListChat,
    ) -> Result<wire::ChatMessages, Failure> {
        let limit = match call.limit {
            0 => LISTED,
            limit if limit <= LISTED => limit,
            _ => {
                let problem = format!("must be at most {LISTED}");
                return Err(Failure::field("limit", problem));
            }
        };
        let now = runtime::clock::now();
        let place = self.channel_named(now, caller, &call.channel).await?;
        place.admit(caller)?;
        let before = (call.before != 0).then_some(call.before);
        let limit = usize::try_from(limit).unwrap_or_default();
        let lines = self.parts.store.lines(&place.key, before, limit).await?;
        let lines = lines.iter().map(|line| message(&place.channel, line));
        Ok(wire::ChatMessages {
            messages: lines.collect(),
        })
    }

    /// Hears a global channel from now on.
    pub async fn join_channel(
        &self,
        caller: &Caller,
        call: wire::JoinChannel,
    ) -> Result<(), Failure> {
        let heard = self.global_channel(caller, &call.channel).await?;
        let sessions = &self.parts.sessions;
        if sessions.of(caller.player).is_none() {
            let problem = "only who has a socket to this lobby hears a channel";
            return Err(Failure::new(Code::Conflict, problem));
        }
        let others = sessions.heard_by(caller.player).into_iter();
        let others = others.filter(|other| matches!(other, live::Channel::Chat(_)));
        if others.filter(|other| *other != heard).count() >= JOINED {
            let problem = format!("a player hears at most {JOINED} global channels");
            return Err(Failure::new(Code::Full, problem));
        }
        Ok(sessions.hear(caller.player, heard).await?)
    }

    /// Hears a global channel no more.
    pub async fn leave_channel(
        &self,
        caller: &Caller,
        call: wire::LeaveChannel,
    ) -> Result<(), Failure> {
        let heard = self.global_channel(caller, &call.channel).await?;
        self.parts.sessions.unhear(caller.player, heard).await;
        Ok(())
    }

    /// Shows a line to moderators, with those around it. Reporting it again changes nothing.
    pub async fn report_chat(
        &self,
        caller: &Caller,
        call: wire::ReportChat,
    ) -> Result<(), Failure> {
        let reason = permit::reason(&call.reason)?;
        let now = runtime::clock::now();
        self.at_most(permit::REPORTS, "report_chat", caller.player)
            .await?;
        let place = self.channel_named(now, caller, &call.channel).await?;
        place.admit(caller)?;
        let line = self.chat_line(&place, call.number).await?;
        if line.player == caller.player {
            let problem = "must be of a line that another player wrote";
            return Err(Failure::field("number", problem));
        }
        let store = &self.parts.store;
        let end = line.number.saturating_add(AROUND + 1);
        let around = usize::try_from(2 * AROUND + 1).unwrap_or_default();
        let around = store.lines(&place.key, Some(end), around).await?;
        let report = Report {
            by: caller.player,
            channel: place.key.clone(),
            number: line.number,
            reason,
            at: now,
            evidence: around.iter().map(evidence).collect(),
        };
        if store.report(&report).await? {
            let audit = AuditLine {
                at: now,
                actor: Some(caller.player),
                subject: Some(line.player),
                event: "report",
                detail: json!({ "channel": place.key, "number": line.number }),
            };
            store.audit(&audit).await?;
        }
        Ok(())
    }

    /// Keeps a player from writing for a while, or allows it again.
    pub async fn mute_player(
        &self,
        caller: &Caller,
        call: wire::MutePlayer,
    ) -> Result<(), Failure> {
        if !caller.is_moderator() {
            let problem = "only moderators mute players";
            return Err(Failure::new(Code::Forbidden, problem));
        }
        let now = runtime::clock::now();
        let length = permit::mute_length(call.duration)?;
        let mute = Mute {
            player: super::player("player_id", &call.player_id)?,
            until: now.checked_add(length).unwrap_or(Timestamp::MAX),
            by: Some(caller.player),
            reason: permit::reason(&call.reason)?,
        };
        self.mute_until(now, &mute).await
    }

    /// Refuses who is muted, or writes too much.
    async fn admit_line(&self, now: Timestamp, caller: &Caller) -> Result<(), Failure> {
        self.at_most(permit::LINES, "chat", caller.player).await?;
        match self.parts.store.mute_of(caller.player, now).await? {
            Some(mute) => Err(permit::muted(now, &mute)),
            None => Ok(()),
        }
    }

    /// The channel that the caller calls so.
    async fn channel_named(
        &self,
        now: Timestamp,
        caller: &Caller,
        name: &str,
    ) -> Result<Place, Failure> {
        let channel: Channel = name
            .parse()
            .map_err(|invalid: channel::Invalid| Failure::field("channel", invalid.to_string()))?;
        let mut is_open = true;
        let hearers = match &channel {
            Channel::Global(name) if self.parts.settings.channels.contains(name) => {
                Hearers::Joined(name.clone())
            }
            Channel::Global(_) => return Err(no_channel()),
            Channel::Lobby(room) => {
                Hearers::Players(self.channel_members(Kind::Lobby, *room).await?)
            }
            Channel::Party(room) => {
                Hearers::Players(self.channel_members(Kind::Party, *room).await?)
            }
            Channel::Match(id) => {
                let (players, may_write) = self.channel_seats(now, *id, None).await?;
                is_open = may_write;
                Hearers::Players(players)
            }
            Channel::Team(id, team) => {
                let (players, may_write) = self.channel_seats(now, *id, Some(*team)).await?;
                is_open = may_write;
                Hearers::Players(players)
            }
            Channel::Private(other) if *other == caller.player => {
                let problem = "must be another player than the caller";
                return Err(Failure::field("channel", problem));
            }
            Channel::Private(other) => Hearers::Players(vec![caller.player, *other]),
        };
        Ok(Place {
            key: channel.key(caller.player),
            channel,
            hearers,
            is_open,
        })
    }

    /// Who is in a room of this kind.
    async fn channel_members(&self, kind: Kind, room: RoomId) -> Result<Vec<PlayerId>, Failure> {
        let room = self.room(room).await?.filter(|room| room.kind == kind);
        Ok(room.ok_or_else(no_channel)?.players())
    }

    /// Who sits in a match or a team of it, and whether they still talk.
    async fn channel_seats(
        &self,
        now: Timestamp,
        id: MatchId,
        team: Option<u16>,
    ) -> Result<(Vec<PlayerId>, bool), Failure> {
        let made = self.parts.store.find(id).await?.ok_or_else(no_channel)?;
        Ok((channel::seated(&made, team), channel::is_open(now, &made)))
    }

    /// A line that was not deleted.
    async fn chat_line(&self, place: &Place, number: u64) -> Result<ChatLine, Failure> {
        let line = self.parts.store.line(&place.key, number).await?;
        line.filter(|line| !line.is_deleted).ok_or_else(no_line)
    }

    /// What may be said of a text. Who says what may not is told so, and muted in the end.
    async fn judge_text(
        &self,
        now: Timestamp,
        caller: &Caller,
        text: &str,
    ) -> Result<String, Failure> {
        let text = permit::composed("text", text)?;
        match self.parts.moderator.judge(&text) {
            Verdict::Said(text) => Ok(text),
            Verdict::Refused(Reason::Empty) => {
                Err(Failure::field("text", "must have something to read"))
            }
            Verdict::Refused(Reason::Length) => Err(permit::too_long("text")),
            Verdict::Refused(Reason::Word) => {
                self.add_strike(now, caller.player).await?;
                let problem = "the message has a word that is not allowed here";
                Err(Failure::new(Code::Refused, problem))
            }
        }
    }

    /// Counts a refused message.
    async fn add_strike(&self, now: Timestamp, player: PlayerId) -> Result<(), Failure> {
        let live = &*self.parts.live;
        let key = Key::Strikes(player);
        let change = |strikes: Option<Strikes>| {
            let (strikes, mute) = strikes.unwrap_or_default().after(now);
            Ok::<_, live::Error>((Next::Write(strikes), mute))
        };
        let length = documents::change(live, &key, permit::STRIKES_KEPT, change).await?;
        let Some(length) = length else {
            return Ok(());
        };
        let mute = Mute {
            player,
            until: now.checked_add(length).unwrap_or(Timestamp::MAX),
            by: None,
            reason: "refused messages".to_owned(),
        };
        self.mute_until(now, &mute).await
    }

    /// Mutes a player, or ends it, and writes it down.
    async fn mute_until(&self, now: Timestamp, mute: &Mute) -> Result<(), Failure> {
        let store = &self.parts.store;
        store.mute(mute).await?;
        let audit = AuditLine {
            at: now,
            actor: mute.by,
            subject: Some(mute.player),
            event: if mute.until > now { "mute" } else { "unmute" },
            detail: json!({ "until": mute.until, "reason": mute.reason }),
        };
        Ok(store.audit(&audit).await?)
    }

    /// Holds up who writes too often in a global channel.
    async fn slow_mode(&self, caller: &Caller, place: &Place) -> Result<(), Failure> {
        let period = self.parts.settings.slow_mode;
        if period.is_zero() || !matches!(place.hearers, Hearers::Joined(_)) {
            return Ok(());
        }
        let what = format!("slow mode of {}", place.key);
        self.at_most((1, period), &what, caller.player).await
    }

    /// Tells everybody in a channel of a line, each by the name that they have for it.
    async fn tell_line(&self, caller: &Caller, place: &Place, line: &ChatLine) {
        let event = |channel: &Channel| wire::event::Event::ChatMessage(message(channel, line));
        match &place.hearers {
            Hearers::Joined(name) => {
                let heard = live::Channel::Chat(name.clone());
                self.announce(&heard, &event(&place.channel)).await;
            }
            Hearers::Players(players) => {
                for player in players {
                    let channel = place.channel.seen_by(caller.player, *player);
                    self.tell([*player], &event(&channel)).await;
                }
            }
        }
    }

    /// The news of a global channel.
    async fn global_channel(&self, caller: &Caller, name: &str) -> Result<live::Channel, Failure> {
        let now = runtime::clock::now();
        match self.channel_named(now, caller, name).await?.hearers {
            Hearers::Joined(name) => Ok(live::Channel::Chat(name)),
            Hearers::Players(_) => Err(Failure::field("channel", "must be a global channel")),
        }
    }
}

/// A line as it is on the wire.
fn message(channel: &Channel, line: &ChatLine) -> wire::ChatMessage {
    wire::ChatMessage {
        channel: channel.to_string(),
        number: line.number,
        player_id: line.player.to_string(),
        text: line.text.clone(),
        sent_at: Some(timestamp(line.sent_at)),
        edited_at: line.edited_at.map(timestamp),
        is_deleted: line.is_deleted,
    }
}

/// A line as a report keeps it.
fn evidence(line: &ChatLine) -> serde_json::Value {
    json!({
        "number": line.number,
        "player": line.player,
        "text": line.text,
        "sentAt": line.sent_at,
        "editedAt": line.edited_at,
        "isDeleted": line.is_deleted,
    })
}

fn no_channel() -> Failure {
    Failure::new(
        Code::NotFound,
        "there is no such channel, or you are not in it",
    )
}

fn no_line() -> Failure {
    Failure::new(Code::NotFound, "there is no such line")
}
