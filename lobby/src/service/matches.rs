//! Matches: from a proposal to seats on a server, and what players ask about them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use proto::muster::lobby::v1 as wire;
use tracing::Span;
use wire::event::Event;

use crate::accounts;
use crate::error::{Code, Failure};
use crate::ids::{MatchId, PlayerId, SessionId};
use crate::matches::UNASSIGNED;
use crate::matchmaking::Queue;
use crate::servers::{self, Player, Token, Wanted};
use crate::service::{Caller, Service, player, timestamp};
use crate::store::{self, Committed, Match, MatchStatus, Seat};

/// Annotations of a server: of which queue its match is, and where.
const QUEUE_ANNOTATION: &str = "muster.dev/queue";
const REGION_ANNOTATION: &str = "muster.dev/region";

/// Matches of one list at most.
const MOST_MATCHES: u32 = 50;

/// Where a list of matches ends: a message that is much larger does not fit a socket.
const LIST_BYTES: usize = 128 * 1024;

/// A match that wants a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMatch {
    /// Its id, which is the request id of the allocation.
    pub id: MatchId,
    /// Of which queue.
    pub queue: String,
    /// Where.
    pub region: String,
    /// Whether its result counts for ratings.
    pub is_rated: bool,
    /// By team.
    pub teams: Vec<Vec<NewSeat>>,
}

/// A player of a new match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSeat {
    /// Who.
    pub player: PlayerId,
    /// `session_key` for game servers.
    pub session: SessionId,
    /// The player's trace, as `traceparent`; empty without one.
    pub trace_context: String,
}

/// A match has no server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unplaced {
    /// None is free; another try may help later.
    #[error("no server is free")]
    NoServer,
    /// These players are in another match.
    #[error("players are in another match")]
    Busy(Vec<PlayerId>),
    /// This match never gets a server: the allocator refuses it for good, or it has had one that is
    /// gone. Its players may be in another match.
    #[error("the allocator refuses: {0}")]
    Refused(String),
    /// Something does not answer: what was done is unknown, and doing it again is safe.
    #[error("{0}")]
    Unavailable(String),
}

impl From<store::Error> for Unplaced {
    fn from(error: store::Error) -> Self {
        tracing::warn!(%error, "The database failed");
        Self::Unavailable("the database does not answer".to_owned())
    }
}

impl From<servers::Error> for Unplaced {
    fn from(error: servers::Error) -> Self {
        match error {
            servers::Error::NoServer => Self::NoServer,
            servers::Error::Unknown => Self::Refused("its server is gone".to_owned()),
            servers::Error::Refused(message) => Self::Refused(message),
            servers::Error::Unavailable(_) => Self::Unavailable(error.to_string()),
        }
    }
}

impl Service {
    /// Gives a match a server, makes it a fact in the store, and tells players where to play. Safe
    /// to repeat with the same match, by any lobby.
    ///
    /// Nothing after the store's word can fail: players who were not told find the match when they
    /// ask, and what auth was not told is told later ([`crate::matches::follow`]).
    pub async fn place(&self, wanted: &NewMatch) -> Result<Match, Unplaced> {
        let parts = self.parts();
        let Some(queue) = parts.queues.get(&wanted.queue) else {
            return Err(Unplaced::Refused(format!(
                "there is no queue {}",
                wanted.queue
            )));
        };
        let spans: Vec<Span> = seats(wanted).map(|(_, seat)| span(seat)).collect();
        let allocated = match parts
            .servers
            .allocate(&request(queue, wanted, &spans))
            .await
        {
            Ok(allocated) => allocated,
            Err(error) => return self.unplaced(queue, wanted.id, error).await,
        };
        let made = made(wanted, allocated.server, runtime::clock::now());
        let placed = match parts.store.commit(&made).await? {
            Committed::Made => made,
            Committed::Known => parts.store.find(wanted.id).await?.unwrap_or(made),
            Committed::Busy(players) => {
                // Only when the server is back the match is given up: until then it is repeated.
                let namespace = &made.server.namespace;
                parts.servers.release(namespace, wanted.id).await?;
                return Err(Unplaced::Busy(players));
            }
        };
        if placed.status == MatchStatus::Started {
            self.seat(&placed, &allocated.tokens).await;
        }
        Ok(placed)
    }

