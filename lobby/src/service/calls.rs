//! Leads calls to what answers them, by whichever way they came, and says what a player's state is.

use std::time::{Duration, Instant};

use access::jws::sha256;
use prost::Message as _;
use proto::muster::lobby::v1 as wire;
use wire::answer::Answer;
use wire::call::Call;

use crate::error::{Code, Failure};
use crate::ids::PlayerId;
use crate::live::{self, Key, Written};
use crate::rooms::Room;
use crate::service::{Caller, Service};
use crate::socket::codec::Codec;

/// The longest idempotency key, in bytes.
pub const MAX_KEY: usize = 64;

/// For how long the first answer to a call with an idempotency key is kept.
pub const REMEMBER: Duration = Duration::from_mins(10);

/// For how long a call may take that has a key: after that another attempt is made.
const ATTEMPT: Duration = Duration::from_secs(30);

/// When to ask again for the answer of an attempt that goes on.
const AGAIN: Duration = Duration::from_secs(1);

/// Every call but Hello, by the name that it has over HTTP.
macro_rules! calls {
    ($($name:literal => $variant:ident,)+) => {
        /// The names of all calls but Hello.
        pub const NAMES: &[&str] = &[$($name),+];

        /// The name of a call.
        pub const fn name(call: &Call) -> &'static str {
            match call {
                Call::Hello(_) => "hello",
                $(Call::$variant(_) => $name,)+
            }
        }

        /// Reads the call of that name from its own message. None when there is no such call.
        pub fn read(name: &str, codec: Codec, body: &[u8]) -> Result<Option<Call>, Failure> {
            Ok(Some(match name {
                $($name => Call::$variant(codec.read(body)?),)+
                _ => return Ok(None),
            }))
        }
    };
}

calls! {
    "set_profile" => SetProfile,
    "list_regions" => ListRegions,
    "follow_players" => FollowPlayers,
    "set_presence" => SetPresence,
    "create_room" => CreateRoom,
    "join_room" => JoinRoom,
    "leave_room" => LeaveRoom,
    "kick_member" => KickMember,
    "promote_member" => PromoteMember,
    "set_ready" => SetReady,
    "set_team" => SetTeam,
    "change_room" => ChangeRoom,
    "invite_player" => InvitePlayer,
    "search_rooms" => SearchRooms,
    "start_match" => StartMatch,
    "join_queue" => JoinQueue,
    "leave_queue" => LeaveQueue,
    "answer_proposal" => AnswerProposal,
    "rejoin_match" => RejoinMatch,
    "list_matches" => ListMatches,
    "get_ratings" => GetRatings,
    "send_chat" => SendChat,
    "edit_chat" => EditChat,
    "delete_chat" => DeleteChat,
    "list_chat" => ListChat,
    "join_channel" => JoinChannel,
    "leave_channel" => LeaveChannel,
    "report_chat" => ReportChat,
    "mute_player" => MutePlayer,
}

/// A failure as it is on the wire.
pub fn error(failure: &Failure) -> wire::Error {
    wire::Error {
        code: failure.code.name().to_owned(),
        message: failure.message.clone().into_owned(),
        field: failure.field.clone().unwrap_or_default().into_owned(),
        retry_after: failure.retry_after.map(super::duration),
    }
}

/// A failure as it was on the wire.
fn failure(error: wire::Error) -> Failure {
    let field = (!error.field.is_empty()).then_some(error.field);
    let retry_after = error.retry_after.and_then(|span| span.try_into().ok());
    Failure {
        field: field.map(Into::into),
        retry_after,
        ..Failure::new(Code::from_name(&error.code), error.message)
    }
}

/// What only reads may be done again, and so may what answers with a secret that is kept nowhere.
const fn is_repeatable(call: &Call) -> bool {
    matches!(
        call,
        Call::Hello(_)
            | Call::ListRegions(_)
            | Call::SearchRooms(_)
            | Call::RejoinMatch(_)
            | Call::ListMatches(_)
            | Call::GetRatings(_)
            | Call::ListChat(_)
    )
}

/// Whether a later attempt may end otherwise although nothing else changes.
const fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::Throttled | Code::Unavailable | Code::Internal | Code::NoServer
    )
}

