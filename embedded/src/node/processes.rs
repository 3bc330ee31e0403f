//! Starts the processes of containers so that none of them can be left behind.
//!
//! Every process leads a group of its own. It is started through the [shim](super::shim) by one
//! thread that lives as long as the node, because the kernel ties a child to the thread that
//! started it; its group is told to the [guard](super::guard); and it is recorded in a file, by
//! which the next run of the node finds what this one, and its guard, could not end.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex as StdMutex, PoisonError, mpsc};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Mutex, Notify, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::shim::GO;
use super::{guard, marks};

/// How long leftovers of an earlier run may take to vanish after they were killed.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(2);
/// Time from a container's end to the search for those who left its group.
const SWEEP_PAUSE: Duration = Duration::from_millis(500);

/// What is to run.
#[derive(Clone, Debug)]
pub(super) struct Order<'a> {
    /// The program.
    pub(super) program: &'a OsStr,
    /// Its arguments.
    pub(super) args: &'a [String],
    /// Its whole environment.
    pub(super) env: &'a BTreeMap<String, String>,
    /// Where it starts.
    pub(super) directory: &'a Path,
}

/// A process that leads its own group. Its outputs are piped.
#[derive(Debug)]
pub(super) struct Process {
    /// The child.
    pub(super) child: Child,
    /// Its ID, which is also that of its group.
    pub(super) pid: u32,
}

impl Process {
    /// Sends a signal to the whole group.
    pub(super) fn signal(&self, signal: Signal) {
        if let Ok(group) = i32::try_from(self.pid) {
            guard::signal(group, signal);
        }
    }
}

/// Exit code and signal of a process, in the way of shells and container runtimes.
pub(super) fn outcome(status: ExitStatus) -> (i32, Option<i32>) {
    match (status.code(), status.signal()) {
        (Some(code), _) => (code, None),
        (None, Some(signal)) => (128 + signal, Some(signal)),
        (None, None) => (255, None),
    }
}

#[derive(Debug)]
struct Request {
    command: Command,
    answer: oneshot::Sender<io::Result<Child>>,
}

/// Starts processes, and sees that none is left behind.
#[derive(Debug)]
pub(super) struct Processes {
    helper: Vec<OsString>,
    records: PathBuf,
    requests: mpsc::Sender<Request>,
    guard: Mutex<Guard>,
    strays: Arc<Strays>,
    _sweeping: AbortOnDropHandle<()>,
}

/// Finds processes that left the group of a container that has ended.
#[derive(Debug)]
struct Strays {
    /// What all marks of this node begin with.
    node: String,
    state: StdMutex<Live>,
    ended: Notify,
}

/// Processes that live.
#[derive(Debug)]
struct Live {
    /// The number of the last process.
    last: u64,
    /// Their marks' numbers by process.
    numbers: BTreeMap<u32, u64>,
    /// The numbers of processes that are being started.
    starting: BTreeSet<u64>,
}

impl Strays {
    fn live<T>(&self, change: impl FnOnce(&mut Live) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks once.
    async fn sweep(self: &Arc<Self>) {
        let strays = Arc::clone(self);
        let sweep = tokio::task::spawn_blocking(move || {
            // Whatever starts while we look has a greater number than all that we may kill.
            let (live, last) = strays.live(|live| {
                let numbers = live.numbers.values().chain(&live.starting);
                (numbers.copied().collect::<BTreeSet<_>>(), live.last)
            });
            marks::sweep(&strays.node, |number| {
                number <= last && !live.contains(&number)
            })
        });
        match sweep.await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "Processes that left their container were ended"),
            Err(error) => tracing::warn!(%error, "Stray processes could not be looked for"),
        }
    }

    async fn run(self: Arc<Self>) {
        loop {
            self.ended.notified().await;
            // Containers often end together.
            tokio::time::sleep(SWEEP_PAUSE).await;
            self.sweep().await;
        }
    }
}

