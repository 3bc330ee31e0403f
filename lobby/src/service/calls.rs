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

/// Writes the message within an answer, as HTTP answers.
pub fn write(answer: &Answer, codec: Codec) -> Result<Vec<u8>, Failure> {
    match answer {
        Answer::Done(message) => codec.write(message),
        Answer::Welcome(message) => codec.write(message),
        Answer::Regions(message) => codec.write(message),
        Answer::Room(message) => codec.write(message),
        Answer::Rooms(message) => codec.write(message),
        Answer::Queue(message) => codec.write(message),
        Answer::Matches(message) => codec.write(message),
        Answer::Ratings(message) => codec.write(message),
        Answer::ChatMessage(message) => codec.write(message),
        Answer::ChatMessages(message) => codec.write(message),
        Answer::MatchReady(message) => codec.write(message),
        Answer::Presences(message) => codec.write(message),
    }
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
    Answered(Result<Answer, Failure>),
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
            Known::Answered(answer) => return answer,
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
            Some(document) => read_answer(&document.value).map(Known::Answered),
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
    pub async fn state(&self, _player: PlayerId) -> Result<wire::State, Failure> {
        Ok(wire::State::default())
    }

    /// A session of the player has begun here.
    pub async fn connected(&self, _caller: &Caller) {}

    /// The player's last session is over: nobody has come back to it in time.
    pub async fn disconnected(&self, _player: PlayerId) {}

    async fn dispatch(&self, caller: &Caller, call: Call) -> Result<Answer, Failure> {
        let _ = caller;
        match call {
            Call::Hello(_) => Err(Failure::new(Code::Conflict, "the socket is signed in")),
            Call::SetProfile(_)
            | Call::ListRegions(_)
            | Call::FollowPlayers(_)
            | Call::SetPresence(_)
            | Call::CreateRoom(_)
            | Call::JoinRoom(_)
            | Call::LeaveRoom(_)
            | Call::KickMember(_)
            | Call::PromoteMember(_)
            | Call::SetReady(_)
            | Call::SetTeam(_)
            | Call::ChangeRoom(_)
            | Call::InvitePlayer(_)
            | Call::SearchRooms(_)
            | Call::StartMatch(_)
            | Call::JoinQueue(_)
            | Call::LeaveQueue(_)
            | Call::AnswerProposal(_)
            | Call::RejoinMatch(_)
            | Call::ListMatches(_)
            | Call::GetRatings(_)
            | Call::SendChat(_)
            | Call::EditChat(_)
            | Call::DeleteChat(_)
            | Call::ListChat(_)
            | Call::JoinChannel(_)
            | Call::LeaveChannel(_)
            | Call::ReportChat(_)
            | Call::MutePlayer(_) => Err(Failure::new(Code::Unavailable, "to come")),
        }
    }
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
