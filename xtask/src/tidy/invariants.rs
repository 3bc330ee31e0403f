//! What ARCHITECTURE.md says guards an invariant is there: tests, suites and paths.

use std::collections::BTreeSet;

/// The page that has the table.
pub(super) const PAGE: &str = "ARCHITECTURE.md";

/// The heading above the table.
const HEADING: &str = "## Invariants";

/// The names of the functions in a Rust file.
pub(super) fn functions(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter_map(|line| line.split_once("fn "));
    lines.filter_map(|(_, rest)| {
        let end = rest.find(['(', '<'])?;
        rest.get(..end).filter(|name| is_name(name))
    })
}

/// Names what the table names and nobody has. `tests` are the names of functions and suites.
pub(super) fn violations(
    page: &str,
    tests: &BTreeSet<String>,
    is_path: impl Fn(&str) -> bool,
) -> Vec<String> {
    let after = page.split_once(HEADING).map_or("", |(_, rest)| rest);
    let section = after.split("\n## ").next().unwrap_or(after);
    let guards: Vec<_> = section
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    if guards.is_empty() {
        return vec![format!("{PAGE}: has no table under {HEADING}")];
    }
    let mut found: Vec<_> = guards
        .into_iter()
        .filter(|name| {
            let is_missing_test = is_name(name) && !tests.contains(*name);
            let is_missing_path = name.contains('/') && !is_path(name);
            is_missing_test || is_missing_path
        })
        .map(|name| format!("{PAGE}: {name} guards an invariant and does not exist"))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Whether it could be the name of a test, and not a command or a file.
fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_functions_are_found() {
        let text = "    async fn one_waits() {\nfn many<Kind>(kind: Kind) {}\n// a fn is here\n";
        assert_eq!(functions(text).collect::<Vec<_>>(), ["one_waits", "many"]);
    }

    #[test]
    fn guards_that_do_not_exist_are_named() {
        let page = "## Invariants\n\n`no_row`\n\n| what | guarded by |\n|---|---|\n\
                    | `first_column` | `it_holds`, `it_is_gone`; suite `faults` in `e2e/tests` |\n\
                    | pure | `cargo xtask tidy`; writes in `api.rs`; `e2e/gone` |\n\
                    \n## Boundaries\n\n| `later` | `later_still` |\n";
        let tests = ["it_holds", "faults"].map(str::to_owned).into();
        let found = violations(page, &tests, |path| path == "e2e/tests");
        let gone = |name: &str| format!("{PAGE}: {name} guards an invariant and does not exist");
        assert_eq!(found, [gone("e2e/gone"), gone("it_is_gone")]);
        let nothing = violations("# Architecture\n", &tests, |_| true);
        assert_eq!(
            nothing,
            ["ARCHITECTURE.md: has no table under ## Invariants"]
        );
    }
}
