//! One case against one server: its steps, and what was saved on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use super::case::{Case, Condition, Ignored, Step, StreamEnd, Until};
use super::path::Path;
use super::server::{Answer, Question, Server};

/// Longest time for a case.
const LONGEST: Duration = Duration::from_mins(2);
/// Longest time for events to come, or for something to be so.
const PATIENCE: Duration = Duration::from_secs(90);
/// Time between two looks at something that is waited for.
const PERIOD: Duration = Duration::from_millis(50);

/// A case that runs.
pub(super) struct Session<'a> {
    server: &'a Server,
    case: &'a Case,
    variables: BTreeMap<String, Value>,
    streams: BTreeMap<String, Stream>,
    /// What was answered, as it came.
    answers: Vec<Value>,
}

/// A watch that is open.
struct Stream {
    body: Body,
    /// What came and is not yet a whole line.
    rest: Vec<u8>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        server: &'a Server,
        case: &'a Case,
        variables: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Value::from(value)));
        Self {
            server,
            case,
            variables: variables.collect(),
            streams: BTreeMap::new(),
            answers: Vec::new(),
        }
    }

    /// Does all steps, cleans up, and returns the answers as they came.
    pub(super) async fn run(mut self) -> (Vec<Value>, Result<()>) {
        let steps = tokio::time::timeout(LONGEST, self.steps()).await;
        let mut result = match steps {
            Ok(result) => result,
            Err(_) => Err(anyhow!("not done within {LONGEST:?}")),
        };
        for path in &self.case.cleanup {
            let cleaned = self.delete(path).await;
            result = result.and_then(|()| cleaned.context("clean-up"));
        }
        (self.answers, result)
    }

    async fn steps(&mut self) -> Result<()> {
        for (index, step) in self.case.steps.iter().enumerate() {
            let done = self.step(step).await;
            done.with_context(|| format!("step {}", index + 1))?;
        }
        Ok(())
    }

    /// Deletes what a case leaves, and does not wait for finalizers of objects in namespaces.
    async fn delete(&self, path: &str) -> Result<()> {
        let path = self.expand(path)?;
        if path.contains("/namespaces/") && path.split('/').count() > 5 {
            let freed = json!({ "metadata": { "finalizers": null } });
            self.server.merge(&path, &freed).await?;
        }
        self.server.delete(&path).await.map(drop)
    }

    async fn step(&mut self, step: &Step) -> Result<()> {
        if step.each.is_empty() {
            return self.once(step).await;
        }
        for each in &step.each {
            self.variables
                .insert("each".to_owned(), each.as_str().into());
            self.once(step).await?;
        }
        Ok(())
    }

    async fn once(&mut self, step: &Step) -> Result<()> {
        if let Some(request) = &step.request {
            let (method, path) = request
                .split_once(' ')
                .with_context(|| format!("METHOD /path: {request}"))?;
            let question = self.question(step, method, path)?;
            let answer = self.server.ask(question).await?;
            self.take(step, &answer)
        } else if let Some(path) = &step.watch {
            self.watch(step, path).await
        } else if let Some(stream) = &step.events {
            self.events(step, stream).await
        } else if let (Some(path), Some(Until::Answer(condition))) = (&step.wait, &step.until) {
            let answer = self.wait(step, path, condition).await?;
            self.take(step, &answer)
        } else {
            bail!("a step that does nothing")
        }
    }

    fn question(&self, step: &Step, method: &str, path: &str) -> Result<Question> {
        let mut body = match (&step.body, &step.raw) {
            (Some(body), _) => Some(self.expand_value(body)?),
            (None, _) => None,
        };
        for (path, value) in &step.with {
            let body = body.as_mut().context("with needs body")?;
            let path = Path::parse(path)?;
            let value = repeated(self.expand_value(value)?);
            if value == "$absent" {
                path.remove(body);
            } else {
                path.set(body, value)?;
            }
        }
        let raw = step.raw.as_ref().map(|raw| self.expand(raw)).transpose()?;
        let body = body.map(|body| body.to_string()).or(raw);
        let mut headers = BTreeMap::new();
        if let Some(patch) = step.patch {
            headers.insert("content-type".to_owned(), patch.content_type().to_owned());
        }
        for (name, value) in &step.headers {
            headers.insert(name.clone(), self.expand(value)?);
        }
        let token = match step.identity.as_deref() {
            None => None,
            Some("anonymous") => Some(String::new()),
            Some(token) => Some(self.expand(token)?),
        };
        Ok(Question {
            method: method.parse()?,
            path: self.expand(path)?,
            headers,
            body: body.map(String::into_bytes),
            token,
        })
    }

    /// Saves from an answer, and keeps what of it is to be compared.
    fn take(&mut self, step: &Step, answer: &Answer) -> Result<()> {
        let Answer { code, body, .. } = answer;
        if step.quiet {
            ensure!(
                answer.is_success(),
                "a preparation was answered {code}: {body}"
            );
        } else {
            let record = answer.record(self.compared(step, body)?);
            self.answers.push(record);
        }
        for (name, path) in &step.save {
            let value = Path::parse(path)?
                .get(body)
                .with_context(|| format!("nothing at {path:?} to save of {code}: {body}"))?;
            self.variables.insert(name.clone(), value);
        }
        Ok(())
    }

    /// The parts of a body that are compared.
    fn compared(&self, step: &Step, body: &Value) -> Result<Value> {
        let mut body = body.clone();
        for ignored in step.ignore.iter().chain(&self.case.ignore) {
            leave_out(&mut body, ignored)?;
        }
        for path in &step.unordered {
            Path::parse(path)?.change(&mut body, &mut |list| {
                if let Some(list) = list.as_array_mut() {
                    list.sort_by_key(sort_key);
                }
            });
        }
        if step.pick.is_empty() {
            return Ok(body);
        }
        let mut picked = serde_json::Map::new();
        for path in &step.pick {
            let value = Path::parse(path)?.get(&body).unwrap_or(Value::Null);
            picked.insert(path.clone(), value);
        }
        Ok(Value::Object(picked))
    }

    async fn watch(&mut self, step: &Step, path: &str) -> Result<()> {
        let question = self.question(step, "GET", path)?;
        let response = self.server.open(question).await?;
        if response.status() != 200 {
            let answer = Answer::read(response).await?;
            return self.take(step, &answer);
        }
        let stream = Stream {
            body: response.into_body(),
            rest: Vec::new(),
        };
        let name = step.stream.clone().unwrap_or_default();
        self.streams.insert(name, stream);
        Ok(())
    }

    async fn events(&mut self, step: &Step, name: &str) -> Result<()> {
        let stream = self
            .streams
            .get_mut(name)
            .with_context(|| format!("no watch {name} is open"))?;
        let until = match (&step.until, step.count) {
            (Some(Until::Stream(end)), _) => Some(*end),
            _ => None,
        };
        let deadline = Instant::now() + PATIENCE;
        let mut events = Vec::new();
        loop {
            let whole = match until {
                None => step.count.is_some_and(|count| events.len() >= count),
                Some(StreamEnd::Bookmark) => events.last().is_some_and(is_bookmark),
                Some(StreamEnd::End) => false,
            };
            if whole {
                break;
            }
            let event = tokio::time::timeout_at(deadline, stream.next()).await;
            let Ok(event) = event else {
                let came = Value::Array(events);
                bail!("after {PATIENCE:?} the watch {name} has delivered only {came}");
            };
            match event? {
                Some(event) if until.is_none() && is_bookmark(&event) => {}
                Some(event) => events.push(event),
                None if until == Some(StreamEnd::End) => break,
                None => {
                    let came = Value::Array(events);
                    bail!("the server ended the watch {name} after {came}");
                }
            }
        }
        for (name, path) in &step.save {
            let value = Path::parse(path)?
                .get(&Value::Array(events.clone()))
                .with_context(|| format!("nothing at {path:?} to save of {events:?}"))?;
            self.variables.insert(name.clone(), value);
        }
        if step.quiet {
            return Ok(());
        }
        let events = events.into_iter().map(|mut event| {
            let object = event["object"].take();
            event["object"] = self.compared(step, &object)?;
            Ok(event)
        });
        let events: Vec<Value> = events.collect::<Result<_>>()?;
        self.answers.push(json!({ "events": events }));
        Ok(())
    }

    async fn wait(&self, step: &Step, path: &str, condition: &Condition) -> Result<Answer> {
        let (method, path) = path.split_once(' ').unwrap_or(("GET", path));
        let deadline = Instant::now() + PATIENCE;
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            let answer = self.server.ask(self.question(step, method, path)?).await?;
            if self.holds(condition, &answer)? {
                return Ok(answer);
            }
            ensure!(
                Instant::now() < deadline,
                "after {PATIENCE:?} {condition:?} is not so: {} {}",
                answer.code,
                answer.body
            );
        }
    }

    fn holds(&self, condition: &Condition, answer: &Answer) -> Result<bool> {
        let Condition {
            code,
            path,
            equals,
            absent,
        } = condition;
        if code.is_some_and(|code| code != answer.code) {
            return Ok(false);
        }
        let Some(path) = path else {
            return Ok(true);
        };
        let found = Path::parse(path)?.get(&answer.body);
        Ok(match (found, equals) {
            (found, _) if *absent => found.is_none(),
            (Some(found), Some(wanted)) => found == self.expand_value(wanted)?,
            (found, None) => found.is_some(),
            (None, Some(_)) => false,
        })
    }

    /// Replaces `$name` in every text of a value.
    fn expand_value(&self, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::String(text) => {
                let whole = text.strip_prefix('$').and_then(|it| self.variables.get(it));
                match whole {
                    Some(whole) => whole.clone(),
                    None if text == "$absent" => value.clone(),
                    None => Value::from(self.expand(text)?),
                }
            }
            Value::Array(items) => items
                .iter()
                .map(|item| self.expand_value(item))
                .collect::<Result<_>>()?,
            Value::Object(map) => {
                let mut expanded = serde_json::Map::new();
                for (key, value) in map {
                    // Directives of strategic patches begin with the same sign.
                    let key = self.expand(key).unwrap_or_else(|_| key.clone());
                    expanded.insert(key, self.expand_value(value)?);
                }
                Value::Object(expanded)
            }
            other => other.clone(),
        })
    }

    /// Replaces `$name` in a text. A name is of letters only.
    fn expand(&self, text: &str) -> Result<String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let end = after
                .find(|letter: char| !letter.is_ascii_alphabetic())
                .unwrap_or(after.len());
            let (name, remainder) = after.split_at(end);
            if name.is_empty() {
                expanded.push('$');
            } else {
                ensure!(
                    self.variables.contains_key(name),
                    "nothing was saved as ${name}"
                );
                expanded.push_str(&self.text(name));
            }
            rest = remainder;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn text(&self, variable: &str) -> String {
        match self.variables.get(variable) {
            None => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }
}

