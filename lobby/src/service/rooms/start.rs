//! A lobby's own match.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use proto::muster::lobby::v1 as wire;
use uuid::Uuid;

use super::{AT_ONCE, Caller, Service};
use crate::error::{Code, Failure};
use crate::ids::{MatchId, RoomId};
use crate::matchmaking::Queue;
use crate::rooms::{Command, Room, regions};
use crate::service::matches::{NewMatch, NewSeat, Unplaced};

impl Service {
    /// Makes a match of a lobby: by its host, when all others are ready and the teams fit the queue
    /// that the settings name. Players are told where to play as of any match.
    pub async fn start_match(
        &self,
        caller: &Caller,
        call: wire::StartMatch,
    ) -> Result<(), Failure> {
        let id = self.room_of(caller, &call.room_id).await?;
        let fresh = MatchId(Uuid::now_v7());
        let start = |room: &Room| {
            Ok(Command::Start {
                by: caller.player,
                session: caller.session,
                id: fresh,
                shape: self.queue_of(room)?.teams,
            })
        };
        let room = self.change_by(id, start).await?;
        let Some(starting) = &room.starting else {
            return Err(Failure::new(Code::Conflict, "the match was given up"));
        };
        let (next, outcome) = match self.place_room(&room, starting.id).await {
            Ok(()) => (Command::Begin { id: starting.id }, Ok(())),
            // What was done is unknown: who tries again must try the same match.
            Err(failure) if failure.code == Code::Unavailable => {
                (Command::Doubt { id: starting.id }, Err(failure))
            }
            Err(failure) => (Command::Abandon { id: starting.id }, Err(failure)),
        };
        self.end_start(id, &next).await;
        outcome
    }

    /// Lets the room go on after a start. When that fails it does so by itself after a while, and
    /// what became of the match is no less true.
    async fn end_start(&self, id: RoomId, next: &Command) {
        match self.change(id, next).await {
            Ok(_) => {}
            // Everybody left meanwhile.
            Err(failure) if failure.code == Code::NotFound => {}
            Err(failure) => tracing::warn!(%failure, "A room waits for the end of its start"),
        }
    }

    async fn place_room(&self, room: &Room, id: MatchId) -> Result<(), Failure> {
        let wanted = self.room_match(room, id).await?;
        match self.place(&wanted).await {
            Ok(_) => Ok(()),
            Err(unplaced) => Err(failure(&unplaced)),
        }
    }

    /// The match that a room is to have.
    async fn room_match(&self, room: &Room, id: MatchId) -> Result<NewMatch, Failure> {
        let queue = self.queue_of(room)?;
        let teams = room.teams(queue.teams)?;
        let mut profiles = futures::stream::iter(room.players())
            .map(|player| self.profile_of(player))
            .buffered(AT_ONCE);
        let mut reaches: Vec<BTreeMap<String, u32>> = Vec::new();
        while let Some(profile) = profiles.next().await {
            reaches.push(profile?.unwrap_or_default().latencies);
        }
        let Some(region) = regions::choose(&queue.regions, &reaches) else {
            let problem = "no region of the queue is in reach of all members";
            return Err(Failure::new(Code::Conflict, problem));
        };
        let seats = teams.into_iter().map(|team| {
            let seat = team.into_iter().map(|member| NewSeat {
                player: member.player,
                session: member.session,
                trace_context: String::new(),
            });
            seat.collect()
        });
        Ok(NewMatch {
            id,
            queue: queue.name.clone(),
            region: region.to_owned(),
            // Friends could trade wins otherwise.
            is_rated: false,
            teams: seats.collect(),
        })
    }

    /// The queue that a room's settings name.
    fn queue_of(&self, room: &Room) -> Result<&Queue, Failure> {
        let Some(name) = &room.settings.queue else {
            let problem = "the settings of the room name no queue";
            return Err(Failure::new(Code::Conflict, problem));
        };
        self.parts.queues.get(name).ok_or_else(|| {
            let problem = "there is no such queue any more: change the settings";
            Failure::new(Code::Conflict, problem)
        })
    }
}

/// Why a room's match has no server, as its host learns it.
fn failure(unplaced: &Unplaced) -> Failure {
    match unplaced {
        Unplaced::NoServer => Failure::new(Code::NoServer, "no server is free"),
        Unplaced::Busy(players) => {
            let players: Vec<String> = players.iter().map(ToString::to_string).collect();
            let problem = format!("in another match: {}", players.join(", "));
            Failure::new(Code::Conflict, problem)
        }
        Unplaced::Refused(_) => {
            tracing::warn!(error = %unplaced, "The match of a room was refused");
            Failure::new(
                Code::Conflict,
                "the servers of this queue take no such match",
            )
        }
        Unplaced::Unavailable(_) => {
            tracing::warn!(error = %unplaced, "The match of a room has no server yet");
            let problem = "what gives servers does not answer: try again";
            Failure::new(Code::Unavailable, problem)
        }
    }
}
