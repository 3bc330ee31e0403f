//! Processes of the cluster on this host, from `/proc`.
//!
//! Works where the cluster runs on this host (providers `local` and `kind`), as root. Elsewhere
//! nothing is found, and the tables say so.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Ticks of CPU time per second: Linux' `USER_HZ`, which is 100 on every supported architecture.
const TICKS: u64 = 100;

/// Memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident, in KiB.
    pub(crate) rss: u64,
    /// Resident and not from a file, in KiB.
    pub(crate) anonymous: u64,
    /// Resident, with shared pages divided among their users, in KiB.
    pub(crate) pss: u64,
}

/// Ids of the processes with this name.
pub(crate) fn named(name: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // The kernel keeps 15 bytes of the name.
    let short: String = name.chars().take(15).collect();
    ids.filter(|id| {
        let comm = fs::read_to_string(format!("/proc/{id}/comm"));
        comm.is_ok_and(|comm| comm.trim_end() == short)
    })
    .collect()
}

/// CPU time that the processes with this name have used so far; None if there are none.
pub(crate) fn cpu(name: &str) -> Option<Duration> {
    let times: Vec<_> = named(name).into_iter().filter_map(cpu_of).collect();
    (!times.is_empty()).then(|| times.iter().sum())
}

fn cpu_of(id: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in parentheses, may hold spaces; user and system time are the 12th and 13th after.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS))
}

/// Memory of a process.
pub(crate) fn memory(id: u32) -> Option<Memory> {
    let path = format!("/proc/{id}/smaps_rollup");
    let text = fs::read_to_string(Path::new(&path)).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Memory {
        rss: field("Rss:")?,
        anonymous: field("Anonymous:")?,
        pss: field("Pss:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_name_memory_and_cpu_time() {
        let id = std::process::id();
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        assert!(named(comm.trim_end()).contains(&id), "{comm}");
        let memory = memory(id).unwrap();
        assert!(
            memory.rss >= memory.anonymous && memory.pss > 0,
            "{memory:?}"
        );
        assert!(cpu_of(id).is_some());
        assert_eq!(cpu("no such process"), None);
    }
}
