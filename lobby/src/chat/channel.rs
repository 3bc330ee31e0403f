//! What channels are called, and who is in one. Pure.
//!
//! A client says `private:<the other one>`, so that one channel has two names; it is stored under a
//! third, its key.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use crate::ids::{MatchId, PlayerId, RoomId};
use crate::store::{Match, MatchStatus};

/// The longest name of a global channel, in bytes.
pub const MAX_NAME: usize = 64;

/// How long players talk on after their match.
pub const AFTERWARDS: SignedDuration = SignedDuration::from_mins(10);

/// A channel, as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Of everybody who joins it: `global:<name>`.
    Global(String),
    /// Of the members of a lobby: `lobby:<room>`.
    Lobby(RoomId),
    /// Of the members of a party: `party:<room>`.
    Party(RoomId),
    /// Of the players of a match: `match:<match>`.
    Match(MatchId),
    /// Of one team of a match: `team:<match>:<team>`.
    Team(MatchId, u16),
    /// Of two players, named by the other one: `private:<player>`.
    Private(PlayerId),
}

/// This is no name of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// There is no such kind.
    #[error(
        "must be \"global:<name>\", \"lobby:<room>\", \"party:<room>\", \"match:<match>\", \
         \"team:<match>:<team>\" or \"private:<player>\""
    )]
    Kind,
    /// The name of a global channel is missing or too long.
    #[error("must have a name of 1 to {MAX_NAME} bytes after \"global:\"")]
    Name,
    /// What it is of has no id.
    #[error("must have a UUID after \"{0}:\"")]
    Id(&'static str),
    /// The team has no number.
    #[error("must have the number of a team after the match")]
    Team,
}

impl FromStr for Channel {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (kind, name) = text.split_once(':').ok_or(Invalid::Kind)?;
        match kind {
            "global" if (1..=MAX_NAME).contains(&name.len()) => Ok(Self::Global(name.to_owned())),
            "global" => Err(Invalid::Name),
            "lobby" => id("lobby", name).map(Self::Lobby),
            "party" => id("party", name).map(Self::Party),
            "match" => id("match", name).map(Self::Match),
            "team" => {
                let (made, team) = name.split_once(':').ok_or(Invalid::Team)?;
                let team = team.parse().map_err(|_| Invalid::Team)?;
                Ok(Self::Team(id("team", made)?, team))
            }
            "private" => id("private", name).map(Self::Private),
            _ => Err(Invalid::Kind),
        }
    }
}

fn id<Id: FromStr>(kind: &'static str, text: &str) -> Result<Id, Invalid> {
    text.parse().map_err(|_| Invalid::Id(kind))
}

impl fmt::Display for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global(name) => write!(formatter, "global:{name}"),
            Self::Lobby(room) => write!(formatter, "lobby:{room}"),
            Self::Party(room) => write!(formatter, "party:{room}"),
            Self::Match(made) => write!(formatter, "match:{made}"),
            Self::Team(made, team) => write!(formatter, "team:{made}:{team}"),
            Self::Private(player) => write!(formatter, "private:{player}"),
        }
    }
}

impl Channel {
    /// What the store calls the channel that `player` names so: the same for both of a private one.
    pub fn key(&self, player: PlayerId) -> String {
        match self {
            Self::Private(other) => {
                let (first, second) = (player.min(*other), player.max(*other));
                format!("private:{first}:{second}")
            }
            named => named.to_string(),
        }
    }

    /// What `viewer` calls the channel that `player` names so.
    pub fn seen_by(&self, player: PlayerId, viewer: PlayerId) -> Cow<'_, Self> {
        match self {
            Self::Private(_) if viewer != player => Cow::Owned(Self::Private(player)),
            _ => Cow::Borrowed(self),
        }
    }
}

/// The players of a match, or of one team of it.
pub fn seated(made: &Match, team: Option<u16>) -> Vec<PlayerId> {
    let seats = made.seats.iter();
    let seats = seats.filter(|seat| team.is_none_or(|team| seat.team == team));
    seats.map(|seat| seat.player).collect()
}

/// Whether players of a match still talk: while it is played, and a while longer.
pub fn is_open(now: Timestamp, made: &Match) -> bool {
    match (made.status, made.ended_at) {
        (MatchStatus::Started, _) | (_, None) => true,
        (MatchStatus::Ended | MatchStatus::Lost, Some(ended_at)) => {
            now.duration_since(ended_at) < AFTERWARDS
        }
    }
}

#[cfg(test)]
mod tests {
    use access::SessionId;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::store::{Seat, Server};

    const ID: &str = "01990000-0000-7000-8000-000000000001";

