//! A mark in the environment of every process, by which those are found that left the group of
//! their container, as daemons do.
//!
//! A process that clears its environment as well is on its own.

use rustix::process::{Pid, Signal};

/// The variable that holds the mark.
pub(super) const VARIABLE: &str = "MUSTER_PROCESS";

/// The mark of a process: the node's, then the process's own number.
pub(super) fn mark(node: &str, number: u64) -> String {
    format!("{node}#{number}")
}

/// The number in a mark, if it is one of the node.
fn number(mark: &str, node: &str) -> Option<u64> {
    mark.strip_prefix(node)?.strip_prefix('#')?.parse().ok()
}

/// Kills all processes with a mark of the node whose number is a stray's. Reads much: not for a
/// thread that others wait for.
pub(super) fn sweep(node: &str, is_stray: impl Fn(u64) -> bool) -> usize {
    let mut killed = 0;
    for (pid, mark) in marked() {
        let found = number(&mark, node).is_some_and(&is_stray);
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| found)
            && rustix::process::kill_process(pid, Signal::KILL).is_ok()
        {
            killed += 1;
        }
    }
    killed
}

/// All processes with a mark that we may see.
#[cfg(target_os = "linux")]
fn marked() -> Vec<(u32, String)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            Some((pid, find(environment.split(|byte| *byte == 0))?))
        })
        .collect()
}

/// All processes with a mark that we may see.
#[cfg(not(target_os = "linux"))]
fn marked() -> Vec<(u32, String)> {
    use std::os::unix::ffi::OsStrExt;

    use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};
    let Ok(mut system) = System::new() else {
        return Vec::new();
    };
    let kind = ProcessRefreshKind::nothing().with_environ(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
    let processes = system.processes().iter();
    processes
        .filter_map(|(pid, process)| {
            let environment = process.environ().iter();
            let mark = find(environment.map(|variable| variable.as_bytes()))?;
            Some((pid.as_u32(), mark))
        })
        .collect()
}

/// The mark among variables.
fn find<'a>(mut variables: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    variables.find_map(|variable| {
        let value = variable
            .strip_prefix(VARIABLE.as_bytes())?
            .strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn marks_are_read_back() {
        assert_eq!(number(&mark("/a", 7), "/a"), Some(7));
        for mark in ["/a#7", "/ab#7", "/a#", "/a", "", "/a#x"] {
            assert_eq!(number(mark, "/b"), None, "{mark}");
        }
        assert_eq!(number("/ab#7", "/a"), None);
        let variables: [&[u8]; 3] = [b"A=1", b"MUSTER_PROCESSES=2", b"MUSTER_PROCESS=/a#3"];
        assert_eq!(find(variables.into_iter()), Some("/a#3".to_owned()));
    }

    #[test]
    fn strays_are_killed_and_others_are_not() {
        let node = format!("/test-{}", std::process::id());
        let start = |number| {
            Command::new("/bin/sh")
                .args(["-c", "echo up; exec sleep 600"])
                .env(VARIABLE, mark(&node, number))
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let (mut stray, mut other) = (start(1), start(2));
        for child in [&mut stray, &mut other] {
            let mut line = String::new();
            let mut reader = std::io::BufReader::new(child.stdout.as_mut().unwrap());
            std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
        }
        assert_eq!(sweep(&node, |number| number == 1), 1);
        assert!(!stray.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
