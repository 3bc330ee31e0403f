//! What a change is made of. Each part is replaced, split off and answered on its own.

use std::collections::BTreeMap;

use proto::muster::hub::v1::state_change::State;
use proto::muster::hub::v1::{Change, MatchResult, StateChange};

use crate::state::Ticket;
use crate::state::life::BootId;
use crate::validate;

/// What one part of a change writes. The order is that of sending parts alone: states last, since
/// nothing can be written after a shutdown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Label(String),
    Annotation(String),
    Life,
    PlayerCount,
    MatchResult,
    State,
}

impl std::fmt::Display for Slot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(key) => write!(formatter, "label {}{key}", validate::METADATA_PREFIX),
            Self::Annotation(key) => {
                write!(formatter, "annotation {}{key}", validate::METADATA_PREFIX)
            }
            Self::Life => formatter.write_str("boot id"),
            Self::PlayerCount => formatter.write_str("player count"),
            Self::MatchResult => formatter.write_str("match result"),
            Self::State => formatter.write_str("state"),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Life { boot_id: BootId, key_version: u32 },
    Count(u32),
    Result(MatchResult),
    State(StateChange),
}

#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) value: Value,
    pub(super) waiting: Vec<Ticket>,
    /// Goes with the next change whatever that is, and makes none of its own.
    pub(super) is_patient: bool,
}

impl Part {
    /// Takes over from an older part that was not committed.
    pub(super) fn stand_in_for(&mut self, older: Self) {
        self.waiting.extend(older.waiting);
        self.is_patient &= older.is_patient;
    }
}

pub(super) type Parts = BTreeMap<Slot, Part>;

pub(super) fn to_change(id: u64, parts: &Parts) -> Change {
    let mut change = Change {
        id,
        ..Change::default()
    };
    for (slot, part) in parts {
        match (&part.value, slot) {
            (Value::Text(value), Slot::Label(key)) => {
                change.labels.insert(key.clone(), value.clone());
            }
            (Value::Text(value), Slot::Annotation(key)) => {
                change.annotations.insert(key.clone(), value.clone());
            }
            (Value::Text(_), Slot::Life | Slot::PlayerCount | Slot::MatchResult | Slot::State) => {}
            (
                Value::Life {
                    boot_id,
                    key_version,
                },
                _,
            ) => {
                change.boot_id = Some(boot_id.to_vec());
                change.key_version = *key_version;
            }
            (Value::Count(count), _) => change.player_count = Some(*count),
            (Value::Result(result), _) => change.match_result = Some(result.clone()),
            (Value::State(state), _) => change.state = Some(state.clone()),
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
        Value::Text(_) | Value::Life { .. } | Value::Count(_) | Value::Result(_) => None,
    }
}
