//! Runs other programs: captured, logged with progress, or on the terminal.
//!
//! Every failure names the command and shows the last lines that it wrote, so that nobody has to
//! repeat a step by hand to see why it failed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::wait;

/// Lines of a log that an error shows.
const TAIL_LINES: usize = 25;

/// Characters of a command or of a log's line that a message shows.
const LINE_LENGTH: usize = 400;

/// How often a long step says that it is still alive.
const PROGRESS_PERIOD: Duration = Duration::from_secs(15);

/// Writes one line of progress to stderr: stdout is for results.
pub(crate) fn progress(line: &str) {
    eprintln!("{line}");
}

/// The command as a person would type it.
pub(crate) fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned()),
    );
    shortened(&words.join(" ").replace('\n', " "), LINE_LENGTH)
}

/// Runs on the terminal: the child writes where we write.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs and returns what the program wrote to stdout.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        bail!(
            "`{line}` failed ({})\n{}",
            output.status,
            tail(&String::from_utf8_lossy(&said))
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs with `input` on stdin and returns what the program wrote to stdout.
pub(crate) fn output_with_input(command: &mut Command, input: &str) -> Result<String> {
    let line = describe(command);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(input.as_bytes())
            .with_context(|| format!("cannot write to `{line}`"))?;
    }
    let output = child
        .wait_with_output()
        .with_context(|| format!("cannot wait for `{line}`"))?;
    if !output.status.success() {
        bail!(
            "`{line}` failed ({})\n{}",
            output.status,
            tail(&String::from_utf8_lossy(&output.stderr))
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the program ran and succeeded; what it wrote is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a long step with its output in `log`, and says every 15 seconds that it goes on.
pub(crate) fn run_logged(command: &mut Command, what: &str, log: &Path) -> Result<()> {
    let line = describe(command);
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let began = Instant::now();
    progress(&format!("{what} …"));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("cannot share the log file")?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    let mut next = PROGRESS_PERIOD;
    let status = loop {
        if let Some(status) = child
            .try_wait()
            .with_context(|| format!("cannot wait for `{line}`"))?
        {
            break status;
        }
        if began.elapsed() >= next {
            progress(&format!("{what} … {} s", began.elapsed().as_secs()));
            next += PROGRESS_PERIOD;
        }
        wait::pause(Duration::from_millis(200));
    };
    if !status.success() {
        bail!("{what}: `{line}` failed ({status})\n{}", log_tail(log));
    }
    progress(&format!(
        "{what}: done in {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Runs on the terminal and shows every line of stdout to `observe` too.
///
/// Returns whether the program succeeded.
pub(crate) fn run_observed(command: &mut Command, mut observe: impl FnMut(&str)) -> Result<bool> {
    let line = describe(command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    if let Some(stdout) = child.stdout.take() {
        for text in BufReader::new(stdout).split(b'\n') {
            let text = text.with_context(|| format!("cannot read from `{line}`"))?;
            let text = String::from_utf8_lossy(&text);
            println!("{text}");
            observe(&text);
        }
    }
    Ok(child
        .wait()
        .with_context(|| format!("cannot wait for `{line}`"))?
        .success())
}

/// The end of a log file, headed by its path.
pub(crate) fn log_tail(log: &Path) -> String {
    match std::fs::read(log) {
        Ok(bytes) => {
            format!(
                "last lines of {}:\n{}",
                log.display(),
                tail(&String::from_utf8_lossy(&bytes))
            )
        }
        Err(error) => format!("its log {} cannot be read: {error}", log.display()),
    }
}

fn shortened(line: &str, length: usize) -> String {
    match line.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// The last lines of a text, indented.
fn tail(text: &str) -> String {
    let mut kept = VecDeque::with_capacity(TAIL_LINES);
    for line in text.lines() {
        if kept.len() == TAIL_LINES {
            kept.pop_front();
        }
        kept.push_back(format!("    {}", shortened(line, LINE_LENGTH)));
    }
    kept.into_iter().collect::<Vec<_>>().join("\n")
}

/// Where a program is: in `PATH`, or where Debian keeps the administrator's programs.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_keeps_the_last_lines() {
        let lines: Vec<String> = (1..=40).map(|number| format!("line {number}")).collect();
        let text = lines.join("\n");
        let tail = tail(&text);
        assert!(tail.starts_with("    line 16\n"), "{tail}");
        assert!(tail.ends_with("    line 40"), "{tail}");
    }

    #[test]
    fn a_failing_command_is_named_with_its_output() {
        let error = output(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("`sh -c echo why >&2; exit 3` failed"),
            "{text}"
        );
        assert!(text.contains("    why"), "{text}");
    }

    #[test]
    fn observed_lines_reach_the_observer() {
        let mut seen = Vec::new();
        let succeeded = run_observed(
            Command::new("sh").args(["-c", "echo a; echo b; exit 1"]),
            |line| {
                seen.push(line.to_owned());
            },
        )
        .unwrap();
        assert!(!succeeded);
        assert_eq!(seen, ["a", "b"]);
    }
}
