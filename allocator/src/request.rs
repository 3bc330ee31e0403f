//! A message from outside becomes a request that is known to be valid, with compiled selectors.
//!
//! Fields that this version does not act on are refused, never ignored: a caller must not take a
//! server for one that it did not ask for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use crds::allocation::SelectorState;
use crds::gameserver::Scheduling;
use prost::Message as _;
use proto::allocation as wire;
use proto::allocation::allocation_request::SchedulingStrategy;
use proto::allocation::game_server_selector::GameServerState;
use proto::allocation::label_match_expressions::Operator;
use proto::muster::allocation::v1;

use crate::select::Wanted;
use crate::selector::{Expression, Selector, Test};
use crate::validate::{self, Problem};

/// Most selectors of one request, the deprecated ones included.
const MOST_SELECTORS: usize = 64;

/// Compiled selectors that are kept, per generation.
const CACHED: usize = 512;

/// Selectors with a longer signature are compiled anew each time.
const CACHED_SIZE: usize = 4 * 1024;

/// A valid request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which server.
    pub wanted: Wanted,
    /// Labels to put on it.
    pub labels: BTreeMap<String, String>,
    /// Annotations to put on it.
    pub annotations: BTreeMap<String, String>,
}

/// Why a message is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A field breaks a rule.
    #[error("{field}: {rule}")]
    Invalid {
        /// Path of the field.
        field: String,
        /// The rule.
        rule: Rule,
    },
    /// A field asks for something that this version does not do.
    #[error("{field} is not supported by this version of Muster")]
    Unsupported {
        /// Path of the field.
        field: String,
    },
}

/// The rule that a field breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// A label or annotation is malformed.
    #[error(transparent)]
    Metadata(#[from] Problem),
    /// A number stands for no value of the enumeration.
    #[error("must be one of {0}")]
    OneOf(&'static str),
    /// In and `NotIn` compare with something.
    #[error("must have at least one value with operator In or NotIn")]
    NoValues,
    /// Exists and `DoesNotExist` compare with nothing.
    #[error("must be empty with operator Exists or DoesNotExist")]
    Values,
    /// Work per request is bounded.
    #[error("must have at most 64 entries in total")]
    TooMany,
    /// Where game servers live.
    #[error("must be the name of a namespace")]
    Namespace,
    /// A request id becomes a label.
    #[error(
        "must be 1 to 63 letters, digits, '-', '_' or '.', and start and end with a letter or digit"
    )]
    RequestId,
    /// Players and matches have UUIDs.
    #[error("must be a UUID such as 0190a5b2-7c1e-7d3a-9f00-1234567890ab")]
    Uuid,
    /// A player has one token.
    #[error("must be another player than the ones before")]
    Again,
    /// Teams are numbers of one byte.
    #[error("must be 0 to 255")]
    Team,
    /// Tokens per request are bounded.
    #[error("must have at most 1024 entries")]
    TooManyPlayers,
    /// Without players there is nothing to mint.
    #[error("must have at least 1 entry")]
    NoPlayers,
    /// Tokens are short-lived.
    #[error("must be from 1 second to 10 minutes")]
    Lifetime,
}

/// Compiles requests; keeps the selectors that come again.
#[derive(Debug, Default)]
pub struct Compiler {
    cache: Mutex<Generations>,
}

/// Two generations stand in for an order of last use: what is used moves to the young one, and the
/// old one is dropped when the young one is full.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Vec<u8>, Arc<Selector>>,
    old: HashMap<Vec<u8>, Arc<Selector>>,
}

impl Compiler {
    /// Checks and compiles a message.
    pub fn compile(&self, message: wire::AllocationRequest) -> Result<Request, Error> {
        refuse_unsupported(&message)?;
        let scheduling = scheduling(message.scheduling)?;
        let selectors = self.agones_selectors(&message)?;
        // As in Agones: the deprecated name counts only without the new one.
        let (name, patch) = match (message.metadata, message.meta_patch) {
            (Some(patch), _) => ("metadata", patch),
            (None, Some(patch)) => ("metaPatch", patch),
            (None, None) => ("metadata", wire::MetaPatch::default()),
        };
        check_metadata(name, &patch)?;
        Ok(Request {
            wanted: Wanted {
                namespace: message.namespace,
                selectors,
                scheduling,
                has_players: false,
                has_request_id: false,
            },
            labels: patch.labels,
            annotations: patch.annotations,
        })
    }

