//! TLS for servers, with certificates that are replaced without a restart.
//!
//! Layout of Agones' allocator: a directory with `tls.crt` and `tls.key`, and, for mutual TLS, a
//! directory of client CA certificates (`*.crt`, `*.pem`).

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// Where certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Directory with `tls.crt` and `tls.key`.
    pub server: PathBuf,
    /// Directory of CA certificates; clients must present a certificate of one of them.
    pub client_ca: Option<PathBuf>,
}

/// Why certificates could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read.
    #[error("read {path}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// A file is not PEM, or holds the wrong kind of object.
    #[error("parse {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// No client CA certificate was found.
    #[error("no certificate in {path}: put the client CA there as *.crt or *.pem")]
    NoClientCa {
        /// The directory.
        path: PathBuf,
    },
    /// The certificates do not fit together.
    #[error("use the certificates of {path}")]
    Use {
        /// The directory of the server certificate.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: rustls::Error,
    },
    /// The client CA certificates cannot be used.
    #[error("use the client CA certificates of {path}")]
    Verifier {
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: rustls::server::VerifierBuilderError,
    },
}

/// A server configuration that follows the files.
#[derive(Clone)]
pub struct Reloading {
    files: Files,
    /// The content that `current` was made from.
    loaded: Vec<Option<Vec<u8>>>,
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl std::fmt::Debug for Reloading {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The keys stay out of every log.
        formatter
            .debug_struct("Reloading")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Reloading {
    /// Loads the files once; they must be valid.
    pub fn load(files: Files) -> Result<Self, Error> {
        // Before the files are read: a change in between is then seen as one.
        let loaded = fingerprint(&files);
        let config = load(&files)?;
        Ok(Self {
            files,
            loaded,
            current: Arc::new(RwLock::new(Arc::new(config))),
        })
    }

    /// The configuration for the next connection.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Follows the files until the token is cancelled. Files that cannot be used leave the last
    /// good configuration in place.
    pub async fn follow(self, stop: CancellationToken) {
        let mut seen = self.loaded.clone();
        let mut interval = tokio::time::interval(RELOAD_INTERVAL);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            let now = fingerprint(&self.files);
            if now == seen {
                continue;
            }
            seen = now;
            match load(&self.files) {
                Ok(config) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) =
                        Arc::new(config);
                    tracing::info!(path = %self.files.server.display(), "Reloaded certificates");
                }
                Err(error) => tracing::warn!(
                    error = crate::service::chain(&error),
                    "Kept the last certificates: the new ones cannot be used"
                ),
            }
        }
    }
}

fn load(files: &Files) -> Result<ServerConfig, Error> {
    let chain_path = files.server.join("tls.crt");
    let key_path = files.server.join("tls.key");
    let chain = certificates(&chain_path)?;
    let key_pem = read(&key_path)?;
    let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|source| Error::Parse {
        path: key_path,
        source,
    })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unusable = |source| Error::Use {
        path: files.server.clone(),
        source,
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(directory) => {
            let roots = Arc::new(client_roots(directory)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|source| Error::Verifier {
                    path: directory.clone(),
                    source,
                })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn client_roots(directory: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for path in ca_files(directory)? {
        for certificate in certificates(&path)? {
            roots.add(certificate).map_err(|source| Error::Use {
                path: path.clone(),
                source,
            })?;
        }
    }
    if roots.is_empty() {
        return Err(Error::NoClientCa {
            path: directory.to_path_buf(),
        });
    }
    Ok(roots)
}

fn ca_files(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read {
        path: directory.to_path_buf(),
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "crt" || extension == "pem")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(path)?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| Error::Parse {
            path: path.to_path_buf(),
            source,
        })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_path_buf(),
        source,
    })
}

/// The content of all files; small enough to compare as it is. Secret volumes swap a symbolic
/// link, so that times and sizes alone are not to be trusted.
fn fingerprint(files: &Files) -> Vec<Option<Vec<u8>>> {
    let mut paths = vec![files.server.join("tls.crt"), files.server.join("tls.key")];
    if let Some(directory) = &files.client_ca {
        paths.extend(ca_files(directory).unwrap_or_default());
    }
    paths.iter().map(|path| std::fs::read(path).ok()).collect()
}