impl Processes {
    /// Ends what an earlier run left, and starts the guard and the thread that starts processes.
    ///
    /// `helper` is the program with leading arguments that runs [`super::helper`]; `first` is
    /// greater than every number of an earlier run. To be called within a runtime.
    pub(super) async fn begin(
        helper: Vec<OsString>,
        records: PathBuf,
        first: u64,
    ) -> io::Result<Self> {
        super::volumes::private_directory(&records)?;
        let records = fs::canonicalize(records)?;
        end_leftovers(&records).await?;
        let strays = Arc::new(Strays {
            node: records.to_string_lossy().into_owned(),
            state: StdMutex::new(Live {
                last: first,
                numbers: BTreeMap::new(),
                starting: BTreeSet::new(),
            }),
            ended: Notify::new(),
        });
        strays.sweep().await;
        let sweeping = tokio::spawn(Arc::clone(&strays).run());
        let (requests, orders) = mpsc::channel::<Request>();
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new()
            .name("node-processes".to_owned())
            .spawn(move || {
                let _entered = runtime.enter();
                while let Ok(Request {
                    mut command,
                    answer,
                }) = orders.recv()
                {
                    // Whoever asked may have gone; then the child is told nothing and ends.
                    drop(answer.send(command.spawn()));
                }
            })?;
        let mut guard = Guard {
            helper: helper.clone(),
            node: strays.node.clone(),
            pipe: None,
            groups: BTreeMap::new(),
        };
        guard.start().await?;
        Ok(Self {
            helper,
            records,
            requests,
            guard: Mutex::new(guard),
            strays,
            _sweeping: AbortOnDropHandle::new(sweeping),
        })
    }

    /// Starts a process.
    pub(super) async fn spawn(&self, order: Order<'_>) -> io::Result<Process> {
        let number = self.strays.live(|live| {
            live.last += 1;
            live.starting.insert(live.last);
            live.last
        });
        let process = self.spawn_marked(order, number).await;
        self.strays.live(|live| {
            live.starting.remove(&number);
            if let Ok(process) = &process {
                live.numbers.insert(process.pid, number);
            }
        });
        process
    }

