//! What the status of a request says. Pure.

use crds::MatchAllocation;
use crds::allocation::{MatchAllocationStatus, MatchState};
use crds::gameserver::GameServerStatusPort;
use jiff::{SignedDuration, Timestamp};

use super::apply::{Applied, Outcome};
use crate::conditions::{Condition, set};

/// Returns the new status; none while nothing is known.
pub(crate) fn status(
    now: Timestamp,
    request: &MatchAllocation,
    applied: &Applied,
) -> Option<MatchAllocationStatus> {
    let mut status = request.status.clone().unwrap_or_default();
    let (state, condition) = match &applied.result {
        Outcome::Same => return None,
        Outcome::Allocated(held) => {
            let since = held.since.unwrap_or(now);
            status.game_server_name.clone_from(&held.name);
            status.address.clone_from(&held.address);
            status.ports = held
                .ports
                .iter()
                .map(|(name, port)| GameServerStatusPort {
                    name: name.clone(),
                    port: *port,
                })
                .collect();
            status.node_name.clone_from(&held.node_name);
            status.connect_tokens_secret_name.clone_from(&held.tokens);
            status.allocation_time = Some(since);
            status.expiration_time = request
                .spec
                .max_duration_seconds
                .and_then(|seconds| since.checked_add(SignedDuration::from_secs(seconds)).ok());
            let message = format!("game server {} is held for this match", held.name);
            (
                MatchState::Allocated,
                Condition::yes("Allocated", "Allocated", message),
            )
        }
        Outcome::Waiting(reason, message) => (
            MatchState::Pending,
            Condition::no("Allocated", reason, message.clone()),
        ),
        Outcome::Released => {
            let message = "maxDurationSeconds have passed".to_owned();
            (
                MatchState::Released,
                Condition::no("Allocated", "Expired", message),
            )
        }
        Outcome::Lost => {
            let name = &status.game_server_name;
            let message = if name.is_empty() {
                "the match ended before its game server could be reported".to_owned()
            } else {
                format!("game server {name} ended or failed before its release")
            };
            (
                MatchState::Lost,
                Condition::no("Allocated", "GameServerLost", message),
            )
        }
    };
    status.state = state;
    status.observed_generation = request.metadata.generation;
    set(
        &mut status.conditions,
        now,
        request.metadata.generation,
        condition,
    );
    Some(status)
}
