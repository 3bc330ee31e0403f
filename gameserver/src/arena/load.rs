//! What a server that runs out of time gives up: detail that is seen least. Pure.
//!
//! The rate of the simulation never changes. Detail goes down at once and comes back slowly, so
//! that it does not swing.

use std::time::Duration;

use simulation::interest::Detail;

use crate::arena::pace::TICK;

/// Ticks above the limit before detail goes down.
const PATIENCE: u32 = 30;

/// Ticks with time to spare before it comes back: five seconds.
const CAUTION: u32 = 300;

/// Decides on the detail of snapshots by the work of the ticks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    detail: Detail,
    busy: u32,
    calm: u32,
}

impl Load {
    /// Takes note of the work of a tick, and whether ticks were given up. Returns the detail from
    /// now on.
    pub fn observe(&mut self, work: Duration, dropped: u64) -> Detail {
        if work > TICK * 4 / 5 {
            self.busy += 1;
            self.calm = 0;
        } else {
            self.busy = self.busy.saturating_sub(1);
            self.calm = if work < TICK / 2 { self.calm + 1 } else { 0 };
        }
        if dropped > 0 || self.busy >= PATIENCE {
            self.detail = self.detail.less();
            self.busy = 0;
            self.calm = 0;
        } else if self.calm >= CAUTION {
            self.detail = self.detail.more();
            self.calm = 0;
        }
        self.detail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Duration = Duration::from_millis(14);
    const CALM: Duration = Duration::from_millis(5);

    #[test]
    fn detail_goes_down_under_load_and_comes_back_slowly() {
        let mut load = Load::default();
        let mut run = |work, ticks| (0..ticks).map(|_| load.observe(work, 0)).last().unwrap();
        assert_eq!(run(BUSY, PATIENCE - 1), Detail::Full);
        assert_eq!(run(BUSY, 1), Detail::Reduced);
        assert_eq!(run(BUSY, PATIENCE), Detail::Minimal);
        assert_eq!(run(BUSY, PATIENCE), Detail::Minimal);
        assert_eq!(run(CALM, CAUTION - 1), Detail::Minimal);
        assert_eq!(run(CALM, 1), Detail::Reduced);
        assert_eq!(run(CALM, CAUTION), Detail::Full);
    }

    #[test]
    fn dropped_ticks_count_at_once_and_single_peaks_do_not() {
        let mut load = Load::default();
        assert_eq!(load.observe(CALM, 1), Detail::Reduced);
        let mut load = Load::default();
        for _ in 0..1_000 {
            assert_eq!(load.observe(BUSY, 0), Detail::Full);
            assert_eq!(load.observe(CALM, 0), Detail::Full);
        }
    }
}
