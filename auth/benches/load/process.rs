//! Processes: which core they have, and what they use.

use std::fs;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The core of the service.
pub(crate) const SERVICE_CORE: &str = "0";

/// The core of everything else.
const LOAD_CORE: &str = "1";

/// The kernel counts hundredths of a second for programs, on every architecture.
const TICKS: f64 = 100.0;

/// Moves this process, and so all that it starts, to its core.
pub(crate) fn pin_self() {
    let pid = std::process::id().to_string();
    let pinned = Command::new("taskset")
        .args(["--cpu-list", "--pid", LOAD_CORE, &pid])
        .output();
    let pinned = pinned.expect("taskset is in the package util-linux");
    assert!(pinned.status.success(), "this needs two cores");
}

/// As many files as the system allows: each socket is one, here and there.
pub(crate) fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, most).unwrap();
}

/// How busy the machine was in the last minute, five, and fifteen.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap();
    let words: Vec<&str> = text.split(' ').take(3).collect();
    words.join(" ")
}

/// A process, and what it starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// This one.
    pub(crate) fn own() -> Self {
        Self(std::process::id())
    }

    /// Seconds of CPU so far, those of its children too.
    pub(crate) fn cpu(self) -> f64 {
        let pid = self.0;
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let list = list.unwrap_or_default();
        let children = list.split_whitespace().map(|child| times(child, 2));
        times(&pid.to_string(), 4) + children.sum::<f64>()
    }

    /// KiB of memory.
    pub(crate) fn memory(self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let text = line.unwrap().trim().strip_suffix(" kB").unwrap();
        text.parse().unwrap()
    }
}

/// The first so many of a process's times in seconds: its own in user and system mode, then those
/// of its children that have ended.
fn times(pid: &str, count: usize) -> f64 {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        // It has ended meanwhile, and its parent has its times.
        return 0.0;
    };
    // After the name in parentheses; the times begin with the 12th there.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields = fields.split(' ').skip(11).take(count);
    let ticks: f64 = fields.map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / TICKS
}
