//! Runs cases beside each other, against one server.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, stream};
use serde_json::Value;

use super::answers::Answers;
use super::case::{Case, Topic, folder, topics};
use super::compare::differences;
use super::namespaces::Namespaces;
use super::normalize::{Known, normalize};
use super::server::{Answer, Server};
use super::session::Session;

/// Cases at once.
const AT_ONCE: usize = 8;
/// Which of our kinds cases use under another group.
const OURS: [&str; 3] = ["fleets", "gameservers", "matchallocations"];
/// Longest time until what all cases need is there.
const READY: Duration = Duration::from_secs(20);
/// Differences that are told of a case.
const TOLD: usize = 12;

/// The cases to run.
#[derive(Clone, Debug)]
pub struct Suite {
    topics: Vec<Topic>,
    /// A word of this run, for names.
    run: String,
}

/// What became of a case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Topic.
    pub topic: String,
    /// Name of the case.
    pub case: String,
    /// The answers, normalized.
    pub answers: Vec<Value>,
    /// What kept the case from its end.
    pub failure: Option<String>,
}

impl Suite {
    /// Reads the cases whose topic or name contains `wanted`.
    pub fn load(wanted: &str) -> Result<Self> {
        let mut topics = topics()?;
        for topic in &mut topics {
            if !topic.name.contains(wanted) {
                topic.cases.retain(|case| case.name.contains(wanted));
            }
        }
        topics.retain(|topic| !topic.cases.is_empty());
        ensure!(!topics.is_empty(), "no case contains {wanted:?}");
        let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let run = format!("run{:x}-{}", time % (1 << 40), std::process::id());
        Ok(Self { topics, run })
    }

    /// The topics with the cases that were asked for.
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// Runs the cases.
    pub async fn run(&self, server: &Server) -> Result<Vec<Outcome>> {
        let definitions = self.definitions()?;
        let prefix = format!("ns{}", self.run.trim_start_matches("run"));
        let namespaces = Namespaces::new(prefix, format!("{}.example.com", self.run));
        let mut outcomes = Vec::new();
        let prepared = prepare(server, &definitions).await;
        if prepared.is_ok() {
            let cases = self
                .topics
                .iter()
                .flat_map(|topic| topic.cases.iter().map(move |case| (topic, case)));
            outcomes = stream::iter(cases)
                .map(|(topic, case)| self.case(server, &namespaces, topic, case))
                .buffered(AT_ONCE)
                .collect()
                .await;
        }
        namespaces.delete(server).await?;
        for definition in &definitions {
            let name = definition["metadata"]["name"].as_str().unwrap_or_default();
            server.delete(&format!("{DEFINITIONS}/{name}")).await?;
        }
        prepared.map(|()| outcomes)
    }

    /// Runs the cases, and compares the answers with the recorded ones. One text for each case
    /// that differs.
    pub async fn check(&self, server: &Server) -> Result<Vec<String>> {
        let outcomes = self.run(server).await?;
        let mut told = Vec::new();
        for topic in &self.topics {
            let recorded = Answers::load(topic)?;
            let of_topic = outcomes
                .iter()
                .filter(|outcome| outcome.topic == topic.name);
            told.extend(of_topic.filter_map(|outcome| outcome.difference(&recorded)));
        }
        Ok(told)
    }

    /// Runs the cases, and records the answers of those that came to their end. One text for each
    /// that did not.
    pub async fn record(&self, server: &Server) -> Result<Vec<String>> {
        let outcomes = self.run(server).await?;
        let all = topics()?;
        let mut told = Vec::new();
        for topic in &self.topics {
            let whole = all.iter().find(|other| other.name == topic.name);
            let whole = whole.context("a topic is gone")?;
            let mut answers = Answers::load(topic)?;
            for outcome in outcomes
                .iter()
                .filter(|outcome| outcome.topic == topic.name)
            {
                let Some(failure) = &outcome.failure else {
                    answers.insert(&outcome.case, outcome.answers.clone());
                    continue;
                };
                let last = outcome.answers.last().unwrap_or(&Value::Null);
                told.push(format!(
                    "{}: {}: {failure}\nlast answer: {last:#}",
                    outcome.topic, outcome.case
                ));
            }
            answers.store(whole)?;
        }
        Ok(told)
    }

