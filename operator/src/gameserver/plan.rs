//! What is to be done about one game server. Pure; called by the reconcile of this kind.
//!
//! Never deletes a server that is not Shutdown, and never touches one that is being deleted.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use crds::gameserver::GameServerStatusAddress;
use crds::state::State;
use jiff::Timestamp;

/// A `Scheduled` write is only worth its cost when readiness takes longer than a second. The time
/// of scheduling is in whole seconds, and may show up to one more than has passed.
const SCHEDULED_AFTER: Duration = Duration::from_secs(2);

/// What is known about a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) state: State,
    pub(crate) being_deleted: bool,
    /// Set for development servers, which have no pod.
    pub(crate) dev_address: Option<String>,
    /// Node in the server's status.
    pub(crate) node_name: String,
    /// Whether an address is in the server's status.
    pub(crate) has_address: bool,
    pub(crate) pod: PodState,
    /// Whether this process is making the pod at this moment.
    pub(crate) pod_in_flight: bool,
}

/// What is known about the pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum PodState {
    /// There is none.
    #[default]
    Missing,
    /// A pod of that name belongs to something else.
    Foreign,
    /// Ended with success.
    Succeeded,
    /// Failed or was evicted; with the reason.
    Failed(String),
    /// Exists.
    Alive(PodAlive),
}

/// A pod that has not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodAlive {
    pub(crate) being_deleted: bool,
    /// Whether the game container has ended, in a pod that restarts its containers.
    pub(crate) game_ended: bool,
    /// When it was bound to a node.
    pub(crate) scheduled_at: Option<Timestamp>,
    /// Its node with the addresses for players; absent until the node is known.
    pub(crate) place: Option<Place>,
}

/// Where a server can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) node_name: String,
    pub(crate) address: String,
    pub(crate) addresses: Vec<GameServerStatusAddress>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Choose the ports and go to Creating (development servers: to Ready).
    AssignPorts,
    /// Make the pod.
    CreatePod,
    /// Write where the server is, and this state.
    Locate { state: State, place: Place },
    /// Give the server up.
    MarkUnhealthy { why: String },
    /// The game ended by itself.
    MarkShutdown { why: String },
    /// Give the server up before it had a pod.
    MarkError { why: String },
    /// Let the ended server go.
    Delete,
}

/// The next step, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) action: Option<Action>,
    pub(crate) requeue: Option<Duration>,
}

/// Decides the next step.
pub(crate) fn plan(now: Timestamp, server: &Observed) -> Plan {
    // The API server ends the pod first and then the object.
    if server.being_deleted {
        return Plan::default();
    }
    match server.state {
        State::PortAllocation => step(Action::AssignPorts),
        State::Shutdown => step(Action::Delete),
        // Kept as evidence; the set deletes its own after a while, and users theirs.
        State::Error | State::Unhealthy => Plan::default(),
        _ if server.dev_address.is_some() => Plan::default(),
        State::Creating | State::Starting | State::Scheduled | State::RequestReady => {
            before_ready(now, server)
        }
        State::Ready | State::Allocated | State::Reserved => running(server),
    }
}

fn before_ready(now: Timestamp, server: &Observed) -> Plan {
    let pod = match &server.pod {
        PodState::Missing if server.state == State::Creating => {
            return if server.pod_in_flight {
                Plan::default()
            } else {
                step(Action::CreatePod)
            };
        }
        PodState::Missing => return step(unhealthy("Pod is missing")),
        PodState::Foreign => {
            let why = "a Pod of this name belongs to something else".to_owned();
            return step(Action::MarkError { why });
        }
        PodState::Succeeded => return step(succeeded()),
        PodState::Failed(why) => return step(unhealthy(why)),
        PodState::Alive(pod) => pod,
    };
    let Some(place) = &pod.place else {
        return Plan::default();
    };
    if server.state == State::RequestReady {
        return step(Action::Locate {
            state: State::Ready,
            place: place.clone(),
        });
    }
    let moved = !server.node_name.is_empty() && server.node_name != place.node_name;
    if server.state == State::Scheduled && !moved {
        return Plan::default();
    }
    let since = pod
        .scheduled_at
        .map_or(Duration::MAX, |at| elapsed(at, now));
    if since < SCHEDULED_AFTER && !moved {
        let remaining = SCHEDULED_AFTER.saturating_sub(since);
        return Plan {
            action: None,
            requeue: Some(remaining),
        };
    }
    step(Action::Locate {
        state: State::Scheduled,
        place: place.clone(),
    })
}

fn running(server: &Observed) -> Plan {
    match &server.pod {
        PodState::Missing => step(unhealthy("Pod is missing")),
        PodState::Foreign => step(unhealthy("Pod was replaced by another one")),
        PodState::Succeeded => step(succeeded()),
        PodState::Failed(why) => step(unhealthy(why)),
        PodState::Alive(pod) => {
            let moved =
                |place: &Place| !server.node_name.is_empty() && server.node_name != place.node_name;
            if pod.game_ended {
                step(unhealthy("game container ended after Ready"))
            } else if pod.being_deleted && server.state == State::Ready {
                // Nobody plays there, and nobody shall be sent there any more. Held servers keep
                // their grace period.
                step(unhealthy("Pod is being deleted"))
            } else if pod.place.as_ref().is_some_and(moved) {
                step(unhealthy("Pod is on another node"))
            } else if let (false, Some(place)) = (server.has_address, &pod.place) {
                step(Action::Locate {
                    state: server.state,
                    place: place.clone(),
                })
            } else {
                Plan::default()
            }
        }
    }
}

fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

const fn step(action: Action) -> Plan {
    Plan {
        action: Some(action),
        requeue: None,
    }
}

fn unhealthy(why: &str) -> Action {
    Action::MarkUnhealthy {
        why: why.to_owned(),
    }
}

fn succeeded() -> Action {
    Action::MarkShutdown {
        why: "Pod is in Succeeded state".to_owned(),
    }
}
