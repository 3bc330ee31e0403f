//! What pages say is proven is proven by something that is there: tests, suites and paths.

use std::collections::BTreeSet;

/// A page with tables whose last column names what proves a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// Its path.
    pub(super) path: &'static str,
    /// The heading above the tables.
    heading: &'static str,
}

/// The pages.
pub(super) const PAGES: [Page; 3] = [
    Page {
        path: "ARCHITECTURE.md",
        heading: "## Invariants",
    },
    Page {
        path: "docs/security.md",
        heading: "## Checklist",
    },
    Page {
        path: "docs/requirements.md",
        heading: "## Rows",
    },
];

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
    page: Page,
    text: &str,
    tests: &BTreeSet<String>,
    is_path: impl Fn(&str) -> bool,
) -> Vec<String> {
    let Page { path, heading } = page;
    let after = text.split_once(heading).map_or("", |(_, rest)| rest);
    let section = after.split("\n## ").next().unwrap_or(after);
    let guards: Vec<_> = section
        .lines()
        .filter_map(|line| {
            line.trim_end_matches('|')
                .strip_prefix('|')?
                .rsplit('|')
                .next()
        })
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    if guards.is_empty() {
        return vec![format!("{path}: has no table under {heading}")];
    }
    let mut found: Vec<_> = guards
        .into_iter()
        .filter(|name| {
            let is_missing_test = is_name(name) && !tests.contains(*name);
            let is_missing_path = name.contains('/') && !is_path(name);
            is_missing_test || is_missing_path
        })
        .map(|name| format!("{path}: {name} is said to prove something and does not exist"))
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
        let page = PAGES[0];
        let text = "## Invariants\n\n`no_row`\n\n| what | guarded by |\n|---|---|\n\
                    | `first_column` | `it_holds`, `it_is_gone`; suite `faults` in `e2e/tests` |\n\
                    | pure | `cargo xtask tidy`; writes in `api.rs`; `e2e/gone` |\n\
                    \n## Boundaries\n\n| `later` | `later_still` |\n";
        let tests = ["it_holds", "faults"].map(str::to_owned).into();
        let found = violations(page, text, &tests, |path| path == "e2e/tests");
        let gone = |name: &str| {
            format!("ARCHITECTURE.md: {name} is said to prove something and does not exist")
        };
        assert_eq!(found, [gone("e2e/gone"), gone("it_is_gone")]);
        let nothing = violations(page, "# Architecture\n", &tests, |_| true);
        assert_eq!(
            nothing,
            ["ARCHITECTURE.md: has no table under ## Invariants"]
        );
    }
}
