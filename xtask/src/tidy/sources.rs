//! Rules for single files: length, spaces, markers, lint attributes, purity.

use std::path::Path;

use super::dependencies::SERVICES;

const MAX_LINES: usize = 800;
const MAX_MAIN_LINES: usize = 30;

/// Files that decide and must not act.
const PURE: [&str; 4] = ["desired.rs", "plan.rs", "select.rs", "status.rs"];

/// Words that mean input, output, time or waiting.
const IMPURE: [&str; 9] = [
    "tokio",
    "async",
    "await",
    "kube::Api",
    "Client",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "kube::runtime",
];

/// Markers of unfinished work, written so that this file does not contain them.
const MARKERS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Whether a file is written by people, and in a form that has rules.
pub(super) fn is_checked(name: &str) -> bool {
    let is_generated = name.contains("/gen/")
        || name.starts_with("charts/muster/crds/")
        || name.starts_with("deploy/")
        || name == "Cargo.lock";
    let endings = [
        ".rs",
        ".md",
        ".toml",
        ".yaml",
        ".yml",
        ".sh",
        ".c",
        "Dockerfile",
    ];
    let is_text = endings.iter().any(|ending| name.ends_with(ending))
        || ["justfile", ".ci/run"].contains(&name);
    is_text && !is_generated
}

/// Names every rule that a file breaks.
pub(super) fn violations(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut object = |what: &str| found.push(format!("{name}:{}: {what}", index + 1));
        if line.ends_with([' ', '\t', '\r']) {
            object("ends in white space");
        }
        if !has_extension(name, "md") {
            for marker in MARKERS.iter().filter(|marker| has_word(line, marker)) {
                object(&format!("{marker}: do it, or open an issue"));
            }
        }
        if has_extension(name, "rs") {
            for what in code_violations(name, line) {
                object(&what);
            }
        }
    }
    if has_extension(name, "rs") {
        let lines = text.lines().count();
        if lines > MAX_LINES {
            found.push(format!(
                "{name}: {lines} lines, more than {MAX_LINES}: split it by reason to change"
            ));
        }
        let is_service_main = SERVICES
            .iter()
            .any(|service| name == format!("{service}/src/main.rs"));
        if is_service_main && lines > MAX_MAIN_LINES {
            found.push(format!(
                "{name}: {lines} lines, more than {MAX_MAIN_LINES}: the work belongs in the library"
            ));
        }
        let is_module = name.contains("src/") && !name.ends_with("/tests.rs");
        if is_module && !text.starts_with("//!") && !text.starts_with("#![") {
            found.push(format!(
                "{name}: starts without a //! comment that says what the module decides"
            ));
        }
    }
    found
}

fn has_extension(name: &str, wanted: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == wanted)
}

fn code_violations(name: &str, line: &str) -> Vec<String> {
    let code = line.trim_start();
    let mut found = Vec::new();
    let attribute = code.trim_start_matches('#').trim_start_matches('!');
    if code.starts_with('#') && attribute.starts_with("[allow(") {
        found.push("#[allow]: use #[expect(…, reason = \"…\")]".to_owned());
    }
    let file = name.rsplit('/').next().unwrap_or(name);
    if PURE.contains(&file) && !code.starts_with("//") {
        for word in IMPURE.iter().filter(|word| has_word(code, word)) {
            found.push(format!(
                "{word}: {file} decides and must not act, wait or know the time"
            ));
        }
    }
    found
}

/// Whether `word` stands in `line`, not as a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(word).any(|(start, _)| {
        !line[..start].ends_with(is_name) && !line[start + word.len()..].starts_with(is_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_files_are_not_checked() {
        assert!(is_checked("operator/src/ports.rs"));
        assert!(is_checked("README.md"));
        assert!(!is_checked("proto/src/gen/agones.rs"));
        assert!(!is_checked("charts/muster/crds/fleets.yaml"));
        assert!(!is_checked("xtask/cluster/etcd/go.sum"));
    }

    #[test]
    fn pure_files_stay_pure() {
        let text = "//! Decides; async is for others.\nuse kube::Api;\nlet now = Instant::now();\nlet ClientName = 1;\n";
        let found = violations("operator/src/fleet/plan.rs", text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("operator/src/fleet/plan.rs:2: kube::Api"),
            "{found:?}"
        );
        assert!(violations("operator/src/fleet/apply.rs", text).is_empty());
    }

    #[test]
    fn markers_and_bare_attributes_are_found() {
        let text = format!(
            "//! Doc.\n// {}: later\n#[allow(dead_code)]\n#![allow(unused)]\n",
            MARKERS[0]
        );
        assert_eq!(violations("crds/src/a.rs", &text).len(), 3);
        assert!(
            violations(
                "crds/src/a.rs",
                "//! Doc.\n#[expect(dead_code, reason = \"x\")]\n"
            )
            .is_empty()
        );
    }

    #[test]
    fn lengths_and_spaces() {
        let long = format!("//! Doc.\n{}", "fn f() {}\n".repeat(MAX_LINES));
        assert_eq!(violations("crds/src/a.rs", &long).len(), 1);
        let main = format!("//! Doc.\n{}", "fn f() {}\n".repeat(MAX_MAIN_LINES));
        assert_eq!(violations("operator/src/main.rs", &main).len(), 1);
        assert!(violations("xtask/src/main.rs", &main).is_empty());
        assert_eq!(violations("README.md", "two spaces  \n").len(), 1);
        assert_eq!(violations("crds/src/a.rs", "fn f() {}\n").len(), 1);
    }
}
