//! Probes and hooks: one look at a container, and what follows from many of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, LifecycleHandler, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::health;
use super::life::{Unhealthy, Verdict};
use super::ports::{Ports, named};
use super::processes::{Order, Processes, outcome};
use super::rewrite::{Mounts, rewrite};

/// How much of an answer or output is read.
const ENOUGH: u64 = 10 << 10;

/// Which question a probe answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whether the container is through with starting.
    Startup,
    /// Whether it works at all.
    Liveness,
    /// Whether it can be used now.
    Readiness,
}

impl Kind {
    /// As in `livenessProbe`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }

    /// As at the start of a sentence.
    fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.title())
    }
}

/// Numbers of a probe, with the API's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Time from the container's start to the first look.
    pub(super) delay: Duration,
    /// Time between looks.
    pub(super) period: Duration,
    /// How long a look may take.
    pub(super) timeout: Duration,
    /// So many successes in a row count.
    successes: u32,
    /// So many failures in a row count.
    failures: u32,
}

impl Pace {
    /// Of a probe.
    pub(super) fn of(probe: &Probe) -> Self {
        let number = |value: Option<i32>, default: u32| {
            value
                .and_then(|value| u32::try_from(value).ok())
                .filter(|value| *value > 0)
                .unwrap_or(default)
        };
        let seconds = |value, default| Duration::from_secs(number(value, default).into());
        Self {
            delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            successes: number(probe.success_threshold, 1),
            failures: number(probe.failure_threshold, 3),
        }
    }
}

/// What the looks of one probe at one run of a container add up to.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    kind: Kind,
    pace: Pace,
    grace_seconds: Option<i64>,
    last: Option<bool>,
    in_a_row: u32,
    said: Option<bool>,
}

impl Tally {
    /// Of a probe at a container that just started.
    pub(super) fn new(kind: Kind, probe: &Probe) -> Self {
        Self {
            kind,
            pace: Pace::of(probe),
            grace_seconds: probe.termination_grace_period_seconds,
            last: None,
            in_a_row: 0,
            said: None,
        }
    }

    /// Counts a look; says what has changed by it.
    pub(super) fn count(&mut self, success: bool) -> Option<Verdict> {
        if self.last == Some(success) {
            self.in_a_row += 1;
        } else {
            self.last = Some(success);
            self.in_a_row = 1;
        }
        let enough = if success {
            self.pace.successes
        } else {
            self.pace.failures
        };
        if self.in_a_row < enough || self.said == Some(success) {
            return None;
        }
        self.said = Some(success);
        let unhealthy = || {
            Verdict::Unhealthy(Unhealthy {
                probe: self.kind.word(),
                grace_seconds: self.grace_seconds,
            })
        };
        match (self.kind, success) {
            (Kind::Startup, true) => Some(Verdict::Started),
            (Kind::Liveness, true) => None,
            (Kind::Readiness, true) => Some(Verdict::Ready),
            (Kind::Startup | Kind::Liveness, false) => Some(unhealthy()),
            (Kind::Readiness, false) => Some(Verdict::Unready),
        }
    }

    /// Whether there is nothing more to look at in this run of the container.
    pub(super) fn is_settled(&self) -> bool {
        match self.kind {
            Kind::Startup => self.said.is_some(),
            Kind::Liveness => self.said == Some(false),
            Kind::Readiness => false,
        }
    }
}

/// What came of one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// All is well.
    Success,
    /// It is not, and why.
    Failure(String),
    /// The node cannot look in this way, and why; counts as a success.
    Impossible(String),
}

/// A container as probes and hooks see it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// It.
    pub(super) container: Container,
    /// Address of its pod.
    pub(super) address: IpAddr,
    /// Ports of its pod.
    pub(super) ports: Ports,
    /// Its volumes.
    pub(super) mounts: Mounts,
    /// Its environment.
    pub(super) env: BTreeMap<String, String>,
    /// Where it runs.
    pub(super) directory: PathBuf,
    /// Starts commands.
    pub(super) processes: Arc<Processes>,
}

