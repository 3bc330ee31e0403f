//! The directory of one instance: its lock, and the kubeconfig for its user.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use embedded::access::Credentials;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::certificates::Authority;

/// Tokens of users, and the key that signs those of service accounts.
const CREDENTIALS: &str = "credentials.json";
/// Certificate and key of the API server's CA.
const AUTHORITY: &str = "authority.json";

/// A directory that no other instance uses.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Locked as long as this lives; the system unlocks it however the process ends.
    _lock: File,
}

impl Directory {
    /// Makes the directory, readable by its owner alone, and takes its lock.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path);
        made.with_context(|| format!("make the directory {}", path.display()))?;
        let path = path
            .canonicalize()
            .with_context(|| format!("find the directory {}", path.display()))?;
        let file = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file)
            .with_context(|| format!("open {}", file.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it is a help and no more.
                drop(lock.read_to_string(&mut holder));
                bail!(
                    "another `muster dev` (process {}) uses {}; end it, or give this one its own \
                     with --dir and --port",
                    holder.trim(),
                    path.display()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", file.display()));
            }
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .with_context(|| format!("write {}", file.display()))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the node keeps its pods' files.
    pub(crate) fn node(&self) -> PathBuf {
        self.path.join("node")
    }

    /// The tokens and keys of an earlier run, so that its kubeconfig goes on working; or new ones.
    pub(crate) fn credentials(&self) -> Result<Credentials> {
        match self.read_secret(CREDENTIALS)? {
            Some(kept) => Ok(kept),
            None => Ok(Credentials::generate()?),
        }
    }

    /// Keeps them for the next run.
    pub(crate) fn keep(&self, credentials: &Credentials) -> Result<()> {
        let text = serde_json::to_string(credentials)?;
        self.write_secret(CREDENTIALS, &text).map(drop)
    }

    /// The CA of an earlier run, for the same reason; or a new one, which is kept.
    pub(crate) fn authority(&self) -> Result<Authority> {
        if let Some(kept) = self.read_secret(AUTHORITY)? {
            return Ok(kept);
        }
        let made = Authority::generate()?;
        self.write_secret(AUTHORITY, &serde_json::to_string(&made)?)?;
        Ok(made)
    }

    /// Where the CA is kept.
    pub(crate) fn authority_path(&self) -> PathBuf {
        self.path.join(AUTHORITY)
    }

    fn read_secret<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.path.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| damaged(&path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    /// Writes a file that only its owner can read, as a whole or not at all.
    pub(crate) fn write_secret(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        let fresh = self.path.join(format!(".{name}.new"));
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .and_then(|()| std::fs::rename(&fresh, &path))
            .with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

/// What a user does about a secret that cannot be used.
pub(crate) fn damaged(path: &Path) -> String {
    format!(
        "{} is damaged: delete it, and a new one is made",
        path.display()
    )
}

/// How a user reaches the API server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access<'a> {
    pub(crate) address: SocketAddr,
    /// Certificate of the server's CA, PEM; none without TLS.
    pub(crate) ca: Option<&'a str>,
    pub(crate) token: &'a str,
}

/// A kubeconfig with one context, `muster-dev`. JSON is YAML too, and kubectl reads it.
pub(crate) fn kubeconfig(access: &Access<'_>) -> Value {
    let scheme = if access.ca.is_some() { "https" } else { "http" };
    let mut cluster = json!({ "server": format!("{scheme}://{}", access.address) });
    if let Some(ca) = access.ca {
        cluster["certificate-authority-data"] = STANDARD.encode(ca).into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "muster-dev",
        "clusters": [{ "name": "muster-dev", "cluster": cluster }],
        "users": [{ "name": "muster-dev", "user": { "token": access.token } }],
        "contexts": [{
            "name": "muster-dev",
            "context": { "cluster": "muster-dev", "user": "muster-dev", "namespace": "default" },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_is_told_who_is_first() {
        let path = std::env::temp_dir().join(format!("muster-lock-{}", std::process::id()));
        let first = Directory::open(&path).unwrap();
        let error = Directory::open(&path).unwrap_err().to_string();
        assert!(
            error.contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        assert!(error.contains("--dir"), "{error}");
        drop(first);
        Directory::open(&path).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn what_is_secret_is_kept_for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let path = std::env::temp_dir().join(format!("muster-secrets-{}", std::process::id()));
        let directory = Directory::open(&path).unwrap();
        let first = directory.authority().unwrap();
        let kept = directory.authority().unwrap();
        assert_eq!(first.certificate(), kept.certificate());
        kept.server("127.0.0.1".parse().unwrap()).unwrap();
        let file = path.join(AUTHORITY);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&file, "{").unwrap();
        let error = directory.authority().unwrap_err().to_string();
        assert!(error.contains("delete it"), "{error}");
        drop(directory);
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_kubeconfig_without_tls_names_no_certificate() {
        let access = Access {
            address: "127.0.0.1:1".parse().unwrap(),
            ca: None,
            token: "secret",
        };
        let config = kubeconfig(&access);
        let cluster = &config["clusters"][0]["cluster"];
        assert_eq!(cluster, &json!({ "server": "http://127.0.0.1:1" }));
    }
}
