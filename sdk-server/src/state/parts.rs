//! What a change is made of. Each part is replaced, split off and answered on its own.

use std::collections::BTreeMap;

use proto::muster::hub::v1::state_change::State;
use proto::muster::hub::v1::{Change, StateChange};

use crate::state::Ticket;
use crate::validate;

/// What one part of a change writes. The order is that of sending parts alone: states last, since
/// nothing can be written after a shutdown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Label(String),
    Annotation(String),
    State,
}

impl std::fmt::Display for Slot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(key) => write!(formatter, "label {}{key}", validate::METADATA_PREFIX),
            Self::Annotation(key) => {
                write!(formatter, "annotation {}{key}", validate::METADATA_PREFIX)
            }
            Self::State => formatter.write_str("state"),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    State(StateChange),
}

#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) value: Value,
    pub(super) waiting: Vec<Ticket>,
}

pub(super) type Parts = BTreeMap<Slot, Part>;

pub(super) fn to_change(id: u64, parts: &Parts) -> Change {
    let mut change = Change {
        id,
        ..Change::default()
    };
    for (slot, part) in parts {
        match (slot, &part.value) {
            (Slot::Label(key), Value::Text(value)) => {
                change.labels.insert(key.clone(), value.clone());
            }
            (Slot::Annotation(key), Value::Text(value)) => {
                change.annotations.insert(key.clone(), value.clone());
            }
            (_, Value::State(state)) => change.state = Some(state.clone()),
            (Slot::State, Value::Text(_)) => {}
        }
    }
    change
}

pub(super) fn state_of(parts: &Parts) -> Option<State> {
    state_in(parts.get(&Slot::State)?)
}

pub(super) fn state_in(part: &Part) -> Option<State> {
    match &part.value {
        Value::State(change) => Some(change.state()),
        Value::Text(_) => None,
    }
}