impl Stream {
    /// The next event; none at the end.
    async fn next(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let event = serde_json::from_slice(&line)
                    .with_context(|| String::from_utf8_lossy(&line).into_owned())?;
                return Ok(Some(event));
            }
            match self.body.frame().await {
                None => {
                    ensure!(
                        self.rest.is_empty(),
                        "the watch ended within {}",
                        String::from_utf8_lossy(&self.rest)
                    );
                    return Ok(None);
                }
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

/// Makes a long text of `{$text, $times}`.
fn repeated(value: Value) -> Value {
    let text = value["$text"].as_str();
    let times = value["$times"].as_u64().map(usize::try_from);
    if let (Some(text), Some(Ok(times))) = (text, times) {
        return text.repeat(times).into();
    }
    value
}

fn is_bookmark(event: &Value) -> bool {
    event["type"] == "BOOKMARK"
}

/// Removes an ignored part from a body, and from each item if it is a list.
fn leave_out(body: &mut Value, ignored: &Ignored) -> Result<()> {
    let path = Path::parse(&ignored.path)?;
    path.remove(body);
    Path::parse("items[*]")?.change(body, &mut |item| path.remove(item));
    Ok(())
}

/// Orders what has no order: by name if there is one.
fn sort_key(item: &Value) -> String {
    let named = ["name", "type", "kind", "groupVersion"]
        .iter()
        .find_map(|key| item.get(key).and_then(Value::as_str))
        .or_else(|| item["metadata"]["name"].as_str());
    named.map_or_else(|| item.to_string(), str::to_owned)
}
