//! What is to be done about one request. Pure.
//!
//! What is released is the server that carries the request's own label, if any: the allocator sees
//! to that.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use crds::MatchAllocation;
use crds::allocation::{MatchAllocationStatus, MatchState};
use crds::meta;
use crds::state::State;
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::observe::Observed;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing to write.
    Nothing,
    /// Make sure that the server is released before the request goes.
    AddFinalizer,
    /// Ask the allocator, which gives the same server again if an answer of it was lost.
    Allocate,
    /// Release the server after its time and report that.
    Expire,
    /// The server was released after its time, but that was not reported: report it.
    ReportReleased,
    /// The server ended or failed: report that.
    ReportLost,
    /// Release what is held or may be on its way, if anything, and let the request go.
    Finish { releases: bool },
}

/// The next step, and when to look again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) action: Action,
    pub(crate) requeue: Option<Duration>,
}

/// Decides the next step.
pub(crate) fn plan(now: Timestamp, request: &MatchAllocation, observed: &Observed) -> Plan {
    let status = request.status.clone().unwrap_or_default();
    let guarded = request
        .finalizers()
        .iter()
        .any(|name| name == meta::RELEASE_FINALIZER);
    if request.metadata.deletion_timestamp.is_some() {
        // One that is Pending may have a server that nobody has told us of, or get one yet.
        let releases = match status.state {
            MatchState::Pending | MatchState::Allocated => true,
            MatchState::Released | MatchState::Lost => false,
        };
        let finish = Action::Finish { releases };
        return act(if guarded { finish } else { Action::Nothing });
    }
    let server = observed.server.as_ref();
    let is_held = server.is_some_and(|server| server.state() == State::Allocated);
    if !guarded {
        return act(Action::AddFinalizer);
    }
    match (status.state, is_held) {
        (MatchState::Released | MatchState::Lost, _) => act(Action::Nothing),
        (MatchState::Pending, _) => act(Action::Allocate),
        // Release and report are two writes, between which we may have ended.
        (MatchState::Allocated, false) if is_over(now, &status) && !has_failed(observed) => {
            act(Action::ReportReleased)
        }
        (MatchState::Allocated, false) => act(Action::ReportLost),
        (MatchState::Allocated, true) => {
            let Some(expiration) = status.expiration_time else {
                return act(Action::Nothing);
            };
            let left = Duration::try_from(expiration.duration_since(now)).unwrap_or_default();
            if left.is_zero() {
                act(Action::Expire)
            } else {
                Plan {
                    action: Action::Nothing,
                    requeue: Some(left),
                }
            }
        }
    }
}

fn is_over(now: Timestamp, status: &MatchAllocationStatus) -> bool {
    status.expiration_time.is_some_and(|end| end <= now)
}

fn has_failed(observed: &Observed) -> bool {
    let server = observed.server.as_ref();
    server.is_some_and(|server| matches!(server.state(), State::Unhealthy | State::Error))
}

const fn act(action: Action) -> Plan {
    Plan {
        action,
        requeue: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crds::GameServer;
    use crds::gameserver::GameServerStatus;

    use super::*;

    fn request(state: MatchState, expiration: Option<&str>) -> MatchAllocation {
        let mut request = MatchAllocation::default();
        request.metadata.finalizers = Some(vec![meta::RELEASE_FINALIZER.to_owned()]);
        let status = request.status.get_or_insert_default();
        status.state = state;
        status.expiration_time = expiration.map(|time| time.parse().unwrap());
        request
    }

    fn server(state: State) -> Observed {
        let status = GameServerStatus {
            state,
            ..GameServerStatus::default()
        };
        let server = GameServer {
            status: Some(status),
            ..GameServer::default()
        };
        Observed {
            server: Some(Arc::new(server)),
        }
    }

    fn step(request: &MatchAllocation, observed: &Observed) -> Action {
        plan("2026-01-01T00:00:10Z".parse().unwrap(), request, observed).action
    }

    #[test]
    fn the_finalizer_comes_before_the_server() {
        let bare = MatchAllocation::default();
        assert_eq!(step(&bare, &Observed::default()), Action::AddFinalizer);
        let pending = request(MatchState::Pending, None);
        assert_eq!(step(&pending, &Observed::default()), Action::Allocate);
    }

    #[test]
    fn time_releases() {
        let due = request(MatchState::Allocated, Some("2026-01-01T00:00:10Z"));
        assert_eq!(step(&due, &server(State::Allocated)), Action::Expire);
        let early = request(MatchState::Allocated, Some("2026-01-01T00:00:11Z"));
        let plan = plan(
            "2026-01-01T00:00:10Z".parse().unwrap(),
            &early,
            &server(State::Allocated),
        );
        assert_eq!(
            (plan.action, plan.requeue),
            (Action::Nothing, Some(Duration::from_secs(1)))
        );
    }

    #[test]
    fn a_release_that_was_not_reported_is_no_loss() {
        let due = request(MatchState::Allocated, Some("2026-01-01T00:00:10Z"));
        let released = [Observed::default(), server(State::Shutdown)];
        for observed in &released {
            assert_eq!(step(&due, observed), Action::ReportReleased);
        }
        assert_eq!(step(&due, &server(State::Unhealthy)), Action::ReportLost);
        let early = request(MatchState::Allocated, Some("2026-01-01T00:00:11Z"));
        assert_eq!(step(&early, &released[0]), Action::ReportLost);
    }

    #[test]
    fn a_server_that_ended_is_reported_and_not_released() {
        let allocated = request(MatchState::Allocated, None);
        assert_eq!(
            step(&allocated, &server(State::Unhealthy)),
            Action::ReportLost
        );
        assert_eq!(step(&allocated, &Observed::default()), Action::ReportLost);
    }

    #[test]
    fn a_request_that_goes_is_released_unless_nothing_of_it_can_be_held() {
        for (state, releases) in [
            (MatchState::Pending, true),
            (MatchState::Allocated, true),
            (MatchState::Released, false),
            (MatchState::Lost, false),
        ] {
            let mut deleted = request(state, None);
            deleted.metadata.deletion_timestamp =
                Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                    "2026-01-01T00:00:00Z".parse().unwrap(),
                ));
            assert_eq!(
                step(&deleted, &Observed::default()),
                Action::Finish { releases }
            );
            deleted.metadata.finalizers = None;
            assert_eq!(step(&deleted, &Observed::default()), Action::Nothing);
        }
    }
}
