//! What stands in for containers' own network and files: ports and paths in the text of a
//! container are rewritten to those of the host. Pure.
//!
//! A port `P` of the pod is rewritten where it is the whole text, the value of a flag
//! (`--flag=P`), or the port of an address of the pod itself (`:P`, `localhost:P`,
//! `http://127.0.0.1:P/path`). A mount path is rewritten where a path can begin and end.

use std::path::PathBuf;

use super::ports::Ports;

/// Where the volumes of a container really are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mounts(Vec<(String, PathBuf)>);

impl Mounts {
    /// From pairs of mount path and directory.
    pub(super) fn new(pairs: impl IntoIterator<Item = (String, PathBuf)>) -> Self {
        let mut pairs: Vec<_> = pairs
            .into_iter()
            .map(|(path, directory)| (path.trim_end_matches('/').to_owned(), directory))
            .filter(|(path, _)| !path.is_empty())
            .collect();
        // The longest first: a mount may lie inside another.
        pairs.sort_by_key(|(path, _)| (std::cmp::Reverse(path.len()), path.clone()));
        Self(pairs)
    }
}

/// A text of a container as the process on this host must see it.
pub(super) fn rewrite(text: &str, ports: &Ports, mounts: &Mounts) -> String {
    paths(&port(text, ports), mounts)
}

/// Rewrites mount paths.
pub(super) fn paths(text: &str, mounts: &Mounts) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(first) = rest.chars().next() {
        let found = may_begin(before)
            .then(|| {
                mounts.0.iter().find(|(path, _)| {
                    rest.strip_prefix(path.as_str())
                        .is_some_and(|after| may_end(after.chars().next()))
                })
            })
            .flatten();
        let taken = if let Some((path, directory)) = found {
            result.push_str(&directory.to_string_lossy());
            path.len()
        } else {
            result.push(first);
            first.len_utf8()
        };
        before = rest[..taken].chars().next_back();
        rest = &rest[taken..];
    }
    result
}

fn may_begin(before: Option<char>) -> bool {
    before.is_none_or(|before| before.is_whitespace() || "=:,;\"'(<>|&@".contains(before))
}

fn may_end(after: Option<char>) -> bool {
    after.is_none_or(|after| after.is_whitespace() || "/=:,;\"')<>|&?".contains(after))
}

/// Rewrites the port of a text.
fn port(text: &str, ports: &Ports) -> String {
    if text.starts_with('-')
        && let Some((flag, value)) = text.split_once('=')
    {
        return format!("{flag}={}", port(value, ports));
    }
    if let Some(other) = text.parse().ok().and_then(|number| ports.get(number)) {
        return other.to_string();
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, _)) => text.split_at(scheme.len() + 3),
        None => text.split_at(0),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if let Some((host, number)) = authority.rsplit_once(':')
        && is_own(host)
        && let Some(other) = number.parse().ok().and_then(|number| ports.get(number))
    {
        return format!("{scheme}{host}:{other}{path}");
    }
    text.to_owned()
}

/// Whether a host in an address means the pod itself.
fn is_own(host: &str) -> bool {
    matches!(
        host,
        "" | "localhost" | "127.0.0.1" | "0.0.0.0" | "[::]" | "[::1]"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_rewritten_where_they_stand_alone() {
        let ports = [(7654, 7001), (7001, 7002), (9357, 20_001)]
            .into_iter()
            .collect();
        for (text, expected) in [
            ("7654", "7001"),
            ("07654", "7001"),
            ("7655", "7655"),
            ("17654", "17654"),
            ("--port=7654", "--port=7001"),
            ("-port=7654", "-port=7001"),
            ("--port=7655", "--port=7655"),
            ("port=7654", "port=7654"),
            (":7654", ":7001"),
            ("localhost:9357", "localhost:20001"),
            ("127.0.0.1:9357", "127.0.0.1:20001"),
            ("[::]:7654", "[::]:7001"),
            ("--listen=0.0.0.0:7654", "--listen=0.0.0.0:7001"),
            (
                "http://localhost:9357/ready?a=7654",
                "http://localhost:20001/ready?a=7654",
            ),
            ("http://localhost:9357", "http://localhost:20001"),
            ("http://example.org:7654/", "http://example.org:7654/"),
            ("example.org:7654", "example.org:7654"),
            ("7654 players", "7654 players"),
            ("", ""),
        ] {
            assert_eq!(
                rewrite(text, &ports, &Mounts::default()),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn paths_are_rewritten_where_a_path_begins_and_ends() {
        let mounts = Mounts::new([
            ("/data".to_owned(), "/r/v/data".into()),
            ("/data/cache/".to_owned(), "/r/v/cache".into()),
            ("/etc/game".to_owned(), "/r/v/config".into()),
        ]);
        for (text, expected) in [
            ("/data", "/r/v/data"),
            ("/data/", "/r/v/data/"),
            ("/data/save.bin", "/r/v/data/save.bin"),
            ("/data/cache/a", "/r/v/cache/a"),
            ("/data/cached", "/r/v/data/cached"),
            ("/database", "/database"),
            ("/srv/data", "/srv/data"),
            (
                "--config=/etc/game/game.toml",
                "--config=/r/v/config/game.toml",
            ),
            (
                "cat /data/a > '/etc/game/b'",
                "cat /r/v/data/a > '/r/v/config/b'",
            ),
            ("/data:/etc/game", "/r/v/data:/r/v/config"),
            ("file:///data/a", "file:///data/a"),
            ("ä/data /data", "ä/data /r/v/data"),
            ("", ""),
        ] {
            assert_eq!(
                rewrite(text, &Ports::default(), &mounts),
                expected,
                "{text}"
            );
        }
    }
}
