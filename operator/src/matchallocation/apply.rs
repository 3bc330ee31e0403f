//! Writes about one request: finalizer, allocation, tokens, release.

use std::time::Duration;

use crds::allocation::{MetadataPatch, ReleasePolicy, SelectorState};
use crds::gameserver::Scheduling;
use crds::{MatchAllocation, meta};
use kube::ResourceExt as _;
use proto::allocation::{
    GameServerSelector, LabelMatchExpressions, MetaPatch, allocation_request, game_server_selector,
    label_match_expressions,
};
use proto::muster::allocation::v1::{
    AllocateRequest, Allocation, Player, ReleaseRequest, release_request,
};
use serde_json::json;
use tonic::{Code, Status};

use super::client::Allocator;
use super::plan::Action;
use super::tokens;
use crate::api::Target;
use crate::error::Error;
use crate::world::World;

/// A request that found no server is looked at again after this time; a server that becomes Ready
/// wakes it at once.
const NO_SERVER_RETRY: Duration = Duration::from_secs(5);

/// The allocator could not be reached, or did not answer: the request may be repeated.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(2);

/// The allocator refuses us: somebody has to mend its access or its version.
const REFUSED_RETRY: Duration = Duration::from_secs(30);

/// A server may be on its way to a request that is to be released. That is over when the call that
/// allocates has ended, which takes no longer than its time limit.
const ON_ITS_WAY_RETRY: Duration = Duration::from_secs(1);

/// What came of a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Applied {
    pub(crate) result: Outcome,
    pub(crate) requeue: Option<Duration>,
}

/// What the status shall say.
#[derive(Clone, Debug, Default)]
pub(crate) enum Outcome {
    /// As before.
    #[default]
    Same,
    /// This server is held.
    Allocated(Box<Held>),
    /// No server yet; with a reason and a message.
    Waiting(&'static str, String),
    /// The time was up.
    Released,
    /// The server is gone.
    Lost,
}

/// The server that is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) ports: Vec<(String, i32)>,
    pub(crate) node_name: String,
    /// When it was allocated.
    pub(crate) since: Option<jiff::Timestamp>,
    /// Name of the Secret with the players' tokens; empty without any.
    pub(crate) tokens: String,
}

/// Carries out one step.
pub(crate) async fn apply(
    world: &World,
    allocator: &Allocator,
    request: &MatchAllocation,
    action: Action,
) -> Result<Applied, Error> {
    let done = |result| {
        Ok(Applied {
            result,
            requeue: None,
        })
    };
    let later = |pause| {
        Ok(Applied {
            result: Outcome::Same,
            requeue: Some(pause),
        })
    };
    match action {
        Action::Nothing => done(Outcome::Same),
        Action::AddFinalizer => {
            let mut finalizers = request.finalizers().to_vec();
            finalizers.push(meta::RELEASE_FINALIZER.to_owned());
            set_finalizers(world, request, finalizers).await?;
            done(Outcome::Same)
        }
        Action::Allocate => allocate(world, allocator, request).await,
        Action::Expire => match release(world, allocator, request).await {
            Ok(()) => done(Outcome::Released),
            Err(pause) => later(pause),
        },
        Action::ReportReleased => done(Outcome::Released),
        Action::ReportLost => done(Outcome::Lost),
        Action::Finish { releases } => {
            if releases && let Err(pause) = release(world, allocator, request).await {
                return later(pause);
            }
            let mut finalizers = request.finalizers().to_vec();
            finalizers.retain(|name| name != meta::RELEASE_FINALIZER);
            match set_finalizers(world, request, finalizers).await {
                // Gone already: nothing is left to do.
                Err(error) if error.is_not_found() => done(Outcome::Same),
                other => other.map(|()| Applied::default()),
            }
        }
    }
}

async fn set_finalizers(
    world: &World,
    request: &MatchAllocation,
    finalizers: Vec<String>,
) -> Result<(), Error> {
    let patch = json!({ "metadata": { "finalizers": finalizers } });
    let written: MatchAllocation = world
        .api
        .patch(&Target::of(&request.metadata), patch)
        .await?;
    world.matches.wrote(&written);
    Ok(())
}

/// Has the allocator let the server of a request go; returns the pause before the next try if that
/// is not done.
///
/// Only the allocator can tell that a request without a server will not get one: a call of ours
/// that ended, or was another leader's, may still have a write under way. So the request stays
/// until the allocator has answered.
async fn release(
    world: &World,
    allocator: &Allocator,
    request: &MatchAllocation,
) -> Result<(), Duration> {
    let policy = match request.spec.release_policy {
        ReleasePolicy::Shutdown => release_request::ReleasePolicy::Shutdown,
        ReleasePolicy::ReturnToReady => release_request::ReleasePolicy::ReturnToReady,
    };
    let asked = ReleaseRequest {
        namespace: request.namespace().unwrap_or_default(),
        request_id: request.uid().unwrap_or_default(),
        policy: policy.into(),
    };
    let Err(status) = allocator.release(asked).await else {
        return Ok(());
    };
    if status.code() == Code::Aborted {
        return Err(ON_ITS_WAY_RETRY);
    }
    let (_, message, pause) = explain(&status);
    let reason = "ReleaseDelayed";
    world.events.warning(request, reason, message).await;
    Err(pause.unwrap_or(REFUSED_RETRY))
}