    async fn spawn_marked(&self, order: Order<'_>, number: u64) -> io::Result<Process> {
        let mut words = self.helper.iter();
        let helper = words.next().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(helper);
        command
            .args(words)
            .arg("shim")
            .arg(std::process::id().to_string())
            .arg(order.program)
            .args(order.args)
            .env_clear()
            .envs(order.env)
            .env(marks::VARIABLE, marks::mark(&self.strays.node, number))
            .current_dir(order.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let (answer, answered) = oneshot::channel();
        let ended = || io::Error::other("the thread that starts processes has ended");
        self.requests
            .send(Request { command, answer })
            .map_err(|_| ended())?;
        let mut child = answered.await.map_err(|_| ended())??;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        let word = child.stdin.take();
        let process = Process { child, pid };
        self.record(pid)?;
        self.guard.lock().await.add(pid, number).await;
        if let Some(mut word) = word {
            // If the shim has already ended, its exit says why.
            drop(word.write_all(GO).await);
        }
        Ok(process)
    }

    /// Forgets a process that has ended, with what is left of its group.
    pub(super) async fn ended(&self, pid: u32) {
        if let Ok(group) = i32::try_from(pid) {
            guard::signal(group, Signal::KILL);
        }
        drop(fs::remove_file(self.records.join(pid.to_string())));
        self.guard.lock().await.remove(pid).await;
        self.strays.live(|live| live.numbers.remove(&pid));
        self.strays.ended.notify_one();
    }

    /// Ends whatever is left, before the node ends.
    pub(super) async fn finish(&self) {
        self.strays.sweep().await;
    }

    fn record(&self, pid: u32) -> io::Result<()> {
        let birth = birth(pid).unwrap_or_default();
        fs::write(self.records.join(pid.to_string()), birth)
    }
}

/// The pipe to the guard.
#[derive(Debug)]
struct Guard {
    helper: Vec<OsString>,
    /// What marks begin with.
    node: String,
    pipe: Option<ChildStdin>,
    /// Groups with the numbers of their marks.
    groups: BTreeMap<u32, u64>,
}

impl Guard {
    async fn start(&mut self) -> io::Result<()> {
        let mut words = self.helper.iter();
        let helper = words.next().ok_or(io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(helper)
            .args(words)
            .arg("guard")
            .arg(&self.node)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        for (group, number) in &self.groups {
            let line = format!("+{group} {number}\n");
            pipe.write_all(line.as_bytes()).await?;
        }
        self.pipe = Some(pipe);
        Ok(())
    }

    async fn add(&mut self, group: u32, number: u64) {
        self.groups.insert(group, number);
        self.tell(&format!("+{group} {number}\n")).await;
    }

    async fn remove(&mut self, group: u32) {
        self.groups.remove(&group);
        self.tell(&format!("-{group}\n")).await;
    }

    /// A guard that somebody ended is started again.
    async fn tell(&mut self, line: &str) {
        let told = match &mut self.pipe {
            Some(pipe) => pipe.write_all(line.as_bytes()).await,
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        if told.is_err() {
            tracing::warn!("Guard of the processes ended and is started again");
            self.pipe = None;
            if let Err(error) = self.start().await {
                tracing::error!(%error, "Guard of the processes could not be started");
            }
        }
    }
}

/// Ends the processes that an earlier run recorded and that are still those.
async fn end_leftovers(records: &Path) -> io::Result<()> {
    let mut groups = Vec::new();
    for entry in fs::read_dir(records)? {
        let entry = entry?;
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.parse::<u32>().ok());
        let recorded = fs::read_to_string(entry.path())?;
        if let Some(pid) = pid
            && !recorded.is_empty()
            && birth(pid).is_some_and(|birth| birth == recorded)
            && let Ok(group) = i32::try_from(pid)
        {
            tracing::warn!(
                pid,
                "Process of an earlier run was still there and is ended"
            );
            guard::signal(group, Signal::KILL);
            groups.push((group, pid, recorded));
        }
        fs::remove_file(entry.path())?;
    }
    let gone = async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while groups
            .iter()
            .any(|(_, pid, recorded)| birth(*pid).as_ref() == Some(recorded))
        {
            pause.tick().await;
        }
    };
    if tokio::time::timeout(LEFTOVER_PATIENCE, gone).await.is_err() {
        tracing::warn!("Processes of an earlier run do not end");
    }
    Ok(())
}

/// What tells a process from every other that had or will have its ID: when it began. None if
/// there is no such process.
fn birth(pid: u32) -> Option<String> {
    #[cfg(target_os = "linux")]
    {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program, in parentheses, may contain anything.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let began = fields.nth(18)?;
        // Whoever waits to be buried does not run any more.
        (state != "Z").then(|| format!("{} {began}", boot.trim()))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let mut system = sysinfo::System::new().ok()?;
        let pid = sysinfo::Pid::from_u32(pid);
        system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), true);
        Some(system.process(pid)?.start_time().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_birth() {
        let own = birth(std::process::id());
        assert!(own.is_some());
        assert_eq!(own, birth(std::process::id()));
        assert_ne!(own, birth(1));
        assert_eq!(birth(u32::MAX), None);
    }

    #[test]
    fn outcomes_are_as_of_shells() {
        assert_eq!(outcome(ExitStatus::from_raw(0)), (0, None));
        assert_eq!(outcome(ExitStatus::from_raw(3 << 8)), (3, None));
        assert_eq!(outcome(ExitStatus::from_raw(9)), (137, Some(9)));
    }

    #[tokio::test]
    async fn only_what_was_recorded_is_ended() {
        let records = std::env::temp_dir().join(format!("muster-leftovers-{}", std::process::id()));
        fs::create_dir_all(&records).unwrap();
        let start = || {
            let mut command = Command::new("/bin/sleep");
            command.arg("600").process_group(0).kill_on_drop(true);
            command.spawn().unwrap()
        };
        let (mut left, mut other) = (start(), start());
        let write = |pid: u32, birth: String| fs::write(records.join(pid.to_string()), birth);
        write(left.id().unwrap(), birth(left.id().unwrap()).unwrap()).unwrap();
        write(
            other.id().unwrap(),
            birth(left.id().unwrap()).unwrap() + "0",
        )
        .unwrap();
        write(1, String::new()).unwrap();
        end_leftovers(&records).await.unwrap();
        assert_eq!(left.wait().await.unwrap().signal(), Some(9));
        assert!(other.try_wait().unwrap().is_none());
        assert_eq!(fs::read_dir(&records).unwrap().count(), 0);
        other.kill().await.unwrap();
        fs::remove_dir_all(&records).unwrap();
    }
}
