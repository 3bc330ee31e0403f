//! CPU and memory of processes, sampled while any run.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// What a process and its descendants used when they were last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    /// Thousandths of a core since the sample before.
    pub(super) cpu_millicores: u64,
    /// Resident memory.
    pub(super) memory_bytes: u64,
}

/// The last samples by process.
#[derive(Debug, Default)]
pub(super) struct Meter {
    samples: Mutex<BTreeMap<u32, Sample>>,
    system: Mutex<Option<System>>,
}

impl Meter {
    /// The last sample of a process; none before the first one.
    pub(super) fn sample(&self, pid: u32) -> Option<Sample> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.get(&pid).copied()
    }

    /// Looks at processes now, and forgets all others. Reads many files: not for a thread that
    /// others wait for.
    pub(super) fn look(&self, pids: &[u32]) {
        let samples = if pids.is_empty() {
            BTreeMap::new()
        } else {
            self.measure(pids)
        };
        *self.samples.lock().unwrap_or_else(PoisonError::into_inner) = samples;
    }

    fn measure(&self, pids: &[u32]) -> BTreeMap<u32, Sample> {
        let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        if system.is_none() {
            *system = System::new().ok();
        }
        let Some(system) = system.as_mut() else {
            return BTreeMap::new();
        };
        system.refresh_processes_specifics(
            ProcessesToUpdate::All,
            true,
            ProcessRefreshKind::nothing().with_cpu().with_memory(),
        );
        let parents: BTreeMap<u32, u32> = system
            .processes()
            .iter()
            .filter_map(|(pid, process)| Some((pid.as_u32(), process.parent()?.as_u32())))
            .collect();
        let mut samples = BTreeMap::new();
        for pid in system.processes().keys() {
            let Some(root) = root(pid.as_u32(), &parents, pids) else {
                continue;
            };
            if let Some(process) = system.process(Pid::from_u32(pid.as_u32())) {
                let sample: &mut Sample = samples.entry(root).or_default();
                sample.cpu_millicores += millicores(process.cpu_usage());
                sample.memory_bytes += process.memory();
            }
        }
        samples
    }
}

/// Which of the given processes a process is, or descends from.
fn root(pid: u32, parents: &BTreeMap<u32, u32>, roots: &[u32]) -> Option<u32> {
    let mut pid = pid;
    // Processes that change while they are read could form a circle.
    for _ in 0..64 {
        if roots.contains(&pid) {
            return Some(pid);
        }
        pid = *parents.get(&pid)?;
    }
    None
}

/// Percent of one core in thousandths of a core.
fn millicores(percent: f32) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small number that is not negative; casts of floats saturate"
    )]
    let millicores = (percent.max(0.0) * 10.0).round() as u64;
    millicores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_count_for_their_root() {
        let parents = [(2, 1), (3, 2), (4, 3), (5, 1), (6, 7), (7, 6)].into();
        let roots = [2, 5];
        let found: Vec<_> = (1..=7).map(|pid| root(pid, &parents, &roots)).collect();
        assert_eq!(
            found,
            [None, Some(2), Some(2), Some(2), Some(5), None, None]
        );
    }

    #[test]
    fn percents_become_millicores() {
        assert_eq!(millicores(150.04), 1500);
        assert_eq!(millicores(-1.0), 0);
        assert_eq!(millicores(f32::NAN), 0);
    }

    #[test]
    fn a_process_is_seen_while_it_is_asked_for() {
        let meter = Meter::default();
        let own = std::process::id();
        assert_eq!(meter.sample(own), None);
        meter.look(&[own]);
        assert!(meter.sample(own).unwrap().memory_bytes > 0);
        meter.look(&[]);
        assert_eq!(meter.sample(own), None);
    }
}