/// Asks the allocator, and keeps the tokens before the server is reported. If either fails, or the
/// report does, the next look gets the same server with new tokens, in a Secret of their own.
async fn allocate(
    world: &World,
    allocator: &Allocator,
    request: &MatchAllocation,
) -> Result<Applied, Error> {
    let answer = match allocator.allocate(to_request(request)).await {
        Ok(answer) => answer,
        Err(status) if status.code() == Code::AlreadyExists => {
            return Ok(Applied {
                result: Outcome::Lost,
                requeue: None,
            });
        }
        Err(status) => {
            let (reason, message, requeue) = explain(&status);
            if reason == "AllocatorUnavailable" {
                world.events.warning(request, reason, message.clone()).await;
            }
            return Ok(Applied {
                result: Outcome::Waiting(reason, message),
                requeue,
            });
        }
    };
    let mut held = from_answer(answer.allocation.unwrap_or_default());
    if !answer.tokens.is_empty() {
        held.tokens = tokens::keep(world, request, answer.tokens).await?;
    }
    tracing::info!(
        request = request.name_any(),
        server = held.name,
        "Allocated a game server"
    );
    Ok(Applied {
        result: Outcome::Allocated(Box::new(held)),
        requeue: None,
    })
}

/// What a refusal means for the request.
fn explain(status: &Status) -> (&'static str, String, Option<Duration>) {
    let message = status.message().to_owned();
    match status.code() {
        Code::ResourceExhausted => ("NoServerReady", message, Some(NO_SERVER_RETRY)),
        Code::InvalidArgument | Code::Unimplemented => ("Invalid", message, None),
        Code::FailedPrecondition => ("NotJoinable", message, Some(NO_SERVER_RETRY)),
        Code::Aborted => ("Contention", message, Some(Duration::from_millis(200))),
        Code::Unauthenticated | Code::PermissionDenied => {
            ("AllocatorRefuses", message, Some(REFUSED_RETRY))
        }
        _ => ("AllocatorUnavailable", message, Some(UNAVAILABLE_RETRY)),
    }
}

fn to_request(request: &MatchAllocation) -> AllocateRequest {
    let spec = &request.spec;
    let MetadataPatch {
        labels,
        annotations,
    } = spec.metadata.clone().unwrap_or_default();
    let scheduling = match spec.scheduling {
        Scheduling::Packed => allocation_request::SchedulingStrategy::Packed,
        Scheduling::Distributed => allocation_request::SchedulingStrategy::Distributed,
    };
    let player = |player: &crds::matches::Player| Player {
        player_id: player.player_id.clone(),
        team: player.team.into(),
        spectator: false,
        trace_context: String::new(),
    };
    AllocateRequest {
        namespace: request.namespace().unwrap_or_default(),
        request_id: request.uid().unwrap_or_default(),
        match_id: String::new(),
        players: spec.players.iter().map(player).collect(),
        selectors: spec.selectors.iter().map(to_selector).collect(),
        scheduling: scheduling.into(),
        metadata: Some(MetaPatch {
            labels,
            annotations,
        }),
        token_lifetime: Some(pbjson_types::Duration {
            seconds: spec.token_lifetime_seconds,
            nanos: 0,
        }),
    }
}

fn to_selector(selector: &crds::allocation::GameServerSelector) -> GameServerSelector {
    let state = match selector.game_server_state {
        SelectorState::Ready => game_server_selector::GameServerState::Ready,
        SelectorState::Allocated => game_server_selector::GameServerState::Allocated,
    };
    let expressions = selector.match_expressions.iter().map(|expression| {
        use label_match_expressions::Operator;
        let operator = match expression.operator.as_str() {
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            // The schema admits no others.
            _ => Operator::In,
        };
        LabelMatchExpressions {
            key: expression.key.clone(),
            operator: operator.into(),
            values: expression.values.clone().unwrap_or_default(),
        }
    });
    GameServerSelector {
        match_labels: selector.match_labels.clone(),
        game_server_state: state.into(),
        match_expressions: expressions.collect(),
        ..GameServerSelector::default()
    }
}

fn from_answer(allocation: Allocation) -> Held {
    let since = allocation.allocation_time.unwrap_or_default();
    Held {
        name: allocation.game_server_name,
        address: allocation.address,
        ports: allocation
            .ports
            .into_iter()
            .map(|port| (port.name, port.port))
            .collect(),
        node_name: allocation.node_name,
        since: jiff::Timestamp::new(since.seconds, since.nanos).ok(),
        tokens: String::new(),
    }
}
