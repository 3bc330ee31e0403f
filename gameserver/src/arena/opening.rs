//! Whether the match has places for more players, and what the platform knows of that. Pure.
//!
//! At most one word of it is on its way. What changes meanwhile waits here, so that players who
//! come and go while the platform is slow cost it no more than the last state.

/// What the platform knows, and what it shall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What the platform knows; none after it could not be told.
    known: Option<bool>,
    is_under_way: bool,
}

impl Default for Opening {
    /// A server says nothing before its first match, which means that it has no places.
    fn default() -> Self {
        Self {
            known: Some(false),
            is_under_way: false,
        }
    }
}

impl Opening {
    /// Whether the platform is to be told now.
    pub fn is_due(&self, is_open: bool) -> bool {
        !self.is_under_way && self.known != Some(is_open)
    }

    /// It is on its way.
    pub const fn send(&mut self) {
        self.is_under_way = true;
    }

    /// It has arrived; or with none, it has not, and is due again.
    pub const fn arrive(&mut self, known: Option<bool>) {
        *self = Self {
            known,
            is_under_way: false,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However slow the platform is and whatever fails: one word at a time, none without news,
        /// and in the end it knows the truth.
        #[test]
        fn the_platform_knows_the_last_state_in_the_end(
            steps in prop::collection::vec((any::<bool>(), prop::option::of(any::<bool>())), 1..50),
        ) {
            let mut opening = Opening::default();
            let (mut platform, mut under_way, mut is_unsure) = (false, None, false);
            let last = steps.last().map(|(is_open, _)| (*is_open, Some(true)));
            for (is_open, answer) in steps.iter().copied().chain(last).chain(last) {
                if opening.is_due(is_open) {
                    prop_assert_eq!(under_way, None);
                    prop_assert!(is_open != platform || is_unsure);
                    opening.send();
                    under_way = Some(is_open);
                }
                // No answer yet, one that it arrived, or one that it has not.
                if let (Some(word), Some(is_taken)) = (under_way, answer) {
                    platform = if is_taken { word } else { platform };
                    is_unsure = !is_taken;
                    under_way = None;
                    opening.arrive(is_taken.then_some(word));
                }
            }
            prop_assert_eq!(Some(platform), steps.last().map(|(is_open, _)| *is_open));
            prop_assert!(!opening.is_due(platform));
        }
    }
}
