//! Which sequence numbers of one direction of one connection have been seen.

/// How many sequence numbers, the newest included, are told apart.
pub const WINDOW: u64 = 256;

/// The last [`WINDOW`] sequence numbers of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayWindow {
    newest: Option<u64>,
    /// One bit for each number; its place is the number's lowest byte.
    seen: [u64; 4],
}

impl ReplayWindow {
    /// Whether a packet with this number may be new: neither seen, nor older than the window.
    pub fn is_new(&self, sequence: u64) -> bool {
        let Some(newest) = self.newest else {
            return true;
        };
        if sequence > newest {
            return true;
        }
        let (word, bit) = place(sequence);
        newest - sequence < WINDOW && self.seen[word] & bit == 0
    }

    /// Marks the number of a packet that proved authentic.
    pub fn mark(&mut self, sequence: u64) {
        match self.newest {
            Some(newest) if sequence <= newest => {}
            Some(newest) if sequence - newest < WINDOW => {
                // The places of the numbers passed over still hold what older ones left there.
                for passed in newest..sequence {
                    let (word, bit) = place(passed + 1);
                    self.seen[word] &= !bit;
                }
                self.newest = Some(sequence);
            }
            _ => {
                self.seen = [0; 4];
                self.newest = Some(sequence);
            }
        }
        let (word, bit) = place(sequence);
        self.seen[word] |= bit;
    }
}

fn place(sequence: u64) -> (usize, u64) {
    let [index, ..] = sequence.to_le_bytes();
    (usize::from(index / 64), 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_number_passes_once() {
        let mut window = ReplayWindow::default();
        for sequence in [0, 5, 3, 300, 299, u64::MAX] {
            assert!(window.is_new(sequence), "{sequence}");
            window.mark(sequence);
            assert!(!window.is_new(sequence), "{sequence}");
        }
    }

    #[test]
    fn numbers_older_than_the_window_are_refused_unseen() {
        let mut window = ReplayWindow::default();
        window.mark(1000);
        assert!(window.is_new(1000 - WINDOW + 1));
        assert!(!window.is_new(1000 - WINDOW));
        assert!(!window.is_new(0));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set(steps in prop::collection::vec(0_u64..700, 1..400), base: u64) {
            let mut window = ReplayWindow::default();
            let mut seen = BTreeSet::new();
            for step in steps {
                let sequence = base.saturating_add(step);
                let is_new = !seen.contains(&sequence)
                    && seen.last().is_none_or(|newest| sequence + (WINDOW - 1) >= *newest);
                prop_assert_eq!(window.is_new(sequence), is_new);
                if is_new {
                    window.mark(sequence);
                    seen.insert(sequence);
                }
            }
        }
    }
}
