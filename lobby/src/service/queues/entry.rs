//! From a call to a ticket: who plays, how good they are, and what they ask.

use std::collections::BTreeMap;

use proto::muster::lobby::v1 as wire;
use uuid::Uuid;

use super::{Caller, Service};
use crate::error::{Code, Failure};
use crate::ids::{PlayerId, SessionId, TicketId};
use crate::live::VALUE_LIMIT;
use crate::matchmaking::queue::{Invalid, MAX_WISHES};
use crate::matchmaking::ticket::{Demand, Must, Player};
use crate::matchmaking::{Queue, Ticket};

/// Bytes of a ticket for each of its players, at most: the largest match must fit where pending
/// ones are kept.
const PLAYER_LIMIT: usize = 4000;

/// Bytes of a ticket at most: it must fit into a seat.
const TICKET_LIMIT: usize = VALUE_LIMIT - 1024;

/// Bytes of an attribute's name, and of a text, at most.
const MAX_NAME: usize = 64;

/// Seconds after which a demand is dropped at the latest, if ever: the pool remembers that moment
/// also when the ticket has left.
const LONGEST_DEMAND: u32 = 3600;

const MAX_TEXT: usize = 256;

impl Service {
    /// A queue by its name.
    pub(super) fn queue_named(&self, name: &str) -> Result<&Queue, Failure> {
        self.parts.queues.get(name).ok_or_else(|| Failure {
            field: Some("queue".into()),
            ..Failure::new(Code::NotFound, "there is no such queue")
        })
    }

    /// The ticket that a caller asks for.
    pub(super) async fn ticket(
        &self,
        caller: &Caller,
        queue: &Queue,
        call: wire::JoinQueue,
    ) -> Result<Ticket, Failure> {
        let demands = demands(call.demands)?;
        let avoided = avoided(&call.avoided)?;
        let members = self.members(caller).await?;
        // Refused before everybody's profile is read.
        if members.len() > queue.party_size() {
            let most = queue.party_size();
            let problem = format!("takes parties of {most} at most");
            return Err(Failure::field("queue", problem));
        }
        let trace = runtime::trace::parse(&call.trace_context);
        let ids: Vec<PlayerId> = members.iter().map(|(player, _)| *player).collect();
        let ratings = self.parts.store.ratings(&queue.name, &ids).await?;
        let mut players = Vec::with_capacity(members.len());
        for (id, session) in members {
            let profile = self.profile_of(id).await?.unwrap_or_default();
            let mut attributes = profile.attributes;
            attributes.retain(|name, _| queue.client_attributes.contains(name));
            let mut latencies: BTreeMap<String, u32> = profile.latencies;
            latencies.retain(|region, _| queue.regions.contains(region));
            let known = ratings.get(&id).map(|rated| rated.rating);
            players.push(Player {
                id,
                rating: known.unwrap_or_else(|| queue.ratings.newcomer()).mean,
                attributes,
                latencies,
                session,
                trace_context: trace
                    .clone()
                    .filter(|_| id == caller.player)
                    .unwrap_or_default(),
            });
        }
        let ticket = Ticket {
            id: TicketId(Uuid::new_v4()),
            entered: runtime::clock::now(),
            players,
            demands,
            avoided,
        };
        queue.admit(&ticket).map_err(refused)?;
        let size = serde_json::to_vec(&ticket).map_or(usize::MAX, |text| text.len());
        if size > TICKET_LIMIT.min(PLAYER_LIMIT * ticket.players.len()) {
            let problem = "are too much for one ticket, with what profiles say";
            return Err(Failure::field("demands", problem));
        }
        Ok(ticket)
    }

    /// Who plays: the caller alone, or the party whose host he is. The caller is the first.
    async fn members(&self, caller: &Caller) -> Result<Vec<(PlayerId, SessionId)>, Failure> {
        let this = (caller.player, caller.session);
        let Some(party) = self.rooms_of(caller.player).await?.party else {
            return Ok(vec![this]);
        };
        if party.host != caller.player {
            let problem = "the host of the party decides about queues";
            return Err(Failure::new(Code::Forbidden, problem));
        }
        let others = party.members.iter();
        let others = others.filter(|member| member.player != caller.player);
        let mut members = vec![this];
        for member in others {
            if !member.is_connected() {
                let problem = "a member of the party is not connected";
                return Err(Failure::new(Code::Conflict, problem));
            }
            members.push((member.player, member.session));
        }
        Ok(members)
    }
}

/// What is wrong with a ticket, by the fields of the call. What profiles and ratings say is no
/// field of it: the queue is what does not fit.
fn refused(invalid: Invalid) -> Failure {
    if invalid.path.starts_with("players") {
        return Failure::field("queue", invalid.to_string());
    }
    invalid.into()
}

fn demands(said: Vec<wire::Demand>) -> Result<Vec<Demand>, Failure> {
    if said.len() > MAX_WISHES {
        let problem = format!("must be {MAX_WISHES} at most");
        return Err(Failure::field("demands", problem));
    }
    let numbered = (0..).zip(said);
    numbered.map(|(index, said)| demand(index, said)).collect()
}

fn demand(index: usize, said: wire::Demand) -> Result<Demand, Failure> {
    use wire::demand::Must as Said;
    let wrong = |field: &str, problem: &'static str| {
        Failure::field(format!("demands[{index}].{field}"), problem)
    };
    if !(1..=MAX_NAME).contains(&said.attribute.len()) {
        return Err(wrong("attribute", "must have 1 to 64 bytes"));
    }
    let number = |field: &str, number: f64| {
        let is_finite = number.is_finite();
        is_finite
            .then_some(number)
            .ok_or_else(|| wrong(field, "must be finite"))
    };
    let must = match said.must {
        Some(Said::BeOneOf(texts)) => {
            let texts = texts.texts;
            let are_few = (1..=MAX_WISHES).contains(&texts.len());
            if !are_few || texts.iter().any(|text| text.len() > MAX_TEXT) {
                let problem = "must be 1 to 64 texts of at most 256 bytes";
                return Err(wrong("be_one_of", problem));
            }
            Must::BeOneOf(texts)
        }
        Some(Said::BeAtLeast(least)) => Must::BeAtLeast(number("be_at_least", least)?),
        Some(Said::BeAtMost(most)) => Must::BeAtMost(number("be_at_most", most)?),
        None => return Err(wrong("must", "must be there")),
    };
    let until_seconds = match said.until {
        None => None,
        Some(until) => {
            let seconds = u32::try_from(until.seconds).ok();
            let seconds = seconds.filter(|seconds| (1..=LONGEST_DEMAND).contains(seconds));
            Some(seconds.ok_or_else(|| wrong("until", "must be 1 second to an hour"))?)
        }
    };
    Ok(Demand {
        attribute: said.attribute,
        must,
        until_seconds,
    })
}

fn avoided(said: &[String]) -> Result<Vec<PlayerId>, Failure> {
    if said.len() > MAX_WISHES {
        let problem = format!("must be {MAX_WISHES} at most");
        return Err(Failure::field("avoided", problem));
    }
    let numbered = said.iter().enumerate();
    numbered
        .map(|(index, text)| {
            let wrong = |_| Failure::field(format!("avoided[{index}]"), "must be a UUID");
            text.parse().map_err(wrong)
        })
        .collect()
}
