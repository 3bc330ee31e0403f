//! The conformance suite: `embedded` answers as a real API server does.
//!
//! What it must answer was recorded from a real one, which `--features cluster` asks again: so
//! the recorded answers cannot go stale.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use e2e::conformance::{Answers, InProcess, Suite, topics};

/// Fails with everything that differs.
fn ensure_equal(differences: &[String]) -> Result<()> {
    ensure!(
        differences.is_empty(),
        "{} cases differ from what was recorded:\n\n{}",
        differences.len(),
        differences.join("\n\n")
    );
    Ok(())
}

#[tokio::test]
async fn embedded_answers_as_the_real_api_server() -> Result<()> {
    let suite = Suite::load("")?;
    let embedded = InProcess::start().await?;
    let differences = suite.check(embedded.server()).await?;
    embedded.stop().await?;
    ensure_equal(&differences)
}

#[cfg(feature = "cluster")]
#[tokio::test]
async fn the_real_api_server_answers_as_recorded() -> Result<()> {
    let suite = Suite::load("")?;
    let server = e2e::conformance::Server::of_environment().await?;
    ensure_equal(&suite.check(&server).await?)
}

#[test]
fn every_case_has_recorded_answers_and_no_answer_is_without_its_case() -> Result<()> {
    for topic in topics()? {
        let answers = Answers::load(&topic)?;
        let cases: Vec<&str> = topic.cases.iter().map(|case| case.name.as_str()).collect();
        for case in &cases {
            ensure!(
                answers.get(case).is_some(),
                "{}: nothing is recorded of {case:?}: `cargo run -p e2e --bin conformance -- record`",
                topic.name
            );
        }
        let stale: Vec<&str> = answers
            .names()
            .filter(|name| !cases.contains(name))
            .collect();
        ensure!(
            stale.is_empty(),
            "{}: no case is named {stale:?}",
            topic.name
        );
    }
    Ok(())
}

/// The list in `docs/embedded.md`: every reason, and under it the cases.
fn not_compared() -> Result<String> {
    let mut reasons: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for topic in topics()? {
        for case in &topic.cases {
            for ignored in case.ignored() {
                let cases = reasons.entry(ignored.reason.clone()).or_default();
                cases.insert(format!("  - {}: {}\n", topic.name, case.name));
            }
        }
    }
    let lists = reasons.into_iter().map(|(reason, cases)| {
        let cases: String = cases.into_iter().collect();
        format!("- {reason}\n{cases}")
    });
    Ok(lists.collect())
}

#[test]
fn what_is_not_compared_is_told_in_the_documentation() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/embedded.md");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let list = not_compared()?;
    // With what is around it, so that nothing in the documentation has lost its case.
    ensure!(
        text.contains(&format!("\n\n{list}\n")),
        "docs/embedded.md must have this list, and no other line in it:\n\n{list}"
    );
    Ok(())
}