    /// What it means that there was no server for a match this time.
    async fn unplaced(
        &self,
        queue: &Queue,
        id: MatchId,
        error: servers::Error,
    ) -> Result<Match, Unplaced> {
        let parts = self.parts();
        match &error {
            // It may have been placed before, and be over.
            servers::Error::Unknown | servers::Error::Refused(_) => {
                if let Some(placed) = parts.store.find(id).await? {
                    return Ok(placed);
                }
                if let servers::Error::Refused(_) = &error {
                    // It may hold a server that cannot be used.
                    parts.servers.release(&queue.servers.namespace, id).await?;
                }
            }
            servers::Error::NoServer | servers::Error::Unavailable(_) => {}
        }
        Err(error.into())
    }

    /// Tells everybody of a match where to play.
    async fn seat(&self, placed: &Match, tokens: &[Token]) {
        let shown = to_wire(placed);
        let told = placed.seats.iter().map(|seat| {
            let token = tokens.iter().find(|token| token.player == seat.player);
            self.seat_player(placed, &shown, seat, token)
        });
        let assigned = futures::future::join_all(told).await;
        if assigned.contains(&false) {
            let member = placed.id.to_string();
            let mark = self
                .parts()
                .live
                .mark(UNASSIGNED, &member, crate::matches::KEEP);
            if let Err(error) = mark.await {
                tracing::warn!(%error, "Auth will not be told where players play");
            }
        }
    }

    /// Tells one player where to play, and auth. False when auth must be told again.
    async fn seat_player(
        &self,
        placed: &Match,
        shown: &wire::Match,
        seat: &Seat,
        token: Option<&Token>,
    ) -> bool {
        let (assigned, reconnection_token) = futures::join!(
            self.assign(seat.player, seat.session, &placed.server.endpoint),
            self.reconnection_token(seat.player, seat.session, &placed.server.endpoint),
        );
        let shown = shown.clone();
        let ready = ready(placed, shown, seat.session, token, reconnection_token);
        self.tell([seat.player], &Event::MatchReady(ready)).await;
        assigned
    }

