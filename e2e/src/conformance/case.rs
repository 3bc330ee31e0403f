//! Cases as they are written in `e2e/conformance/*.yaml`.
//!
//! A file is one topic. A case is a name, which is a sentence, and steps. A step is a request
//! (`do`), a watch that stays open (`watch`), what a watch has delivered (`events`), or a request
//! that is repeated until something holds (`wait`).
//!
//! `$NS` is a namespace made for the case and `$CORE` the path of the core kinds in it; `$RUN` is a
//! word for this run, for names without a namespace; `$GROUP` is the group of the kind Widget of
//! `fixtures/widgets.yaml`, and `$WIDGETS` its path in the namespace; `$MUSTER` is a group with our
//! own kinds, which no operator knows. `$name` is what a `save` took from an earlier answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path as FilePath, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::path::Path;

/// A file of cases.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Name of the file without its end.
    pub name: String,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// One behavior.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What is so, as a sentence; unique in its topic.
    pub name: String,
    /// What to do.
    pub(super) steps: Vec<Step>,
    /// What is left out of every answer.
    #[serde(default)]
    pub(super) ignore: Vec<Ignored>,
    /// Paths of objects without a namespace to delete at the end.
    #[serde(default)]
    pub(super) cleanup: Vec<String>,
    /// The case as text: values that stand in it are not replaced by placeholders.
    #[serde(skip)]
    pub(super) source: String,
}

/// A part of answers that is not compared, and why.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ignored {
    /// Where, in an answer, in each item of a list and in each object of an event.
    pub path: String,
    /// Why it cannot be equal.
    pub reason: String,
}

/// One step as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Step {
    /// A request: `METHOD /path`.
    #[serde(rename = "do")]
    pub(super) request: Option<String>,
    /// Opens a watch: its path. `stream` names it.
    pub(super) watch: Option<String>,
    /// Name of the watch that `watch` opens; `events` refers to it.
    pub(super) stream: Option<String>,
    /// Takes events of the watch of this name: `count` many, or until something.
    pub(super) events: Option<String>,
    /// How many events; bookmarks do not count and are not kept.
    pub(super) count: Option<usize>,
    /// Until when: of events, `bookmark` or `end`.
    pub(super) until: Option<Until>,
    /// Repeats a GET of this path, or a request as in `do`, until `until` holds.
    pub(super) wait: Option<String>,
    /// JSON to send; a text that is only `$name` is replaced by the whole saved value.
    pub(super) body: Option<Value>,
    /// Changes to the body, by path; `$absent` removes, `{$text, $times}` is a long text.
    pub(super) with: BTreeMap<String, Value>,
    /// Text to send as it is.
    pub(super) raw: Option<String>,
    /// Content type of a patch: json, merge, strategic or apply.
    pub(super) patch: Option<PatchType>,
    /// More headers, or other ones.
    pub(super) headers: BTreeMap<String, String>,
    /// Bearer token instead of the administrator's identity; `anonymous` sends none.
    #[serde(rename = "as")]
    pub(super) identity: Option<String>,
    /// Takes values from the answer, by path.
    pub(super) save: BTreeMap<String, String>,
    /// Only these parts of the answer are compared.
    pub(super) pick: Vec<String>,
    /// Lists whose order means nothing.
    pub(super) unordered: Vec<String>,
    /// What is left out of the answer.
    pub(super) ignore: Vec<Ignored>,
    /// The request only prepares something: it must succeed, and is not compared.
    pub(super) quiet: bool,
    /// The step is done once with each of these as `$each`.
    pub(super) each: Vec<String>,
}

/// Content types of patches.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchType {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// When a step is over.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Until {
    /// Of a watch.
    Stream(StreamEnd),
    /// Of an answer.
    Answer(Condition),
}

/// What ends the taking of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum StreamEnd {
    /// A bookmark, which is kept.
    Bookmark,
    /// The server's end of the answer.
    End,
}

/// What must hold of an answer; everything that is given must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Condition {
    /// The status code.
    pub(super) code: Option<u16>,
    /// A path.
    pub(super) path: Option<String>,
    /// What is there; if it is not given, something must be there.
    pub(super) equals: Option<Value>,
    /// Nothing must be at the path.
    pub(super) absent: bool,
}

impl Case {
    /// Whether it needs a namespace of its own.
    pub(super) fn has_namespace(&self) -> bool {
        ["namespaces/$NS", "$CORE", "$WIDGETS"]
            .iter()
            .any(|path| self.source.contains(path))
    }

    /// Everything that is not compared.
    pub fn ignored(&self) -> impl Iterator<Item = &Ignored> {
        let steps = self.steps.iter().flat_map(|step| &step.ignore);
        self.ignore.iter().chain(steps)
    }

    fn check(&self) -> Result<()> {
        for step in &self.steps {
            let kinds = [&step.request, &step.watch, &step.events, &step.wait];
            let kinds = kinds.into_iter().flatten().count();
            ensure!(kinds == 1, "a step is one of do, watch, events, wait");
            ensure!(
                step.watch.is_none() || step.stream.is_some(),
                "watch needs stream"
            );
            match (&step.events, &step.wait, &step.until, step.count) {
                (Some(_), None, Some(Until::Stream(_)), None)
                | (Some(_), None, None, Some(_))
                | (None, Some(_), Some(Until::Answer(_)), None)
                | (None, None, None, None) => {}
                _ => bail!("until or count does not fit the step"),
            }
            let saved = step.save.values().map(String::as_str);
            let picked = step.pick.iter().chain(&step.unordered).map(String::as_str);
            let ignored = step.ignore.iter().chain(&self.ignore);
            let changed = step.with.keys().map(String::as_str);
            let paths = saved
                .chain(picked)
                .chain(ignored.map(|ignored| ignored.path.as_str()))
                .chain(changed);
            for path in paths {
                Path::parse(path)?;
            }
        }
        Ok(())
    }
}

/// Folder of the cases.
pub(super) fn folder() -> PathBuf {
    FilePath::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cases: Vec<Value>,
}

/// Every topic, by name.
pub fn topics() -> Result<Vec<Topic>> {
    let folder = folder();
    let entries =
        fs::read_dir(&folder).with_context(|| format!("read folder {}", folder.display()))?;
    let mut topics = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "yaml") {
            let topic = topic(&path).with_context(|| format!("in {}", path.display()))?;
            topics.push(topic);
        }
    }
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(topics)
}

fn topic(path: &FilePath) -> Result<Topic> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(path)?;
    // `n` is a name, not false.
    let options = serde_saphyr::options! { strict_booleans: true };
    let file: File = serde_saphyr::from_str_with_options(&text, options)?;
    let mut cases: Vec<Case> = Vec::new();
    for value in file.cases {
        let title = value["name"].as_str().unwrap_or_default().to_owned();
        let source = value.to_string();
        let mut case: Case =
            serde_json::from_value(value).with_context(|| format!("case {title:?}"))?;
        case.source = source;
        case.check().with_context(|| format!("case {title:?}"))?;
        ensure!(
            cases.iter().all(|other| other.name != case.name),
            "two cases are named {title:?}"
        );
        cases.push(case);
    }
    Ok(Topic {
        name: name.into_owned(),
        cases,
    })
}
