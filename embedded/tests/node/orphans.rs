//! However the owner of processes ends, none of them is left behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::cluster::{PATIENCE, Root, exists, script};

/// A process that owns a cluster with a pod that leaves processes behind, if it can.
fn owner(root: &Root, words: &str) -> Child {
    // In arguments, `$$` stands for one `$`.
    let stubborn = format!(
        "trap '' TERM; sleep 600 & setsid sh -c 'echo $$$$ > {words}/far; exec sleep 600' & \
         echo $! > {words}/near; until [ -s {words}/far ]; do sleep 0.05; done; \
         echo $$$$ > {words}/first; mv {words}/first {words}/leader; wait; wait; wait"
    );
    let mut container = script("game", &stubborn);
    let done = json!({ "command": ["test", "-e", format!("{words}/leader")] });
    container["readinessProbe"] = json!({ "exec": done, "periodSeconds": 1 });
    container["startupProbe"] = container["readinessProbe"].clone();
    let pod = json!({
        "metadata": { "name": "a" },
        "spec": { "nodeName": "local", "containers": [container] },
    });
    let file = root.0.join("pod.json");
    std::fs::write(&file, pod.to_string()).unwrap();
    let mut owner = Command::new(env!("CARGO_BIN_EXE_node-owner"))
        .arg(root.0.join("node"))
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(owner.stdout.as_mut().unwrap());
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    owner
}

fn processes(words: &str) -> Vec<u32> {
    let read = |name: &str| {
        let path = Path::new(words).join(name);
        let wait = std::time::Instant::now();
        loop {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            if let Ok(pid) = text.trim().parse() {
                return pid;
            }
            assert!(
                wait.elapsed() < PATIENCE,
                "{} does not come",
                path.display()
            );
            std::thread::yield_now();
        }
    };
    ["leader", "near", "far"].map(read).to_vec()
}

fn all_gone(pids: &[u32]) {
    let wait = std::time::Instant::now();
    while let Some(pid) = pids.iter().find(|pid| runs(**pid)) {
        assert!(wait.elapsed() < PATIENCE, "process {pid} was left behind");
        std::thread::yield_now();
    }
}

/// Whether a process runs: where nobody buries orphans, the dead keep their IDs.
fn runs(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.contains(") Z "),
        Err(_) if cfg!(target_os = "linux") => false,
        Err(_) => exists(pid),
    }
}

#[test]
fn nothing_is_left_behind_when_the_owner_is_killed() {
    let root = Root::new();
    let words = root.0.to_str().unwrap();
    let mut owner = owner(&root, words);
    let pids = processes(words);
    assert!(pids.iter().all(|pid| runs(*pid)));
    owner.kill().unwrap();
    owner.wait().unwrap();
    all_gone(&pids);
}

#[test]
fn nothing_is_left_behind_when_the_owner_ends() {
    let root = Root::new();
    let words = root.0.to_str().unwrap();
    let mut owner = owner(&root, words);
    let pids = processes(words);
    drop(owner.stdin.take());
    assert!(owner.wait().unwrap().success());
    // By then, not some time later.
    assert!(!pids.iter().any(|pid| runs(*pid)));
}

#[test]
fn what_owner_and_guard_left_is_ended_by_the_next_run() {
    let root = Root::new();
    let words = root.0.to_str().unwrap();
    let mut first = owner(&root, words);
    let pids = processes(words);
    for guard in children(first.id()) {
        let guard = rustix::process::Pid::from_raw(guard).unwrap();
        rustix::process::kill_process(guard, rustix::process::Signal::KILL).unwrap();
    }
    first.kill().unwrap();
    first.wait().unwrap();
    // The leader dies with its parent; the others know nothing of it.
    all_gone(&pids[..1]);
    let left = pids.iter().any(|pid| runs(*pid));
    assert!(left, "then there is nothing to see here");
    for name in ["leader", "near", "far"] {
        std::fs::remove_file(root.0.join(name)).unwrap();
    }
    let mut second = owner(&root, words);
    all_gone(&pids);
    drop(second.stdin.take());
    assert!(second.wait().unwrap().success());
}

/// Children of a process that run our own program: the guard.
fn children(parent: u32) -> Vec<i32> {
    let mut system = sysinfo::System::new().unwrap();
    system.refresh_processes_specifics(
        sysinfo::ProcessesToUpdate::All,
        true,
        sysinfo::ProcessRefreshKind::nothing().with_cmd(sysinfo::UpdateKind::Always),
    );
    let is_guard = |process: &&sysinfo::Process| {
        process.parent() == Some(sysinfo::Pid::from_u32(parent))
            && process.cmd().iter().any(|word| word == "guard")
    };
    let guards: Vec<_> = system.processes().values().filter(is_guard).collect();
    assert_eq!(guards.len(), 1);
    guards
        .iter()
        .map(|guard| i32::try_from(guard.pid().as_u32()).unwrap())
        .collect()
}