    /// Notes in auth where a session plays. False when that must be repeated.
    async fn assign(&self, player: PlayerId, session: SessionId, game_server: &str) -> bool {
        let assigned = self.parts().accounts.assign(player, session, game_server);
        match assigned.await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "Auth does not know where a player plays");
                !matches!(error, accounts::Error::Unavailable(_))
            }
        }
    }

    /// A token by which a player comes back; empty without one.
    async fn reconnection_token(
        &self,
        player: PlayerId,
        session: SessionId,
        game_server: &str,
    ) -> String {
        let accounts = &self.parts().accounts;
        let token = accounts.reconnection_token(player, session, game_server);
        token.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "A player has no reconnection token");
            String::new()
        })
    }

    /// A new connect token for the match that the caller is in.
    pub async fn rejoin_match(
        &self,
        caller: &Caller,
        call: wire::RejoinMatch,
    ) -> Result<wire::MatchReady, Failure> {
        let nothing = || Failure::new(Code::NotFound, "you are in no match");
        let parts = self.parts();
        let found = parts.store.open_match(caller.player).await?;
        let found = found.ok_or_else(nothing)?;
        let own = |seat: &&Seat| seat.player == caller.player;
        let team = found.seats.iter().find(own).ok_or_else(nothing)?.team;
        let session = if call.reconnection_token.is_empty() {
            // A new login takes the place of the session that played.
            self.assign(caller.player, caller.session, &found.server.endpoint)
                .await;
            caller.session
        } else {
            self.come_back(caller, &found, &call.reconnection_token)
                .await?
        };
        let joining = Player {
            id: caller.player,
            team,
            trace_context: runtime::trace::current().unwrap_or_default(),
        };
        let minted = parts
            .servers
            .mint(&found.server.namespace, found.id, &[joining])
            .await;
        let tokens = minted.map_err(|error| match error {
            servers::Error::Unknown => nothing(),
            servers::Error::NoServer
            | servers::Error::Refused(_)
            | servers::Error::Unavailable(_) => {
                tracing::warn!(%error, "A player got no connect token");
                Failure::new(Code::Unavailable, "the allocator does not answer")
            }
        })?;
        let reconnection_token = self
            .reconnection_token(caller.player, session, &found.server.endpoint)
            .await;
        let shown = to_wire(&found);
        let token = tokens.first();
        Ok(ready(&found, shown, session, token, reconnection_token))
    }

    /// The session behind a reconnection token, which must be the caller's on this match's server.
    async fn come_back(
        &self,
        caller: &Caller,
        found: &Match,
        token: &str,
    ) -> Result<SessionId, Failure> {
        let refused = || Failure {
            field: Some("reconnection_token".into()),
            ..Failure::new(Code::InvalidToken, "the token is not good for this match")
        };
        let playing = self.parts().accounts.reconnect(token).await;
        let playing = playing.map_err(|error| match error {
            accounts::Error::Refused(_) => refused(),
            accounts::Error::Unavailable(_) => {
                tracing::warn!(%error, "Auth did not read a reconnection token");
                Failure::new(Code::Unavailable, "auth does not answer")
            }
        })?;
        let is_good =
            playing.player == caller.player && playing.game_server == found.server.endpoint;
        is_good.then_some(playing.session).ok_or_else(refused)
    }

    /// The caller's matches, newest first.
    pub async fn list_matches(
        &self,
        caller: &Caller,
        call: wire::ListMatches,
    ) -> Result<wire::Matches, Failure> {
        let before = match &*call.before {
            "" => None,
            before => Some(
                before
                    .parse()
                    .map_err(|_| Failure::field("before", "must be the id of a match"))?,
            ),
        };
        let limit = match call.limit {
            0 => MOST_MATCHES,
            limit @ 1..=MOST_MATCHES => limit,
            _ => return Err(Failure::field("limit", "must be 50 or less")),
        };
        let limit = usize::try_from(limit).unwrap_or_default();
        let store = &self.parts().store;
        let matches = store.matches_of(caller.player, before, limit).await?;
        let mut room = LIST_BYTES;
        let shown = matches.iter().map(to_wire).take_while(|shown| {
            let has_room = room > 0;
            room = room.saturating_sub(shown.encoded_len());
            has_room
        });
        Ok(wire::Matches {
            matches: shown.collect(),
        })
    }

    /// A player's ratings in all queues.
    pub async fn get_ratings(
        &self,
        caller: &Caller,
        call: wire::GetRatings,
    ) -> Result<wire::Ratings, Failure> {
        let whose = match &*call.player_id {
            "" => caller.player,
            other => player("player_id", other)?,
        };
        let rated = self.parts().store.ratings_of(whose).await?;
        let rating = |(queue, rated): (String, store::Rated)| wire::Rating {
            queue,
            mean: rated.rating.mean,
            deviation: rated.rating.deviation,
            matches: rated.matches,
        };
        Ok(wire::Ratings {
            ratings: rated.into_iter().map(rating).collect(),
        })
    }

    /// The match that a player is in, for the player's state.
    pub async fn match_state(&self, player: PlayerId) -> Result<Option<wire::Match>, Failure> {
        let found = self.parts().store.open_match(player).await?;
        Ok(found.as_ref().map(to_wire))
    }
}

