//! From the image of a container to the program of this host that stands for it. Nothing is
//! pulled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What runs in place of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The executable file.
    pub path: PathBuf,
    /// Arguments before those of the container.
    pub args: Vec<String>,
}

impl Program {
    /// A program without arguments of its own.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            args: Vec::new(),
        }
    }
}

/// Which program stands for which image.
///
/// A name may leave out the registry, the folders and the tag; of several that fit an image, the
/// one that says the most is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images(BTreeMap<String, Program>);

impl Images {
    /// Makes all paths absolute: processes start in other directories.
    pub(super) fn anchor(&mut self) {
        for program in self.0.values_mut() {
            if let Ok(path) = std::path::absolute(&program.path) {
                program.path = path;
            }
        }
    }

    /// Sets the program of an image.
    pub fn insert(&mut self, name: impl Into<String>, program: Program) {
        self.0.insert(name.into(), program);
    }

    /// The program that stands for an image.
    pub fn find(&self, image: &str) -> Option<&Program> {
        names(image).find_map(|name| self.0.get(name))
    }

    /// The program that stands for an image, if it can run; else a sentence that helps.
    pub(super) fn resolve(&self, image: &str) -> Result<&Program, String> {
        let Some(program) = self.find(image) else {
            return Err(format!(
                "No program stands for the image {image:?}: say which with --image {}=PATH",
                short(image)
            ));
        };
        match unusable(&program.path) {
            None => Ok(program),
            Some(problem) => Err(format!(
                "The program {} for the image {image:?} {problem}: say another with \
                 --image {}=PATH",
                program.path.display(),
                short(image)
            )),
        }
    }
}

impl<N: Into<String>> FromIterator<(N, Program)> for Images {
    fn from_iter<I: IntoIterator<Item = (N, Program)>>(entries: I) -> Self {
        Self(
            entries
                .into_iter()
                .map(|(name, program)| (name.into(), program))
                .collect(),
        )
    }
}

/// Why a file cannot be run, as the end of a sentence.
fn unusable(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some("does not exist".to_owned())
        }
        Err(error) => Some(format!("cannot be read ({error})")),
        Ok(metadata) if !metadata.is_file() => Some("is not a file".to_owned()),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
            Some("is not executable".to_owned())
        }
        Ok(_) => None,
    }
}

/// All names under which an image may be known, the fullest first.
fn names(image: &str) -> impl Iterator<Item = &str> {
    let folders = std::iter::successors(Some(image), |rest| rest.split_once('/').map(|(_, r)| r));
    folders.flat_map(|name| {
        let undigested = name.split('@').next().unwrap_or(name);
        [name, undigested, untagged(undigested)]
    })
}

/// The name without its tag. A colon before the last slash belongs to a registry's port.
fn untagged(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((front, tag)) if !tag.contains('/') => front,
        _ => name,
    }
}

/// The last part of an image's name, without tag and digest: what a person would type.
fn short(image: &str) -> &str {
    let name = untagged(image.split('@').next().unwrap_or(image));
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(names: &[&str]) -> Images {
        names
            .iter()
            .map(|name| (*name, Program::new(format!("/bin/{name}"))))
            .collect()
    }

    #[test]
    fn an_image_is_found_by_every_shorter_name() {
        let image = "registry.example:5000/games/echo:1.2@sha256:abc";
        for name in [
            "registry.example:5000/games/echo:1.2@sha256:abc",
            "registry.example:5000/games/echo:1.2",
            "registry.example:5000/games/echo",
            "games/echo:1.2",
            "games/echo",
            "echo:1.2",
            "echo",
        ] {
            let found = images(&[name, "other"]).find(image).cloned();
            assert_eq!(found, Some(Program::new(format!("/bin/{name}"))), "{name}");
        }
        for name in ["echo:1.3", "games", "registry.example", "cho", ""] {
            assert_eq!(images(&[name]).find(image), None, "{name}");
        }
    }

    #[test]
    fn the_name_that_says_the_most_wins() {
        let known = images(&["echo", "echo:2", "games/echo"]);
        let found = |image| known.find(image).map(|program| program.path.clone());
        assert_eq!(found("echo:2"), Some("/bin/echo:2".into()));
        assert_eq!(found("echo:3"), Some("/bin/echo".into()));
        assert_eq!(found("games/echo:2"), Some("/bin/games/echo".into()));
    }

    #[test]
    fn what_cannot_run_is_explained() {
        let known: Images = [
            ("gone", Program::new("/no/such/file")),
            ("folder", Program::new("/")),
            ("text", Program::new("/etc/passwd")),
            ("shell", Program::new("/bin/sh")),
        ]
        .into_iter()
        .collect();
        assert_eq!(
            known.resolve("a/b/game:1").unwrap_err(),
            "No program stands for the image \"a/b/game:1\": say which with --image game=PATH"
        );
        assert_eq!(
            known.resolve("gone:1").unwrap_err(),
            "The program /no/such/file for the image \"gone:1\" does not exist: say another with \
             --image gone=PATH"
        );
        let problem = |image| known.resolve(image).unwrap_err();
        assert!(problem("folder").contains("is not a file"));
        assert!(problem("text").contains("is not executable"));
        assert_eq!(known.resolve("shell").unwrap().path, Path::new("/bin/sh"));
    }
}