    /// The kinds that cases use besides the built-in ones: Widget, and our own under another group,
    /// where no operator acts on them.
    fn definitions(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(folder().join("fixtures/widgets.yaml"))?;
        let text = text.replace("$RUN", &self.run);
        let mut definitions: Vec<Value> = vec![serde_saphyr::from_str(&text)?];
        for mut definition in crds::definitions::all() {
            if OURS.contains(&definition.spec.names.plural.as_str()) {
                definition.spec.group = format!("muster.{}.example.com", self.run);
                let name = format!("{}.{}", definition.spec.names.plural, definition.spec.group);
                definition.metadata.name = Some(name);
                definitions.push(serde_json::to_value(definition)?);
            }
        }
        Ok(definitions)
    }

    async fn case(
        &self,
        server: &Server,
        namespaces: &Namespaces,
        topic: &Topic,
        case: &Case,
    ) -> Outcome {
        let mut namespace = String::new();
        let mut answers = Vec::new();
        let mut result = Ok(());
        if case.has_namespace() {
            match namespaces.take(server, case).await {
                Ok(name) => namespace = name,
                Err(error) => result = Err(error.context("make a namespace")),
            }
        }
        if result.is_ok() {
            let variables = self.variables(&namespace);
            (answers, result) = Session::new(server, case, variables).run().await;
        }
        if !namespace.is_empty() {
            let cleared = namespaces.give_back(server, case, &namespace).await;
            result = result.and_then(|()| cleared.context("clear the namespace"));
        }
        let known = Known {
            names: vec![(namespace, "$NS"), (self.run.clone(), "$RUN")],
            source: &case.source,
        };
        Outcome {
            topic: topic.name.clone(),
            case: case.name.clone(),
            answers: normalize(&answers, &known),
            failure: result.err().map(|failure| format!("{failure:#}")),
        }
    }

    fn variables(&self, namespace: &str) -> [(&'static str, String); 6] {
        let group = format!("{}.example.com", self.run);
        [
            ("NS", namespace.to_owned()),
            ("RUN", self.run.clone()),
            ("CORE", format!("/api/v1/namespaces/{namespace}")),
            (
                "WIDGETS",
                format!("/apis/{group}/v1/namespaces/{namespace}/widgets"),
            ),
            ("MUSTER", format!("muster.{group}")),
            ("GROUP", group),
        ]
    }
}

impl Outcome {
    /// How the answers differ from the recorded ones.
    fn difference(&self, recorded: &Answers) -> Option<String> {
        let mut lines = Vec::new();
        let wanted = recorded.get(&self.case);
        if wanted.is_none() {
            lines.push("nothing is recorded".to_owned());
        }
        let wanted = wanted.unwrap_or_default();
        for (index, (wanted, got)) in wanted.iter().zip(&self.answers).enumerate() {
            for line in differences(wanted, got) {
                lines.push(format!("answer {}{line}", index + 1));
            }
        }
        let (expected, came) = (wanted.len(), self.answers.len());
        if expected != came && self.failure.is_none() {
            lines.push(format!("wanted {expected} answers, got {came}"));
        }
        let more = lines.len().saturating_sub(TOLD);
        lines.truncate(TOLD);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines.extend(self.failure.clone());
        if lines.is_empty() {
            return None;
        }
        let lines = lines.join("\n    ");
        Some(format!("{}: {}\n    {lines}", self.topic, self.case))
    }
}

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Creates what all cases need.
async fn prepare(server: &Server, definitions: &[Value]) -> Result<()> {
    for definition in definitions {
        let answer = server.create(DEFINITIONS, definition).await?;
        ensure!(answer.is_success(), "{}", answer.body);
    }
    for definition in definitions {
        let spec = &definition["spec"];
        for version in spec["versions"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let path = format!(
                "/apis/{}/{}/{}",
                text(&spec["group"]),
                text(&version["name"]),
                text(&spec["names"]["plural"])
            );
            server.poll(&path, READY, Answer::is_success).await?;
        }
    }
    Ok(())
}