/// The seats of a new match, with their teams.
fn seats(wanted: &NewMatch) -> impl Iterator<Item = (u16, &NewSeat)> {
    let teams = (0_u16..).zip(&wanted.teams);
    teams.flat_map(|(team, seats)| seats.iter().map(move |seat| (team, seat)))
}

/// What is done for a player until the match is placed, in the player's own trace. Nothing for
/// players who are not traced.
fn span(seat: &NewSeat) -> Span {
    if runtime::trace::parse(&seat.trace_context).is_none() {
        return Span::none();
    }
    let span = runtime::span!(parent: None, "place player");
    runtime::trace::continue_from(&span, &seat.trace_context);
    span
}

/// What the allocator is asked for. `spans` are those of the seats, in their order.
fn request(queue: &Queue, wanted: &NewMatch, spans: &[Span]) -> Wanted {
    let choice = &queue.servers;
    let mut labels = choice.labels.clone();
    if let Some(label) = &choice.region_label {
        labels.insert(label.clone(), wanted.region.clone());
    }
    let player = |((team, seat), span): ((u16, &NewSeat), &Span)| Player {
        id: seat.player,
        team,
        trace_context: span
            .in_scope(|| (!span.is_disabled()).then(runtime::trace::current))
            .flatten()
            .unwrap_or_else(|| seat.trace_context.clone()),
    };
    Wanted {
        id: wanted.id,
        namespace: choice.namespace.clone(),
        selectors: vec![labels],
        players: seats(wanted).zip(spans).map(player).collect(),
        annotations: BTreeMap::from([
            (QUEUE_ANNOTATION.to_owned(), wanted.queue.clone()),
            (REGION_ANNOTATION.to_owned(), wanted.region.clone()),
        ]),
    }
}

fn made(wanted: &NewMatch, server: store::Server, now: jiff::Timestamp) -> Match {
    let seat = |(team, seat): (u16, &NewSeat)| Seat {
        player: seat.player,
        session: seat.session,
        team,
        rank: None,
        ratings: None,
    };
    Match {
        id: wanted.id,
        queue: wanted.queue.clone(),
        region: wanted.region.clone(),
        server,
        is_rated: wanted.is_rated,
        status: MatchStatus::Started,
        // As exact as stores keep it, so that all see the same.
        made_at: jiff::Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now),
        ended_at: None,
        result: None,
        seats: seats(wanted).map(seat).collect(),
    }
}

fn ready(
    placed: &Match,
    shown: wire::Match,
    session: SessionId,
    token: Option<&Token>,
    reconnection_token: String,
) -> wire::MatchReady {
    wire::MatchReady {
        game_server: placed.server.endpoint.clone(),
        session_key: session.to_string(),
        connect_token: token
            .map(|token| STANDARD.encode(&token.connect_token))
            .unwrap_or_default(),
        r#match: Some(shown),
        token_expires_at: token.map(|token| timestamp(token.expires_at)),
        reconnection_token,
    }
}

/// A match as players see it.
pub fn to_wire(known: &Match) -> wire::Match {
    let status = match known.status {
        MatchStatus::Started => wire::r#match::Status::Started,
        MatchStatus::Ended => wire::r#match::Status::Ended,
        MatchStatus::Lost => wire::r#match::Status::Lost,
    };
    let seat = |seat: &Seat| {
        let (before, after) = seat.ratings.unwrap_or_default();
        wire::Seat {
            player_id: seat.player.to_string(),
            team: seat.team.into(),
            rank: seat.rank.unwrap_or_default().into(),
            rating: after,
            rating_change: after - before,
        }
    };
    wire::Match {
        match_id: known.id.to_string(),
        queue: known.queue.clone(),
        region: known.region.clone(),
        status: status.into(),
        seats: known.seats.iter().map(seat).collect(),
        made_at: Some(timestamp(known.made_at)),
        ended_at: known.ended_at.map(timestamp),
        result: known
            .result
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    }
}