/// What is known of a call with a key.
enum Known {
    /// It is made now; what comes of it goes in place of this version.
    Begun(u64),
    /// It was made, and this came of it.
    Answered(Box<Result<Answer, Failure>>),
}

impl Service {
    /// Answers a call, once for each idempotency key.
    pub async fn answer(&self, caller: &Caller, key: &str, call: Call) -> Result<Answer, Failure> {
        let begun = Instant::now();
        let name = name(&call);
        let answer = if key.is_empty() || is_repeatable(&call) {
            self.dispatch(caller, call).await
        } else {
            self.answer_once(caller, key, call).await
        };
        self.parts.metrics.called(name, &answer, begun.elapsed());
        answer
    }

    async fn answer_once(&self, caller: &Caller, key: &str, call: Call) -> Result<Answer, Failure> {
        if key.len() > MAX_KEY {
            let problem = "must be at most 64 bytes";
            return Err(Failure::field("idempotency_key", problem));
        }
        // The same key with another call is another key.
        let what = format!("{}\0{}\0{key}", caller.player, name(&call));
        let place = Key::Answered(sha256(what.as_bytes()));
        let version = match self.known(&place).await? {
            Known::Answered(answer) => return *answer,
            Known::Begun(version) => version,
        };
        let answer = self.dispatch(caller, call).await;
        if let Err(error) = self.remember(&place, version, &answer).await {
            tracing::warn!(%error, "An answer is not remembered");
        }
        answer
    }

    /// What became of the call that has this place; begins it if there was none.
    async fn known(&self, place: &Key) -> Result<Known, Failure> {
        let live = &self.parts.live;
        if let Written::Version(version) = live.write(place, 0, &[], ATTEMPT).await? {
            return Ok(Known::Begun(version));
        }
        let known = live.read(place).await?;
        match known.filter(|document| !document.value.is_empty()) {
            // The first attempt goes on, or its lobby died: then it is made again later.
            None => Err(Failure::throttled(AGAIN)),
            Some(document) => {
                read_answer(&document.value).map(|answer| Known::Answered(Box::new(answer)))
            }
        }
    }

    async fn remember(
        &self,
        place: &Key,
        version: u64,
        answer: &Result<Answer, Failure>,
    ) -> Result<(), live::Error> {
        let live = &self.parts.live;
        let message = match answer {
            Ok(answer) => wire::message::Message::Answer(wire::Answer {
                answer: Some(answer.clone()),
            }),
            Err(failure) if !is_passing(failure.code) => {
                wire::message::Message::Error(error(failure))
            }
            Err(_) => {
                live.remove(place, version).await?;
                return Ok(());
            }
        };
        let bytes = wire::Message {
            message: Some(message),
            ..wire::Message::default()
        };
        live.write(place, version, &bytes.encode_to_vec(), REMEMBER)
            .await?;
        Ok(())
    }

    /// Everything about the player that events tell changes of.
    pub async fn state(&self, player: PlayerId) -> Result<wire::State, Failure> {
        let rooms = self.rooms_of(player).await?;
        Ok(wire::State {
            party: rooms.party.as_ref().map(Room::to_wire),
            lobby: rooms.lobby.as_ref().map(Room::to_wire),
            queue: self.queue_state(player).await?,
            r#match: self.match_state(player).await?,
        })
    }

    /// A session of the player has begun here, and misses nothing from now on. What the player's
    /// state is then, which everybody who keeps an eye on it learns, too.
    pub async fn connected(&self, player: PlayerId) -> Result<wire::State, Failure> {
        self.note_connection(player, true).await;
        let state = self.state(player).await?;
        self.presence_state(player, &state);
        Ok(state)
    }

    /// The player has a socket now, or lost it. Who has none for 30 seconds leaves rooms and queues:
    /// that time begins when the socket breaks, not when its session ends.
    pub async fn note_connection(&self, player: PlayerId, is_connected: bool) {
        self.presence_connection(player, is_connected);
        self.room_connection(player, is_connected).await;
        self.queue_connection(player, is_connected).await;
    }

