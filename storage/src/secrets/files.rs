//! Secrets in a directory, one file each: a volume of a Secret, or the embedded mode's own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use super::{Entries, Error, MAX_BYTES, MAX_ENTRIES, Secret, Source};

/// How often the files are looked at. They are few and small, and a kubelet replaces them within a
/// minute of their change.
const INTERVAL: Duration = Duration::from_secs(1);

/// A directory of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    directory: PathBuf,
}

impl Files {
    /// Secrets of this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// Secrets of this directory, where keys of 32 bytes that are missing are drawn and written
    /// first, for their owner's eyes alone. For the embedded mode, where nobody else makes them.
    pub fn with_keys(directory: impl Into<PathBuf>, names: &[&str]) -> Result<Self, Error> {
        let files = Self::new(directory);
        std::fs::create_dir_all(&files.directory)
            .map_err(|error| unreadable(&files.directory, &error))?;
        for name in names {
            let path = files.directory.join(name);
            match draw().and_then(|key| write_new(&path, key.as_slice())) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(unreadable(&path, &error));
                }
                _ => {}
            }
        }
        Ok(files)
    }

    fn read_all(&self) -> Result<Entries, Error> {
        let failed = |error: std::io::Error| unreadable(&self.directory, &error);
        let mut entries = Entries::new();
        for entry in std::fs::read_dir(&self.directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            // A volume's own links begin with dots; so do editors' leftovers. Links are followed.
            if name.starts_with('.') || !path.is_file() {
                continue;
            }
            let secret = read_file(&path)?;
            entries.insert(name.to_owned(), secret);
            if entries.len() > MAX_ENTRIES {
                return Err(Error::Unusable {
                    place: self.directory.display().to_string(),
                    problem: format!("holds more than {MAX_ENTRIES} files"),
                });
            }
        }
        Ok(entries)
    }
}

/// One file, whose size is bounded.
pub(super) fn read_file(path: &Path) -> Result<Secret, Error> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| unreadable(path, &error);
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    std::fs::File::open(path)
        .map_err(failed)?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > MAX_BYTES {
        return Err(Error::Unusable {
            place: path.display().to_string(),
            problem: format!("is longer than {MAX_BYTES} bytes"),
        });
    }
    Ok(Secret::new(bytes))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::Read {
        place: path.display().to_string(),
        problem: error.to_string(),
    }
}

fn draw() -> std::io::Result<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(key.as_mut_slice()).map_err(std::io::Error::other)?;
    Ok(key)
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    // A key that seals data must not be lost before the data.
    file.sync_all()
}

#[async_trait]
impl Source for Files {
    async fn read(&self) -> Result<Entries, Error> {
        let files = self.clone();
        tokio::task::spawn_blocking(move || files.read_all())
            .await
            .unwrap_or_else(|error| {
                Err(Error::Read {
                    place: self.directory.display().to_string(),
                    problem: error.to_string(),
                })
            })
    }

    fn place(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::secrets::Secrets;

    const KEYS: [&str; 2] = ["master.v1", "index.v1"];

    fn password(text: &str) -> Entries {
        let secret = Secret::new(text.as_bytes().to_vec());
        Entries::from([("password".to_owned(), secret)])
    }

    /// A directory of a test's own, which goes with it.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("muster-{name}-{}", std::process::id()));
            std::fs::remove_dir_all(&path).ok();
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn fill(&self, folder: &str, entries: &Entries) {
            let folder = self.0.join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            for (name, secret) in entries {
                std::fs::write(folder.join(name), secret.expose()).unwrap();
            }
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    #[tokio::test]
    async fn a_volume_of_a_secret_is_followed_through_its_links() {
        let directory = Directory::new("volume");
        // As a kubelet lays it out: files are links into ..data, which is swapped as a whole.
        directory.fill("..1", &password("one"));
        directory.fill("..2", &password("two"));
        symlink("..1", directory.0.join("..data")).unwrap();
        symlink("..data/password", directory.0.join("password")).unwrap();
        let source = Arc::new(Files::new(&directory.0));
        let secrets: Arc<Secrets> = Arc::new(Secrets::load(source).await.unwrap());
        assert_eq!(secrets.current().text("password"), Some("one"));

        let mut changes = secrets.subscribe();
        let stop = CancellationToken::new();
        let following = tokio::spawn({
            let (secrets, stop) = (Arc::clone(&secrets), stop.clone());
            async move { secrets.follow(stop).await }
        });
        symlink("..2", directory.0.join("..next")).unwrap();
        std::fs::rename(directory.0.join("..next"), directory.0.join("..data")).unwrap();
        tokio::time::timeout(Duration::from_mins(1), changes.changed())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(secrets.current().text("password"), Some("two"));
        stop.cancel();
        following.await.unwrap();
    }

    #[tokio::test]
    async fn missing_keys_are_drawn_once_for_their_owner_alone() {
        let directory = Directory::new("drawn");
        let first = Files::with_keys(&directory.0, &KEYS)
            .unwrap()
            .read()
            .await
            .unwrap();
        assert_eq!(first.keys().collect::<Vec<_>>(), ["index.v1", "master.v1"]);
        assert_ne!(first["index.v1"], first["master.v1"]);
        let mode = std::fs::metadata(directory.0.join("index.v1"))
            .unwrap()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Files::with_keys(&directory.0, &KEYS)
            .unwrap()
            .read()
            .await
            .unwrap();
        assert_eq!(first, second);
    }

    #[tokio::test]
    async fn problems_name_the_file() {
        let directory = Directory::new("problems");
        let source = Files::new(directory.0.join("absent"));
        let error = source.read().await.unwrap_err().to_string();
        assert!(error.contains("absent: No such file"), "{error}");

        std::fs::write(directory.0.join("big"), vec![0; MAX_BYTES + 1]).unwrap();
        let error = Files::new(&directory.0)
            .read()
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("big: is longer than 65536 bytes"), "{error}");

        std::fs::remove_file(directory.0.join("big")).unwrap();
        for number in 0..=MAX_ENTRIES {
            std::fs::write(directory.0.join(number.to_string()), "x").unwrap();
        }
        let error = Files::new(&directory.0)
            .read()
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("holds more than 128 files"), "{error}");
    }
}
