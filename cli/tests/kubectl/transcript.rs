//! Runs kubectl and writes down what was typed and what came back.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::harness::{self, Directory, PATIENCE};
use super::mask::mask;

/// What `kubectl edit` does to the object, instead of a person.
const EDITOR: &str = "sed -i s/desert/jungle/";

/// What the transcript begins with.
const INTRODUCTION: &str = "\
# What an unmodified kubectl prints against `muster dev`.
# What differs between runs stands in angle brackets, and columns are closed up.
";

/// The commands so far with their masked output.
pub(crate) struct Transcript {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
    text: String,
}

impl Transcript {
    /// Of a kubectl with the kubeconfig of a running `muster dev`.
    pub(crate) fn new(directory: &Directory) -> Self {
        Self {
            program: program(),
            kubeconfig: directory.path().join("kubeconfig"),
            home: directory.path().join("home"),
            text: INTRODUCTION.to_owned(),
        }
    }

    /// Everything that was written down.
    pub(crate) fn text(&self) -> String {
        self.text.clone()
    }

    /// Begins a part.
    pub(crate) fn title(&mut self, title: &str) {
        writeln!(self.text, "\n# {title}.").unwrap();
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&mut self, line: &str) {
        let output = self.output(line).await;
        self.write(line, &output);
    }

    /// Runs a command again until it prints a text; the last run counts.
    pub(crate) async fn until(&mut self, line: &str, wanted: &str) {
        let mut last = None;
        harness::until_async(line, async || {
            let output = self.output(line).await;
            let is_there = String::from_utf8_lossy(&output.stdout).contains(wanted);
            last = Some(output);
            is_there
        })
        .await;
        self.write(line, &last.unwrap());
    }

    /// Runs a command that goes on by itself: another one once it has printed the first text, and
    /// its end once it has printed the second.
    pub(crate) async fn follow(&mut self, line: &str, first: &str, meanwhile: &str, second: &str) {
        let mut child = self.command(line).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = String::new();
        let mut until = async |wanted: &str| {
            while !printed.contains(wanted) {
                let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
                let line = line.unwrap().unwrap();
                writeln!(printed, "{}", line.unwrap()).unwrap();
            }
        };
        until(first).await;
        let answer = self.output(meanwhile).await;
        until(second).await;
        child.kill().await.unwrap();
        self.write(meanwhile, &answer);
        self.heading(line);
        writeln!(self.text, "{}", mask(&printed).trim_end()).unwrap();
    }

    /// The command as a person would type it.
    fn heading(&mut self, line: &str) {
        let words = line.split(' ').map(|word| {
            if word.contains(['{', '[', '"']) {
                format!("'{word}'")
            } else {
                word.to_owned()
            }
        });
        let line: Vec<String> = words.collect();
        writeln!(self.text, "\n$ kubectl {}", line.join(" ")).unwrap();
    }

    async fn output(&self, line: &str) -> Output {
        let output = tokio::time::timeout(PATIENCE, self.command(line).output()).await;
        output.unwrap().unwrap()
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(line.split(' '))
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .env("KUBE_EDITOR", EDITOR)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn write(&mut self, line: &str, output: &Output) {
        self.heading(line);
        for stream in [&output.stdout, &output.stderr] {
            let text = mask(&String::from_utf8_lossy(stream));
            if !text.trim().is_empty() {
                writeln!(self.text, "{}", text.trim_end()).unwrap();
            }
        }
        if let Some(code) = output.status.code().filter(|code| *code != 0) {
            writeln!(self.text, "(exit code {code})").unwrap();
        }
    }
}

/// The kubectl that `cargo xtask cluster up` builds, else that of the user: another version may
/// use other words.
fn program() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = variable("MUSTER_CACHE").map(PathBuf::from).or_else(|| {
        let base = variable("XDG_CACHE_HOME").map(PathBuf::from);
        let base = base.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")));
        base.map(|base| base.join("muster"))
    });
    let cached = cache.map(|cache| cache.join("kubernetes/bin"));
    let path = variable("PATH").unwrap_or_default();
    cached
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join("kubectl"))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("there is no kubectl: `cargo xtask cluster up` builds one"))
}
