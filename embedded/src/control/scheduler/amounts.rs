//! Amounts of resources: processor and memory, which every comparison needs, apart from the rest.

use std::collections::BTreeMap;

use serde_json::Value;

use super::quantity::{thousandths, units};

/// Amounts of resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    /// Thousandths of a core.
    pub(super) cpu: i64,
    /// Bytes.
    pub(super) memory: i64,
    /// Everything else by name, in whole units.
    pub(super) others: BTreeMap<String, i64>,
}

impl Amounts {
    /// Those of a list such as `requests`. What is no quantity counts as nothing.
    pub(super) fn of(list: &Value) -> Self {
        let mut amounts = Self::default();
        amounts.overwrite(list);
        amounts
    }

    /// Takes over what a list names.
    pub(super) fn overwrite(&mut self, list: &Value) {
        for (name, quantity) in list.as_object().into_iter().flatten() {
            match name.as_str() {
                "cpu" => self.cpu = thousandths(quantity).unwrap_or(0),
                "memory" => self.memory = units(quantity).unwrap_or(0),
                _ => {
                    let amount = units(quantity).unwrap_or(0);
                    self.others.insert(name.clone(), amount);
                }
            }
        }
    }

    /// Adds others.
    pub(super) fn add(&mut self, more: &Self) {
        self.combine(more, i64::saturating_add);
    }

    /// Takes others away.
    pub(super) fn subtract(&mut self, less: &Self) {
        self.combine(less, i64::saturating_sub);
    }

    /// Raises each to at least another.
    pub(super) fn raise(&mut self, to: &Self) {
        self.combine(to, i64::max);
    }

    fn combine(&mut self, with: &Self, how: fn(i64, i64) -> i64) {
        self.cpu = how(self.cpu, with.cpu);
        self.memory = how(self.memory, with.memory);
        for (name, amount) in &with.others {
            if let Some(own) = self.others.get_mut(name) {
                *own = how(*own, *amount);
            } else {
                self.others.insert(name.clone(), how(0, *amount));
            }
        }
    }
}