    async fn dispatch(&self, who: &Caller, call: Call) -> Result<Answer, Failure> {
        match call {
            Call::Hello(_) => Err(Failure::new(Code::Conflict, "the socket is signed in")),
            Call::SetProfile(call) => wrap(self.set_profile(who, call).await),
            Call::ListRegions(call) => wrap(self.list_regions(who, call).await),
            Call::FollowPlayers(call) => wrap(self.follow_players(who, call).await),
            Call::SetPresence(call) => wrap(self.set_presence(who, call).await),
            Call::CreateRoom(call) => wrap(self.create_room(who, call).await),
            Call::JoinRoom(call) => wrap(self.join_room(who, call).await),
            Call::LeaveRoom(call) => wrap(self.leave_room(who, call).await),
            Call::KickMember(call) => wrap(self.kick_member(who, call).await),
            Call::PromoteMember(call) => wrap(self.promote_member(who, call).await),
            Call::SetReady(call) => wrap(self.set_ready(who, call).await),
            Call::SetTeam(call) => wrap(self.set_team(who, call).await),
            Call::ChangeRoom(call) => wrap(self.change_room(who, call).await),
            Call::InvitePlayer(call) => wrap(self.invite_player(who, call).await),
            Call::SearchRooms(call) => wrap(self.search_rooms(who, call).await),
            Call::StartMatch(call) => wrap(self.start_match(who, call).await),
            Call::JoinQueue(call) => wrap(self.join_queue(who, call).await),
            Call::LeaveQueue(call) => wrap(self.leave_queue(who, call).await),
            Call::AnswerProposal(call) => wrap(self.answer_proposal(who, call).await),
            Call::RejoinMatch(call) => wrap(self.rejoin_match(who, call).await),
            Call::ListMatches(call) => wrap(self.list_matches(who, call).await),
            Call::GetRatings(call) => wrap(self.get_ratings(who, call).await),
            Call::SendChat(call) => wrap(self.send_chat(who, call).await),
            Call::EditChat(call) => wrap(self.edit_chat(who, call).await),
            Call::DeleteChat(call) => wrap(self.delete_chat(who, call).await),
            Call::ListChat(call) => wrap(self.list_chat(who, call).await),
            Call::JoinChannel(call) => wrap(self.join_channel(who, call).await),
            Call::LeaveChannel(call) => wrap(self.leave_channel(who, call).await),
            Call::ReportChat(call) => wrap(self.report_chat(who, call).await),
            Call::MutePlayer(call) => wrap(self.mute_player(who, call).await),
        }
    }
}

fn wrap<Said: Says>(said: Result<Said, Failure>) -> Result<Answer, Failure> {
    said.map(Says::answer)
}

/// What a call returns, as the answer that it is.
trait Says {
    fn answer(self) -> Answer;
}

impl Says for () {
    fn answer(self) -> Answer {
        Answer::Done(wire::Done {})
    }
}

/// Messages that are an answer each, and how they are written as HTTP answers.
macro_rules! answers {
    ($($variant:ident($message:ident),)+) => {
        $(
            impl Says for wire::$message {
                fn answer(self) -> Answer {
                    Answer::$variant(self)
                }
            }
        )+

        /// Writes the message within an answer, as HTTP answers.
        pub fn write(answer: &Answer, codec: Codec) -> Result<Vec<u8>, Failure> {
            match answer {
                Answer::Done(message) => codec.write(message),
                $(Answer::$variant(message) => codec.write(message),)+
            }
        }
    };
}

answers! {
    Welcome(Welcome),
    Regions(Regions),
    Room(Room),
    Rooms(Rooms),
    Queue(QueueState),
    Matches(Matches),
    Ratings(Ratings),
    ChatMessage(ChatMessage),
    ChatMessages(ChatMessages),
    MatchReady(MatchReady),
    Presences(Presences),
}

/// Reads what was remembered.
fn read_answer(bytes: &[u8]) -> Result<Result<Answer, Failure>, Failure> {
    let message = wire::Message::decode(bytes)
        .map_err(|error| Failure::defect("An answer that was kept makes no sense", &error))?;
    Ok(match message.message {
        Some(wire::message::Message::Answer(wire::Answer {
            answer: Some(answer),
        })) => Ok(answer),
        Some(wire::message::Message::Error(error)) => Err(failure(error)),
        _ => Err(Failure::new(Code::Internal, "a defect of the lobby")),
    })
}
