//! A compiled selector: which labels and which state a server must have. Pure.

use std::collections::BTreeSet;

use crds::allocation::SelectorState;

use crate::index::Labels;

/// Which servers fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Labels that a server must have.
    pub labels: Labels,
    /// Further demands on labels.
    pub expressions: Vec<Expression>,
    /// State that a server must be in.
    pub state: SelectorState,
}

/// A demand on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// Key of the label.
    pub key: String,
    /// What is demanded.
    pub test: Test,
}

/// What is demanded of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// It is there with one of these values.
    In(BTreeSet<String>),
    /// It is not there, or has none of these values.
    NotIn(BTreeSet<String>),
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

impl Selector {
    /// Whether labels fulfill every demand.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self.expressions.iter().all(|expression| {
                let value = labels.get(&expression.key);
                match &expression.test {
                    Test::In(values) => value.is_some_and(|value| values.contains(value)),
                    Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                    Test::Exists => value.is_some(),
                    Test::DoesNotExist => value.is_none(),
                }
            })
    }

    /// The fleet that the selector asks for, if it fixes one.
    pub fn fleet(&self) -> Option<&str> {
        self.labels.get(crds::meta::FLEET_LABEL).map(String::as_str)
    }
}