    fn player(number: u128) -> PlayerId {
        PlayerId(Uuid::from_u128(number))
    }

    #[test]
    fn every_kind_has_a_name_that_is_read_back() {
        for name in [
            "global:english".to_owned(),
            "global:a:b".to_owned(),
            format!("lobby:{ID}"),
            format!("party:{ID}"),
            format!("match:{ID}"),
            format!("team:{ID}:0"),
            format!("team:{ID}:65535"),
            format!("private:{ID}"),
        ] {
            assert_eq!(name.parse::<Channel>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn one_channel_has_one_key_however_its_id_is_written() {
        let simple = ID.replace('-', "").to_uppercase();
        let channel: Channel = format!("team:{simple}:+07").parse().unwrap();
        assert_eq!(channel.key(player(1)), format!("team:{ID}:7"));
    }

    #[test]
    fn what_is_no_name_is_refused_with_what_would_be_one() {
        for (name, problem) in [
            (String::new(), Invalid::Kind),
            ("english".to_owned(), Invalid::Kind),
            (format!("Lobby:{ID}"), Invalid::Kind),
            (format!("guild:{ID}"), Invalid::Kind),
            ("global:".to_owned(), Invalid::Name),
            (format!("global:{}", "n".repeat(65)), Invalid::Name),
            ("lobby:".to_owned(), Invalid::Id("lobby")),
            ("party:mine".to_owned(), Invalid::Id("party")),
            (format!("match:{ID}:0"), Invalid::Id("match")),
            (format!("team:{ID}"), Invalid::Team),
            (format!("team:{ID}:red"), Invalid::Team),
            (format!("team:{ID}:65536"), Invalid::Team),
            ("team:red:0".to_owned(), Invalid::Id("team")),
            (format!("private:{ID}:{ID}"), Invalid::Id("private")),
        ] {
            assert_eq!(name.parse::<Channel>(), Err(problem), "{name:?}");
        }
        let named = Invalid::Id("party").to_string();
        assert_eq!(named, "must have a UUID after \"party:\"");
    }

    #[test]
    fn a_private_channel_is_one_for_both_and_each_calls_it_by_the_other() {
        let (ada, bob) = (player(1), player(2));
        let [by_ada, by_bob] = [Channel::Private(bob), Channel::Private(ada)];
        assert_eq!(by_ada.key(ada), by_bob.key(bob));
        assert_ne!(by_ada.key(ada), by_ada.key(player(3)));
        assert_eq!(*by_ada.seen_by(ada, ada), by_ada);
        assert_eq!(*by_ada.seen_by(ada, bob), by_bob);
        let lobby = Channel::Lobby(RoomId(Uuid::nil()));
        assert_eq!(*lobby.seen_by(ada, bob), lobby);
    }

    fn made() -> Match {
        let seat = |number, team| Seat {
            player: player(number),
            session: SessionId(Uuid::nil()),
            team,
            rank: None,
            ratings: None,
        };
        Match {
            id: MatchId(Uuid::nil()),
            queue: "duel".to_owned(),
            region: "eu".to_owned(),
            server: Server {
                namespace: "default".to_owned(),
                name: "arena-1".to_owned(),
                endpoint: "203.0.113.7:7012".to_owned(),
            },
            is_rated: true,
            status: MatchStatus::Started,
            made_at: Timestamp::UNIX_EPOCH,
            ended_at: None,
            result: None,
            seats: vec![seat(1, 0), seat(2, 0), seat(3, 1)],
        }
    }

    #[test]
    fn a_team_is_a_part_of_its_match() {
        let made = made();
        assert_eq!(seated(&made, None), [player(1), player(2), player(3)]);
        assert_eq!(seated(&made, Some(0)), [player(1), player(2)]);
        assert_eq!(seated(&made, Some(1)), [player(3)]);
        assert!(seated(&made, Some(2)).is_empty());
    }

    #[test]
    fn players_talk_on_for_a_while_after_their_match() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1);
        let mut made = made();
        assert!(is_open(now, &made));
        for status in [MatchStatus::Ended, MatchStatus::Lost] {
            made.status = status;
            made.ended_at = Some(now - AFTERWARDS);
            assert!(!is_open(now, &made));
            made.ended_at = Some(now - AFTERWARDS + SignedDuration::from_secs(1));
            assert!(is_open(now, &made));
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_so_that_it_is_read_again(name in "[a-z]{0,8}:?\\PC{0,80}") {
            if let Ok(channel) = name.parse::<Channel>() {
                prop_assert_eq!(channel.to_string().parse::<Channel>(), Ok(channel));
            }
        }
    }
}
