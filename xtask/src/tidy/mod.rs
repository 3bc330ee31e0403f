//! Checks rules of the repository that no compiler knows.

mod decisions;
mod dependencies;
mod invariants;
mod sources;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::progress;
use crate::repository;

/// Folders that are not ours to check.
const FOREIGN: [&str; 3] = ["target", "node_modules", ".git"];

/// The suites that run on a cluster; each is a file.
const SUITES: &str = "e2e/tests/cluster/";

/// Runs `cargo xtask tidy`.
pub(crate) fn run() -> Result<()> {
    let root = repository::root();
    let mut violations = dependencies::violations(&repository::metadata()?.packages);
    let mut files = Vec::new();
    walk(root, &mut files)?;
    files.sort();
    let mut tests = BTreeSet::new();
    for path in &files {
        let name = path
            .strip_prefix(root)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned();
        if !sources::is_checked(&name) {
            continue;
        }
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
        violations.extend(sources::violations(&name, &text));
        if let Some(module) = name.strip_suffix(".rs") {
            tests.extend(invariants::functions(&text).map(str::to_owned));
            tests.extend(module.strip_prefix(SUITES).map(str::to_owned));
        }
    }
    let is_path = |name: &str| root.join(name).exists();
    for page in invariants::PAGES {
        let text = fs::read_to_string(root.join(page.path))
            .with_context(|| format!("cannot read {}", page.path))?;
        violations.extend(invariants::violations(page, &text, &tests, is_path));
    }
    violations.extend(check_decisions(root)?);
    if violations.is_empty() {
        progress(&format!(
            "tidy: {} files, nothing to object to",
            files.len()
        ));
        return Ok(());
    }
    bail!(
        "{} violations\n  {}",
        violations.len(),
        violations.join("\n  ")
    );
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let kind = entry
            .file_type()
            .context("cannot tell a file from a folder")?;
        let name = entry.file_name();
        if kind.is_dir() && !FOREIGN.iter().any(|foreign| name == *foreign) {
            walk(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn check_decisions(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("docs/adr");
    let Ok(entries) = fs::read_dir(&folder) else {
        return Ok(Vec::new());
    };
    let names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let index = folder.join("README.md");
    let index = if names.is_empty() {
        String::new()
    } else {
        fs::read_to_string(&index).with_context(|| format!("cannot read {}", index.display()))?
    };
    Ok(decisions::violations(&names, &index))
}
