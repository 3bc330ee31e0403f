//! Every architecture decision record is in the index, and the index names no other.

use std::path::Path;

/// Compares the files of `docs/adr` with its `README.md`.
pub(super) fn violations(names: &[String], index: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in names.iter().filter(|name| *name != "README.md") {
        let is_numbered = is_markdown(name)
            && name.split_once('-').is_some_and(|(number, _)| {
                number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit())
            });
        if !is_numbered {
            found.push(format!("docs/adr/{name}: a record is named NNNN-title.md"));
        } else if !index.contains(&format!("({name})")) {
            found.push(format!(
                "docs/adr/{name}: not linked from docs/adr/README.md"
            ));
        }
    }
    for link in index
        .split('(')
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        let is_record = is_markdown(link) && !link.contains('/');
        if is_record && !names.iter().any(|name| name == link) {
            found.push(format!(
                "docs/adr/README.md: links {link}, which does not exist"
            ));
        }
    }
    found.sort();
    found
}

fn is_markdown(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "md")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_index_agree() {
        let names = ["0001-lease.md", "0002-ports.md", "draft.md", "README.md"].map(str::to_owned);
        let index = "- [1](0001-lease.md)\n- [3](0003-gone.md)\n- [map](../design.md)\n";
        assert_eq!(
            violations(&names, index),
            [
                "docs/adr/0002-ports.md: not linked from docs/adr/README.md",
                "docs/adr/README.md: links 0003-gone.md, which does not exist",
                "docs/adr/draft.md: a record is named NNNN-title.md",
            ]
        );
    }
}