    /// Checks and compiles what a message of `muster.allocation.v1` says of the server; its ids and
    /// players are checked by [`crate::players`].
    pub fn compile_match(&self, message: v1::AllocateRequest) -> Result<Request, Error> {
        let scheduling = scheduling(message.scheduling)?;
        if message.selectors.len() > MOST_SELECTORS {
            return invalid("selectors", Rule::TooMany);
        }
        let mut selectors = self.selectors("selectors", &message.selectors)?;
        if selectors.is_empty() {
            selectors.push(Arc::default());
        }
        let patch = message.metadata.unwrap_or_default();
        check_metadata("metadata", &patch)?;
        Ok(Request {
            wanted: Wanted {
                namespace: message.namespace,
                selectors,
                scheduling,
                has_players: !message.players.is_empty(),
                has_request_id: true,
            },
            labels: patch.labels,
            annotations: patch.annotations,
        })
    }

    /// The selectors in the order in which they are tried.
    ///
    /// As in Agones: `gameServerSelectors` alone if there are any, else the deprecated preferred
    /// ones and then the required one, which without any field fits every Ready server.
    fn agones_selectors(
        &self,
        message: &wire::AllocationRequest,
    ) -> Result<Vec<Arc<Selector>>, Error> {
        let preferred = &message.preferred_game_server_selectors;
        if message.game_server_selectors.len() + preferred.len() > MOST_SELECTORS {
            return invalid("gameServerSelectors", Rule::TooMany);
        }
        let current = self.selectors("gameServerSelectors", &message.game_server_selectors)?;
        let mut deprecated = self.selectors("preferredGameServerSelectors", preferred)?;
        deprecated.push(match &message.required_game_server_selector {
            Some(required) => self.selector("requiredGameServerSelector", required)?,
            None => Arc::default(),
        });
        Ok(if current.is_empty() {
            deprecated
        } else {
            current
        })
    }

    fn selectors(
        &self,
        field: &str,
        messages: &[wire::GameServerSelector],
    ) -> Result<Vec<Arc<Selector>>, Error> {
        let each = messages.iter().enumerate();
        each.map(|(place, message)| self.selector(&format!("{field}[{place}]"), message))
            .collect()
    }

