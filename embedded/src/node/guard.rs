//! The program that outlives the node for a moment: when the node ends, in whatever way, it ends
//! every process group that the node had started and not yet seen end, and every process that
//! has left such a group.
//!
//! It reads `+GROUP NUMBER` and `-GROUP` from the node, a line each, and knows by the end of the
//! input that the node is gone. The number is that of the process's mark. It runs in a session of its own, so that Ctrl-C in the terminal does
//! not reach it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::BufRead;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal};

/// How long processes get to end by themselves.
const GRACE: Duration = Duration::from_secs(3);
/// How often it is looked whether they did.
const PERIOD: Duration = Duration::from_millis(50);

/// Runs the guard, `NODE` (what the node's marks begin with), until its standard
/// input ends and all groups have.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    if rustix::process::setsid().is_err() {
        // We lead a group already, so Ctrl-C does not reach us either.
    }
    let mut known = Known::default();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        known.note(&line);
    }
    end(known.groups, GRACE);
    if let Some(node) = arguments.into_iter().next() {
        // Greater numbers are of a node that was started since.
        super::marks::sweep(&node.to_string_lossy(), |number| number <= known.last);
    }
    ExitCode::SUCCESS
}

/// What the node has told.
#[derive(Debug, Default)]
struct Known {
    groups: BTreeSet<i32>,
    /// The greatest number.
    last: u64,
}

impl Known {
    /// Follows a line of the node.
    fn note(&mut self, line: &str) {
        let (sign, rest) = line.split_at_checked(1).unwrap_or_default();
        let mut words = rest.split(' ');
        let group = words.next().and_then(|word| word.parse().ok());
        // Group 0 would be our own, and 1 everybody.
        let Some(group) = group.filter(|group| *group > 1) else {
            return;
        };
        match sign {
            "+" => {
                self.groups.insert(group);
                let number = words.next().and_then(|word| word.parse().ok());
                self.last = self.last.max(number.unwrap_or(0));
            }
            "-" => {
                self.groups.remove(&group);
            }
            _ => {}
        }
    }
}

/// Ends process groups: asks, waits for a while, and then does not ask any more.
fn end(mut groups: BTreeSet<i32>, grace: Duration) {
    groups.retain(|group| signal(*group, Signal::TERM));
    let mut waited = Duration::ZERO;
    while waited < grace {
        groups.retain(|group| exists(*group));
        if groups.is_empty() {
            return;
        }
        pause(PERIOD);
        waited += PERIOD;
    }
    for group in groups {
        signal(group, Signal::KILL);
    }
}

/// Sends a signal to a process group; false if there is none.
pub(super) fn signal(group: i32, signal: Signal) -> bool {
    Pid::from_raw(group)
        .is_some_and(|group| rustix::process::kill_process_group(group, signal).is_ok())
}

/// Whether any process of a group is there.
pub(super) fn exists(group: i32) -> bool {
    Pid::from_raw(group)
        .is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok())
}

/// Waits; nothing else happens in this process.
fn pause(duration: Duration) {
    let (_sender, receiver) = mpsc::channel::<()>();
    // Nothing is ever sent, so this is the whole time.
    receiver.recv_timeout(duration).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn lines_add_and_remove_groups() {
        let mut known = Known::default();
        for line in [
            "+7 31", "+8 33", "+9 32", "+10", "-7", "-10", "+0 99", "+1 99", "+-5 99", "x", "",
            "+", "ä9", "-99",
        ] {
            known.note(line);
        }
        assert_eq!(known.groups, BTreeSet::from([8, 9]));
        assert_eq!(known.last, 33);
    }

    fn start(script: &str) -> (std::process::Child, i32) {
        let child = Command::new("/bin/sh")
            .args(["-c", script])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let group = i32::try_from(child.id()).unwrap();
        (child, group)
    }

    #[test]
    fn a_group_that_ignores_the_request_is_killed() {
        let (mut stubborn, group) = start("trap '' TERM; echo up; sleep 600 & wait; wait");
        let (mut obedient, other) = start("echo up; exec sleep 600");
        for child in [&mut stubborn, &mut obedient] {
            let mut line = String::new();
            let mut reader = std::io::BufReader::new(child.stdout.as_mut().unwrap());
            reader.read_line(&mut line).unwrap();
        }
        end(BTreeSet::from([group, other]), Duration::from_millis(100));
        assert_eq!(stubborn.wait().unwrap().signal(), Some(9));
        assert_eq!(obedient.wait().unwrap().signal(), Some(15));
    }
}