impl Target {
    /// Looks once.
    pub(super) async fn look(&self, probe: &Probe) -> Look {
        let timeout = Pace::of(probe).timeout;
        let look = async {
            if let Some(get) = &probe.http_get {
                self.http_get(get).await
            } else if let Some(tcp) = &probe.tcp_socket {
                match self.place(tcp.host.as_deref(), named(&self.container, &tcp.port)) {
                    Ok(place) => connect(&place)
                        .await
                        .err()
                        .map_or(Look::Success, Look::Failure),
                    Err(problem) => Look::Failure(problem),
                }
            } else if let Some(grpc) = &probe.grpc {
                let port = named(&self.container, &IntOrString::Int(grpc.port));
                match port {
                    Some(port) => {
                        let address = SocketAddr::new(self.address, self.ports.of(port));
                        health::look(address, grpc.service.as_deref().unwrap_or_default()).await
                    }
                    None => Look::Failure("couldn't find the port".to_owned()),
                }
            } else if let Some(exec) = &probe.exec {
                self.exec(exec.command.as_deref().unwrap_or_default()).await
            } else {
                Look::Impossible("the probe says nothing that can be done".to_owned())
            }
        };
        tokio::time::timeout(timeout, look)
            .await
            .unwrap_or_else(|_| Look::Failure(format!("timed out after {}s", timeout.as_secs())))
    }

    /// Runs a hook.
    pub(super) async fn hook(&self, hook: &LifecycleHandler) -> Look {
        if let Some(exec) = &hook.exec {
            self.exec(exec.command.as_deref().unwrap_or_default()).await
        } else if let Some(get) = &hook.http_get {
            self.http_get(get).await
        } else if let Some(sleep) = &hook.sleep {
            let seconds = u64::try_from(sleep.seconds).unwrap_or(0);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Look::Success
        } else {
            Look::Impossible("the hook says nothing that can be done".to_owned())
        }
    }

    /// Host and port of a connection. Another host than the pod has its own ports.
    fn place(&self, host: Option<&str>, port: Option<u16>) -> Result<(String, u16), String> {
        let port = port.ok_or("couldn't find the port")?;
        Ok(match host.filter(|host| !host.is_empty()) {
            Some(host) if host != "localhost" && host != "127.0.0.1" => (host.to_owned(), port),
            _ => (self.address.to_string(), self.ports.of(port)),
        })
    }

    async fn http_get(&self, get: &HTTPGetAction) -> Look {
        if get.scheme.as_deref() == Some("HTTPS") {
            return Look::Impossible("the process-based node does not probe over HTTPS".to_owned());
        }
        let place = match self.place(get.host.as_deref(), named(&self.container, &get.port)) {
            Ok(place) => place,
            Err(problem) => return Look::Failure(problem),
        };
        let path = get.path.as_deref().unwrap_or("/");
        let slash = if path.starts_with('/') { "" } else { "/" };
        let url = format!("http://{}:{}{slash}{path}", place.0, place.1);
        let mut lines = vec![
            format!("GET {slash}{path} HTTP/1.1"),
            "Connection: close".to_owned(),
        ];
        let given = get.http_headers.as_deref().unwrap_or_default();
        let has = |name: &str| given.iter().any(|own| own.name.eq_ignore_ascii_case(name));
        if !has("host") {
            lines.push(format!("Host: {}:{}", place.0, place.1));
        }
        for (name, value) in [("Accept", "*/*"), ("User-Agent", "kube-probe/1.35")] {
            if !has(&name.to_lowercase()) {
                lines.push(format!("{name}: {value}"));
            }
        }
        let own = given.iter();
        lines.extend(own.map(|header| format!("{}: {}", header.name, header.value)));
        let request = lines.join("\r\n") + "\r\n\r\n";
        match fetch(&place, &request).await {
            Ok((code, _)) if (200..400).contains(&code) => Look::Success,
            Ok((code, _)) => Look::Failure(format!("HTTP probe failed with statuscode: {code}")),
            Err(problem) => Look::Failure(format!("Get \"{url}\": {problem}")),
        }
    }

    async fn exec(&self, command: &[String]) -> Look {
        let mut words = command
            .iter()
            .map(|word| rewrite(word, &self.ports, &self.mounts));
        let Some(program) = words.next() else {
            return Look::Failure("the command is empty".to_owned());
        };
        let args: Vec<_> = words.collect();
        let order = Order {
            program: OsStr::new(&program),
            args: &args,
            env: &self.env,
            directory: &self.directory,
        };
        let mut process = match self.processes.spawn(order).await {
            Ok(process) => process,
            Err(error) => return Look::Failure(error.to_string()),
        };
        // Whoever stops waiting, because the time is up, ends the command with this.
        let ending = Ending {
            pid: process.pid,
            processes: self.processes.clone(),
        };
        let (stdout, stderr) = (process.child.stdout.take(), process.child.stderr.take());
        let (mut output, errors) = tokio::join!(beginning(stdout), beginning(stderr));
        output.extend(errors);
        let status = process.child.wait().await;
        drop(ending);
        match status.map(outcome) {
            Ok((0, _)) => Look::Success,
            Ok((code, _)) => {
                let text = String::from_utf8_lossy(&output);
                let text = text.trim_end();
                if text.is_empty() {
                    Look::Failure(format!("command exited with code {code}"))
                } else {
                    Look::Failure(text.to_owned())
                }
            }
            Err(error) => Look::Failure(error.to_string()),
        }
    }
}