    fn selector(
        &self,
        field: &str,
        message: &wire::GameServerSelector,
    ) -> Result<Arc<Selector>, Error> {
        let signature = message.encode_to_vec();
        if let Some(known) = self.lock().get(&signature) {
            return Ok(known);
        }
        let selector = Arc::new(compile(field, message)?);
        if signature.len() <= CACHED_SIZE {
            self.lock().insert(signature, Arc::clone(&selector));
        }
        Ok(selector)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get(&mut self, signature: &[u8]) -> Option<Arc<Selector>> {
        if let Some(known) = self.young.get(signature) {
            return Some(Arc::clone(known));
        }
        let (signature, known) = self.old.remove_entry(signature)?;
        self.insert(signature, Arc::clone(&known));
        Some(known)
    }

    fn insert(&mut self, signature: Vec<u8>, selector: Arc<Selector>) {
        if self.young.len() >= CACHED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(signature, selector);
    }
}

fn scheduling(number: i32) -> Result<Scheduling, Error> {
    match SchedulingStrategy::try_from(number) {
        Ok(SchedulingStrategy::Packed) => Ok(Scheduling::Packed),
        Ok(SchedulingStrategy::Distributed) => Ok(Scheduling::Distributed),
        Err(_) => invalid("scheduling", Rule::OneOf("Packed (0), Distributed (1)")),
    }
}

fn check_metadata(field: &str, patch: &wire::MetaPatch) -> Result<(), Error> {
    if let Err((key, problem)) = validate::labels(&patch.labels) {
        return invalid(format!("{field}.labels[{key}]"), problem);
    }
    if let Err((key, problem)) = validate::annotations(&patch.annotations) {
        return invalid(format!("{field}.annotations[{key}]"), problem);
    }
    Ok(())
}

pub(crate) fn invalid<T>(field: impl Into<String>, rule: impl Into<Rule>) -> Result<T, Error> {
    Err(Error::Invalid {
        field: field.into(),
        rule: rule.into(),
    })
}

fn unsupported(field: impl Into<String>) -> Result<(), Error> {
    Err(Error::Unsupported {
        field: field.into(),
    })
}

fn refuse_unsupported(message: &wire::AllocationRequest) -> Result<(), Error> {
    if message
        .multi_cluster_setting
        .as_ref()
        .is_some_and(|setting| setting.enabled)
    {
        return unsupported("multiClusterSetting.enabled");
    }
    if !message.priorities.is_empty() {
        return unsupported("priorities");
    }
    if !message.counters.is_empty() {
        return unsupported("counters");
    }
    if !message.lists.is_empty() {
        return unsupported("lists");
    }
    Ok(())
}

fn compile(field: &str, message: &wire::GameServerSelector) -> Result<Selector, Error> {
    if !message.counters.is_empty() {
        unsupported(format!("{field}.counters"))?;
    }
    if !message.lists.is_empty() {
        unsupported(format!("{field}.lists"))?;
    }
    if let Err((key, problem)) = validate::labels(&message.match_labels) {
        return invalid(format!("{field}.matchLabels[{key}]"), problem);
    }
    let state = match GameServerState::try_from(message.game_server_state) {
        Ok(GameServerState::Ready) => SelectorState::Ready,
        Ok(GameServerState::Allocated) => SelectorState::Allocated,
        Err(_) => {
            let rule = Rule::OneOf("READY (0), ALLOCATED (1)");
            return invalid(format!("{field}.gameServerState"), rule);
        }
    };
    if message.match_expressions.len() > MOST_SELECTORS {
        return invalid(format!("{field}.matchExpressions"), Rule::TooMany);
    }
    let each = message.match_expressions.iter().enumerate();
    let expressions = each
        .map(|(place, expression)| {
            compile_expression(&format!("{field}.matchExpressions[{place}]"), expression)
        })
        .collect::<Result<_, _>>()?;
    Ok(Selector {
        labels: message.match_labels.clone(),
        expressions,
        state,
    })
}

fn compile_expression(
    field: &str,
    message: &wire::LabelMatchExpressions,
) -> Result<Expression, Error> {
    if let Err(problem) = validate::key(&message.key) {
        return invalid(format!("{field}.key"), problem);
    }
    let Ok(operator) = Operator::try_from(message.operator) else {
        let rule = Rule::OneOf("In (0), NotIn (1), Exists (2), DoesNotExist (3)");
        return invalid(format!("{field}.operator"), rule);
    };
    for (place, value) in message.values.iter().enumerate() {
        if let Err(problem) = validate::value(value) {
            return invalid(format!("{field}.values[{place}]"), problem);
        }
    }
    let values: BTreeSet<String> = message.values.iter().cloned().collect();
    let test = match (operator, values.is_empty()) {
        (Operator::In, false) => Test::In(values),
        (Operator::NotIn, false) => Test::NotIn(values),
        (Operator::Exists, true) => Test::Exists,
        (Operator::DoesNotExist, true) => Test::DoesNotExist,
        (Operator::In | Operator::NotIn, true) => {
            return invalid(format!("{field}.values"), Rule::NoValues);
        }
        (Operator::Exists | Operator::DoesNotExist, false) => {
            return invalid(format!("{field}.values"), Rule::Values);
        }
    };
    Ok(Expression {
        key: message.key.clone(),
        test,
    })
}

#[cfg(test)]
mod tests;
