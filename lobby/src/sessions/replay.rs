//! The events of one session: numbered, kept until the client has them, and sent again after a
//! break. Pure.
//!
//! What waits to be sent and what may have to be sent again is one buffer with one bound. When it
//! is full the oldest go; if one goes that was never sent, the client is too slow.

use std::collections::VecDeque;
use std::sync::Arc;

use proto::muster::lobby::v1 as wire;

/// How many events are kept at most.
pub const EVENTS: usize = 256;

/// How many bytes they have together at most, as Protobuf.
pub const BYTES: usize = 256 * 1024;

/// An event and its size.
#[derive(Clone, Debug)]
struct Kept {
    event: Arc<wire::Event>,
    bytes: usize,
}

/// Events by number.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    kept: VecDeque<Kept>,
    /// Bytes of what is kept.
    bytes: usize,
    /// The number of the newest event; 0 before the first.
    newest: u32,
    /// The number of the newest event that was sent over the present socket.
    sent: u32,
}

impl Replay {
    /// Keeps the next event. False when one had to go for it that was not sent.
    pub fn push(&mut self, event: Arc<wire::Event>, bytes: usize) -> bool {
        let Some(number) = self.newest.checked_add(1) else {
            // A session of four billion events must end some day; a new one counts from 1.
            return false;
        };
        self.newest = number;
        self.kept.push_back(Kept { event, bytes });
        self.bytes = self.bytes.saturating_add(bytes);
        let mut is_whole = true;
        while self.kept.len() > EVENTS || self.bytes > BYTES {
            is_whole &= self.oldest() <= self.sent;
            if !self.forget() {
                break;
            }
        }
        is_whole
    }

    /// The next event to send, with its number.
    pub fn next_unsent(&mut self) -> Option<(u32, Arc<wire::Event>)> {
        let number = self.sent.checked_add(1)?;
        let index = usize::try_from(number.checked_sub(self.oldest())?).ok()?;
        let event = Arc::clone(&self.kept.get(index)?.event);
        self.sent = number;
        Some((number, event))
    }

    /// The client has everything up to this number. What was not sent it cannot have.
    pub fn seen(&mut self, number: u32) {
        let number = number.min(self.sent);
        while self.oldest() <= number && self.forget() {}
    }

    /// Goes on after this number over a new socket. False when that is not possible: an event in
    /// between is gone, or the number was never given.
    pub fn resume(&mut self, seen: u32) -> bool {
        // What was sent last may have been lost on its way; the client says what it has.
        let is_kept = seen <= self.newest && seen.saturating_add(1) >= self.oldest();
        if is_kept {
            self.sent = seen;
            self.seen(seen);
        }
        is_kept
    }

    /// The number of the oldest event that is kept, or of the next one.
    fn oldest(&self) -> u32 {
        let kept = u32::try_from(self.kept.len()).unwrap_or(u32::MAX);
        self.newest.saturating_sub(kept).saturating_add(1)
    }

    /// Forgets the oldest event. False when there is none.
    fn forget(&mut self) -> bool {
        let Some(oldest) = self.kept.pop_front() else {
            return false;
        };
        self.bytes = self.bytes.saturating_sub(oldest.bytes);
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event() -> Arc<wire::Event> {
        Arc::default()
    }

    fn sent(replay: &mut Replay) -> Vec<u32> {
        std::iter::from_fn(|| replay.next_unsent())
            .map(|(number, _)| number)
            .collect()
    }

    #[test]
    fn events_are_sent_once_and_again_after_a_break() {
        let mut replay = Replay::default();
        assert!(replay.next_unsent().is_none());
        for _ in 0..3 {
            assert!(replay.push(event(), 10));
        }
        assert_eq!(sent(&mut replay), [1, 2, 3]);
        assert_eq!(sent(&mut replay), [0_u32; 0]);
        replay.seen(1);
        assert!(replay.push(event(), 10));
        assert!(replay.resume(2));
        assert_eq!(sent(&mut replay), [3, 4]);
        assert!(!replay.resume(1), "2 was seen, and is gone");
        assert!(!replay.resume(5), "there never was a 5");
        assert!(replay.resume(4));
        assert_eq!(sent(&mut replay), [0_u32; 0]);
    }

    #[test]
    fn what_was_not_sent_cannot_have_been_seen() {
        let mut replay = Replay::default();
        assert!(replay.push(event(), 10));
        replay.seen(u32::MAX);
        assert_eq!(sent(&mut replay), [1]);
    }

    #[test]
    fn a_full_buffer_forgets_what_was_sent_and_fails_for_what_was_not() {
        let mut replay = Replay::default();
        for _ in 0..EVENTS {
            assert!(replay.push(event(), 1));
        }
        let mut behind = replay.clone();
        assert_eq!(sent(&mut replay).len(), EVENTS);
        assert!(replay.push(event(), 1));
        assert!(!behind.push(event(), 1));

        let mut large = Replay::default();
        assert!(large.push(event(), BYTES));
        assert!(!large.push(event(), 1));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Send,
        Seen(u32),
        Resume(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_usize..3_000).prop_map(Step::Push),
            4 => Just(Step::Send),
            1 => (0_u32..600).prop_map(Step::Seen),
            1 => (0_u32..600).prop_map(Step::Resume),
        ];
        prop::collection::vec(step, 0..600)
    }

    proptest! {
        /// As long as nothing says that something was lost, the numbers that a client gets have no
        /// gap, and bounds hold whatever comes.
        #[test]
        fn numbers_have_no_gap(steps in steps()) {
            let mut replay = Replay::default();
            let mut client = 0;
            for step in steps {
                match step {
                    Step::Push(bytes) => {
                        if !replay.push(event(), bytes) {
                            return Ok(());
                        }
                    }
                    Step::Send => {
                        if let Some((number, _)) = replay.next_unsent() {
                            prop_assert_eq!(number, client + 1);
                            client = number;
                        }
                    }
                    Step::Seen(number) => replay.seen(number.min(client)),
                    Step::Resume(number) => {
                        let number = number.min(client);
                        if replay.resume(number) {
                            client = number;
                        }
                    }
                }
                prop_assert!(replay.kept.len() <= EVENTS && replay.bytes <= BYTES);
                let bytes: usize = replay.kept.iter().map(|kept| kept.bytes).sum();
                prop_assert_eq!(replay.bytes, bytes);
            }
        }
    }
}
