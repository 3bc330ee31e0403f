//! Deltas that were encoded already in this tick, for all clients that share a baseline.
//!
//! A delta depends on the entity, the age of the baseline and the span of the prediction, but not
//! on the client. With hundreds of clients on similar connections most fragments are there
//! already, and the work per client is to append them.

use super::frames::Frames;
use crate::bits::Fragment;
use crate::codec::{self, Baseline, SPANS};
use crate::tick::Tick;

/// Ages of baselines that are cached; older ones are rare, and encoded anew each time.
const AGES: u32 = 16;

/// Which delta of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) index: u16,
    /// Ticks from the baseline to now; 0 for the full state.
    pub(super) age: u32,
    /// The number of the span of the prediction in [`SPANS`]; 0 for none.
    pub(super) span: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// The tick for which it was encoded.
    tick: Tick,
    fragment: Fragment,
}

#[derive(Debug)]
pub(super) struct Cache {
    /// By age, then by span, then by entity.
    entries: Vec<Entry>,
    entities: usize,
}

impl Cache {
    pub(super) fn new(entities: usize) -> Self {
        Self {
            entries: vec![Entry::default(); (AGES as usize + 1) * SPANS.len() * entities],
            entities,
        }
    }

    /// The fragment of an entity at the newest tick; none if a frame that it needs is not there.
    pub(super) fn get(&mut self, frames: &Frames, key: Key) -> Option<Fragment> {
        if key.age > AGES {
            return encode(frames, key);
        }
        let row = key.age as usize * SPANS.len() + key.span;
        let entry = &mut self.entries[row * self.entities + usize::from(key.index)];
        if entry.tick != frames.newest() {
            *entry = Entry {
                tick: frames.newest(),
                fragment: encode(frames, key)?,
            };
        }
        Some(entry.fragment)
    }
}

fn encode(frames: &Frames, key: Key) -> Option<Fragment> {
    let now = frames.newest();
    let state = frames.get(now, key.index)?;
    if key.age == 0 {
        return Some(codec::encode_full(state));
    }
    let base = now.before(key.age);
    let earlier = if key.span == 0 {
        None
    } else {
        let earlier = frames.get(base.before(SPANS[key.span]), key.index)?;
        Some((earlier, key.span))
    };
    let baseline = Baseline {
        state: frames.get(base, key.index)?,
        age: key.age,
        earlier,
    };
    Some(codec::encode_delta(state, &baseline))
}
