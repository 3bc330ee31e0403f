//! The conformance suite: `embedded` answers as a real API server does.
//!
//! What it must answer was recorded from a real one, which `--features cluster` asks again: so
//! the recorded answers cannot go stale.

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

#[test]
fn what_is_not_compared_is_told_in_the_documentation() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/embedded.md");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    for topic in topics()? {
        for case in &topic.cases {
            for ignored in case.ignored() {
                ensure!(
                    text.contains(&ignored.reason),
                    "docs/embedded.md does not say {:?} ({}: {})",
                    ignored.reason,
                    topic.name,
                    case.name
                );
            }
        }
    }
    Ok(())
}