/// Ends a command that nobody waits for any more.
struct Ending {
    pid: u32,
    processes: Arc<Processes>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.pid) {
            super::guard::signal(group, Signal::KILL);
        }
        let (processes, pid) = (self.processes.clone(), self.pid);
        tokio::spawn(async move { processes.ended(pid).await });
    }
}

/// Reads an output to its end, and keeps its beginning.
async fn beginning(output: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut output) = output {
        let read = (&mut output).take(ENOUGH).read_to_end(&mut kept).await;
        if read.is_ok() {
            drop(tokio::io::copy(&mut output, &mut tokio::io::sink()).await);
        }
    }
    kept
}

async fn connect((host, port): &(String, u16)) -> Result<TcpStream, String> {
    TcpStream::connect((host.as_str(), *port))
        .await
        .map_err(|error| format!("dial tcp {host}:{port}: connect: {}", error.kind()))
}

/// Sends a request; gives the code and the beginning of the body.
async fn fetch(place: &(String, u16), request: &str) -> Result<(u16, Vec<u8>), String> {
    let mut stream = connect(place).await?;
    let asked = stream.write_all(request.as_bytes()).await;
    asked.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    let read = stream.take(ENOUGH).read_to_end(&mut answer).await;
    let code = status_code(&answer);
    match (code, read) {
        (Some(code), _) => Ok((code, answer)),
        (None, Err(error)) => Err(error.to_string()),
        (None, Ok(0)) => Err("EOF".to_owned()),
        (None, Ok(_)) => Err("malformed HTTP response".to_owned()),
    }
}

/// The code in the first line of an answer, such as `HTTP/1.1 200 OK`.
fn status_code(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    words.next().filter(|word| word.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(value: serde_json::Value) -> Probe {
        serde_json::from_value(value).unwrap()
    }

    /// What a probe says at each of a row of looks.
    fn verdicts(kind: Kind, given: serde_json::Value, looks: &str) -> Vec<Option<Verdict>> {
        let mut tally = Tally::new(kind, &probe(given));
        looks.chars().map(|look| tally.count(look == '+')).collect()
    }

    fn unhealthy(probe: &'static str, grace_seconds: Option<i64>) -> Verdict {
        Verdict::Unhealthy(Unhealthy {
            probe,
            grace_seconds,
        })
    }

    #[test]
    fn verdicts_come_at_the_thresholds() {
        let none = || serde_json::json!({});
        assert_eq!(
            verdicts(Kind::Liveness, none(), "--+---"),
            [
                None,
                None,
                None,
                None,
                None,
                Some(unhealthy("liveness", None))
            ]
        );
        let twice = serde_json::json!({ "successThreshold": 2, "failureThreshold": 1 });
        assert_eq!(
            verdicts(Kind::Readiness, twice, "+++-+-"),
            [
                None,
                Some(Verdict::Ready),
                None,
                Some(Verdict::Unready),
                None,
                None
            ]
        );
        let once = serde_json::json!({
            "failureThreshold": 2, "terminationGracePeriodSeconds": 1,
        });
        assert_eq!(
            verdicts(Kind::Startup, once.clone(), "-+"),
            [None, Some(Verdict::Started)]
        );
        assert_eq!(
            verdicts(Kind::Startup, once, "--"),
            [None, Some(unhealthy("startup", Some(1)))]
        );
    }

    #[test]
    fn a_settled_probe_is_over() {
        let mut startup = Tally::new(Kind::Startup, &Probe::default());
        assert!(!startup.is_settled());
        startup.count(true);
        assert!(startup.is_settled());
        let mut liveness = Tally::new(Kind::Liveness, &Probe::default());
        liveness.count(true);
        assert!(!liveness.is_settled());
    }

    #[test]
    fn the_numbers_have_the_apis_defaults() {
        let pace = Pace::of(&Probe::default());
        assert_eq!(
            pace,
            Pace {
                delay: Duration::ZERO,
                period: Duration::from_secs(10),
                timeout: Duration::from_secs(1),
                successes: 1,
                failures: 3,
            }
        );
    }

    #[test]
    fn codes_are_read_from_the_first_line() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Some(200)),
            ("HTTP/1.0 503 x\r\n", Some(503)),
            ("HTTP/1.1 200", Some(200)),
            ("HTTP/2 200", None),
            ("hello", None),
            ("", None),
        ] {
            assert_eq!(status_code(answer.as_bytes()), expected, "{answer:?}");
        }
    }
}
